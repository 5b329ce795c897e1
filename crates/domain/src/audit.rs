//! Who changed what, and why.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::{Map, Value};

use crate::clock::Timestamp;
use crate::ids::Slug;
use crate::poll::Poll;
use crate::words::words;

/// The longest name of an author, in characters.
pub const AUTHOR_CHARS_MAX: usize = 100;

/// The longest reason, in characters.
pub const REASON_CHARS_MAX: usize = 500;

/// Who makes a change, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Author {
    /// The operator's name.
    pub name: Cow<'static, str>,
    /// Why, in the operator's words; may be empty.
    pub reason: Cow<'static, str>,
}

impl Author {
    /// A process of Throng by itself.
    pub const THRONG: Self = Self { name: Cow::Borrowed("throng"), reason: Cow::Borrowed("") };

    /// An operator, and why. Texts that are too long are cut.
    pub fn new(name: &str, reason: &str) -> Self {
        let cut = |text: &str, chars_max| Cow::Owned(text.chars().take(chars_max).collect());
        Self { name: cut(name, AUTHOR_CHARS_MAX), reason: cut(reason, REASON_CHARS_MAX) }
    }
}

words! {
    /// What was done.
    Action {
        /// A poll was created.
        Create = "create",
        /// A poll's texts or rules were changed.
        Edit = "edit",
        /// It was set when a poll opens and closes.
        Open = "open",
        /// A poll's close was set.
        Close = "close",
        /// A poll was archived.
        Archive = "archive",
        /// A poll is no longer archived.
        Unarchive = "unarchive",
        /// Ballots were voided.
        Void = "void",
        /// A rule that voids ballots was undone.
        Unvoid = "unvoid",
        /// The tallies were made to agree with the rules that void ballots.
        Recount = "recount",
        /// An earlier system's counts were taken over.
        Import = "import",
        /// A draft was deleted.
        Delete = "delete",
        /// A batch of invitation codes was made.
        CreateCodes = "create_codes",
        /// Such a batch was revoked.
        RevokeCodes = "revoke_codes",
        /// A token was made for somebody who administers polls.
        CreateToken = "create_token",
        /// Such a token was revoked.
        RevokeToken = "revoke_token",
        /// A show was created.
        CreateShow = "create_show",
        /// A show's title or polls were changed.
        EditShow = "edit_show",
        /// A show was deleted.
        DeleteShow = "delete_show",
        /// A webhook was made.
        CreateWebhook = "create_webhook",
        /// A webhook was deleted.
        DeleteWebhook = "delete_webhook",
    }
}

/// A change that was made, as it is stored; never changed or deleted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AuditEntry {
    /// Its number, in the order of the changes.
    pub number: u64,
    /// When, by the database's clock.
    pub at: Timestamp,
    /// Who.
    pub author: String,
    /// Why; may be empty.
    pub reason: String,
    /// What was done.
    pub action: Action,
    /// The poll's slug at that time; `None` if no poll was changed.
    pub poll: Option<Slug>,
    /// What was changed: each field with its value before and after. For a new or deleted poll, all of its fields; for a token, all
    /// but its secret.
    pub changes: Value,
}

/// The fields in which `after` differs from `before`, each with both values: `{"title":{"from":"A","to":"B"}}`.
pub fn changes(before: &Poll, after: &Poll) -> Value {
    let (before, after) = (fields(before), fields(after));
    let changed = after.into_iter().filter_map(|(name, to)| {
        let from = before.get(&name).cloned().unwrap_or_default();
        // The version increases with every change.
        (from != to && name != "version").then(|| (name, serde_json::json!({ "from": from, "to": to })))
    });
    Value::Object(changed.collect())
}

/// All of a poll's fields.
pub fn all_fields(poll: &Poll) -> Value {
    Value::Object(fields(poll))
}

fn fields(poll: &Poll) -> Map<String, Value> {
    match serde_json::to_value(poll) {
        Ok(Value::Object(fields)) => fields,
        // A poll's fields are texts, numbers and lists of them.
        _ => Map::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::PollId;
    use crate::new_poll::NewPoll;

    #[test]
    fn changes_have_both_values() {
        let before = NewPoll::demo("demo".parse().unwrap(), Timestamp(0)).into_poll(PollId(1));
        let mut after = before.clone();
        after.title = "Other?".to_owned();
        after.version += 1;
        let expected = serde_json::json!({"title": {"from": "What makes a great festival?", "to": "Other?"}});
        assert_eq!(changes(&before, &after), expected);
        assert_eq!(changes(&before, &before), serde_json::json!({}));
        assert_eq!(all_fields(&before)["slug"], "demo");
    }

    #[test]
    fn long_texts_are_cut() {
        let author = Author::new(&"a".repeat(1_000), &"\u{1f3b6}".repeat(1_000));
        assert_eq!((author.name.chars().count(), author.reason.chars().count()), (AUTHOR_CHARS_MAX, REASON_CHARS_MAX));
    }
}
