//! Values that Throng didn't put there.

use throng_domain::cache::{Lease, ResultCache};
use throng_domain::contract::cache::result;
use throng_domain::poll::PollId;

use super::{Stranger, host, namespace, node};

#[tokio::test]
async fn what_is_no_result_of_this_poll_is_a_miss_and_is_replaced() {
    let namespace = namespace("junk");
    let node = node(&host(), &namespace);
    let mut stranger = Stranger::connect();
    for poll in [1, 2] {
        node.put(&result(poll, 5)).await;
    }
    let [own, others] = [1, 2].map(|poll| stranger.read(&namespace.result_key(PollId(poll))));
    let text = String::from_utf8(own.clone()).unwrap();
    let plants = [
        b"".to_vec(),
        b"junk".to_vec(),
        vec![0xff; 100_000],
        own[..own.len() - 1].to_vec(),
        [&own[..], b" "].concat(),
        text.replacen("throng-result/1", "throng-result/2", 1).into_bytes(),
        text.replacen(":5,", ":6,", 1).into_bytes(),
        others,
    ];
    for plant in plants {
        assert_ne!(plant, own);
        stranger.plant(&namespace.result_key(PollId(1)), &plant);
        assert_eq!(node.get(PollId(1)).await, None, "{}", String::from_utf8_lossy(&plant));
        node.put(&result(1, 4)).await;
        assert_eq!(node.get(PollId(1)).await, Some(result(1, 4)));
    }
}

#[tokio::test]
async fn an_old_result_that_was_planted_is_replaced_by_the_next_put() {
    let namespace = namespace("old");
    let node = node(&host(), &namespace);
    let mut stranger = Stranger::connect();
    let key = namespace.result_key(PollId(1));
    node.put(&result(1, 5)).await;
    let old = stranger.read(&key);
    node.put(&result(1, 9)).await;
    stranger.plant(&key, &old);
    assert_eq!(node.get(PollId(1)).await, Some(result(1, 5)), "it is a result, and says which");
    node.put(&result(1, 9)).await;
    assert_eq!(node.get(PollId(1)).await, Some(result(1, 9)));
}

#[tokio::test]
async fn an_emptied_cache_starts_anew() {
    let namespace = namespace("flushed");
    let node = node(&host(), &namespace);
    let mut stranger = Stranger::connect();
    node.put(&result(1, 9)).await;
    assert_eq!(node.lease(PollId(1), 60_000).await, Lease::Taken);
    stranger.remove(&namespace.result_key(PollId(1)));
    stranger.remove(&namespace.lease_key(PollId(1)));
    assert_eq!(node.get(PollId(1)).await, None);
    assert_eq!(node.lease(PollId(1), 60_000).await, Lease::Taken);
    node.put(&result(1, 10)).await;
    assert_eq!(node.get(PollId(1)).await, Some(result(1, 10)));
}
