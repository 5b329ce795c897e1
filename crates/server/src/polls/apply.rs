//! Making a poll be as a definition says, whatever it is now.

use throng_domain::poll::{Poll, PollId};
use throng_domain::poll_change::{Edit, WindowEdit};
use throng_domain::window::{Window, WindowFault};

use super::definition::WindowChange;
use super::{ATTEMPTS_MAX, PollDefinition, PollError, PollService, TimeArg};

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
    use throng_domain::clock::{Clock as _, ManualClock, SystemClock, Timestamp};
    use throng_domain::poll::Kind;
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
