//! Tokens: made, listed and revoked.

use std::sync::Arc;

use axum::extract::{Extension, State};
use axum::response::Response;
use hyper::StatusCode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use throng_domain::admin_token::{AdminToken, Role, TokenName};
use throng_domain::store::StoreError;

use super::request::{
    Administrator, JsonBody, PathParameters, failed, json_response, with_change, with_json_body, with_status,
};
use crate::access::create_token;
use crate::http::openapi::{Operation, Tag};
use crate::http::problem::Problem;
use crate::polls::TimeArg;
use crate::state::CoreState;
use crate::view::TokenView;

/// A token to be made.
#[derive(Debug, JsonSchema, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewToken {
    /// Under which name its changes are noted.
    name: TokenName,
    /// What it allows.
    role: Role,
    /// When it expires: a time, or a delay from now.
    #[serde(default)]
    expires_at: Option<TimeArg>,
}

/// The number of a token, or of a webhook, in the path.
#[derive(Debug, Deserialize)]
pub struct NumberPath {
    /// The number.
    pub number: u32,
}

#[derive(JsonSchema, Serialize)]
#[schemars(rename = "TokenList")]
struct Tokens<'a> {
    tokens: Vec<TokenView<'a>>,
}

/// How [`own`] is described.
pub fn describe_own() -> Operation {
    Operation::new(Tag::Access, "showOwnToken", "The token in the request").responds::<TokenView<'_>>(
        StatusCode::OK,
        "Its name, role and end.",
        token_example(),
    )
}

/// How [`list`] is described.
pub fn describe_list() -> Operation {
    Operation::new(Tag::Access, "listTokens", "The tokens").describe("Without their secrets.").responds::<Tokens<'_>>(
        StatusCode::OK,
        "The tokens.",
        json!({ "tokens": [token_example()] }),
    )
}

/// How [`create`] is described.
pub fn describe_create() -> Operation {
    let operation =
        Operation::new(Tag::Access, "createToken", "Make a token").describe("Only this response has its text.");
    let operation =
        with_json_body::<NewToken>(operation, json!({ "name": "cms", "role": "viewer", "expires_at": "+90d" }));
    let mut made = token_example();
    made["token"] = json!("throng_2_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA");
    with_change(operation).responds::<TokenView<'_>>(StatusCode::CREATED, "The token.", made)
}

/// How [`revoke`] is described.
pub fn describe_revoke() -> Operation {
    let operation = Operation::new(Tag::Access, "revokeToken", "Revoke a token")
        .describe("Other servers refuse it within a second.")
        .path::<u32>("number", "The token's number.", json!(2));
    with_change(operation)
        .responds::<TokenView<'_>>(StatusCode::OK, "The token.", token_example())
        .problems([Problem::TokenNotFound, Problem::NotFound])
}

fn token_example() -> Value {
    json!({
        "number": 2,
        "name": "cms",
        "role": "viewer",
        "made_at": "2026-07-01T20:00:00.000Z",
        "expires_at": "2026-09-29T20:00:00.000Z",
        "revoked_at": null,
    })
}

/// `GET /token`: the one in the request.
pub async fn own(Extension(token): Extension<AdminToken>) -> Response {
    json_response(&TokenView::from(&token))
}

/// `GET /tokens`: without their secrets.
pub async fn list(State(core): State<Arc<CoreState>>) -> Result<Response, Problem> {
    let tokens = core.app.source.store.tokens().await?;
    Ok(json_response(&Tokens { tokens: tokens.iter().map(TokenView::from).collect() }))
}

/// `POST /tokens`: makes a token; only this response has its text.
pub async fn create(
    State(core): State<Arc<CoreState>>,
    by: Administrator,
    JsonBody(new): JsonBody<NewToken>,
) -> Result<Response, Problem> {
    let (store, now) = (&*core.app.source.store, core.app.clock.now());
    let expires_at = new.expires_at.map(|at| at.resolve(now, now));
    if expires_at.is_some_and(|expires_at| expires_at <= now) {
        return Err(Problem::InvalidBody("expires_at has passed already".to_owned()));
    }
    let made = create_token(store, new.name, new.role, expires_at, rand::random(), &by.author).await;
    let (token, text) = made.map_err(|error| failed(&core, error.into()))?;
    Ok(with_status(StatusCode::CREATED, json_response(&TokenView::with_text(&token, text.to_string()))))
}

/// `DELETE /tokens/{number}`: revokes it. Other servers refuse it within a second.
pub async fn revoke(
    State(core): State<Arc<CoreState>>,
    PathParameters(NumberPath { number }): PathParameters<NumberPath>,
    by: Administrator,
) -> Result<Response, Problem> {
    match core.app.source.store.revoke_token(number, &by.author).await {
        Ok(token) => {
            core.app.access.forget().await;
            Ok(json_response(&TokenView::from(&token)))
        }
        Err(StoreError::Rejected(_)) => Err(Problem::TokenNotFound),
        Err(error) => Err(failed(&core, error.into())),
    }
}
