//! What every store, and every [`cache`], must do, as tests: a backend opts in with one line.
//!
//! ```text
//! throng_domain::store_contract!(|directory| async move { ((), MyStore::open(directory).await) });
//! ```
//!
//! The maker is called with an empty directory of the test's own. It returns a store with its schema applied and,
//! before it, what must outlive the store, such as a database that is removed when it is dropped.

mod admin_tokens;
pub mod cache;
mod changes;
mod codes;
mod counting;
mod edits;
mod imports;
mod life;
mod polls;
mod rankings;
mod rounds;
mod shows;
pub mod support;
mod voids;
mod voters;
mod webhooks;

pub use admin_tokens::*;
pub use changes::*;
pub use codes::*;
pub use counting::*;
pub use edits::*;
pub use imports::*;
pub use life::*;
pub use polls::*;
pub use rankings::*;
pub use rounds::*;
pub use shows::*;
pub use voids::*;
pub use voters::*;
pub use webhooks::*;

/// Defines a `#[tokio::test]` for every behaviour in the suite, each on a store of its own.
#[macro_export]
macro_rules! store_contract {
    ($maker:expr) => {
        $crate::store_contract!($maker;
            a_ballot_is_counted_and_kept
            a_ballot_sent_again_counts_once
            a_ballot_twice_in_a_batch_counts_once
            id_with_other_choices_is_rejected
            a_batch_may_hold_several_polls
            window_is_checked_by_arrival
            a_ballot_for_no_poll_changes_nothing
            any_grouping_and_redelivery_counts_the_same
            parallel_batches_count_exactly
            the_version_grows_only_with_a_change
            the_version_grows_where_counts_fall_or_stay
            an_impossible_change_is_rejected
            concurrent_changes_add_up
            a_recount_agrees_with_the_tallies
            ballots_are_read_in_pages
            policy_and_quota_are_kept
            a_voter_has_one_ballot
            a_quota_allows_several_ballots
            an_option_has_a_quota_per_voter
            a_voters_late_ballot_is_rejected
            one_voters_parallel_ballots_count_exactly
            batches_contending_for_a_voter_are_recorded
            any_grouping_of_voters_counts_the_same
            a_later_ballot_replaces_an_earlier_one
            a_withdrawn_ballot_does_not_count
            the_latest_ballot_counts_in_any_order
            a_withdrawal_needs_a_changeable_poll
            one_voters_parallel_changes_count_once
            any_interleaving_counts_as_a_plain_model
            codes_are_valid_in_their_poll_until_revoked
            batch_of_codes_is_added_whole_or_not_at_all
            exported_or_revoked_batch_gets_no_more_codes
            name_of_a_batch_is_taken_once
            largest_calls_for_codes_succeed
            a_codes_ballots_count_once
            poll_is_stored_as_created
            a_rehearsal_stays_one
            a_taken_slug_is_a_conflict
            a_poll_that_breaks_a_rule_is_rejected
            a_window_is_set_only_on_the_version_seen
            the_polls_version_grows_with_every_change
            close_is_later_than_recorded_ballots
            close_of_a_closed_or_changed_poll_is_a_conflict
            mark_holds_until_the_window_is_set
            changed_polls_are_found_by_version
            polls_are_read_by_number
            a_mark_is_set_only_on_the_version_seen
            final_poll_accepts_no_ballot
            a_draft_is_edited
            only_texts_of_a_poll_with_ballots_are_edited
            an_edit_that_breaks_a_rule_is_rejected
            only_a_draft_is_deleted
            a_final_poll_is_archived
            changes_are_noted
            void_ballots_do_not_count_until_undone
            a_rule_names_a_voter_or_choices
            any_interleaving_of_voids_counts_as_a_plain_model
            any_life_of_a_poll_counts_as_a_plain_model
            imported_counts_are_part_of_the_result
            rules_of_counting_are_kept
            equal_rankings_and_scores_are_counted_together
            parallel_rankings_count_exactly
            details_are_of_the_ballots_that_count
            wrong_details_are_found_by_a_recount
            tokens_are_kept_as_made
            token_is_revoked_once
            webhooks_are_kept_until_deleted
            each_event_is_one_message
            a_message_is_claimed_by_one_at_a_time
            shows_change_only_from_the_version_seen
            shows_are_limited
            rounds_have_a_number_and_a_time
            concurrent_rounds_have_distinct_numbers
            recent_round_is_not_replaced
            report_to_a_round_not_begun_is_not_stored
            queues_are_registered_once
            last_report_of_a_consumer_is_kept
            old_reports_are_deleted
        );
    };
    ($maker:expr; $($behaviour:ident)+) => {
        $(
            #[tokio::test]
            async fn $behaviour() {
                let directory = tempfile::tempdir().expect("a temporary directory can be made");
                let (_owner, store) = ($maker)(directory.path().to_owned()).await;
                $crate::contract::$behaviour(&store).await;
            }
        )+
    };
}
