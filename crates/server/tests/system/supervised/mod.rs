//! Workers under the real supervisord, with the program that `deploy/supervisor.conf` has, on a real broker and database.

mod supervisor;
mod system;

use std::net::SocketAddr;

use rustix::process::{Pid, Signal, kill_process};
use throng_testkit::{Connection, ThrongProcess, eventually};

use self::supervisor::{Supervisor, WORKERS};
use self::system::System;

/// How many of the workers are killed, one after the other.
const KILLED: usize = 5;

/// Ballots that are sent around each kill.
const ROUND_BALLOTS: u64 = 50;

#[test]
fn workers_are_started_again_and_stopped_and_nothing_is_lost_or_counted_twice() {
    let system = System::new();
    let web = ThrongProcess::spawn(system.command(&["serve"])).once_it_serves();
    assert_eq!(Connection::open(web.address).request("POST", "/api/submit", &[], b"[1]").status, 200);
    eventually("it waits for a worker", || (queue_messages(web.address) == 1.0).then_some(()));
    let supervisor = Supervisor::start(system.directory());
    let mut sent = 1;
    for number in 0..KILLED {
        let killed = supervisor.running(number);
        let mut voter = Connection::open(web.address);
        for ballot in 0..ROUND_BALLOTS {
            let answer = voter.request("POST", "/api/submit", &[], b"[1]");
            assert_eq!(answer.status, 200, "{answer:?}");
            sent += 1;
            if ballot == ROUND_BALLOTS / 2 {
                kill_process(Pid::from_raw(killed).unwrap(), Signal::KILL).unwrap();
            }
        }
        eventually("it is started again", || (supervisor.running(number) != killed).then_some(()));
    }
    for number in 0..WORKERS {
        supervisor.running(number);
        let ready = || Connection::open(supervisor.address(number)).request("GET", "/readyz", &[], b"").status == 200;
        eventually("each is ready", || ready().then_some(()));
    }
    eventually("all is recorded", || (voters(web.address) == sent).then_some(()));
    eventually("the queue is empty", || (queue_messages(web.address) == 0.0).then_some(()));
    let said = supervisor.stop();
    for number in 0..WORKERS {
        let stopped = format!("stopped: throng-worker_{number:02} (exit status 0)");
        assert!(said.contains(&stopped), "{stopped} is missing in {said}");
        let log = std::fs::read_to_string(system.directory().join(format!("throng-worker_{number:02}.log"))).unwrap();
        assert!(log.contains("worker: stopped\n"), "{log}");
    }
    system.succeeds(&["poll", "recount", "demo"]);
    assert_eq!(voters(web.address), sent);
}

/// How many ballots the default poll's result counts, as the web node has heard.
fn voters(web: SocketAddr) -> u64 {
    let results = Connection::open(web).request("GET", "/api/v1/polls/demo/results", &[], b"").json();
    results["voters"].as_u64().unwrap()
}

/// How many messages wait for a worker, as the web node has asked a while ago.
fn queue_messages(web: SocketAddr) -> f64 {
    let metrics = Connection::open(web).request("GET", "/metrics", &[], b"").text().to_owned();
    let line = metrics.lines().find_map(|line| line.strip_prefix("throng_queue_messages "));
    line.unwrap().parse().unwrap()
}
