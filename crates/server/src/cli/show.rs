//! `throng show`: polls in the order of an evening, behind one address.

use std::io::Write;

use clap::{Args, Subcommand};
use throng_domain::clock::Clock;
use throng_domain::poll::Slug;
use throng_domain::show::{Show, current};
use throng_domain::store::Store;

use super::author::AuthorFlags;
use super::console::{Json, print, write_json};
use super::database;
use super::flags::Flags;
use super::poll::advise;
use super::table::{Side, Table, plain};
use crate::polls::{PollService, ShowDefinition};

/// `throng show`.
#[derive(Debug, Args)]
pub(super) struct ShowArgs {
    #[command(flatten)]
    author: AuthorFlags,
    #[command(subcommand)]
    command: ShowCommand,
}

/// Subcommands of `throng show`.
#[derive(Debug, Subcommand)]
enum ShowCommand {
    Create(Create),
    Edit(Edit),
    List(List),
    Show(ShowOne),
    Delete(Delete),
}

/// Create a show: a sequence of polls
///
/// Its page /shows/SLUG, and GET /api/v1/shows/SLUG, follow the polls: the open one, else the next one, else the last one. Drafts may be
/// among them, and appear once they have a time.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
struct Create {
    /// Name of the show in URLs: a-z, 0-9 and -
    slug: Slug,
    /// What it is called
    #[arg(long, allow_hyphen_values = true)]
    title: String,
    /// Poll of the show; repeat for each poll, in their order
    #[arg(long = "poll", value_name = "SLUG")]
    polls: Vec<Slug>,
    #[command(flatten)]
    json: Json,
}

const EXAMPLES: &str = "\
Examples:
  throng show create finale --title 'The finale' --poll song-1 --poll song-2 --poll song-3
  throng show edit finale --poll song-1 --poll song-3 --poll song-2";

/// Change a show's title, or its polls
#[derive(Debug, Args)]
struct Edit {
    /// Slug of the show
    slug: Slug,
    /// What it is called
    #[arg(long, allow_hyphen_values = true)]
    title: Option<String>,
    /// Poll of the show; repeat for each poll, in their order: the show has these and no others
    #[arg(long = "poll", value_name = "SLUG")]
    polls: Vec<Slug>,
    #[command(flatten)]
    json: Json,
}

/// List the shows
#[derive(Debug, Args)]
struct List {
    #[command(flatten)]
    json: Json,
}

/// Show a show's polls and their states, and which is the current one
#[derive(Debug, Args)]
struct ShowOne {
    /// Slug of the show
    slug: Slug,
    #[command(flatten)]
    json: Json,
}

/// Delete a show; its polls stay
#[derive(Debug, Args)]
struct Delete {
    /// Slug of the show
    slug: Slug,
    #[command(flatten)]
    json: Json,
}

pub(super) fn run(ShowArgs { author, command }: ShowArgs, flags: &Flags) -> anyhow::Result<()> {
    let config = flags.config()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    print(|out| {
        runtime.block_on(async {
            let database = database::open_current(&config).await?;
            let clock = database::clock(&config, &*database).await?;
            let (store, clock): (&dyn Store, &dyn Clock) = (&*database, &*clock);
            let author = author.author();
            let polls = PollService::new(store, clock, &config, &author);
            match command {
                ShowCommand::Create(Create { slug, title, polls: slugs, json }) => {
                    let definition = ShowDefinition { slug, title, polls: slugs };
                    let created = polls.create_show(definition).await.map_err(advise)?;
                    write_changed(&created, "created", json, out)
                }
                ShowCommand::Edit(Edit { slug, title, polls: slugs, json }) => {
                    let slugs = Some(slugs).filter(|slugs| !slugs.is_empty());
                    let edited = polls.edit_show(&slug, title, slugs).await.map_err(advise)?;
                    write_changed(&edited, "as given", json, out)
                }
                ShowCommand::List(List { json }) => list(store, json, out).await,
                ShowCommand::Show(ShowOne { slug, json }) => {
                    let show = polls.find_show(&slug).await.map_err(advise)?;
                    if json.json { write_json(out, &show) } else { write_show(&show, store, clock, out).await }
                }
                ShowCommand::Delete(Delete { slug, json }) => {
                    let deleted = polls.delete_show(&slug).await.map_err(advise)?;
                    write_changed(&deleted, "deleted; its polls stay", json, out)
                }
            }
        })
    })
}

fn write_changed(show: &Show, what: &str, json: Json, out: &mut dyn Write) -> anyhow::Result<()> {
    if json.json {
        return write_json(out, show);
    }
    Ok(writeln!(out, "The show `{}` is {what}.", show.slug)?)
}

async fn list(store: &dyn Store, json: Json, out: &mut dyn Write) -> anyhow::Result<()> {
    let shows = store.shows().await?;
    if json.json {
        return write_json(out, &shows);
    }
    if shows.is_empty() {
        return Ok(writeln!(out, "There is no show yet. To make one: throng show create --help")?);
    }
    let mut table = Table::new([Side::Left, Side::Right, Side::Left]);
    table.row(["SLUG", "POLLS", "TITLE"].map(str::to_owned));
    for Show { slug, title, polls, .. } in shows {
        table.row([slug.to_string(), polls.len().to_string(), title]);
    }
    Ok(table.write(out, "")?)
}

async fn write_show(show: &Show, store: &dyn Store, clock: &dyn Clock, out: &mut dyn Write) -> anyhow::Result<()> {
    writeln!(out, "{}\n", plain(&show.title))?;
    let (mut found, now) = (Vec::new(), clock.now());
    for slug in &show.polls {
        found.push(store.poll(slug).await?);
    }
    let public = found.iter().flatten().filter(|poll| !poll.rehearsal);
    let current = current(public, now).map(|poll| &poll.slug);
    let mut table = Table::new([Side::Left, Side::Left, Side::Left, Side::Left]);
    table.row(["", "POLL", "STATE", "TITLE"].map(str::to_owned));
    for (slug, poll) in show.polls.iter().zip(&found) {
        let mark = if current == Some(slug) { ">" } else { "" };
        let (state, title) = match poll {
            Some(poll) => (poll.state(now).as_str(), poll.title.clone()),
            None => ("missing", String::new()),
        };
        table.row([mark.to_owned(), slug.to_string(), state.to_owned(), title]);
    }
    Ok(table.write(out, "")?)
}
