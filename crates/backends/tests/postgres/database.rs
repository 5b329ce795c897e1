//! A database for one test.

use std::hash::{BuildHasher as _, RandomState};

use sqlx::Connection as _;
use sqlx::postgres::PgConnection;
use throng_backends::store::postgres::PostgresStore;
use throng_backends::store::{DatabaseUrl, ServerUrl};
use throng_domain::contract::support::done;
use throng_domain::store::Schema as _;

/// The server that all tests share: `scheme://user:password@host:port`.
fn server() -> String {
    let url = std::env::var("THRONG_TEST_POSTGRES_URL").expect(
        "these tests need a PostgreSQL: run `cargo xtask test`, which starts a private one, or set \
         THRONG_TEST_POSTGRES_URL (postgres://user:password@127.0.0.1:port), whose user may create databases",
    );
    url.trim_end_matches('/').to_owned()
}

/// The URL of a database, which need not exist.
pub fn url(server: &str, name: &str) -> ServerUrl {
    match format!("{server}/{name}").parse() {
        Ok(DatabaseUrl::Postgres(url)) => url,
        other => panic!("THRONG_TEST_POSTGRES_URL isn't the URL of a PostgreSQL: {other:?}"),
    }
}

/// A database for one test, which is dropped with this.
#[derive(Debug)]
pub struct Database {
    pub name: String,
}

impl Database {
    /// One without tables.
    pub async fn empty() -> Self {
        let name = format!("throng_test_{:016x}", RandomState::new().hash_one(()));
        run("postgres", &format!("CREATE DATABASE {name} TEMPLATE template0")).await;
        Self { name }
    }

    /// One with its schema in place, and a store in it.
    pub async fn with_store() -> (Self, PostgresStore) {
        let database = Self::empty().await;
        let store = database.open().await;
        done(store.migrate().await);
        (database, store)
    }

    pub fn url(&self) -> ServerUrl {
        url(&server(), &self.name)
    }

    pub fn text_url(&self) -> String {
        format!("{}/{}", server(), self.name)
    }

    /// Its URL through a proxy at `address`, without TLS, since the proxy reads what is sent.
    pub fn url_through(&self, address: &str) -> ServerUrl {
        let (account, _) =
            server().rsplit_once('@').map(|(account, host)| (account.to_owned(), host.to_owned())).unwrap();
        url(&format!("{account}@{address}"), &format!("{}?sslmode=disable", self.name))
    }

    /// From now on stores the `synchronous_commit` setting of each transaction: in the title of a new poll, and in the table
    /// `committed` for each ballot.
    pub async fn record_commit_settings(&self) {
        self.run(
            "CREATE TABLE committed (how text); \
             CREATE FUNCTION witness() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
             NEW.title := current_setting('synchronous_commit'); RETURN NEW; END $$; \
             CREATE TRIGGER witness BEFORE INSERT ON poll FOR EACH ROW EXECUTE FUNCTION witness(); \
             CREATE FUNCTION witness_ballot() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
             INSERT INTO committed VALUES (current_setting('synchronous_commit')); RETURN NEW; END $$; \
             CREATE TRIGGER witness BEFORE INSERT ON ballot FOR EACH ROW EXECUTE FUNCTION witness_ballot()",
        )
        .await;
    }

    /// The user of the tests and its password.
    pub fn account() -> (String, String) {
        let server = server();
        let (_, rest) = server.split_once("://").unwrap();
        let (account, _) = rest.rsplit_once('@').unwrap();
        let (user, password) = account.split_once(':').unwrap();
        (user.to_owned(), password.to_owned())
    }

    /// The server's `host:port`.
    pub fn upstream() -> String {
        server().rsplit_once('@').unwrap().1.to_owned()
    }

    /// Another store in it.
    pub async fn open(&self) -> PostgresStore {
        done(PostgresStore::open(&self.url()).await)
    }

    /// Runs statements in it on a connection that isn't a store's.
    pub async fn run(&self, statements: &str) {
        run(&self.name, statements).await;
    }

    /// A connection to it that isn't a store's.
    pub async fn connect(&self) -> PgConnection {
        connect(&self.name).await
    }

    /// Ends every connection to it, as a restart of the server does.
    pub async fn end_connections(&self) {
        let name = &self.name;
        run(
            "postgres",
            &format!("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = '{name}'"),
        )
        .await;
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let statement = format!("DROP DATABASE {} WITH (FORCE)", self.name);
        // A runtime of its own, since the test's can't be awaited here.
        let dropping = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(run("postgres", &statement));
        });
        assert!(dropping.join().is_ok() || std::thread::panicking());
    }
}

async fn connect(name: &str) -> PgConnection {
    PgConnection::connect(&format!("{}/{name}", server())).await.unwrap()
}

async fn run(name: &str, statements: &str) {
    let mut connection = connect(name).await;
    sqlx::raw_sql(statements).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}
