//! memcached killed and frozen: answers keep coming.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use rustix::process::{Resource, Rlimit};
use serde_json::Value;
use throng_testkit::{Client, Reply, ThrongProcess, eventually, variable, wait_until};
use tokio::time::Instant;

use crate::scaled_out::servers::{MEMCACHED, exclusive};
use crate::scaled_out::system::{Kind, System};
use crate::scaled_out::trial::{Trial, rounds, wait};

/// Readers at once.
const READERS: usize = 10_000;

/// `CACHE_LIFE_TIME`, long enough for all of them to be answered by a machine that has much else to do.
const LIFE_S: u64 = 10;

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

/// However many read, all nodes together ask the database once: when they start, and when what they show has grown older
/// than was promised.
#[test]
fn readers_of_a_cold_cache_cost_one_query() {
    let _alone = exclusive();
    let mut system = System::new(Kind::Postgres, true, true);
    system.set("CACHE_LIFE_TIME", &LIFE_S.to_string());
    let mut trial = Trial::of(&system);
    trial.under_load(|| wait(Duration::from_millis(300)));
    trial.settle();
    // On a machine that has much else to do, they may be too slow to tell anything.
    let first_read = || {
        empty_the_cache();
        let nodes = system.webs(2);
        let began = Instant::now();
        read_at_once(&nodes);
        (began.elapsed() < Duration::from_secs(LIFE_S)).then_some(nodes)
    };
    let nodes = eventually("the readers are fast enough", first_read);
    assert_eq!(queries(&nodes), 1, "as many queries for nodes that start");
    let later_read = || {
        wait(Duration::from_secs(LIFE_S + 1));
        let before = queries(&nodes);
        empty_the_cache();
        let began = Instant::now();
        read_at_once(&nodes);
        // The query is made behind the readers' backs.
        wait_until("the query is made", || queries(&nodes) > before);
        let is_fast = began.elapsed() < Duration::from_secs(LIFE_S);
        wait(Duration::from_secs(1));
        is_fast.then(|| queries(&nodes) - before)
    };
    let queried = eventually("the readers are fast enough again", later_read);
    assert_eq!(queried, 1, "as many queries for nodes whose results had grown old");
}

/// All at once, on connections that are made before.
fn read_at_once(nodes: &[ThrongProcess]) {
    let limit = rustix::process::getrlimit(Resource::Nofile);
    rustix::process::setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).unwrap();
    let connect = |reader: usize| TcpStream::connect(nodes[reader % nodes.len()].address).unwrap();
    let mut readers: Vec<TcpStream> = (0..READERS).map(connect).collect();
    for reader in &mut readers {
        reader.write_all(b"GET /api/v1/polls/demo/results HTTP/1.1\r\nhost: t\r\n\r\n").unwrap();
    }
    for reader in &mut readers {
        let mut status = [0; 12];
        reader.read_exact(&mut status).unwrap();
        assert_eq!(&status, b"HTTP/1.1 200");
    }
}

/// How often these nodes have asked the database for the poll's tallies.
fn queries(nodes: &[ThrongProcess]) -> u64 {
    let of = |node: &ThrongProcess| {
        let Reply::Answer(metrics) = Client::new(node.address).get("/metrics") else { panic!("a node is gone") };
        let metrics = String::from_utf8(metrics.body).unwrap();
        let line = metrics.lines().find_map(|line| line.strip_prefix("throng_result_queries_total "));
        line.unwrap_or_else(|| panic!("{metrics}")).parse::<u64>().unwrap()
    };
    nodes.iter().map(of).sum()
}

fn empty_the_cache() {
    let server = variable("THRONG_TEST_MEMCACHED_URL");
    let mut server = TcpStream::connect(server.strip_prefix("memcached://").unwrap()).unwrap();
    server.write_all(b"flush_all\r\n").unwrap();
    let mut answer = [0; 4];
    server.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"OK\r\n");
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
