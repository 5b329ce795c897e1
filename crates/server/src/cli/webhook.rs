//! `throng webhook`: who is told that a poll has opened, has closed, or is final.

use std::io::{self, IsTerminal as _, Write};

use anyhow::bail;
use clap::{Args, Subcommand};
use throng_domain::store::Store;
use throng_domain::webhook::Webhook;

use super::author::AuthorFlags;
use super::console::{Json, print, write_json, write_message};
use super::database;
use super::flags::Flags;
use super::table::{Side, Table};
use crate::view::{WebhookTestView, WebhookView, rfc3339_text};
use crate::webhooks::{SEND_MAX, WebhookClient, WebhookUrl, create_webhook, find_webhook, send_test};

/// `throng webhook`.
#[derive(Debug, Args)]
pub(super) struct WebhookArgs {
    #[command(flatten)]
    author: AuthorFlags,
    #[command(subcommand)]
    command: WebhookCommand,
}

/// Subcommands of `throng webhook`.
#[derive(Debug, Subcommand)]
enum WebhookCommand {
    Create(Create),
    List(List),
    Test(Test),
    Delete(Delete),
}

/// Make a webhook, and print its secret
///
/// From now on, a server sends a message to URL when a poll opens, when it closes, and when its result is final; again, for a day, until the
/// response is 2xx. Messages are signed after Standard Webhooks, with the secret, which is printed once: it is derived from
/// APP_SECRET, so the servers have to have the same. Rehearsals have no messages.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
struct Create {
    /// Where to send to: https://, or http:// to this machine or a host that WEBHOOK_HOSTS names
    url: String,
    #[command(flatten)]
    json: Json,
}

const EXAMPLES: &str = "\
Examples:
  throng webhook create https://cms.example/hooks/polls > /run/secrets/webhook_secret
  throng webhook test 1";

/// List the webhooks, with how the last attempt ended and when the next is due
#[derive(Debug, Args)]
struct List {
    #[command(flatten)]
    json: Json,
}

/// Send a message of no consequence from this machine, now and once
///
/// Its type is `webhook.test`. Exits with 1 if it isn't accepted.
#[derive(Debug, Args)]
struct Test {
    /// Number of the webhook, as `throng webhook list` prints it
    number: u32,
    #[command(flatten)]
    json: Json,
}

/// Delete a webhook, with the messages that wait for it
#[derive(Debug, Args)]
struct Delete {
    /// Number of the webhook, as `throng webhook list` prints it
    number: u32,
    #[command(flatten)]
    json: Json,
}

pub(super) fn run(WebhookArgs { author, command }: WebhookArgs, flags: &Flags) -> anyhow::Result<()> {
    let config = flags.config()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    print(|out| {
        runtime.block_on(async {
            let database = database::open_current(&config).await?;
            let clock = database::clock(&config, &*database).await?;
            let (store, author): (&dyn Store, _) = (&*database, author.author());
            match command {
                WebhookCommand::Create(Create { url, json }) => {
                    let url = WebhookUrl::parse(&url, &config.webhook_hosts)?;
                    let key = config.webhook_key()?;
                    let (webhook, secret) = create_webhook(store, &url, rand::random(), &key, &author).await?;
                    write_new(&webhook, secret.text(), json, out)
                }
                WebhookCommand::List(List { json }) => list(store, json, out).await,
                WebhookCommand::Test(Test { number, json }) => {
                    let webhook = find_webhook(store, number).await?;
                    let client = WebhookClient::new(config.webhook_hosts.clone(), SEND_MAX);
                    let sent = send_test(&client, &config.webhook_key()?, &webhook, clock.now()).await;
                    write_tested(sent, json, out)
                }
                WebhookCommand::Delete(Delete { number, json }) => {
                    let deleted = store.delete_webhook(number, &author).await?;
                    if json.json {
                        return write_json(out, &WebhookView::from(&deleted));
                    }
                    Ok(writeln!(out, "The webhook {number} is deleted.")?)
                }
            }
        })
    })
}

/// The secret alone on standard output, for a program or a file; what it is of, beside that.
fn write_new(webhook: &Webhook, secret: String, json: Json, out: &mut dyn Write) -> anyhow::Result<()> {
    if json.json {
        return write_json(out, &WebhookView::with_secret(webhook, secret));
    }
    if io::stdout().is_terminal() {
        write_message(&format!("the secret of webhook {}; it can't be printed again", webhook.number));
    }
    Ok(writeln!(out, "{secret}")?)
}

fn write_tested(sent: Result<String, String>, json: Json, out: &mut dyn Write) -> anyhow::Result<()> {
    let failed = sent.clone().err();
    if json.json {
        write_json(out, &WebhookTestView::from(sent))?;
    } else if let Ok(outcome) = sent {
        writeln!(out, "The message was accepted: {outcome}")?;
    }
    match failed {
        Some(outcome) => bail!("the message was not accepted: {outcome}"),
        None => Ok(()),
    }
}

async fn list(store: &dyn Store, json: Json, out: &mut dyn Write) -> anyhow::Result<()> {
    let webhooks = store.webhooks().await?;
    if json.json {
        return write_json(out, &webhooks.iter().map(WebhookView::from).collect::<Vec<_>>());
    }
    if webhooks.is_empty() {
        return Ok(writeln!(out, "There are no webhooks yet. To make one: throng webhook create URL")?);
    }
    let mut table = Table::new([Side::Right, Side::Left, Side::Right, Side::Left, Side::Left]);
    table.row(["WEBHOOK", "URL", "WAITING", "NEXT", "LAST ATTEMPT"].map(str::to_owned));
    for Webhook { number, url, pending, next_at, last, .. } in webhooks {
        let last = last.map_or_else(|| "-".to_owned(), |last| format!("{} {}", rfc3339_text(last.at), last.outcome));
        let next = next_at.map_or_else(|| "-".to_owned(), rfc3339_text);
        table.row([number.to_string(), url, pending.to_string(), next, last]);
    }
    Ok(table.write(out, "")?)
}
