//! The database of one test: a file, or on the server that `THRONG_TEST_ROUTES_ON` names (`mysql` or `postgres`).

use std::env;
use std::sync::Arc;

use sqlx::{Connection as _, Executor as _, MySqlConnection, PgConnection};
use tempfile::TempDir;
use throng_backends::store::{self, DatabaseUrl};
use throng_domain::store::Database;

use crate::environment::variable;

/// A database that goes with its test.
pub struct TestDatabase {
    /// What a server is told.
    pub url: String,
    on: On,
    // The file's.
    _directory: Option<TempDir>,
}

/// Where it is.
enum On {
    File,
    /// The server's URL, and the database's name there.
    MySql(String, String),
    Postgres(String, String),
}

impl TestDatabase {
    /// One where these tests are run.
    pub fn new() -> Self {
        let name = format!("t{:032x}", rand::random::<u128>());
        match env::var("THRONG_TEST_ROUTES_ON").as_deref() {
            Ok("mysql") => Self::on_server(On::MySql, variable("THRONG_TEST_MYSQL_URL"), name),
            Ok("postgres") => Self::on_server(On::Postgres, variable("THRONG_TEST_POSTGRES_URL"), name),
            Ok(other) => panic!("THRONG_TEST_ROUTES_ON is mysql or postgres, not {other}"),
            Err(_) => Self::file(),
        }
    }

    /// A file, wherever these tests are run.
    pub fn file() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}", directory.path().join("throng.db").display());
        Self { url, on: On::File, _directory: Some(directory) }
    }

    fn on_server(on: fn(String, String) -> On, server: String, name: String) -> Self {
        let on = on(server.clone(), name.clone());
        run(&on, &format!("CREATE DATABASE {name}"));
        Self { url: format!("{server}/{name}"), on, _directory: None }
    }

    /// What `work` does with another handle on it.
    pub fn with_store<T>(&self, work: impl AsyncFnOnce(Arc<dyn Database>) -> T) -> T {
        let url: DatabaseUrl = self.url.parse().unwrap();
        block_on(async { work(store::open(&url, None).await.unwrap()).await })
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        match &self.on {
            On::File => {}
            On::MySql(_, name) => run(&self.on, &format!("DROP DATABASE {name}")),
            On::Postgres(_, name) => run(&self.on, &format!("DROP DATABASE {name} WITH (FORCE)")),
        }
    }
}

/// Runs a statement beside every database of a test.
fn run(on: &On, statement: &str) {
    let statement = sqlx::raw_sql(statement);
    block_on(async {
        match on {
            On::File => {}
            On::MySql(server, _) => {
                let mut connection = MySqlConnection::connect(&format!("{server}/mysql")).await.unwrap();
                connection.execute(statement).await.unwrap();
            }
            On::Postgres(server, _) => {
                let mut connection = PgConnection::connect(&format!("{server}/postgres")).await.unwrap();
                connection.execute(statement).await.unwrap();
            }
        }
    });
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}
