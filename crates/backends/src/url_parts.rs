//! The parts that server URLs have in common. A part that can't be parsed may contain a password, so no message repeats
//! it: messages show an example instead.

use std::fmt;

/// `host`, `host:port` or `[address]:port`.
pub fn parse_host(text: &str, default_port: u16, example: &str) -> Result<(String, u16), String> {
    let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, port)) => (host, port.strip_prefix(':')),
        None => text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port))),
    };
    if host.is_empty() {
        return Err(format!("name a host, as in {example}"));
    }
    let port = match port {
        None => default_port,
        Some(port) => port.parse().map_err(|_| format!("the port must be a number below 65536, as in {example}"))?,
    };
    Ok((host.to_owned(), port))
}

/// The message for a missing `@` before the first `/` of what follows `scheme://`: a password with a `/` in it hides the `@`.
pub fn no_account(rest: &str, example: &str) -> String {
    if rest.contains('@') {
        format!("in a user or a password write / as %2f, as in {example}")
    } else {
        format!("name a user, as in {example}")
    }
}

/// Decodes percent-encoding.
pub fn decode(text: &str, example: &str) -> Result<String, String> {
    let wrong = || format!("a % must be followed by two hex digits (% itself is %25), as in {example}");
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte == b'%' {
            let (digits, after) = rest.split_at_checked(2).ok_or_else(wrong)?;
            let digit = |at: usize| char::from(digits[at]).to_digit(16).ok_or_else(wrong);
            bytes.push((digit(0)? * 16 + digit(1)?).try_into().expect("two hex digits are a byte"));
            rest = after;
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).map_err(|_| wrong())
}

/// A part of a URL, with everything but letters, digits and `-._~` percent-encoded.
pub struct Encoded<'a>(pub &'a str);

impl fmt::Display for Encoded<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.bytes().try_for_each(|byte| {
            if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
                write!(f, "{}", char::from(byte))
            } else {
                write!(f, "%{byte:02x}")
            }
        })
    }
}
