//! Clients that send a ballot again by themselves when its response is lost after it was counted: directly, and through
//! each proxy.

use std::net::SocketAddr;

use throng_testkit::{ChaosProxy, Response, TestServer};

use crate::front::Front;
use crate::proxies::clients::{Client, Sent};

/// Ballots of each client on each way, half of them with an id: 40 unless `cargo xtask proxies resends` asks for more.
fn ballots() -> usize {
    std::env::var("THRONG_RESEND_BALLOTS").map_or(40, |number| number.parse().unwrap())
}

/// A way to the server, as the docs call it, and the proxy on it. The connection that is cut is the one to the server.
type Way = (&'static str, Option<fn(SocketAddr) -> Front>);

const WAYS: [Way; 6] = [
    ("no proxy", None),
    ("`nginx.conf`", Some(Front::nginx)),
    ("`apache.conf`", Some(Front::apache)),
    ("`haproxy.cfg`", Some(Front::haproxy)),
    ("Apache with `KeepAlive On`", Some(Front::apache_that_keeps)),
    ("HAProxy without `Connection close`", Some(Front::haproxy_that_keeps)),
];

#[test]
fn a_resent_ballot_counts_once_with_an_id_and_without_as_documented() {
    let names: Vec<_> = WAYS.iter().map(|(name, _)| *name).collect();
    let mut table = format!("| | {} |\n|---|{}\n", names.join(" | "), "---|".repeat(WAYS.len()));
    let rows = |(seed, client): (u64, Client)| (client, WAYS.map(|way| vote(client, way, seed)));
    let rows: Vec<_> = std::thread::scope(|scope| {
        let clients: Vec<_> = (1..).zip(Client::ALL).map(|client| scope.spawn(move || rows(client))).collect();
        clients.into_iter().map(|client| client.join().unwrap()).collect()
    });
    for (client, twice) in rows {
        let cells = twice.map(|twice| if twice { "twice" } else { "once" });
        table.push_str(&format!("| {} | {} |\n", client.name(), cells.join(" | ")));
    }
    println!("{table}");
    let docs = include_str!("../../../../../docs/deployment.md");
    assert!(docs.contains(&table), "docs/deployment.md has another table than\n{table}");
}

/// Loses responses at random after the ballots were counted; whether one without an id counted twice.
fn vote(client: Client, (name, proxy): Way, seed: u64) -> bool {
    let count = ballots() / 2 * 2;
    let server = TestServer::start();
    let cut = ChaosProxy::start(server.address);
    cut.plan("POST", &fates(seed));
    let proxy = proxy.map(|start| start(cut.address()));
    let address = proxy.as_ref().map_or(cut.address(), |proxy| proxy.address);
    let id = |number| format!("018f4d1e-7c00-7000-8000-{number:012}");
    let ballots: Vec<Sent> =
        (0..count).map(|number| if number % 2 == 0 { ("[1]", Some(id(number))) } else { ("[2]", None) }).collect();
    client.send(address, &ballots);
    let counted = server.get("/api/result").json();
    let (with_id, without) = (counted["1"].as_u64().unwrap(), counted["2"].as_u64().unwrap());
    let half = u64::try_from(count / 2).unwrap();
    println!(
        "{client:?}, {name}: {} responses lost; {half} sent with an id, {with_id} counted; {half} without, {without} counted",
        cut.lost()
    );
    assert!(cut.lost() > count / 10, "{client:?}, {name}: {} responses were lost", cut.lost());
    assert_eq!(with_id, half, "{client:?}, {name}: a ballot with an id counts once");
    assert!(without >= half, "{client:?}, {name}: {without} of {half} without an id");
    without > half
}

/// What becomes of the responses: a third is lost, others for each seed, the same in every run.
fn fates(seed: u64) -> Vec<Response> {
    let mut random = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        // xorshift64 (Marsaglia, 2003).
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        if random.is_multiple_of(3) { Response::Lost } else { Response::Passed }
    };
    // More than there are ballots: some are sent again, by wget again and again.
    (0..20 * ballots()).map(|_| next()).collect()
}
