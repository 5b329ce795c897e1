//! Pages as responses, and what is known of who asks for one.

use axum::body::Body;
use axum::response::{IntoResponse as _, Response};
use hyper::header::{
    ACCEPT, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, HeaderValue, REFERRER_POLICY, VARY,
    X_CONTENT_TYPE_OPTIONS,
};
use hyper::{HeaderMap, Uri};
use throng_domain::poll::Poll;

use super::super::problem::Problem;
use super::code_link::code_in;
use super::content_security_policy::Page;
use super::page::{PlainPage, Visit};
use super::voter_token;
use crate::config::PublicUrl;
use crate::state::CoreState;

/// An HTML page if the client accepts HTML; otherwise, and at the API's addresses, problem details.
pub fn refused_without_poll(site: &PublicUrl, problem: Problem, uri: &Uri, headers: &HeaderMap) -> Response {
    let page = PlainPage::new(site, &problem);
    let mut response = problem.into_response();
    if uri.path().starts_with("/api/") {
        return response;
    }
    let accepted = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    response.headers_mut().insert(VARY, HeaderValue::from_static("Accept"));
    if accepted.into_iter().any(|kinds| kinds.contains("text/html")) {
        response = as_page(response, &page);
    }
    response
}

/// The page, as a response of its own.
pub fn html(page: &impl Page) -> Response {
    as_page(Response::new(Body::empty()), page)
}

/// `response` with a page as its body; its status and other headers stay.
pub fn as_page(mut response: Response, page: &impl Page) -> Response {
    let text = page.render().expect("a page is written to a String, which can't fail");
    *response.body_mut() = Body::from(text);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(CONTENT_SECURITY_POLICY, page.policy());
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    // Not `no-referrer`: with it, a form's POST would have the `Origin` `null`.
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    response
}

/// The visitor of a page of this poll, whose address has this query.
pub fn visit_of(core: &CoreState, poll: &Poll, query: &str) -> Visit {
    let code = code_in(poll, query).map(|code| code.to_string()).unwrap_or_default();
    let voter = voter_token::in_query(poll, query);
    Visit { code, voter, ..Visit::new(&core.app.config.public_url, core.app.is_behind_broker()) }
}

/// The page, marked as not to be kept by caches in front: its id is for one ballot, or its code or token for one voter. A browser
/// may keep it, to show it again with the same id when its user goes back; otherwise it requests the page again.
pub fn private_page(mut page: Response) -> Response {
    let (cdn_cache_control, no_store) =
        (HeaderName::from_static("cdn-cache-control"), HeaderValue::from_static("no-store"));
    let headers = page.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    headers.insert(cdn_cache_control, no_store);
    // Not even this site's log is to have the query: it may name a voter.
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("strict-origin"));
    page
}
