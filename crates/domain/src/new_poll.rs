//! A poll to be created, and the rules that it must follow.

use crate::clock::Timestamp;
use crate::ids::{OptionId, PollId, Slug};
use crate::policy::{Policy, Quota};
use crate::poll::{Kind, PercentBase, Poll, PollOption, Proof, Visibility};
use crate::text;

/// The most options a poll may have.
pub const OPTIONS_MAX: usize = 100;
/// The longest title, in characters.
pub const TITLE_CHARS_MAX: usize = 200;
/// The longest intro, in characters.
pub const INTRO_CHARS_MAX: usize = 2_000;
/// The longest label of an option, in characters.
pub const LABEL_CHARS_MAX: usize = 200;

/// The data of a poll to be created. Its options get the ids 1, 2, 3 … in the order given.
#[derive(Clone, Debug)]
pub struct NewPoll {
    /// Its public name.
    pub slug: Slug,
    /// The question.
    pub title: String,
    /// A sentence or two below the title; may be empty.
    pub intro: String,
    /// One choice or several.
    pub kind: Kind,
    /// The fewest options a ballot may choose; 1 if not given.
    pub min_choices: Option<u16>,
    /// The most options a ballot may choose; if not given, 1 for a single choice, all for a multiple one.
    pub max_choices: Option<u16>,
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
    /// The options' labels, in the order they are shown.
    pub labels: Vec<String>,
}

impl NewPoll {
    /// The poll that a first run shows: five options, of which several may be chosen, open from `opens_at` on.
    pub fn demo(slug: Slug, opens_at: Timestamp) -> Self {
        let labels = ["Headliners", "New discoveries", "The light show", "Food and drink", "The people around me"];
        Self {
            slug,
            title: "What makes a great festival?".to_owned(),
            intro: "Tell the organisers what next year needs more of.".to_owned(),
            kind: Kind::Multiple,
            min_choices: None,
            max_choices: None,
            opens_at: Some(opens_at),
            closes_at: None,
            results: Visibility::Always,
            percent_base: PercentBase::Voters,
            policy: Policy::Unlimited,
            quota: Quota::ONE,
            changeable: false,
            proof: Proof::Never,
            labels: labels.map(str::to_owned).into(),
        }
    }

    /// A message to the operator for each rule that this poll breaks; empty if it breaks none.
    pub fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        let mut check = |holds: bool, fault: String| {
            if !holds {
                faults.push(fault);
            }
        };
        check(fits(&self.title, TITLE_CHARS_MAX), format!("the title needs 1 to {TITLE_CHARS_MAX} characters"));
        check(
            self.intro.is_empty() || fits(&self.intro, INTRO_CHARS_MAX),
            format!("the intro has at most {INTRO_CHARS_MAX} characters"),
        );
        for (name, shown) in [("title", &self.title), ("intro", &self.intro)] {
            check_hidden(shown, &format!("the {name}"), &mut check);
        }
        let options = self.labels.len();
        check(
            (2..=OPTIONS_MAX).contains(&options),
            format!("a poll has 2 to {OPTIONS_MAX} options, this one {options}"),
        );
        let appearances: Vec<String> = self.labels.iter().map(|label| text::appearance(label)).collect();
        for (position, label) in self.labels.iter().enumerate() {
            let number = position + 1;
            check(fits(label, LABEL_CHARS_MAX), format!("option {number} needs 1 to {LABEL_CHARS_MAX} characters"));
            check_hidden(label, &format!("option {number}"), &mut check);
            let duplicate = appearances[..position].iter().position(|earlier| *earlier == appearances[position]);
            if let Some(duplicate) = duplicate {
                check(false, format!("option {number}, `{label}`, looks the same as option {}", duplicate + 1));
            }
        }
        let (min, max) = self.limits();
        check(min >= 1, "a ballot chooses at least 1 option".to_owned());
        check(min <= max, format!("at least {min} and at most {max} choices can't both hold"));
        check(usize::from(max) <= options, format!("at most {max} choices, but there are {options} options"));
        check(
            self.kind == Kind::Multiple || (min, max) == (1, 1),
            "a single-choice poll allows exactly 1 choice; make it `multiple` for more".to_owned(),
        );
        let Quota { ballots, per_option } = self.quota;
        check(
            ballots >= 1 && per_option != Some(0),
            "a voter may cast at least 1 ballot, and choose an option once".to_owned(),
        );
        check(
            self.policy.identifies_voters() || self.quota == Quota::ONE,
            "the policy `unlimited` knows no voters, so there is no quota; choose another one".to_owned(),
        );
        check(
            !self.changeable || (self.policy.identifies_voters() && self.quota == Quota::ONE),
            "only a poll in which each voter has one ballot can let voters change it; choose a policy that identifies them, and \
             leave out the quota"
                .to_owned(),
        );
        check(
            !self.changeable || self.policy != Policy::Network,
            "with the policy `network`, people on one network would change each other's ballots; choose another policy, or leave \
             out that ballots can be changed"
                .to_owned(),
        );
        check(
            per_option.is_none_or(|most| most <= ballots),
            format!(
                "a voter who casts {ballots} ballots can't choose an option more often; leave out the option's quota"
            ),
        );
        if let (Some(opens_at), Some(closes_at)) = (self.opens_at, self.closes_at) {
            check(opens_at < closes_at, "it closes before it opens".to_owned());
        }
        faults
    }

    /// The poll as it is stored, under the id that its store assigned.
    pub fn into_poll(self, id: PollId) -> Poll {
        let (min_choices, max_choices) = self.limits();
        let options = (1..).zip(self.labels).map(|(id, label)| PollOption { id: OptionId(id), label }).collect();
        Poll {
            id,
            slug: self.slug,
            title: self.title,
            intro: self.intro,
            kind: self.kind,
            min_choices,
            max_choices,
            opens_at: self.opens_at,
            closes_at: self.closes_at,
            closed_at: None,
            final_at: None,
            results: self.results,
            percent_base: self.percent_base,
            policy: self.policy,
            quota: self.quota,
            changeable: self.changeable,
            proof: self.proof,
            version: 1,
            options,
        }
    }

    fn limits(&self) -> (u16, u16) {
        let all = u16::try_from(self.labels.len()).unwrap_or(u16::MAX);
        let most = match self.kind {
            Kind::Single => 1,
            Kind::Multiple => all,
        };
        (self.min_choices.unwrap_or(1), self.max_choices.unwrap_or(most))
    }
}

fn fits(text: &str, chars_max: usize) -> bool {
    text::is_visible(text) && text.chars().count() <= chars_max
}

fn check_hidden(text: &str, name: &str, check: &mut impl FnMut(bool, String)) {
    if let Some(hidden) = text::first_hidden(text) {
        let code = u32::from(hidden);
        check(false, format!("{name} has a character that voters can't see, U+{code:04X}; leave it out"));
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
    fn single_choice_poll_allows_one_choice() {
        let mut poll = demo();
        poll.kind = Kind::Single;
        assert!(poll.faults().is_empty());
        poll.max_choices = Some(2);
        assert_eq!(poll.faults().len(), 1);
    }
}
