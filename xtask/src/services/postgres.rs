//! PostgreSQL, with every commit synced, and TLS as Debian's has it.

use std::process::Command;

use super::certificate::{self, CERTIFICATE, KEY, OPENSSL};
use super::plot::{Plot, USER};
use super::wire::exchange;
use super::{Ending, Recipe};
use crate::packages::Program;

/// How it is made.
pub const RECIPE: Recipe = Recipe {
    name: "postgres",
    variable: "THRONG_TEST_POSTGRES_URL",
    scheme: "postgres",
    has_users: true,
    programs: &[
        Program { name: "postgres", package: "postgresql" },
        Program { name: "initdb", package: "postgresql" },
        OPENSSL,
    ],
    user: Some("postgres"),
    // Fast: it cuts its clients off instead of waiting for them.
    ending: Ending::Interrupt,
    prepare,
    companion: None,
    command,
    // While it starts it answers with an error (E); then it asks who is there (R).
    answers: |address| Ok(exchange::<1>(address, &start_up())?[0] == b'R'),
};

fn prepare(plot: &Plot) -> anyhow::Result<()> {
    certificate::make(plot)?;
    let password = plot.write("password", &plot.password)?;
    let mut initdb = plot.command("initdb")?;
    initdb.args(["--encoding=UTF8", "--locale=C", "--auth=scram-sha-256", "--no-sync"]);
    initdb.arg(format!("--username={USER}")).arg(format!("--pwfile={password}"));
    initdb.arg(format!("--pgdata={}", plot.path("data")));
    plot.finish(initdb)
}

fn command(plot: &Plot) -> anyhow::Result<Command> {
    let mut server = plot.command("postgres")?;
    server.arg("-D").arg(plot.path("data"));
    for setting in ["listen_addresses=127.0.0.1", "unix_socket_directories=", "max_connections=300", "fsync=on"] {
        server.args(["-c", setting]);
    }
    for (setting, value) in [
        ("port", plot.ports[0].to_string()),
        ("ssl", "on".to_owned()),
        ("ssl_cert_file", plot.path(CERTIFICATE)),
        ("ssl_key_file", plot.path(KEY)),
    ] {
        server.arg("-c").arg(format!("{setting}={value}"));
    }
    Ok(server)
}

/// A client's first message, version 3.0 of the protocol: the length of it all, the version, names and values.
fn start_up() -> Vec<u8> {
    let settings = format!("user\0{USER}\0database\0postgres\0\0");
    let length = u32::try_from(8 + settings.len()).unwrap_or(u32::MAX);
    [&length.to_be_bytes()[..], &[0, 3, 0, 0], settings.as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_message_tells_its_own_length() {
        let message = start_up();
        assert_eq!(message[..8], [0, 0, 0, u8::try_from(message.len()).unwrap(), 0, 3, 0, 0]);
        assert!(message.ends_with(b"postgres\0\0"));
    }
}
