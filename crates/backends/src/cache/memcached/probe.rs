//! Why a cache can't be used, for its operator.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// How long the check of one host may take.
const PROBE_MAX: Duration = Duration::from_secs(2);

/// What is wrong with the first of `hosts` that is unusable, and what to do; `None` if all are usable.
pub async fn fault(hosts: &[String]) -> Option<String> {
    for host in hosts {
        let fault = match timeout(PROBE_MAX, supports_meta(host)).await {
            Ok(Ok(true)) => continue,
            Ok(Ok(false)) => format!(
                "{host} doesn't support memcached's meta commands: it is a memcached before 1.6, or a proxy such as twemproxy; \
                 list all memcached servers themselves in CACHE_URL, and Throng distributes polls over them"
            ),
            Ok(Err(error)) => format!("{host} can't be reached ({error}); start memcached, or set CACHE_URL"),
            Err(_) => {
                format!(
                    "{host} doesn't respond within {} s; check what runs there, or set CACHE_URL",
                    PROBE_MAX.as_secs()
                )
            }
        };
        return Some(fault);
    }
    None
}

/// Whether the server supports `mn`, the meta command that does nothing.
async fn supports_meta(host: &str) -> io::Result<bool> {
    let mut stream = TcpStream::connect(host).await?;
    stream.write_all(b"mn\r\n").await?;
    let mut response = [0; 4];
    // A server that doesn't support the command responds otherwise, or closes the connection.
    Ok(stream.read_exact(&mut response).await.is_ok() && response == *b"MN\r\n")
}
