//! What a poll's page shows, to whom and when.

use askama::Template;
use throng_domain::ballot::BallotId;
use throng_domain::clock::Timestamp;
use throng_domain::poll::{Kind, OptionId, Poll, PollState, Viewer, Visibility};

use super::super::error::Problem;
use super::assets;
use super::words::{self, Moment};
use crate::config::PublicUrl;
use crate::results::LivePoll;

/// What came before a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum After {
    /// Nothing that is known.
    Nothing,
    /// This visitor's vote.
    Vote,
    /// A vote, of this visitor or of somebody who passed the address on.
    SomebodysVote,
}

/// What the request itself says of whom a page is for.
#[derive(Debug)]
pub struct Visit {
    /// What came before.
    pub after: After,
    /// The options chosen.
    pub own: Vec<OptionId>,
    /// Whose results may be shown.
    pub viewer: Viewer,
    /// The id that a ballot from this page is to have; the script makes one where there is none.
    pub ballot_id: Option<BallotId>,
    /// Whether the ballot of this id was sent before, and may have been counted.
    pub retry: bool,
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
        Self {
            after: After::Nothing,
            own: Vec::new(),
            viewer,
            ballot_id: None,
            retry: false,
            message: None,
            site,
            counts_later,
        }
    }
}

/// A page that says why there is no poll on it.
#[derive(Template)]
#[template(path = "plain.html")]
pub struct PlainPage {
    site: PublicUrl,
    title: &'static str,
    text: &'static str,
}

impl PlainPage {
    /// The page that says what the problem is.
    pub fn new(site: &PublicUrl, problem: &Problem) -> Self {
        let (title, text) = words::without_poll(problem);
        Self { site: site.clone(), title, text }
    }
}

/// A poll's page.
#[derive(Template)]
#[template(path = "poll.html")]
pub struct PollPage<'a> {
    site: PublicUrl,
    poll: &'a Poll,
    message: Option<String>,
    /// Whether a browser without script is led to the page whose form has an id.
    leads_on: bool,
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
    retry: bool,
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
    /// What a ballot is called here.
    ballot: &'static str,
    /// What the percentages are parts of, where that needs a word.
    base: &'static str,
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
            PollState::Open if visit.after == After::Nothing => Shown::Form(Form::new(poll, now, &visit)),
            PollState::Open | PollState::Closing | PollState::Final => {
                Shown::Outcome(Outcome::after(live, now, &visit))
            }
        };
        let leads_on = matches!(&shown, Shown::Form(form) if form.ballot_id.is_none());
        Self { site: visit.site, poll, message: visit.message, leads_on, shown }
    }
}

impl<'a> Form<'a> {
    fn new(poll: &'a Poll, now: Timestamp, visit: &Visit) -> Self {
        let options = poll.options.iter();
        let options =
            options.map(|o| FormOption { id: o.id, label: &o.label, chosen: visit.own.contains(&o.id) }).collect();
        let mut outcome = Outcome::new(poll, thanks(visit.counts_later));
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
            retry: visit.retry,
            closes_at: poll.closes_at.map(Moment::new),
            outcome,
        }
    }
}

impl<'a> Outcome<'a> {
    fn new(poll: &Poll, heading: &'static str) -> Self {
        let (ballot, base) = (words::ballot(poll), words::base(poll));
        Self { heading, rows: Vec::new(), voters: String::new(), ballot, base, note: "", at: None, votable: false }
    }

    fn before(poll: &Poll) -> Self {
        let mut outcome = Self::new(poll, "This poll is not open yet");
        if let Some(opens_at) = poll.opens_at {
            outcome.note = "It opens on";
            outcome.at = Some(Moment::new(opens_at));
        }
        outcome
    }

    fn after(live: &'a LivePoll, now: Timestamp, visit: &Visit) -> Self {
        let (poll, state) = (&live.poll, live.poll.state(now));
        let voted = visit.after == After::Vote;
        let mut outcome = Self::new(poll, if voted { thanks(visit.counts_later) } else { heading(state) });
        outcome.votable = state == PollState::Open;
        if !poll.shows_results(visit.viewer, now) {
            outcome.note = hidden(poll);
            return outcome;
        }
        let latest = live.latest();
        outcome.voters = words::ballots(latest.tallies.voters, outcome.ballot, outcome.votable);
        outcome.rows = poll
            .option_results(&latest.tallies)
            .map(|result| Row {
                label: result.label,
                percent: result.percent,
                count: words::votes(result.count),
                own: voted && visit.own.contains(&result.id),
            })
            .collect();
        if state == PollState::Closing {
            outcome.note = "The last votes are being counted.";
        } else if voted && state == PollState::Open {
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
