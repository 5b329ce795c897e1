//! PgBouncer in front of the server: sessions that are shared with other clients.

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};

use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{ConnectOptions as _, Executor as _};
use tempfile::TempDir;
use throng_backends::store::postgres::PostgresStore;
use throng_domain::contract::support::{create, done, record, tallies};
use throng_domain::store::{BallotStore as _, PollStore as _, Schema as _, StoreError};
use throng_testkit::eventually_async;

use super::ballots;
use super::database::{Database, url};

/// The id of an unprivileged user and group, since PgBouncer refuses to run as root.
const NOBODY: u32 = 65_534;

/// A PgBouncer for one test, in front of the server of the tests.
struct Pooler {
    process: Child,
    server: String,
    _directory: TempDir,
}

impl Pooler {
    /// Starts it with Debian's settings, except for `settings`.
    async fn start(settings: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        let path = |name: &str| directory.path().join(name).display().to_string();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let ((user, password), upstream) = (Database::account(), Database::upstream());
        let (host, upstream_port) = upstream.rsplit_once(':').unwrap();
        std::fs::write(path("users"), format!("\"{user}\" \"{password}\"\n")).unwrap();
        let configuration = format!(
            "[databases]\n* = host={host} port={upstream_port}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\n\
             unix_socket_dir =\nauth_type = scram-sha-256\nauth_file = {}\n{settings}\n",
            path("users")
        );
        std::fs::write(path("pgbouncer.ini"), configuration).unwrap();
        let mut command = Command::new(program());
        if std::fs::metadata("/proc/self").is_ok_and(|process| std::os::unix::fs::MetadataExt::uid(&process) == 0) {
            command.uid(NOBODY).gid(NOBODY);
        }
        let process = command.arg(path("pgbouncer.ini")).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let process = process.expect("pgbouncer is installed: `cargo xtask test` ensures it");
        let pooler =
            Self { process, server: format!("postgres://{user}:{password}@127.0.0.1:{port}"), _directory: directory };
        let connect = async || tokio::net::TcpStream::connect(("127.0.0.1", port)).await.ok();
        eventually_async("pgbouncer listens", connect).await;
        pooler
    }

    /// Opens a store in the database through the pooler.
    async fn open(&self, database: &Database) -> Result<PostgresStore, StoreError> {
        PostgresStore::open(&url(&self.server, &database.name)).await
    }

    /// Another client of the pooler, which shares its sessions.
    async fn client(&self, database: &Database) -> PgConnection {
        let options: PgConnectOptions = format!("{}/{}", self.server, database.name).parse().unwrap();
        options.extra_float_digits(None).connect().await.unwrap()
    }
}

impl Drop for Pooler {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

async fn show(client: &mut PgConnection, setting: &str) -> String {
    sqlx::Row::get(&client.fetch_one(&*format!("SHOW {setting}")).await.unwrap(), 0)
}

#[tokio::test]
async fn commit_waits_for_the_disk_despite_session_setting() {
    let (database, _) = Database::with_store().await;
    database.record_commit_settings().await;
    let pooler = Pooler::start("pool_mode = transaction\ndefault_pool_size = 1").await;
    let store = done(pooler.open(&database).await);
    create(&store, "before").await;
    let mut client = pooler.client(&database).await;
    client.execute("SET synchronous_commit = off").await.unwrap();
    assert_eq!(show(&mut client, "synchronous_commit").await, "off", "the session is shared");
    let made = create(&store, "after").await;
    assert_eq!(done(store.poll(&made.slug).await).unwrap().title, "on");
    // Ballots are recorded by other code than polls.
    record(&store, &ballots(&made, 0..10)).await;
    let of_ballots: String = sqlx::Row::get(&client.fetch_one("SELECT min(how) FROM committed").await.unwrap(), 0);
    assert_eq!(of_ballots, "on");
}

#[tokio::test]
async fn shared_session_keeps_its_settings() {
    let (database, _) = Database::with_store().await;
    let pooler = Pooler::start("pool_mode = transaction\ndefault_pool_size = 1").await;
    let mut client = pooler.client(&database).await;
    let names = [
        "statement_timeout",
        "lock_timeout",
        "idle_in_transaction_session_timeout",
        "default_transaction_isolation",
        "synchronous_commit",
    ];
    let mut before = Vec::new();
    for name in names {
        before.push(show(&mut client, name).await);
    }
    let store = done(pooler.open(&database).await);
    let poll = create(&store, "poll").await;
    record(&store, &ballots(&poll, 0..10)).await;
    done(store.recount(poll.id).await);
    for (name, before) in names.into_iter().zip(before) {
        assert_eq!(show(&mut client, name).await, before, "{name}");
    }
}

#[tokio::test]
async fn several_stores_work_in_session_mode() {
    let database = Database::empty().await;
    let pooler = Pooler::start("pool_mode = session\ndefault_pool_size = 20").await;
    let (left, right) = (done(pooler.open(&database).await), done(pooler.open(&database).await));
    done(left.migrate().await);
    let poll = create(&left, "poll").await;
    for (store, numbers) in [(&left, 0..10), (&right, 5..15), (&left, 10..20)] {
        record(store, &ballots(&poll, numbers)).await;
    }
    assert_eq!(tallies(&right, &poll).await.voters, 20);
}

/// From 1.21 on PgBouncer tracks prepared statements if configured; before, several stores can't share a session, and the error
/// explains that.
#[tokio::test]
async fn shared_sessions_need_tracked_statements() {
    let (database, _) = Database::with_store().await;
    let version = Command::new(program()).arg("--version").output().unwrap();
    let version = String::from_utf8_lossy(&version.stdout).into_owned();
    let minor = version.split(['.', ' ']).nth(2).and_then(|minor| minor.parse::<u32>().ok()).unwrap();
    let tracks = if minor >= 21 { "max_prepared_statements = 200" } else { "" };
    let pooler = Pooler::start(&format!("pool_mode = transaction\ndefault_pool_size = 2\n{tracks}")).await;
    let (left, right) = (done(pooler.open(&database).await), pooler.open(&database).await);
    if minor >= 21 {
        let right = done(right);
        let poll = create(&left, "poll").await;
        for (store, numbers) in [(&left, 0..10), (&right, 5..15), (&left, 10..20)] {
            record(store, &ballots(&poll, numbers)).await;
        }
        assert_eq!(tallies(&right, &poll).await.voters, 20);
        return;
    }
    let shared = match right {
        Ok(right) => left.polls().await.and(right.polls().await).map(drop),
        Err(error) => Err(error),
    };
    let error = shared.as_ref().err().map(ToString::to_string).unwrap_or_default();
    assert!(error.contains("max_prepared_statements"), "{shared:?}");
}

/// The PgBouncer of this system, unless the environment names another.
fn program() -> String {
    std::env::var("THRONG_TEST_PGBOUNCER").unwrap_or_else(|_| "/usr/sbin/pgbouncer".to_owned())
}
