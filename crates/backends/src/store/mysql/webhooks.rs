//! Webhooks and their messages.

use sqlx::Row as _;
use sqlx::mysql::{MySqlConnection, MySqlRow};
use throng_domain::audit::{Action, Author};
use throng_domain::clock::Timestamp;
use throng_domain::poll::{Mark, PollId};
use throng_domain::store::StoreError;
use throng_domain::webhook::{
    AfterAttempt, Attempt, Delivery, NewWebhook, WEBHOOKS_MAX, Webhook, WebhookEvent, WebhookSalt,
};

use super::audit;
use super::columns::{list, natural, now, text, timestamp, word};
use super::connection::simple_query;
use super::error::{StoreResult, before_commit, corrupt};

const WEBHOOKS: &str = "SELECT number, url, salt, made_at, last_at, last_delivered, last_outcome, \
                        (SELECT count(*) FROM webhook_delivery WHERE webhook = w.number AND ended_at IS NULL), \
                        (SELECT min(next_at) FROM webhook_delivery WHERE webhook = w.number AND ended_at IS NULL) \
                        FROM webhook AS w";

/// Creates the webhook in a transaction that the caller commits. Every other one is locked meanwhile.
pub(super) async fn create(writer: &mut MySqlConnection, new: NewWebhook, by: &Author) -> StoreResult<Webhook> {
    simple_query(&mut *writer, "START TRANSACTION").await.map_err(before_commit)?;
    let webhook = insert(writer, new).await.map_err(before_commit)?.ok_or_else(StoreError::too_many_webhooks)?;
    audit::append(writer, Action::CreateWebhook, None, &webhook.audited(), by).await.map_err(before_commit)?;
    Ok(webhook)
}

/// `None` if there are too many.
async fn insert(writer: &mut MySqlConnection, new: NewWebhook) -> sqlx::Result<Option<Webhook>> {
    let others = sqlx::query("SELECT number FROM webhook FOR UPDATE").fetch_all(&mut *writer).await?;
    if others.len() >= WEBHOOKS_MAX {
        return Ok(None);
    }
    let made_at = now(writer).await?;
    let NewWebhook { url, salt } = new;
    let insert = sqlx::query("INSERT INTO webhook (url, salt, made_at) VALUES (?, ?, ?)");
    let inserted = insert.bind(&url).bind(&salt.0[..]).bind(made_at.0).execute(writer).await?;
    let number = u32::try_from(inserted.last_insert_id()).map_err(corrupt)?;
    Ok(Some(Webhook { number, url, salt, made_at, last: None, pending: 0, next_at: None }))
}

pub(super) async fn all(reader: &mut MySqlConnection) -> sqlx::Result<Vec<Webhook>> {
    let rows = sqlx::query(&format!("{WEBHOOKS} ORDER BY number")).fetch_all(reader).await?;
    rows.iter().map(webhook_from).collect()
}

/// Deletes the webhook in a transaction that the caller commits.
pub(super) async fn delete(writer: &mut MySqlConnection, number: u32, by: &Author) -> StoreResult<Webhook> {
    simple_query(&mut *writer, "START TRANSACTION").await.map_err(before_commit)?;
    let locked = lock(writer, number).await.map_err(before_commit)?;
    let webhook = locked.ok_or_else(|| StoreError::no_such_webhook(number))?;
    for delete in ["DELETE FROM webhook_delivery WHERE webhook = ?", "DELETE FROM webhook WHERE number = ?"] {
        sqlx::query(delete).bind(number).execute(&mut *writer).await.map_err(before_commit)?;
    }
    audit::append(writer, Action::DeleteWebhook, None, &webhook.audited(), by).await.map_err(before_commit)?;
    Ok(webhook)
}

async fn lock(writer: &mut MySqlConnection, number: u32) -> sqlx::Result<Option<Webhook>> {
    let sql = format!("{WEBHOOKS} WHERE number = ? FOR UPDATE");
    sqlx::query(&sql).bind(number).fetch_optional(writer).await?.as_ref().map(webhook_from).transpose()
}

/// Adds the messages about the marks that these polls have, in the transaction that marks them. One that is marked as final may have
/// been marked as closed by that.
pub(super) async fn add_marks(writer: &mut MySqlConnection, polls: &[PollId], mark: Mark) -> sqlx::Result<()> {
    add(writer, polls, WebhookEvent::Closed, "closed_at").await?;
    match mark {
        Mark::Closed => Ok(()),
        Mark::Final => add(writer, polls, WebhookEvent::Final, "final_at").await,
    }
}

/// Adds the messages about openings in a transaction that the caller commits.
pub(super) async fn add_openings(writer: &mut MySqlConnection, polls: &[PollId]) -> sqlx::Result<()> {
    simple_query(&mut *writer, "START TRANSACTION").await?;
    add(writer, polls, WebhookEvent::Opened, "opens_at").await
}

/// Adds the messages about what happened to these polls at the time in this column, which are due at once.
async fn add(writer: &mut MySqlConnection, polls: &[PollId], event: WebhookEvent, at: &str) -> sqlx::Result<()> {
    if polls.is_empty() {
        return Ok(());
    }
    // A row that exists stays as it is.
    let insert = format!(
        "INSERT INTO webhook_delivery (webhook, poll_id, event, occurred_at, next_at) \
         SELECT w.number, p.id, ?, p.{at}, p.{at} FROM webhook AS w, poll AS p \
         WHERE p.id IN ({}) AND NOT p.rehearsal AND p.{at} >= w.made_at ORDER BY w.number, p.{at}, p.id \
         ON DUPLICATE KEY UPDATE webhook = webhook_delivery.webhook",
        list(polls)
    );
    sqlx::query(&insert).bind(event.as_str()).execute(writer).await.map(drop)
}

/// The first message that is due then, and the attempts that were begun for it.
pub(super) async fn due(reader: &mut MySqlConnection, webhook: u32, now: Timestamp) -> sqlx::Result<Option<Delivery>> {
    let due = "SELECT number, webhook, poll_id, event, occurred_at, attempts FROM webhook_delivery \
               WHERE webhook = ? AND ended_at IS NULL AND next_at <= ? ORDER BY number LIMIT 1";
    let due = sqlx::query(due).bind(webhook).bind(now.0);
    due.fetch_optional(reader).await?.as_ref().map(delivery_from).transpose()
}

/// Claims that message in a transaction that the caller commits, unless another process has done so meanwhile. Not every supported
/// server can skip rows that are locked.
pub(super) async fn claim(
    writer: &mut MySqlConnection,
    due: Delivery,
    lease_until: Timestamp,
) -> sqlx::Result<Option<Delivery>> {
    simple_query(&mut *writer, "START TRANSACTION").await?;
    let update = "UPDATE webhook_delivery SET attempts = attempts + 1, next_at = ? \
                  WHERE number = ? AND attempts = ? AND ended_at IS NULL";
    let update = sqlx::query(update).bind(lease_until.0).bind(due.number).bind(due.attempts);
    let is_claimed = update.execute(writer).await?.rows_affected() > 0;
    Ok(is_claimed.then(|| Delivery { attempts: due.attempts + 1, ..due }))
}

/// Stores the end of an attempt in a transaction that the caller commits.
pub(super) async fn end(
    writer: &mut MySqlConnection,
    delivery: &Delivery,
    attempt: &Attempt,
    after: AfterAttempt,
) -> sqlx::Result<()> {
    let (next_at, ended_at) = match after {
        AfterAttempt::Retry(at) => (Some(at.0), None),
        AfterAttempt::Delivered | AfterAttempt::GiveUp => (None, Some(attempt.at.0)),
    };
    simple_query(&mut *writer, "START TRANSACTION").await?;
    let update = "UPDATE webhook_delivery SET next_at = coalesce(?, next_at), ended_at = ? \
                  WHERE number = ? AND attempts = ? AND ended_at IS NULL";
    let update = sqlx::query(update).bind(next_at).bind(ended_at).bind(delivery.number).bind(delivery.attempts);
    if update.execute(&mut *writer).await?.rows_affected() > 0 {
        let last = "UPDATE webhook SET last_at = ?, last_delivered = ?, last_outcome = ? WHERE number = ?";
        let last = sqlx::query(last).bind(attempt.at.0).bind(attempt.is_delivered).bind(&attempt.outcome);
        last.bind(delivery.webhook).execute(writer).await?;
    }
    Ok(())
}

/// Deletes messages in a transaction that the caller commits.
pub(super) async fn forget(writer: &mut MySqlConnection, before: Timestamp) -> sqlx::Result<()> {
    simple_query(&mut *writer, "START TRANSACTION").await?;
    let delete = sqlx::query("DELETE FROM webhook_delivery WHERE ended_at < ?").bind(before.0);
    delete.execute(writer).await.map(drop)
}

fn webhook_from(row: &MySqlRow) -> sqlx::Result<Webhook> {
    let attempt = |at| {
        let (is_delivered, outcome) = (row.try_get(5)?, text(row, 6)?.to_owned());
        Ok::<_, sqlx::Error>(Attempt { at, is_delivered, outcome })
    };
    Ok(Webhook {
        number: natural(row, 0)?,
        url: text(row, 1)?.to_owned(),
        salt: WebhookSalt(row.try_get::<&[u8], _>(2)?.try_into().map_err(corrupt)?),
        made_at: Timestamp(row.try_get(3)?),
        last: timestamp(row, 4)?.map(attempt).transpose()?,
        pending: natural(row, 7)?,
        next_at: timestamp(row, 8)?,
    })
}

fn delivery_from(row: &MySqlRow) -> sqlx::Result<Delivery> {
    Ok(Delivery {
        number: row.try_get(0)?,
        webhook: natural(row, 1)?,
        poll: PollId(row.try_get(2)?),
        event: word(row, 3)?,
        occurred_at: Timestamp(row.try_get(4)?),
        attempts: natural(row, 5)?,
    })
}
