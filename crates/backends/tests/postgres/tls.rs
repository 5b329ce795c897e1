//! TLS to the server, as the URL requires it.

use std::time::Duration;

use throng_backends::store::postgres::PostgresStore;
use throng_backends::store::{DatabaseUrl, ServerUrl};
use throng_domain::contract::support::{create, done, record};
use throng_domain::store::{Schema as _, StoreError};
use tokio::time::Instant;

use super::ballots;
use super::database::Database;

/// The path of the server's certificate.
fn certificate() -> String {
    std::env::var("THRONG_TEST_POSTGRES_CA")
        .expect("THRONG_TEST_POSTGRES_CA names the server's certificate; `cargo xtask test` sets it")
}

fn url(database: &Database, options: &str) -> ServerUrl {
    match format!("{}{options}", database.text_url()).parse() {
        Ok(DatabaseUrl::Postgres(url)) => url,
        other => panic!("{options}: {other:?}"),
    }
}

/// Whether each connection of Throng's to the database is encrypted.
async fn encrypted(database: &Database) -> Vec<bool> {
    let query = "SELECT ssl FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) \
                 WHERE datname = current_database() AND application_name = 'throng'";
    sqlx::query_scalar(query).fetch_all(&mut database.connect().await).await.unwrap()
}

#[tokio::test]
async fn a_certificate_is_verified_where_tls_is_required() {
    let database = Database::empty().await;
    for mode in ["require", "verify-ca", "verify-full"] {
        let options = format!("?sslmode={mode}&sslrootcert={}", certificate());
        let opened = PostgresStore::open(&url(&database, &options)).await;
        assert!(opened.is_ok(), "{mode}: {opened:?}");
        assert_eq!(encrypted(&database).await, [true], "{mode}");
        drop(opened);
        database.end_connections().await;
        let unknown = PostgresStore::open(&url(&database, &format!("?sslmode={mode}"))).await;
        assert!(
            matches!(&unknown, Err(StoreError::Rejected(why)) if why.contains("sslrootcert")),
            "{mode}: {unknown:?}"
        );
    }
    for (options, is_encrypted) in [("?sslmode=no-verify", true), ("?sslmode=disable", false)] {
        let opened = PostgresStore::open(&url(&database, options)).await;
        assert!(opened.is_ok(), "{options}: {opened:?}");
        assert_eq!(encrypted(&database).await, [is_encrypted], "{options}");
        drop(opened);
        database.end_connections().await;
    }
}

#[tokio::test]
async fn large_batch_over_tls_avoids_delayed_acknowledgements() {
    let database = Database::empty().await;
    let store = done(PostgresStore::open(&url(&database, "?sslmode=no-verify")).await);
    done(store.migrate().await);
    let poll = create(&store, "poll").await;
    // With Nagle's algorithm each batch takes 40 ms, however fast the machine is; without it, few do on a busy one.
    for batch in 0..100 {
        let ballots = ballots(&poll, batch * 350..(batch + 1) * 350);
        let started = Instant::now();
        record(&store, &ballots).await;
        if started.elapsed() < Duration::from_millis(38) {
            return;
        }
    }
    panic!("each of 100 batches took 38 ms and more");
}
