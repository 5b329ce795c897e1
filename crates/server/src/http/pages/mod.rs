//! The pages for voters: a poll and its result. They work without JavaScript: a form, a redirect, a result.
//!
//! A poll's page contains nothing about its visitor, so a cache in front may keep all of it, unless its address has an invitation
//! [code](code_link) or a user's [token](voter_token). A ballot is counted once however
//! often its form is sent, since the form contains an id for it: a script in the page creates the id before the form can be
//! sent. Without script, another page, which no cache in front keeps, contains an id created by the server, and its
//! [address](ballot_address) names it. After a vote the address contains a [receipt], and nothing about the choices.

mod assets;
mod ballot_address;
mod code_link;
mod content_security_policy;
mod fields;
mod form;
mod page;
mod receipt;
mod rendered;
mod show;
mod texts;
mod voter_token;

use std::net::IpAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Extension, RawQuery, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use hyper::header::{HeaderValue, LOCATION, SET_COOKIE};
use hyper::{HeaderMap, StatusCode, Uri};
use throng_domain::ballot::{BallotId, Choices};
use throng_domain::clock::Timestamp;
use throng_domain::poll::{Poll, PollState, Viewer};

use self::ballot_address::BallotAddress;
use self::form::BallotForm;
use self::page::{After, PollPage, Visit};
use self::receipt::{PageReceiptKey, Proof};
pub use self::rendered::refused_without_poll;
use self::rendered::{as_page, html, private_page, visit_of};
use super::api::polls::PollPath;
use super::body::WholeBody;
use super::origin::{self, Peer};
use super::problem::Problem;
use super::response::{cached, uncached};
use super::sender::{RequestSender, take_share};
use crate::results::LivePoll;
use crate::state::CoreState;
use crate::voting::{self, Cast, Earlier, MissingId, Refusal, RehearsalPass, Sender, Status, Vote};

/// The pages' routes, for one core.
pub fn router(core: &Arc<CoreState>) -> Router<Arc<CoreState>> {
    let routes = Router::new()
        .route("/", get(show_default))
        .route("/polls/{slug}", get(show).post(vote))
        .route("/polls/{slug}/ballot", get(show_ballot))
        .route("/shows/{slug}", get(show::show))
        .route("/assets/{name}", get(assets::show));
    origin::protect(routes, core, |core, problem, uri, headers| {
        refused_without_poll(&core.app.config.public_url, problem, uri, headers)
    })
}

/// `GET /`: the default poll.
async fn show_default(
    State(core): State<Arc<CoreState>>,
    uri: Uri,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let live = core
        .app
        .polls
        .current()
        .default_poll()
        .cloned()
        .map(|live| PollPath { live, pass: None })
        .ok_or(Problem::PollNotFound);
    show(State(core), live, uri, RawQuery(query), headers).await
}

/// `GET /polls/{slug}`: the ballot form, or the result after a vote or once the poll is closed.
async fn show(
    State(core): State<Arc<CoreState>>,
    live: Result<PollPath, Problem>,
    uri: Uri,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let PollPath { live, pass } = match live {
        Ok(path) => path,
        Err(problem) => return refused_without_poll(&core.app.config.public_url, problem, &uri, &headers),
    };
    let now = core.app.clock.now();
    // If the store is unavailable, the page shows the latest known result.
    let _ = core.app.refresh_result(&live, now).await;
    let query = query.unwrap_or_default();
    let visit = visit_of(&core, &live.poll, &query);
    let visit = match PageReceiptKey(&core.app.receipt_key).proof(&live.poll, &query, &headers, now) {
        None if !receipt::is_present(&query) => {
            let is_for_all = pass.is_none() && visit.voter_field().is_none();
            let cacheable: fn(Response) -> Response = if is_for_all { cached } else { private_page };
            return cacheable(html(&PollPage::new(&live, now, visit)));
        }
        None => visit,
        Some(Proof::Own(own)) => Visit { after: After::Vote, own, viewer: Viewer::Voter, ..visit },
        Some(Proof::Unbound { from_own_page: true }) => Visit { after: After::Vote, ..visit },
        Some(Proof::Unbound { from_own_page: false }) => Visit { after: After::UnboundVote, ..visit },
    };
    uncached(html(&PollPage::new(&live, now, visit)))
}

/// `GET /polls/{slug}/ballot`: the ballot form for browsers without script, with an id in the form. A request without the name
/// of a ballot is redirected to the address of a new one.
async fn show_ballot(
    State(core): State<Arc<CoreState>>,
    live: Result<PollPath, Problem>,
    uri: Uri,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let PollPath { live, .. } = match live {
        Ok(path) => path,
        Err(problem) => return refused_without_poll(&core.app.config.public_url, problem, &uri, &headers),
    };
    let now = core.app.clock.now();
    let query = query.unwrap_or_default();
    let visit = visit_of(&core, &live.poll, &query);
    let is_open = live.poll.state(now) == PollState::Open;
    let mut ballot_id =
        ballot_address::ballot_id(&live.poll, PageReceiptKey(&core.app.receipt_key), &query, &headers, now);
    if ballot_id.is_none() && is_open && ballot_address::is_just_made(&query, now) {
        // Redirected here from another site, without cookies: a new ballot, whose id no other client can know and to which
        // going back doesn't return.
        ballot_id = Some(core.app.next_ballot_id(now));
    }
    if ballot_id.is_none() && is_open {
        let name = core.app.next_ballot_id(now);
        let BallotAddress { address, cookie } = BallotAddress::new(&live.poll, name, visit.voter_field().as_deref());
        return see_other(address, cookie);
    }
    let _ = core.app.refresh_result(&live, now).await;
    private_page(html(&PollPage::new(&live, now, Visit { ballot_id, ..visit })))
}

/// `POST /polls/{slug}`: a vote sent by a page's form.
async fn vote(
    State(core): State<Arc<CoreState>>,
    live: Result<PollPath, Problem>,
    Extension(Peer(peer)): Extension<Peer>,
    uri: Uri,
    headers: HeaderMap,
    body: Result<WholeBody, Problem>,
) -> Response {
    let refuse = |problem: &Problem| problem.count_refused_ballot(&core);
    let PollPath { live, pass } = match live.inspect_err(refuse) {
        Ok(path) => path,
        Err(problem) => return refused_without_poll(&core.app.config.public_url, problem, &uri, &headers),
    };
    let (now, visit) = (core.app.clock.now(), Visit::new(&core.app.config.public_url, core.app.is_behind_broker()));
    let new_id = || core.app.next_ballot_id(now);
    let read = |WholeBody(body)| BallotForm::read(&headers, &body, &live.poll);
    let form = match body.and_then(read).inspect_err(refuse) {
        Ok(form) => form,
        Err(problem) => return refused(&live, now, visit, BallotForm::empty(live.poll.kind), new_id(), problem),
    };
    // The page with the error needs what the form says: its ballot has to keep its id.
    let share = if pass.is_none() { take_share(&core, &live.poll, &headers, peer) } else { Ok(()) };
    if let Err(refusal) = share {
        let (id, problem) = (form.ballot_id.unwrap_or_else(new_id), refusal.into());
        refuse(&problem);
        return refused(&live, now, visit, form, id, problem);
    }
    let code = Some(form.code.as_str()).filter(|code| !code.is_empty());
    let voter = code.or(form.voter.as_deref());
    let RequestSender { sender, address, cookie } = RequestSender::of(&core, &live.poll, &headers, peer, voter);
    match cast(&core, &live, &form, (sender, address, pass)).await.inspect_err(refuse) {
        Ok(Cast { ballot_id, choices, status, token, .. }) => {
            // Its choices aren't the voter's any more.
            let own = if status == Status::Outdated { Choices::blank() } else { choices };
            let receipt = PageReceiptKey(&core.app.receipt_key).issue(&live.poll, ballot_id, &own, now, &headers);
            let mut response = see_other(receipt.address, receipt.cookie);
            cookie.keep(token.as_ref(), response.headers_mut());
            response
        }
        Err(problem) => {
            let id = form.ballot_id.unwrap_or_else(new_id);
            refused(&live, now, visit, form, id, problem)
        }
    }
}

/// Casts the ballot on a form. Without an id it is refused, since it could be sent twice: the page with the error has an id in
/// its form.
async fn cast(
    core: &CoreState,
    live: &LivePoll,
    form: &BallotForm,
    (sender, address, pass): (Sender, Option<IpAddr>, Option<RehearsalPass>),
) -> Result<Cast, Problem> {
    let choices = form.choices.clone();
    let (ballot_id, proof) = (ballot_id_of(core, &live.poll, form), form.proof.clone());
    let vote = Vote { choices, ballot_id, proof, missing_id: MissingId::Refuse, pass, sender, address };
    Ok(voting::cast(core, &live.poll, vote).await?)
}

/// The id of the ballot on a form. Where voters may change their ballots, it depends on the choices: going back to the form and
/// choosing something else makes another ballot, and sending the same again doesn't. A proof of work is for the id on the form.
fn ballot_id_of(core: &CoreState, poll: &Poll, form: &BallotForm) -> Option<BallotId> {
    let id = form.ballot_id?;
    let has_own = !poll.changeable || form.proof.is_some();
    Some(if has_own { id } else { PageReceiptKey(&core.app.receipt_key).ballot_with_choices(poll, id, &form.choices) })
}

/// A redirect to an address for this browser alone, with its cookie.
fn see_other(address: HeaderValue, cookie: HeaderValue) -> Response {
    let mut response = StatusCode::SEE_OTHER.into_response();
    response.headers_mut().insert(LOCATION, address);
    response.headers_mut().insert(SET_COOKIE, cookie);
    uncached(response)
}

/// The page again, with an error message, the choices made, and an id for the ballot to be sent from it.
fn refused(
    live: &LivePoll,
    now: Timestamp,
    visit: Visit,
    form: BallotForm,
    id: BallotId,
    problem: Problem,
) -> Response {
    let retry = form.retry || matches!(problem, Problem::Refused(Refusal::OutcomeUnknown(_)));
    let message = Some(texts::of(&live.poll).message(&problem, form.retry));
    // If an earlier ballot of the same browser stands, the visitor is a voter, and the page shows the result.
    let earlier_choices = if let Problem::Refused(Refusal::AlreadyVoted(Earlier::OfVoter { only, .. })) = &problem {
        Some(only.iter().flat_map(|choices| choices.counted()).collect())
    } else {
        matches!(problem, Problem::Refused(Refusal::BallotIdReused)).then(Vec::new)
    };
    let voter = form.voter.as_deref().and_then(|voter| voter_token::for_page(&live.poll, voter));
    let is_code_refused = matches!(problem, Problem::Refused(Refusal::CodeRequired | Refusal::CodeInvalid));
    let visit = Visit { voter, is_code_refused, ..visit };
    let visit = match earlier_choices {
        Some(own) => Visit { after: After::Vote, own, viewer: Viewer::Voter, message, ..visit },
        None => Visit { filled_in: Some(form.choices), code: form.code, ballot_id: Some(id), retry, message, ..visit },
    };
    as_page(problem.into_response(), &PollPage::new(live, now, visit))
}

/// The response at an address without a route.
pub async fn not_found(State(core): State<Arc<CoreState>>, uri: Uri, headers: HeaderMap) -> Response {
    refused_without_poll(&core.app.config.public_url, Problem::NotFound, &uri, &headers)
}

/// The canonical address of the same poll or show: in lower case, without a trailing slash; `None` if it already is canonical.
pub fn canonical_address(uri: &Uri) -> Option<HeaderValue> {
    let path = uri.path();
    let prefix = ["/polls/", "/shows/"].into_iter().find(|prefix| path.starts_with(prefix))?;
    // A percent-encoded path can't be a slug.
    let rest = path.strip_prefix(prefix).filter(|rest| !rest.contains('%'))?.trim_end_matches('/');
    let canonical = format!("{prefix}{}", rest.to_ascii_lowercase());
    let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    let differs = canonical != path && canonical.len() > prefix.len();
    differs.then(|| HeaderValue::from_str(&(canonical + &query)).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;
    use hyper::header::RETRY_AFTER;
    use throng_backends::store::sqlite::SqliteStore;
    use throng_domain::audit::Author;
    use throng_domain::clock::ManualClock;
    use throng_domain::new_poll::NewPoll;
    use throng_domain::poll::{Kind, OptionId};
    use throng_domain::store::{PollStore as _, Schema as _};
    use throng_domain::submission::SentChoices;

    use super::*;
    use crate::config::PublicUrl;
    use crate::results::{LivePolls, ResultSource};
    use crate::state::Dependency;

    #[tokio::test]
    async fn server_errors_show_the_form_again() {
        let directory = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&directory.path().join("throng.db")).unwrap();
        store.migrate().await.unwrap();
        let now = Timestamp(1_000);
        store.create_poll(NewPoll::demo("demo".parse().unwrap(), now), &Author::THRONG).await.unwrap();
        let source = ResultSource::of_store(Arc::new(store), Arc::new(ManualClock::new(now)));
        let polls = LivePolls::load("demo".parse().unwrap(), &source).await.unwrap();
        let live = Arc::clone(polls.current().default_poll().unwrap());
        let id: uuid::Uuid = "018f4d1e-7c00-7000-8000-000000000001".parse().unwrap();
        let id = BallotId(id);
        for (refusal, status, retry_after, retry, words) in [
            (Refusal::Overloaded, 503, Some("1"), false, "Too many people are voting"),
            (Refusal::RateLimited { retry_after_s: 7 }, 429, Some("7"), false, "from your network at this moment"),
            (Refusal::Unavailable(Dependency::Store), 503, Some("1"), false, "be stored at this moment"),
            (Refusal::OutcomeUnknown(id), 500, None, true, "it counts once"),
        ] {
            let choices = SentChoices::Options([OptionId(2)].into_iter().collect());
            let form = BallotForm { choices, ballot_id: Some(id), ..BallotForm::empty(Kind::Multiple) };
            let response = refused(&live, now, Visit::new(&PublicUrl::default(), false), form, id, refusal.into());
            assert_eq!(response.status(), status);
            assert_eq!(response.headers().get(RETRY_AFTER).map(|value| value.to_str().unwrap()), retry_after);
            let body = response.into_body().collect().await.unwrap().to_bytes();
            let page = std::str::from_utf8(&body).unwrap();
            assert!(page.contains(words) && page.contains(r#"value="2" checked"#), "{page}");
            let with_id = format!(r#"name="ballot_id" value="{id}""#);
            assert!(page.contains(&with_id), "{page}");
            assert_eq!(page.contains(r#"name="retry""#), retry, "{page}");
        }
    }
}
