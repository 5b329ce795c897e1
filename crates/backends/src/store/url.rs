//! The URL of a database.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use super::ServerUrl;

/// A database, with all that is needed to reach it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DatabaseUrl {
    /// An SQLite file.
    Sqlite(PathBuf),
    /// MariaDB or MySQL.
    MySql(ServerUrl),
    /// PostgreSQL.
    Postgres(ServerUrl),
}

impl DatabaseUrl {
    /// Whether everybody knows the server's password.
    pub fn has_default_password(&self) -> bool {
        match self {
            Self::Sqlite(_) => false,
            Self::MySql(url) | Self::Postgres(url) => url.has_default_password(),
        }
    }

    /// Whether several servers may record in it at the same time.
    pub fn is_shared(&self) -> bool {
        match self {
            Self::Sqlite(_) => false,
            Self::MySql(_) | Self::Postgres(_) => true,
        }
    }
}

/// For display and logs: without its password.
impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => path.display().fmt(f),
            Self::MySql(url) | Self::Postgres(url) => url.fmt(f),
        }
    }
}

impl FromStr for DatabaseUrl {
    type Err = String;

    fn from_str(url: &str) -> Result<Self, String> {
        let Some((scheme, rest)) = url.split_once("://") else {
            return Err("write it as a URL, such as sqlite://var/throng.db".to_owned());
        };
        match scheme {
            "sqlite" => parse_path(rest).map(Self::Sqlite),
            "mysql" | "mariadb" => ServerUrl::parse("mysql", 3306, rest).map(Self::MySql),
            "postgres" | "postgresql" => ServerUrl::parse("postgres", 5432, rest).map(Self::Postgres),
            other => Err(format!(
                "`{other}://` isn't a database that Throng supports; use sqlite://PATH, mysql://user:password@host/name or \
                 postgres://user:password@host/name"
            )),
        }
    }
}

/// The path of a file, unless it is one that is hardly ever intended.
fn parse_path(path: &str) -> Result<PathBuf, String> {
    if path.is_empty() || path.ends_with('/') {
        return Err("name a file, such as sqlite://var/throng.db".to_owned());
    }
    if path.contains(['?', '#']) {
        return Err("sqlite:// takes a path and no options".to_owned());
    }
    if path == ":memory:" {
        return Err("a database in memory would lose every ballot when the process ends; name a file".to_owned());
    }
    if path.trim() != path || path.contains(char::is_control) {
        return Err(format!("the path {path:?} starts or ends with a blank, or has a line break; remove it"));
    }
    Ok(path.into())
}

#[cfg(test)]
mod tests {
    use super::super::TlsMode;
    use super::*;

    #[test]
    fn unintended_path_is_rejected() {
        assert_eq!("sqlite:///var/my votes.db".parse(), Ok(DatabaseUrl::Sqlite("/var/my votes.db".into())));
        for (wrong, expected) in [
            ("sqlite://", "name a file"),
            ("sqlite://var/", "name a file"),
            ("sqlite://:memory:", "lose every ballot"),
            ("sqlite://var/throng.db\n", "line break"),
            ("sqlite://var/throng.db ", "with a blank"),
            ("sqlite:// var/throng.db", "with a blank"),
            ("sqlite://var/throng\r.db", "line break"),
            ("sqlite://var/throng.db?mode=ro", "no options"),
        ] {
            let error = wrong.parse::<DatabaseUrl>().unwrap_err();
            assert!(error.contains(expected), "{wrong:?}: {error}");
        }
    }

    #[test]
    fn server_is_parsed_and_its_password_not_shown() {
        let url: DatabaseUrl = "mysql://ann:p%40ss@db.example:3307/votes".parse().unwrap();
        let DatabaseUrl::MySql(server) = &url else { panic!("{url:?}") };
        assert_eq!((server.user.as_str(), server.password.as_str()), ("ann", "p@ss"));
        assert_eq!((server.host.as_str(), server.port, server.name.as_str()), ("db.example", 3307, "votes"));
        assert_eq!(url.to_string(), "mysql://ann@db.example:3307/votes");
        let url: DatabaseUrl = "postgresql://ann:secret@[::1]/votes".parse().unwrap();
        assert_eq!(url.to_string(), "postgres://ann@[::1]:5432/votes");
        assert!(!format!("{url:?}").contains("secret"));
    }

    #[test]
    fn tls_options_follow_the_name() {
        let url: DatabaseUrl = "postgres://ann:secret@db/votes?sslmode=verify-ca&sslrootcert=ca.pem".parse().unwrap();
        let DatabaseUrl::Postgres(server) = &url else { panic!("{url:?}") };
        assert_eq!(server.tls.mode, Some(TlsMode::VerifyCa));
        assert_eq!(server.name, "votes");
        assert_eq!(url.to_string(), "postgres://ann@db:5432/votes");
    }

    #[test]
    fn password_with_a_slash_is_rejected_with_advice() {
        for wrong in
            ["postgres://ann:sec/ret@host/name", "mysql://ann:sec/@host/name", "mysql://a/nn:secret@host:1/name"]
        {
            let error = wrong.parse::<DatabaseUrl>().unwrap_err();
            assert!(error.contains("write / as %2f") && !error.contains("sec"), "{error}");
        }
    }

    #[test]
    fn invalid_url_is_rejected_with_an_example() {
        for wrong in [
            "mysql://host/name",
            "mysql://ann:secret@host",
            "postgres://ann:secret@host:port/name",
            "postgres://ann:secret%zz@host/name",
            "postgres://ann:secret@/name",
            "mysql://ann:secret@host/name?ssl=1",
            "mysql://ann:sec?ret@host/name",
            "oracle://ann:secret@host/name",
        ] {
            let error = wrong.parse::<DatabaseUrl>().unwrap_err();
            assert!(error.contains("://user:password@host") && !error.contains("sec"), "{error}");
        }
    }
}
