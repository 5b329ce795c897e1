//! Jobs side by side.

use std::sync::{Mutex, PoisonError};
use std::thread;

/// Does all `jobs`, each in a lane that is free, so that as many go at once as there are `lanes`. The results are in the
/// order of the jobs; a job that panics has the caller panic once the others have ended.
pub fn share<L: Sync, J: Send, R: Send>(lanes: &[L], jobs: Vec<J>, work: impl Fn(&L, J) -> R + Sync) -> Vec<R> {
    let left = Mutex::new(jobs.into_iter().enumerate());
    let next = || left.lock().unwrap_or_else(PoisonError::into_inner).next();
    let drive = |lane| std::iter::from_fn(next).map(|(number, job)| (number, work(lane, job))).collect::<Vec<_>>();
    let mut done = thread::scope(|scope| {
        let driving: Vec<_> = lanes.iter().map(|lane| scope.spawn(|| drive(lane))).collect();
        driving
            .into_iter()
            .flat_map(|lane| lane.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect::<Vec<_>>()
    });
    done.sort_by_key(|(number, _)| *number);
    done.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_job_is_done_once_and_lanes_work_at_once() {
        // Each job waits for the other lane's: alone, none would end.
        let both = std::sync::Barrier::new(2);
        let results = share(&["a", "b"], vec![1, 2, 3, 4], |_, job| {
            both.wait();
            job * 10
        });
        assert_eq!(results, [10, 20, 30, 40]);
    }
}
