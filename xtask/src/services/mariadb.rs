//! MariaDB, with every commit synced, and TLS as later versions have it by default.

use std::process::Command;

use super::certificate::{self, CERTIFICATE, KEY, OPENSSL};
use super::plot::{Plot, USER};
use super::wire::exchange;
use super::{Ending, Recipe};
use crate::packages::Program;

/// How it is made.
pub const RECIPE: Recipe = Recipe {
    name: "mariadb",
    variable: "THRONG_TEST_MYSQL_URL",
    scheme: "mysql",
    has_users: true,
    programs: &[
        Program { name: "mariadbd", package: "mariadb-server" },
        Program { name: "mariadb-install-db", package: "mariadb-server" },
        OPENSSL,
    ],
    user: Some("mysql"),
    ending: Ending::Terminate,
    prepare,
    companion: None,
    command,
    // It greets whoever connects, once it has read its user from the file; the fifth byte is the protocol's version.
    answers: |address| Ok(exchange::<5>(address, b"")?[4] == 10),
};

fn prepare(plot: &Plot) -> anyhow::Result<()> {
    certificate::make(plot)?;
    write_users(plot)?;
    let mut install = plot.command("mariadb-install-db")?;
    install.args(["--no-defaults", "--skip-test-db", "--auth-root-authentication-method=socket"]);
    install.arg(format!("--datadir={}", plot.path("data")));
    plot.finish(install)
}

/// Writes what the server runs when it starts: its own root is let in only over a Unix socket, and tests have none.
///
/// # Errors
/// If it can't be written.
pub fn write_users(plot: &Plot) -> anyhow::Result<()> {
    let password = &plot.password;
    plot.write(
        "users.sql",
        &format!(
            "CREATE USER IF NOT EXISTS '{USER}'@'%' IDENTIFIED BY '{password}';\n\
             GRANT ALL PRIVILEGES ON *.* TO '{USER}'@'%' WITH GRANT OPTION;\n"
        ),
    )?;
    Ok(())
}

fn command(plot: &Plot) -> anyhow::Result<Command> {
    let mut server = plot.command("mariadbd")?;
    server.args(["--no-defaults", "--bind-address=127.0.0.1", "--socket=", "--skip-name-resolve"]);
    server.args(["--innodb-flush-log-at-trx-commit=1", "--max-connections=300"]);
    // Faults cut many connections short, and it would shut out the address they come from.
    server.arg("--max-connect-errors=4294967295");
    server.arg(format!("--port={}", plot.ports[0])).arg(format!("--datadir={}", plot.path("data")));
    server.arg(format!("--tmpdir={}", plot.directory.display())).arg(format!("--pid-file={}", plot.path("pid")));
    server.arg(format!("--ssl-cert={}", plot.path(CERTIFICATE))).arg(format!("--ssl-key={}", plot.path(KEY)));
    server.arg(format!("--init-file={}", plot.path("users.sql")));
    Ok(server)
}
