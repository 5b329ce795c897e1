//! Workers under the real supervisord, with the program that `deploy/supervisor.conf` has, on a real broker and database.
#![allow(clippy::unwrap_used, reason = "a test fails where it can't go on")]

#[path = "../faults/process.rs"]
#[allow(dead_code, reason = "shared with another test binary")]
mod process;
mod supervisor;
#[path = "../support/mod.rs"]
mod support;
mod system;

use rustix::process::{Pid, Signal, kill_process};

use self::process::Throng;
use self::supervisor::Supervisor;
use self::support::{Connection, eventually};
use self::system::System;

/// How many workers run here; twenty are no different, and more than a small machine has connections for.
const WORKERS: usize = 4;

/// Ballots in a round, in which one worker is killed.
const ROUND_BALLOTS: u64 = 50;

#[test]
fn workers_that_are_killed_are_started_again_and_nothing_is_lost_or_counted_twice() {
    let system = System::new();
    let web = Throng::spawn(system.command(&["serve"])).once_it_serves();
    let supervisor = Supervisor::start(system.directory(), WORKERS);
    let mut voter = Connection::open(web.address);
    let mut sent = 0;
    for number in 0..WORKERS {
        let killed = supervisor.running(number);
        for ballot in 0..ROUND_BALLOTS {
            assert_eq!(voter.request("POST", "/api/submit", &[], b"[1]").status, 200);
            sent += 1;
            if ballot == ROUND_BALLOTS / 2 {
                kill_process(Pid::from_raw(killed).unwrap(), Signal::KILL).unwrap();
            }
        }
        eventually("it is started again", || (supervisor.running(number) != killed).then_some(()));
    }
    eventually("all is recorded", || (voters(&mut voter) == sent).then_some(()));
    for number in 0..WORKERS {
        let worker = supervisor.address(number);
        eventually("each is ready", || {
            (Connection::open(worker).request("GET", "/readyz", &[], b"").status == 200).then_some(())
        });
    }
    supervisor.stop();
    system.succeeds(&["poll", "recount", "demo"]);
    assert_eq!(voters(&mut voter), sent);
}

#[test]
fn workers_told_to_stop_finish_what_they_have_begun() {
    let system = System::new();
    let web = Throng::spawn(system.command(&["serve"])).once_it_serves();
    let supervisor = Supervisor::start(system.directory(), 1);
    supervisor.running(0);
    assert_eq!(Connection::open(web.address).request("POST", "/api/submit", &[], b"[2]").status, 200);
    let said = supervisor.stop();
    assert!(said.contains("stopped: throng-worker_00 (exit status 0)"), "{said}");
    let log = std::fs::read_to_string(system.directory().join("throng-worker_00.log")).unwrap();
    assert!(log.trim_end().ends_with("stopped"), "{log}");
}

/// How many ballots the default poll's result counts, as the web node has heard.
fn voters(voter: &mut Connection) -> u64 {
    let results = voter.request("GET", "/api/v1/polls/demo/results", &[], b"").json();
    results["voters"].as_u64().unwrap()
}
