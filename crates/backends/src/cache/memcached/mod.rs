//! memcached, by its meta protocol (version 1.6 or later).

mod breaker;
mod key;
mod probe;
mod server;
mod value;

use std::time::Duration;

use async_trait::async_trait;
use memcache::exp::{AsyncMetaClient, Error, Meta, Ttl};
use sha2::{Digest, Sha256};
use throng_domain::cache::{CachedTallies, Lease, ResultCache};
use throng_domain::poll::PollId;

pub use self::key::Namespace;
pub use self::probe::fault;
use self::server::Server;

/// How long a result is kept that is not replaced.
const KEEP: Ttl = Ttl::secs(24 * 60 * 60);

/// How often a put is attempted when another node is faster. Each of those nodes has put a result too, so giving up
/// costs no more than a slightly older result.
const PUT_TRIES_MAX: usize = 8;

/// The longest lease, in seconds: memcached would interpret a longer time as a date.
const LEASE_SECONDS_MAX: u64 = 30 * 24 * 60 * 60;

/// A cache on one or more memcached servers, each of which holds the polls assigned to it.
#[derive(Debug)]
pub struct Memcached {
    namespace: Namespace,
    servers: Vec<Server>,
}

impl Memcached {
    /// The cache on `hosts` (`host:port`, at least one). Nothing is sent to them yet.
    pub fn new(hosts: &[String], namespace: Namespace) -> Self {
        assert!(!hosts.is_empty(), "a cache has at least one host");
        Self { namespace, servers: hosts.iter().cloned().map(Server::new).collect() }
    }

    /// With this deadline of a call in the place of 50 ms, such as where what the calls do is tested on a machine that has much else
    /// to do.
    #[must_use]
    pub fn with_deadline(self, deadline: Duration) -> Self {
        let servers = self.servers.into_iter().map(|server| server.with_deadline(deadline)).collect();
        Self { servers, ..self }
    }

    /// The server that holds `key`: the same in every process that has the same hosts, in whatever order (rendezvous
    /// hashing). Removing or adding a host moves only the keys of that host.
    fn server(&self, key: &str) -> &Server {
        let weight = |server: &&Server| Sha256::digest(format!("{} {key}", server.host()));
        match &self.servers[..] {
            [only] => only,
            several => several.iter().max_by_key(weight).expect("there is at least one host"),
        }
    }
}

#[async_trait]
impl ResultCache for Memcached {
    async fn get(&self, poll: PollId) -> Option<CachedTallies> {
        let key = &self.namespace.result_key(poll);
        let found = self.server(key).call(|client| async move { client.get(key).send().await }).await?;
        value::decode(key, poll, &found.value?)
    }

    async fn put(&self, result: &CachedTallies) {
        let key = &self.namespace.result_key(result.tallies.poll);
        // Whether it was put or not, the caller can do nothing about it.
        let _ = self.server(key).call(|client| put(client, key, result)).await;
    }

    async fn lease(&self, poll: PollId, for_ms: u64) -> Lease {
        let key = &self.namespace.lease_key(poll);
        let time = lease_time(for_ms);
        let add = |client: AsyncMetaClient| async move { client.set(key, "taken").add().ttl(time).send().await };
        match self.server(key).call(add).await {
            Some(added) if added.applied() => Lease::Taken,
            Some(_) => Lease::Held,
            None => Lease::Unknown,
        }
    }
}

/// Puts `result` unless the stored one is newer. The stored value is replaced only as it was read: by comparing the
/// number that memcached assigns to each of its values or, where there was no value, only if there is still none.
async fn put(client: AsyncMetaClient, key: &str, result: &CachedTallies) -> Result<(), Error> {
    let value = value::encode(key, result);
    for _ in 0..PUT_TRIES_MAX {
        let found = client.get(key).meta(Meta::NONE.cas()).send().await?;
        let stored = found.value.and_then(|bytes| value::decode(key, result.tallies.poll, &bytes));
        if stored.is_some_and(|stored| !result.is_newer_than(&stored)) {
            return Ok(());
        }
        let set = client.set(key, &value).ttl(KEEP);
        let set = match found.item.cas {
            Some(cas) => set.compare_cas(cas),
            None => set.add(),
        };
        if set.send().await?.applied() {
            return Ok(());
        }
    }
    Ok(())
}

/// memcached counts whole seconds from its own last full one, so that a time may be up to a second short: one is added.
fn lease_time(for_ms: u64) -> Ttl {
    let seconds = for_ms.div_ceil(1_000).saturating_add(1).min(LEASE_SECONDS_MAX);
    Ttl::secs(u32::try_from(seconds).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cache(hosts: &[&str]) -> Memcached {
        let hosts: Vec<_> = hosts.iter().map(|host| (*host).to_owned()).collect();
        Memcached::new(&hosts, Namespace::of("test"))
    }

    #[test]
    fn keys_are_spread_over_hosts_and_stay_there() {
        let (two, turned, three) = (cache(&["a:1", "b:1"]), cache(&["b:1", "a:1"]), cache(&["c:1", "a:1", "b:1"]));
        let mut on_a = 0;
        for poll in 0..1_000 {
            let key = two.namespace.result_key(PollId(poll));
            let host = two.server(&key).host();
            assert_eq!(turned.server(&key).host(), host);
            assert!(["c:1", host].contains(&three.server(&key).host()));
            on_a += usize::from(host == "a:1");
        }
        assert!((400..600).contains(&on_a), "{on_a} of 1,000 keys are on one of two hosts");
    }

    #[test]
    fn lease_is_never_shorter_than_requested() {
        for (for_ms, seconds) in [(0, 1), (1, 2), (1_000, 2), (1_001, 3), (5_000, 6)] {
            assert_eq!(lease_time(for_ms), Ttl::secs(seconds));
        }
        assert_eq!(lease_time(u64::MAX), Ttl::secs(30 * 24 * 60 * 60));
    }
}
