//! The databases that store ballots.

mod code_errors;
mod migration;
pub mod mysql;
mod pages;
mod php_table;
pub mod php_votes;
mod pool;
pub mod postgres;
mod record_plan;
mod server_url;
mod show_polls;
pub mod sqlite;
mod tally_sums;
mod tls;
mod url;

use std::sync::Arc;

use throng_domain::store::{Database, StoreError};

pub use self::migration::Migration;
pub use self::server_url::ServerUrl;
pub use self::sqlite::Claim;
pub use self::tls::{Tls, TlsMode};
pub use self::url::DatabaseUrl;

/// Opens the database, creating a file where it is missing. The schema is left unchanged. A file that this process has
/// claimed is opened with its `claim`.
///
/// # Errors
/// Those of the store; a server that can't be reached is [`StoreError::Unavailable`].
pub async fn open(url: &DatabaseUrl, claim: Option<&Claim>) -> Result<Arc<dyn Database>, StoreError> {
    match url {
        DatabaseUrl::Sqlite(path) => Ok(Arc::new(sqlite::SqliteStore::open_or_create(path, claim)?)),
        DatabaseUrl::MySql(url) => Ok(Arc::new(mysql::MySqlStore::open(url).await?)),
        DatabaseUrl::Postgres(url) => Ok(Arc::new(postgres::PostgresStore::open(url).await?)),
    }
}

/// Opens the database if it exists; `None` if it doesn't. For commands that read a database and must not create one
/// because of a mistyped name.
///
/// # Errors
/// Those of [`open`].
pub async fn open_existing(url: &DatabaseUrl) -> Result<Option<Arc<dyn Database>>, StoreError> {
    match url {
        DatabaseUrl::Sqlite(path) => Ok(sqlite::SqliteStore::open_existing(path)?.map(|store| Arc::new(store) as _)),
        // A server doesn't create a database because of a mistyped name.
        DatabaseUrl::MySql(_) | DatabaseUrl::Postgres(_) => open(url, None).await.map(Some),
    }
}

impl DatabaseUrl {
    /// Claims the database for this process, so that no second server keeps a stale copy of its results. `None` where
    /// several processes may serve one database.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] if another process serves it; [`StoreError::Rejected`] if there is no database, but a
    /// log of one.
    pub fn claim(&self) -> Result<Option<Claim>, StoreError> {
        match self {
            Self::Sqlite(path) => sqlite::claim(path).map(Some),
            Self::MySql(_) | Self::Postgres(_) => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn migrations_have_the_same_numbers_and_names() {
        let named = |steps: &[Migration]| steps.iter().map(|step| (step.version, step.name)).collect::<Vec<_>>();
        for steps in [mysql::migrations(), postgres::migrations()] {
            assert_eq!(named(steps), named(sqlite::migrations()));
        }
    }
}
