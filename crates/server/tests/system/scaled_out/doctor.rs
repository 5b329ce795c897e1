//! `throng doctor` on deployments with one thing wrong.

use serde_json::Value;

use crate::scaled_out::policy::{HARMFUL, Policy};
use crate::scaled_out::servers::{RABBITMQ, exclusive, shared};
use crate::scaled_out::system::{Kind, System};

#[test]
fn a_whole_deployment_has_no_fault() {
    let _alone = exclusive();
    for kind in [Kind::MySql, Kind::Postgres] {
        let system = made(kind);
        let _worker = system.worker();
        let checks = findings(&system);
        assert!(checks.iter().all(|(_, ok, _)| *ok), "{checks:?}");
        let checked: Vec<&str> = checks.iter().map(|(checked, _, _)| checked.as_str()).collect();
        assert_eq!(
            checked,
            [
                "database",
                "schema",
                "tables",
                "default poll",
                "durability",
                "clock",
                "queue",
                "workers",
                "dead letters",
                "closing polls",
                "cache"
            ]
        );
    }
}

#[test]
fn a_wrong_password_and_a_cache_that_is_away_are_named() {
    let _alone = exclusive();
    for kind in [Kind::MySql, Kind::Postgres] {
        let mut system = made(kind);
        let url = system.setting("DATABASE_URL").to_owned();
        let (head, tail) = url.split_once('@').unwrap();
        let (user, _) = head.rsplit_once(':').unwrap();
        system.set("DATABASE_URL", &format!("{user}:wrong@{tail}"));
        system.set("CACHE_URL", "memcached://127.0.0.1:1");
        assert_fault(&system, "database", "password");
        assert_fault(&system, "cache", "can't be reached");
        let said = system.run(&["doctor"]);
        assert_eq!(said.status.code(), Some(1));
    }
}

#[test]
fn a_default_poll_that_nobody_made_is_named() {
    let _alone = exclusive();
    let mut system = made(Kind::Postgres);
    system.set("DEFAULT_POLL", "song");
    let named = |system: &System| findings(system).iter().any(|(_, _, what)| what.contains("throng poll create song"));
    assert!(named(&system));
    system.output(&["poll", "create", "song", "--title", "Best song?", "--option", "A", "--option", "B"]);
    assert!(!named(&system));
}

#[test]
fn a_missing_table_and_an_old_schema_are_named() {
    let _alone = exclusive();
    for kind in [Kind::MySql, Kind::Postgres] {
        let system = made(kind);
        system.sql("DROP TABLE ballot");
        assert_fault(&system, "tables", "throng schema migrate");
        let system = made(kind);
        system.sql("DELETE FROM schema_migration");
        assert_fault(&system, "schema", "throng schema migrate");
    }
}

#[test]
fn commits_that_could_be_lost_are_named() {
    let _alone = exclusive();
    let system = made(Kind::MySql);
    system.sql("SET GLOBAL innodb_flush_log_at_trx_commit = 2");
    let checks = findings(&system);
    system.sql("SET GLOBAL innodb_flush_log_at_trx_commit = 1");
    assert!(is_fault(&checks, "durability", "innodb_flush_log_at_trx_commit"), "{checks:?}");
    let system = made(Kind::Postgres);
    system.sql(&format!("ALTER DATABASE {} SET synchronous_commit = off", system.name()));
    assert_fault(&system, "durability", "synchronous_commit");
}

#[test]
fn a_classic_queue_is_named() {
    let _alone = exclusive();
    let system = made(Kind::Postgres);
    let resource = format!("{{resource, <<\"/\">>, queue, <<\"{}.ballots\">>}}", system.name());
    RABBITMQ.control(&["eval", &format!("rabbit_amqqueue:declare({resource}, true, false, [], none, <<\"test\">>).")]);
    assert_fault(&system, "queue", "quorum queue");
}

#[test]
fn missing_workers_are_named() {
    let _peace = shared();
    let system = made(Kind::Postgres);
    assert_fault(&system, "workers", "throng worker");
}

#[test]
fn policy_that_loses_messages_is_named() {
    let _peace = shared();
    let system = made(Kind::Postgres);
    for (definition, effect) in HARMFUL {
        let policy = Policy::on(&system, definition);
        assert_fault(&system, "queue", effect);
        assert_fault(&system, "queue", "rabbitmqctl list_policies");
        drop(policy);
    }
}

#[test]
fn alarm_of_the_brokers_memory_is_named() {
    let _alone = exclusive();
    let system = made(Kind::Postgres);
    RABBITMQ.control(&["set_vm_memory_high_watermark", "0.00001"]);
    let checks = findings(&system);
    RABBITMQ.control(&["set_vm_memory_high_watermark", "0.4"]);
    assert!(is_fault(&checks, "queue", "low on memory"), "{checks:?}");
}

#[test]
fn message_size_that_the_broker_refuses_is_named() {
    let _alone = exclusive();
    let system = made(Kind::Postgres);
    let size =
        |bytes: &str| RABBITMQ.control(&["eval", &format!("application:set_env(rabbit, max_message_size, {bytes}).")]);
    size("10000");
    let checks = findings(&system);
    size("134217728");
    assert!(is_fault(&checks, "queue", "max_message_size"), "{checks:?}");
}

/// A system whose tables are there.
fn made(kind: Kind) -> System {
    let system = System::new(kind, true, true);
    system.output(&["schema", "create"]);
    system
}

/// What was checked, whether it is well, and what was found.
fn findings(system: &System) -> Vec<(String, bool, String)> {
    let said = system.run(&["doctor", "--json"]).stdout;
    let findings: Value = serde_json::from_slice(&said).unwrap_or_else(|error| panic!("{error}: {said:?}"));
    let text = |finding: &Value, name: &str| finding[name].as_str().unwrap().to_owned();
    let one = |finding: &Value| (text(finding, "checked"), finding["ok"].as_bool().unwrap(), text(finding, "found"));
    findings.as_array().unwrap().iter().map(one).collect()
}

#[track_caller]
fn assert_fault(system: &System, checked: &str, found: &str) {
    let findings = findings(system);
    assert!(is_fault(&findings, checked, found), "{findings:?}");
}

fn is_fault(findings: &[(String, bool, String)], checked: &str, found: &str) -> bool {
    findings.iter().any(|(of, ok, what)| of == checked && !ok && what.contains(found))
}
