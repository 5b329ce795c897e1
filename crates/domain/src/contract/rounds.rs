//! Rounds: each has a number and a moment of its own, and every line one answer.

use super::support::done;
use crate::clock::{Clock as _, SystemClock};
use crate::rounds::{ANSWERS_KEPT, Answer, QUEUE_NAME_MAX};
use crate::store::Store;

/// By how much the database's clock may be from this machine's, in milliseconds.
const CLOCKS_MS: i64 = 2_000;

/// Each round has the next number, which everybody sees, and a moment before that.
pub async fn rounds_are_numbered_and_have_a_moment(store: &dyn Store) {
    assert_eq!(done(store.round().await), 0);
    let before = SystemClock.now();
    for number in 1..=3 {
        let begun = done(store.begin_round(0).await);
        assert_eq!((begun.number, done(store.round().await)), (number, number));
        let (since, until) = (before.plus_ms(-CLOCKS_MS), SystemClock.now().plus_ms(CLOCKS_MS));
        assert!(since <= begun.began_at && begun.began_at <= until, "{begun:?}: {since:?} to {until:?}");
    }
}

/// Nodes that begin rounds at the same time begin different ones.
pub async fn rounds_begun_at_once_have_numbers_of_their_own(store: &dyn Store) {
    let begin = async || done(store.begin_round(0).await).number;
    let (a, b, c, d) = tokio::join!(begin(), begin(), begin(), begin());
    let mut numbers = [a, b, c, d];
    numbers.sort_unstable();
    assert_eq!(numbers, [1, 2, 3, 4]);
}

/// A node that comes soon after another gets the round that the other has begun, with its moment.
pub async fn a_round_that_was_begun_just_now_is_the_last(store: &dyn Store) {
    const LONG_MS: i64 = 600_000;
    let begun = done(store.begin_round(LONG_MS).await);
    assert_eq!(begun.number, 1);
    let (a, b) = tokio::join!(store.begin_round(LONG_MS), store.begin_round(LONG_MS));
    assert_eq!((done(a), done(b), done(store.round().await)), (begun, begun, 1));
    tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    let next = done(store.begin_round(10).await);
    assert!(next.number == 2 && next.began_at > begun.began_at, "{next:?} after {begun:?}");
}

/// A queue is noted by every node that uses it, and is one all the same.
pub async fn queues_are_noted_once(store: &dyn Store) {
    assert_eq!(done(store.queues().await), [""; 0]);
    let (a, b) = tokio::join!(store.add_queue("throng"), store.add_queue("throng"));
    done(a.and(b));
    let long = format!("Throng-2@{}", "x".repeat(QUEUE_NAME_MAX - 9));
    done(store.add_queue(&long).await);
    assert_eq!(done(store.queues().await), [long.as_str(), "throng"]);
}

/// A line's answer takes the place of the one before; those to earlier rounds aren't asked for.
pub async fn a_lines_last_answer_is_kept(store: &dyn Store) {
    assert_eq!(done(store.answers(0).await), []);
    let first = Answer { line: [1; 16], queue: "throng".to_owned(), joined: 2, round: 3, consumers: 2 };
    let other = Answer { line: [255; 16], joined: 0, round: 4, consumers: u32::MAX.into(), ..first.clone() };
    let later = Answer { round: 5, consumers: 7, ..first.clone() };
    begin(store, 5).await;
    for answer in [&first, &other, &later] {
        done(store.answer(answer).await);
    }
    assert_eq!(sorted(done(store.answers(4).await)), [later.clone(), other]);
    assert_eq!(done(store.answers(5).await), std::slice::from_ref(&later));
    assert_eq!(done(store.answers(6).await), []);
    // The same once more, as after a commit whose outcome wasn't known.
    done(store.answer(&later).await);
    assert_eq!(done(store.answers(5).await), [later]);
}

/// What lines answered that are gone doesn't pile up.
pub async fn old_answers_are_forgotten(store: &dyn Store) {
    let queue = || "throng".to_owned();
    let answer = |line, round| Answer { line: [line; 16], queue: queue(), joined: 0, round, consumers: 1 };
    let (old, kept, new) = (answer(1, 1), answer(2, 2), answer(3, 2 + ANSWERS_KEPT));
    begin(store, 2 + ANSWERS_KEPT).await;
    for answer in [&old, &kept, &new] {
        done(store.answer(answer).await);
    }
    assert_eq!(sorted(done(store.answers(0).await)), [kept, new]);
    assert_eq!(done(store.round().await), 2 + ANSWERS_KEPT, "answers begin no round");
}

/// The number may go back with the database, when that is restored: what was answered to a round that is lost is none to the
/// round that gets its number.
pub async fn an_answer_to_a_round_that_has_not_begun_is_not_stored(store: &dyn Store) {
    let answer = |line, round| Answer { line: [line; 16], queue: "throng".to_owned(), joined: 0, round, consumers: 1 };
    begin(store, 2).await;
    for answer in [&answer(1, 2), &answer(1, 3), &answer(2, 3)] {
        done(store.answer(answer).await);
    }
    assert_eq!(done(store.answers(0).await), [answer(1, 2)]);
}

/// Begins so many rounds.
async fn begin(store: &dyn Store, rounds: u64) {
    for _ in 0..rounds {
        done(store.begin_round(0).await);
    }
}

fn sorted(mut answers: Vec<Answer>) -> Vec<Answer> {
    answers.sort_by_key(|answer| answer.line);
    answers
}
