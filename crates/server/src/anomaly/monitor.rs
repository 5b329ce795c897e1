//! Scores the polls that are being voted in, and remembers which are over the threshold.

use std::collections::{HashMap, HashSet};
use std::hash::RandomState;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use throng_domain::clock::Timestamp;
use throng_domain::poll::PollId;

use super::score::{self, AnomalyReport};
use super::vote_buffer::{Noted, Sample, VoteBuffer};
use super::window::Window;
use crate::telemetry::metrics::AnomalyMetrics;

/// With this score, a poll is over the threshold.
pub const SCORE_ON: u8 = 60;

/// A poll that is over the threshold stays over it until its score is below this one, or hasn't been [`SCORE_ON`] for
/// [`OVER_MS`].
pub const SCORE_OFF: u8 = 40;

/// How long a poll stays over the threshold with a score between the two, in milliseconds.
const OVER_MS: i64 = 60_000;

/// The interval at which the scores are computed.
pub const UPDATE_EVERY: Duration = Duration::from_millis(250);

/// The most polls that are scored at once. Each takes 20 KB at most: 64 networks and 64 devices, in two minutes.
const POLLS_MAX: usize = 512;

/// The scores, for all cores.
#[derive(Debug)]
pub struct AnomalyMonitor {
    buffers: Vec<Arc<VoteBuffer>>,
    polls: Mutex<HashMap<PollId, ScoredPoll>>,
    /// The polls over the threshold. A vote reads nothing else.
    over: ArcSwap<HashSet<PollId>>,
    metrics: AnomalyMetrics,
}

/// A poll that was voted in within the last two minutes.
#[derive(Debug, Default)]
struct ScoredPoll {
    window: Window,
    report: AnomalyReport,
    /// When its score was last [`SCORE_ON`]; `None` while it isn't over the threshold.
    last_on: Option<Timestamp>,
}

/// A poll whose score has crossed the threshold.
#[derive(Debug, PartialEq, Eq)]
pub struct Crossing {
    /// The poll.
    pub poll: PollId,
    /// Whether it is over the threshold now.
    pub is_over: bool,
    /// Its score, with the reasons.
    pub report: AnomalyReport,
}

impl AnomalyMonitor {
    /// A monitor of the votes of so many cores. Networks are hashed by `hasher`.
    pub fn new(cores: usize, hasher: &RandomState, metrics: AnomalyMetrics) -> Self {
        let buffers = (0..cores).map(|_| Arc::new(VoteBuffer::new(hasher.clone()))).collect();
        Self { buffers, polls: Mutex::default(), over: ArcSwap::default(), metrics }
    }

    /// Where the core of this number notes its votes.
    ///
    /// # Panics
    /// If there is no such core.
    pub fn buffer(&self, core: usize) -> Arc<VoteBuffer> {
        Arc::clone(&self.buffers[core])
    }

    /// Whether the poll's score is over the threshold, as of the last update.
    pub fn is_over(&self, poll: PollId) -> bool {
        self.over.load().contains(&poll)
    }

    /// The report on a poll's votes, as of the last update; an empty one if there are none.
    pub fn report(&self, poll: PollId) -> AnomalyReport {
        let polls = self.polls.lock().unwrap_or_else(PoisonError::into_inner);
        polls.get(&poll).map(|scored| scored.report.clone()).unwrap_or_default()
    }

    /// Scores the votes that were noted since the last update, which arrived until `now`; returns the polls that cross the
    /// threshold.
    pub fn update(&self, now: Timestamp) -> Vec<Crossing> {
        let mut polls = self.polls.lock().unwrap_or_else(PoisonError::into_inner);
        let samples: Vec<Sample> = self.buffers.iter().map(|buffer| buffer.take()).collect();
        polls.values_mut().for_each(|scored| scored.window.advance(now));
        admit(&mut polls, &samples, now);
        for Sample { votes, stride, .. } in samples {
            for Noted { poll, what } in votes {
                if let Some(scored) = polls.get_mut(&poll) {
                    scored.window.add(what, stride);
                }
            }
        }
        let mut crossings = Vec::new();
        for (poll, scored) in &mut *polls {
            scored.report = score::report(&scored.window.counts(now));
            if let Some(is_over) = scored.cross(now) {
                crossings.push(Crossing { poll: *poll, is_over, report: scored.report.clone() });
            }
        }
        polls.retain(|_, scored| scored.last_on.is_some() || !scored.window.is_empty());
        self.show(&polls, &crossings);
        crossings
    }

    fn show(&self, polls: &HashMap<PollId, ScoredPoll>, crossings: &[Crossing]) {
        let over = || polls.iter().filter(|(_, scored)| scored.last_on.is_some()).map(|(poll, _)| *poll);
        if !crossings.is_empty() {
            self.over.store(Arc::new(over().collect()));
        }
        for (reason, _) in crossings.iter().filter(|crossing| crossing.is_over).flat_map(|it| &it.report.reasons) {
            self.metrics.count_reason(reason.name());
        }
        self.metrics.polls.set(i64::try_from(over().count()).unwrap_or(i64::MAX));
        let max = polls.values().map(|scored| scored.report.score).max();
        self.metrics.score_max.set(max.unwrap_or_default().into());
    }
}

impl ScoredPoll {
    /// Whether the poll is over the threshold, if that changes at `now`.
    fn cross(&mut self, now: Timestamp) -> Option<bool> {
        let (score, last_on) = (self.report.score, self.last_on);
        let is_kept = |last_on: Timestamp| score >= SCORE_OFF && now < last_on.plus_ms(OVER_MS);
        self.last_on = if score >= SCORE_ON { Some(now) } else { last_on.filter(|last_on| is_kept(*last_on)) };
        (self.last_on.is_some() != last_on.is_some()).then_some(self.last_on.is_some())
    }
}

/// Adds the polls of these votes that aren't scored yet, those with the most votes first. Where there is no room, each takes the
/// place of the quietest one, as long as that is of the quieter half, so that a few votes in each of very many polls don't displace
/// one that is attacked. A poll over the threshold stays.
fn admit(polls: &mut HashMap<PollId, ScoredPoll>, samples: &[Sample], now: Timestamp) {
    let mut new: HashMap<PollId, u64> = HashMap::new();
    for Sample { votes, stride, .. } in samples {
        for Noted { poll, .. } in votes.iter().filter(|noted| !polls.contains_key(&noted.poll)) {
            *new.entry(*poll).or_default() += u64::from(*stride);
        }
    }
    let mut new: Vec<_> = new.into_iter().collect();
    new.sort_unstable_by_key(|(_, votes)| std::cmp::Reverse(*votes));
    let is_full = polls.len() + new.len() > POLLS_MAX;
    let mut quiet = if is_full { quietest(polls, now) } else { Vec::new() }.into_iter();
    for (poll, _) in new {
        if polls.len() >= POLLS_MAX {
            let Some(displaced) = quiet.next() else { return };
            polls.remove(&displaced);
        }
        polls.entry(poll).or_default().window.advance(now);
    }
}

/// The quieter half of the polls that aren't over the threshold, the quietest first.
fn quietest(polls: &HashMap<PollId, ScoredPoll>, now: Timestamp) -> Vec<PollId> {
    let quiet = polls.iter().filter(|(_, scored)| scored.last_on.is_none());
    let mut quiet: Vec<_> = quiet.map(|(poll, scored)| (scored.window.votes(now), *poll)).collect();
    quiet.sort_unstable_by(|(one, _), (other, _)| one.total_cmp(other));
    quiet.truncate(POLLS_MAX / 2);
    quiet.into_iter().map(|(_, poll)| poll).collect()
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use throng_domain::ballot::{Choices, VoterKey};
    use throng_domain::poll::OptionId;

    use super::super::score::Reason;
    use super::super::vote_buffer::{Sighting, VoteKind};
    use super::*;

    const POLL: PollId = PollId(1);
    const START: Timestamp = Timestamp(1_800_000_000_000);

    fn monitor() -> AnomalyMonitor {
        AnomalyMonitor::new(2, &RandomState::new(), AnomalyMetrics::default())
    }

    impl AnomalyMonitor {
        /// Notes a vote of this network, on one of the cores.
        fn vote(&self, poll: PollId, network: u32, option: u16) {
            let choices = Choices::new([OptionId(option)]).unwrap();
            let address = Some(IpAddr::from(Ipv4Addr::from_bits(network)));
            let sighting = Sighting { poll, kind: VoteKind::Plain, address, device: None, choices: &choices };
            self.buffer(network as usize % 2).note(sighting);
        }

        fn score_of(&self, votes: impl IntoIterator<Item = u32>) -> AnomalyReport {
            votes.into_iter().for_each(|network| self.vote(POLL, network, network as u16 % 2 + 1));
            self.update(START);
            self.report(POLL)
        }
    }

    #[test]
    fn one_network_with_nine_votes_in_ten_is_over_the_threshold() {
        let monitor = monitor();
        let report = monitor.score_of((0..1_000).map(|vote| if vote % 10 == 0 { vote } else { 7 }));
        assert!(report.score >= SCORE_ON && monitor.is_over(POLL), "{report:?}");
        assert_eq!((report.votes, report.reasons[0].0), (1_000, Reason::OneNetwork));
        assert!(!monitor.is_over(PollId(2)));
        assert_eq!((monitor.metrics.polls.get(), monitor.metrics.score_max.get()), (1, report.score.into()));
        assert_eq!(monitor.metrics.reasons("one_network"), 1);
    }

    #[test]
    fn crowd_of_many_networks_has_no_score() {
        for networks in [1_000, 200, 100] {
            let monitor = monitor();
            let report = monitor.score_of((0..10_000).map(|vote| vote % networks));
            assert_eq!((report.score, monitor.is_over(POLL)), (0, false), "{networks}: {report:?}");
        }
    }

    #[test]
    fn office_has_no_score() {
        let monitor = monitor();
        // 30 people, six votes each.
        assert_eq!(monitor.score_of(std::iter::repeat_n(7, 180)).score, 0);
        // A busy carrier's address among a crowd: shown, and below the threshold.
        let report = self::monitor().score_of((0..1_000).map(|vote| if vote % 5 < 2 { 7 } else { vote }));
        assert!((1..SCORE_OFF).contains(&report.score), "{report:?}");
    }

    #[test]
    fn poll_is_over_the_threshold_until_the_votes_are_two_minutes_old() {
        let monitor = monitor();
        (0..100_000).for_each(|_| monitor.vote(POLL, 7, 1));
        let crossings = monitor.update(START);
        let [Crossing { poll: POLL, is_over: true, report }] = &crossings[..] else { panic!("{crossings:?}") };
        assert_eq!(report.score, 100);
        assert_eq!(monitor.update(START.plus_ms(250)), [], "it is said once");
        assert_eq!((monitor.update(START.plus_ms(119_000)), monitor.is_over(POLL)), (vec![], true));
        let crossings = monitor.update(START.plus_ms(120_000));
        assert_eq!(crossings, [Crossing { poll: POLL, is_over: false, report: AnomalyReport::default() }]);
        assert!(!monitor.is_over(POLL) && monitor.polls.lock().unwrap().is_empty());
        assert_eq!((monitor.metrics.polls.get(), monitor.metrics.score_max.get()), (0, 0));
    }

    #[test]
    fn score_between_the_thresholds_keeps_a_poll_over_for_a_minute() {
        let mut scored = ScoredPoll::default();
        let mut crosses = |score, after_ms| {
            scored.report.score = score;
            scored.cross(START.plus_ms(after_ms))
        };
        assert_eq!(crosses(SCORE_ON - 1, 0), None);
        assert_eq!(crosses(SCORE_ON, 1_000), Some(true));
        assert_eq!(crosses(SCORE_OFF, 2_000), None);
        assert_eq!(crosses(SCORE_OFF - 1, 3_000), Some(false));
        assert_eq!(crosses(SCORE_OFF, 4_000), None);
        assert_eq!(crosses(100, 5_000), Some(true));
        assert_eq!(crosses(SCORE_ON - 1, 64_999), None);
        assert_eq!(crosses(SCORE_ON - 1, 65_000), Some(false));
    }

    #[test]
    fn device_that_votes_without_end_is_a_reason() {
        let monitor = monitor();
        let choices = Choices::new([OptionId(1)]).unwrap();
        for vote in 0..1_000_u32 {
            let address = Some(IpAddr::from(Ipv4Addr::from_bits(vote)));
            let device = Some(VoterKey([7; 15]));
            let sighting = Sighting { poll: POLL, kind: VoteKind::Plain, address, device, choices: &choices };
            monitor.buffer(0).note(sighting);
            monitor.buffer(0).note_duplicate(POLL);
        }
        monitor.update(START);
        let report = monitor.report(POLL);
        assert_eq!(report.reasons, [(Reason::OneDevice, 40), (Reason::Duplicates, 40)]);
    }

    /// S29, for the score: votes in very many polls take bounded memory, and don't hide the poll that is attacked.
    #[test]
    fn scored_polls_are_bounded_and_the_busiest_stay() {
        let monitor = monitor();
        for round in 0..10_u32 {
            (0..30).for_each(|_| monitor.vote(POLL, 7, 1));
            (0..3_000).for_each(|poll| monitor.vote(PollId(1_000 + i64::from(poll + round * 3_000)), poll, 1));
            monitor.update(START.plus_ms(i64::from(round) * 250));
            assert!(monitor.polls.lock().unwrap().len() <= POLLS_MAX);
        }
        assert!(monitor.is_over(POLL), "{:?}", monitor.report(POLL));
    }
}
