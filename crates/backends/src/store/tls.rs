//! TLS to a database server, as configured by the options of its URL.

use std::path::PathBuf;

use crate::url_parts::decode;

/// Whether the connection is encrypted and the server's certificate verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsMode {
    /// Never encrypted.
    Disable,
    /// Encrypted if the server offers it, without verifying its certificate.
    Prefer,
    /// Always encrypted, without verifying the server's certificate.
    NoVerify,
    /// Encrypted; the certificate is of a known authority, whatever host it names.
    VerifyCa,
    /// Encrypted; the certificate is of a known authority and names the URL's host.
    VerifyFull,
}

/// The TLS options of a URL.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tls {
    /// `None` leaves it to the client library: encrypted if the server offers it. For PostgreSQL that is `PGSSLMODE` if
    /// it is set.
    pub mode: Option<TlsMode>,
    /// A PEM file with the certificates that are trusted in addition to the system's.
    pub root_certificate: Option<PathBuf>,
}

impl Tls {
    /// Parses what follows the `?` of a URL.
    ///
    /// # Errors
    /// The message lists the known options. An unknown name isn't repeated: it may be part of a password.
    pub(super) fn parse(options: &str, example: &str) -> Result<Self, String> {
        let mut tls = Self::default();
        for option in options.split('&').filter(|option| !option.is_empty()) {
            let (name, value) = option.split_once('=').unwrap_or((option, ""));
            let value = decode(value, example)?;
            match name.replace('_', "-").as_str() {
                "sslmode" | "ssl-mode" => tls.mode = Some(mode(&value)?),
                "sslrootcert" | "ssl-ca" if !value.is_empty() => tls.root_certificate = Some(value.into()),
                _ => {
                    return Err(format!(
                        "after ? only sslmode (or ssl-mode) and sslrootcert (or ssl-ca) are known, as in \
                         {example}?sslmode=verify-full; in a password write ? as %3f"
                    ));
                }
            }
        }
        Ok(tls)
    }
}

/// The values of PostgreSQL's clients and of MySQL's. A mode that requires TLS also verifies the certificate.
fn mode(value: &str) -> Result<TlsMode, String> {
    match value.to_ascii_lowercase().replace('_', "-").as_str() {
        "disable" | "disabled" => Ok(TlsMode::Disable),
        "prefer" | "preferred" => Ok(TlsMode::Prefer),
        "no-verify" => Ok(TlsMode::NoVerify),
        "verify-ca" => Ok(TlsMode::VerifyCa),
        "require" | "required" | "verify-full" | "verify-identity" => Ok(TlsMode::VerifyFull),
        _ => Err("sslmode must be disable, prefer, no-verify, verify-ca or verify-full (require means verify-full)"
            .to_owned()),
    }
}

/// What to do if no encrypted connection could be made; `None` if the error isn't about TLS.
pub(super) fn advice(error: &sqlx::Error) -> Option<String> {
    let (sqlx::Error::Tls(_) | sqlx::Error::Io(_)) = error else { return None };
    let message = error.to_string();
    if message.contains("does not support TLS") {
        return Some(
            "the server doesn't offer TLS, which sslmode in DATABASE_URL requires; enable it on the server, or set \
             sslmode=disable"
                .to_owned(),
        );
    }
    if message.contains("certificate") || matches!(error, sqlx::Error::Tls(_)) {
        return Some(format!(
            "the server's certificate can't be verified ({message}); set the certificate of its authority in DATABASE_URL \
             (?sslmode=verify-full&sslrootcert=FILE) and use the host name in the certificate, or set sslmode=no-verify"
        ));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(options: &str) -> Result<Tls, String> {
        Tls::parse(options, "mysql://user:password@host/throng")
    }

    #[test]
    fn values_of_both_servers_are_accepted() {
        for (options, mode) in [
            ("", None),
            ("sslmode=disable", Some(TlsMode::Disable)),
            ("ssl-mode=DISABLED", Some(TlsMode::Disable)),
            ("ssl_mode=PREFERRED", Some(TlsMode::Prefer)),
            ("sslmode=no-verify", Some(TlsMode::NoVerify)),
            ("ssl-mode=VERIFY_CA", Some(TlsMode::VerifyCa)),
            ("ssl-mode=VERIFY_IDENTITY", Some(TlsMode::VerifyFull)),
        ] {
            assert_eq!(parse(options).unwrap().mode, mode, "{options}");
        }
        let tls = parse("sslmode=verify-ca&sslrootcert=/etc/my%20ca.pem").unwrap();
        assert_eq!(tls, Tls { mode: Some(TlsMode::VerifyCa), root_certificate: Some("/etc/my ca.pem".into()) });
        assert_eq!(parse("ssl-ca=ca.pem").unwrap().root_certificate, Some("ca.pem".into()));
    }

    #[test]
    fn required_tls_is_verified() {
        for options in ["sslmode=require", "ssl-mode=REQUIRED", "sslmode=verify-full"] {
            assert_eq!(parse(options).unwrap().mode, Some(TlsMode::VerifyFull), "{options}");
        }
    }

    #[test]
    fn unknown_options_are_rejected_and_not_repeated() {
        for wrong in ["secret", "sslmode=secret", "secret=1", "sslrootcert=", "sslmode=require&secret"] {
            let error = parse(wrong).unwrap_err();
            assert!(error.contains("sslmode") && !error.contains("secret"), "{error}");
        }
    }
}
