//! Runs jobs in parallel.

use std::sync::{Mutex, PoisonError};
use std::thread;

/// Runs all `jobs`, each with a free one of the `slots`, so that as many run at once as there are slots. The results are in the
/// order of the jobs; if a job panics, the caller panics once the others have ended.
pub fn run_parallel<P: Sync, J: Send, R: Send>(slots: &[P], jobs: Vec<J>, work: impl Fn(&P, J) -> R + Sync) -> Vec<R> {
    let left = Mutex::new(jobs.into_iter().enumerate());
    let next = || left.lock().unwrap_or_else(PoisonError::into_inner).next();
    let run_jobs = |slot| std::iter::from_fn(next).map(|(number, job)| (number, work(slot, job))).collect::<Vec<_>>();
    let mut done = thread::scope(|scope| {
        let workers: Vec<_> = slots.iter().map(|slot| scope.spawn(|| run_jobs(slot))).collect();
        workers
            .into_iter()
            .flat_map(|worker| worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect::<Vec<_>>()
    });
    done.sort_by_key(|(number, _)| *number);
    done.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jobs_run_once_each_and_in_parallel() {
        // Each job waits for one in the other slot: if they ran one at a time, none would end.
        let both = std::sync::Barrier::new(2);
        let results = run_parallel(&["a", "b"], vec![1, 2, 3, 4], |_, job| {
            both.wait();
            job * 10
        });
        assert_eq!(results, [10, 20, 30, 40]);
    }
}
