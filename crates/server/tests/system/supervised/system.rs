//! A database and queues of the test's own, on the real servers.

use std::path::Path;
use std::process::Command;

use sqlx::{Connection as _, Executor as _, PgConnection};
use tempfile::TempDir;
use throng_testkit::{throng, variable};

/// What web nodes and workers share; the database is dropped with it.
pub struct System {
    name: String,
    directory: TempDir,
}

impl System {
    /// A new one. Its settings are where a host has them: in the directory that everything is started in.
    pub fn new() -> Self {
        let name = format!("t{:032x}", rand::random::<u128>());
        sql(&format!("CREATE DATABASE {name}"));
        let directory = throng_testkit::directory_on_disk();
        let settings = [
            ("DATABASE_URL", format!("{}/{name}", variable("THRONG_TEST_POSTGRES_URL"))),
            ("QUEUE_URL", format!("{}/%2f", variable("THRONG_TEST_RABBITMQ_URL"))),
            ("QUEUE_PREFIX", name.clone()),
            ("APP_SECRET", name.clone()),
        ];
        let lines: String = settings.iter().map(|(setting, value)| format!("{setting}={value}\n")).collect();
        std::fs::write(directory.path().join(".env.local"), lines).unwrap();
        Self { name, directory }
    }

    /// Where everything is started.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// `throng` with these arguments, about to be run.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = throng(self.directory());
        command.args(arguments);
        command
    }

    /// Runs `throng` with these arguments; fails if that fails.
    #[track_caller]
    pub fn succeeds(&self, arguments: &[&str]) {
        let ran = self.command(arguments).output().unwrap();
        assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    }
}

impl Drop for System {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            sql(&format!("DROP DATABASE {} WITH (FORCE)", self.name));
        }
    }
}

/// Runs a statement beside every database of a test.
fn sql(statement: &str) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let url = format!("{}/postgres", variable("THRONG_TEST_POSTGRES_URL"));
        let mut connection = PgConnection::connect(&url).await.unwrap();
        connection.execute(sqlx::raw_sql(statement)).await.unwrap();
    });
}
