//! The settings in effect, for finding mistakes in them: each with its source, without secrets.

use std::str::FromStr;

use serde::Serialize;
use throng_backends::cache::CacheUrl;
use throng_backends::queue::QueueUrl;
use throng_backends::store::DatabaseUrl;

use super::{SETTINGS, Setting, Sources, token_keys};

/// Placeholder for a value that is set and isn't shown.
const HIDDEN: &str = "(not shown)";

/// A setting in effect.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Shown {
    /// Its name.
    pub name: &'static str,
    /// Its value, without passwords; if it isn't set, a description of the default.
    pub value: String,
    /// Description of its source.
    pub from: String,
}

/// Every setting, in the order of [`SETTINGS`]. An invalid value is shown too, unless it may contain a password.
pub fn show(sources: &Sources) -> Vec<Shown> {
    let shown =
        |Setting { name, default, .. }: &Setting| match sources.get(name).filter(|found| !found.value.is_empty()) {
            Some(found) => Shown { name, value: redacted(name, &found.value), from: found.from.clone() },
            None => Shown { name, value: (*default).to_owned(), from: "default".to_owned() },
        };
    SETTINGS.iter().map(shown).collect()
}

fn redacted(name: &str, value: &str) -> String {
    match name {
        "DATABASE_URL" => parsed::<DatabaseUrl>(value),
        "QUEUE_URL" => parsed::<QueueUrl>(value),
        "CACHE_URL" => parsed::<CacheUrl>(value),
        "APP_SECRET" => HIDDEN.to_owned(),
        "VOTER_KEYS" if token_keys::is_key(value) => HIDDEN.to_owned(),
        _ if value.contains('@') => HIDDEN.to_owned(),
        _ => value.to_owned(),
    }
}

/// A URL without its password; [`HIDDEN`] if it is invalid.
fn parsed<T: FromStr + ToString>(value: &str) -> String {
    value.parse::<T>().map_or_else(|_| HIDDEN.to_owned(), |url| url.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_secret_is_shown() {
        let settings = [
            ("DATABASE_URL", "postgres://ann:hunter2@db/votes"),
            ("QUEUE_URL", "amqp://ann:hunter2@"),
            ("CACHE_URL", "memcached://cache"),
            ("APP_SECRET", "hunter2hunter2hunter2hunter2hunter2"),
            ("OTLP_ENDPOINT", "http://ann:hunter2@collector"),
            ("VOTER_KEYS", r#"{"keys":[{"kty":"oct","k":"hunter2"}]}"#),
            ("LOG", "debug"),
        ];
        let shown = show(&Sources::from_pairs(&settings));
        assert!(!format!("{shown:?}").contains("hunter2"), "{shown:?}");
        let value = |name: &str| shown.iter().find(|shown| shown.name == name).unwrap().value.as_str();
        assert_eq!(value("DATABASE_URL"), "postgres://ann@db:5432/votes");
        assert_eq!((value("CACHE_URL"), value("LOG")), ("memcached://cache:11211", "debug"));
        assert_eq!(value("LISTEN"), "127.0.0.1:8080");
        assert_eq!(shown.len(), SETTINGS.len());
    }
}
