//! How long a start waits for a database or a broker that is away.

use std::str::FromStr;
use std::time::Duration;

/// What is written for a wait without an end.
const FOREVER: &str = "forever";

/// How long to wait for what is away and may come back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wait {
    /// At most so long; `None` without an end.
    pub max: Option<Duration>,
}

impl Wait {
    /// Until it is there.
    pub const FOREVER: Self = Self { max: None };

    /// One attempt, and no more.
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
