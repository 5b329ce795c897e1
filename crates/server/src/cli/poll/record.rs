//! `throng poll record` and `throng poll verify`.

use std::io::Write;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;
use serde_json::Value;
use throng_domain::poll::Slug;

use super::advice::advise;
use crate::cli::console::{Json, write_json};
use crate::cli::table::{Side, Table, plain};
use crate::config::Config;
use crate::polls::{PollService, RecordKey, SignedRecord};

/// Make the closing record of a poll whose result is final
///
/// What was voted on, by which rules, what counts, what doesn't and why, and who changed what: to print, or with --json as a signed
/// document. The signature is made with a key derived from APP_SECRET. The record has the SHA-256 hash of the ballots as
/// `throng poll export SLUG --format jsonl --voters` writes them, without `void`. It reads every ballot, which takes a while for millions.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(in crate::cli) struct Record {
    /// Slug of the poll
    slug: Slug,
    #[command(flatten)]
    json: Json,
}

const EXAMPLES: &str = "\
Examples:
  throng poll record song --json > song-record.json
  throng poll verify song-record.json
  throng poll record song | lp";

/// Check the signature of a closing record
///
/// Exits with 1 if the record was changed after it was signed, or signed with another key than this installation's, or than
/// --public-key. Reads no database.
#[derive(Debug, Args)]
#[command(after_help = VERIFY_EXAMPLES)]
pub(in crate::cli) struct Verify {
    /// File with the record, as `throng poll record --json` writes it [default: none; print the public key of this installation]
    file: Option<PathBuf>,
    /// Public key that the record has to be signed with, in base 64 [default: this installation's]
    #[arg(long, value_name = "KEY")]
    public_key: Option<String>,
}

const VERIFY_EXAMPLES: &str = "\
Examples:
  throng poll verify                      the public key, to publish before the vote
  throng poll verify song-record.json
  throng poll verify song-record.json --public-key 3p7bfXt9wbTTW2HC7OQ1Nz+DQ8hbeGdNrfx+FG+IK08=";

impl Record {
    pub(super) async fn run(self, polls: PollService<'_>, config: &Config, out: &mut dyn Write) -> anyhow::Result<()> {
        let key = RecordKey::new(&config.record_key()?);
        let record = polls.closing_record(&self.slug, &key).await.map_err(advise)?;
        if self.json.json { write_json(out, record.json()) } else { write_text(&record, out) }
    }
}

impl Verify {
    pub(super) fn run(self, config: &Config, out: &mut dyn Write) -> anyhow::Result<()> {
        let expected = match self.public_key {
            Some(key) => key,
            None => RecordKey::new(&config.record_key()?).public(),
        };
        let Some(file) = self.file else { return Ok(writeln!(out, "{expected}")?) };
        let name = file.display();
        let text = std::fs::read_to_string(&file).with_context(|| name.to_string())?;
        let (record, key) =
            SignedRecord::verify(&text).map_err(anyhow::Error::msg).with_context(|| format!("{name} isn't valid"))?;
        if key != expected {
            anyhow::bail!("{name} is unchanged since it was signed, but with another key: {key}, not {expected}");
        }
        let record = record.record();
        let (poll, made_at) = (record["poll"]["slug"].as_str(), record["made_at"].as_str());
        Ok(writeln!(
            out,
            "The record of `{}`, made at {}, is unchanged since it was signed with the key {key}.",
            plain(poll.unwrap_or("?")),
            plain(made_at.unwrap_or("?"))
        )?)
    }
}

/// The record on paper.
fn write_text(signed: &SignedRecord, out: &mut dyn Write) -> anyhow::Result<()> {
    let record = signed.record();
    let text = |value: &Value| plain(&value.as_str().map_or_else(|| value.to_string(), str::to_owned));
    let (poll, result, ballots) = (&record["poll"], &record["result"], &record["ballots"]);
    let rehearsal = if poll["rehearsal"] == true { "REHEARSAL, without any voter: " } else { "" };
    writeln!(out, "Closing record: {rehearsal}{}\n", text(&poll["title"]))?;
    let mut table = Table::new([Side::Left, Side::Left]);
    let mut row = |name: &str, value: String| table.row([name.to_owned(), value]);
    row("Poll", text(&poll["slug"]));
    row("Opened", text(&poll["opens_at"]));
    row("Closed", text(&poll["closes_at"]));
    row("Final", text(&poll["final_at"]));
    row("Kind", format!("{}, {} to {} choices", text(&poll["kind"]), poll["min_choices"], poll["max_choices"]));
    row("Policy", text(&poll["policy"]));
    row("Made", format!("{} by {}", text(&record["made_at"]), text(&record["software"])));
    table.write(out, "")?;
    let mut counts = Table::new([Side::Right, Side::Left, Side::Right]);
    counts.row(["ID", "OPTION", "COUNT"].map(str::to_owned));
    for option in result["options"].as_array().into_iter().flatten() {
        counts.row([text(&option["id"]), text(&option["label"]), text(&option["count"])]);
    }
    counts.row([String::new(), "voters".to_owned(), text(&result["voters"])]);
    writeln!(out)?;
    counts.write(out, "")?;
    let tabulated = &result["tabulated"];
    for winner in
        [&tabulated["winner"]].into_iter().chain(tabulated["scores"]["winners"].as_array().into_iter().flatten())
    {
        if winner.is_u64() {
            writeln!(out, "The winner is option {winner}.")?;
        }
    }
    for imported in poll["imported"].as_array().into_iter().flatten() {
        writeln!(out, "Of option {}, {} are of an earlier system.", imported["id"], imported["count"])?;
    }
    let mut sums = Table::new([Side::Left, Side::Right]);
    for (name, field) in [
        ("Ballots recorded", "recorded"),
        ("counted", "counted"),
        ("replaced or withdrawn by their voters", "superseded"),
        ("void", "void"),
    ] {
        sums.row([name.to_owned(), text(&ballots[field])]);
    }
    for rule in ballots["void_by_rule"].as_array().into_iter().flatten() {
        sums.row([format!("  by rule {}", rule["rule"]), text(&rule["ballots"])]);
    }
    writeln!(out)?;
    sums.write(out, "")?;
    let agrees = if result["agrees_with_ballots"] == true { "agrees" } else { "DOESN'T AGREE" };
    writeln!(out, "\nThe result {agrees} with the ballots. Their SHA-256: {}", text(&ballots["sha256"]))?;
    for missing in record["missing"].as_array().into_iter().flatten() {
        writeln!(out, "Not in this record: {}.", text(missing))?;
    }
    writeln!(out, "\nChanges:")?;
    for change in record["changes"].as_array().into_iter().flatten() {
        let reason = text(&change["reason"]);
        let reason = if reason.is_empty() { reason } else { format!(" ({reason})") };
        writeln!(out, "  {}  {} by {}{reason}", text(&change["at"]), text(&change["action"]), text(&change["author"]))?;
    }
    let signature = &signed.json()["signature"];
    Ok(writeln!(
        out,
        "\nSigned with the key {} ({}): {}",
        text(&signature["public_key"]),
        text(&signature["algorithm"]),
        text(&signature["value"])
    )?)
}
