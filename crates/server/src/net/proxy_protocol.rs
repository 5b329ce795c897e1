//! The PROXY protocol, versions 1 and 2: a proxy that forwards bytes first sends a header with the client's address.
//!
//! <https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt>

use std::io;
use std::net::IpAddr;

use ppp::{v1, v2};
use tokio::io::{AsyncRead, AsyncReadExt as _};

/// The first bytes of headers of each version.
pub(super) const PREFIX_1: &[u8] = b"PROXY ";
pub(super) const PREFIX_2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// The longest header of version 1, in bytes.
const HEADER_1_MAX: usize = 107;

/// Bytes of a version 2 header up to and including its length, and the maximum that may follow: addresses, and other
/// information from the proxy, such as a certificate's name.
const HEAD_2: usize = 16;
const REST_2_MAX: usize = 4 * 1024;

/// Reads the header that `stream` begins with, and not a byte more. Returns the client's address, or `None` if the connection
/// is the proxy's own, as in a health check.
///
/// # Errors
/// `InvalidData` if it is not a valid header, or the error of a failed read.
pub(super) async fn read(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<IpAddr>> {
    let mut header = vec![0; PREFIX_2.len()];
    stream.read_exact(&mut header).await?;
    if header == PREFIX_2 {
        header.resize(HEAD_2, 0);
        stream.read_exact(&mut header[PREFIX_2.len()..]).await?;
        let rest = usize::from(u16::from_be_bytes([header[HEAD_2 - 2], header[HEAD_2 - 1]]));
        if rest > REST_2_MAX {
            return Err(invalid("it is too long"));
        }
        header.resize(HEAD_2 + rest, 0);
        stream.read_exact(&mut header[HEAD_2..]).await?;
        client_2(&header)
    } else if header.starts_with(PREFIX_1) {
        while !header.ends_with(b"\n") {
            if header.len() == HEADER_1_MAX {
                return Err(invalid("its line is too long"));
            }
            header.push(stream.read_u8().await?);
        }
        client_1(&header)
    } else {
        Err(invalid("there is none"))
    }
}

fn client_1(header: &[u8]) -> io::Result<Option<IpAddr>> {
    let header = v1::Header::try_from(header).map_err(|error| invalid(&error.to_string()))?;
    Ok(match header.addresses {
        v1::Addresses::Unknown => None,
        v1::Addresses::Tcp4(addresses) => Some(addresses.source_address.into()),
        v1::Addresses::Tcp6(addresses) => Some(addresses.source_address.into()),
    })
}

fn client_2(header: &[u8]) -> io::Result<Option<IpAddr>> {
    let header = v2::Header::try_from(header).map_err(|error| invalid(&error.to_string()))?;
    Ok(match (header.command, header.addresses) {
        (v2::Command::Local, _) | (v2::Command::Proxy, v2::Addresses::Unspecified | v2::Addresses::Unix(_)) => None,
        (v2::Command::Proxy, v2::Addresses::IPv4(addresses)) => Some(addresses.source_address.into()),
        (v2::Command::Proxy, v2::Addresses::IPv6(addresses)) => Some(addresses.source_address.into()),
    })
}

fn invalid(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;
    use proptest::prelude::*;

    use super::*;

    /// The result of reading `bytes`, and how many of them are left; `None` on an error, or if more bytes are needed.
    fn client(bytes: &[u8]) -> Option<(Option<IpAddr>, usize)> {
        let mut rest = bytes;
        let client = read(&mut rest).now_or_never()?.ok()?;
        Some((client, rest.len()))
    }

    fn version_2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
        [PREFIX_2, &[0x20 | command, family], &length, rest].concat()
    }

    const IPV4: &[u8] = &[192, 0, 2, 1, 10, 0, 0, 1, 0x12, 0x34, 0, 80];

    #[test]
    fn both_versions_contain_the_client() {
        let ipv4 = Some("192.0.2.1".parse().unwrap());
        let ipv6 = Some("2001:db8::1".parse().unwrap());
        let with_more = [IPV4, &[4, 0, 2, 0, 0]].concat();
        let addresses_6 =
            [&[0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1][..], &[0; 16], &[0, 1, 0, 80]].concat();
        for (header, expected) in [
            (b"PROXY TCP4 192.0.2.1 10.0.0.1 4660 80\r\n".to_vec(), ipv4),
            (b"PROXY TCP6 2001:db8::1 ::1 4660 80\r\n".to_vec(), ipv6),
            (b"PROXY UNKNOWN\r\n".to_vec(), None),
            (b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n".to_vec(), None),
            (version_2(1, 0x11, IPV4), ipv4),
            (version_2(1, 0x11, &with_more), ipv4),
            (version_2(1, 0x21, &addresses_6), ipv6),
            (version_2(0, 0x11, IPV4), None),
            (version_2(0, 0, b""), None),
            (version_2(1, 0x31, &[0; 216]), None),
        ] {
            assert_eq!(client(&[&header, &b"GET /"[..]].concat()), Some((expected, 5)), "{header:?}");
        }
    }

    #[test]
    fn invalid_headers_are_rejected() {
        for bytes in [
            &b"GET / HTTP/1.1\r\n\r\n"[..],
            b"PROXY TCP4 192.0.2.1\r\n     ",
            b"PROXY TCP4 192.0.2.300 10.0.0.1 1 2\r\n",
            b"PROXY TCP5 192.0.2.1 10.0.0.1 1 2\r\n",
            b"PROXY TCP4 192.0.2.1 10.0.0.1 1 99999\r\n",
            b"proxy tcp4 192.0.2.1 10.0.0.1 1 2\r\n",
            &[b"PROXY ", [b'x'; 200].as_slice()].concat(),
            &version_2(2, 0x11, IPV4),
            &version_2(1, 0x11, &IPV4[..11]),
            &version_2(1, 0x11, &[0; REST_2_MAX + 1]),
        ] {
            assert_eq!(client(bytes), None, "{:?}", String::from_utf8_lossy(bytes));
        }
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300), length: u8) {
            let _ = client(&bytes);
            let _ = client(&[PREFIX_1, &bytes].concat());
            let _ = client(&[PREFIX_2, &[0x21, 0x11, 0, length], &bytes].concat());
        }
    }
}
