//! The pages that voters see: a poll, and what came of it. They work without JavaScript: a form, a redirect, a result.
//!
//! A page has nothing in it about its visitor, so a cache in front may keep it whole. What a voter chose travels in
//! the address after the vote, where it only decides which options get a tick.

mod assets;
mod form;
mod page;
mod words;

use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use hyper::header::{
    ACCEPT, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderValue, LOCATION, REFERRER_POLICY, VARY, X_CONTENT_TYPE_OPTIONS,
};
use hyper::{HeaderMap, StatusCode};
use throng_domain::ballot::{BallotId, Choices};
use throng_domain::clock::Timestamp;
use throng_domain::poll::Viewer;

use self::form::BallotForm;
use self::page::{NotFoundPage, PollPage, Visit};
use super::ballots::{accepted, settle};
use super::body::WholeBody;
use super::error::Problem;
use super::poll_path::PollPath;
use super::results::{cached, uncached};
use crate::app::CoreState;
use crate::results::LivePoll;

/// Pages load what comes from this server and nothing else, send forms nowhere else, and are in nobody's frame.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; \
     form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
);

/// The pages' routes.
pub fn router() -> Router<Arc<CoreState>> {
    Router::new()
        .route("/", get(show_default))
        .route("/polls/{slug}", get(show).post(vote))
        .route("/assets/{name}", get(assets::show))
}

/// `GET /`: the default poll.
async fn show_default(State(core): State<Arc<CoreState>>, RawQuery(query): RawQuery, headers: HeaderMap) -> Response {
    let live = core.app.polls.current().default_poll().cloned().map(PollPath).ok_or(Problem::PollNotFound);
    show(State(core), live, RawQuery(query), headers).await
}

/// `GET /polls/{slug}`: the ballot to fill in; the result after the vote, which `?voted=1,3` says, or once closed.
async fn show(
    State(core): State<Arc<CoreState>>,
    live: Result<PollPath, Problem>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let live = match live {
        Ok(PollPath(live)) => live,
        Err(problem) => return refused_without_poll(&core, problem, &headers),
    };
    let now = core.app.clock.now();
    // Where the store can't be asked, the page shows what is known.
    let _ = core.app.freshen(&live, now).await;
    let own = form::voted(query.as_deref().unwrap_or_default(), &live.poll);
    // Whoever writes the address can say that they voted, so this opens no result that is for voters alone.
    let visit = Visit::new(&core.app.config.public_url, core.app.is_behind_broker());
    let visit = Visit { voted: own.is_some(), own: own.unwrap_or_default(), viewer: Viewer::Anybody, ..visit };
    let voted = visit.voted;
    let page = html(&PollPage::new(&live, now, visit));
    if voted { uncached(page) } else { cached(page) }
}

/// `POST /polls/{slug}`: the vote of a page's form.
async fn vote(
    State(core): State<Arc<CoreState>>,
    live: Result<PollPath, Problem>,
    headers: HeaderMap,
    body: Result<WholeBody, Problem>,
) -> Response {
    let refuse = |why: &Problem| core.refused(why);
    let live = match live.inspect_err(refuse) {
        Ok(PollPath(live)) => live,
        Err(problem) => return refused_without_poll(&core, problem, &headers),
    };
    let (now, visit) = (core.app.clock.now(), Visit::new(&core.app.config.public_url, core.app.is_behind_broker()));
    let form = match body.and_then(|WholeBody(body)| BallotForm::read(&headers, &body)).inspect_err(refuse) {
        Ok(form) => form,
        Err(problem) => return refused(&live, now, visit, BallotForm::default(), problem),
    };
    let id = form.ballot_id.unwrap_or_else(|| core.app.next_ballot_id(now));
    match cast_form(&core, &live, &form, id, now).await.inspect_err(refuse) {
        Ok(choices) => taken(&live, now, visit, choices),
        // With its id in the form, sending it again counts it once.
        Err(unknown @ Problem::OutcomeUnknown(..)) => {
            refused(&live, now, visit, BallotForm { ballot_id: Some(id), ..form }, unknown)
        }
        Err(problem) => refused(&live, now, visit, form, problem),
    }
}

async fn cast_form(
    core: &CoreState,
    live: &LivePoll,
    form: &BallotForm,
    id: BallotId,
    now: Timestamp,
) -> Result<Choices, Problem> {
    let choices = live.poll.choices(form.choices.iter().copied())?;
    settle(core, accepted(core, &live.poll, id, choices.clone(), now)?).await?;
    Ok(choices)
}

/// What a voter gets whose ballot was taken: the way to the result.
fn taken(live: &LivePoll, now: Timestamp, visit: Visit, choices: Choices) -> Response {
    let everybody = live.poll.shows_results(Viewer::Anybody, now);
    if live.poll.shows_results(Viewer::Voter, now) && !everybody {
        // An address can be passed on, this answer can't: only it may show what is for voters alone.
        let own = choices.as_slice().to_vec();
        let visit = Visit { voted: true, own, viewer: Viewer::Voter, ..visit };
        return uncached(html(&PollPage::new(live, now, visit)));
    }
    let ids: Vec<_> = choices.as_slice().iter().map(ToString::to_string).collect();
    let address = format!("/polls/{}?voted={}", live.poll.slug, ids.join(","));
    let mut response = StatusCode::SEE_OTHER.into_response();
    let address = HeaderValue::from_str(&address).expect("slugs and numbers fit in a header");
    response.headers_mut().insert(LOCATION, address);
    uncached(response)
}

/// The page again, with what went wrong and what was chosen.
fn refused(live: &LivePoll, now: Timestamp, visit: Visit, form: BallotForm, problem: Problem) -> Response {
    let message = Some(words::message(&problem, form.ballot_id.is_some()));
    // Where a ballot of before stands, this is a voter, and the result is what there is to see.
    let stands = if let Problem::AlreadyVoted(choices) = &problem {
        Some(choices.as_slice().to_vec())
    } else {
        matches!(problem, Problem::BallotIdReused).then(Vec::new)
    };
    let visit = match stands {
        Some(own) => Visit { voted: true, own, viewer: Viewer::Voter, message, ..visit },
        None => Visit { own: form.choices, ballot_id: form.ballot_id, message, ..visit },
    };
    as_page(problem.into_response(), &PollPage::new(live, now, visit))
}

/// A page for those who read pages; for programs, what the API says.
fn refused_without_poll(core: &CoreState, problem: Problem, headers: &HeaderMap) -> Response {
    let accepted = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let mut response = problem.into_response();
    response.headers_mut().insert(VARY, HeaderValue::from_static("Accept"));
    if accepted.into_iter().any(|kinds| kinds.contains("text/html")) {
        response = as_page(response, &NotFoundPage::new(&core.app.config.public_url));
    }
    response
}

fn html(page: &impl Template) -> Response {
    as_page(Response::new(Body::empty()), page)
}

/// `response` with a page for its body: status and the headers that go with it stay.
fn as_page(mut response: Response, page: &impl Template) -> Response {
    let text = page.render().expect("a page is written to a String, which can't fail");
    *response.body_mut() = Body::from(text);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(CONTENT_SECURITY_POLICY, POLICY);
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    // Not `no-referrer`: with that, a form's post would say that it comes from nowhere.
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    response
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;
    use hyper::header::RETRY_AFTER;
    use throng_backends::store::sqlite::SqliteStore;
    use throng_domain::clock::ManualClock;
    use throng_domain::new_poll::NewPoll;
    use throng_domain::poll::OptionId;
    use throng_domain::store::{Database as _, Store as _};

    use super::*;
    use crate::config::PublicUrl;
    use crate::results::{LivePolls, Origin};

    #[tokio::test]
    async fn what_fails_on_our_side_is_told_with_a_way_on() {
        let directory = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&directory.path().join("throng.db")).unwrap();
        store.migrate().await.unwrap();
        let now = Timestamp(1_000);
        store.create_poll(NewPoll::demo("demo".parse().unwrap(), now)).await.unwrap();
        let origin = Origin::of_store(Arc::new(store), Arc::new(ManualClock::new(now)));
        let polls = LivePolls::load("demo".parse().unwrap(), &origin).await.unwrap();
        let live = Arc::clone(polls.current().default_poll().unwrap());
        let id: uuid::Uuid = "018f4d1e-7c00-7000-8000-000000000001".parse().unwrap();
        for (problem, status, retry_after, ballot_id, words) in [
            (Problem::Overloaded, 503, Some("1"), None, "Too many people are voting"),
            (Problem::StoreUnavailable(None), 503, Some("1"), None, "be stored at this moment"),
            (Problem::OutcomeUnknown(Some(BallotId(id)), None), 500, None, Some(BallotId(id)), "it counts once"),
        ] {
            let form = BallotForm { choices: vec![OptionId(2)], ballot_id };
            let response = refused(&live, now, Visit::new(&PublicUrl::default(), false), form, problem);
            assert_eq!(response.status(), status);
            assert_eq!(response.headers().get(RETRY_AFTER).map(|value| value.to_str().unwrap()), retry_after);
            let body = response.into_body().collect().await.unwrap().to_bytes();
            let page = std::str::from_utf8(&body).unwrap();
            assert!(page.contains(words) && page.contains(r#"value="2" checked"#), "{page}");
            let with_id = format!(r#"name="ballot_id" value="{id}""#);
            assert_eq!(page.contains(&with_id), ballot_id.is_some(), "{page}");
        }
    }
}
