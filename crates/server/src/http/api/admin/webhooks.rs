//! Webhooks: made, listed, tested and deleted.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use hyper::StatusCode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use throng_domain::store::StoreError;

use super::request::{
    Administrator, JsonBody, PathParameters, failed, json_response, with_change, with_json_body, with_status,
};
use super::tokens::NumberPath;
use crate::http::openapi::{Operation, Tag};
use crate::http::problem::Problem;
use crate::state::CoreState;
use crate::view::{WebhookTestView, WebhookView};
use crate::webhooks::{WebhookUrl, create_webhook, find_webhook};

/// A webhook to be made.
#[derive(Debug, JsonSchema, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewWebhook {
    /// Where messages are sent: `https://`, or `http://` to a host that the configuration allows.
    url: String,
}

#[derive(JsonSchema, Serialize)]
#[schemars(rename = "WebhookList")]
struct Webhooks<'a> {
    webhooks: Vec<WebhookView<'a>>,
}

/// How [`list`] is described.
pub fn describe_list() -> Operation {
    Operation::new(Tag::Webhooks, "listWebhooks", "The webhooks")
        .describe("Without their secrets.")
        .responds::<Webhooks<'_>>(StatusCode::OK, "The webhooks.", json!({ "webhooks": [webhook_example()] }))
}

/// How [`create`] is described.
pub fn describe_create() -> Operation {
    let operation =
        Operation::new(Tag::Webhooks, "createWebhook", "Make a webhook").describe("Only this response has its secret.");
    let operation = with_json_body::<NewWebhook>(operation, json!({ "url": "https://cms.example/throng" }));
    let mut made = webhook_example();
    made["secret"] = json!("whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=");
    with_change(operation).responds::<WebhookView<'_>>(StatusCode::CREATED, "The webhook.", made)
}

/// How [`delete`] is described.
pub fn describe_delete() -> Operation {
    let operation = with_number(Operation::new(Tag::Webhooks, "deleteWebhook", "Delete a webhook"))
        .describe("The messages that wait for it are deleted, too.");
    with_change(operation).responds::<WebhookView<'_>>(StatusCode::OK, "The webhook.", webhook_example())
}

/// How [`test`] is described.
pub fn describe_test() -> Operation {
    let example = json!({ "delivered": true, "outcome": "200" });
    with_number(Operation::new(Tag::Webhooks, "testWebhook", "Send a test message to a webhook"))
        .describe("Once, and now; takes no body.")
        .responds::<WebhookTestView>(StatusCode::OK, "How it ended.", example)
}

fn with_number(operation: Operation) -> Operation {
    operation
        .path::<u32>("number", "The webhook's number.", json!(1))
        .problems([Problem::WebhookNotFound, Problem::NotFound])
}

fn webhook_example() -> Value {
    json!({
        "number": 1,
        "url": "https://cms.example/throng",
        "made_at": "2026-07-01T20:00:00.000Z",
        "last": null,
        "pending": 0,
        "next_at": null,
    })
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
