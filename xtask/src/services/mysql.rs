//! MySQL, with every commit synced, and with the binary log and password storage that its later versions use by default.
//! Debian's stable releases don't have it.

use std::process::Command;

use super::certificate::{self, CERTIFICATE, KEY};
use super::instance::{Instance, ServerSpec, StopSignal};
use super::mariadb;
use super::wire::exchange;
use crate::packages::Program;

/// How it is set up and run.
pub const SPEC: ServerSpec = ServerSpec {
    name: "mysql",
    variable: "THRONG_TEST_MYSQL_URL",
    scheme: "mysql",
    has_users: true,
    programs: &[Program { name: "mysqld", package: "mysql-server" }, certificate::OPENSSL],
    user: Some("mysql"),
    stop_signal: StopSignal::Terminate,
    prepare,
    companion: None,
    command,
    accepts_clients: |address| Ok(exchange::<5>(address, b"")?[4] == 10),
};

fn prepare(instance: &Instance) -> anyhow::Result<()> {
    certificate::make(instance)?;
    mariadb::write_users(instance)?;
    let mut install = instance.command("mysqld")?;
    install.args(["--no-defaults", "--initialize-insecure"]).arg(format!("--datadir={}", instance.path("data")));
    instance.finish(install)
}

fn command(instance: &Instance) -> anyhow::Result<Command> {
    let mut server = instance.command("mysqld")?;
    server.args(["--no-defaults", "--bind-address=127.0.0.1", "--skip-name-resolve", "--mysqlx=OFF"]);
    server.args(["--max-connections=300", "--max-connect-errors=4294967295"]);
    server.arg(format!("--port={}", instance.ports[0])).arg(format!("--datadir={}", instance.path("data")));
    server.arg(format!("--socket={}", instance.path("socket"))).arg(format!("--pid-file={}", instance.path("pid")));
    server.arg(format!("--tmpdir={}", instance.directory.display()));
    server.arg(format!("--ssl-cert={}", instance.path(CERTIFICATE))).arg(format!("--ssl-key={}", instance.path(KEY)));
    server.arg(format!("--init-file={}", instance.path("users.sql")));
    Ok(server)
}
