//! How a core's thread takes its turns on a processor.

use rustix::process::getpriority_process;
use thread_priority::unix::{
    NormalThreadSchedulePolicy, ThreadSchedulePolicy, set_thread_priority_and_policy, thread_native_id,
    thread_schedule_policy,
};
use thread_priority::{Error, ThreadPriority, ThreadPriorityOsValue};

/// The policy of threads of which nobody said anything.
const USUAL: ThreadSchedulePolicy = ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Other);

/// Has this thread wait for its turn on a processor and then work off all that has come meanwhile, instead of taking the
/// processor from another for each message: Linux's policy `SCHED_BATCH`, which needs no privilege; see `sched(7)`.
///
/// Under the usual policy a thread that wakes may interrupt the one that runs. A core would interrupt the recorder in the
/// midst of a batch to read one request, and where clients are on the same machine, those to answer one.
///
/// A process that was given another policy than the usual one, or another niceness than 0, is left as its operator wants
/// it.
///
/// # Errors
/// If the system refuses; the thread then goes on as before.
pub(super) fn take_whole_turns() -> Result<(), Error> {
    let niceness = getpriority_process(None).map_err(|error| Error::OS(error.raw_os_error()))?;
    if (niceness, thread_schedule_policy()?) != (0, USUAL) {
        return Ok(());
    }
    // With this policy the crate means a niceness: 0, as it is.
    let niceness = ThreadPriority::Os(ThreadPriorityOsValue::default());
    let policy = ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Batch);
    set_thread_priority_and_policy(thread_native_id(), niceness, policy)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_takes_whole_turns_unless_its_operator_said_otherwise() {
        let policies = || {
            let before = thread_schedule_policy().unwrap();
            let taken = take_whole_turns();
            (getpriority_process(None).unwrap(), before, taken, thread_schedule_policy().unwrap())
        };
        let (niceness, before, taken, after) = std::thread::spawn(policies).join().unwrap();
        let batch = ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Batch);
        // Some sandboxes know no other policy.
        let expected = if taken.is_ok() && (niceness, before) == (0, USUAL) { batch } else { before };
        assert_eq!(after, expected, "{taken:?}");
    }
}
