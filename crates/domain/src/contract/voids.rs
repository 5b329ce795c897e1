//! Ballots that are void by a rule.

use super::polls::closed;
use super::support::{OPENS_AT, Random, ballot, counts, create, done, new_poll, of_voter, record, tallies};
use crate::audit::{Action, Author};
use crate::ballot::{Ballot, VoterKey};
use crate::new_poll::NewPoll;
use crate::policy::{Policy, Quota};
use crate::poll::{OptionId, Poll};
use crate::poll_change::PollChange;
use crate::store::{Mark, Outcome, Store, StoreError};
use crate::tally::TallyChange;
use crate::void::{VOIDS_MAX, VoidRule, is_void};

/// The ballot, arriving so many milliseconds after the suite's others.
fn at(ms: i64, ballot: Ballot) -> Ballot {
    Ballot { accepted_at: ballot.accepted_at.plus_ms(ms), ..ballot }
}

/// Ballots that arrive from `from` milliseconds after the suite's others on, and before `until` of them.
fn between(from: i64, until: i64) -> VoidRule {
    let time = |ms| Some(OPENS_AT.plus_ms(1 + ms));
    VoidRule { from: time(from), until: time(until), ..VoidRule::default() }
}

async fn change(store: &dyn Store, poll: &Poll, change: PollChange) -> Result<Poll, StoreError> {
    let stored = done(store.poll(&poll.slug).await).expect("it is there");
    store.change_poll(stored.id, stored.version, change, &Author::new("Ann", "doubts")).await
}

/// Makes the tallies agree with the rules, as the poll service does.
async fn count_again(store: &dyn Store, poll: &Poll) {
    let recount = done(store.recount(poll.id).await);
    let correction = TallyChange::between(&recount.tallies, &recount.ballots);
    done(change(store, poll, PollChange::Applied(correction)).await);
}

/// Ballots to which a rule applies don't count, whenever they are recorded, until it is undone; the version increases.
pub async fn void_ballots_do_not_count_until_undone(store: &dyn Store) {
    let poll = create(store, "poll").await;
    record(store, &[ballot(&poll, 1, &[1]), at(5, ballot(&poll, 2, &[1, 2])), at(6, ballot(&poll, 3, &[2]))]).await;
    let before = tallies(store, &poll).await;
    let rule = between(5, 7);
    let preview = done(store.recount_by(poll.id, Some(with(&poll, &rule))).await);
    assert_eq!((preview.tallies, preview.voided.all), (before.clone(), 2));
    assert_eq!(counts(&preview.ballots), [1, 0, 0, 0, 0]);
    assert_eq!(tallies(store, &poll).await, before, "a preview changes nothing");

    let voided = done(change(store, &poll, PollChange::Void(rule)).await);
    assert_eq!((voided.voids.len(), voided.voids[0].number, voided.voids[0].applied), (1, 1, false));
    let late = record(store, &[at(6, ballot(&poll, 4, &[3])), at(7, ballot(&poll, 5, &[3]))]).await;
    assert_eq!(late.outcomes, [Outcome::Counted, Outcome::Counted], "they are recorded, and have a receipt");
    count_again(store, &poll).await;
    // Nothing corrects this one: the rule does.
    record(store, &[at(5, ballot(&poll, 6, &[4]))]).await;
    let after = tallies(store, &poll).await;
    assert_eq!((counts(&after), after.voters), (vec![1, 0, 1, 0, 0], 2));
    assert!(after.seq > before.seq);

    let undone = done(change(store, &poll, PollChange::Unvoid(1)).await);
    assert!(undone.voids[0].undone && !undone.voids[0].applied);
    count_again(store, &poll).await;
    let again = tallies(store, &poll).await;
    assert_eq!((counts(&again), again.voters), (vec![2, 2, 2, 1, 0], 6));
    assert!(again.seq > after.seq);
    let log = done(store.audit_log(Some(&poll.slug), None, 4).await);
    let actions: Vec<_> = log.iter().map(|entry| (entry.action, entry.author.as_str())).collect();
    let expected = [Action::Recount, Action::Unvoid, Action::Recount, Action::Void].map(|action| (action, "Ann"));
    assert_eq!(actions, expected);
    assert_eq!(done(store.poll(&poll.slug).await).map(|poll| poll.voids[0].applied), Some(true));
}

fn with(poll: &Poll, rule: &VoidRule) -> Vec<crate::void::Void> {
    let changed = PollChange::Void(rule.clone()).apply(poll, OPENS_AT, true);
    done(changed).voids
}

/// A rule may name a voter and the choices; one without a meaning is rejected.
pub async fn a_rule_names_a_voter_or_choices(store: &dyn Store) {
    let quota = Quota { ballots: 5, per_option: None };
    let new = NewPoll { policy: Policy::Network, quota, ..new_poll("poll") };
    let poll = done(store.create_poll(new, &Author::THRONG).await);
    let ballots = [
        of_voter(&poll, 1, 1, &[1]),
        of_voter(&poll, 1, 2, &[1, 2]),
        of_voter(&poll, 2, 3, &[1]),
        of_voter(&poll, 2, 4, &[3]),
    ];
    record(store, &ballots).await;
    let voter = VoidRule { voter: Some(VoterKey([1; 15])), ..VoidRule::default() };
    let exactly = VoidRule { choices: Some(vec![OptionId(1)]), ..VoidRule::default() };
    for (rule, expected) in [(&voter, [1, 0, 1, 0, 0]), (&exactly, [1, 1, 1, 0, 0])] {
        let preview = done(store.recount_by(poll.id, Some(with(&poll, rule))).await);
        assert_eq!((counts(&preview.ballots), preview.voided.all), (expected.to_vec(), 2), "{rule:?}");
    }
    for meaningless in [
        PollChange::Void(VoidRule::default()),
        PollChange::Void(VoidRule { choices: Some(vec![OptionId(9)]), ..VoidRule::default() }),
        PollChange::Unvoid(1),
    ] {
        let rejected = change(store, &poll, meaningless.clone()).await;
        assert!(matches!(rejected, Err(StoreError::Rejected(_))), "{meaningless:?}: {rejected:?}");
    }
    for until in 0..i64::try_from(VOIDS_MAX).unwrap_or(0) {
        done(change(store, &poll, PollChange::Void(between(100, 200 + until))).await);
    }
    let rejected = change(store, &poll, PollChange::Void(between(100, 400))).await;
    assert!(matches!(rejected, Err(StoreError::Rejected(_))), "{rejected:?}");
    let rejected = change(store, &poll, PollChange::Void(between(100, 200))).await;
    assert!(matches!(rejected, Err(StoreError::Rejected(_))), "{rejected:?}");
}

/// Any interleaving of ballots, rules, their undoing and new counts: the tallies are those of a plain model. Where voters may change
/// their ballots, rules come once the result is final.
pub async fn any_interleaving_of_voids_counts_as_a_plain_model(store: &dyn Store) {
    const STEPS: u128 = 150;
    for (seed, changeable) in [(1, false), (2, true), (3, true)] {
        let slug = format!("poll-{seed}");
        // Enough ballots for voters to go on voting under the rules.
        let quota = if changeable { Quota::ONE } else { Quota { ballots: 200, per_option: None } };
        let new = NewPoll { policy: Policy::Device, quota, changeable, ..new_poll(&slug) };
        let poll = done(store.create_poll(new, &Author::THRONG).await);
        let (mut random, mut sent) = (Random(seed), Vec::new());
        for number in 1..=STEPS {
            let mut stored = done(store.poll(&poll.slug).await).expect("it is there");
            if changeable && number == STEPS / 2 {
                let open = change(store, &poll, PollChange::Void(between(0, 10))).await;
                assert!(matches!(open, Err(StoreError::Rejected(_))), "voters may change their ballots: {open:?}");
                let closed = closed(store, &stored).await;
                assert_eq!(done(store.mark(&[(closed.id, closed.version)], Mark::Final).await), 1);
                stored = done(store.poll(&poll.slug).await).expect("it is there");
            }
            let step = random.below(10);
            match if stored.changeable && stored.final_at.is_none() { 9 } else { step } {
                0 => {
                    let from = i64::try_from(random.below(90)).unwrap_or(0);
                    // The same rule again is rejected.
                    let _ = change(store, &poll, PollChange::Void(between(from, from + 10))).await;
                    sent.extend(recorded_meanwhile(store, &poll, &mut random, number).await);
                    count_again(store, &poll).await;
                }
                1 => {
                    let voter = u8::try_from(random.below(8)).unwrap_or(0);
                    let rule = VoidRule { voter: Some(VoterKey([voter; 15])), ..VoidRule::default() };
                    let _ = change(store, &poll, PollChange::Void(rule)).await;
                    sent.extend(recorded_meanwhile(store, &poll, &mut random, number).await);
                    count_again(store, &poll).await;
                }
                2 | 3 => {
                    let active: Vec<_> = stored.voids.iter().filter(|void| !void.undone).collect();
                    if let Some(void) = active.first() {
                        done(change(store, &poll, PollChange::Unvoid(void.number)).await);
                        sent.extend(recorded_meanwhile(store, &poll, &mut random, number).await);
                        count_again(store, &poll).await;
                    }
                }
                _ => {
                    let voter = u8::try_from(random.below(8)).unwrap_or(0);
                    let option = u16::try_from(1 + random.below(5)).unwrap_or(1);
                    let ms = i64::try_from(random.below(100)).unwrap_or(0);
                    let ballot = at(ms, of_voter(&poll, voter, number, &[option]));
                    let recorded = record(store, std::slice::from_ref(&ballot)).await;
                    if recorded.outcomes == [Outcome::Counted] {
                        sent.push(ballot);
                    }
                }
            }
            let stored = done(store.poll(&poll.slug).await).expect("it is there");
            let (voters, expected) = model(&stored, &sent);
            let tallied = tallies(store, &poll).await;
            assert_eq!((tallied.voters, counts(&tallied)), (voters, expected), "seed {seed}, step {number}");
        }
    }
}

/// Ballots that are recorded between a change of the rules and the count by them.
async fn recorded_meanwhile(store: &dyn Store, poll: &Poll, random: &mut Random, step: u128) -> Vec<Ballot> {
    let mut recorded = Vec::new();
    for number in 0..3 {
        let voter = u8::try_from(random.below(8)).unwrap_or(0);
        let option = u16::try_from(1 + random.below(5)).unwrap_or(1);
        let ms = i64::try_from(random.below(100)).unwrap_or(0);
        let ballot = at(ms, of_voter(poll, voter, 1_000 * step + number, &[option]));
        if record(store, std::slice::from_ref(&ballot)).await.outcomes == [Outcome::Counted] {
            recorded.push(ballot);
        }
    }
    recorded
}

/// How many ballots count, and how many per option: of each voter's that aren't void, the last one in a changeable poll, or all.
fn model(poll: &Poll, recorded: &[Ballot]) -> (u64, Vec<u64>) {
    let valid = |ballot: &&Ballot| !is_void(&poll.voids, ballot.key, ballot.accepted_at, &ballot.choices);
    let is_replaced = |ballot: &Ballot| {
        let later = |other: &&Ballot| {
            other.voter() == ballot.voter() && (other.accepted_at, other.id) > (ballot.accepted_at, ballot.id)
        };
        poll.changeable && recorded.iter().filter(valid).any(|other| later(&other))
    };
    let counting: Vec<_> = recorded.iter().filter(valid).filter(|ballot| !is_replaced(ballot)).collect();
    let of_option = |option: &OptionId| {
        counting.iter().filter(|ballot| ballot.choices.as_slice().contains(option)).count().try_into().unwrap_or(0)
    };
    let ids = poll.options.iter().map(|option| option.id);
    (counting.len().try_into().unwrap_or(0), ids.map(|id| of_option(&id)).collect())
}
