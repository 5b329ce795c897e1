//! Which connections the broker takes nothing on for now, for want of memory or disk.
//!
//! It says so on a connection, and only once something is published there. But it means all of them, so what one hears holds
//! for every one.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What a node's connections have heard.
#[derive(Debug, Default)]
pub(super) struct Alarms(Mutex<Heard>);

#[derive(Debug, Default)]
struct Heard {
    connections: u64,
    /// The broker's words on each connection on which it takes nothing.
    raised: BTreeMap<u64, String>,
}

/// One connection's part in it, which ends with the connection.
#[derive(Debug)]
pub(super) struct Alarm {
    alarms: Arc<Alarms>,
    connection: u64,
}

impl Alarms {
    /// Another connection's.
    pub(super) fn of_connection(self: &Arc<Self>) -> Alarm {
        let mut heard = self.heard();
        heard.connections += 1;
        Alarm { alarms: Arc::clone(self), connection: heard.connections }
    }

    /// The broker's words, if it takes nothing for now.
    pub(super) fn words(&self) -> Option<String> {
        self.heard().raised.values().next().cloned()
    }

    fn heard(&self) -> MutexGuard<'_, Heard> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Alarm {
    pub(super) fn raise(&self, words: String) {
        self.alarms.heard().raised.insert(self.connection, words);
    }

    pub(super) fn clear(&self) {
        self.alarms.heard().raised.remove(&self.connection);
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        self.clear();
    }
}
