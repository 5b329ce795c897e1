//! TLS to the server, as the URL requires it.

use std::time::Duration;

use throng_backends::store::mysql::MySqlStore;
use throng_domain::contract::support::{ballot, create, record};
use throng_domain::store::StoreError;
use tokio::time::Instant;

use super::{OwnDatabase, execute, server, server_url};

/// The path of the server's certificate.
fn certificate() -> String {
    std::env::var("THRONG_TEST_MYSQL_CA")
        .expect("THRONG_TEST_MYSQL_CA names the server's certificate; `cargo xtask test` sets it")
}

#[tokio::test]
async fn a_certificate_is_verified_where_tls_is_required() {
    let database = OwnDatabase::create().await;
    let open = async |options: String| MySqlStore::open(&server_url(&format!("{}{options}", database.url()))).await;
    for mode in ["require", "verify-ca", "VERIFY_IDENTITY"] {
        let opened = open(format!("?ssl-mode={mode}&ssl-ca={}", certificate())).await;
        assert!(opened.is_ok(), "{mode}: {opened:?}");
        let unknown = open(format!("?ssl-mode={mode}")).await;
        assert!(
            matches!(&unknown, Err(StoreError::Rejected(why)) if why.contains("sslrootcert")),
            "{mode}: {unknown:?}"
        );
    }
    for options in ["", "?sslmode=no-verify", "?sslmode=disable"] {
        let opened = open(options.to_owned()).await;
        assert!(opened.is_ok(), "{options}: {opened:?}");
    }
    let (account, port) = database.url().rsplit_once("127.0.0.1:").map(|(a, p)| (a.to_owned(), p.to_owned())).unwrap();
    let options = format!("?sslmode=verify-full&sslrootcert={}", certificate());
    let opened = MySqlStore::open(&server_url(&format!("{account}localhost:{port}{options}"))).await;
    assert!(opened.is_ok(), "the certificate is valid for localhost too");
}

#[tokio::test]
async fn user_that_requires_tls_is_rejected_without_it() {
    let database = OwnDatabase::create().await;
    let mut administrator = database.connect().await;
    let (name, user) = (&database.name, format!("u{}", &database.name[database.name.len() - 12..]));
    execute(&mut administrator, format!("CREATE USER {user}@'%' IDENTIFIED BY 'only-here' REQUIRE SSL")).await;
    execute(&mut administrator, format!("GRANT ALL PRIVILEGES ON {name}.* TO {user}@'%'")).await;
    let (_, address) = server().rsplit_once('@').map(|(user, host)| (user.to_owned(), host.to_owned())).unwrap();
    let url = |mode: &str| server_url(&format!("mysql://{user}:only-here@{address}/{name}?sslmode={mode}"));
    let (plain, encrypted) = (MySqlStore::open(&url("disable")).await, MySqlStore::open(&url("no-verify")).await);
    execute(&mut administrator, format!("DROP USER {user}@'%'")).await;
    assert!(matches!(plain, Err(StoreError::Rejected(_))), "{plain:?}");
    assert!(encrypted.is_ok(), "{encrypted:?}");
}

/// From the first login on, MySQL caches in memory what it verifies a password with; before, a login without TLS uses RSA.
#[tokio::test]
async fn first_login_of_a_user_works_without_tls() {
    let database = OwnDatabase::create().await;
    let mut administrator = database.connect().await;
    for _ in 0..2 {
        // A restart has the same effect.
        execute(&mut administrator, "FLUSH PRIVILEGES".to_owned()).await;
        let opened = MySqlStore::open(&server_url(&format!("{}?sslmode=disable", database.url()))).await;
        assert!(opened.is_ok(), "{opened:?}");
    }
}

#[tokio::test]
async fn large_batch_over_tls_avoids_delayed_acknowledgements() {
    let database = OwnDatabase::create().await;
    let store = MySqlStore::open(&server_url(&format!("{}?sslmode=no-verify", database.url()))).await.unwrap();
    throng_domain::store::Schema::migrate(&store).await.unwrap();
    let poll = create(&store, "poll").await;
    // With Nagle's algorithm each batch takes 40 ms, however fast the machine is; without it, few do on a busy one.
    for batch in 0..100 {
        let ballots: Vec<_> = (batch * 200..(batch + 1) * 200).map(|number| ballot(&poll, number, &[1])).collect();
        let started = Instant::now();
        record(&store, &ballots).await;
        if started.elapsed() < Duration::from_millis(38) {
            return;
        }
    }
    panic!("each of 100 batches took 38 ms and more");
}
