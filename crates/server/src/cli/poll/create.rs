//! `throng poll create`.

use std::io::Write;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, ValueHint};
use throng_domain::clock::Clock;
use throng_domain::counting::Counting;
use throng_domain::new_poll::NewPoll;
use throng_domain::origins::Origin;
use throng_domain::policy::{Policy, Quota};
use throng_domain::poll::{Kind, Locale, OptionOrder, PercentBase, Proof, Slug, Visibility};

use super::advice::advise;
use super::counting::CountingFlags;
use super::display::write_poll;
use crate::cli::console::{Json, write_message};
use crate::config::Config;
use crate::polls::{PollService, Schedule, TimeArg};

/// Create a poll
///
/// Without --opens-at it is a draft, which accepts no votes until `throng poll open`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(in crate::cli) struct Create {
    /// Name of the poll in URLs: a-z, 0-9 and -
    #[arg(value_hint = ValueHint::Other)]
    slug: Slug,
    /// Make it a rehearsal, for good: it takes ballots from load runs with a pass (see `throng poll pass`), and none from voters
    #[arg(long)]
    rehearsal: bool,
    /// Question that the poll asks
    #[arg(long, allow_hyphen_values = true)]
    title: String,
    /// Introduction below the title, a sentence or two
    #[arg(long, default_value = "", hide_default_value = true, allow_hyphen_values = true)]
    intro: String,
    /// Text that a voter agrees to by voting, above the button, such as the conditions of a prize
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true, allow_hyphen_values = true)]
    consent: String,
    /// Option to choose from; repeat for each option, in the order they are shown. Their ids are 1, 2, 3 …
    #[arg(long = "option", value_name = "LABEL", required = true, allow_hyphen_values = true)]
    labels: Vec<String>,
    /// What a ballot says of the options: it chooses one or several, ranks them, or gives each a score
    #[arg(long, default_value = "single", value_parser = one_of::<Kind>(Kind::WORDS))]
    kind: Kind,
    /// Minimum number of options that a ballot chooses, ranks or scores [default: 1]
    #[arg(long, value_name = "N")]
    min: Option<u16>,
    /// Maximum number of options that a ballot chooses, ranks or scores [default: 1 for single, otherwise all]
    #[arg(long, value_name = "N")]
    max: Option<u16>,
    #[command(flatten)]
    counting: CountingFlags,
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
    /// What identifies a voter: nothing, so that everyone may vote any number of times; the voter's browser; its network; a token
    /// that the publisher signs for its user (VOTER_KEYS); or an invitation code (see `throng poll codes`)
    #[arg(long, default_value = "unlimited", value_parser = one_of::<Policy>(Policy::WORDS))]
    policy: Policy,
    /// Ballots that a voter may cast
    #[arg(long, value_name = "N", default_value_t = 1)]
    quota: u8,
    /// How many of a voter's ballots may choose the same option [default: all of them]
    #[arg(long, value_name = "N")]
    option_quota: Option<u8>,
    /// Let voters replace or withdraw their ballots until the poll closes
    #[arg(long)]
    changeable: bool,
    /// Whether a ballot has to come with a proof of work: some computing time of its sender's, most of it on slow phones; with
    /// `adaptive`, only while the poll's votes look unusual, such as many from one network
    #[arg(long, default_value = "never", value_parser = one_of::<Proof>(Proof::WORDS))]
    proof: Proof,
    /// Origin whose pages may vote in this poll and show it in a frame, such as https://www.example.com; repeat for each. `null` is any
    /// page in a sandboxed frame. Pages of other origins may not, whatever CORS_ALLOW_ORIGIN is [default: as CORS_ALLOW_ORIGIN]
    #[arg(long = "allow-origin", value_name = "ORIGIN")]
    allowed_origins: Vec<Origin>,
    /// Language of the title, the options and the other texts given here, for screen readers and the browser's fonts; the page's own
    /// texts are in English
    #[arg(long, default_value = "en", value_parser = one_of::<Locale>(Locale::WORDS))]
    locale: Locale,
    /// Order in which the page shows the options: as given, or another one for each ballot, so that none profits from being the first;
    /// without JavaScript it is as given
    #[arg(long, default_value = "fixed", value_parser = one_of::<OptionOrder>(OptionOrder::WORDS))]
    option_order: OptionOrder,
    #[command(flatten)]
    json: Json,
}

/// The warning about a poll whose votes can't be counted with the settings here.
const WITHOUT_KEYS: &str =
    "warning: VOTER_KEYS isn't set here; a server without it refuses every vote in this poll with 503";

const EXAMPLES: &str = "\
Examples:
  throng poll create song --title 'Best song?' --option Alpha --option Beta
  throng poll create song --title 'Best song?' --option Alpha --option Beta --opens-at now --closes-at +2h
  throng poll create host --title 'Where next year?' --option Oslo --option Rome --option Riga --kind ranked
  throng poll create song-test --rehearsal --title 'Best song?' --option Alpha --option Beta --opens-at now
  throng poll create day --title 'Which days?' --option Fri --option Sat --option Sun --kind multiple --max 2 \\
      --opens-at 2026-07-01T20:00:00+02:00 --results after_close";

impl Create {
    pub(super) async fn run(
        self,
        polls: PollService<'_>,
        clock: &dyn Clock,
        config: &Config,
        out: &mut dyn Write,
    ) -> anyhow::Result<()> {
        let json = self.json;
        let (new, schedule) = self.into_new_poll();
        let poll = polls.create(new, schedule).await.map_err(advise)?;
        if poll.policy == Policy::Signed && config.voter_keys.is_none() {
            write_message(WITHOUT_KEYS);
        }
        write_poll(&poll, clock.now(), json, out)
    }

    fn into_new_poll(self) -> (NewPoll, Schedule) {
        let schedule = Schedule { opens_at: self.opens_at, closes_at: self.closes_at };
        let new = NewPoll {
            slug: self.slug,
            rehearsal: self.rehearsal,
            title: self.title,
            intro: self.intro,
            consent: self.consent,
            kind: self.kind,
            min_choices: self.min,
            max_choices: self.max,
            counting: self.counting.into_edit().apply(Counting::default()),
            opens_at: None,
            closes_at: None,
            results: self.results,
            percent_base: self.percent_base,
            policy: self.policy,
            quota: Quota { ballots: self.quota, per_option: self.option_quota },
            changeable: self.changeable,
            proof: self.proof,
            allowed_origins: self.allowed_origins.into_iter().collect(),
            locale: self.locale,
            option_order: self.option_order,
            labels: self.labels,
        };
        (new, schedule)
    }
}

/// A parser for one of a field's values, which help and completions then list.
pub(in crate::cli) fn one_of<T>(words: &'static [&'static str]) -> impl TypedValueParser<Value = T>
where
    T: std::str::FromStr<Err: std::error::Error + Send + Sync + 'static> + Clone + Send + Sync + 'static,
{
    PossibleValuesParser::new(words).try_map(|word| word.parse())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Given {
        #[command(flatten)]
        create: Create,
    }

    #[test]
    fn labels_may_begin_with_a_hyphen() {
        let given =
            ["create", "t", "--title", "-5 \u{b0}C?", "--option", "-5 \u{b0}C", "--option=--", "--intro", "- so"];
        let (new, _) = Given::try_parse_from(given).unwrap().create.into_new_poll();
        assert_eq!(new.labels, ["-5 \u{b0}C", "--"]);
        assert_eq!((new.title.as_str(), new.intro.as_str()), ("-5 \u{b0}C?", "- so"));
    }
}
