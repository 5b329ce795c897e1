//! The first words of a connection, which tell whether a server takes in clients.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// How long a server may think about it before it is asked again.
const ANSWER_MAX: Duration = Duration::from_secs(2);

/// Connects, says `greeting` and returns the first bytes of the answer.
///
/// # Errors
/// If there is no answer in time.
pub fn exchange<const N: usize>(address: SocketAddr, greeting: &[u8]) -> io::Result<[u8; N]> {
    let mut stream = TcpStream::connect_timeout(&address, ANSWER_MAX)?;
    stream.set_read_timeout(Some(ANSWER_MAX))?;
    stream.set_write_timeout(Some(ANSWER_MAX))?;
    stream.write_all(greeting)?;
    let mut answer = [0; N];
    stream.read_exact(&mut answer)?;
    Ok(answer)
}
