//! Several nodes on one cache.

use std::sync::Arc;

use throng_domain::cache::{Lease, ResultCache};
use throng_domain::contract::cache::result;
use throng_domain::poll::PollId;

use super::{host, namespace, node};

/// As many nodes as tests have, each with connections of its own.
const NODES: u64 = 8;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_node_puts_all_nodes_get() {
    let namespace = namespace("shared");
    node(&host(), &namespace).put(&result(1, 7)).await;
    assert_eq!(node(&host(), &namespace).get(PollId(1)).await, Some(result(1, 7)));
    assert_eq!(node(&host(), &super::namespace("other")).get(PollId(1)).await, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_node_takes_another_nodes_newer_result_away() {
    let namespace = namespace("races");
    let watcher = node(&host(), &namespace);
    let puts: Vec<_> = (0..NODES)
        .map(|number| {
            let node = node(&host(), &namespace);
            tokio::spawn(async move {
                // Every node has some newer and some older ones than each other node at any moment.
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
async fn one_of_all_nodes_gets_the_lease() {
    let namespace = namespace("lease");
    let asked: Vec<_> = (0..NODES)
        .flat_map(|_| {
            let node = Arc::new(node(&host(), &namespace));
            (0..4).map(move |_| {
                let node = Arc::clone(&node);
                tokio::spawn(async move { node.lease(PollId(1), 60_000).await })
            })
        })
        .collect();
    let mut taken = 0;
    for lease in asked {
        match lease.await.unwrap() {
            Lease::Taken => taken += 1,
            Lease::Held => {}
            Lease::Unknown => panic!("the cache is there"),
        }
    }
    assert_eq!(taken, 1);
}
