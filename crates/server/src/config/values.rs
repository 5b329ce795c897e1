//! The values of settings, parsed from text.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::str::FromStr;
use std::time::Duration;

use crate::net::IdleTimeouts;

/// Development or production.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AppEnv {
    /// Development: a demo poll, readable logs.
    Dev,
    /// Production: JSON logs, no demo poll, no default origins.
    Prod,
}

impl FromStr for AppEnv {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "dev" => Ok(Self::Dev),
            "prod" => Ok(Self::Prod),
            other => Err(format!("`{other}` is neither `dev` nor `prod`")),
        }
    }
}

/// The prefix of the names of a broker's queues: 1 to 64 letters, digits and dashes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueuePrefix(pub String);

impl FromStr for QueuePrefix {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        if plain && text.len() <= 64 {
            Ok(Self(text.to_owned()))
        } else {
            Err("use up to 64 letters, digits and dashes, such as song-contest".to_owned())
        }
    }
}

/// An address and port to serve on.
pub(super) struct Address(pub(super) SocketAddr);

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let what = "is not an address and port, such as 127.0.0.1:8080, or 0.0.0.0:8080 for all networks";
        text.parse().map(Self).map_err(|_| format!("`{text}` {what}"))
    }
}

/// A port to serve on.
pub(super) struct Port(pub(super) u16);

impl FromStr for Port {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.parse().map(Self).map_err(|_| format!("`{text}` is not a port: a number from 1 to 65535, such as 8080"))
    }
}

/// Whole seconds, stored as milliseconds.
pub(super) struct Seconds(pub(super) u64);

impl FromStr for Seconds {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let seconds: u32 = text.parse().map_err(|_| format!("`{text}` is not a number of seconds, such as 5"))?;
        Ok(Self(u64::from(seconds) * 1_000))
    }
}

/// Whole seconds, one or more.
pub(super) struct IdleTimeout(pub(super) IdleTimeouts);

impl FromStr for IdleTimeout {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.parse::<Seconds>()? {
            Seconds(0) => Err("every connection would be closed at once; set 1 or more seconds".to_owned()),
            Seconds(ms) => Ok(Self(IdleTimeouts::all(Duration::from_millis(ms)))),
        }
    }
}

/// The most votes per minute of a network in a poll; 0 for no limit.
pub(super) struct VotesPerNetwork(pub(super) Option<NonZeroU32>);

impl FromStr for VotesPerNetwork {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let votes =
            text.parse().map_err(|_| format!("`{text}` is not a number of votes a minute, such as 600, or 0"))?;
        Ok(Self(NonZeroU32::new(votes)))
    }
}

/// What is logged: a filter of levels and parts of the program.
pub(super) struct LogFilter(pub(super) String);

impl FromStr for LogFilter {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // A single word that isn't a level would be parsed as the name of a part: everything of it would be logged, and nothing
        // of Throng's.
        let is_typo = |part: &str| {
            let is_level = part.parse::<tracing_subscriber::filter::LevelFilter>().is_ok();
            !is_level && !part.contains(['=', ':', '[']) && part != "throng"
        };
        if let Some(part) = text.split(',').map(str::trim).find(|part| is_typo(part)) {
            return Err(format!("`{part}` is neither a level (error, warn, info, debug, trace, off) nor PART=LEVEL"));
        }
        match tracing_subscriber::EnvFilter::try_new(text) {
            Ok(_) => Ok(Self(text.to_owned())),
            Err(error) => Err(format!("`{text}` is not a filter such as info or throng=debug: {error}")),
        }
    }
}
