//! Changes of a poll, and what each is allowed for.
//!
//! A change is decided by the poll as it is stored, in the transaction that stores it: see
//! [`PollStore::change_poll`](crate::store::PollStore::change_poll).

use crate::audit::Action;
use crate::clock::Timestamp;
use crate::counting::CountingEdit;
use crate::ids::OptionId;
use crate::origins::AllowedOrigins;
use crate::policy::{Policy, Quota};
use crate::poll::{Kind, Locale, OptionOrder, PercentBase, Poll, PollOption, PollState, Proof, Visibility};
use crate::store::StoreError;
use crate::tally::TallyChange;
use crate::void::{VOIDS_MAX, Void, VoidRule};
use crate::window::{Close, HEARD_MS, Window};

/// The most votes of an option that are taken over: enough for anybody, and far from what a count can hold.
pub const IMPORTED_MAX: u64 = 1 << 48;

/// A change of a poll.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PollChange {
    /// Sets when it opens and closes, and clears the [marks](crate::poll::Mark) of its end.
    Window(Window),
    /// Closes it at the time that [`Close::moment`] determines.
    Close(Close),
    /// Changes its texts or rules. A poll that opens before every server knows of that counts as open.
    Edit(Edit),
    /// Makes ballots void. The tallies agree with that once [`PollChange::Applied`] says so.
    Void(VoidRule),
    /// Undoes the rule with this number.
    Unvoid(u32),
    /// Corrects the tallies by the difference that a count of all ballots has found. It was counted by the rules of the version that is
    /// changed, so no other correction and no change of the rules can have come in between.
    Applied(TallyChange),
    /// Takes over counts from an earlier system, in the place of those that were taken over before. Voters aren't known of them, so
    /// percentages become shares of the selections.
    Import(Vec<(OptionId, u64)>),
    /// Archives it, once its result is final, or takes it back.
    Archive(bool),
}

/// New values for some of a poll's fields; those that are `None` stay.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Edit {
    /// The question.
    pub title: Option<String>,
    /// The text below the title.
    pub intro: Option<String>,
    /// What a voter agrees to by voting.
    pub consent: Option<String>,
    /// New labels of options.
    pub labels: Vec<(OptionId, String)>,
    /// Labels of new options, which are added at the end.
    pub added: Vec<String>,
    /// Options that are removed.
    pub removed: Vec<OptionId>,
    /// Who may see the results, and when.
    pub results: Option<Visibility>,
    /// What percentages are shares of.
    pub percent_base: Option<PercentBase>,
    /// Whether a ballot has to come with a proof of work.
    pub proof: Option<Proof>,
    /// Whose pages may vote.
    pub allowed_origins: Option<AllowedOrigins>,
    /// The language of its texts.
    pub locale: Option<Locale>,
    /// In which order its page shows the options.
    pub option_order: Option<OptionOrder>,
    /// What a ballot says of the options. If it changes, the limits become those of a new poll, unless they are given too.
    pub kind: Option<Kind>,
    /// The fewest options that a ballot may choose.
    pub min_choices: Option<u16>,
    /// The most options that a ballot may choose.
    pub max_choices: Option<u16>,
    /// How rankings or scores are counted.
    pub counting: CountingEdit,
    /// What identifies a voter.
    pub policy: Option<Policy>,
    /// How many ballots a voter may cast.
    pub ballots: Option<u8>,
    /// How many of them may choose the same option; `Some(None)` for any number.
    pub per_option: Option<Option<u8>>,
    /// Whether voters may replace or withdraw their ballots.
    pub changeable: Option<bool>,
    /// When it opens and closes.
    pub window: Option<WindowEdit>,
}

/// A change of when a poll opens and closes, with other ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WindowEdit {
    /// As for [`PollChange::Window`].
    Set(Window),
    /// As for [`PollChange::Close`].
    Close(Close),
}

/// Why a poll can't be edited so.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EditFault {
    /// It would break these rules.
    #[error("\n  {}", .0.join("\n  "))]
    Invalid(Vec<String>),
    /// What decides how ballots count can't change any more: it has ballots, or may have accepted some.
    #[error("{} can't change once a poll has opened, or has ballots or imported votes; what may change then: title, intro, consent text, labels of options, visibility of the results, percent base, proof, allowed origins, locale, order of the options on the page", .0.join(", "))]
    Fixed(Vec<&'static str>),
}

impl PollChange {
    /// The poll after this change, made at `now`; `has_ballots` says whether any is recorded, if that [matters](Self::depends_on_ballots).
    ///
    /// # Errors
    /// [`StoreError::Conflict`] if it has closed meanwhile, [`StoreError::Rejected`] if the change isn't allowed.
    pub fn apply(&self, poll: &Poll, now: Timestamp, has_ballots: bool) -> Result<Poll, StoreError> {
        let rejected = |why: String| StoreError::Rejected(why);
        let changed = match self {
            Self::Window(_) | Self::Close(_) if poll.archived_at.is_some() => {
                return Err(rejected(format!("poll `{}` is archived; take it back first", poll.slug)));
            }
            Self::Edit(Edit { window: Some(_), .. }) if poll.archived_at.is_some() => {
                return Err(rejected(format!("poll `{}` is archived; take it back first", poll.slug)));
            }
            Self::Window(window) => poll.with(*window),
            Self::Close(close) => poll.with_close(*close, now)?,
            Self::Edit(edit) => {
                let edited = poll.edited(edit, now, has_ballots).map_err(|fault| rejected(fault.to_string()))?;
                match edit.window {
                    Some(WindowEdit::Set(window)) => edited.with(window),
                    Some(WindowEdit::Close(close)) => edited.with_close(close, now)?,
                    None => edited,
                }
            }
            Self::Void(rule) => poll.with_void(rule).map_err(rejected)?,
            Self::Unvoid(number) => poll.without_void(*number).map_err(rejected)?,
            Self::Applied(_) => poll.with_voids_applied(),
            Self::Import(counts) => poll.with_imported(counts).map_err(rejected)?,
            Self::Archive(true) if poll.is_draft() => {
                return Err(rejected(format!("poll `{}` is a draft; delete it instead", poll.slug)));
            }
            Self::Archive(true) if poll.final_at.is_none() => {
                return Err(rejected(format!("poll `{}` isn't final yet, so it can't be archived", poll.slug)));
            }
            Self::Archive(archive) => {
                Poll { archived_at: archive.then(|| poll.archived_at.unwrap_or(now)), ..poll.clone() }
            }
        };
        Ok(Poll { version: poll.version + 1, ..changed })
    }

    /// What it adds to the tallies of the poll that it changes from `before` to `after`; `None` if nothing that is shown changes.
    pub fn tally_change(&self, before: &Poll, after: &Poll) -> Option<TallyChange> {
        match self {
            Self::Edit(_) | Self::Import(_) => Some(TallyChange {
                counts: TallyChange::differences(&before.imported, &after.imported),
                ..TallyChange::none(after.id)
            }),
            Self::Applied(correction) => Some(correction.clone()),
            Self::Window(_) | Self::Close(_) | Self::Void(_) | Self::Unvoid(_) | Self::Archive(_) => None,
        }
    }

    /// Whether it matters to it if any ballot is recorded. Others, such as a close, don't wait for the ballots, which may be locked.
    pub fn depends_on_ballots(&self) -> bool {
        match self {
            Self::Edit(_) => true,
            Self::Window(_)
            | Self::Close(_)
            | Self::Void(_)
            | Self::Unvoid(_)
            | Self::Applied(_)
            | Self::Import(_)
            | Self::Archive(_) => false,
        }
    }

    /// What it does, for the audit log.
    pub fn action(&self) -> Action {
        match self {
            Self::Window(_) => Action::Open,
            Self::Close(_) => Action::Close,
            Self::Edit(_) => Action::Edit,
            Self::Void(_) => Action::Void,
            Self::Unvoid(_) => Action::Unvoid,
            Self::Applied(_) => Action::Recount,
            Self::Import(_) => Action::Import,
            Self::Archive(true) => Action::Archive,
            Self::Archive(false) => Action::Unarchive,
        }
    }
}

/// The poll as a store has it, which must still be at `version`.
///
/// # Errors
/// [`StoreError::Conflict`].
pub fn at_version(stored: Option<Poll>, version: u64) -> Result<Poll, StoreError> {
    let stored = stored.ok_or_else(|| StoreError::Conflict("the poll no longer exists".to_owned()))?;
    if stored.version == version {
        return Ok(stored);
    }
    Err(StoreError::Conflict(format!(
        "poll `{}` was changed meanwhile (version {}, not {version}); check it again",
        stored.slug, stored.version
    )))
}

impl Poll {
    /// Checks that the poll may be deleted; `has_ballots` says whether any is recorded.
    ///
    /// # Errors
    /// [`StoreError::Rejected`] unless it is a draft without ballots.
    pub fn require_deletable(&self, has_ballots: bool) -> Result<(), StoreError> {
        if self.is_draft() && !has_ballots {
            return Ok(());
        }
        Err(StoreError::Rejected(format!("poll `{}` isn't a draft any more, so it can't be deleted", self.slug)))
    }

    fn with(&self, Window { opens_at, closes_at }: Window) -> Self {
        Self { opens_at, closes_at, closed_at: None, final_at: None, ..self.clone() }
    }

    fn with_close(&self, close: Close, now: Timestamp) -> Result<Self, StoreError> {
        let closed = || StoreError::Conflict(format!("poll `{}` has closed meanwhile; check it again", self.slug));
        let closes_at = close.moment(self.closes_at, now).ok_or_else(closed)?;
        Ok(self.with(Window { opens_at: self.opens_at, closes_at: Some(closes_at) }))
    }

    fn with_imported(&self, counts: &[(OptionId, u64)]) -> Result<Self, String> {
        if self.rehearsal {
            return Err(format!("poll `{}` is a rehearsal, which takes over no votes", self.slug));
        }
        if self.kind.is_tabulated() {
            return Err(format!(
                "the options of poll `{}` are ranked or scored, which an earlier system's votes aren't",
                self.slug
            ));
        }
        if let Some((unknown, _)) = counts.iter().find(|(id, _)| self.options.iter().all(|option| option.id != *id)) {
            return Err(format!("poll `{}` has no option {unknown}", self.slug));
        }
        if counts.iter().any(|(_, count)| *count > IMPORTED_MAX) {
            return Err(format!("an option can't have more than {IMPORTED_MAX} votes from an earlier system"));
        }
        let mut imported = counts.to_vec();
        imported.sort_unstable();
        imported.retain(|(_, count)| *count > 0);
        Ok(Self { imported, percent_base: PercentBase::Selections, ..self.clone() })
    }

    /// Until the ballots are counted by changed rules, a ballot that replaces another one would be judged by ballots that the tallies
    /// don't have, or have though they are void.
    fn require_settled_ballots(&self) -> Result<(), String> {
        if self.changeable && self.final_at.is_none() {
            return Err(format!(
                "voters may still change their ballots in poll `{}`; rules that void ballots can change once its result is final",
                self.slug
            ));
        }
        Ok(())
    }

    fn with_void(&self, rule: &VoidRule) -> Result<Self, String> {
        self.require_settled_ballots()?;
        rule.check(self.policy.identifies_voters())?;
        if let Some(unknown) =
            rule.choices.iter().flatten().find(|id| self.options.iter().all(|option| option.id != **id))
        {
            return Err(format!("poll `{}` has no option {unknown}", self.slug));
        }
        let chosen = rule.choices.as_ref().map_or(0, Vec::len);
        if chosen > usize::from(self.max_choices) {
            return Err(format!(
                "no ballot in poll `{}` chooses {chosen} options; at most {}",
                self.slug, self.max_choices
            ));
        }
        if let Some(same) = self.voids.iter().find(|void| !void.undone && void.rule == *rule) {
            return Err(format!("rule {} of poll `{}` says that already", same.number, self.slug));
        }
        if self.voids.len() >= VOIDS_MAX {
            return Err(format!("poll `{}` has {VOIDS_MAX} rules that void ballots, which is the most", self.slug));
        }
        let number = self.voids.last().map_or(1, |last| last.number + 1);
        let mut poll = self.clone();
        poll.voids.push(Void { number, rule: rule.clone(), undone: false, applied: false });
        Ok(poll)
    }

    fn without_void(&self, number: u32) -> Result<Self, String> {
        self.require_settled_ballots()?;
        let mut poll = self.clone();
        match poll.voids.iter_mut().find(|void| void.number == number && !void.undone) {
            Some(void) => (void.undone, void.applied) = (true, false),
            None if self.voids.iter().any(|void| void.number == number) => {
                return Err(format!("rule {number} of poll `{}` is undone already", self.slug));
            }
            None => return Err(format!("poll `{}` has no rule {number} that voids ballots", self.slug)),
        }
        Ok(poll)
    }

    fn with_voids_applied(&self) -> Self {
        let mut poll = self.clone();
        poll.voids.iter_mut().for_each(|void| void.applied = true);
        poll
    }

    /// This poll, edited at `now`. What decides how ballots count changes only as long as none was accepted.
    ///
    /// # Errors
    /// [`EditFault`].
    pub fn edited(&self, edit: &Edit, now: Timestamp, has_ballots: bool) -> Result<Self, EditFault> {
        let mut faults = Vec::new();
        let mut poll = self.clone();
        for (field, value) in
            [(&mut poll.title, &edit.title), (&mut poll.intro, &edit.intro), (&mut poll.consent, &edit.consent)]
        {
            if let Some(value) = value {
                field.clone_from(value);
            }
        }
        let missing = |id| format!("the poll has no option {id}");
        for (id, label) in &edit.labels {
            match poll.options.iter_mut().find(|option| option.id == *id) {
                Some(option) => option.label.clone_from(label),
                None => faults.push(missing(*id)),
            }
        }
        for id in &edit.removed {
            match poll.options.iter().position(|option| option.id == *id) {
                Some(position) => drop(poll.options.remove(position)),
                None => faults.push(missing(*id)),
            }
        }
        for label in &edit.added {
            poll.last_option = OptionId(poll.last_option.0.saturating_add(1));
            poll.options.push(PollOption { id: poll.last_option, label: label.clone() });
        }
        poll.results = edit.results.unwrap_or(poll.results);
        poll.percent_base = edit.percent_base.unwrap_or(poll.percent_base);
        poll.proof = edit.proof.unwrap_or(poll.proof);
        if let Some(allowed) = &edit.allowed_origins {
            poll.allowed_origins.clone_from(allowed);
        }
        poll.locale = edit.locale.unwrap_or(poll.locale);
        poll.option_order = edit.option_order.unwrap_or(poll.option_order);
        poll.kind = edit.kind.unwrap_or(poll.kind);
        let default_limits = poll.kind.default_limits(poll.options.len());
        if poll.kind != self.kind {
            (poll.min_choices, poll.max_choices) = default_limits;
        } else if self.max_choices == self.kind.default_limits(self.options.len()).1 {
            // A ballot that could choose all options still can.
            poll.max_choices = default_limits.1;
        }
        poll.min_choices = edit.min_choices.unwrap_or(poll.min_choices);
        poll.max_choices = edit.max_choices.unwrap_or(poll.max_choices);
        poll.counting = edit.counting.apply(poll.counting);
        poll.policy = edit.policy.unwrap_or(poll.policy);
        let Quota { ballots, per_option } = poll.quota;
        poll.quota =
            Quota { ballots: edit.ballots.unwrap_or(ballots), per_option: edit.per_option.unwrap_or(per_option) };
        poll.changeable = edit.changeable.unwrap_or(poll.changeable);
        if !poll.imported.is_empty() && poll.percent_base == PercentBase::Voters {
            faults.push(
                "it has votes of an earlier system, whose voters aren't known; the percent base stays `selections`"
                    .to_owned(),
            );
        }
        let fixed = self.differences_in_counting(&poll);
        let has_counts = has_ballots || !self.imported.is_empty();
        if !fixed.is_empty() && !self.accepts_none_yet(now.plus_ms(HEARD_MS), has_counts) {
            return Err(EditFault::Fixed(fixed));
        }
        faults.extend(poll.faults());
        if !faults.is_empty() {
            return Err(EditFault::Invalid(faults));
        }
        Ok(poll)
    }

    /// Whether no ballot was accepted yet, so far as is known at `now`.
    fn accepts_none_yet(&self, now: Timestamp, has_ballots: bool) -> bool {
        let was_open = match self.state(now) {
            PollState::Draft | PollState::Scheduled | PollState::Final => false,
            PollState::Open | PollState::Closing => true,
        };
        !was_open && !has_ballots
    }

    /// The fields that decide how ballots count and in which `other` differs, as an operator calls them.
    fn differences_in_counting(&self, other: &Self) -> Vec<&'static str> {
        let ids = |poll: &Self| poll.options.iter().map(|option| option.id).collect::<Vec<_>>();
        let differences = [
            ("the options", ids(self) != ids(other)),
            ("the kind", self.kind != other.kind),
            (
                "how many options a ballot may choose",
                (self.min_choices, self.max_choices) != (other.min_choices, other.max_choices),
            ),
            ("how rankings or scores are counted", self.counting != other.counting),
            ("the policy", self.policy != other.policy),
            ("the quota", self.quota != other.quota),
            ("whether ballots are changeable", self.changeable != other.changeable),
        ];
        differences.into_iter().filter(|(_, differs)| *differs).map(|(name, _)| name).collect()
    }
}
