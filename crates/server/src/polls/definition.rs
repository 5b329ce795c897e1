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
    Poll, PollId, Proof, Slug, TITLE_CHARS_MAX, Visibility,
};
use throng_domain::poll_change::{Edit, WindowEdit};
use throng_domain::window::{Window, WindowFault};

use super::{ATTEMPTS_MAX, PollError, PollService, Schedule, TimeArg};

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

/// What was done so that a poll is as it is defined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Applied {
    /// It was created.
    Created(Poll),
    /// It was changed.
    Changed(Poll),
    /// It was so already.
    Unchanged(Poll),
}

impl Applied {
    /// The poll, and what was done, as a word.
    pub fn poll(&self) -> (&Poll, &'static str) {
        match self {
            Self::Created(poll) => (poll, "created"),
            Self::Changed(poll) => (poll, "changed"),
            Self::Unchanged(poll) => (poll, "unchanged"),
        }
    }
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
    fn edit_of(&self, poll: &Poll) -> Result<Edit, PollError> {
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
enum WindowChange {
    Opens(TimeArg, Option<TimeArg>),
    Closes(Timestamp),
    /// A draft closes then, once it is opened.
    DraftCloses(Timestamp),
}

impl PollDefinition {
    /// The change by which the poll opens and closes as defined; `None` if it does so already. A poll that has an opening time
    /// keeps it, unless another time is given: `now` and a delay are for one that has none. A poll that has closed stays closed, if it
    /// would be closed by now as defined, too.
    fn window_change(&self, poll: &Poll, now: Timestamp) -> Result<Option<WindowChange>, PollError> {
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

impl PollService<'_> {
    /// Creates the poll, or changes the one with its slug, so that it is as `definition` says; if it is, nothing is done. A poll that
    /// was never opened opens as defined; one that was opened may close at another time.
    ///
    /// All of it is one change, which is made or isn't.
    ///
    /// # Errors
    /// As for [`Self::create`], [`Self::edit`], [`Self::open`] and [`Self::close`].
    pub async fn apply(&self, definition: &PollDefinition) -> Result<Applied, PollError> {
        for _ in 1..ATTEMPTS_MAX {
            match self.apply_once(definition).await {
                // Another change was faster, about which the caller said nothing.
                Err(PollError::OtherVersion { .. } | PollError::SlugTaken(_)) if self.version.is_none() => {}
                done => return done,
            }
        }
        self.apply_once(definition).await
    }

    async fn apply_once(&self, definition: &PollDefinition) -> Result<Applied, PollError> {
        let slug = &definition.slug;
        if self.version.is_none() && self.store.poll(slug).await?.is_none() {
            let (new, schedule) = definition.clone().into_new_poll()?;
            return self.create(new, schedule).await.map(Applied::Created);
        }
        let poll = self.find_to_change(slug).await?;
        let (edit, _) = self.changes_of(definition, &poll)?;
        let changed = self.at(Some(poll.version)).edit(slug, edit).await?;
        Ok(if changed.version == poll.version { Applied::Unchanged(changed) } else { Applied::Changed(changed) })
    }

    /// What [`Self::apply`] would do, so far as is known before it is done. The poll is as it would be, but for when it opens and
    /// closes.
    ///
    /// # Errors
    /// As for [`Self::apply`].
    pub async fn preview_apply(&self, definition: &PollDefinition) -> Result<Applied, PollError> {
        let Some(poll) = self.store.poll(&definition.slug).await? else {
            let (new, schedule) = definition.clone().into_new_poll()?;
            return Ok(Applied::Created(schedule.of(new, self.clock.now())?.into_poll(PollId(0))));
        };
        let (edit, edited) = self.changes_of(definition, &poll)?;
        let is_changed = edited != poll || edit.window.is_some();
        Ok(if is_changed { Applied::Changed(edited) } else { Applied::Unchanged(edited) })
    }

    /// The edit by which the poll becomes as defined, and the poll after it, but for its window: checked, so far as is known before it is
    /// stored.
    fn changes_of(&self, definition: &PollDefinition, poll: &Poll) -> Result<(Edit, Poll), PollError> {
        let now = self.clock.now();
        let edit = definition.edit_of(poll)?;
        let edited = poll.edited(&edit, now, false);
        let edited = edited.map_err(|fault| PollError::Edit { slug: poll.slug.clone(), fault })?;
        let fault = |fault| PollError::Window { slug: poll.slug.clone(), fault };
        let window = match definition.window_change(&edited, now)? {
            Some(WindowChange::Opens(at, closes_at)) => {
                Some(WindowEdit::Set(self.window_opened(&edited, now, at, closes_at).map_err(fault)?))
            }
            Some(WindowChange::Closes(at)) => {
                Some(WindowEdit::Close(self.checked_close(&edited, now, TimeArg::At(at)).map_err(fault)?))
            }
            Some(WindowChange::DraftCloses(closes_at)) if closes_at <= now => {
                return Err(fault(WindowFault::ClosesInThePast { closes_at }));
            }
            Some(WindowChange::DraftCloses(at)) => {
                Some(WindowEdit::Set(Window { opens_at: None, closes_at: Some(at) }))
            }
            None => None,
        };
        Ok((Edit { window, ..edit }, edited))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::{Value, json};
    use throng_backends::store::sqlite::SqliteStore;
    use throng_domain::audit::Author;
    use throng_domain::clock::{Clock as _, ManualClock, SystemClock};
    use throng_domain::poll_change::PollChange;
    use throng_domain::store::{PollStore as _, Schema as _};

    use super::*;
    use crate::config::{Config, Sources};

    async fn store() -> (tempfile::TempDir, Arc<SqliteStore>) {
        let directory = tempfile::tempdir().unwrap();
        let store = Arc::new(SqliteStore::open(&directory.path().join("throng.db")).unwrap());
        store.migrate().await.unwrap();
        (directory, store)
    }

    async fn preview(store: &SqliteStore, definition: &Value) -> Result<Applied, PollError> {
        let (config, clock) = (Config::read(&Sources::from_pairs(&[])).unwrap(), ManualClock::new(SystemClock.now()));
        let definition: PollDefinition = serde_json::from_value(definition.clone()).unwrap();
        PollService::new(store, &clock, &config, &Author::THRONG).preview_apply(&definition).await
    }

    async fn apply(store: &SqliteStore, definition: &Value) -> Result<(&'static str, Poll), PollError> {
        let (config, clock) = (Config::read(&Sources::from_pairs(&[])).unwrap(), ManualClock::new(SystemClock.now()));
        let definition: PollDefinition = serde_json::from_value(definition.clone()).unwrap();
        let applied = PollService::new(store, &clock, &config, &Author::THRONG).apply(&definition).await?;
        let (poll, what) = applied.poll();
        Ok((what, poll.clone()))
    }

    #[tokio::test]
    async fn definition_is_applied_once() {
        let (_directory, store) = store().await;
        let mut song = json!({"slug": "song", "title": "Best song?", "options": ["A", "B", "C"]});
        assert_eq!(apply(&store, &song).await.unwrap().0, "created");
        assert_eq!(apply(&store, &song).await.unwrap().0, "unchanged");
        song["options"] = json!([{"id": 1, "label": "Alpha"}, "B", {"id": 4, "label": "D"}]);
        song["kind"] = json!("multiple");
        let (what, poll) = apply(&store, &song).await.unwrap();
        let labels: Vec<_> = poll.options.iter().map(|option| (option.id.0, option.label.as_str())).collect();
        assert_eq!((what, labels), ("changed", vec![(1, "Alpha"), (2, "B"), (4, "D")]));
        assert_eq!((poll.kind, poll.max_choices), (Kind::Multiple, 3));
        assert_eq!(apply(&store, &song).await.unwrap().0, "unchanged");
        song["options"] = json!([{"id": 1, "label": "Alpha"}, {"id": 3, "label": "C"}]);
        let refused = apply(&store, &song).await.unwrap_err().to_string();
        assert!(refused.contains("gets the id 5"), "{refused}");
    }

    /// Options are known by their ids: a list in another order must not give one option's votes to another.
    #[tokio::test]
    async fn votes_stay_with_their_options() {
        let (_directory, store) = store().await;
        let mut song = json!({"slug": "song", "title": "Best song?", "options": ["A", "B", "C"], "opens_at": "now"});
        let (_, made) = apply(&store, &song).await.unwrap();
        for (options, part) in [
            (json!(["B", "A", "C"]), "`B`, and its votes with it"),
            (json!([{"id": 2, "label": "B"}, {"id": 1, "label": "A"}, "C"]), "keep their order"),
            (json!(["A", {"id": 1, "label": "Z"}, "C"]), "two options have the id 1"),
            (json!(vec![""; 70_000]), "2 to 100 options"),
        ] {
            song["options"] = options;
            let refused = apply(&store, &song).await.unwrap_err().to_string();
            assert!(refused.contains(part), "{part}: {refused}");
        }
        song["options"] = json!(["Alpha", "B", "C"]);
        let (what, poll) = apply(&store, &song).await.unwrap();
        assert_eq!((what, poll.version, poll.options[0].label.as_str()), ("changed", made.version + 1, "Alpha"));
    }

    /// A poll that can't open or close as defined isn't edited either, and a preview says so.
    #[tokio::test]
    async fn definition_is_applied_whole_or_not_at_all() {
        let (_directory, store) = store().await;
        let mut song =
            json!({"slug": "song", "title": "One", "options": ["A", "B"], "opens_at": "now", "closes_at": "+2h"});
        apply(&store, &song).await.unwrap();
        song["title"] = json!("Two");
        song["opens_at"] = json!("2998-01-01T00:00:00Z");
        assert!(matches!(apply(&store, &song).await, Err(PollError::Window { .. })));
        assert!(matches!(preview(&store, &song).await, Err(PollError::Window { .. })));
        let stored = store.poll(&"song".parse().unwrap()).await.unwrap().unwrap();
        assert_eq!((stored.title.as_str(), stored.version), ("One", 1));
    }

    #[tokio::test]
    async fn draft_gets_the_close_it_is_defined_with() {
        let (_directory, store) = store().await;
        let mut song =
            json!({"slug": "song", "title": "One", "options": ["A", "B"], "closes_at": "2998-01-01T00:00:00Z"});
        apply(&store, &song).await.unwrap();
        song["closes_at"] = json!("2999-01-01T00:00:00Z");
        let (what, poll) = apply(&store, &song).await.unwrap();
        assert_eq!((what, poll.closes_at), ("changed", Some(Timestamp(32_472_144_000_000))));
        assert_eq!(apply(&store, &song).await.unwrap().0, "unchanged");
        song["closes_at"] = json!("2020-01-01T00:00:00Z");
        assert!(matches!(apply(&store, &song).await, Err(PollError::Window { .. })));
    }

    /// An evening that was ended early doesn't begin anew with the next import.
    #[tokio::test]
    async fn poll_that_was_closed_early_stays_closed() {
        let (_directory, store) = store().await;
        let mut song =
            json!({"slug": "song", "title": "One", "options": ["A", "B"], "opens_at": "now", "closes_at": "+2h"});
        let (_, poll) = apply(&store, &song).await.unwrap();
        let closed = Window { opens_at: poll.opens_at, closes_at: poll.opens_at.map(|at| at.plus_ms(1)) };
        store.change_poll(poll.id, poll.version, PollChange::Window(closed), &Author::THRONG).await.unwrap();
        assert_eq!(apply(&store, &song).await.unwrap().0, "unchanged");
        song["closes_at"] = json!("2999-01-01T00:00:00Z");
        assert!(matches!(apply(&store, &song).await, Err(PollError::Window { .. })));
    }

    #[tokio::test]
    async fn window_is_applied_once() {
        let (_directory, store) = store().await;
        let mut song = json!({"slug": "song", "title": "Best song?", "options": ["A", "B"], "opens_at": "now"});
        assert_eq!(apply(&store, &song).await.unwrap().0, "created");
        song["closes_at"] = json!("+2h");
        let (what, poll) = apply(&store, &song).await.unwrap();
        assert_eq!((what, poll.closes_at), ("changed", poll.opens_at.map(|at| at.plus_ms(7_200_000))));
        assert_eq!(apply(&store, &song).await.unwrap().0, "unchanged");
        song["closes_at"] = json!("2999-01-01T00:00:00Z");
        let (what, poll) = apply(&store, &song).await.unwrap();
        assert_eq!((what, poll.closes_at), ("changed", Some(Timestamp(32_472_144_000_000))));
        song["opens_at"] = json!("2998-01-01T00:00:00Z");
        assert!(matches!(apply(&store, &song).await, Err(PollError::Window { .. })));
    }

    #[test]
    fn unknown_fields_are_refused() {
        for unknown in [
            json!({"votes": 999}),
            json!({"is_admin": true}),
            json!({"options": [{"id": 1, "label": "A", "votes": 9}]}),
        ] {
            let mut song = json!({"slug": "song", "title": "?", "options": ["A", "B"]});
            song.as_object_mut().unwrap().extend(unknown.as_object().unwrap().clone());
            assert!(serde_json::from_value::<PollDefinition>(song).is_err(), "{unknown}");
        }
    }
}
