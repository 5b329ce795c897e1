//! What a poll's page shows, to whom and when.

use askama::Template;
use throng_domain::ballot::BallotId;
use throng_domain::clock::Timestamp;
use throng_domain::poll::{Kind, OptionId, Poll, PollState, Viewer, Visibility};

use super::assets;
use super::words::{self, Moment};
use crate::config::PublicUrl;
use crate::results::LivePoll;

/// What the request itself says of whom a page is for.
#[derive(Debug)]
pub struct Visit {
    /// Whether a vote came before.
    pub voted: bool,
    /// The options chosen.
    pub own: Vec<OptionId>,
    /// Whose results may be shown.
    pub viewer: Viewer,
    /// The id of a ballot that may have been counted.
    pub ballot_id: Option<BallotId>,
    /// What went wrong.
    pub message: Option<String>,
    /// How voters reach this server.
    pub site: PublicUrl,
    /// Whether votes are accepted first, and counted a moment later.
    pub counts_later: bool,
}

impl Visit {
    /// Somebody of whom nothing is known.
    pub fn new(site: &PublicUrl, counts_later: bool) -> Self {
        let viewer = Viewer::Anybody;
        let site = site.clone();
        Self { voted: false, own: Vec::new(), viewer, ballot_id: None, message: None, site, counts_later }
    }
}

/// The page where there is no poll.
#[derive(Template)]
#[template(path = "not_found.html")]
pub struct NotFoundPage {
    site: PublicUrl,
}

impl NotFoundPage {
    /// The page below this address.
    pub fn new(site: &PublicUrl) -> Self {
        Self { site: site.clone() }
    }
}

/// A poll's page.
#[derive(Template)]
#[template(path = "poll.html")]
pub struct PollPage<'a> {
    site: PublicUrl,
    poll: &'a Poll,
    message: Option<String>,
    shown: Shown<'a>,
}

enum Shown<'a> {
    Form(Form<'a>),
    Outcome(Outcome<'a>),
}

/// A ballot to fill in.
struct Form<'a> {
    hint: String,
    input: &'static str,
    options: Vec<FormOption<'a>>,
    too_few: String,
    too_many: String,
    ballot_id: Option<BallotId>,
    closes_at: Option<Moment>,
    /// What the script fills in after a vote: an outcome with one row for its model.
    outcome: Outcome<'a>,
}

struct FormOption<'a> {
    id: OptionId,
    label: &'a str,
    chosen: bool,
}

/// What a poll has to tell instead of a ballot.
struct Outcome<'a> {
    heading: &'static str,
    rows: Vec<Row<'a>>,
    voters: String,
    note: &'static str,
    at: Option<Moment>,
    votable: bool,
}

struct Row<'a> {
    label: &'a str,
    percent: f64,
    count: String,
    own: bool,
}

impl<'a> PollPage<'a> {
    /// The page of `live` at `now`.
    pub fn new(live: &'a LivePoll, now: Timestamp, visit: Visit) -> Self {
        let poll = &live.poll;
        let shown = match poll.state(now) {
            PollState::Draft | PollState::Scheduled => Shown::Outcome(Outcome::before(poll)),
            PollState::Open if !visit.voted => Shown::Form(Form::new(poll, now, &visit)),
            PollState::Open | PollState::Closing | PollState::Final => {
                Shown::Outcome(Outcome::after(live, now, &visit))
            }
        };
        Self { site: visit.site, poll, message: visit.message, shown }
    }
}

impl<'a> Form<'a> {
    fn new(poll: &'a Poll, now: Timestamp, visit: &Visit) -> Self {
        let options = poll.options.iter();
        let options =
            options.map(|o| FormOption { id: o.id, label: &o.label, chosen: visit.own.contains(&o.id) }).collect();
        let mut outcome = Outcome::new(thanks(visit.counts_later));
        outcome.votable = true;
        if poll.shows_results(Viewer::Voter, now) {
            outcome.note = soon(visit.counts_later);
            outcome.rows.push(Row { label: "", percent: 0.0, count: String::new(), own: true });
        } else {
            outcome.note = hidden(poll);
        }
        Self {
            hint: words::hint(poll),
            input: match poll.kind {
                Kind::Single => "radio",
                Kind::Multiple => "checkbox",
            },
            options,
            too_few: words::too_few(poll.min_choices),
            too_many: words::too_many(poll.max_choices),
            ballot_id: visit.ballot_id,
            closes_at: poll.closes_at.map(Moment::new),
            outcome,
        }
    }
}

impl<'a> Outcome<'a> {
    fn new(heading: &'static str) -> Self {
        Self { heading, rows: Vec::new(), voters: String::new(), note: "", at: None, votable: false }
    }

    fn before(poll: &Poll) -> Self {
        let mut outcome = Self::new("This poll is not open yet");
        if let Some(opens_at) = poll.opens_at {
            outcome.note = "It opens on";
            outcome.at = Some(Moment::new(opens_at));
        }
        outcome
    }

    fn after(live: &'a LivePoll, now: Timestamp, visit: &Visit) -> Self {
        let (poll, state) = (&live.poll, live.poll.state(now));
        let mut outcome = Self::new(if visit.voted { thanks(visit.counts_later) } else { heading(state) });
        outcome.votable = state == PollState::Open;
        if !poll.shows_results(visit.viewer, now) {
            outcome.note = hidden(poll);
            return outcome;
        }
        let latest = live.latest();
        outcome.voters = words::voters(latest.tallies.voters, outcome.votable);
        outcome.rows = poll
            .option_results(&latest.tallies)
            .map(|option| Row {
                label: option.label,
                percent: option.percent,
                count: words::votes(option.count),
                own: visit.voted && visit.own.contains(&option.id),
            })
            .collect();
        if state == PollState::Closing {
            outcome.note = "The last votes are being counted.";
        } else if visit.voted && state == PollState::Open {
            outcome.note = soon(visit.counts_later);
        }
        outcome
    }
}

/// What somebody is told whose vote was taken.
fn thanks(counts_later: bool) -> &'static str {
    if counts_later { "Thank you, your vote is in" } else { "Thank you, your vote is counted" }
}

/// What goes with it beside a result.
fn soon(counts_later: bool) -> &'static str {
    if counts_later { "It shows in the result in a moment." } else { "" }
}

fn heading(state: PollState) -> &'static str {
    match state {
        PollState::Final => "The final result",
        PollState::Draft | PollState::Scheduled | PollState::Open | PollState::Closing => "The result so far",
    }
}

/// What stands where the result would.
fn hidden(poll: &Poll) -> &'static str {
    match poll.results {
        Visibility::Never | Visibility::Always => "The result of this poll is not shown here.",
        Visibility::AfterVote | Visibility::AfterClose => "The result will be here once the poll has closed.",
    }
}
