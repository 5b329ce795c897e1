//! A cache that is unavailable or slow, or a server that isn't a cache: no call waits long, and the cache is used again once it
//! is available.

use std::time::Duration;

use throng_backends::cache::memcached::Memcached;
use throng_domain::cache::{Lease, ResultCache};
use throng_domain::contract::cache::result;
use throng_domain::poll::PollId;
use throng_testkit::{ChaosProxy, Fault, eventually_async, within};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::{host, namespace, node};

/// A hundred times as long as a call may wait for the cache.
const CALL_MAX: Duration = Duration::from_secs(5);

/// Makes every kind of call; fails if one returns a result, or doesn't end.
async fn all_calls_miss(node: &Memcached) {
    for _ in 0..2 {
        assert_eq!(within(CALL_MAX, "a get ends", node.get(PollId(1))).await, None);
        assert_eq!(within(CALL_MAX, "a lease ends", node.lease(PollId(1), 60_000)).await, Lease::Unknown);
        within(CALL_MAX, "a put ends", node.put(&result(1, 8))).await;
    }
}

/// Waits until the node uses its cache again.
async fn wait_until_recovered(node: &Memcached) {
    let is_used = async || (node.lease(PollId(2), 60_000).await != Lease::Unknown).then_some(());
    eventually_async("the cache is used again", is_used).await;
}

#[tokio::test]
async fn frozen_cache_misses_then_is_skipped_then_recovers() {
    let proxy = ChaosProxy::start(host());
    let node = node(&proxy.address().to_string(), &namespace("frozen"));
    is_cached(&node).await;

    proxy.set(Fault::Frozen);
    all_calls_miss(&node).await;
    let reads = proxy.reads();
    for _ in 0..1_000 {
        assert_eq!(node.get(PollId(1)).await, None);
    }
    assert!(proxy.reads() <= reads + 1, "{} of 1,000 calls were made", proxy.reads() - reads);

    proxy.set(Fault::None);
    wait_until_recovered(&node).await;
    let cached = node.get(PollId(1)).await.expect("a result is cached");
    // The put before the breaker opened may have reached the server late.
    assert!([7, 8].contains(&cached.tallies.seq), "{cached:?}");
}

#[tokio::test]
async fn cache_that_starts_later_is_used() {
    let reserved = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = reserved.local_addr().unwrap();
    drop(reserved);
    let node = node(&address.to_string(), &namespace("away"));
    all_calls_miss(&node).await;
    let _server = ChaosProxy::at(address, host());
    wait_until_recovered(&node).await;
    is_cached(&node).await;
}

/// Puts a result, and gets it back: on a machine that has much else to do, after some calls that took too long.
async fn is_cached(node: &Memcached) {
    eventually_async("a result is cached", async || {
        node.put(&result(1, 7)).await;
        (node.get(PollId(1)).await == Some(result(1, 7))).then_some(())
    })
    .await;
}

#[tokio::test]
async fn unresolvable_host_is_a_miss() {
    all_calls_miss(&node("no-such-host.invalid:11211", &namespace("name"))).await;
}

#[tokio::test]
async fn invalid_response_is_a_miss() {
    for response in [
        &b"HTTP/1.1 400 Bad Request\r\n\r\n"[..],
        b"VA 18446744073709551615 c1\r\n",
        b"VA 1073741824 c1\r\nthrong",
        b"VA 3 c1\r\nabcdefgh\r\n",
        b"HD c1",
        b"SERVER_ERROR out of memory\r\n",
        b"\r\n\r\n\r\n",
        b"",
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let server = tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let mut request = [0; 4_096];
                let _ = client.read(&mut request).await;
                // The connection ends here, whether the response was accepted or not.
                let _ = client.write_all(response).await;
            }
        });
        all_calls_miss(&node(&address, &namespace("nonsense"))).await;
        server.abort();
    }
}

#[tokio::test]
async fn unavailable_host_affects_only_its_own_polls() {
    let gone = "127.0.0.1:1".to_owned();
    let node = Memcached::new(&[host(), gone], namespace("two hosts")).with_deadline(Duration::from_secs(20));
    let mut cached = 0;
    for poll in 0..100 {
        node.put(&result(poll, 7)).await;
        cached += usize::from(node.get(PollId(poll)).await == Some(result(poll, 7)));
    }
    assert!((20..80).contains(&cached), "{cached} of 100 polls are on one of two hosts");
}
