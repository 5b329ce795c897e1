//! Pins a core's thread to a processor.

use rustix::io;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// A processor for each of `cores` threads, if this process may use exactly as many; `None` if it may use fewer or more: Linux
/// then distributes the threads better.
///
/// Without pinning, Linux often leaves one processor idle while threads wait for another. It doesn't migrate a thread that ran
/// within the last half millisecond (`sched_migration_cost_ns`), and core threads run that often.
pub fn one_per_core(cores: usize) -> Option<Vec<usize>> {
    // More processors than fit in a set are an error; Linux then distributes the threads.
    let usable = sched_getaffinity(None).ok()?;
    let processors: Vec<_> = (0..CpuSet::MAX_CPU).filter(|processor| usable.is_set(*processor)).collect();
    (processors.len() == cores).then_some(processors)
}

/// Pins this thread, and the threads that it starts, to `processor`.
///
/// # Errors
/// If the system refuses; nothing has changed then.
pub fn pin_to(processor: usize) -> io::Result<()> {
    let mut only = CpuSet::new();
    only.set(processor);
    sched_setaffinity(None, &only)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_threads_as_processors_get_one_each() {
        let processors = std::thread::spawn(|| {
            let usable = sched_getaffinity(None).unwrap().count() as usize;
            assert_eq!(one_per_core(usable + 1), None);
            let processors = one_per_core(usable).unwrap();
            assert_eq!(processors.len(), usable);
            pin_to(*processors.last().unwrap()).unwrap();
            // This thread may now use one processor only.
            assert_eq!(one_per_core(usable), (usable == 1).then(|| processors.clone()));
            assert_eq!(one_per_core(1), Some(vec![*processors.last().unwrap()]));
            processors
        });
        processors.join().unwrap();
    }
}
