//! MySQL, with every commit synced, its binary log on and its password kept as its later versions do by default. Debian's
//! stable releases don't have it.

use std::process::Command;

use super::certificate::{self, CERTIFICATE, KEY};
use super::mariadb;
use super::plot::Plot;
use super::wire::exchange;
use super::{Ending, Recipe};
use crate::packages::Program;

/// How it is made.
pub const RECIPE: Recipe = Recipe {
    name: "mysql",
    variable: "THRONG_TEST_MYSQL_URL",
    scheme: "mysql",
    has_users: true,
    programs: &[Program { name: "mysqld", package: "mysql-server" }, certificate::OPENSSL],
    user: Some("mysql"),
    ending: Ending::Terminate,
    prepare,
    companion: None,
    command,
    answers: |address| Ok(exchange::<5>(address, b"")?[4] == 10),
};

fn prepare(plot: &Plot) -> anyhow::Result<()> {
    certificate::make(plot)?;
    mariadb::write_users(plot)?;
    let mut install = plot.command("mysqld")?;
    install.args(["--no-defaults", "--initialize-insecure"]).arg(format!("--datadir={}", plot.path("data")));
    plot.finish(install)
}

fn command(plot: &Plot) -> anyhow::Result<Command> {
    let mut server = plot.command("mysqld")?;
    server.args(["--no-defaults", "--bind-address=127.0.0.1", "--skip-name-resolve", "--mysqlx=OFF"]);
    server.args(["--max-connections=300", "--max-connect-errors=4294967295"]);
    server.arg(format!("--port={}", plot.ports[0])).arg(format!("--datadir={}", plot.path("data")));
    server.arg(format!("--socket={}", plot.path("socket"))).arg(format!("--pid-file={}", plot.path("pid")));
    server.arg(format!("--tmpdir={}", plot.directory.display()));
    server.arg(format!("--ssl-cert={}", plot.path(CERTIFICATE))).arg(format!("--ssl-key={}", plot.path(KEY)));
    server.arg(format!("--init-file={}", plot.path("users.sql")));
    Ok(server)
}
