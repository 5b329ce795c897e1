//! Jobs side by side.

use std::sync::{Mutex, PoisonError};
use std::thread;

/// Does all `jobs`, each at a place that is free, so that as many go at once as there are `places`. The results are in the
/// order of the jobs; a job that panics has the caller panic once the others have ended.
pub fn share<P: Sync, J: Send, R: Send>(places: &[P], jobs: Vec<J>, work: impl Fn(&P, J) -> R + Sync) -> Vec<R> {
    let left = Mutex::new(jobs.into_iter().enumerate());
    let next = || left.lock().unwrap_or_else(PoisonError::into_inner).next();
    let take_turns =
        |place| std::iter::from_fn(next).map(|(number, job)| (number, work(place, job))).collect::<Vec<_>>();
    let mut done = thread::scope(|scope| {
        let working: Vec<_> = places.iter().map(|place| scope.spawn(|| take_turns(place))).collect();
        working
            .into_iter()
            .flat_map(|place| place.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect::<Vec<_>>()
    });
    done.sort_by_key(|(number, _)| *number);
    done.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_job_is_done_once_and_several_go_at_once() {
        // Each job waits for the other place's: alone, none would end.
        let both = std::sync::Barrier::new(2);
        let results = share(&["a", "b"], vec![1, 2, 3, 4], |_, job| {
            both.wait();
            job * 10
        });
        assert_eq!(results, [10, 20, 30, 40]);
    }
}
