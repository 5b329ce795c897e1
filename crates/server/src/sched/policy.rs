//! The scheduling policy of a core's thread.

use rustix::process::getpriority_process;
use thread_priority::unix::{
    NormalThreadSchedulePolicy, ThreadSchedulePolicy, set_thread_priority_and_policy, thread_native_id,
    thread_schedule_policy,
};
use thread_priority::{Error, ThreadPriority, ThreadPriorityOsValue};

/// The default policy of a thread.
const DEFAULT: ThreadSchedulePolicy = ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Other);

/// Sets Linux's policy `SCHED_BATCH` for this thread, which needs no privilege (see `sched(7)`): when it becomes runnable, it
/// doesn't preempt the running thread, and then handles all pending events together.
///
/// Under the default policy a core would preempt the recorder in the middle of a batch to read a single request, and clients on
/// the same machine to respond to one.
///
/// A process with another policy or another niceness than the default keeps it: its operator chose it.
///
/// # Errors
/// If the system refuses; nothing has changed then.
pub fn use_batch_policy() -> Result<(), Error> {
    let niceness = getpriority_process(None).map_err(|error| Error::OS(error.raw_os_error()))?;
    if (niceness, thread_schedule_policy()?) != (0, DEFAULT) {
        return Ok(());
    }
    // With this policy the value is a niceness: 0, as before.
    let niceness = ThreadPriority::Os(ThreadPriorityOsValue::default());
    let policy = ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Batch);
    set_thread_priority_and_policy(thread_native_id(), niceness, policy)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batch_policy_is_set_unless_the_operator_chose_another() {
        let policies = || {
            let before = thread_schedule_policy().unwrap();
            let result = use_batch_policy();
            (getpriority_process(None).unwrap(), before, result, thread_schedule_policy().unwrap())
        };
        let (niceness, before, result, after) = std::thread::spawn(policies).join().unwrap();
        let batch = ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Batch);
        // Some sandboxes support no other policy.
        let expected = if result.is_ok() && (niceness, before) == (0, DEFAULT) { batch } else { before };
        assert_eq!(after, expected, "{result:?}");
    }
}
