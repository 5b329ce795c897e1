//! Webhooks: made, listed, tested and deleted.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use hyper::StatusCode;
use serde::{Deserialize, Serialize};
use throng_domain::store::StoreError;

use super::request::{Administrator, JsonBody, PathParameters, failed, json_response, with_status};
use super::tokens::NumberPath;
use crate::http::problem::Problem;
use crate::state::CoreState;
use crate::view::{WebhookTestView, WebhookView};
use crate::webhooks::{WebhookUrl, create_webhook, find_webhook};

/// A webhook to be made.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewWebhook {
    url: String,
}

#[derive(Serialize)]
struct Webhooks<'a> {
    webhooks: Vec<WebhookView<'a>>,
}

/// `GET /webhooks`: without their secrets.
pub async fn list(State(core): State<Arc<CoreState>>) -> Result<Response, Problem> {
    let webhooks = core.app.source.store.webhooks().await?;
    Ok(json_response(&Webhooks { webhooks: webhooks.iter().map(WebhookView::from).collect() }))
}

/// `POST /webhooks`: makes a webhook; only this response has its secret.
pub async fn create(
    State(core): State<Arc<CoreState>>,
    by: Administrator,
    JsonBody(NewWebhook { url }): JsonBody<NewWebhook>,
) -> Result<Response, Problem> {
    let (store, sender) = (&*core.app.source.store, &core.app.webhooks);
    let url = WebhookUrl::parse(&url, sender.client().allowed());
    let url = url.map_err(|error| Problem::InvalidBody(format!("url: {error}")))?;
    let made = create_webhook(store, &url, rand::random(), sender.key(), &by.author).await;
    let (webhook, secret) = made.map_err(|error| failed(&core, error.into()))?;
    Ok(with_status(StatusCode::CREATED, json_response(&WebhookView::with_secret(&webhook, secret.text()))))
}

/// `DELETE /webhooks/{number}`: deletes it, with the messages that wait for it.
pub async fn delete(
    State(core): State<Arc<CoreState>>,
    PathParameters(NumberPath { number }): PathParameters<NumberPath>,
    by: Administrator,
) -> Result<Response, Problem> {
    match core.app.source.store.delete_webhook(number, &by.author).await {
        Ok(webhook) => Ok(json_response(&WebhookView::from(&webhook))),
        Err(StoreError::Rejected(_)) => Err(Problem::WebhookNotFound),
        Err(error) => Err(failed(&core, error.into())),
    }
}

/// `POST /webhooks/{number}/test`, without a body: sends a message of no consequence, now and once.
pub async fn test(
    State(core): State<Arc<CoreState>>,
    PathParameters(NumberPath { number }): PathParameters<NumberPath>,
) -> Result<Response, Problem> {
    match find_webhook(&*core.app.source.store, number).await {
        Ok(webhook) => Ok(json_response(&WebhookTestView::from(core.app.webhooks.send_test(&webhook).await))),
        Err(StoreError::Rejected(_)) => Err(Problem::WebhookNotFound),
        Err(error) => Err(error.into()),
    }
}
