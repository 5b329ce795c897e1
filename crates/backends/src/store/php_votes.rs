//! The database of the PHP system that Throng replaces, and its votes.

use throng_domain::store::StoreError;

use super::php_table::PhpVotes;
use super::{DatabaseUrl, mysql, postgres, sqlite};

/// The database, from its URL in Symfony's form: `DATABASE_URL` in the `.env` of the PHP system. Options that concern its library
/// alone are ignored.
///
/// # Errors
/// The message says how to write it.
pub fn parse_url(symfony: &str) -> Result<DatabaseUrl, String> {
    if symfony.contains("%kernel.project_dir%") {
        return Err("write the directory of the PHP project in the place of %kernel.project_dir%".to_owned());
    }
    let (address, options) = symfony.split_once('?').unwrap_or((symfony, ""));
    let is_own = |option: &&str| {
        let name = option.split('=').next().unwrap_or_default();
        !matches!(name, "serverVersion" | "charset" | "driver" | "unix_socket" | "persistent" | "")
    };
    let options: Vec<_> = options.split('&').filter(is_own).collect();
    let (scheme, rest) = address.split_once("://").ok_or("write the URL of the PHP system's DATABASE_URL")?;
    let scheme = match scheme {
        "mysqli" | "pdo-mysql" | "pdo_mysql" | "mysql2" => "mysql",
        "pgsql" | "pdo-pgsql" | "pdo_pgsql" => "postgres",
        "sqlite3" | "pdo-sqlite" | "pdo_sqlite" => "sqlite",
        other => other,
    };
    let options = if options.is_empty() { String::new() } else { format!("?{}", options.join("&")) };
    format!("{scheme}://{rest}{options}").parse()
}

/// The votes in the table `poll_entry` of this database.
///
/// # Errors
/// [`StoreError::Rejected`] if there is no such table, or it isn't that of the PHP system.
pub async fn read(url: &DatabaseUrl) -> Result<PhpVotes, StoreError> {
    match url {
        DatabaseUrl::Sqlite(path) => sqlite::php_votes(path),
        DatabaseUrl::MySql(url) => mysql::php_votes(url).await,
        DatabaseUrl::Postgres(url) => postgres::php_votes(url).await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_of_the_php_system_are_read() {
        for (symfony, expected) in [
            ("mysql://app:pw@127.0.0.1:3306/poll?serverVersion=5.7&charset=utf8mb4", "mysql://app@127.0.0.1:3306/poll"),
            ("pgsql://app:pw@db/poll?serverVersion=13", "postgres://app@db:5432/poll"),
            ("sqlite:////srv/poll/var/data.db", "//srv/poll/var/data.db"),
            ("sqlite:///srv/data.db?charset=utf8", "/srv/data.db"),
        ] {
            assert_eq!(parse_url(symfony).unwrap().to_string(), expected, "{symfony}");
        }
        for (wrong, part) in [
            ("sqlite:///%kernel.project_dir%/var/data.db", "in the place of"),
            ("poll.db", "DATABASE_URL"),
            ("oci8://app:pw@db/poll", "isn't a database"),
        ] {
            assert!(parse_url(wrong).unwrap_err().contains(part), "{wrong}");
        }
    }
}
