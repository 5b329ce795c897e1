//! Polls that are closed while a crowd votes at two nodes: every ballot that was accepted counts, and none that was refused.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use serde_json::json;
use throng_testkit::{Client, Reply, ThrongProcess, eventually};
use uuid::Uuid;

use super::final_results::{close, is_final_with, results};
use crate::scaled_out::servers::shared;
use crate::scaled_out::system::{Kind, System};
use crate::scaled_out::trial::rounds_asked;

/// The polls that are closed, one after the other, in each round that is asked for.
const CLOSES: u32 = 5;

/// Clients that vote all the while, half of them at each node.
const CLIENTS: usize = 8;

/// The ballots that a poll has before it is closed.
const BALLOTS_BEFORE: u64 = 300;

/// What became of the ballots of a poll.
#[derive(Default)]
struct Votes {
    accepted: AtomicU64,
    /// By node.
    refused: [AtomicU64; 2],
}

#[test]
fn on_mariadb() {
    close_at_the_peak(Kind::MySql);
}

#[test]
fn on_postgres() {
    close_at_the_peak(Kind::Postgres);
}

fn close_at_the_peak(kind: Kind) {
    let _peace = shared();
    let system = System::new(kind, true, false);
    let nodes = [system.web(), system.web()];
    let _workers = [system.worker(), system.worker()];
    let polls: Vec<String> = (0..CLOSES * rounds_asked()).map(|number| format!("poll-{number}")).collect();
    for poll in &polls {
        let options = ["--option", "A", "--option", "B", "--opens-at", "now"];
        system.output(&[&["poll", "create", poll, "--title", "Best?"], &options[..]].concat());
    }
    let last = polls.last().expect("there are polls");
    eventually("both nodes know the polls", || nodes.iter().all(|node| knows(node, last)).then_some(()));
    let votes: Vec<Votes> = polls.iter().map(|_| Votes::default()).collect();
    let (voted_in, mut closed) = (AtomicUsize::new(0), Vec::new());
    std::thread::scope(|scope| {
        for client in 0..CLIENTS {
            let (node, polls, votes, voted_in) = (client % 2, &polls, &votes, &voted_in);
            let address = nodes[node].address;
            scope.spawn(move || vote_until_all_are_closed((node, address), polls, votes, voted_in));
        }
        for (poll, votes) in polls.iter().zip(&votes) {
            let accepted = || votes.accepted.load(Ordering::Relaxed);
            eventually("a crowd votes", || (accepted() >= BALLOTS_BEFORE).then_some(()));
            closed.push(close(&system, poll));
            assert_eq!(results(&nodes[0], poll)["provisional"], true, "ballots are on their way");
            let refuses = |node: &AtomicU64| node.load(Ordering::Relaxed) >= CLIENTS as u64;
            eventually("both nodes refuse ballots", || votes.refused.iter().all(refuses).then_some(()));
            voted_in.fetch_add(1, Ordering::Relaxed);
        }
    });
    for ((poll, Votes { accepted, refused }), closed) in polls.iter().zip(votes).zip(closed) {
        let (accepted, refused) = (accepted.into_inner(), refused.map(AtomicU64::into_inner));
        println!("{poll}: {accepted} ballots accepted, {refused:?} refused");
        for node in &nodes {
            is_final_with(node, poll, accepted, closed);
        }
    }
    println!("{} closes; lost 0, doubled 0", polls.len());
}

/// Votes in the poll that the crowd votes in, without a pause. Each response says for certain whether the ballot counts.
fn vote_until_all_are_closed(
    (node, address): (usize, SocketAddr),
    polls: &[String],
    votes: &[Votes],
    voted_in: &AtomicUsize,
) {
    let mut client = Client::new(address);
    loop {
        let at = voted_in.load(Ordering::Relaxed);
        let Some(poll) = polls.get(at) else { return };
        let ballot = json!({"ballot_id": Uuid::from_u128(rand::random()), "choices": [1]}).to_string();
        match client.post(&format!("/api/v1/polls/{poll}/ballots"), &ballot) {
            Reply::Answer(answer) if answer.status == 202 => votes[at].accepted.fetch_add(1, Ordering::Relaxed),
            Reply::Answer(answer) if answer.status == 410 => votes[at].refused[node].fetch_add(1, Ordering::Relaxed),
            reply @ (Reply::Answer(_) | Reply::NotSent | Reply::Cut) => panic!("{reply:?}"),
        };
    }
}

fn knows(node: &ThrongProcess, poll: &str) -> bool {
    let reply = Client::new(node.address).get(&format!("/api/v1/polls/{poll}"));
    matches!(reply, Reply::Answer(answer) if answer.status == 200 && answer.json()["state"] == "open")
}
