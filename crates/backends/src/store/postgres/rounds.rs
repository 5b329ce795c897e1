//! Rounds, and what lines answer.

use sqlx::Row as _;
use sqlx::postgres::{PgConnection, PgRow};
use throng_domain::clock::Timestamp;
use throng_domain::rounds::{ANSWERS_KEPT, Answer, Round};

use super::polls::{self, unsigned};

/// Begins a round in a transaction that the caller commits, unless the last one still lasts. The time is read once nobody else
/// can begin one.
pub(super) async fn begin(writer: &mut PgConnection, apart_ms: i64) -> sqlx::Result<Round> {
    let row = sqlx::query("SELECT number, began_at FROM recording_round FOR UPDATE").fetch_one(&mut *writer).await?;
    let last = Round { number: unsigned::<i64, u64>(row.try_get(0)?)?, began_at: Timestamp(row.try_get(1)?) };
    let now = polls::now(&mut *writer).await?;
    if last.lasts(now, apart_ms) {
        return Ok(last);
    }
    let next = Round { number: last.number + 1, began_at: now };
    let update = sqlx::query("UPDATE recording_round SET number = $1, began_at = $2");
    update.bind(next.number.cast_signed()).bind(next.began_at.0).execute(writer).await?;
    Ok(next)
}

pub(super) async fn last(reader: &mut PgConnection) -> sqlx::Result<u64> {
    let number: i64 = sqlx::query_scalar("SELECT number FROM recording_round").fetch_one(reader).await?;
    unsigned(number)
}

/// Notes a queue in a transaction that the caller commits.
pub(super) async fn add_queue(writer: &mut PgConnection, name: &str) -> sqlx::Result<()> {
    let add = "INSERT INTO recording_queue (name) VALUES ($1) ON CONFLICT (name) DO NOTHING";
    sqlx::query(add).bind(name).execute(writer).await?;
    Ok(())
}

pub(super) async fn queues(reader: &mut PgConnection) -> sqlx::Result<Vec<String>> {
    sqlx::query_scalar("SELECT name FROM recording_queue ORDER BY name").fetch_all(reader).await
}

/// Stores an answer in a transaction that the caller commits.
pub(super) async fn answer(writer: &mut PgConnection, answer: &Answer) -> sqlx::Result<()> {
    let Answer { line, queue, joined, round, consumers } = answer;
    let delete = sqlx::query("DELETE FROM recording_line WHERE answered < $1");
    delete.bind(round.saturating_sub(ANSWERS_KEPT).cast_signed()).execute(&mut *writer).await?;
    sqlx::query(
        "INSERT INTO recording_line (id, queue, joined, answered, consumers) \
         SELECT $1, $2, $3, $4, $5 FROM recording_round WHERE number >= $4 \
         ON CONFLICT (id) DO UPDATE SET queue = excluded.queue, joined = excluded.joined, answered = excluded.answered, \
         consumers = excluded.consumers",
    )
    .bind(&line[..])
    .bind(queue)
    .bind(joined.cast_signed())
    .bind(round.cast_signed())
    .bind(consumers.cast_signed())
    .execute(writer)
    .await?;
    Ok(())
}

pub(super) async fn answers(reader: &mut PgConnection, since: u64) -> sqlx::Result<Vec<Answer>> {
    let select = "SELECT id, queue, joined, answered, consumers FROM recording_line WHERE answered >= $1";
    let rows = sqlx::query(select).bind(since.cast_signed()).fetch_all(reader).await?;
    rows.iter().map(answer_from).collect()
}

fn answer_from(row: &PgRow) -> sqlx::Result<Answer> {
    let number = |column| unsigned::<i64, u64>(row.try_get(column)?);
    let (joined, round, consumers) = (number(2)?, number(3)?, number(4)?);
    Ok(Answer { line: row.try_get(0)?, queue: row.try_get(1)?, joined, round, consumers })
}
