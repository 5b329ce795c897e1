//! Where a database is, as one URL.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// A database, with all that is needed to reach it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DatabaseUrl {
    /// A file of SQLite's.
    Sqlite(PathBuf),
}

/// As it may be shown and logged: without its password.
impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => path.display().fmt(f),
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
            "sqlite" if rest.is_empty() => Err("name a file, such as sqlite://var/throng.db".to_owned()),
            "sqlite" if rest.contains(['?', '#']) => Err("sqlite:// takes a path and no options".to_owned()),
            "sqlite" => Ok(Self::Sqlite(rest.into())),
            // The rest of the URL may hold a password, so it isn't repeated.
            other => Err(format!("`{other}://` isn't a database that this version of Throng knows; use sqlite://PATH")),
        }
    }
}
