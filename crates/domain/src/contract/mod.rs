//! What every store, and every [`cache`], must do, as tests: a backend opts in with one line.
//!
//! ```text
//! throng_domain::store_contract!(|directory| async move { ((), MyStore::open(directory).await) });
//! ```
//!
//! The maker is called with an empty directory of the test's own. It gives a store with its schema in place, and before it what
//! must outlive the store, such as a database that goes when it is dropped.

pub mod cache;
mod counting;
mod polls;
mod rounds;
pub mod support;

pub use counting::*;
pub use polls::*;
pub use rounds::*;

/// Makes a `#[tokio::test]` of every behaviour in the suite, each on a store of its own.
#[macro_export]
macro_rules! store_contract {
    ($maker:expr) => {
        $crate::store_contract!($maker;
            a_ballot_is_counted_and_kept
            a_ballot_sent_again_counts_once
            a_ballot_twice_in_a_batch_counts_once
            an_id_with_other_choices_is_refused
            a_key_held_by_another_ballot_is_refused
            a_batch_may_hold_several_polls
            time_is_judged_by_arrival
            a_ballot_for_no_poll_changes_nothing
            any_grouping_and_redelivery_counts_the_same
            parallel_batches_count_exactly
            the_version_grows_only_with_a_change
            a_recount_agrees_with_the_tallies
            ballots_come_in_pages
            a_poll_is_stored_as_it_was_made
            a_taken_slug_is_a_conflict
            a_poll_that_breaks_a_rule_is_rejected
            a_window_is_set_only_on_the_version_seen
            the_polls_version_grows_with_every_change
            a_close_comes_after_all_that_was_recorded
            a_close_that_was_missed_is_a_conflict
            a_mark_stands_until_the_window_is_set
            a_mark_is_set_only_on_the_version_seen
            a_final_poll_takes_no_ballot
            rounds_are_numbered_and_have_a_moment
            rounds_begun_at_once_have_numbers_of_their_own
            a_round_that_was_begun_just_now_is_the_last
            an_answer_to_a_round_that_has_not_begun_is_not_stored
            queues_are_noted_once
            a_lines_last_answer_is_kept
            old_answers_are_forgotten
        );
    };
    ($maker:expr; $($behaviour:ident)+) => {
        $(
            #[tokio::test]
            async fn $behaviour() {
                let directory = tempfile::tempdir().expect("a temporary directory can be made");
                let (_place, store) = ($maker)(directory.path().to_owned()).await;
                $crate::contract::$behaviour(&store).await;
            }
        )+
    };
}
