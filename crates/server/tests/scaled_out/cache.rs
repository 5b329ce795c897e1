//! memcached killed and frozen: answers keep coming.

use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use crate::client::Client;
use crate::system::{Kind, System};
use crate::trial::{Trial, rounds, wait};
use crate::victim::MEMCACHED;

/// How long a result may take meanwhile: a cache is waited for some tens of milliseconds, on a machine that has much
/// else to do.
const ANSWER_MAX: Duration = Duration::from_secs(2);

#[test]
fn killed_under_load() {
    rounds(|| {
        let system = System::new(Kind::Postgres, true, true);
        let mut trial = Trial::of(&system);
        let address = trial.web.address;
        trial.under_load(|| {
            MEMCACHED.kill();
            ask_for(Duration::from_secs(2), address);
        });
        trial.settle();
    });
}

#[test]
fn frozen_under_load() {
    rounds(|| {
        let system = System::new(Kind::MySql, true, true);
        let mut trial = Trial::of(&system);
        let address = trial.web.address;
        trial.under_load(|| {
            let _frozen = MEMCACHED.freeze();
            ask_for(Duration::from_secs(3), address);
            // A new node has no result but what it reads for itself.
            let node = system.web();
            ask_for(Duration::from_secs(1), node.address);
        });
        trial.settle();
    });
}

/// Asks for the result, again and again for a while; it must come at once, and never be older than the one before.
#[track_caller]
fn ask_for(time: Duration, address: std::net::SocketAddr) {
    let (began, mut client, mut seen) = (Instant::now(), Client::new(address), 0);
    while began.elapsed() < time {
        let asked = Instant::now();
        let results: Value = client.get_json("/api/v1/polls/demo/results");
        assert!(asked.elapsed() < ANSWER_MAX, "a result took {:?}", asked.elapsed());
        let seq = results["seq"].as_u64().unwrap();
        assert!(seq >= seen, "version {seq} came after {seen}");
        seen = seq;
        wait(Duration::from_millis(10));
    }
}
