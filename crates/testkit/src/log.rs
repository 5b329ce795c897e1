//! What this test's process logs.

use std::io;
use std::sync::{Mutex, Once, PoisonError};

use serde_json::Value;
use tracing_subscriber::EnvFilter;

use crate::wait::eventually;

static STARTED: Once = Once::new();
static LINES: Mutex<Vec<Value>> = Mutex::new(Vec::new());

/// From now on, keeps what is logged: failures and every request.
pub fn keep() {
    STARTED.call_once(|| {
        let log = tracing_subscriber::fmt().json().flatten_event(true).with_writer(Line::default);
        log.with_env_filter(EnvFilter::new("info,throng::request=debug")).init();
    });
}

/// The line that has all these values; waits for it.
#[track_caller]
pub fn line(values: &[(&str, Value)]) -> Value {
    eventually(&format!("a line with {values:?}"), || lines(values).into_iter().next())
}

/// The lines up to now that have all these values.
pub fn lines(values: &[(&str, Value)]) -> Vec<Value> {
    let lines = LINES.lock().unwrap_or_else(PoisonError::into_inner);
    lines.iter().filter(|line| values.iter().all(|(name, value)| line[name] == *value)).cloned().collect()
}

/// A line that is being written.
#[derive(Default)]
struct Line(Vec<u8>);

impl io::Write for Line {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        if let Ok(line) = serde_json::from_slice(&self.0) {
            LINES.lock().unwrap_or_else(PoisonError::into_inner).push(line);
        }
    }
}
