//! The date in an answer's head.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hyper::HeaderMap;
use hyper::header::{DATE, HeaderValue};
use jiff::fmt::rfc2822::DateTimePrinter;
use throng_domain::clock::Clock;

/// How often the date is written anew: it tells seconds.
const REFRESH: Duration = Duration::from_millis(500);

/// The header as HTTP wants it (RFC 9110, 6.6.1), written now and then instead of for each answer.
#[derive(Debug)]
pub(super) struct Date {
    clock: Arc<dyn Clock>,
    latest: Mutex<Written>,
}

/// The date, written in both forms in which it is sent.
#[derive(Debug)]
struct Written {
    line: String,
    value: Option<HeaderValue>,
}

impl Date {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        let latest = Mutex::new(Written::at(&*clock));
        Self { clock, latest }
    }

    /// Keeps the date current for as long as it is polled.
    pub(super) async fn keep(&self) {
        let mut tick = tokio::time::interval(REFRESH);
        loop {
            tick.tick().await;
            *self.latest.lock().unwrap_or_else(PoisonError::into_inner) = Written::at(&*self.clock);
        }
    }

    /// Adds the line to an answer's head.
    pub(super) fn write(&self, head: &mut Vec<u8>) {
        head.extend_from_slice(self.latest.lock().unwrap_or_else(PoisonError::into_inner).line.as_bytes());
    }

    /// Sets the header in an answer of the HTTP library, which would take the date from a clock of its own: that one stands
    /// still once the system's clock is set back.
    pub(super) fn set(&self, headers: &mut HeaderMap) {
        if let Some(value) = &self.latest.lock().unwrap_or_else(PoisonError::into_inner).value {
            headers.insert(DATE, value.clone());
        }
    }
}

impl Written {
    /// Empty where the clock shows no year that HTTP can write: a server without a clock sends no date.
    fn at(clock: &dyn Clock) -> Self {
        let moment = jiff::Timestamp::from_millisecond(clock.now().0);
        let text = moment.and_then(|moment| DateTimePrinter::new().timestamp_to_rfc9110_string(&moment));
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
    fn the_date_is_as_http_writes_it() {
        let written = |at| {
            let mut head = Vec::new();
            Date::new(Arc::new(ManualClock::new(Timestamp(at)))).write(&mut head);
            String::from_utf8(head).unwrap()
        };
        assert_eq!(written(784_111_777_000), "date: Sun, 06 Nov 1994 08:49:37 GMT\r\n");
        assert_eq!(written(i64::MAX), "");
    }
}
