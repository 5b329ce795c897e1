//! The database killed, gone for a while, silent, locked, read-only, its disk full.

use std::time::Duration;

use throng_testkit::Fault;

use crate::ledger::Fate;
use crate::scaled_out::system::{Kind, System};
use crate::scaled_out::trial::{Trial, VOTERS, rounds, wait};

macro_rules! on_each_database {
    ($($name:ident, $on_mysql:ident, $on_postgres:ident;)+) => {
        $(
            #[test] fn $on_mysql() { rounds(|| $name(Kind::MySql)); }
            #[test] fn $on_postgres() { rounds(|| $name(Kind::Postgres)); }
        )+
    };
}

on_each_database! {
    killed_behind_a_broker, mysql_killed_behind_a_broker, postgres_killed_behind_a_broker;
    killed_on_its_own, mysql_killed_on_its_own, postgres_killed_on_its_own;
    gone_for_15_s, mysql_gone_for_15_s, postgres_gone_for_15_s;
    silent, mysql_silent, postgres_silent;
    locked, mysql_locked, postgres_locked;
    read_only, mysql_read_only, postgres_read_only;
    full_behind_a_broker, mysql_full_behind_a_broker, postgres_full_behind_a_broker;
    full_on_its_own, mysql_full_on_its_own, postgres_full_on_its_own;
}

/// Votes are taken all the while: the broker keeps them.
fn killed_behind_a_broker(kind: Kind) {
    let system = System::new(kind, true, true);
    let mut trial = Trial::of(&system);
    trial.under_load(|| {
        wait(Duration::from_millis(700));
        kind.server().kill();
        wait(Duration::from_secs(2));
    });
    trial.recovers(None);
    trial.settle();
}

/// With no broker votes are refused until it is back.
fn killed_on_its_own(kind: Kind) {
    let system = System::new(kind, false, false);
    let mut trial = Trial::of(&system);
    trial.under_load(|| {
        wait(Duration::from_millis(700));
        kind.server().kill();
        wait(Duration::from_secs(2));
    });
    trial.recovers(Some(kind.server()));
    trial.settle();
}

/// What the system that this one replaces doesn't survive: it loses every vote from then on, and says nothing.
fn gone_for_15_s(kind: Kind) {
    let mut system = System::new(kind, true, false);
    let link = system.link_database();
    let mut trial = Trial::of(&system);
    let before = trial.ledger.sent.len();
    trial.under_load(|| {
        wait(Duration::from_millis(500));
        link.set(Fault::Unavailable);
        wait(Duration::from_secs(15));
        link.set(Fault::None);
    });
    assert!(trial.ledger.sent.len() > before + 100, "votes are taken meanwhile");
    trial.settle();
}

fn silent(kind: Kind) {
    let mut system = System::new(kind, true, false);
    let link = system.link_database();
    let mut trial = Trial::of(&system);
    trial.under_load(|| {
        for _ in 0..2 {
            wait(Duration::from_millis(500));
            link.set(Fault::Frozen);
            wait(Duration::from_secs(3));
            link.set(Fault::None);
        }
    });
    trial.settle();
}

/// Another session holds the ballots' table.
fn locked(kind: Kind) {
    let system = System::new(kind, true, false);
    let mut trial = Trial::of(&system);
    let lock = match kind {
        Kind::MySql => "LOCK TABLES ballot WRITE; SELECT SLEEP(4); UNLOCK TABLES",
        Kind::Postgres => "BEGIN; LOCK TABLE ballot; SELECT pg_sleep(4); COMMIT",
    };
    trial.under_load(|| {
        wait(Duration::from_millis(500));
        system.sql(lock);
    });
    trial.settle();
}

fn read_only(kind: Kind) {
    let mut system = System::new(kind, true, false);
    let (on, off) = match kind {
        Kind::MySql => {
            // The administrator may write even then.
            system.be_nobody_special();
            ("SET GLOBAL read_only = 1".to_owned(), "SET GLOBAL read_only = 0".to_owned())
        }
        Kind::Postgres => {
            let name = system.name();
            let set = |value: &str| format!("ALTER DATABASE {name} SET default_transaction_read_only = {value}");
            // It is a session's from its start.
            let again = format!(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}' AND pid <> pg_backend_pid()"
            );
            let off = format!("BEGIN READ WRITE; {}; COMMIT; {again}", set("off"));
            (format!("{}; {again}", set("on")), off)
        }
    };
    let mut trial = Trial::of(&system);
    trial.under_load(|| {
        wait(Duration::from_millis(500));
        system.sql(&on);
        wait(Duration::from_secs(3));
        system.sql(&off);
    });
    trial.settle();
}

/// The worker keeps what it has, and goes on once there is room.
fn full_behind_a_broker(kind: Kind) {
    let system = System::on_a_small_disk(kind, true);
    let mut trial = Trial::of(&system);
    let mut worker = trial.worker.take().unwrap();
    trial.under_load(|| {
        wait(Duration::from_millis(500));
        let _ballast = system.fill_disk();
        worker.says("a batch is kept");
        wait(Duration::from_secs(2));
    });
    trial.worker = Some(worker);
    trial.recovers(None);
    trial.settle();
}

/// With no broker votes are refused until there is room.
fn full_on_its_own(kind: Kind) {
    let system = System::on_a_small_disk(kind, false);
    let mut trial = Trial::of(&system);
    let Trial { ledger, web, .. } = &mut trial;
    ledger.voters_while(web.address, VOTERS, || {
        wait(Duration::from_millis(500));
        let _ballast = system.fill_disk();
        web.says("a batch was not taken");
        wait(Duration::from_secs(2));
    });
    assert_ne!(trial.ledger.count(Fate::NotCounted), 0, "votes are refused meanwhile");
    trial.recovers(None);
    trial.settle();
}
