//! Webhooks and their messages.

use rusqlite::{Connection, OptionalExtension as _, Row, TransactionBehavior, params};
use throng_domain::audit::{Action, Author};
use throng_domain::clock::Timestamp;
use throng_domain::poll::{Mark, PollId};
use throng_domain::store::StoreError;
use throng_domain::webhook::{
    AfterAttempt, Attempt, Delivery, NewWebhook, WEBHOOKS_MAX, Webhook, WebhookEvent, WebhookSalt,
};

use super::audit;
use super::columns::{now, timestamp, word};
use super::error::{StoreResult, read_error, write_error};

const WEBHOOKS: &str = "SELECT number, url, salt, made_at, last_at, last_delivered, last_outcome, \
                        (SELECT count(*) FROM webhook_delivery WHERE webhook = w.number AND ended_at IS NULL), \
                        (SELECT min(next_at) FROM webhook_delivery WHERE webhook = w.number AND ended_at IS NULL) \
                        FROM webhook AS w";

pub(super) fn create(writer: &mut Connection, new: NewWebhook, by: &Author) -> StoreResult<Webhook> {
    let transaction = writer.transaction_with_behavior(TransactionBehavior::Immediate).map_err(read_error)?;
    let made_at = now(&transaction).map_err(read_error)?;
    let count: usize =
        transaction.query_row("SELECT count(*) FROM webhook", [], |row| row.get(0)).map_err(read_error)?;
    if count >= WEBHOOKS_MAX {
        return Err(StoreError::too_many_webhooks());
    }
    let NewWebhook { url, salt } = new;
    let insert = "INSERT INTO webhook (url, salt, made_at) VALUES (?1, ?2, ?3)";
    transaction.execute(insert, params![url, salt.0, made_at.0]).map_err(write_error)?;
    let number = u32::try_from(transaction.last_insert_rowid()).map_err(|error| StoreError::Corrupt(error.into()))?;
    let webhook = Webhook { number, url, salt, made_at, last: None, pending: 0, next_at: None };
    audit::append(&transaction, Action::CreateWebhook, None, &webhook.audited(), by).map_err(write_error)?;
    transaction.commit().map_err(write_error)?;
    Ok(webhook)
}

pub(super) fn all(reader: &Connection) -> rusqlite::Result<Vec<Webhook>> {
    reader.prepare_cached(&format!("{WEBHOOKS} ORDER BY number"))?.query_map([], webhook_from)?.collect()
}

pub(super) fn delete(writer: &mut Connection, number: u32, by: &Author) -> StoreResult<Webhook> {
    let transaction = writer.transaction_with_behavior(TransactionBehavior::Immediate).map_err(read_error)?;
    let sql = format!("{WEBHOOKS} WHERE number = ?1");
    let stored = transaction.query_row(&sql, [number], webhook_from).optional().map_err(read_error)?;
    let webhook = stored.ok_or_else(|| StoreError::no_such_webhook(number))?;
    transaction.execute("DELETE FROM webhook_delivery WHERE webhook = ?1", [number]).map_err(write_error)?;
    transaction.execute("DELETE FROM webhook WHERE number = ?1", [number]).map_err(write_error)?;
    audit::append(&transaction, Action::DeleteWebhook, None, &webhook.audited(), by).map_err(write_error)?;
    transaction.commit().map_err(write_error)?;
    Ok(webhook)
}

/// Adds the messages about the marks that these polls have, in the transaction that marks them. One that is marked as final may have
/// been marked as closed by that.
pub(super) fn add_marks(writer: &Connection, polls: &[PollId], mark: Mark) -> rusqlite::Result<()> {
    add(writer, polls, WebhookEvent::Closed, "closed_at")?;
    match mark {
        Mark::Closed => {}
        Mark::Final => {
            add(writer, polls, WebhookEvent::Final, "final_at")?;
        }
    }
    Ok(())
}

pub(super) fn add_openings(writer: &mut Connection, polls: &[PollId]) -> StoreResult<()> {
    let transaction = writer.transaction_with_behavior(TransactionBehavior::Immediate).map_err(read_error)?;
    if add(&transaction, polls, WebhookEvent::Opened, "opens_at").map_err(write_error)? > 0 {
        transaction.commit().map_err(write_error)?;
    }
    Ok(())
}

/// Adds the messages about what happened to these polls at the time in this column, which are due at once. Returns how many are new.
fn add(writer: &Connection, polls: &[PollId], event: WebhookEvent, at: &str) -> rusqlite::Result<usize> {
    let mut insert = writer.prepare_cached(&format!(
        "INSERT INTO webhook_delivery (webhook, poll_id, event, occurred_at, next_at) \
         SELECT w.number, p.id, ?2, p.{at}, p.{at} FROM webhook AS w, poll AS p \
         WHERE p.id = ?1 AND NOT p.rehearsal AND p.{at} >= w.made_at ON CONFLICT DO NOTHING"
    ))?;
    polls.iter().map(|poll| insert.execute(params![poll.0, event.as_str()])).sum()
}

pub(super) fn claim(
    writer: &mut Connection,
    webhook: u32,
    now: Timestamp,
    lease_until: Timestamp,
) -> StoreResult<Option<Delivery>> {
    let transaction = writer.transaction_with_behavior(TransactionBehavior::Immediate).map_err(read_error)?;
    let due = "UPDATE webhook_delivery SET attempts = attempts + 1, next_at = ?3 \
               WHERE number = (SELECT number FROM webhook_delivery \
                               WHERE webhook = ?1 AND ended_at IS NULL AND next_at <= ?2 ORDER BY number LIMIT 1) \
               RETURNING number, webhook, poll_id, event, occurred_at, attempts";
    let claimed = transaction.query_row(due, params![webhook, now.0, lease_until.0], delivery_from).optional();
    let claimed = claimed.map_err(write_error)?;
    if claimed.is_some() {
        transaction.commit().map_err(write_error)?;
    }
    Ok(claimed)
}

/// Whether a message is due then.
pub(super) fn is_due(reader: &Connection, webhook: u32, now: Timestamp) -> rusqlite::Result<bool> {
    let due =
        "SELECT EXISTS (SELECT 1 FROM webhook_delivery WHERE webhook = ?1 AND ended_at IS NULL AND next_at <= ?2)";
    reader.prepare_cached(due)?.query_row(params![webhook, now.0], |row| row.get(0))
}

pub(super) fn end(
    writer: &mut Connection,
    delivery: &Delivery,
    attempt: &Attempt,
    after: AfterAttempt,
) -> StoreResult<()> {
    let transaction = writer.transaction_with_behavior(TransactionBehavior::Immediate).map_err(read_error)?;
    let (next_at, ended_at) = match after {
        AfterAttempt::Retry(at) => (Some(at.0), None),
        AfterAttempt::Delivered | AfterAttempt::GiveUp => (None, Some(attempt.at.0)),
    };
    let update = "UPDATE webhook_delivery SET next_at = coalesce(?3, next_at), ended_at = ?4 \
                  WHERE number = ?1 AND attempts = ?2 AND ended_at IS NULL";
    let ended = transaction.execute(update, params![delivery.number, delivery.attempts, next_at, ended_at]);
    if ended.map_err(write_error)? > 0 {
        let last = "UPDATE webhook SET last_at = ?2, last_delivered = ?3, last_outcome = ?4 WHERE number = ?1";
        let values = params![delivery.webhook, attempt.at.0, attempt.is_delivered, attempt.outcome];
        transaction.execute(last, values).map_err(write_error)?;
        transaction.commit().map_err(write_error)?;
    }
    Ok(())
}

pub(super) fn forget(writer: &mut Connection, before: Timestamp) -> StoreResult<()> {
    writer.execute("DELETE FROM webhook_delivery WHERE ended_at < ?1", [before.0]).map_err(write_error)?;
    Ok(())
}

fn webhook_from(row: &Row<'_>) -> rusqlite::Result<Webhook> {
    let last = timestamp(row.get(4)?)
        .map(|at| Ok::<_, rusqlite::Error>(Attempt { at, is_delivered: row.get(5)?, outcome: row.get(6)? }));
    Ok(Webhook {
        number: row.get(0)?,
        url: row.get(1)?,
        salt: WebhookSalt(row.get(2)?),
        made_at: Timestamp(row.get(3)?),
        last: last.transpose()?,
        pending: row.get(7)?,
        next_at: timestamp(row.get(8)?),
    })
}

fn delivery_from(row: &Row<'_>) -> rusqlite::Result<Delivery> {
    Ok(Delivery {
        number: row.get(0)?,
        webhook: row.get(1)?,
        poll: PollId(row.get(2)?),
        event: word(row, 3)?,
        occurred_at: Timestamp(row.get(4)?),
        attempts: row.get(5)?,
    })
}
