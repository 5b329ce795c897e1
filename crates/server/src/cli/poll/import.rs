//! `throng poll import`.

use std::io::{self, Read as _, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::advice::advise;
use crate::app::with_causes;
use crate::cli::console::{Json, write_json};
use crate::polls::{Applied, PollDefinition, PollService};

/// Create or change polls so that they are as a file says
///
/// The file, in TOML or JSON, has a list of `polls`, each with its slug, by which it is recognized, and what `throng poll create` takes:
/// so polls can be kept under version control. What isn't given is as in a new poll, but when a poll opens and closes, which then stays
/// as it is. A poll that is as the file says stays unchanged, so the same file can be imported again. Polls that aren't in the file
/// stay, too.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(in crate::cli) struct Import {
    /// File to read; - is standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Format of the file [default: by its name]
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// Only show what would be done
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    json: Json,
}

const EXAMPLES: &str = "\
A file in TOML:
  [[polls]]
  slug = \"best-song\"
  title = \"Best song?\"
  options = [\"Alpha\", \"Beta\"]        # or { id = 1, label = \"Alpha\" }
  kind = \"multiple\"
  max_choices = 2
  policy = \"device\"
  quota = { ballots = 10, per_option = 3 }
  opens_at = 2026-07-01T20:00:00+02:00
  closes_at = \"+2h\"

Examples:
  throng poll import polls.toml --dry-run
  throng poll import polls.toml --reason 'spring season'";

/// Format of a file of polls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    Toml,
    Json,
}

/// A file of polls.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Polls {
    polls: Vec<Value>,
}

/// The same, of which nothing is used but that it can be read.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Definitions {
    #[serde(rename = "polls")]
    _polls: Vec<PollDefinition>,
}

/// What was done with a poll, in JSON.
#[derive(Serialize)]
struct Row<'a> {
    poll: &'a str,
    done: &'static str,
}

impl Import {
    pub(super) async fn run(self, polls: PollService<'_>, out: &mut dyn Write) -> anyhow::Result<()> {
        let name = self.file.display();
        let definitions = self
            .read()
            .and_then(|polls| definitions(&polls))
            .with_context(|| format!("nothing was imported from {name}"))?;
        let (mut applied, mut failed) = (Vec::new(), Vec::new());
        for definition in &definitions {
            let done = if self.dry_run { polls.preview_apply(definition).await } else { polls.apply(definition).await };
            match done {
                Ok(done) => applied.push(done),
                Err(error) => failed.push(format!("poll `{}`: {}", definition.slug, with_causes(&advise(error)))),
            }
        }
        self.write(&applied, out)?;
        if failed.is_empty() { Ok(()) } else { bail!("not all of {name} was imported:\n  {}", failed.join("\n  ")) }
    }

    fn read(&self) -> anyhow::Result<Polls> {
        let is_input = self.file == Path::new("-");
        let text = if is_input {
            let mut text = String::new();
            io::stdin().read_to_string(&mut text)?;
            text
        } else {
            std::fs::read_to_string(&self.file)?
        };
        let extension = self.file.extension().and_then(|extension| extension.to_str());
        match (self.format, extension) {
            (Some(Format::Toml), _) | (None, Some("toml")) => {
                let table: toml::Table = text.parse()?;
                Ok(serde_json::from_value(json_of(toml::Value::Table(table)))?)
            }
            (Some(Format::Json), _) | (None, Some("json")) => {
                // For its errors, which have line numbers and find what is given twice.
                serde_json::from_str::<Definitions>(&text)?;
                Ok(serde_json::from_str(&text)?)
            }
            (None, _) => bail!("its name doesn't tell its format; give --format toml or --format json"),
        }
    }

    fn write(&self, applied: &[Applied], out: &mut dyn Write) -> anyhow::Result<()> {
        let rows = applied.iter().map(Applied::poll).map(|(poll, done)| Row { poll: poll.slug.as_str(), done });
        if self.json.json {
            return write_json(out, &rows.collect::<Vec<_>>());
        }
        let would_be = if self.dry_run { "would be " } else { "" };
        for Row { poll, done } in rows {
            match done {
                "unchanged" => writeln!(out, "{poll}: unchanged")?,
                _ => writeln!(out, "{poll}: {would_be}{done}")?,
            }
        }
        Ok(())
    }
}

/// The polls of a file, each checked before any of them is imported.
fn definitions(file: &Polls) -> anyhow::Result<Vec<PollDefinition>> {
    let definition = |(place, poll): (usize, &Value)| {
        let slug = poll.get("slug").and_then(Value::as_str);
        let which = slug.map_or_else(|| format!("poll {place}"), |slug| format!("poll {place}, `{slug}`"));
        // A list would be taken for the fields in their order.
        let poll = poll.as_object().with_context(|| format!("{which} isn't a table of fields"))?;
        PollDefinition::deserialize(poll).with_context(|| which)
    };
    let definitions: Vec<_> = (1..).zip(&file.polls).map(definition).collect::<anyhow::Result<_>>()?;
    for (place, definition) in definitions.iter().enumerate() {
        if definitions[..place].iter().any(|earlier| earlier.slug == definition.slug) {
            bail!("there are two polls `{}`", definition.slug);
        }
    }
    Ok(definitions)
}

/// The same in JSON, with each time as text.
fn json_of(value: toml::Value) -> Value {
    match value {
        toml::Value::String(text) => Value::String(text),
        toml::Value::Integer(number) => number.into(),
        toml::Value::Float(number) => number.into(),
        toml::Value::Boolean(value) => value.into(),
        toml::Value::Datetime(time) => Value::String(time.to_string()),
        toml::Value::Array(values) => values.into_iter().map(json_of).collect(),
        toml::Value::Table(table) => {
            Value::Object(table.into_iter().map(|(key, value)| (key, json_of(value))).collect::<Map<_, _>>())
        }
    }
}
