//! The rules that a poll must follow, whether it is new or changed.

use crate::counting::{RANKED_OPTIONS_MAX, SCORE_MAX};
use crate::policy::{Policy, Quota};
use crate::poll::{Kind, Poll, PollOption};
use crate::text;

/// The most options a poll may have.
pub const OPTIONS_MAX: usize = 100;
/// The longest title, in characters.
pub const TITLE_CHARS_MAX: usize = 200;
/// The longest intro, in characters.
pub const INTRO_CHARS_MAX: usize = 2_000;
/// The longest label of an option, in characters.
pub const LABEL_CHARS_MAX: usize = 200;

/// The longest text that a voter agrees to, in characters.
pub const CONSENT_CHARS_MAX: usize = 2_000;

impl Poll {
    /// A message to the operator for each rule that this poll breaks; empty if it breaks none.
    pub fn faults(&self) -> Vec<String> {
        let options = self.options.len();
        let wrong_number = format!("a poll has 2 to {OPTIONS_MAX} options, this one {options}");
        if options > OPTIONS_MAX {
            // Each would be compared with all others.
            return vec![wrong_number];
        }
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
        check(
            self.consent.is_empty() || fits(&self.consent, CONSENT_CHARS_MAX),
            format!("the consent text has at most {CONSENT_CHARS_MAX} characters"),
        );
        for (name, shown) in [("title", &self.title), ("intro", &self.intro), ("consent text", &self.consent)] {
            check_hidden(shown, &format!("the {name}"), &mut check);
        }
        check(options >= 2, wrong_number);
        let appearances: Vec<String> = self.options.iter().map(|option| text::appearance(&option.label)).collect();
        for (position, PollOption { id: number, label }) in self.options.iter().enumerate() {
            check(fits(label, LABEL_CHARS_MAX), format!("option {number} needs 1 to {LABEL_CHARS_MAX} characters"));
            check_hidden(label, &format!("option {number}"), &mut check);
            let duplicate = appearances[..position].iter().position(|earlier| *earlier == appearances[position]);
            if let Some(duplicate) = duplicate {
                check(
                    false,
                    format!("option {number}, `{label}`, looks the same as option {}", self.options[duplicate].id),
                );
            }
        }
        let (min, max) = (self.min_choices, self.max_choices);
        check(min >= 1, "a ballot chooses at least 1 option".to_owned());
        check(min <= max, format!("at least {min} and at most {max} choices can't both hold"));
        check(usize::from(max) <= options, format!("at most {max} choices, but there are {options} options"));
        check(
            self.kind != Kind::Single || (min, max) == (1, 1),
            "a single-choice poll allows exactly 1 choice; make it `multiple` for more".to_owned(),
        );
        check(
            self.kind != Kind::Ranked || options <= RANKED_OPTIONS_MAX,
            format!("voters can rank at most {RANKED_OPTIONS_MAX} options, this poll has {options}"),
        );
        let highest = self.counting.score_max;
        check(
            (1..=SCORE_MAX).contains(&highest),
            format!("the highest score is 1 to {SCORE_MAX}, {highest} isn't; the lowest one is 0"),
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
            per_option.is_none() || !self.kind.is_tabulated(),
            "a quota for one option is for ballots that choose options, not for rankings or scores; leave it out"
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
        faults.extend(self.allowed_origins.faults());
        faults
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
