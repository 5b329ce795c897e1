//! Rounds, and what lines answer.

use sqlx::mysql::{MySqlConnection, MySqlRow};
use throng_domain::clock::Timestamp;
use throng_domain::rounds::{ANSWERS_KEPT, Answer, Round};

use super::connection::simple_query;
use super::polls::{self, natural, text};
use super::record::bytes;

/// Begins a round in a transaction that the caller commits.
pub(super) async fn begin(writer: &mut MySqlConnection) -> sqlx::Result<Round> {
    simple_query(&mut *writer, "START TRANSACTION").await?;
    let began_at: Timestamp = polls::now(&mut *writer).await?;
    simple_query(&mut *writer, "UPDATE recording_round SET number = number + 1").await?;
    Ok(Round { number: last(writer).await?, began_at })
}

pub(super) async fn last(reader: &mut MySqlConnection) -> sqlx::Result<u64> {
    natural(&sqlx::query("SELECT number FROM recording_round").fetch_one(reader).await?, 0)
}

/// Notes a queue in a transaction that the caller commits.
pub(super) async fn add_queue(writer: &mut MySqlConnection, name: &str) -> sqlx::Result<()> {
    simple_query(&mut *writer, "START TRANSACTION").await?;
    let add = "INSERT INTO recording_queue (name) VALUES (?) ON DUPLICATE KEY UPDATE name = name";
    sqlx::query(add).bind(name).execute(writer).await?;
    Ok(())
}

pub(super) async fn queues(reader: &mut MySqlConnection) -> sqlx::Result<Vec<String>> {
    let rows = sqlx::query("SELECT name FROM recording_queue ORDER BY name").fetch_all(reader).await?;
    rows.iter().map(|row| Ok(text(row, 0)?.to_owned())).collect()
}

/// Stores an answer in a transaction that the caller commits. Old ones go first: who waits there for another line's
/// transaction holds nothing yet that the other could wait for.
pub(super) async fn answer(writer: &mut MySqlConnection, answer: &Answer) -> sqlx::Result<()> {
    let Answer { line, queue, joined, round, consumers } = answer;
    simple_query(&mut *writer, "START TRANSACTION").await?;
    let delete = sqlx::query("DELETE FROM recording_line WHERE answered < ?");
    delete.bind(round.saturating_sub(ANSWERS_KEPT)).execute(&mut *writer).await?;
    sqlx::query("REPLACE INTO recording_line (id, queue, joined, answered, consumers) VALUES (?, ?, ?, ?, ?)")
        .bind(&line[..])
        .bind(queue)
        .bind(joined)
        .bind(round)
        .bind(consumers)
        .execute(writer)
        .await?;
    Ok(())
}

pub(super) async fn answers(reader: &mut MySqlConnection, since: u64) -> sqlx::Result<Vec<Answer>> {
    let select = "SELECT id, queue, joined, answered, consumers FROM recording_line WHERE answered >= ?";
    let rows = sqlx::query(select).bind(since).fetch_all(reader).await?;
    rows.iter().map(answer_from).collect()
}

fn answer_from(row: &MySqlRow) -> sqlx::Result<Answer> {
    let (joined, round, consumers) = (natural(row, 2)?, natural(row, 3)?, natural(row, 4)?);
    Ok(Answer { line: bytes(row, 0)?, queue: text(row, 1)?.to_owned(), joined, round, consumers })
}
