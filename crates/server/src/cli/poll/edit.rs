//! `throng poll edit`, `throng poll archive` and `throng poll delete`.

use std::io::Write;

use clap::{ArgGroup, Args};
use throng_domain::clock::Clock;
use throng_domain::origins::{AllowedOrigins, Origin};
use throng_domain::policy::Policy;
use throng_domain::poll::{Kind, Locale, OptionId, OptionOrder, PercentBase, Proof, Slug, Visibility};
use throng_domain::poll_change::Edit as PollEdit;

use super::advice::advise;
use super::counting::CountingFlags;
use super::create::one_of;
use super::display::write_poll;
use crate::cli::console::{Json, write_json};
use crate::polls::PollService;
use crate::view::AdminPollView;

/// Change a poll's texts or rules
///
/// Texts, the visibility of results, the base of percentages, the proof of work, the allowed origins, the locale and the order on the
/// page can change at any time. What decides how
/// ballots count can change only before the poll opens: its options, kind, limits, policy and quota. When it opens and closes is
/// changed by `throng poll open` and `throng poll close`. Servers know of a change within a second.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, override_usage = "throng poll edit [OPTIONS] <SLUG>")]
#[command(group = ArgGroup::new("change").multiple(true).required(true).args([
    "title", "intro", "consent", "labels", "added", "removed", "results", "percent_base", "proof", "kind", "min", "max",
    "policy", "quota", "option_quota", "no_option_quota", "changeable", "allowed_origins", "no_allowed_origins",
    "locale", "option_order",
]).args(CountingFlags::IDS))]
pub(in crate::cli) struct Edit {
    /// Slug of the poll
    slug: Slug,
    /// Question that the poll asks
    #[arg(long, allow_hyphen_values = true)]
    title: Option<String>,
    /// Introduction below the title; '' for none
    #[arg(long, allow_hyphen_values = true)]
    intro: Option<String>,
    /// Text that a voter agrees to by voting; '' for none
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    consent: Option<String>,
    /// New label of an option, by its id; may be repeated
    #[arg(long = "label", value_name = "ID=LABEL", value_parser = label, allow_hyphen_values = true)]
    labels: Vec<(OptionId, String)>,
    /// Label of a new option, which is added at the end; may be repeated
    #[arg(long = "add-option", value_name = "LABEL", allow_hyphen_values = true)]
    added: Vec<String>,
    /// Id of an option to remove; may be repeated
    #[arg(long = "remove-option", value_name = "ID", value_parser = option_id)]
    removed: Vec<OptionId>,
    /// Who sees the results before the close: everyone, those who voted, no one, or no one even after it
    #[arg(long, value_parser = one_of::<Visibility>(Visibility::WORDS))]
    results: Option<Visibility>,
    /// Base of the percentages: the voters, or all the choices made
    #[arg(long, value_parser = one_of::<PercentBase>(PercentBase::WORDS))]
    percent_base: Option<PercentBase>,
    /// Whether a ballot has to come with a proof of work
    #[arg(long, value_parser = one_of::<Proof>(Proof::WORDS))]
    proof: Option<Proof>,
    /// What a ballot says of the options: it chooses one or several, ranks them, or gives each a score
    #[arg(long, value_parser = one_of::<Kind>(Kind::WORDS))]
    kind: Option<Kind>,
    /// Minimum number of options that a ballot chooses, ranks or scores
    #[arg(long, value_name = "N")]
    min: Option<u16>,
    /// Maximum number of options that a ballot chooses, ranks or scores
    #[arg(long, value_name = "N")]
    max: Option<u16>,
    #[command(flatten)]
    counting: CountingFlags,
    /// What identifies a voter
    #[arg(long, value_parser = one_of::<Policy>(Policy::WORDS))]
    policy: Option<Policy>,
    /// Ballots that a voter may cast
    #[arg(long, value_name = "N")]
    quota: Option<u8>,
    /// How many of a voter's ballots may choose the same option
    #[arg(long, value_name = "N")]
    option_quota: Option<u8>,
    /// Let all of a voter's ballots choose the same option
    #[arg(long, conflicts_with = "option_quota")]
    no_option_quota: bool,
    /// Whether voters may replace or withdraw their ballots until the poll closes
    #[arg(long, value_name = "BOOL")]
    changeable: Option<bool>,
    /// Origin whose pages may vote in this poll and show it in a frame; repeat for each, also for those that may already
    #[arg(long = "allow-origin", value_name = "ORIGIN")]
    allowed_origins: Vec<Origin>,
    /// Let pages of the origins in CORS_ALLOW_ORIGIN vote, as in polls without a list of their own
    #[arg(long, conflicts_with = "allowed_origins")]
    no_allowed_origins: bool,
    /// Language of the poll's texts
    #[arg(long, value_parser = one_of::<Locale>(Locale::WORDS))]
    locale: Option<Locale>,
    /// Order in which the page shows the options: as stored, or another one for each ballot
    #[arg(long, value_parser = one_of::<OptionOrder>(OptionOrder::WORDS))]
    option_order: Option<OptionOrder>,
    #[command(flatten)]
    version: Version,
    #[command(flatten)]
    json: Json,
}

const EXAMPLES: &str = "\
Examples:
  throng poll edit song --title 'Best song of 2026?'
  throng poll edit song --label 2='Bêta'
  throng poll edit song --add-option Gamma --remove-option 1 --if-version 3
  throng poll edit song --results after_close --reason 'the jury votes tonight'";

/// The version that a poll must have for a change.
#[derive(Clone, Copy, Debug, Args)]
struct Version {
    /// Change nothing unless the poll is at this version, as `throng poll show` prints it
    #[arg(long = "if-version", value_name = "N")]
    version: Option<u64>,
}

/// Leave a poll out of lists, once its result is final
///
/// Its page and its result stay where they are. It can't be opened again until `throng poll archive --undo`.
#[derive(Debug, Args)]
pub(in crate::cli) struct Archive {
    /// Slug of the poll
    slug: Slug,
    /// Take an archived poll back
    #[arg(long)]
    undo: bool,
    #[command(flatten)]
    json: Json,
}

/// Delete a draft
///
/// What voters may have seen stays: a poll that was open, or is to be, can only be archived.
#[derive(Debug, Args)]
pub(in crate::cli) struct Delete {
    /// Slug of the poll
    slug: Slug,
    #[command(flatten)]
    version: Version,
    #[command(flatten)]
    json: Json,
}

impl Edit {
    pub(super) async fn run(
        self,
        polls: PollService<'_>,
        clock: &dyn Clock,
        out: &mut dyn Write,
    ) -> anyhow::Result<()> {
        let (slug, version, json) = (self.slug.clone(), self.version.version, self.json);
        let poll = polls.at(version).edit(&slug, self.into_edit()).await.map_err(advise)?;
        write_poll(&poll, clock.now(), json, out)?;
        if !json.json {
            writeln!(out, "It is at version {} now. To see what was changed: throng poll log {slug}", poll.version)?;
        }
        Ok(())
    }

    fn into_edit(self) -> PollEdit {
        let is_listed = self.no_allowed_origins || !self.allowed_origins.is_empty();
        let allowed_origins: AllowedOrigins = self.allowed_origins.into_iter().collect();
        PollEdit {
            title: self.title,
            intro: self.intro,
            consent: self.consent,
            labels: self.labels,
            added: self.added,
            removed: self.removed,
            results: self.results,
            percent_base: self.percent_base,
            proof: self.proof,
            allowed_origins: is_listed.then_some(allowed_origins),
            locale: self.locale,
            option_order: self.option_order,
            kind: self.kind,
            min_choices: self.min,
            max_choices: self.max,
            counting: self.counting.into_edit(),
            policy: self.policy,
            ballots: self.quota,
            per_option: if self.no_option_quota { Some(None) } else { self.option_quota.map(Some) },
            changeable: self.changeable,
            window: None,
        }
    }
}

impl Archive {
    pub(super) async fn run(
        self,
        polls: PollService<'_>,
        clock: &dyn Clock,
        out: &mut dyn Write,
    ) -> anyhow::Result<()> {
        let poll = polls.archive(&self.slug, !self.undo).await.map_err(advise)?;
        if self.json.json {
            return write_json(out, &AdminPollView::new(&poll, clock.now()));
        }
        let archived = if self.undo { "no longer archived" } else { "archived" };
        Ok(writeln!(out, "The poll `{}` is {archived}.", poll.slug)?)
    }
}

impl Delete {
    pub(super) async fn run(
        self,
        polls: PollService<'_>,
        clock: &dyn Clock,
        out: &mut dyn Write,
    ) -> anyhow::Result<()> {
        let poll = polls.at(self.version.version).delete(&self.slug).await.map_err(advise)?;
        if self.json.json {
            return write_json(out, &AdminPollView::new(&poll, clock.now()));
        }
        Ok(writeln!(out, "The draft `{}` is deleted.", poll.slug)?)
    }
}

pub(super) fn option_id(text: &str) -> Result<OptionId, String> {
    text.parse().map(OptionId).map_err(|_| format!("`{text}` is not the id of an option, such as 2"))
}

fn label(text: &str) -> Result<(OptionId, String), String> {
    let (id, label) = text.split_once('=').ok_or("write the option's id, `=` and its new label, such as 2=Beta")?;
    Ok((option_id(id)?, label.to_owned()))
}
