//! A poll as it is written down, in a file or in a request: what it is to be, whatever it is now.

use schemars::JsonSchema;
use serde::Deserialize;
use throng_domain::clock::Timestamp;
use throng_domain::counting::{Counting, CountingEdit};
use throng_domain::new_poll::NewPoll;
use throng_domain::object::{object, object_or_null};
use throng_domain::origins::AllowedOrigins;
use throng_domain::policy::{Policy, Quota};
use throng_domain::poll::{
    CONSENT_CHARS_MAX, INTRO_CHARS_MAX, Kind, LABEL_CHARS_MAX, Locale, OPTIONS_MAX, OptionId, OptionOrder, PercentBase,
    Poll, Proof, Slug, TITLE_CHARS_MAX, Visibility,
};
use throng_domain::poll_change::Edit;

use super::{PollError, Schedule, TimeArg};

/// A poll as it is to be. What isn't given is as in a new poll, but when it opens and closes, which then stays as it is.
#[derive(Clone, Debug, JsonSchema, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PollDefinition {
    /// Its public name, by which it is recognized.
    pub slug: Slug,
    /// The question.
    #[schemars(length(min = 1, max = TITLE_CHARS_MAX))]
    pub title: String,
    /// A sentence or two below the title.
    #[serde(default)]
    #[schemars(length(max = INTRO_CHARS_MAX))]
    pub intro: String,
    /// What a voter agrees to by voting.
    #[serde(default)]
    #[schemars(length(max = CONSENT_CHARS_MAX))]
    pub consent: String,
    /// What a ballot says of the options.
    #[serde(default = "single")]
    pub kind: Kind,
    /// Its options, in the order they are shown.
    #[schemars(length(min = 2, max = OPTIONS_MAX))]
    pub options: Vec<OptionDefinition>,
    /// The fewest options a ballot may choose.
    #[serde(default)]
    #[schemars(range(min = 1, max = OPTIONS_MAX))]
    pub min_choices: Option<u16>,
    /// The most options a ballot may choose.
    #[serde(default)]
    #[schemars(range(min = 1, max = OPTIONS_MAX))]
    pub max_choices: Option<u16>,
    /// How rankings or scores are counted.
    #[serde(default, deserialize_with = "object")]
    pub counting: Counting,
    /// When it opens.
    #[serde(default)]
    pub opens_at: Option<TimeArg>,
    /// When it closes; a delay counts from the opening.
    #[serde(default)]
    pub closes_at: Option<TimeArg>,
    /// Who may see its results, and when.
    #[serde(default = "always")]
    pub results: Visibility,
    /// What the percentages are shares of.
    #[serde(default = "voters")]
    pub percent_base: PercentBase,
    /// What identifies a voter.
    #[serde(default = "unlimited")]
    pub policy: Policy,
    /// How often a voter may vote.
    #[serde(default, deserialize_with = "object_or_null")]
    pub quota: Option<Quota>,
    /// Whether voters may replace or withdraw their ballots until the poll closes.
    #[serde(default)]
    pub changeable: bool,
    /// Whether a ballot has to come with a proof of work.
    #[serde(default = "never")]
    pub proof: Proof,
    /// Whose pages may vote.
    #[serde(default)]
    pub allowed_origins: AllowedOrigins,
    /// The language of its texts.
    #[serde(default = "english")]
    pub locale: Locale,
    /// In which order its page shows the options.
    #[serde(default = "fixed")]
    pub option_order: OptionOrder,
    /// Whether it is a rehearsal, which a poll is from its creation on or never.
    #[serde(default)]
    pub rehearsal: bool,
}

/// An option: its label, with the next id, or both.
#[derive(Clone, Debug, JsonSchema, Deserialize)]
#[serde(untagged)]
pub enum OptionDefinition {
    /// Its label; its id is its place in the list, from 1.
    Label(#[schemars(length(min = 1, max = LABEL_CHARS_MAX))] String),
    /// Its id and label, for options that some are left out before.
    #[serde(deserialize_with = "object")]
    WithId(NumberedOption),
}

/// An option with its id.
#[derive(Clone, Debug, JsonSchema, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NumberedOption {
    /// Its id.
    pub id: OptionId,
    /// Its label.
    #[schemars(length(min = 1, max = LABEL_CHARS_MAX))]
    pub label: String,
}

fn single() -> Kind {
    Kind::Single
}

fn always() -> Visibility {
    Visibility::Always
}

fn voters() -> PercentBase {
    PercentBase::Voters
}

fn unlimited() -> Policy {
    Policy::Unlimited
}

fn never() -> Proof {
    Proof::Never
}

fn english() -> Locale {
    Locale::English
}

fn fixed() -> OptionOrder {
    OptionOrder::Fixed
}

impl PollDefinition {
    /// The poll to be created, and when it opens and closes.
    ///
    /// # Errors
    /// [`PollError::Invalid`] if the options' ids aren't those of a new poll.
    pub fn into_new_poll(self) -> Result<(NewPoll, Schedule), PollError> {
        let options = self.numbered_options()?;
        if (1..).zip(&options).any(|(id, (given, _))| given.0 != id) {
            return Err(PollError::Invalid(vec![
                "the options of a new poll have the ids 1, 2, 3 … in this order".to_owned(),
            ]));
        }
        let schedule = Schedule { opens_at: self.opens_at, closes_at: self.closes_at };
        let new = NewPoll {
            slug: self.slug,
            rehearsal: self.rehearsal,
            title: self.title,
            intro: self.intro,
            consent: self.consent,
            kind: self.kind,
            min_choices: self.min_choices,
            max_choices: self.max_choices,
            counting: self.counting,
            opens_at: None,
            closes_at: None,
            results: self.results,
            percent_base: self.percent_base,
            policy: self.policy,
            quota: self.quota.unwrap_or(Quota::ONE),
            changeable: self.changeable,
            proof: self.proof,
            allowed_origins: self.allowed_origins,
            locale: self.locale,
            option_order: self.option_order,
            labels: options.into_iter().map(|(_, label)| label).collect(),
        };
        Ok((new, schedule))
    }

    /// The options with their ids.
    ///
    /// # Errors
    /// [`PollError::Invalid`] if there are too many, or two have the same id.
    fn numbered_options(&self) -> Result<Vec<(OptionId, String)>, PollError> {
        if self.options.len() > OPTIONS_MAX {
            let fault = format!("a poll has 2 to {OPTIONS_MAX} options, this one {}", self.options.len());
            return Err(PollError::Invalid(vec![fault]));
        }
        let numbered = |(place, option): (u16, &OptionDefinition)| match option {
            OptionDefinition::Label(label) => (OptionId(place), label.clone()),
            OptionDefinition::WithId(NumberedOption { id, label }) => (*id, label.clone()),
        };
        let options: Vec<_> = (1..).zip(&self.options).map(numbered).collect();
        let twice =
            |(place, (id, _)): &(usize, &(OptionId, String))| options[..*place].iter().any(|(other, _)| other == id);
        match options.iter().enumerate().find(twice) {
            Some((_, (id, _))) => Err(PollError::Invalid(vec![format!("two options have the id {id}")])),
            None => Ok(options),
        }
    }

    /// The edit by which `poll` becomes as this says.
    ///
    /// # Errors
    /// [`PollError::Invalid`] if a new option isn't the next one, the options have another order than in the poll, or one of an
    /// opened poll would get the label of another one: its votes would count for something else.
    pub(super) fn edit_of(&self, poll: &Poll) -> Result<Edit, PollError> {
        if self.rehearsal != poll.rehearsal {
            return Err(PollError::RehearsalForGood { slug: poll.slug.clone(), rehearsal: poll.rehearsal });
        }
        let options = self.numbered_options()?;
        let existing = |id: OptionId| poll.options.iter().find(|option| option.id == id);
        let (kept, added): (Vec<_>, Vec<_>) = options.iter().partition(|(id, _)| existing(*id).is_some());
        let next = u32::from(poll.last_option.0) + 1;
        if (next..).zip(&added).any(|(next, (id, _))| u32::from(id.0) != next) {
            return Err(PollError::Invalid(vec![format!(
                "a new option of the poll `{}` gets the id {next}, after all that it ever had; give the options' ids",
                poll.slug
            )]));
        }
        let in_order =
            poll.options.iter().map(|option| option.id).filter(|id| kept.iter().any(|(other, _)| other == id));
        let in_order = in_order.chain(added.iter().map(|(id, _)| *id));
        if !options.iter().map(|(id, _)| *id).eq(in_order) {
            let fault = format!("the options of the poll `{}` keep their order; new ones come last", poll.slug);
            return Err(PollError::Invalid(vec![fault]));
        }
        let has_label_of_other = |(id, label): &&&(OptionId, String)| {
            poll.options.iter().any(|other| other.label == *label && other.id != *id)
                && existing(*id).is_some_and(|option| option.label != *label)
        };
        if let Some((id, label)) = kept.iter().find(has_label_of_other).filter(|_| !poll.is_draft()) {
            return Err(PollError::Invalid(vec![format!(
                "option {id} of the poll `{}` would get another one's label, `{label}`, and its votes with it; options keep their order",
                poll.slug
            )]));
        }
        let is_relabelled = |id: OptionId, label: &str| existing(id).is_some_and(|option| option.label != label);
        let (min, max) = self.kind.default_limits(options.len());
        let quota = self.quota.unwrap_or(Quota::ONE);
        Ok(Edit {
            title: Some(self.title.clone()),
            intro: Some(self.intro.clone()),
            consent: Some(self.consent.clone()),
            labels: options.iter().filter(|(id, label)| is_relabelled(*id, label)).cloned().collect(),
            added: added.into_iter().map(|(_, label)| label.clone()).collect(),
            removed: poll
                .options
                .iter()
                .map(|option| option.id)
                .filter(|id| options.iter().all(|(kept, _)| kept != id))
                .collect(),
            results: Some(self.results),
            percent_base: Some(self.percent_base),
            proof: Some(self.proof),
            allowed_origins: Some(self.allowed_origins.clone()),
            locale: Some(self.locale),
            option_order: Some(self.option_order),
            kind: Some(self.kind),
            min_choices: Some(self.min_choices.unwrap_or(min)),
            max_choices: Some(self.max_choices.unwrap_or(max)),
            counting: CountingEdit::to(self.counting),
            policy: Some(self.policy),
            ballots: Some(quota.ballots),
            per_option: Some(quota.per_option),
            changeable: Some(self.changeable),
            window: None,
        })
    }
}

/// When the poll opens or closes otherwise than it would.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WindowChange {
    Opens(TimeArg, Option<TimeArg>),
    Closes(Timestamp),
    /// A draft closes then, once it is opened.
    DraftCloses(Timestamp),
}

impl PollDefinition {
    /// The change by which the poll opens and closes as defined; `None` if it does so already. A poll that has an opening time
    /// keeps it, unless another time is given: `now` and a delay are for one that has none. A poll that has closed stays closed, if it
    /// would be closed by now as defined, too.
    pub(super) fn window_change(&self, poll: &Poll, now: Timestamp) -> Result<Option<WindowChange>, PollError> {
        let opens_at = match (self.opens_at, poll.opens_at) {
            (Some(TimeArg::At(at)), stored) if stored == Some(at) => None,
            (Some(TimeArg::Now | TimeArg::After { .. }), Some(_)) => None,
            (given, _) => given,
        };
        if let Some(at) = opens_at {
            return Ok(Some(WindowChange::Opens(at, self.closes_at)));
        }
        let Some(closes_at) = self.closes_at else { return Ok(None) };
        let at = match (closes_at, poll.opens_at) {
            (TimeArg::After { .. }, None) => return Err(PollError::NoOpeningToCountFrom),
            (closes_at, opens_at) => closes_at.resolve(now, opens_at.unwrap_or(now)),
        };
        let is_absolute = matches!(closes_at, TimeArg::At(_));
        if poll.closes_at == Some(at) || poll.is_closed(now) && (at <= now || !is_absolute) {
            return Ok(None);
        }
        Ok(Some(if poll.is_draft() { WindowChange::DraftCloses(at) } else { WindowChange::Closes(at) }))
    }
}
