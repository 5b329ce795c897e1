//! `throng poll create`.

use std::io::Write;

use anyhow::bail;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, ValueHint};
use throng_domain::clock::{Clock, Timestamp};
use throng_domain::new_poll::NewPoll;
use throng_domain::poll::{Kind, PercentBase, Slug, Visibility};
use throng_domain::store::{Store, StoreError};

use super::write_changed;
use crate::cli::time_arg::TimeArg;
use crate::cli::{Json, database, write_json};
use crate::view::PollView;

/// Create a poll
///
/// Without --opens-at it is a draft, which accepts no votes until `throng poll open`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(in crate::cli) struct Create {
    /// Name of the poll in URLs: a-z, 0-9 and -
    #[arg(value_hint = ValueHint::Other)]
    slug: Slug,
    /// Question that the poll asks
    #[arg(long, allow_hyphen_values = true)]
    title: String,
    /// Introduction below the title, a sentence or two
    #[arg(long, default_value = "", hide_default_value = true, allow_hyphen_values = true)]
    intro: String,
    /// Option to choose from; repeat for each option, in the order they are shown. Their ids are 1, 2, 3 …
    #[arg(long = "option", value_name = "LABEL", required = true, allow_hyphen_values = true)]
    labels: Vec<String>,
    /// Whether a ballot chooses one option or several
    #[arg(long, default_value = "single", value_parser = one_of::<Kind>(Kind::WORDS))]
    kind: Kind,
    /// Minimum number of options on a ballot [default: 1]
    #[arg(long, value_name = "N")]
    min: Option<u16>,
    /// Maximum number of options on a ballot [default: 1 for single, all for multiple]
    #[arg(long, value_name = "N")]
    max: Option<u16>,
    /// Opening time: `now`, a time such as 2026-07-01T20:00:00Z or 2026-07-01T20:00[Europe/Paris], or a delay from now such as
    /// +15m
    #[arg(long, value_name = "WHEN", allow_hyphen_values = true)]
    opens_at: Option<TimeArg>,
    /// Closing time: a time, or a delay after the opening such as +2h [default: never]
    #[arg(long, value_name = "WHEN", allow_hyphen_values = true)]
    closes_at: Option<TimeArg>,
    /// Who sees the results before the close: everyone, those who voted, no one, or no one even after it
    #[arg(long, default_value = "always", value_parser = one_of::<Visibility>(Visibility::WORDS))]
    results: Visibility,
    /// Base of the percentages: the voters, or all the choices made
    #[arg(long, default_value = "voters", value_parser = one_of::<PercentBase>(PercentBase::WORDS))]
    percent_base: PercentBase,
    #[command(flatten)]
    json: Json,
}

const EXAMPLES: &str = "\
Examples:
  throng poll create song --title 'Best song?' --option Alpha --option Beta
  throng poll create song --title 'Best song?' --option Alpha --option Beta --opens-at now --closes-at +2h
  throng poll create day --title 'Which days?' --option Fri --option Sat --option Sun --kind multiple --max 2 \\
      --opens-at 2026-07-01T20:00:00+02:00 --results after_close";

impl Create {
    pub(super) async fn run(self, store: &dyn Store, clock: &dyn Clock, out: &mut dyn Write) -> anyhow::Result<()> {
        let json = self.json.json;
        let new = self.into_new_poll(clock.now())?;
        let poll = database::retry_conflicts(async || match store.create_poll(new.clone()).await {
            // The slug is taken; a retry would fail too.
            Err(StoreError::Conflict(why)) => bail!(why),
            created => Ok(created?),
        });
        let poll = poll.await?;
        if json { write_json(out, &PollView::new(&poll, clock.now())) } else { write_changed(out, &poll, clock.now()) }
    }

    fn into_new_poll(self, now: Timestamp) -> anyhow::Result<NewPoll> {
        let opens_at = self.opens_at.map(|opens_at| opens_at.resolve(now, now));
        let closes_at = match (self.closes_at, opens_at) {
            (Some(TimeArg::After { .. }), None) => {
                bail!(
                    "a delay in --closes-at counts from the opening: give --opens-at too, or an absolute time to close at"
                )
            }
            (closes_at, _) => closes_at.map(|closes_at| closes_at.resolve(now, opens_at.unwrap_or(now))),
        };
        let new = NewPoll {
            slug: self.slug,
            title: self.title,
            intro: self.intro,
            kind: self.kind,
            min_choices: self.min,
            max_choices: self.max,
            opens_at,
            closes_at,
            results: self.results,
            percent_base: self.percent_base,
            labels: self.labels,
        };
        let mut faults = new.faults();
        if closes_at.is_some_and(|closes_at| closes_at <= now) {
            faults.push("its close has passed already; give a later --closes-at".to_owned());
        }
        if !faults.is_empty() {
            bail!("the poll can't be created:\n  {}", faults.join("\n  "));
        }
        Ok(new)
    }
}

/// A parser for one of a field's values, which help and completions then list.
fn one_of<T>(words: &'static [&'static str]) -> impl TypedValueParser<Value = T>
where
    T: std::str::FromStr<Err: std::error::Error + Send + Sync + 'static> + Clone + Send + Sync + 'static,
{
    PossibleValuesParser::new(words).try_map(|word| word.parse())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    const NOW: Timestamp = Timestamp(1_800_000_000_000);

    #[derive(Parser)]
    struct Given {
        #[command(flatten)]
        create: Create,
    }

    fn new_poll(more: &[&str]) -> anyhow::Result<NewPoll> {
        let given = ["create", "song", "--title", "Best?", "--option", "A", "--option", "B"];
        Given::try_parse_from(given.iter().chain(more)).unwrap().create.into_new_poll(NOW)
    }

    #[test]
    fn window_follows_the_arguments() {
        let window = |more: &[&str]| new_poll(more).map(|new| (new.opens_at, new.closes_at)).unwrap();
        let hour = 3_600_000;
        assert_eq!(window(&[]), (None, None));
        assert_eq!(window(&["--opens-at", "now"]), (Some(NOW), None));
        assert_eq!(
            window(&["--opens-at", "+1h", "--closes-at", "+2h"]),
            (Some(NOW.plus_ms(hour)), Some(NOW.plus_ms(3 * hour)))
        );
        assert_eq!(window(&["--closes-at", "2027-01-15T09:00:00Z"]), (None, Some(NOW.plus_ms(hour))));
    }

    #[test]
    fn labels_may_begin_with_a_hyphen() {
        let given =
            ["create", "t", "--title", "-5 \u{b0}C?", "--option", "-5 \u{b0}C", "--option=--", "--intro", "- so"];
        let new = Given::try_parse_from(given).unwrap().create.into_new_poll(NOW).unwrap();
        assert_eq!(new.labels, ["-5 \u{b0}C", "--"]);
        assert_eq!((new.title.as_str(), new.intro.as_str()), ("-5 \u{b0}C?", "- so"));
    }

    #[test]
    fn all_faults_are_reported_at_once() {
        let error = new_poll(&["--max", "3", "--opens-at", "now", "--closes-at", "2020-01-01T00:00:00Z"]).unwrap_err();
        for expected in ["at most 3 choices", "`multiple`", "closes before it opens", "has passed"] {
            assert!(error.to_string().contains(expected), "{expected}: {error}");
        }
    }

    #[test]
    fn a_draft_has_no_opening_to_count_from() {
        assert!(new_poll(&["--closes-at", "+2h"]).unwrap_err().to_string().contains("--opens-at"));
    }
}
