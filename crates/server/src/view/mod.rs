//! Polls, results and what administrators see, in the JSON form of version 1 of the API and of `--json`.

mod audit;
mod choices;
mod codes;
mod pass;
mod recount;
mod show;
mod tabulated;
mod time;
mod token;
mod voids;
mod webhook;

use schemars::JsonSchema;
use serde::Serialize;
use throng_domain::clock::Timestamp;
use throng_domain::counting::Counting;
use throng_domain::origins::AllowedOrigins;
use throng_domain::policy::{Policy, Quota};
use throng_domain::poll::{
    Kind, Locale, OptionId, OptionOrder, PercentBase, Poll, PollOption, PollState, Proof, Visibility,
};
use throng_domain::tally::{OptionResult, Tallies};

pub use self::audit::AuditView;
pub use self::choices::ChoicesView;
pub use self::codes::BatchView;
pub use self::pass::PassView;
pub use self::recount::{RecountView, TalliesAndBallots};
pub use self::show::ShowView;
use self::tabulated::TabulatedFields;
pub use self::tabulated::{Tabulated, rankings};
pub use self::time::{Rfc3339, rfc3339_text};
use self::time::{rfc3339, rfc3339_or_null};
pub use self::token::TokenView;
pub use self::voids::{BeforeAfter, VoidChangeView, VoidView};
pub use self::webhook::{WebhookTestView, WebhookView};

/// A poll, without anything specific to the client.
#[derive(Debug, JsonSchema, Serialize)]
#[schemars(rename = "Poll")]
pub struct PollView<'a> {
    slug: &'a str,
    /// Whether no voter takes part in it, and nothing in it counts.
    rehearsal: bool,
    title: &'a str,
    intro: &'a str,
    consent: &'a str,
    kind: Kind,
    min_choices: u16,
    max_choices: u16,
    /// How rankings or scores are counted; `null` in polls of other kinds.
    counting: Option<Counting>,
    state: PollState,
    #[serde(serialize_with = "rfc3339_or_null")]
    #[schemars(with = "Option<Rfc3339>")]
    opens_at: Option<Timestamp>,
    #[serde(serialize_with = "rfc3339_or_null")]
    #[schemars(with = "Option<Rfc3339>")]
    closes_at: Option<Timestamp>,
    results: Visibility,
    percent_base: PercentBase,
    archived: bool,
    policy: Policy,
    quota: Option<Quota>,
    changeable: bool,
    proof: Proof,
    locale: Locale,
    option_order: OptionOrder,
    version: u64,
    options: &'a [PollOption],
}

impl<'a> PollView<'a> {
    /// The poll at `now`.
    pub fn new(poll: &'a Poll, now: Timestamp) -> Self {
        Self {
            slug: poll.slug.as_str(),
            rehearsal: poll.rehearsal,
            title: &poll.title,
            intro: &poll.intro,
            consent: &poll.consent,
            kind: poll.kind,
            min_choices: poll.min_choices,
            max_choices: poll.max_choices,
            counting: poll.kind.is_tabulated().then_some(poll.counting),
            state: poll.state(now),
            opens_at: poll.opens_at,
            closes_at: poll.closes_at,
            results: poll.results,
            percent_base: poll.shares_of(),
            archived: poll.archived_at.is_some(),
            policy: poll.policy,
            quota: poll.policy.identifies_voters().then_some(poll.quota),
            changeable: poll.changeable,
            proof: poll.proof,
            locale: poll.locale,
            option_order: poll.option_order,
            version: poll.version,
            options: &poll.options,
        }
    }
}

/// A poll as its administrators see it.
#[derive(Debug, JsonSchema, Serialize)]
#[schemars(rename = "AdminPoll")]
pub struct AdminPollView<'a> {
    #[serde(flatten)]
    poll: PollView<'a>,
    /// Whose pages may vote; empty where the server's configuration decides.
    allowed_origins: &'a AllowedOrigins,
    #[serde(serialize_with = "rfc3339_or_null")]
    #[schemars(with = "Option<Rfc3339>")]
    closed_at: Option<Timestamp>,
    #[serde(serialize_with = "rfc3339_or_null")]
    #[schemars(with = "Option<Rfc3339>")]
    final_at: Option<Timestamp>,
    #[serde(serialize_with = "rfc3339_or_null")]
    #[schemars(with = "Option<Rfc3339>")]
    archived_at: Option<Timestamp>,
    /// Rules that void ballots.
    voids: Vec<VoidView<'a>>,
    /// Votes of an earlier system, by option.
    imported: Vec<ImportedView>,
}

#[derive(Debug, JsonSchema, Serialize)]
#[schemars(rename = "Imported")]
struct ImportedView {
    id: OptionId,
    count: u64,
}

impl<'a> AdminPollView<'a> {
    /// The poll at `now`.
    pub fn new(poll: &'a Poll, now: Timestamp) -> Self {
        Self {
            poll: PollView::new(poll, now),
            allowed_origins: &poll.allowed_origins,
            closed_at: poll.closed_at,
            final_at: poll.final_at,
            archived_at: poll.archived_at,
            voids: poll.voids.iter().map(VoidView::from).collect(),
            imported: poll.imported.iter().map(|(id, count)| ImportedView { id: *id, count: *count }).collect(),
        }
    }
}

/// A poll's result.
#[derive(Debug, JsonSchema, Serialize)]
#[schemars(rename = "Results")]
pub struct ResultsView<'a> {
    poll: &'a str,
    /// Given where it is `true` only: these votes were sent by load runs.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    rehearsal: bool,
    kind: Kind,
    percent_base: PercentBase,
    seq: u64,
    state: PollState,
    provisional: bool,
    #[serde(serialize_with = "rfc3339")]
    #[schemars(with = "Rfc3339")]
    as_of: Timestamp,
    stale: bool,
    voters: u64,
    selections: u64,
    options: Vec<OptionResult<'a>>,
    #[serde(flatten)]
    #[schemars(with = "TabulatedFields")]
    tabulated: Option<&'a Tabulated>,
}

impl<'a> ResultsView<'a> {
    /// The poll's result at `now`, from its tallies as of `as_of`. It is provisional until no further ballot can be counted.
    pub fn new(poll: &'a Poll, tallies: &'a Tallies, as_of: Timestamp, now: Timestamp, stale: bool) -> Self {
        let state = poll.state(now);
        Self {
            poll: poll.slug.as_str(),
            rehearsal: poll.rehearsal,
            kind: poll.kind,
            percent_base: poll.shares_of(),
            seq: tallies.seq,
            state,
            provisional: state != PollState::Final,
            as_of,
            stale,
            voters: tallies.voters,
            selections: tallies.selections(),
            options: poll.option_results(tallies).collect(),
            tabulated: None,
        }
    }

    /// The same with what was tabulated from the tallies' details.
    #[must_use]
    pub fn with(self, tabulated: Option<&'a Tabulated>) -> Self {
        Self { tabulated, ..self }
    }
}
