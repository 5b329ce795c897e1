//! A poll's ballots as text: one line each.

use std::fmt::Write as _;

use serde::Serialize;
use throng_domain::ballot::{Ballot, BallotId, Choices, Form};
use throng_domain::policy::Policy;
use throng_domain::poll::Poll;
use throng_domain::void::is_void;

use crate::view::{ChoicesView, rfc3339_text};

/// Ballots read at once, which bounds an export's memory however many there are.
pub const EXPORT_PAGE_BALLOTS: usize = 10_000;

/// The format of an export.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExportFormat {
    /// A table with a header, after RFC 4180.
    Csv,
    /// One JSON object per line.
    Ndjson,
}

/// How the ballots of a poll are written.
#[derive(Clone, Copy, Debug)]
pub struct Export<'a> {
    poll: &'a Poll,
    format: ExportFormat,
    voters: bool,
    voids: bool,
}

/// A ballot as a JSON object.
#[derive(Serialize)]
struct Row<'a> {
    ballot_id: BallotId,
    accepted_at: String,
    #[serde(flatten)]
    choices: ChoicesView<'a>,
    policy: Policy,
    #[serde(skip_serializing_if = "Option::is_none")]
    voter: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    void: Option<bool>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    rehearsal: bool,
}

impl<'a> Export<'a> {
    /// For the ballots of `poll`. The pseudonyms of voters are in it if `voters` asks for them, or where voters may change their
    /// ballots; whether a ballot is void, where the poll has rules that void ballots. Those of a rehearsal are marked as such.
    pub fn new(poll: &'a Poll, format: ExportFormat, voters: bool) -> Self {
        let voters = (voters || poll.changeable) && poll.policy.identifies_voters();
        Self { poll, format, voters, voids: poll.voids.iter().any(|void| !void.undone) }
    }

    /// The same without which ballots are void.
    #[must_use]
    pub fn without_voids(self) -> Self {
        Self { voids: false, ..self }
    }

    /// What comes before the first ballot.
    pub fn header(&self) -> String {
        let voter = if self.voters { ",voter" } else { "" };
        let void = if self.voids { ",void" } else { "" };
        let rehearsal = if self.poll.rehearsal { ",rehearsal" } else { "" };
        match self.format {
            ExportFormat::Csv => format!("ballot_id,accepted_at,choices,policy{voter}{void}{rehearsal}\n"),
            ExportFormat::Ndjson => String::new(),
        }
    }

    /// These ballots, a line each.
    pub fn lines(&self, ballots: &[Ballot]) -> String {
        let mut lines = String::new();
        for ballot in ballots {
            self.write_line(ballot, &mut lines);
        }
        lines
    }

    fn write_line(&self, ballot: &Ballot, out: &mut String) {
        let row = self.row(ballot);
        match self.format {
            ExportFormat::Csv => write_csv(&row, &ballot.choices, out),
            ExportFormat::Ndjson => {
                out.push_str(&serde_json::to_string(&row).expect("a ballot has only strings for keys"));
            }
        }
        out.push('\n');
    }

    fn row<'b>(&self, ballot: &'b Ballot) -> Row<'b> {
        let is_void = || is_void(&self.poll.voids, ballot.key, ballot.accepted_at, &ballot.choices);
        Row {
            ballot_id: ballot.id,
            accepted_at: rfc3339_text(ballot.accepted_at),
            choices: (&ballot.choices).into(),
            policy: ballot.policy,
            voter: ballot.voter().filter(|_| self.voters).map(|voter| voter.to_string()),
            void: self.voids.then(is_void),
            rehearsal: self.poll.rehearsal,
        }
    }
}

fn write_csv(row: &Row<'_>, choices: &Choices, out: &mut String) {
    let cells = [&row.ballot_id.to_string(), &row.accepted_at, &choices_cell(choices), row.policy.as_str()];
    let void = row.void.map(|void| if void { "void" } else { "" });
    let rehearsal = row.rehearsal.then_some("rehearsal");
    for (position, cell) in cells.into_iter().chain(row.voter.as_deref()).chain(void).chain(rehearsal).enumerate() {
        let comma = if position > 0 { "," } else { "" };
        write!(out, "{comma}{}", csv_cell(cell)).expect("writing to a String can't fail");
    }
}

/// `1 3`, of a ranking `3>1`, of scores `1=5 3=0`.
fn choices_cell(choices: &Choices) -> String {
    let parts: Vec<String> = match choices.form() {
        Form::Chosen(options) => options.iter().map(ToString::to_string).collect(),
        Form::Ranked(_) => vec![choices.to_string()],
        Form::Scored(scores) => scores.iter().map(|(option, score)| format!("{option}={score}")).collect(),
    };
    parts.join(" ")
}

/// A cell of CSV (RFC 4180) that a spreadsheet treats as text, never as a formula: one that begins like a formula gets a
/// leading ', as OWASP's page on CSV injection recommends.
fn csv_cell(text: &str) -> String {
    let formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let text = if formula { format!("'{text}") } else { text.to_owned() };
    if text.contains([',', '"', '\r', '\n']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text }
}

#[cfg(test)]
mod tests {
    use throng_domain::clock::Timestamp;
    use throng_domain::new_poll::NewPoll;
    use throng_domain::poll::PollId;
    use uuid::Uuid;

    use super::*;

    #[test]
    fn rows_have_what_the_ballot_says() {
        let poll = NewPoll::demo("demo".parse().unwrap(), Timestamp(0)).into_poll(PollId(1));
        let lines = |format, choices: &str| {
            let ballot = Ballot::unlimited(PollId(1), BallotId(Uuid::nil()), choices.parse().unwrap(), Timestamp(0));
            Export::new(&poll, format, false).lines(&[ballot])
        };
        let start = "00000000-0000-0000-0000-000000000000,1970-01-01T00:00:00.000Z";
        for (choices, cell, json) in [
            ("[1,3]", "1 3", r#""choices":[1,3]"#),
            ("[]", "", r#""choices":[]"#),
            ("3>1", "3>1", r#""ranking":[3,1]"#),
            ("1=5,3=0", "1=5 3=0", r#""scores":{"1":5,"3":0}"#),
        ] {
            assert_eq!(lines(ExportFormat::Csv, choices), format!("{start},{cell},unlimited\n"));
            let line = lines(ExportFormat::Ndjson, choices);
            assert!(line.contains(&format!(r#"00:00:00.000Z",{json},"policy""#)), "{line}");
        }
    }

    #[test]
    fn a_cell_is_never_a_formula() {
        for (text, cell) in [
            ("1 3", "1 3"),
            ("", ""),
            ("=1+1", "'=1+1"),
            ("+1", "'+1"),
            ("-1", "'-1"),
            ("@SUM(A1)", "'@SUM(A1)"),
            ("\t=1", "'\t=1"),
            ("\r=1", "\"'\r=1\""),
            ("=1,\"2\"", "\"'=1,\"\"2\"\"\""),
            ("a,b", "\"a,b\""),
            ("a\nb", "\"a\nb\""),
            ("say \"so\"", "\"say \"\"so\"\"\""),
        ] {
            assert_eq!(csv_cell(text), cell, "{text:?}");
        }
    }
}
