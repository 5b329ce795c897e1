//! Webhooks and their messages.

use sqlx::Row as _;
use sqlx::postgres::{PgConnection, PgRow};
use throng_domain::audit::{Action, Author};
use throng_domain::clock::Timestamp;
use throng_domain::poll::{Mark, PollId};
use throng_domain::store::StoreError;
use throng_domain::webhook::{
    AfterAttempt, Attempt, Delivery, NewWebhook, WEBHOOKS_MAX, Webhook, WebhookEvent, WebhookSalt,
};

use super::audit;
use super::columns::{now, timestamp, unsigned, word};
use super::error::{StoreResult, read_error};

const WEBHOOKS: &str = "SELECT number, url, salt, made_at, last_at, last_delivered, last_outcome, \
                        (SELECT count(*) FROM webhook_delivery WHERE webhook = w.number AND ended_at IS NULL), \
                        (SELECT min(next_at) FROM webhook_delivery WHERE webhook = w.number AND ended_at IS NULL) \
                        FROM webhook AS w";

/// Creates the webhook. The lock lets no other one be created meanwhile.
pub(super) async fn create(writer: &mut PgConnection, new: NewWebhook, by: &Author) -> StoreResult<Webhook> {
    let lock = "LOCK TABLE webhook IN SHARE ROW EXCLUSIVE MODE";
    sqlx::query(lock).execute(&mut *writer).await.map_err(read_error)?;
    let webhook = insert(writer, new).await.map_err(read_error)?.ok_or_else(StoreError::too_many_webhooks)?;
    audit::append(writer, Action::CreateWebhook, None, &webhook.audited(), by).await.map_err(read_error)?;
    Ok(webhook)
}

/// `None` if there are too many.
async fn insert(writer: &mut PgConnection, new: NewWebhook) -> sqlx::Result<Option<Webhook>> {
    let count: i64 = sqlx::query_scalar("SELECT count(*) FROM webhook").fetch_one(&mut *writer).await?;
    if usize::try_from(count).is_ok_and(|count| count >= WEBHOOKS_MAX) {
        return Ok(None);
    }
    let made_at = now(writer).await?;
    let NewWebhook { url, salt } = new;
    let insert = "INSERT INTO webhook (url, salt, made_at) VALUES ($1, $2, $3) RETURNING number";
    let insert = sqlx::query_scalar::<_, i32>(insert).bind(&url).bind(&salt.0[..]).bind(made_at.0);
    let number = unsigned(insert.fetch_one(writer).await?)?;
    Ok(Some(Webhook { number, url, salt, made_at, last: None, pending: 0, next_at: None }))
}

pub(super) async fn all(reader: &mut PgConnection) -> sqlx::Result<Vec<Webhook>> {
    let rows = sqlx::query(&format!("{WEBHOOKS} ORDER BY number")).fetch_all(reader).await?;
    rows.iter().map(webhook_from).collect()
}

pub(super) async fn delete(writer: &mut PgConnection, number: u32, by: &Author) -> StoreResult<Webhook> {
    let locked = lock(writer, number).await.map_err(read_error)?;
    let webhook = locked.ok_or_else(|| StoreError::no_such_webhook(number))?;
    for delete in ["DELETE FROM webhook_delivery WHERE webhook = $1", "DELETE FROM webhook WHERE number = $1"] {
        sqlx::query(delete).bind(number.cast_signed()).execute(&mut *writer).await.map_err(read_error)?;
    }
    audit::append(writer, Action::DeleteWebhook, None, &webhook.audited(), by).await.map_err(read_error)?;
    Ok(webhook)
}

async fn lock(writer: &mut PgConnection, number: u32) -> sqlx::Result<Option<Webhook>> {
    let Ok(number) = i32::try_from(number) else { return Ok(None) };
    let sql = format!("{WEBHOOKS} WHERE number = $1 FOR UPDATE");
    sqlx::query(&sql).bind(number).fetch_optional(writer).await?.as_ref().map(webhook_from).transpose()
}

/// Adds the messages about the marks that these polls have, in the transaction that marks them. One that is marked as final may have
/// been marked as closed by that.
pub(super) async fn add_marks(writer: &mut PgConnection, polls: &[PollId], mark: Mark) -> sqlx::Result<()> {
    add(writer, polls, WebhookEvent::Closed, "closed_at").await?;
    match mark {
        Mark::Closed => Ok(()),
        Mark::Final => add(writer, polls, WebhookEvent::Final, "final_at").await,
    }
}

pub(super) async fn add_openings(writer: &mut PgConnection, polls: &[PollId]) -> sqlx::Result<()> {
    add(writer, polls, WebhookEvent::Opened, "opens_at").await
}

/// Adds the messages about what happened to these polls at the time in this column, which are due at once.
async fn add(writer: &mut PgConnection, polls: &[PollId], event: WebhookEvent, at: &str) -> sqlx::Result<()> {
    let insert = format!(
        "INSERT INTO webhook_delivery (webhook, poll_id, event, occurred_at, next_at) \
         SELECT w.number, p.id, $2, p.{at}, p.{at} FROM webhook AS w, poll AS p \
         WHERE p.id = ANY($1) AND NOT p.rehearsal AND p.{at} >= w.made_at ORDER BY w.number, p.{at}, p.id \
         ON CONFLICT DO NOTHING"
    );
    let ids: Vec<i64> = polls.iter().map(|poll| poll.0).collect();
    sqlx::query(&insert).bind(ids).bind(event.as_str()).execute(writer).await.map(drop)
}

/// Whether a message is due then.
pub(super) async fn is_due(reader: &mut PgConnection, webhook: u32, now: Timestamp) -> sqlx::Result<bool> {
    let due =
        "SELECT EXISTS (SELECT 1 FROM webhook_delivery WHERE webhook = $1 AND ended_at IS NULL AND next_at <= $2)";
    sqlx::query_scalar(due).bind(webhook.cast_signed()).bind(now.0).fetch_one(reader).await
}

/// Claims a message. The row is locked, and one that another process has locked is claimed by that.
pub(super) async fn claim(
    writer: &mut PgConnection,
    webhook: u32,
    now: Timestamp,
    lease_until: Timestamp,
) -> sqlx::Result<Option<Delivery>> {
    let due = "UPDATE webhook_delivery SET attempts = attempts + 1, next_at = $3 \
               WHERE number = (SELECT number FROM webhook_delivery \
                               WHERE webhook = $1 AND ended_at IS NULL AND next_at <= $2 ORDER BY number LIMIT 1 \
                               FOR UPDATE SKIP LOCKED) \
               RETURNING number, webhook, poll_id, event, occurred_at, attempts";
    let due = sqlx::query(due).bind(webhook.cast_signed()).bind(now.0).bind(lease_until.0);
    due.fetch_optional(writer).await?.as_ref().map(delivery_from).transpose()
}

pub(super) async fn end(
    writer: &mut PgConnection,
    delivery: &Delivery,
    attempt: &Attempt,
    after: AfterAttempt,
) -> sqlx::Result<()> {
    let (next_at, ended_at) = match after {
        AfterAttempt::Retry(at) => (Some(at.0), None),
        AfterAttempt::Delivered | AfterAttempt::GiveUp => (None, Some(attempt.at.0)),
    };
    let update = "UPDATE webhook_delivery SET next_at = coalesce($3, next_at), ended_at = $4 \
                  WHERE number = $1 AND attempts = $2 AND ended_at IS NULL";
    let update = sqlx::query(update).bind(delivery.number).bind(delivery.attempts.cast_signed());
    if update.bind(next_at).bind(ended_at).execute(&mut *writer).await?.rows_affected() > 0 {
        let last = "UPDATE webhook SET last_at = $2, last_delivered = $3, last_outcome = $4 WHERE number = $1";
        let last = sqlx::query(last).bind(delivery.webhook.cast_signed()).bind(attempt.at.0);
        last.bind(attempt.is_delivered).bind(&attempt.outcome).execute(writer).await?;
    }
    Ok(())
}

pub(super) async fn forget(writer: &mut PgConnection, before: Timestamp) -> sqlx::Result<()> {
    let delete = sqlx::query("DELETE FROM webhook_delivery WHERE ended_at < $1").bind(before.0);
    delete.execute(writer).await.map(drop)
}

fn webhook_from(row: &PgRow) -> sqlx::Result<Webhook> {
    let last = timestamp(row.try_get(4)?)
        .map(|at| Ok::<_, sqlx::Error>(Attempt { at, is_delivered: row.try_get(5)?, outcome: row.try_get(6)? }));
    Ok(Webhook {
        number: unsigned(row.try_get::<i32, _>(0)?)?,
        url: row.try_get(1)?,
        salt: WebhookSalt(row.try_get(2)?),
        made_at: Timestamp(row.try_get(3)?),
        last: last.transpose()?,
        pending: unsigned(row.try_get::<i64, _>(7)?)?,
        next_at: timestamp(row.try_get(8)?),
    })
}

fn delivery_from(row: &PgRow) -> sqlx::Result<Delivery> {
    Ok(Delivery {
        number: row.try_get(0)?,
        webhook: unsigned(row.try_get::<i32, _>(1)?)?,
        poll: PollId(row.try_get(2)?),
        event: word(row, 3)?,
        occurred_at: Timestamp(row.try_get(4)?),
        attempts: unsigned(row.try_get::<i32, _>(5)?)?,
    })
}
