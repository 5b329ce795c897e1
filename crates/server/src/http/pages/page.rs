//! What a poll's page shows, depending on its visitor and the poll's state.

use askama::Template;
use throng_domain::ballot::BallotId;
use throng_domain::clock::Timestamp;
use throng_domain::code::CODE_BYTES_MAX;
use throng_domain::origins::AllowedOrigins;
use throng_domain::policy::Policy;
use throng_domain::poll::{Kind, Locale, OptionId, OptionOrder, Poll, PollState, Slug, Viewer, Visibility};
use throng_domain::submission::SentChoices;

use super::super::problem::Problem;
use super::assets;
use super::code_link::code_field;
use super::fields::Fields;
use super::texts::{self, DisplayTime, PlainText, Plural, Texts};
use super::voter_token;
use crate::config::PublicUrl;
use crate::results::LivePoll;

/// What preceded a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum After {
    /// Nothing known.
    Nothing,
    /// This visitor's vote.
    Vote,
    /// A vote, of this visitor or of another who passed the address on.
    UnboundVote,
}

/// What is known about the visitor of a page.
#[derive(Debug)]
pub struct Visit {
    /// What preceded the request.
    pub after: After,
    /// The options that the visitor's vote counts for.
    pub own: Vec<OptionId>,
    /// What the form has that is shown again.
    pub filled_in: Option<SentChoices>,
    /// Who the visitor is, for the visibility of results.
    pub viewer: Viewer,
    /// The id for a ballot from this page; if `None`, the script creates one.
    pub ballot_id: Option<BallotId>,
    /// The visitor's invitation code, as far as it is known; otherwise empty.
    pub code: String,
    /// Whether a ballot was refused because of its code.
    pub is_code_refused: bool,
    /// The voter's token, where the poll's publisher names its voters.
    pub voter: Option<String>,
    /// Whether the ballot with this id was sent before and may have been counted.
    pub retry: bool,
    /// The error message.
    pub message: Option<String>,
    /// The public address of this server.
    pub site: PublicUrl,
    /// Whether votes are accepted first and counted shortly afterwards.
    pub counts_later: bool,
}

impl Visit {
    /// A visitor about whom nothing is known.
    pub fn new(site: &PublicUrl, counts_later: bool) -> Self {
        let viewer = Viewer::Anybody;
        let site = site.clone();
        Self {
            after: After::Nothing,
            own: Vec::new(),
            filled_in: None,
            viewer,
            ballot_id: None,
            code: String::new(),
            is_code_refused: false,
            voter: None,
            retry: false,
            message: None,
            site,
            counts_later,
        }
    }

    /// The field of an address with the visitor's code or token; `None` if none is known.
    pub fn voter_field(&self) -> Option<String> {
        let token = self.voter.as_ref().map(|voter| format!("{}={voter}", voter_token::FIELD));
        token.or_else(|| self.code.parse().ok().map(code_field))
    }
}

/// A page that explains why it shows no poll.
#[derive(Template)]
#[template(path = "plain.html")]
pub struct PlainPage {
    site: PublicUrl,
    texts: &'static Texts,
    content: PlainText,
}

impl PlainPage {
    /// The page that describes `problem`.
    pub fn new(site: &PublicUrl, problem: &Problem) -> Self {
        let texts = texts::without_poll();
        Self { site: site.clone(), texts, content: texts.plain(problem) }
    }
}

/// The page of a show that has no poll to show yet.
#[derive(Template)]
#[template(path = "show.html")]
pub struct ShowPage {
    site: PublicUrl,
    texts: &'static Texts,
    title: String,
    show: FollowedShow,
}

impl ShowPage {
    /// The page of a show with this title.
    pub fn new(site: &PublicUrl, title: String, show: FollowedShow) -> Self {
        Self { site: site.clone(), texts: texts::without_poll(), title, show }
    }
}

/// The show that a page follows: its script looks at this address whether something else is to be shown.
#[derive(Debug)]
pub struct FollowedShow {
    address: String,
    /// The poll that is shown and its state, as the script makes it of the response; empty if none is.
    shown: String,
}

impl FollowedShow {
    /// The show with this slug, of which this poll is shown at `now`.
    pub fn new(site: &PublicUrl, slug: &Slug, poll: Option<&Poll>, now: Timestamp) -> Self {
        let address = format!("{}/api/v1/shows/{slug}", site.prefix());
        let shown = poll.map_or_else(String::new, |poll| format!("{} {}", poll.slug, poll.state(now).as_str()));
        Self { address, shown }
    }
}

/// A poll's page.
#[derive(Template)]
#[template(path = "poll.html")]
pub struct PollPage<'a> {
    site: PublicUrl,
    texts: &'static Texts,
    poll: &'a Poll,
    lang: Language,
    message: Option<String>,
    /// The voter's token, for the form.
    voter: Option<String>,
    /// The field of an address with the visitor's code or token, if one is known.
    voter_field: Option<String>,
    /// Whether the poll takes a vote only with a token, and there is none.
    needs_voter: bool,
    /// The page whose form has an id, to which a browser without script is redirected.
    leads_to: Option<String>,
    /// What is in the form's field for a code; `None` if the poll has no codes.
    code: Option<String>,
    /// Whether the ballot was refused because of it.
    is_code_refused: bool,
    /// The show that the page follows, at its address.
    show: Option<FollowedShow>,
    shown: Shown<'a>,
}

/// The language of the texts that are the poll's own, as attributes of elements. In a poll whose language may not have been given, the
/// browser finds out a text's direction.
struct Language {
    /// Of an element with a text of its own line.
    block: String,
    /// Of a label, whose direction the browser finds out: it may be a name in another script.
    label: String,
    /// The direction of the page.
    direction: &'static str,
}

enum Shown<'a> {
    Form(Form<'a>),
    ResultPanel(ResultPanel<'a>),
}

/// A ballot form.
struct Form<'a> {
    hint: String,
    fields: Fields<'a>,
    too_few: String,
    too_many: String,
    ballot_id: Option<BallotId>,
    retry: bool,
    closes_at: Option<DisplayTime>,
    /// The panel that the script fills in after a vote, with one row as a template.
    panel: ResultPanel<'a>,
}

/// What is shown instead of a ballot form.
struct ResultPanel<'a> {
    heading: &'static str,
    rows: Vec<Row<'a>>,
    voters: String,
    /// The word for the ballots in this poll.
    ballots: Plural,
    /// The word for what is counted for an option.
    unit: Plural,
    /// What the percentages are shares of, where that needs an explanation.
    base: &'static str,
    note: &'static str,
    at: Option<DisplayTime>,
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
        let (poll, texts) = (&live.poll, texts::of(&live.poll));
        let shown = match poll.state(now) {
            PollState::Draft | PollState::Scheduled => Shown::ResultPanel(ResultPanel::before(poll, texts)),
            PollState::Open if visit.after == After::Nothing => Shown::Form(Form::new(poll, texts, now, &visit)),
            PollState::Open | PollState::Closing | PollState::Final => {
                Shown::ResultPanel(ResultPanel::after(live, texts, now, &visit))
            }
        };
        let needs_voter = poll.policy == Policy::Signed && visit.voter.is_none();
        // Where a proof of work is always required, voting needs the script anyway.
        let leads_on = !poll.proof.is_always_required()
            && !needs_voter
            && matches!(&shown, Shown::Form(form) if form.ballot_id.is_none());
        let voter_field = visit.voter_field();
        let leads_to = leads_on.then(|| {
            let voter = voter_field.as_ref().map(|field| format!("?{field}")).unwrap_or_default();
            format!("{}/polls/{}/ballot{voter}", visit.site.prefix(), poll.slug)
        });
        let code = (poll.policy == Policy::Code).then_some(visit.code);
        let Visit { site, message, voter, is_code_refused, .. } = visit;
        let lang = Language::of(poll.locale);
        let show = None;
        Self {
            site,
            texts,
            poll,
            lang,
            message,
            voter,
            voter_field,
            needs_voter,
            code,
            is_code_refused,
            show,
            leads_to,
            shown,
        }
    }

    /// The same at the address of a show, which it follows.
    #[must_use]
    pub fn in_show(self, show: FollowedShow) -> Self {
        Self { show: Some(show), ..self }
    }
}

impl Language {
    fn of(locale: Locale) -> Self {
        if locale == Locale::English {
            return Self { block: String::new(), label: String::new(), direction: "auto" };
        }
        let direction = if locale.is_right_to_left() { "rtl" } else { "ltr" };
        let label = format!(r#" lang="{}""#, locale.as_str());
        Self { block: format!(r#"{label} dir="{direction}""#), label, direction }
    }
}

impl PollPage<'_> {
    /// The origins whose pages may show this one in a frame.
    pub fn allowed_origins(&self) -> &AllowedOrigins {
        &self.poll.allowed_origins
    }
}

impl<'a> Form<'a> {
    fn new(poll: &'a Poll, texts: &'static Texts, now: Timestamp, visit: &Visit) -> Self {
        let mut panel = ResultPanel::new(poll, texts, thanks(texts, visit.counts_later));
        panel.votable = true;
        if poll.shows_results(Viewer::Voter, now) {
            panel.note = delay_note(texts, visit.counts_later);
            panel.rows.push(Row { label: "", percent: 0.0, count: String::new(), own: true });
        } else {
            panel.note = hidden_note(texts, poll);
        }
        Self {
            hint: (texts.hint)(poll),
            fields: Fields::new(poll, texts, visit.filled_in.as_ref()),
            too_few: (texts.too_few)(poll.min_choices),
            too_many: (texts.too_many)(poll.max_choices),
            ballot_id: visit.ballot_id,
            retry: visit.retry,
            closes_at: poll.closes_at.map(|closes_at| texts.time(closes_at)),
            panel,
        }
    }
}

impl<'a> ResultPanel<'a> {
    fn new(poll: &Poll, texts: &'static Texts, heading: &'static str) -> Self {
        let (ballots, unit, base) = (texts.ballots_of(poll), texts.unit_of(poll), texts.percent_base(poll));
        Self {
            heading,
            rows: Vec::new(),
            voters: String::new(),
            ballots,
            unit,
            base,
            note: "",
            at: None,
            votable: false,
        }
    }

    fn before(poll: &Poll, texts: &'static Texts) -> Self {
        let mut panel = Self::new(poll, texts, texts.not_open_yet);
        if let Some(opens_at) = poll.opens_at {
            panel.note = texts.opens_on;
            panel.at = Some(texts.time(opens_at));
        }
        panel
    }

    fn after(live: &'a LivePoll, texts: &'static Texts, now: Timestamp, visit: &Visit) -> Self {
        let (poll, state) = (&live.poll, live.poll.state(now));
        let voted = visit.after == After::Vote;
        // Where a message says that this vote isn't counted, there is nothing to give thanks for.
        let is_thanked = voted && visit.message.is_none();
        let heading = if is_thanked { thanks(texts, visit.counts_later) } else { heading(texts, state) };
        let mut panel = Self::new(poll, texts, heading);
        // Without the token, which the address doesn't have any more, the form would lead nowhere.
        let needs_voter = poll.policy == Policy::Signed && visit.voter.is_none();
        panel.votable = state == PollState::Open && !needs_voter;
        if !poll.shows_results(visit.viewer, now) {
            panel.note = hidden_note(texts, poll);
            return panel;
        }
        let latest = live.latest();
        panel.voters = texts.ballots_cast(poll, latest.tallies.voters, state == PollState::Open);
        panel.rows = poll
            .option_results(&latest.tallies)
            .map(|result| Row {
                label: result.label,
                percent: result.percent,
                count: texts.count(panel.unit, result.count),
                own: voted && visit.own.contains(&result.id),
            })
            .collect();
        if state == PollState::Closing {
            panel.note = texts.counting_last;
        } else if voted && state == PollState::Open {
            panel.note = delay_note(texts, visit.counts_later);
        }
        panel
    }
}

/// The heading after a vote.
fn thanks(texts: &'static Texts, counts_later: bool) -> &'static str {
    if counts_later { texts.vote_accepted } else { texts.vote_counted }
}

/// The note beside the result after a vote.
fn delay_note(texts: &'static Texts, counts_later: bool) -> &'static str {
    if counts_later { texts.shown_later } else { "" }
}

fn heading(texts: &'static Texts, state: PollState) -> &'static str {
    match state {
        PollState::Final => texts.final_result,
        PollState::Draft | PollState::Scheduled | PollState::Open | PollState::Closing => texts.result_so_far,
    }
}

/// The note in place of a hidden result.
fn hidden_note(texts: &'static Texts, poll: &Poll) -> &'static str {
    match poll.results {
        Visibility::Never | Visibility::Always => texts.result_hidden,
        Visibility::AfterVote | Visibility::AfterClose => texts.result_after_close,
    }
}
