//! Nodes and workers that are started while a server that they need is away.
//!
//! `THRONG_AWAY_S` says for how many seconds, and has each be ready within a second of the server's return. Without it the
//! server is away for a second, and the return is given time: other tests run beside.

use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use throng_testkit::{ChaosProxy, Client, Reply, ThrongProcess};
use tokio::time::Instant;

use crate::scaled_out::servers::shared;
use crate::scaled_out::system::{Kind, System};
use crate::scaled_out::trial::{rounds_asked, wait};

/// How long after the server's return a process may take to be ready, by the campaign.
const READY_MAX: Duration = Duration::from_secs(1);

/// The same, where the machine has much else to do.
const READY_MAX_BESIDE_OTHERS: Duration = Duration::from_secs(20);

#[test]
fn mysql_away_at_start() {
    database_away_at_start(Kind::MySql);
}

#[test]
fn postgres_away_at_start() {
    database_away_at_start(Kind::Postgres);
}

#[test]
fn rabbitmq_away_at_start() {
    away_at_start(Kind::Postgres, "QUEUE_URL", "queue_unavailable");
}

fn database_away_at_start(kind: Kind) {
    away_at_start(kind, "DATABASE_URL", "store_unavailable");
}

fn away_at_start(kind: Kind, setting: &'static str, code: &str) {
    let _peace = shared();
    let mut system = System::new(kind, true, false);
    // What is there stays there while the server is away.
    drop((system.web(), system.worker()));
    for _ in 0..rounds_asked() {
        let away = free_address();
        let server = system.lead(setting, away);
        let listen = [free_address(), free_address()];
        let start = |command: &str, name: &str, address: SocketAddr| {
            let mut command = system.command(&[command]);
            command.env(name, address.to_string());
            ThrongProcess::spawn(command)
        };
        let processes = [start("serve", "LISTEN", listen[0]), start("worker", "WORKER_LISTEN", listen[1])];
        for address in listen {
            assert_waits(address, code);
        }
        let (how_long, at_most) = away_for();
        wait(how_long);
        let returned = Instant::now();
        let _link = ChaosProxy::at(away, server);
        for (address, name) in listen.into_iter().zip(["web node", "worker"]) {
            until_status(address, "/readyz", 200);
            let took = returned.elapsed();
            println!("{name}: ready {} ms after the return of {setting}, away for {how_long:?}", took.as_millis());
            assert!(took < at_most, "{name}: {took:?}");
        }
        let voted = Client::new(listen[0]).post("/api/submit", "[1]");
        assert!(matches!(&voted, Reply::Answer(answer) if answer.status == 200), "{voted:?}");
        drop(processes);
        system.lead(setting, server);
    }
}

/// It lives, is not ready for this reason, and takes no vote.
fn assert_waits(address: SocketAddr, code: &str) {
    until_status(address, "/livez", 200);
    let Reply::Answer(answer) = Client::new(address).get("/readyz") else { panic!("it doesn't answer") };
    assert_eq!((answer.status, answer.json()["code"].as_str()), (503, Some(code)));
    let Reply::Answer(answer) = Client::new(address).post("/api/submit", "[1]") else { panic!("it doesn't answer") };
    assert!([503, 404].contains(&answer.status), "{answer:?}");
}

/// Waits until `path` is answered so.
fn until_status(address: SocketAddr, path: &str, status: u16) {
    let deadline = Instant::now() + READY_MAX_BESIDE_OTHERS;
    let mut client = Client::new(address);
    loop {
        let reply = client.get(path);
        if matches!(&reply, Reply::Answer(answer) if answer.status == status) {
            return;
        }
        assert!(Instant::now() < deadline, "{path} at {address} isn't {status}: {reply:?}");
        wait(Duration::from_millis(5));
    }
}

/// For how long a server is away, and how long after its return a process may take.
fn away_for() -> (Duration, Duration) {
    match std::env::var("THRONG_AWAY_S") {
        Ok(seconds) => (Duration::from_secs(seconds.parse().expect("THRONG_AWAY_S is a number of seconds")), READY_MAX),
        Err(_) => (Duration::from_secs(1), READY_MAX_BESIDE_OTHERS),
    }
}

/// Where nobody listens.
fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}
