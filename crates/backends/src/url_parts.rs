//! The parts that server URLs have in common. A part that can't be parsed may contain a password, so no message repeats
//! it: messages show an example instead.

use std::borrow::Cow;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, PercentEncode, percent_decode_str, utf8_percent_encode};

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
    let is_encoded = |rest: &str| rest.len() >= 2 && rest.bytes().take(2).all(|digit| digit.is_ascii_hexdigit());
    // The library leaves anything else after a % as it is: a password with a % in it would depend on what follows.
    if !text.split('%').skip(1).all(is_encoded) {
        return Err(wrong());
    }
    percent_decode_str(text).decode_utf8().map(Cow::into_owned).map_err(|_| wrong())
}

/// A part of a URL, with everything but letters, digits and `-._~` percent-encoded.
pub fn encode(text: &str) -> PercentEncode<'_> {
    const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
    utf8_percent_encode(text, ENCODED)
}

/// The passwords that images, packages and tutorials come with, in lower case.
const DEFAULT_PASSWORDS: [&str; 14] = [
    "admin",
    "app",
    "bitnami",
    "change_me",
    "changeme",
    "changeit",
    "!changeme!",
    "example",
    "guest",
    "mariadb",
    "mysql",
    "password",
    "postgres",
    "root",
];

/// The accounts that may do everything.
const ADMINISTRATORS: [&str; 3] = ["admin", "postgres", "root"];

/// Whether everybody knows this password: it is a default, or the user's name, or an administrator has none.
pub fn is_default_password(user: &str, password: &str) -> bool {
    if password.is_empty() {
        return ADMINISTRATORS.iter().any(|name| name.eq_ignore_ascii_case(user));
    }
    password.eq_ignore_ascii_case(user) || DEFAULT_PASSWORDS.iter().any(|known| known.eq_ignore_ascii_case(password))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// S27: the passwords that everybody tries first.
    #[test]
    fn default_passwords_are_known() {
        for (user, password) in [
            ("guest", "guest"),
            ("guest", "GUEST"),
            ("root", ""),
            ("postgres", ""),
            ("root", "root"),
            ("postgres", "postgres"),
            ("app", "!ChangeMe!"),
            ("throng", "throng"),
            ("throng", "password"),
        ] {
            assert!(is_default_password(user, password), "{user}:{password}");
        }
        for (user, password) in
            [("throng", ""), ("guest", "7f3a9c"), ("root", "throng-7f3a9c"), ("throng", "password-7f3a9c")]
        {
            assert!(!is_default_password(user, password), "{user}:{password}");
        }
    }
}
