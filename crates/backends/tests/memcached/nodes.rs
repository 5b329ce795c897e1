//! Several nodes on one cache.

use std::sync::Arc;

use throng_domain::cache::{Lease, ResultCache};
use throng_domain::contract::cache::result;
use throng_domain::poll::PollId;

use super::{host, namespace, patient_node};

/// The number of nodes in a test, each with connections of its own.
const NODES: u64 = 8;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn result_of_one_node_is_seen_by_all() {
    let namespace = namespace("shared");
    patient_node(&host(), &namespace).put(&result(1, 7)).await;
    assert_eq!(patient_node(&host(), &namespace).get(PollId(1)).await, Some(result(1, 7)));
    assert_eq!(patient_node(&host(), &super::namespace("other")).get(PollId(1)).await, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn newer_result_is_never_replaced_by_an_older_one() {
    let namespace = namespace("races");
    let watcher = patient_node(&host(), &namespace);
    let puts: Vec<_> = (0..NODES)
        .map(|number| {
            let node = patient_node(&host(), &namespace);
            tokio::spawn(async move {
                // At any time, each node has some newer and some older results than each other node.
                for step in 0..200 {
                    let seq = (step * 7 + number * 29) % 200;
                    node.put(&result(1, seq)).await;
                }
            })
        })
        .collect();
    let mut last = 0;
    while !puts.iter().all(tokio::task::JoinHandle::is_finished) {
        let seq = watcher.get(PollId(1)).await.map_or(last, |cached| cached.tallies.seq);
        assert!(seq >= last, "the result went back from {last} to {seq}");
        last = seq;
    }
    for put in puts {
        put.await.unwrap();
    }
    assert_eq!(watcher.get(PollId(1)).await, Some(result(1, 199)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_one_node_gets_the_lease() {
    let namespace = namespace("lease");
    let leases: Vec<_> = (0..NODES)
        .flat_map(|_| {
            let node = Arc::new(patient_node(&host(), &namespace));
            (0..4).map(move |_| {
                let node = Arc::clone(&node);
                tokio::spawn(async move { node.lease(PollId(1), 60_000).await })
            })
        })
        .collect();
    let mut taken = 0;
    for lease in leases {
        match lease.await.unwrap() {
            Lease::Taken => taken += 1,
            Lease::Held => {}
            Lease::Unknown => panic!("the cache is available"),
        }
    }
    assert_eq!(taken, 1);
}
