//! Ballots in a real MariaDB or MySQL: the contract of every store, and faults of the server: unavailable, frozen, locked, or
//! its response lost.
#![allow(clippy::unwrap_used, reason = "a test fails where it can't go on")]

mod contract;
mod counting;
mod faults;
mod php_votes;
mod schema;
mod tls;

use std::hash::{BuildHasher, RandomState};

use sqlx::{Connection, MySqlConnection};
use throng_backends::store::mysql::MySqlStore;
use throng_backends::store::{DatabaseUrl, ServerUrl};
use throng_domain::store::{Schema as _, StoreError};

/// The server that all tests share, without a database: `mysql://user:password@host:port`.
fn server() -> String {
    let url = std::env::var("THRONG_TEST_MYSQL_URL").expect(
        "these tests need a MariaDB or MySQL: run `cargo xtask test`, which starts a private one, or set \
         THRONG_TEST_MYSQL_URL (mysql://user:password@127.0.0.1:port, a user who may create databases)",
    );
    url.trim_end_matches('/').to_owned()
}

/// A database for one test, which is dropped with this.
#[derive(Debug)]
struct OwnDatabase {
    name: String,
}

impl OwnDatabase {
    /// An empty one.
    async fn create() -> Self {
        let name = format!("throng_test_{:016x}", RandomState::new().hash_one(0));
        let mut administrator = MySqlConnection::connect(&server()).await.unwrap();
        execute(&mut administrator, format!("CREATE DATABASE {name} CHARACTER SET latin1")).await;
        Self { name }
    }

    /// One with its schema in place, and a store in it.
    async fn with_store() -> (Self, MySqlStore) {
        let database = Self::create().await;
        let store = database.open().await.unwrap();
        store.migrate().await.unwrap();
        (database, store)
    }

    async fn open(&self) -> Result<MySqlStore, StoreError> {
        MySqlStore::open(&server_url(&self.url())).await
    }

    /// Opens the same database through a proxy at `address`, without TLS, since the proxy reads what is sent.
    async fn open_through(&self, address: std::net::SocketAddr) -> Result<MySqlStore, StoreError> {
        let server = server();
        let (account, _) = server.rsplit_once('@').unwrap();
        MySqlStore::open(&server_url(&format!("{account}@{address}/{}?sslmode=disable", self.name))).await
    }

    fn url(&self) -> String {
        format!("{}/{}", server(), self.name)
    }

    /// A connection to it that isn't a store's.
    async fn connect(&self) -> MySqlConnection {
        MySqlConnection::connect(&self.url()).await.unwrap()
    }
}

impl Drop for OwnDatabase {
    fn drop(&mut self) {
        let drop = format!("DROP DATABASE {}", self.name);
        // A runtime of its own, since the test's can't be awaited here.
        let dropped = std::thread::spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let mut administrator = MySqlConnection::connect(&server()).await.unwrap();
                execute(&mut administrator, drop).await;
            });
        });
        dropped.join().expect("the test's database is dropped");
    }
}

fn server_url(url: &str) -> ServerUrl {
    let DatabaseUrl::MySql(url) = url.parse().expect("it is a database's URL") else { panic!("it is a mysql:// URL") };
    url
}

async fn execute(connection: &mut MySqlConnection, sql: String) {
    sqlx::raw_sql(&sql).execute(connection).await.unwrap();
}
