//! Ballots in a real MariaDB or MySQL: what every store does, and what it does when the server is away, frozen, locked,
//! or loses an answer.
#![allow(clippy::unwrap_used, reason = "a test fails where it can't go on")]

mod contract;
mod counting;
mod faults;
mod proxy;
mod schema;
mod tls;

use std::hash::{BuildHasher, RandomState};

use sqlx::{Connection, MySqlConnection};
use throng_backends::store::mysql::MySqlStore;
use throng_backends::store::{DatabaseUrl, ServerUrl};
use throng_domain::store::{Database, StoreError};

/// The server that all tests share, without a database: `mysql://user:password@host:port`.
fn server() -> String {
    let url = std::env::var("THRONG_TEST_MYSQL_URL").expect(
        "these tests need a MariaDB or MySQL: run `cargo xtask test`, which starts a private one, or set \
         THRONG_TEST_MYSQL_URL (mysql://user:password@127.0.0.1:port, a user who may make databases)",
    );
    url.trim_end_matches('/').to_owned()
}

/// A database of a test's own, which goes when this is dropped.
#[derive(Debug)]
struct OwnDatabase {
    name: String,
}

impl OwnDatabase {
    /// An empty one.
    async fn make() -> Self {
        let name = format!("throng_test_{:016x}", RandomState::new().hash_one(0));
        let mut administrator = MySqlConnection::connect(&server()).await.unwrap();
        execute(&mut administrator, format!("CREATE DATABASE {name} CHARACTER SET latin1")).await;
        Self { name }
    }

    /// One with its schema in place, and a store in it.
    async fn with_store() -> (Self, MySqlStore) {
        let database = Self::make().await;
        let store = database.open().await.unwrap();
        store.migrate().await.unwrap();
        (database, store)
    }

    async fn open(&self) -> Result<MySqlStore, StoreError> {
        MySqlStore::open(&server_url(&self.url())).await
    }

    /// The same database as it is seen through a proxy at `address`, which has to read what is sent.
    async fn open_through(&self, address: std::net::SocketAddr) -> Result<MySqlStore, StoreError> {
        let server = server();
        let (account, _) = server.rsplit_once('@').unwrap();
        MySqlStore::open(&server_url(&format!("{account}@{address}/{}?sslmode=disable", self.name))).await
    }

    fn url(&self) -> String {
        format!("{}/{}", server(), self.name)
    }

    /// The database as anybody else sees it.
    async fn stranger(&self) -> MySqlConnection {
        MySqlConnection::connect(&self.url()).await.unwrap()
    }
}

impl Drop for OwnDatabase {
    fn drop(&mut self) {
        let drop = format!("DROP DATABASE {}", self.name);
        // The test's own runtime can't be waited for here.
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
