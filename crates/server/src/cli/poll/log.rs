//! `throng poll log`.

use std::io::Write;

use clap::Args;
use serde_json::Value;
use throng_domain::audit::AuditEntry;
use throng_domain::poll::Slug;
use throng_domain::void::Void;

use super::void::{rule_text, state};
use crate::cli::console::{Json, write_json};
use crate::cli::table::plain;
use crate::polls::PollService;
use crate::view::{AuditView, rfc3339_text};

/// The longest value of a field that is printed whole, in characters.
const VALUE_CHARS_MAX: usize = 80;

/// Show who changed which poll, when and why
///
/// The last change first. A close by the clock is not a change.
#[derive(Debug, Args)]
pub(in crate::cli) struct Log {
    /// Slug of the poll, which may be deleted [default: all polls]
    slug: Option<Slug>,
    /// How many changes at most
    #[arg(long, value_name = "N", default_value_t = 20)]
    limit: usize,
    /// Only changes before the one with this number
    #[arg(long, value_name = "NUMBER")]
    before: Option<u64>,
    #[command(flatten)]
    json: Json,
}

impl Log {
    pub(super) async fn run(self, polls: PollService<'_>, out: &mut dyn Write) -> anyhow::Result<()> {
        let entries = polls.audit_log(self.slug.as_ref(), self.before, self.limit).await?;
        if self.json.json {
            return write_json(out, &entries.iter().map(AuditView::from).collect::<Vec<_>>());
        }
        if entries.is_empty() {
            return Ok(writeln!(out, "No change is noted.")?);
        }
        for entry in &entries {
            write_entry(entry, out)?;
        }
        if let Some(last) = entries.last().filter(|last| entries.len() == self.limit && last.number > 1) {
            writeln!(out, "Earlier ones: --before {}", last.number)?;
        }
        Ok(())
    }
}

fn write_entry(entry: &AuditEntry, out: &mut dyn Write) -> anyhow::Result<()> {
    let AuditEntry { number, at, author, reason, action, poll, changes } = entry;
    let what = match poll {
        Some(poll) => format!("{} {poll}", action.as_str()),
        None if changes.get("show").is_some() => {
            format!("{} {}", action.as_str(), plain(changes["show"]["slug"].as_str().unwrap_or("?")))
        }
        None if changes.get("webhook").is_some() => {
            let webhook = &changes["webhook"];
            let origin = plain(webhook["origin"].as_str().unwrap_or("?"));
            format!("{} {} ({origin})", action.as_str(), webhook["number"])
        }
        None => format!("{} {}", action.as_str(), token_text(changes)),
    };
    writeln!(out, "{number}  {}  {what}  by {}", rfc3339_text(*at), plain(author))?;
    if !reason.is_empty() {
        writeln!(out, "    reason: {}", plain(reason))?;
    }
    if let Some(batch) = changes.get("batch") {
        writeln!(out, "    batch: {}", plain(batch["name"].as_str().unwrap_or("?")))?;
    }
    // A new or deleted poll has values, not changes.
    for (field, change) in changes.as_object().into_iter().flatten() {
        if let (Some(from), Some(to)) = (change.get("from"), change.get("to")) {
            match field.as_str() {
                "last_option" => {}
                "voids" => write_voids(from, to, out)?,
                _ => writeln!(out, "    {field}: {} -> {}", value_text(field, from), value_text(field, to))?,
            }
        }
    }
    Ok(())
}

/// The token that an entry is about: its number, name and role.
fn token_text(changes: &Value) -> String {
    let token = &changes["token"];
    format!("{} {} ({})", token["number"], token["name"].as_str().unwrap_or("?"), token["role"].as_str().unwrap_or("?"))
}

/// The rules that differ: `to` has all of `from`, changed or not, and new ones.
fn write_voids(from: &Value, to: &Value, out: &mut dyn Write) -> anyhow::Result<()> {
    let rules = |value: &Value| serde_json::from_value::<Vec<Void>>(value.clone()).unwrap_or_default();
    let before = rules(from);
    for void in rules(to).iter().filter(|void| !before.contains(void)) {
        writeln!(out, "    rule {}: {}, {}", void.number, rule_text(&void.rule), state(void))?;
    }
    Ok(())
}

/// A field's value on one line.
fn value_text(field: &str, value: &Value) -> String {
    let at = value.as_i64().filter(|_| field.ends_with("_at"));
    let text = match (at, value) {
        (Some(at), _) => rfc3339_text(throng_domain::clock::Timestamp(at)),
        (None, Value::Null) => "none".to_owned(),
        (None, value) => value.to_string(),
    };
    let shown: String = text.chars().take(VALUE_CHARS_MAX).collect();
    let cut = if shown.len() < text.len() { " …" } else { "" };
    format!("{}{cut}", plain(&shown))
}
