//! Cached values that Throng didn't write.

use throng_domain::cache::{Lease, ResultCache};
use throng_domain::contract::cache::result;
use throng_domain::poll::PollId;

use super::{RawClient, host, namespace, patient_node};

#[tokio::test]
async fn invalid_value_is_a_miss_and_is_replaced() {
    let namespace = namespace("junk");
    let node = patient_node(&host(), &namespace);
    let mut client = RawClient::connect();
    for poll in [1, 2] {
        node.put(&result(poll, 5)).await;
    }
    let [own, other] = [1, 2].map(|poll| client.get(&namespace.result_key(PollId(poll))));
    let text = String::from_utf8(own.clone()).unwrap();
    let values = [
        b"".to_vec(),
        b"junk".to_vec(),
        vec![0xff; 100_000],
        own[..own.len() - 1].to_vec(),
        [&own[..], b" "].concat(),
        text.replacen("throng-result/1", "throng-result/2", 1).into_bytes(),
        text.replacen(":5,", ":6,", 1).into_bytes(),
        other,
    ];
    for value in values {
        assert_ne!(value, own);
        client.set(&namespace.result_key(PollId(1)), &value);
        assert_eq!(node.get(PollId(1)).await, None, "{}", String::from_utf8_lossy(&value));
        node.put(&result(1, 4)).await;
        assert_eq!(node.get(PollId(1)).await, Some(result(1, 4)));
    }
}

#[tokio::test]
async fn older_result_is_replaced_by_the_next_put() {
    let namespace = namespace("old");
    let node = patient_node(&host(), &namespace);
    let mut client = RawClient::connect();
    let key = namespace.result_key(PollId(1));
    node.put(&result(1, 5)).await;
    let old = client.get(&key);
    node.put(&result(1, 9)).await;
    client.set(&key, &old);
    assert_eq!(node.get(PollId(1)).await, Some(result(1, 5)), "it is a valid result, with its seq");
    node.put(&result(1, 9)).await;
    assert_eq!(node.get(PollId(1)).await, Some(result(1, 9)));
}

#[tokio::test]
async fn flushed_cache_is_filled_again() {
    let namespace = namespace("flushed");
    let node = patient_node(&host(), &namespace);
    let mut client = RawClient::connect();
    node.put(&result(1, 9)).await;
    assert_eq!(node.lease(PollId(1), 60_000).await, Lease::Taken);
    client.delete(&namespace.result_key(PollId(1)));
    client.delete(&namespace.lease_key(PollId(1)));
    assert_eq!(node.get(PollId(1)).await, None);
    assert_eq!(node.lease(PollId(1), 60_000).await, Lease::Taken);
    node.put(&result(1, 10)).await;
    assert_eq!(node.get(PollId(1)).await, Some(result(1, 10)));
}
