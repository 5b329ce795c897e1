//! A poll's whole life: ballots, edits, closes, rules that void ballots, and processes that die in between.

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use super::support::{OPENS_AT, Random, counts, done, new_poll, record};
use crate::audit::Author;
use crate::ballot::{Ballot, BallotId, Choices};
use crate::new_poll::NewPoll;
use crate::poll::{Kind, OptionId, Poll};
use crate::poll_change::{Edit, PollChange};
use crate::store::{Outcome, Store};
use crate::tally::TallyChange;
use crate::void::VoidRule;
use crate::window::Window;

/// How many steps each life has.
const STEPS: u64 = 120;

/// The time in which ballots arrive and polls close, in milliseconds.
const SPAN_MS: u64 = 100;

/// What a poll should have, as far as anybody can count by hand.
struct Model {
    /// Every ballot that was ever sent, by its number, and whether it was recorded.
    sent: BTreeMap<u128, (Choices, i64, bool)>,
    closes_ms: Option<i64>,
    /// When the ballots arrived that each rule voids, and whether it was undone.
    voids: Vec<(i64, i64, bool)>,
}

impl Model {
    fn is_void(&self, ms: i64) -> bool {
        self.voids.iter().any(|(from, until, undone)| !undone && (*from..*until).contains(&ms))
    }

    /// The ballots that count, and what they add up to.
    fn total(&self, poll: &Poll) -> TallyChange {
        let mut total = TallyChange::none(poll.id);
        for (choices, ms, recorded) in self.sent.values() {
            if *recorded && !self.is_void(*ms) {
                total.add(choices);
            }
        }
        total.details.retain(|_, count| *count != 0);
        total
    }
}

/// Any interleaving of ballots, sent once or several times, edits, closes, rules, their undoing and counts, some of which a dead process
/// leaves undone: the ballots add up to what a plain model says, and so do the tallies once the rules were applied.
pub async fn any_life_of_a_poll_counts_as_a_plain_model(store: &dyn Store) {
    for (seed, kind) in [(1, Kind::Multiple), (2, Kind::Ranked), (3, Kind::Score)] {
        let new = NewPoll { kind, ..new_poll(&format!("poll-{seed}")) };
        let poll = done(store.create_poll(new, &Author::THRONG).await);
        let mut life = Life {
            store,
            poll,
            random: Random(seed),
            model: Model { sent: BTreeMap::new(), closes_ms: None, voids: Vec::new() },
            is_settled: true,
        };
        for step in 0..STEPS {
            life.step().await;
            life.check(seed, step).await;
        }
        life.count_again().await;
        life.check(seed, STEPS).await;
        assert!(life.is_settled && life.model.sent.values().any(|(_, _, recorded)| *recorded));
    }
}

struct Life<'a> {
    store: &'a dyn Store,
    poll: Poll,
    random: Random,
    model: Model,
    /// Whether the tallies agree with the rules.
    is_settled: bool,
}

impl Life<'_> {
    async fn step(&mut self) {
        match self.random.below(12) {
            0 => self.edit().await,
            1 => self.set_close().await,
            2 => self.void().await,
            3 => self.unvoid().await,
            4 => self.count_again().await,
            // A broker delivers what it wasn't told was recorded.
            5 => {
                let numbers: Vec<_> = self.model.sent.keys().copied().collect();
                self.record(&numbers).await;
            }
            _ => {
                let first = self.model.sent.len() as u128 + 1;
                let numbers: Vec<_> = (0..=self.random.below(4)).map(|offset| first + u128::from(offset)).collect();
                for number in &numbers {
                    let sent = (self.choices(), self.ms(), false);
                    self.model.sent.insert(*number, sent);
                }
                // Some are in the batch twice.
                let again = numbers[0];
                self.record(&[&numbers[..], &[again]].concat()).await;
            }
        }
    }

    /// Some of a span's milliseconds.
    fn ms(&mut self) -> i64 {
        self.random.below(SPAN_MS).cast_signed()
    }

    fn choices(&mut self) -> Choices {
        let count = 1 + self.random.below(3);
        let options: BTreeSet<u16> = (0..count).map(|_| 1 + self.random.below(5) as u16).collect();
        let options = options.into_iter().map(OptionId);
        let choices = match self.poll.kind {
            Kind::Single | Kind::Multiple => Choices::new(options),
            Kind::Ranked => Choices::ranking(options.rev()),
            Kind::Score => {
                Choices::scores(options.map(|option| (option, self.random.below(6) as u8)).collect::<Vec<_>>())
            }
        };
        choices.expect("there is an option, and each once")
    }

    async fn record(&mut self, numbers: &[u128]) {
        let ballot = |number: &u128| {
            let (choices, ms, _) = &self.model.sent[number];
            Ballot::unlimited(self.poll.id, BallotId(Uuid::from_u128(*number)), choices.clone(), OPENS_AT.plus_ms(*ms))
        };
        let outcomes = record(self.store, &numbers.iter().map(ballot).collect::<Vec<_>>()).await.outcomes;
        for (number, outcome) in numbers.iter().zip(outcomes) {
            let closes_ms = self.model.closes_ms;
            let (_, ms, recorded) = self.model.sent.get_mut(number).expect("it was sent");
            let expected = match (*recorded, closes_ms) {
                (true, _) => Outcome::CountedBefore,
                (false, Some(closes_ms)) if *ms >= closes_ms => Outcome::TooLate,
                (false, _) => Outcome::Counted,
            };
            assert_eq!(outcome, expected, "ballot {number}, at {ms} ms, with the close at {closes_ms:?}");
            *recorded |= outcome == Outcome::Counted;
        }
    }

    async fn change(&mut self, change: PollChange) {
        let changed = self.store.change_poll(self.poll.id, self.poll.version, change, &Author::THRONG).await;
        self.poll = done(changed);
    }

    async fn edit(&mut self) {
        let number = self.random.below(1_000);
        let labels = vec![(OptionId(1 + self.random.below(5) as u16), format!("Song {number}"))];
        self.change(PollChange::Edit(Edit { title: Some(format!("Best {number}?")), labels, ..Edit::default() })).await;
    }

    /// Closes the poll, also in its past, or opens it again.
    async fn set_close(&mut self) {
        self.model.closes_ms = (self.random.below(3) > 0).then(|| self.ms() + 1);
        let closes_at = self.model.closes_ms.map(|ms| OPENS_AT.plus_ms(ms));
        self.change(PollChange::Window(Window { opens_at: Some(OPENS_AT), closes_at })).await;
    }

    async fn void(&mut self) {
        let from = self.ms();
        let until = from + 1 + self.random.below(10).cast_signed();
        if self.model.voids.contains(&(from, until, false)) {
            return;
        }
        let at = |ms| Some(OPENS_AT.plus_ms(ms));
        self.change(PollChange::Void(VoidRule { from: at(from), until: at(until), ..VoidRule::default() })).await;
        self.model.voids.push((from, until, false));
        self.count_again_unless_dead().await;
    }

    async fn unvoid(&mut self) {
        let active: Vec<_> =
            (1..).zip(&self.model.voids).filter(|(_, (_, _, undone))| !undone).map(|(n, _)| n).collect();
        if active.is_empty() {
            return;
        }
        let number: u32 = active[self.random.below(active.len() as u64) as usize];
        self.change(PollChange::Unvoid(number)).await;
        self.model.voids[number as usize - 1].2 = true;
        self.count_again_unless_dead().await;
    }

    /// After a change of the rules. One process in three dies before.
    async fn count_again_unless_dead(&mut self) {
        self.is_settled = false;
        if self.random.below(3) > 0 {
            self.count_again().await;
        }
    }

    async fn count_again(&mut self) {
        let correction = done(self.store.recount(self.poll.id).await).correction();
        self.change(PollChange::Applied(correction)).await;
        self.is_settled = true;
    }

    async fn check(&self, seed: u64, step: u64) {
        let total = self.model.total(&self.poll);
        let count = |option: OptionId| total.counts.iter().find(|(id, _)| *id == option).map_or(0, |(_, count)| *count);
        let expected: Vec<_> = self.poll.options.iter().map(|option| count(option.id).unsigned_abs()).collect();
        let recount = done(self.store.recount(self.poll.id).await);
        let found = (recount.ballots.voters, counts(&recount.ballots));
        assert_eq!(found, (total.voters.unsigned_abs(), expected), "{:?}, seed {seed}, step {step}", self.poll.kind);
        if self.is_settled {
            assert!(recount.agrees(), "{:?}, seed {seed}, step {step}: {recount:?}", self.poll.kind);
            let detailed = done(self.store.detailed_tallies(self.poll.id).await);
            assert_eq!(detailed.tallies, recount.tallies);
            let details: Vec<_> =
                total.details.into_iter().map(|(detail, count)| (detail, count.unsigned_abs())).collect();
            assert_eq!(detailed.details, details, "seed {seed}, step {step}");
        }
    }
}
