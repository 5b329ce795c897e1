//! The description of the API: `GET /openapi.json`, and as a page at `/docs`.

mod page;

use std::sync::{Arc, OnceLock};

use askama::Template as _;
use axum::Router;
use axum::body::Body;
use axum::response::Response;
use axum::routing::get;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use hyper::StatusCode;
use hyper::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderValue, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use serde_json::{Map, Value, json as json_value};
use sha2::{Digest as _, Sha256};

use self::page::{ApiPage, STYLE};
use super::openapi::{DescribedRoutes, Operation, Tag, document};
use super::response::json;
use super::{api, operations};
use crate::state::CoreState;

/// The routes, for one core.
pub fn router() -> Router<Arc<CoreState>> {
    let page = Arc::new(OnceLock::<Bytes>::new());
    let show_page = async move || page_response(page.get_or_init(page_bytes).clone());
    routes().into_router().route("/docs", get(show_page))
}

fn page_bytes() -> Bytes {
    ApiPage::new(&whole_document()).render().expect("a page is written to a String, which can't fail").into()
}

/// The page loads and runs nothing: its styles are in it, and it has no script.
fn page_response(page: Bytes) -> Response {
    let digest = STANDARD.encode(Sha256::digest(STYLE));
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    let mut response = Response::new(Body::from(page));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_str(&policy).expect("base 64 fits in a header"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

fn routes() -> DescribedRoutes {
    let bytes = Arc::new(OnceLock::<Bytes>::new());
    let show = async move || {
        // Made when it is first asked for: no start waits for it.
        let bytes =
            bytes.get_or_init(|| serde_json::to_vec(&whole_document()).expect("it has only strings for keys").into());
        let mut response: Response = json(bytes.clone());
        response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        response
    };
    DescribedRoutes::default().get("/openapi.json", show, describe_show)
}

/// The description of every route of the API.
pub fn whole_document() -> Value {
    document([api::described(), operations::described(), routes().into_descriptions("", None)].concat())
}

fn describe_show() -> Operation {
    Operation::new(Tag::Operations, "openapi", "This document").responds::<Map<String, Value>>(
        StatusCode::OK,
        "In OpenAPI 3.1.",
        json_value!({ "openapi": "3.1.0", "info": { "title": "Throng", "version": env!("CARGO_PKG_VERSION") }, "paths": {} }),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn document_is_as_reviewed() {
        let document = serde_json::to_vec_pretty(&whole_document()).unwrap();
        insta::assert_binary_snapshot!("openapi.json", document);
    }
}
