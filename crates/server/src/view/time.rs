//! Times.

use std::borrow::Cow;

use jiff::Timestamp as JiffTimestamp;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Serializer;
use throng_domain::clock::Timestamp;

/// The schema of what [`rfc3339_text`] writes.
pub struct Rfc3339;

impl JsonSchema for Rfc3339 {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Time".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "date-time" })
    }
}

/// A time in RFC 3339 format, in UTC, to the millisecond.
pub fn rfc3339_text(at: Timestamp) -> String {
    // A time after the year 9999 has no such form; the last one that has it also means "never".
    let time = JiffTimestamp::from_millisecond(at.0).unwrap_or(JiffTimestamp::MAX);
    format!("{time:.3}")
}

/// Serializes a time in RFC 3339 format.
pub(super) fn rfc3339<S: Serializer>(at: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&rfc3339_text(*at))
}

/// Serializes a time in RFC 3339 format, if there is one.
pub(super) fn rfc3339_or_null<S: Serializer>(at: &Option<Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_some(&at.map(rfc3339_text))
}
