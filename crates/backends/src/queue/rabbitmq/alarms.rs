//! Resource alarms of the broker: the connections on which it accepts no messages, for lack of memory or disk space.
//!
//! The broker reports an alarm on a connection only after something is published there. But an alarm concerns all
//! connections, so that a report on one of them is taken to hold for every one.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The alarms reported on a node's connections.
#[derive(Debug, Default)]
pub(super) struct Alarms(Mutex<AlarmState>);

#[derive(Debug, Default)]
struct AlarmState {
    /// The connections so far; the last one's number.
    connections: u64,
    /// The reasons that the broker gave, by the number of the blocked connection.
    raised: BTreeMap<u64, String>,
}

/// The alarm of one connection, cleared when dropped.
#[derive(Debug)]
pub(super) struct Alarm {
    alarms: Arc<Alarms>,
    connection: u64,
}

impl Alarms {
    /// The alarm of a new connection, not raised.
    pub(super) fn of_connection(self: &Arc<Self>) -> Alarm {
        let mut state = self.state();
        state.connections += 1;
        Alarm { alarms: Arc::clone(self), connection: state.connections }
    }

    /// The broker's reason, if an alarm is raised on any connection.
    pub(super) fn reason(&self) -> Option<String> {
        self.state().raised.values().next().cloned()
    }

    fn state(&self) -> MutexGuard<'_, AlarmState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Alarm {
    pub(super) fn raise(&self, reason: String) {
        self.alarms.state().raised.insert(self.connection, reason);
    }

    pub(super) fn clear(&self) {
        self.alarms.state().raised.remove(&self.connection);
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        self.clear();
    }
}
