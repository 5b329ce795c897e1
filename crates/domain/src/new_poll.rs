//! A poll to be created.

use crate::clock::Timestamp;
use crate::counting::Counting;
use crate::ids::{OptionId, PollId, Slug};
use crate::origins::AllowedOrigins;
use crate::policy::{Policy, Quota};
use crate::poll::{Kind, Locale, OptionOrder, PercentBase, Poll, PollOption, Proof, Visibility};

/// The data of a poll to be created. Its options get the ids 1, 2, 3 … in the order given.
#[derive(Clone, Debug)]
pub struct NewPoll {
    /// Its public name.
    pub slug: Slug,
    /// Whether it is a rehearsal: it takes ballots of load runs, and none of voters.
    pub rehearsal: bool,
    /// The question.
    pub title: String,
    /// A sentence or two below the title; may be empty.
    pub intro: String,
    /// What a voter agrees to by voting; may be empty.
    pub consent: String,
    /// What a ballot says of the options.
    pub kind: Kind,
    /// The fewest options a ballot may choose, rank or score; 1 if not given.
    pub min_choices: Option<u16>,
    /// The most options a ballot may choose, rank or score; if not given, 1 for a single choice, otherwise all.
    pub max_choices: Option<u16>,
    /// How rankings or scores are counted.
    pub counting: Counting,
    /// When it opens; a draft if not given.
    pub opens_at: Option<Timestamp>,
    /// When it closes; never, if not given.
    pub closes_at: Option<Timestamp>,
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
    /// The options' labels, in the order they are shown.
    pub labels: Vec<String>,
}

impl NewPoll {
    /// The poll that a first run shows: five options, of which several may be chosen, open from `opens_at` on.
    pub fn demo(slug: Slug, opens_at: Timestamp) -> Self {
        let labels = ["Headliners", "New discoveries", "The light show", "Food and drink", "The people around me"];
        Self {
            slug,
            rehearsal: false,
            title: "What makes a great festival?".to_owned(),
            intro: "Tell the organisers what next year needs more of.".to_owned(),
            consent: String::new(),
            kind: Kind::Multiple,
            min_choices: None,
            max_choices: None,
            counting: Counting::default(),
            opens_at: Some(opens_at),
            closes_at: None,
            results: Visibility::Always,
            percent_base: PercentBase::Voters,
            policy: Policy::Unlimited,
            quota: Quota::ONE,
            changeable: false,
            proof: Proof::Never,
            allowed_origins: AllowedOrigins::default(),
            locale: Locale::English,
            option_order: OptionOrder::Fixed,
            labels: labels.map(str::to_owned).into(),
        }
    }

    /// A message to the operator for each rule that this poll breaks; empty if it breaks none.
    pub fn faults(&self) -> Vec<String> {
        self.clone().into_poll(PollId(0)).faults()
    }

    /// The poll as it is stored, under the id that its store assigned.
    pub fn into_poll(self, id: PollId) -> Poll {
        let (min_choices, max_choices) = self.limits();
        let options: Vec<_> =
            (1..).zip(self.labels).map(|(id, label)| PollOption { id: OptionId(id), label }).collect();
        let last_option = options.last().map_or(OptionId(0), |option| option.id);
        Poll {
            id,
            slug: self.slug,
            rehearsal: self.rehearsal,
            title: self.title,
            intro: self.intro,
            consent: self.consent,
            kind: self.kind,
            min_choices,
            max_choices,
            counting: self.counting,
            opens_at: self.opens_at,
            closes_at: self.closes_at,
            closed_at: None,
            final_at: None,
            archived_at: None,
            results: self.results,
            percent_base: self.percent_base,
            policy: self.policy,
            quota: self.quota,
            changeable: self.changeable,
            proof: self.proof,
            allowed_origins: self.allowed_origins,
            locale: self.locale,
            option_order: self.option_order,
            voids: Vec::new(),
            imported: Vec::new(),
            version: 1,
            last_option,
            options,
        }
    }

    fn limits(&self) -> (u16, u16) {
        let (min, max) = self.kind.default_limits(self.labels.len());
        (self.min_choices.unwrap_or(min), self.max_choices.unwrap_or(max))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn demo() -> NewPoll {
        NewPoll::demo("demo".parse().unwrap(), Timestamp(0))
    }

    #[test]
    fn demo_poll_follows_the_rules() {
        assert_eq!(demo().faults(), Vec::<String>::new());
        let poll = demo().into_poll(PollId(7));
        assert_eq!((poll.min_choices, poll.max_choices), (1, 5));
        assert_eq!(poll.options.iter().map(|option| option.id.0).collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
    }

    #[test]
    fn every_fault_is_named_at_once() {
        let mut poll = demo();
        poll.title = " ".to_owned();
        poll.labels = vec!["one".to_owned()];
        poll.max_choices = Some(3);
        poll.closes_at = Some(Timestamp(-1));
        let faults = poll.faults().join("; ");
        for part in ["title", "2 to 100 options", "at most 3 choices", "closes before"] {
            assert!(faults.contains(part), "{part} is missing in: {faults}");
        }
    }

    #[test]
    fn options_that_look_the_same_are_rejected() {
        let mut poll = demo();
        poll.labels = ["Café", "Cafe\u{301}", "New York", "New  York "].map(str::to_owned).into();
        let faults = poll.faults();
        assert_eq!(faults.len(), 2, "{faults:?}");
        assert_eq!(faults[0], "option 2, `Cafe\u{301}`, looks the same as option 1");
        assert!(faults[1].ends_with("looks the same as option 3"), "{faults:?}");
    }

    #[test]
    fn characters_that_voters_cannot_see_are_rejected() {
        let mut poll = demo();
        poll.title = "Best\u{202E} song?".to_owned();
        poll.intro = "Vote\u{200B} now".to_owned();
        poll.labels[1].push('\u{FEFF}');
        let faults = poll.faults();
        assert_eq!(faults.len(), 3, "{faults:?}");
        assert_eq!(faults[0], "the title has a character that voters can't see, U+202E; leave it out");
        assert!(faults[2].starts_with("option 2 has") && faults[2].contains("U+FEFF"), "{faults:?}");
    }

    #[test]
    fn quota_is_for_voters_who_are_identified() {
        let faults = |policy, ballots, per_option| {
            NewPoll { policy, quota: Quota { ballots, per_option }, ..demo() }.faults().join("; ")
        };
        for (policy, ballots, per_option, part) in [
            (Policy::Unlimited, 2, None, "knows no voters"),
            (Policy::Unlimited, 1, Some(1), "knows no voters"),
            (Policy::Device, 0, None, "at least 1 ballot"),
            (Policy::Device, 2, Some(0), "an option once"),
            (Policy::Network, 2, Some(3), "can't choose an option more often"),
        ] {
            let faults = faults(policy, ballots, per_option);
            assert!(faults.contains(part), "{policy:?} {ballots} {per_option:?}: {faults}");
        }
        for (policy, ballots, per_option) in [
            (Policy::Unlimited, 1, None),
            (Policy::Device, 255, Some(255)),
            (Policy::Network, 20, Some(5)),
            (Policy::Code, 1, None),
        ] {
            assert_eq!(faults(policy, ballots, per_option), "");
        }
    }

    #[test]
    fn ranked_and_score_polls_have_rules_of_their_own() {
        let faults = |poll: NewPoll| poll.faults().join("; ");
        let ranked = NewPoll { kind: Kind::Ranked, ..demo() };
        assert_eq!(faults(ranked.clone()), "");
        assert_eq!(ranked.clone().into_poll(PollId(1)).max_choices, 5);
        let labels = (0..31).map(|number| format!("Song {number}")).collect();
        assert!(faults(NewPoll { labels, ..ranked.clone() }).contains("rank at most 30 options"));
        let quota = Quota { ballots: 3, per_option: Some(1) };
        assert!(faults(NewPoll { policy: Policy::Device, quota, ..ranked }).contains("quota for one option"));
        for score_max in [0, 11] {
            let counting = Counting { score_max, ..Counting::default() };
            assert!(faults(NewPoll { kind: Kind::Score, counting, ..demo() }).contains("highest score is 1 to 10"));
        }
    }

    #[test]
    fn single_choice_poll_allows_one_choice() {
        let mut poll = demo();
        poll.kind = Kind::Single;
        assert!(poll.faults().is_empty());
        poll.max_choices = Some(2);
        assert_eq!(poll.faults().len(), 1);
    }
}
