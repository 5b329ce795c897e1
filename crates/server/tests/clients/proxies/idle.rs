//! Votes on connections that a proxy has kept: used again after having been idle for about as long as the proxy, the server or
//! common settings keep one, a few milliseconds more or less.
//!
//! `cargo xtask proxies` uses 10,000 connections of each proxy again, and Envoy's too; otherwise it is a short run.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::front::Front;
use crate::proxies::crowd::{Crowd, Votes};
use crate::proxies::stay_away;

/// A proxy as it is installed.
struct Proxy {
    name: &'static str,
    start: fn(SocketAddr) -> Front,
    /// No more than it keeps connections by default: Caddy 32, Apache 25 in each of its first two processes.
    voters: u64,
    /// Seconds for which its connections are idle: its own limit among them, unless that is too long to be waited for.
    gaps_s: &'static [u64],
}

const PROXIES: [Proxy; 6] = [
    Proxy { name: "nginx", start: Front::nginx_by_default, voters: 100, gaps_s: &[1, 5, 15, 30, 60, 65, 75] },
    Proxy { name: "apache", start: Front::apache_by_default, voters: 50, gaps_s: &[1, 5, 15, 30, 60, 65, 75] },
    Proxy { name: "haproxy", start: Front::haproxy_by_default, voters: 100, gaps_s: &[1, 2, 3, 5, 10, 15, 30] },
    Proxy { name: "varnish", start: Front::varnish, voters: 100, gaps_s: &[1, 5, 15, 30, 60, 65, 75] },
    Proxy { name: "caddy", start: Front::caddy_by_default, voters: 32, gaps_s: &[1, 5, 15, 30, 60, 75, 120] },
    Proxy { name: "envoy", start: Front::envoy_by_default, voters: 100, gaps_s: &[1, 5, 15, 30, 60, 65, 75] },
];

/// Idle connections are used again so many milliseconds sooner to so many later.
const SPREAD_MS: u64 = 20;

/// After so many rounds of all pauses it ends, however few connections were used again.
const ROUNDS_MAX: usize = 20;

/// What is swept, and for how long.
struct Campaign {
    /// Connections of each proxy to be used again.
    connections: u64,
    /// Pauses are no longer than this.
    gap_max_s: u64,
    proxies: Vec<&'static Proxy>,
    /// The server's, instead of its default.
    idle_timeout: Option<String>,
}

impl Campaign {
    fn asked_for() -> Self {
        let asked = |name: &str| std::env::var(name).ok();
        let named = asked("THRONG_SWEPT_PROXIES").unwrap_or_else(|| "nginx apache haproxy varnish caddy".to_owned());
        let find = |name| PROXIES.iter().find(|proxy| proxy.name == name).unwrap_or_else(|| panic!("no proxy {name}"));
        let number = |name: &str| asked(name).map(|number| number.parse::<u64>().unwrap());
        let connections = number("THRONG_REUSED_CONNECTIONS");
        let gap_max_s = number("THRONG_SWEPT_GAP_MAX_S");
        Self {
            connections: connections.unwrap_or(40),
            gap_max_s: gap_max_s.unwrap_or(if connections.is_some() { u64::MAX } else { 5 }),
            proxies: named.split_whitespace().map(find).collect(),
            idle_timeout: asked("THRONG_SWEPT_IDLE_TIMEOUT"),
        }
    }

    /// Bars: one failure in ten thousand.
    fn failures_max(&self) -> u64 {
        self.connections / 10_000
    }

    /// Crowds side by side, so that some sixteen pauses are enough; a small number of connections is one crowd's.
    fn crowds(&self, proxy: &Proxy) -> u64 {
        (self.connections / 16 / proxy.voters).max(1)
    }
}

/// What became of the votes through one proxy, by the seconds that connections were idle before.
#[derive(Default)]
struct Swept {
    after_s: BTreeMap<u64, Votes>,
    counted: u64,
}

impl Swept {
    fn total(&self) -> Votes {
        let mut total = Votes::default();
        self.after_s.values().for_each(|votes| total += *votes);
        total
    }

    /// Ballots beyond those that were acknowledged. One of these may be a vote that failed; the others were counted twice.
    fn beyond(&self) -> u64 {
        let Votes { sent, failed, .. } = self.total();
        self.counted.saturating_sub(sent - failed)
    }
}

#[test]
fn votes_on_connections_that_were_idle_neither_fail_nor_count_twice() {
    let campaign = Campaign::asked_for();
    let swept: Vec<(&Proxy, Swept)> = std::thread::scope(|scope| {
        let sweeps: Vec<_> =
            campaign.proxies.iter().map(|proxy| (*proxy, scope.spawn(|| sweep(&campaign, proxy)))).collect();
        sweeps.into_iter().map(|(proxy, sweep)| (proxy, sweep.join().unwrap())).collect()
    });
    let mut table = "| | votes | on a connection that was idle | failed | counted beyond those answered 2xx |\n\
                     |---|---|---|---|---|\n"
        .to_owned();
    for (proxy, swept) in &swept {
        let Votes { sent, reused, failed } = swept.total();
        table.push_str(&format!("| {} | {sent} | {reused} | {failed} | {} |\n", proxy.name, swept.beyond()));
        for (gap_s, Votes { sent, reused, failed }) in &swept.after_s {
            println!(
                "{}, idle for {gap_s} s: {sent} votes, {reused} on such a connection, {failed} failed",
                proxy.name
            );
        }
    }
    println!("{table}");
    for (proxy, swept) in &swept {
        let (name, Votes { sent, reused, failed }) = (proxy.name, swept.total());
        assert!(
            failed <= campaign.failures_max(),
            "{name}: {failed} votes failed, {reused} connections were used again"
        );
        assert!(swept.counted >= sent - failed, "{name}: {} of {sent} counted, {failed} failed", swept.counted);
        assert!(swept.beyond() <= failed, "{name}: {} ballots counted twice", swept.beyond() - failed);
        assert!(reused >= campaign.connections, "{name}: no more than {reused} connections were used again");
    }
}

/// Sweeps one proxy with all its crowds.
fn sweep(campaign: &Campaign, proxy: &Proxy) -> Swept {
    let reused = AtomicU64::new(0);
    let mut all = Swept::default();
    std::thread::scope(|scope| {
        let crowds = 0..campaign.crowds(proxy);
        let crowds: Vec<_> = crowds
            .map(|number| {
                scope.spawn({
                    let reused = &reused;
                    move || sweep_with(campaign, proxy, number, reused)
                })
            })
            .collect();
        for crowd in crowds {
            let Swept { after_s, counted } = crowd.join().unwrap();
            all.counted += counted;
            for (gap_s, votes) in after_s {
                *all.after_s.entry(gap_s).or_default() += votes;
            }
        }
    });
    all
}

/// Sweeps one proxy with one crowd, until all of them together have used enough connections again.
fn sweep_with(campaign: &Campaign, proxy: &Proxy, number: u64, reused: &AtomicU64) -> Swept {
    let mut settings = vec![("TRUSTED_PROXIES", "127.0.0.1")];
    settings.extend(campaign.idle_timeout.as_deref().map(|seconds| ("IDLE_TIMEOUT", seconds)));
    let crowd = Crowd::gather(proxy.start, proxy.voters, &settings);
    let mut gaps_s: Vec<u64> = proxy.gaps_s.iter().copied().filter(|gap_s| *gap_s <= campaign.gap_max_s).collect();
    // Crowds are not all back at the same time.
    let first = usize::try_from(number).unwrap() % gaps_s.len();
    gaps_s.rotate_left(first);
    let mut swept = Swept::default();
    // The first votes open the connections.
    swept.after_s.insert(0, crowd.vote());
    let mut pauses = number * 13;
    for _ in 0..ROUNDS_MAX {
        for gap_s in &gaps_s {
            let late_ms = pauses % (2 * SPREAD_MS + 1);
            stay_away(Duration::from_millis(gap_s * 1_000 - SPREAD_MS + late_ms));
            let votes = crowd.vote();
            reused.fetch_add(votes.reused, Ordering::Relaxed);
            *swept.after_s.entry(*gap_s).or_default() += votes;
            pauses += 7;
        }
        if reused.load(Ordering::Relaxed) >= campaign.connections {
            break;
        }
    }
    swept.counted = crowd.counted();
    swept
}
