//! A time as an operator gives it.

use std::borrow::Cow;
use std::str::FromStr;

use jiff::{Span, SpanRelativeTo};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use throng_domain::clock::Timestamp;

/// The longest relative time, in milliseconds: 100 years. More is a typing error.
const DELAY_MAX_MS: i64 = 100 * 365 * 24 * 3_600 * 1_000;

/// `now`, an absolute time, or a delay after another time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum TimeArg {
    /// `now`.
    Now,
    /// `2026-07-01T20:00:00+02:00`, or `2026-07-01T20:00[Europe/Paris]`.
    At(Timestamp),
    /// `+2h`.
    After {
        /// The delay, in milliseconds.
        delay_ms: i64,
    },
}

impl TimeArg {
    /// The time meant; a delay counts from `start`.
    pub fn resolve(self, now: Timestamp, start: Timestamp) -> Timestamp {
        match self {
            Self::Now => now,
            Self::At(at) => at,
            Self::After { delay_ms } => start.plus_ms(delay_ms),
        }
    }
}

/// The forms that a program may rely on; a time with the name of its zone, and a delay of several units, are accepted too.
impl JsonSchema for TimeArg {
    fn schema_name() -> Cow<'static, str> {
        "TimeArg".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "`now`, a time in RFC 3339 format, or a delay such as `+90m`, `+2h` or `+3d`.",
            "anyOf": [
                { "type": "string", "const": "now" },
                { "type": "string", "format": "date-time" },
                { "type": "string", "pattern": r"^\+[1-9][0-9]{0,3}[mhd]$" },
            ],
        })
    }
}

impl TryFrom<String> for TimeArg {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl FromStr for TimeArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "now" {
            return Ok(Self::Now);
        }
        if let Some(delay) = text.strip_prefix('+') {
            return parse_delay(delay).map(|delay_ms| Self::After { delay_ms });
        }
        if text.strip_prefix('-').is_some_and(|rest| rest.starts_with(|first: char| first.is_ascii_digit())) {
            return Err("a while counts forwards, such as +2h; what is past stays as it was".to_owned());
        }
        if let Some((time, zone)) = split_zone(text) {
            return parse_in_zone(time, zone).map(Self::At);
        }
        if let Ok(at) = text.parse::<jiff::Timestamp>() {
            return Ok(Self::At(Timestamp(at.as_millisecond())));
        }
        if text.parse::<jiff::civil::Date>().is_ok() && !text.contains([':', 'T', 't', ' ']) {
            return Err(format!(
                "give a time of day and a time zone, such as {text}T20:00:00Z or {text}T20:00:00+02:00"
            ));
        }
        match text.parse::<jiff::civil::DateTime>() {
            Ok(time) => Err(format!("give a time zone, such as {time}Z, {time}+02:00 or {time}[Europe/Paris]")),
            Err(_) => Err("write `now`, a time such as 2026-07-01T20:00:00Z, or a delay such as +2h".to_owned()),
        }
    }
}

/// The time and the name of its zone, in `2026-07-01T20:00[Europe/Paris]` and `2026-07-01 20:00 Europe/Paris`.
fn split_zone(text: &str) -> Option<(&str, &str)> {
    if let Some((time, zone)) = text.strip_suffix(']').and_then(|text| text.split_once('[')) {
        return Some((time.trim_end(), zone));
    }
    text.rsplit_once(' ').filter(|(_, zone)| zone.starts_with(|first: char| first.is_ascii_alphabetic()))
}

/// A local time in a zone. If it has an offset as well as the zone's name, both must agree.
fn parse_in_zone(time: &str, zone: &str) -> Result<Timestamp, String> {
    let known = jiff::tz::TimeZone::get(zone).map_err(|_| {
        format!("`{zone}` is not a time zone's name, such as Europe/Paris; or write an offset such as +02:00")
    })?;
    if time.parse::<jiff::Timestamp>().is_ok() {
        let both: jiff::ZonedDateTime = format!("{time}[{zone}]")
            .parse()
            .map_err(|_| format!("{zone} has another offset at that time; write the offset or the name, not both"))?;
        return Ok(Timestamp(both.timestamp().as_millisecond()));
    }
    let time: jiff::civil::DateTime =
        time.parse().map_err(|_| format!("write a date and a time, such as 2026-07-01T20:00:00[{zone}]"))?;
    let at = known.to_ambiguous_zoned_datetime(time).unambiguous().map_err(|_| {
        format!(
            "the clocks of {zone} change then, so {time} occurs twice or not at all; write an offset such as +02:00"
        )
    })?;
    Ok(Timestamp(at.timestamp().as_millisecond()))
}

fn parse_delay(text: &str) -> Result<i64, String> {
    let span: Span = text.parse().map_err(|_| "write a delay such as +90m, +2h or +3d".to_owned())?;
    let duration = span
        .to_duration(SpanRelativeTo::days_are_24_hours())
        .map_err(|_| "months and years differ in length; use weeks, days or hours".to_owned())?;
    match i64::try_from(duration.as_millis()) {
        Ok(delay_ms @ 1..=DELAY_MAX_MS) => Ok(delay_ms),
        Ok(_) | Err(_) => Err("a delay must be longer than zero and at most 100 years".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_800_000_000_000);
    const START: Timestamp = Timestamp(1_900_000_000_000);

    fn resolve(text: &str) -> Result<i64, String> {
        text.parse::<TimeArg>().map(|time| time.resolve(NOW, START).0)
    }

    #[test]
    fn time_is_now_absolute_or_relative() {
        assert_eq!(resolve("now"), Ok(NOW.0));
        assert_eq!(resolve("2027-01-15T08:00:00Z"), Ok(1_800_000_000_000));
        assert_eq!(resolve("2027-01-15T10:00:00+02:00"), Ok(1_800_000_000_000));
        for (text, minutes) in [("+90m", 90), ("+2h", 120), ("+1h30m", 90), ("+1d", 1_440), ("+1w", 10_080)] {
            assert_eq!(resolve(text), Ok(START.0 + minutes * 60_000), "{text}");
        }
    }

    #[test]
    fn time_may_name_its_zone() {
        for text in [
            "2027-01-15T09:00[Europe/Paris]",
            "2027-01-15T09:00:00[Europe/Paris]",
            "2027-01-15T09:00:00+01:00[Europe/Paris]",
            "2027-01-15 09:00 Europe/Paris",
            "2027-01-15 03:00 America/New_York",
            "2027-01-15 08:00 UTC",
        ] {
            assert_eq!(resolve(text), Ok(1_800_000_000_000), "{text}");
        }
        for (text, expected) in [
            ("2027-03-28T02:30[Europe/Paris]", "twice or not at all"),
            ("2026-10-25 02:30 Europe/Paris", "twice or not at all"),
            ("2027-01-15T09:00:00+05:00[Europe/Paris]", "another offset"),
            ("2027-01-15T09:00[Europe/Pariss]", "`Europe/Pariss` is not a time zone"),
            ("tomorrow Europe/Paris", "2026-07-01T20:00:00[Europe/Paris]"),
        ] {
            let error = resolve(text).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }

    /// The times and delays that a text gives as examples.
    fn examples(text: &str) -> Vec<&str> {
        let words = text.split([' ', ',', ';']).map(|word| word.trim_matches('`').trim_end_matches('.'));
        let is_offset = |word: &str| word.len() == 6 && word.contains(':');
        let is_time = |word: &&str| word.contains('T') && word.starts_with(|first: char| first.is_ascii_digit());
        let is_delay = |word: &&str| word.starts_with('+') && !is_offset(word);
        words.filter(|word| is_time(word) || is_delay(word)).collect()
    }

    #[test]
    fn examples_in_errors_are_valid() {
        let mut count = 0;
        for text in [
            "2027-01-15T08:00:00",
            "2027-01-15 08:00",
            "2027-01-15",
            "2027-01-15t08:00",
            "20270115T080000",
            "2027-01-15T08:00[Nowhere]",
            "tomorrow",
            "tomorrow Europe/Paris",
            "2h",
            "-2h",
            "+",
            "+1mo",
        ] {
            let error = resolve(text).unwrap_err();
            for example in examples(&error) {
                assert!(resolve(example).is_ok(), "{text}: {error}: {example}: {:?}", resolve(example));
                count += 1;
            }
        }
        assert!(count > 12, "examples are found: {count}");
    }

    #[test]
    fn error_shows_how_to_write_a_time() {
        for (text, expected) in [
            ("2027-01-15T08:00:00", "time zone"),
            ("2027-01-15 08:00", "time zone"),
            ("tomorrow", "write `now`"),
            ("", "write `now`"),
            ("2h", "+2h"),
            ("1800000000", "write `now`"),
            ("+", "+2h"),
            ("+0s", "longer than zero"),
            ("+-2h", "longer than zero"),
            ("+2", "+2h"),
            ("+1mo", "months"),
            ("+999999d", "100 years"),
            ("+99999999999999999999h", "+2h"),
        ] {
            let error = resolve(text).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
