//! The `Date` header of responses.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hyper::HeaderMap;
use hyper::header::{DATE, HeaderValue};
use jiff::fmt::rfc2822::DateTimePrinter;
use throng_domain::clock::Clock;

/// How often the date is formatted; its resolution is one second.
const REFRESH: Duration = Duration::from_millis(500);

/// The header in HTTP's format (RFC 9110, 6.6.1), formatted every [`REFRESH`] instead of for each response.
#[derive(Debug)]
pub(super) struct Date {
    clock: Arc<dyn Clock>,
    latest: Mutex<Formatted>,
}

/// The formatted date, in both forms in which it is sent.
#[derive(Debug)]
struct Formatted {
    line: String,
    value: Option<HeaderValue>,
}

impl Date {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        let latest = Mutex::new(Formatted::at(&*clock));
        Self { clock, latest }
    }

    /// Keeps the date current for as long as it is polled.
    pub(super) async fn keep(&self) {
        let mut tick = tokio::time::interval(REFRESH);
        loop {
            tick.tick().await;
            *self.latest.lock().unwrap_or_else(PoisonError::into_inner) = Formatted::at(&*self.clock);
        }
    }

    /// Appends the header line to a response's head.
    pub(super) fn write(&self, head: &mut Vec<u8>) {
        head.extend_from_slice(self.latest.lock().unwrap_or_else(PoisonError::into_inner).line.as_bytes());
    }

    /// Sets the header in a response that the HTTP library sends. The library would otherwise use its own clock, which stops
    /// when the system's clock is set back.
    pub(super) fn set(&self, headers: &mut HeaderMap) {
        if let Some(value) = &self.latest.lock().unwrap_or_else(PoisonError::into_inner).value {
            headers.insert(DATE, value.clone());
        }
    }
}

impl Formatted {
    /// Empty if HTTP's format can't represent the clock's year: a server without a clock sends no date.
    fn at(clock: &dyn Clock) -> Self {
        let now = jiff::Timestamp::from_millisecond(clock.now().0);
        let text = now.and_then(|now| DateTimePrinter::new().timestamp_to_rfc9110_string(&now));
        match text {
            Ok(text) => Self { line: format!("date: {text}\r\n"), value: HeaderValue::try_from(text).ok() },
            Err(_) => Self { line: String::new(), value: None },
        }
    }
}

#[cfg(test)]
mod tests {
    use throng_domain::clock::{ManualClock, Timestamp};

    use super::*;

    #[test]
    fn date_has_the_http_format() {
        let line = |at| {
            let mut head = Vec::new();
            Date::new(Arc::new(ManualClock::new(Timestamp(at)))).write(&mut head);
            String::from_utf8(head).unwrap()
        };
        assert_eq!(line(784_111_777_000), "date: Sun, 06 Nov 1994 08:49:37 GMT\r\n");
        assert_eq!(line(i64::MAX), "");
    }
}
