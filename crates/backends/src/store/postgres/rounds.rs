//! Rounds, and what lines answer.

use sqlx::Row as _;
use sqlx::postgres::{PgConnection, PgRow};
use throng_domain::rounds::{ANSWERS_KEPT, Answer, Round};

use super::polls::{self, unsigned};

/// Begins a round in a transaction that the caller commits.
pub(super) async fn begin(writer: &mut PgConnection) -> sqlx::Result<Round> {
    let began_at = polls::now(&mut *writer).await?;
    let next = sqlx::query_scalar("UPDATE recording_round SET number = number + 1 RETURNING number");
    let number: i64 = next.fetch_one(writer).await?;
    Ok(Round { number: unsigned(number)?, began_at })
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
        "INSERT INTO recording_line (id, queue, joined, answered, consumers) VALUES ($1, $2, $3, $4, $5) \
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
