//! How long a start waits for an unavailable database or broker.

use std::str::FromStr;
use std::time::Duration;

/// The text for an unlimited wait.
const FOREVER: &str = "forever";

/// How long to wait for a service that is unavailable and may become available.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wait {
    /// The maximum; `None` means no limit.
    pub max: Option<Duration>,
}

impl Wait {
    /// Until it is available.
    pub const FOREVER: Self = Self { max: None };

    /// A single attempt.
    pub const NONE: Self = Self { max: Some(Duration::ZERO) };
}

impl FromStr for Wait {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == FOREVER {
            return Ok(Self::FOREVER);
        }
        let seconds: u32 = text
            .parse()
            .map_err(|_| format!("`{text}` is neither a number of seconds, such as 30, nor `{FOREVER}`"))?;
        Ok(Self { max: Some(Duration::from_secs(seconds.into())) })
    }
}
