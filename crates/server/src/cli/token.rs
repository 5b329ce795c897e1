//! `throng token`: who may administer polls over HTTP.

use std::io::{self, IsTerminal as _, Write};

use clap::{Args, Subcommand};
use throng_domain::admin_token::{AdminToken, Role, TokenName};
use throng_domain::clock::Timestamp;
use throng_domain::store::Store;

use super::author::AuthorFlags;
use super::console::{Json, print, write_json, write_message};
use super::database;
use super::flags::Flags;
use super::poll::one_of;
use super::table::{Side, Table};
use crate::access::create_token;
use crate::polls::TimeArg;
use crate::view::{TokenView, rfc3339_text};

/// `throng token`.
#[derive(Debug, Args)]
pub(super) struct TokenArgs {
    #[command(flatten)]
    author: AuthorFlags,
    #[command(subcommand)]
    command: TokenCommand,
}

/// Subcommands of `throng token`.
#[derive(Debug, Subcommand)]
enum TokenCommand {
    Create(Create),
    List(List),
    Revoke(Revoke),
}

/// Make a token, and print it
///
/// Who has it administers polls at /api/v1/admin as far as its role allows, with the header `Authorization: Bearer TOKEN`. It is
/// printed once: only a hash of it is stored. Every change made with it is noted under its name (see `throng poll log`).
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
struct Create {
    /// Name of who or what gets it: a-z, 0-9 and -
    name: TokenName,
    /// What it allows: reading polls, results and the audit log; also creating and changing polls and exporting ballots; also
    /// making and revoking tokens
    #[arg(long, value_parser = one_of::<Role>(Role::WORDS))]
    role: Role,
    /// When it expires: a time, or a delay from now such as +90d [default: never]
    #[arg(long, value_name = "WHEN", allow_hyphen_values = true)]
    expires_at: Option<TimeArg>,
    #[command(flatten)]
    json: Json,
}

const EXAMPLES: &str = "\
Examples:
  throng token create anna --role editor --expires-at +90d
  throng token create dashboard --role viewer > /run/secrets/throng_token";

/// List the tokens, without their secrets
#[derive(Debug, Args)]
struct List {
    #[command(flatten)]
    json: Json,
}

/// Revoke a token
///
/// Servers refuse it within a second. It can't be undone.
#[derive(Debug, Args)]
struct Revoke {
    /// Number of the token, as `throng token list` prints it
    number: u32,
    #[command(flatten)]
    json: Json,
}

pub(super) fn run(TokenArgs { author, command }: TokenArgs, flags: &Flags) -> anyhow::Result<()> {
    let config = flags.config()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    print(|out| {
        runtime.block_on(async {
            let database = database::open_current(&config).await?;
            let now = database::clock(&config, &*database).await?.now();
            let author = author.author();
            match command {
                TokenCommand::Create(command) => {
                    let expires_at = command.expires_at.map(|at| at.resolve(now, now));
                    if expires_at.is_some_and(|expires_at| expires_at <= now) {
                        anyhow::bail!("--expires-at has passed already; give a later time");
                    }
                    let (name, role) = (command.name, command.role);
                    let made = create_token(&*database, name, role, expires_at, rand::random(), &author).await?;
                    write_new(made.0, made.1.to_string(), command.json, out)
                }
                TokenCommand::List(List { json }) => list(&*database, now, json, out).await,
                TokenCommand::Revoke(Revoke { number, json }) => {
                    let revoked = database.revoke_token(number, &author).await?;
                    if json.json {
                        return write_json(out, &TokenView::from(&revoked));
                    }
                    Ok(writeln!(out, "The token {number} of `{}` is revoked.", revoked.name)?)
                }
            }
        })
    })
}

/// The token's text alone on standard output, for a program or a file; what it is, beside that.
fn write_new(token: AdminToken, text: String, json: Json, out: &mut dyn Write) -> anyhow::Result<()> {
    if json.json {
        return write_json(out, &TokenView::with_text(&token, text));
    }
    if io::stdout().is_terminal() {
        let expires = token.expires_at.map_or_else(String::new, |at| format!(", until {}", rfc3339_text(at)));
        write_message(&format!(
            "token {} of `{}`, role {}{expires}; it can't be printed again",
            token.number,
            token.name,
            token.role.as_str()
        ));
    }
    Ok(writeln!(out, "{text}")?)
}

async fn list(store: &dyn Store, now: Timestamp, json: Json, out: &mut dyn Write) -> anyhow::Result<()> {
    let tokens = store.tokens().await?;
    if json.json {
        return write_json(out, &tokens.iter().map(TokenView::from).collect::<Vec<_>>());
    }
    if tokens.is_empty() {
        return Ok(writeln!(out, "There are no tokens yet. To make one: throng token create NAME --role editor")?);
    }
    let mut table = Table::new([Side::Right, Side::Left, Side::Left, Side::Left, Side::Left]);
    table.row(["TOKEN", "NAME", "ROLE", "MADE", "STATE"].map(str::to_owned));
    for token in &tokens {
        table.row([
            token.number.to_string(),
            token.name.to_string(),
            token.role.as_str().to_owned(),
            rfc3339_text(token.made_at),
            state_text(token, now),
        ]);
    }
    Ok(table.write(out, "")?)
}

fn state_text(token: &AdminToken, now: Timestamp) -> String {
    match (token.revoked_at, token.expires_at) {
        (Some(at), _) => format!("revoked at {}", rfc3339_text(at)),
        (None, Some(at)) if at <= now => format!("expired at {}", rfc3339_text(at)),
        (None, Some(at)) => format!("valid until {}", rfc3339_text(at)),
        (None, None) => "valid".to_owned(),
    }
}
