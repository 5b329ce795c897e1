//! The collector to which spans are sent.

use std::fmt;
use std::str::FromStr;

use hyper::Uri;

/// The address of an OpenTelemetry collector that accepts OTLP over HTTP, such as `http://localhost:4318`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OtlpEndpoint(String);

impl OtlpEndpoint {
    /// The URL at which it accepts spans.
    pub fn traces_url(&self) -> String {
        format!("{}/v1/traces", self.0)
    }
}

impl fmt::Display for OtlpEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for OtlpEndpoint {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if !cfg!(feature = "otlp") {
            return Err("this build of Throng sends no spans; build it with `--features otlp`, or unset it".to_owned());
        }
        let uri = text.parse::<Uri>().ok().filter(|uri| uri.scheme_str() == Some("http"));
        let authority =
            uri.as_ref().filter(|uri| uri.path_and_query().is_none_or(|path| path == "/")).and_then(Uri::authority);
        match authority {
            Some(authority) => Ok(Self(format!("http://{authority}"))),
            None => Err("write it like http://localhost:4318: a collector for OTLP over HTTP, without TLS".to_owned()),
        }
    }
}
