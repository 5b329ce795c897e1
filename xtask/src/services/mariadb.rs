//! MariaDB, with every commit synced, and with TLS, which later versions enable by default.

use std::process::Command;

use super::certificate::{self, CERTIFICATE, KEY, OPENSSL};
use super::instance::{Instance, ServerSpec, StopSignal, USER};
use super::wire::exchange;
use crate::packages::Program;

/// How it is set up and run.
pub const SPEC: ServerSpec = ServerSpec {
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
    stop_signal: StopSignal::Terminate,
    prepare,
    companion: None,
    command,
    // It sends a greeting to each client once it has read its user from the file; the fifth byte is the protocol version.
    accepts_clients: |address| Ok(exchange::<5>(address, b"")?[4] == 10),
};

fn prepare(instance: &Instance) -> anyhow::Result<()> {
    certificate::make(instance)?;
    write_users(instance)?;
    let mut install = instance.command("mariadb-install-db")?;
    install.args(["--no-defaults", "--skip-test-db", "--auth-root-authentication-method=socket"]);
    install.arg(format!("--datadir={}", instance.path("data")));
    instance.finish(install)
}

/// Writes the SQL that the server runs when it starts, which creates the tests' user: its own root may log in only over a Unix
/// socket, which the tests don't have.
///
/// # Errors
/// If it can't be written.
pub fn write_users(instance: &Instance) -> anyhow::Result<()> {
    let password = &instance.password;
    instance.write(
        "users.sql",
        &format!(
            "CREATE USER IF NOT EXISTS '{USER}'@'%' IDENTIFIED BY '{password}';\n\
             GRANT ALL PRIVILEGES ON *.* TO '{USER}'@'%' WITH GRANT OPTION;\n"
        ),
    )?;
    Ok(())
}

fn command(instance: &Instance) -> anyhow::Result<Command> {
    let mut server = instance.command("mariadbd")?;
    server.args(["--no-defaults", "--bind-address=127.0.0.1", "--socket=", "--skip-name-resolve"]);
    server.args(["--innodb-flush-log-at-trx-commit=1", "--max-connections=300"]);
    // Fault tests break many connections, and the server would block the address that they come from.
    server.arg("--max-connect-errors=4294967295");
    server.arg(format!("--port={}", instance.ports[0])).arg(format!("--datadir={}", instance.path("data")));
    server
        .arg(format!("--tmpdir={}", instance.directory.display()))
        .arg(format!("--pid-file={}", instance.path("pid")));
    server.arg(format!("--ssl-cert={}", instance.path(CERTIFICATE))).arg(format!("--ssl-key={}", instance.path(KEY)));
    server.arg(format!("--init-file={}", instance.path("users.sql")));
    Ok(server)
}
