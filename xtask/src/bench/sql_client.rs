//! SQL on the database servers that are measured, with each server's own client.

use anyhow::{Context as _, bail};

use crate::command;
use crate::services::Kind;

/// Creates a database on the server of this kind at `url`.
///
/// # Errors
/// If the client fails.
pub fn create_database(kind: Kind, url: &str, name: &str) -> anyhow::Result<()> {
    execute(kind, url, None, &[&format!("CREATE DATABASE {name}")]).map(drop)
}

/// Executes statements in turn, each in a transaction of its own, in this database or in none of Throng's; returns what they print,
/// without column names.
///
/// # Errors
/// If the client or a statement fails.
pub fn execute(kind: Kind, url: &str, database: Option<&str>, statements: &[&str]) -> anyhow::Result<String> {
    match kind {
        Kind::Postgres => {
            let mut psql = command::program("psql");
            psql.arg(format!("{url}/{}", database.unwrap_or("postgres"))).args(["-qtA", "-v", "ON_ERROR_STOP=1"]);
            psql.args(statements.iter().flat_map(|statement| ["-c", statement]));
            command::output(&mut psql)
        }
        Kind::Mariadb | Kind::Mysql => {
            let (user, password, host, port) = parts(url).context("unexpected form of the server's URL")?;
            let mut mariadb = command::program("mariadb");
            mariadb.args(["-N", "-B", "-u", user, "-h", host, "-P", port, "-e", &statements.join("; ")]);
            command::output(mariadb.args(database).env("MYSQL_PWD", password))
        }
        Kind::Rabbitmq | Kind::Memcached => bail!("not a database server"),
    }
}

/// User, password, host and port of `scheme://user:password@host:port`.
fn parts(url: &str) -> Option<(&str, &str, &str, &str)> {
    let (user, rest) = url.split_once("://")?.1.split_once(':')?;
    let (password, address) = rest.split_once('@')?;
    let (host, port) = address.split_once(':')?;
    Some((user, password, host, port))
}
