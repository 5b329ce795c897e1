//! A poll: its options, how many of them a ballot may choose, and when it accepts ballots.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ballot::Choices;
use crate::clock::Timestamp;
use crate::counting::Counting;
pub use crate::ids::{InvalidSlug, OptionId, PollId, Slug};
use crate::origins::AllowedOrigins;
use crate::policy::{Policy, Quota};
pub use crate::poll_rules::{CONSENT_CHARS_MAX, INTRO_CHARS_MAX, LABEL_CHARS_MAX, OPTIONS_MAX, TITLE_CHARS_MAX};
use crate::submission::SentChoices;
use crate::void::Void;
use crate::words::words;

/// How long a poll's result stays provisional after its close at the least, in milliseconds: a ballot that arrived in
/// time may still be in flight to the store.
pub const CLOSING_MS: i64 = 10_000;

/// A poll as it is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Poll {
    /// The store's own id for it.
    #[serde(skip)]
    pub id: PollId,
    /// Its public name, in URLs.
    pub slug: Slug,
    /// Whether it is a rehearsal, which no voter takes part in: decided when it is created, for good.
    pub rehearsal: bool,
    /// The question.
    pub title: String,
    /// A sentence or two below the title; may be empty.
    pub intro: String,
    /// What a voter agrees to by voting; may be empty.
    pub consent: String,
    /// What a ballot says of the options.
    pub kind: Kind,
    /// The fewest options a ballot may choose, rank or score.
    pub min_choices: u16,
    /// The most options a ballot may choose, rank or score.
    pub max_choices: u16,
    /// How rankings or scores are counted.
    pub counting: Counting,
    /// When it starts to accept ballots; a poll without this is a draft.
    pub opens_at: Option<Timestamp>,
    /// When it stops accepting ballots; a poll without this stays open.
    pub closes_at: Option<Timestamp>,
    /// When it was stored that it has closed: from then on it is closed, whatever time a clock shows.
    pub closed_at: Option<Timestamp>,
    /// When it was stored that its result is final: from then on no ballot is added.
    pub final_at: Option<Timestamp>,
    /// When it was archived: it is left out of lists, and isn't opened again.
    pub archived_at: Option<Timestamp>,
    /// Who may see its results, and when.
    pub results: Visibility,
    /// What the percentages are shares of.
    pub percent_base: PercentBase,
    /// What identifies a voter.
    pub policy: Policy,
    /// How often a voter may vote, where the policy identifies voters.
    pub quota: Quota,
    /// Whether voters may replace or withdraw their ballots until the poll closes.
    pub changeable: bool,
    /// Whether a ballot has to come with a proof of work.
    pub proof: Proof,
    /// Whose pages may vote in it, read its API and show it in a frame; if empty, the server's configuration decides.
    pub allowed_origins: AllowedOrigins,
    /// The language of its texts.
    pub locale: Locale,
    /// In which order its page shows the options.
    pub option_order: OptionOrder,
    /// Which ballots don't count.
    pub voids: Vec<Void>,
    /// Counts from an earlier system, of which there are no ballots here: they are added to those of the ballots.
    pub imported: Vec<(OptionId, u64)>,
    /// Increases with every change of the poll.
    pub version: u64,
    /// The highest id that an option ever had: a new option gets the next one.
    pub last_option: OptionId,
    /// The options, in the order they are shown.
    pub options: Vec<PollOption>,
}

/// One of a poll's options.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct PollOption {
    /// Unique in its poll, from 1, never reused for another option.
    pub id: OptionId,
    /// The text shown to voters.
    pub label: String,
}

words! {
    /// What a ballot says of the options.
    Kind {
        /// It chooses exactly one.
        Single = "single",
        /// It chooses several, within the poll's limits.
        Multiple = "multiple",
        /// It ranks some or all, the most preferred one first.
        Ranked = "ranked",
        /// It gives some or all a score each.
        Score = "score",
    }
}

words! {
    /// Who may see a poll's results, and when.
    Visibility {
        /// Everyone, at any time.
        Always = "always",
        /// A voter, in the response to the ballot; everyone once the poll has closed.
        AfterVote = "after_vote",
        /// Everyone, once the poll has closed.
        AfterClose = "after_close",
        /// Only the poll's operators.
        Never = "never",
    }
}

words! {
    /// What a percentage is a share of.
    PercentBase {
        /// The voters: with several choices the percentages add up to more than 100.
        Voters = "voters",
        /// All the choices made: the percentages add up to 100.
        Selections = "selections",
    }
}

words! {
    /// Whether a ballot has to come with a proof of work: numbers that took the sender's processor some time to find.
    Proof {
        /// No ballot.
        Never = "never",
        /// Those that arrive while the poll's votes look unusual, such as many from one network.
        Adaptive = "adaptive",
        /// Every ballot.
        Always = "always",
    }
}

words! {
    /// The language of a poll's texts, as a tag (BCP 47).
    Locale {
        /// English.
        English = "en",
        /// Chinese, in traditional characters.
        TraditionalChinese = "zh-Hant",
        /// Chinese, in simplified characters.
        SimplifiedChinese = "zh-Hans",
        /// Japanese.
        Japanese = "ja",
        /// Spanish.
        Spanish = "es",
        /// Arabic.
        Arabic = "ar",
    }
}

words! {
    /// In which order a poll's page shows the options.
    OptionOrder {
        /// As they are stored.
        Fixed = "fixed",
        /// In an order of the visitor's own, so that no option profits from being the first.
        Shuffle = "shuffle",
    }
}

words! {
    /// The state of a poll at a given time.
    PollState {
        /// No opening time is set.
        Draft = "draft",
        /// It will open.
        Scheduled = "scheduled",
        /// It accepts ballots.
        Open = "open",
        /// It no longer accepts ballots; those that arrived in time may still be in flight.
        Closing = "closing",
        /// It is closed, and the store no longer adds ballots to its result.
        Final = "final",
    }
}

impl Kind {
    /// How many of so many options a ballot chooses, at least and at most, unless a poll says otherwise.
    pub fn default_limits(self, options: usize) -> (u16, u16) {
        match self {
            Self::Single => (1, 1),
            Self::Multiple | Self::Ranked | Self::Score => (1, u16::try_from(options).unwrap_or(u16::MAX)),
        }
    }

    /// Whether a result has more than the options' counts, which is tabulated from the [details](crate::tally_detail) of its tallies.
    pub fn is_tabulated(self) -> bool {
        match self {
            Self::Single | Self::Multiple => false,
            Self::Ranked | Self::Score => true,
        }
    }
}

impl Locale {
    /// Whether texts in this language are written from right to left.
    pub fn is_right_to_left(self) -> bool {
        match self {
            Self::English | Self::TraditionalChinese | Self::SimplifiedChinese | Self::Japanese | Self::Spanish => {
                false
            }
            Self::Arabic => true,
        }
    }
}

impl Proof {
    /// Whether no ballot is counted without a proof.
    pub fn is_always_required(self) -> bool {
        match self {
            Self::Never | Self::Adaptive => false,
            Self::Always => true,
        }
    }

    /// Whether a ballot may need a proof, at some time.
    pub fn may_be_required(self) -> bool {
        match self {
            Self::Never => false,
            Self::Adaptive | Self::Always => true,
        }
    }
}

/// Who requests a result: determines, with the poll's [`Visibility`], whether they receive it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Viewer {
    /// A client about whom nothing is known.
    Anybody,
    /// A voter whose ballot has just been counted.
    Voter,
}

/// What is stored about a poll's end, beside its window: marks hold whatever time a clock shows later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// It has closed.
    Closed,
    /// Its result is final.
    Final,
}

impl Mark {
    /// How long after the poll's close the mark is due at the earliest, in milliseconds.
    pub fn due_after_ms(self) -> i64 {
        match self {
            Self::Closed => 0,
            Self::Final => CLOSING_MS,
        }
    }
}

impl Poll {
    /// The poll's state at `now`. No job opens or closes a poll: this is computed at every use. That it has closed is
    /// also stored, so that no clock reopens it; that its result is final is known only from the store.
    pub fn state(&self, now: Timestamp) -> PollState {
        if self.final_at.is_some() {
            return PollState::Final;
        }
        if self.closed_at.is_some() {
            return PollState::Closing;
        }
        match (self.opens_at, self.closes_at) {
            (_, Some(closes_at)) if now >= closes_at => PollState::Closing,
            (None, _) => PollState::Draft,
            (Some(opens_at), _) if now < opens_at => PollState::Scheduled,
            (Some(_), _) => PollState::Open,
        }
    }

    /// Whether no opening time was set yet: only its makers know of such a poll.
    pub fn is_draft(&self) -> bool {
        self.opens_at.is_none()
    }

    /// The time by which a ballot is judged that arrives at `now`: once the poll is closed, no time before its close,
    /// even if a clock was set back.
    pub fn arrival(&self, now: Timestamp) -> Timestamp {
        match self.closes_at {
            Some(closes_at) if self.is_closed(now) => now.max(closes_at),
            Some(_) | None => now,
        }
    }

    /// Whether the poll no longer accepts ballots at `now`.
    pub fn is_closed(&self, now: Timestamp) -> bool {
        matches!(self.state(now), PollState::Closing | PollState::Final)
    }

    /// Whether `viewer` may see the results at `now`.
    pub fn shows_results(&self, viewer: Viewer, now: Timestamp) -> bool {
        let closed = self.is_closed(now);
        match self.results {
            Visibility::Always => true,
            Visibility::AfterVote => viewer == Viewer::Voter || closed,
            Visibility::AfterClose => closed,
            Visibility::Never => false,
        }
    }

    /// The ballot's choices, if they are of the poll's kind, and it has those options and allows that many of them.
    pub fn choices(&self, sent: SentChoices) -> Result<Choices, InvalidChoice> {
        let choices = match (self.kind, sent) {
            (_, sent) if sent.is_empty() => return Err(InvalidChoice::None),
            (Kind::Single | Kind::Multiple, SentChoices::Options(options)) => Choices::new(options),
            (Kind::Ranked, SentChoices::Ranking(options)) => Choices::ranking(options),
            (Kind::Score, SentChoices::Scores(scores)) => {
                let max = self.counting.score_max;
                if scores.iter().any(|(_, score)| *score > max) {
                    return Err(InvalidChoice::ScoreTooHigh { max });
                }
                Choices::scores(scores)
            }
            (kind, SentChoices::Options(_) | SentChoices::Ranking(_) | SentChoices::Scores(_)) => {
                return Err(InvalidChoice::OtherKind(kind));
            }
        };
        let choices = choices.ok_or(InvalidChoice::Twice)?;
        if let Some(&unknown) = choices.as_slice().iter().find(|id| !self.has_option(**id)) {
            return Err(InvalidChoice::Unknown(unknown));
        }
        let (chosen, min, max) = (choices.as_slice().len(), self.min_choices, self.max_choices);
        if chosen < usize::from(min) {
            return Err(InvalidChoice::TooFew { min });
        }
        if chosen > usize::from(max) {
            return Err(InvalidChoice::TooMany { max });
        }
        Ok(choices)
    }

    /// What its percentages are shares of: of a score poll, all the points given.
    pub fn shares_of(&self) -> PercentBase {
        match self.kind {
            Kind::Single | Kind::Multiple | Kind::Ranked => self.percent_base,
            Kind::Score => PercentBase::Selections,
        }
    }

    /// The highest id of its options; 0 if it has none.
    pub fn highest_option(&self) -> OptionId {
        self.options.iter().map(|option| option.id).max().unwrap_or(OptionId(0))
    }

    fn has_option(&self, id: OptionId) -> bool {
        self.options.iter().any(|option| option.id == id)
    }
}

/// Why a set of options isn't a valid ballot in a poll.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidChoice {
    /// Nothing was chosen.
    #[error("choose at least one option")]
    None,
    /// They are sent as those of a poll of another kind.
    #[error("{}", expected(*.0))]
    OtherKind(Kind),
    /// An option has two ranks, or two scores.
    #[error("an option is given twice; give each one rank or score")]
    Twice,
    /// A score is above the poll's highest.
    #[error("a score is 0 to {max} in this poll")]
    ScoreTooHigh {
        /// The poll's highest score.
        max: u8,
    },
    /// The poll has no such option.
    #[error("this poll has no option {0}")]
    Unknown(OptionId),
    /// Fewer than the poll requires.
    #[error("choose at least {min} options")]
    TooFew {
        /// The poll's minimum.
        min: u16,
    },
    /// More than the poll allows.
    #[error("choose at most {max} {}", if *max == 1 { "option" } else { "options" })]
    TooMany {
        /// The poll's maximum.
        max: u16,
    },
}

/// What a ballot in a poll of this kind has.
fn expected(kind: Kind) -> &'static str {
    match kind {
        Kind::Single | Kind::Multiple => r#"this poll takes the options chosen, as in "choices":[1,3]"#,
        Kind::Ranked => r#"this poll takes a ranking, the most preferred option first, as in "ranking":[3,1]"#,
        Kind::Score => r#"this poll takes a score for each option, as in "scores":{"1":5,"3":0}"#,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::new_poll::NewPoll;

    fn poll() -> Poll {
        NewPoll::demo("demo".parse().unwrap(), Timestamp(1_000)).into_poll(PollId(1))
    }

    #[test]
    fn state_depends_on_the_clock() {
        let mut poll = poll();
        poll.opens_at = None;
        assert_eq!(poll.state(Timestamp(5)), PollState::Draft);
        poll.opens_at = Some(Timestamp(10));
        poll.closes_at = Some(Timestamp(20));
        let states = [9, 10, 19, 20, 20 + CLOSING_MS].map(|at| poll.state(Timestamp(at)).as_str());
        assert_eq!(states, ["scheduled", "open", "open", "closing", "closing"]);
    }

    #[test]
    fn stored_end_overrides_the_clock() {
        let mut poll = poll();
        (poll.opens_at, poll.closes_at) = (Some(Timestamp(10)), Some(Timestamp(20)));
        let (before, after) = (Timestamp(5), Timestamp(25));
        assert_eq!((poll.arrival(before), poll.arrival(after)), (before, after));
        poll.closed_at = Some(Timestamp(20));
        assert_eq!((poll.state(before), poll.state(after)), (PollState::Closing, PollState::Closing));
        assert_eq!((poll.arrival(before), poll.arrival(after)), (Timestamp(20), after));
        poll.final_at = Some(Timestamp(30));
        assert_eq!((poll.state(before), poll.state(after)), (PollState::Final, PollState::Final));
    }

    #[test]
    fn choices_are_checked_against_the_poll() {
        let mut poll = poll();
        poll.min_choices = 2;
        poll.max_choices = 3;
        let sent = |ids: &[u16]| ids.iter().map(|id| OptionId(*id)).collect();
        let choose = |ids: &[u16]| poll.choices(SentChoices::Options(sent(ids)));
        assert_eq!(choose(&[]), Err(InvalidChoice::None));
        assert_eq!(choose(&[1, 1]), Err(InvalidChoice::TooFew { min: 2 }));
        assert_eq!(choose(&[1, 2, 3, 4]), Err(InvalidChoice::TooMany { max: 3 }));
        assert_eq!(choose(&[1, 6]), Err(InvalidChoice::Unknown(OptionId(6))));
        assert_eq!(choose(&[0]), Err(InvalidChoice::Unknown(OptionId(0))));
        assert_eq!(choose(&[5, 1, 5]).unwrap().to_string(), "[1,5]");
        assert_eq!(poll.choices(SentChoices::Ranking(sent(&[1, 2]))), Err(InvalidChoice::OtherKind(Kind::Multiple)));
    }

    #[test]
    fn rankings_and_scores_have_each_option_once() {
        let mut poll = poll();
        poll.kind = Kind::Ranked;
        let rank =
            |poll: &Poll, ids: &[u16]| poll.choices(SentChoices::Ranking(ids.iter().map(|id| OptionId(*id)).collect()));
        assert_eq!(rank(&poll, &[5, 1]).unwrap().to_string(), "5>1");
        assert_eq!(rank(&poll, &[5, 1, 5]), Err(InvalidChoice::Twice));
        assert_eq!(rank(&poll, &[6]), Err(InvalidChoice::Unknown(OptionId(6))));
        assert_eq!(rank(&poll, &[]), Err(InvalidChoice::None));
        poll.max_choices = 1;
        assert_eq!(rank(&poll, &[5, 1]), Err(InvalidChoice::TooMany { max: 1 }));
        poll.kind = Kind::Score;
        let score = |scores: &[(u16, u8)]| {
            poll.choices(SentChoices::Scores(scores.iter().map(|(id, score)| (OptionId(*id), *score)).collect()))
        };
        assert_eq!(score(&[(2, 5)]).unwrap().to_string(), "2=5");
        assert_eq!(score(&[(2, 5), (2, 5)]), Err(InvalidChoice::Twice));
        assert_eq!(score(&[(2, 6)]), Err(InvalidChoice::ScoreTooHigh { max: 5 }));
        assert_eq!(rank(&poll, &[1]), Err(InvalidChoice::OtherKind(Kind::Score)));
    }

    #[test]
    fn results_are_shown_by_visibility() {
        let mut poll = poll();
        poll.closes_at = Some(Timestamp(2_000));
        let (open, closed) = (Timestamp(1_500), Timestamp(2_000));
        let mut seen = |results| {
            poll.results = results;
            [(Viewer::Anybody, open), (Viewer::Voter, open), (Viewer::Anybody, closed)]
                .map(|(viewer, at)| poll.shows_results(viewer, at))
        };
        assert_eq!(seen(Visibility::Always), [true, true, true]);
        assert_eq!(seen(Visibility::AfterVote), [false, true, true]);
        assert_eq!(seen(Visibility::AfterClose), [false, false, true]);
        assert_eq!(seen(Visibility::Never), [false, false, false]);
    }
}
