//! Why a cache can't be used, for whoever looks after it.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// How long one host may take.
const PROBE_MAX: Duration = Duration::from_secs(2);

/// What is wrong with the first of `hosts` that can't be used, and what to do; `None` if all can.
pub async fn fault(hosts: &[String]) -> Option<String> {
    for host in hosts {
        let fault = match timeout(PROBE_MAX, speaks_meta(host)).await {
            Ok(Ok(true)) => continue,
            Ok(Ok(false)) => format!(
                "{host} doesn't know memcached's meta commands: it is a memcached before 1.6, or a proxy such as twemproxy; \
                 name memcached servers themselves in CACHE_URL, all of them, and Throng spreads polls over them"
            ),
            Ok(Err(error)) => format!("{host} can't be reached ({error}); start memcached, or set CACHE_URL"),
            Err(_) => {
                format!("{host} doesn't answer within {} s; see what runs there, or set CACHE_URL", PROBE_MAX.as_secs())
            }
        };
        return Some(fault);
    }
    None
}

/// Whether the server answers `mn`, the meta command that does nothing.
async fn speaks_meta(host: &str) -> io::Result<bool> {
    let mut stream = TcpStream::connect(host).await?;
    stream.write_all(b"mn\r\n").await?;
    let mut answer = [0; 4];
    // Who doesn't know the command answers otherwise, or hangs up.
    Ok(stream.read_exact(&mut answer).await.is_ok() && answer == *b"MN\r\n")
}
