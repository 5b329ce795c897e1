//! How a core's thread takes its turns on a processor.

use rustix::process::getpriority_process;
use thread_priority::unix::{
    NormalThreadSchedulePolicy, ThreadSchedulePolicy, set_thread_priority_and_policy, thread_native_id,
};
use thread_priority::{Error, ThreadPriority, ThreadPriorityOsValue};

/// Has this thread wait for its turn on a processor and then work off all that has come meanwhile, instead of taking the
/// processor from another for each message: Linux's policy `SCHED_BATCH`, which needs no privilege; see `sched(7)`.
///
/// Under the usual policy a thread that wakes may interrupt the one that runs. A core would interrupt the recorder in the
/// midst of a batch to read one request, and where clients are on the same machine, those to answer one.
///
/// A process that was given another niceness than 0 is left as its operator wants it.
///
/// # Errors
/// If the system refuses; the thread then goes on under the usual policy.
pub(super) fn take_whole_turns() -> Result<(), Error> {
    if getpriority_process(None).map_err(|error| Error::OS(error.raw_os_error()))? != 0 {
        return Ok(());
    }
    // With this policy the crate means a niceness: 0, as it is.
    let niceness = ThreadPriority::Os(ThreadPriorityOsValue::default());
    let policy = ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Batch);
    set_thread_priority_and_policy(thread_native_id(), niceness, policy)
}

#[cfg(test)]
mod tests {
    use thread_priority::unix::thread_schedule_policy;

    use super::*;

    #[test]
    fn a_thread_takes_whole_turns_unless_its_operator_said_otherwise() {
        let then = || {
            take_whole_turns().unwrap();
            (getpriority_process(None).unwrap(), thread_schedule_policy().unwrap())
        };
        let (niceness, policy) = std::thread::spawn(then).join().unwrap();
        let expected =
            if niceness == 0 { NormalThreadSchedulePolicy::Batch } else { NormalThreadSchedulePolicy::Other };
        assert_eq!(policy, ThreadSchedulePolicy::Normal(expected));
    }
}
