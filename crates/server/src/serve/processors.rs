//! Which processor a core's thread stays on.

use rustix::io;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// A processor for each of `cores` threads, if this process may use just as many; with fewer or more than threads,
/// `None`: Linux then spreads them better.
///
/// Left to itself, Linux often leaves one processor idle while threads wait for another. It moves none that ran within the
/// last half millisecond (`sched_migration_cost_ns`), and cores run that often.
pub(super) fn one_each(cores: usize) -> Option<Vec<usize>> {
    // More processors than fit in a set are an error, and shared out by Linux.
    let usable = sched_getaffinity(None).ok()?;
    let processors: Vec<_> = (0..CpuSet::MAX_CPU).filter(|processor| usable.is_set(*processor)).collect();
    (processors.len() == cores).then_some(processors)
}

/// Has this thread run on `processor` only, and those that it starts.
///
/// # Errors
/// If the system refuses; the thread then goes on as before.
pub(super) fn stay_on(processor: usize) -> io::Result<()> {
    let mut only = CpuSet::new();
    only.set(processor);
    sched_setaffinity(None, &only)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_get_a_processor_each_when_there_are_as_many() {
        let processors = std::thread::spawn(|| {
            let usable = sched_getaffinity(None).unwrap().count() as usize;
            assert_eq!(one_each(usable + 1), None);
            let processors = one_each(usable).unwrap();
            assert_eq!(processors.len(), usable);
            stay_on(*processors.last().unwrap()).unwrap();
            // What this thread may use has become less: one.
            assert_eq!(one_each(usable), (usable == 1).then(|| processors.clone()));
            assert_eq!(one_each(1), Some(vec![*processors.last().unwrap()]));
            processors
        });
        processors.join().unwrap();
    }
}
