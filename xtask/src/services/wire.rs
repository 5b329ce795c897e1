//! The first exchange on a connection, which shows whether a server accepts clients.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// How long a server may take to respond before it is tried again.
const RESPONSE_MAX: Duration = Duration::from_secs(2);

/// Connects, sends `greeting` and returns the first bytes of the response.
///
/// # Errors
/// If there is no response in time.
pub fn exchange<const N: usize>(address: SocketAddr, greeting: &[u8]) -> io::Result<[u8; N]> {
    let mut stream = TcpStream::connect_timeout(&address, RESPONSE_MAX)?;
    stream.set_read_timeout(Some(RESPONSE_MAX))?;
    stream.set_write_timeout(Some(RESPONSE_MAX))?;
    stream.write_all(greeting)?;
    let mut response = [0; N];
    stream.read_exact(&mut response)?;
    Ok(response)
}
