//! The command line.
//!
//! A command writes its output, and nothing else, to standard output; errors and progress go to standard error. The exit
//! code is 0 on success, 1 on failure, and 2 on a usage error.

mod author;
mod backup;
mod bench;
mod config;
mod console;
mod counted;
mod database;
mod dead;
mod doctor;
mod flags;
mod healthcheck;
mod import_php;
mod log;
mod manual;
#[cfg(feature = "otlp")]
mod otlp;
mod output;
mod poll;
mod schema;
mod serve;
mod show;
mod table;
mod token;
mod webhook;
mod worker;

use std::io;
use std::process::ExitCode;

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use self::console::{Json, print, write_message};
use self::flags::Flags;
use crate::app::with_causes;
use crate::config::{SETTINGS, flag_of};

/// A poll server for crowds that all vote at once.
#[derive(Debug, Parser)]
#[command(name = "throng", version, after_help = EXAMPLES, after_long_help = format!("{EXAMPLES}\n\n{}", settings_help()))]
struct Cli {
    #[command(flatten)]
    flags: Flags,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve polls over HTTP (the default)
    Serve,
    /// Record the ballots that web nodes have queued
    ///
    /// Consumes ballots from QUEUE_URL and records them at DATABASE_URL. Any number of workers can run at once. Health and
    /// metrics are at WORKER_LISTEN.
    Worker(worker::Arguments),
    /// Create, edit, open, close and count polls; also while a server runs
    Poll(poll::PollArgs),
    /// Create, edit and delete shows: polls in the order of an evening, behind one address
    Show(show::ShowArgs),
    /// Make, list and revoke the tokens of those who administer polls over HTTP
    Token(token::TokenArgs),
    /// Make, list, test and delete webhooks: who is told that a poll has opened, has closed, or is final
    Webhook(webhook::WebhookArgs),
    /// Create or migrate the database
    #[command(subcommand)]
    Schema(schema::SchemaCommand),
    /// Copy the SQLite file, also while a server writes to it, and check the copy
    ///
    /// The copy holds everything recorded up to one point in time. SQLite checks it, and each poll's tallies are compared with
    /// its ballots, before it appears under its name; only its owner may read it. While ballots arrive, the backup uses a
    /// quarter of one processor.
    Backup(backup::Backup),
    /// Check a copy of the SQLite file and restore it
    ///
    /// Stop the server first. The existing file is kept under another name, together with its log.
    Restore(backup::Restore),
    ImportPhp(import_php::ImportPhp),
    /// Manage the messages that no worker could read
    #[command(subcommand)]
    Dead(dead::DeadCommand),
    /// Check that everything this deployment needs is available, durable and up to date
    ///
    /// Checks the database, its schema, tables, clock and durability; the broker and its queues, which it declares as a server
    /// does; and the cache: each with the settings that a server started here would use. Exits with 1 if it finds a fault, and
    /// reports what to do.
    Doctor(Json),
    /// Show or check the settings in effect
    #[command(subcommand)]
    Config(config::ConfigCommand),
    Healthcheck(healthcheck::Healthcheck),
    /// Print shell completions
    Completions(manual::Completions),
    /// Print a manual page
    Man(manual::Man),
    /// Vote against a running server, all clients at once or at a constant rate, and check its count
    ///
    /// A vote is POST /api/submit with one option. The server's count is read from GET /api/result before and after, so no
    /// other client may vote meanwhile. Exits with 1 if a vote failed or the count differs from the acknowledged votes.
    ///
    /// With --rehearse it votes in a rehearsal: on a real installation, without a ballot in any poll that counts.
    Bench(bench::Arguments),
}

/// Runs the command line.
pub fn run() -> ExitCode {
    let given = command_line().get_matches();
    let Cli { flags, command } = Cli::from_arg_matches(&given).unwrap_or_else(|error| error.exit());
    let name = given.subcommand_name().unwrap_or_default();
    if let Some((flag, why)) =
        flags.given().find_map(|(setting, _)| Some((flag_of(setting), why_ignored(name, setting)?)))
    {
        write_error(&anyhow::anyhow!("{flag} has no meaning here: {why}"));
        return ExitCode::from(2);
    }
    let command = command.unwrap_or(Command::Serve);
    let result = match command {
        Command::Serve => serve::run(&flags),
        Command::Worker(arguments) => worker::run(&arguments, &flags),
        Command::Poll(command) => poll::run(command, &flags),
        Command::Show(command) => show::run(command, &flags),
        Command::Token(command) => token::run(command, &flags),
        Command::Webhook(command) => webhook::run(command, &flags),
        Command::Schema(command) => schema::run(command, &flags),
        Command::Backup(command) => command.run(&flags),
        Command::Restore(command) => command.run(&flags),
        Command::ImportPhp(command) => command.run(&flags),
        Command::Dead(command) => dead::run(command, &flags),
        Command::Doctor(json) => doctor::run(json, &flags),
        Command::Config(command) => config::run(command, &flags),
        Command::Healthcheck(command) => command.run(&flags),
        Command::Completions(command) => print(|out| command.run(command_line(), out)),
        Command::Man(command) => print(|out| command.run(command_line(), out)),
        Command::Bench(arguments) => bench::run(&arguments),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            write_error(&error);
            ExitCode::FAILURE
        }
    }
}

/// The command line as shown in help and manual pages: each command without the flags that have no meaning for it.
fn command_line() -> clap::Command {
    let throng = Cli::command();
    let flags: Vec<_> = throng.get_arguments().filter(|flag| flag.is_global_set()).cloned().collect();
    throng.mut_subcommands(|command| {
        let name = command.get_name().to_owned();
        let ignored = |flag: &&clap::Arg| why_ignored(&name, &flag.get_id().as_str().to_uppercase()).is_some();
        command.args(flags.iter().filter(ignored).map(|flag| flag.clone().hide(true)))
    })
}

/// Why a setting has no meaning for a command; `None` if it has one.
fn why_ignored(command: &str, setting: &str) -> Option<&'static str> {
    match (command, setting) {
        ("bench", _) => Some("--url names the server to vote on"),
        ("worker", "LISTEN") => Some("a worker's health and metrics are at WORKER_LISTEN"),
        ("poll" | "show" | "token" | "webhook" | "schema" | "import-php" | "dead" | "backup" | "restore", "LISTEN") => {
            Some("this command serves nothing")
        }
        (
            "poll" | "show" | "token" | "webhook" | "schema" | "dead" | "worker" | "backup" | "restore",
            "DEFAULT_POLL",
        ) => Some("only a server has a default poll"),
        ("dead", "DATABASE_URL") => Some("these messages are at QUEUE_URL"),
        ("doctor", "WAIT") => Some("doctor reports what is unavailable"),
        ("healthcheck", "DATABASE_URL" | "DEFAULT_POLL" | "WAIT") => Some("the checked server has its own"),
        ("completions" | "man", _) => Some("this command reads no settings"),
        _ => None,
    }
}

/// Whether a command failed only because its output is no longer read, as in `throng poll export demo | head`.
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

/// Writes to standard error why a command failed.
fn write_error(error: &anyhow::Error) {
    write_message(&with_causes(error));
}

const EXAMPLES: &str = "\
Examples:
  throng                                  serve; in dev the first start creates a demo poll
  throng poll create song --title 'Best song?' --option Alpha --option Beta --opens-at now
  throng poll list                        all polls and their numbers of ballots
  throng poll results song --json         the result, as the API returns it
  throng poll close song                  now, or as soon as every server knows of it
  throng poll export song --output song.csv
  throng backup votes.db                  a copy of the SQLite file, while it is served
  throng token create anna --role editor   for changes over HTTP
  throng config show                      every setting in effect, and where it comes from
  throng doctor                           check everything that this deployment needs
  throng help poll create                 help on any command";

fn settings_help() -> String {
    let mut help = String::from(
        "Settings, from flags, the environment, .env.$APP_ENV.local, .env.$APP_ENV, .env.local or .env (the first wins):",
    );
    for setting in SETTINGS {
        help.push_str(&format!("\n  {:<22} {} [default: {}]", setting.name, setting.meaning, setting.default));
    }
    let in_files = SETTINGS.iter().filter(|setting| setting.may_be_in_file).map(|setting| setting.name);
    let in_files = in_files.collect::<Vec<_>>().join(", ");
    help.push_str(&format!(
        "\n{in_files} may each be in a file of its own, named by the setting's name with _FILE appended, such as \
         DATABASE_URL_FILE=/run/secrets/database_url."
    ));
    help
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The words of a line as a shell splits it, with `'` as the only quote.
    fn words(line: &str) -> Vec<String> {
        let (mut words, mut word, mut quoted) = (Vec::new(), None::<String>, false);
        for letter in line.chars() {
            match letter {
                '\'' => {
                    quoted = !quoted;
                    word.get_or_insert_default();
                }
                ' ' if !quoted => words.extend(word.take()),
                letter => word.get_or_insert_default().push(letter),
            }
        }
        words.extend(word);
        words
    }

    fn examples(command: &clap::Command, found: &mut Vec<String>) {
        let help = command.get_after_help().map(ToString::to_string).unwrap_or_default().replace("\\\n", " ");
        // An example's description follows it, after a gap.
        let lines = help.lines().map(str::trim).filter(|line| line.starts_with("throng"));
        found.extend(lines.map(|line| match line.find("   ") {
            Some(gap) if !line[gap..].trim_start().starts_with('-') => line[..gap].to_owned(),
            Some(_) | None => line.to_owned(),
        }));
        command.get_subcommands().for_each(|command| examples(command, found));
    }

    #[test]
    fn examples_in_the_help_are_valid_commands() {
        let mut found = Vec::new();
        examples(&command_line(), &mut found);
        assert!(found.len() > 15, "{found:#?}");
        for example in found {
            // The rest of the line is for the shell.
            let own = example.split(['>', '|']).next().unwrap_or_default();
            let given = command_line().try_get_matches_from(words(own));
            assert!(given.is_ok() || own.starts_with("throng help"), "{example}: {}", given.unwrap_err());
        }
    }

    /// The long help of a command and of those below it.
    fn write_help(command: &mut clap::Command, all: &mut String) {
        all.push_str(&format!("{:=<100}\n{}\n", "", command.render_long_help()));
        command
            .get_subcommands_mut()
            .filter(|command| !command.is_hide_set())
            .for_each(|command| write_help(command, all));
    }

    #[test]
    fn help_is_as_reviewed() {
        let mut throng = command_line().term_width(100).disable_help_subcommand(true).version("VERSION");
        throng.build();
        let mut all = String::new();
        write_help(&mut throng, &mut all);
        insta::assert_snapshot!(all);
    }

    #[test]
    fn the_commands_are_well_formed() {
        command_line().debug_assert();
    }
}
