//! Tokens: made, listed and revoked.

use std::sync::Arc;

use axum::extract::{Extension, State};
use axum::response::Response;
use hyper::StatusCode;
use serde::{Deserialize, Serialize};
use throng_domain::admin_token::{AdminToken, Role, TokenName};
use throng_domain::store::StoreError;

use super::request::{Administrator, JsonBody, PathParameters, failed, json_response, with_status};
use crate::access::create_token;
use crate::http::problem::Problem;
use crate::polls::TimeArg;
use crate::state::CoreState;
use crate::view::TokenView;

/// A token to be made.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewToken {
    name: TokenName,
    role: Role,
    /// A time, or a delay from now.
    #[serde(default)]
    expires_at: Option<TimeArg>,
}

/// The number of a token, or of a webhook, in the path.
#[derive(Debug, Deserialize)]
pub struct NumberPath {
    /// The number.
    pub number: u32,
}

#[derive(Serialize)]
struct Tokens<'a> {
    tokens: Vec<TokenView<'a>>,
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
