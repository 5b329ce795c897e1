//! Invitation codes for these tests to vote with.

use throng::voting::{PolicyKey, code_voter};
use throng_domain::audit::Author;
use throng_domain::ballot::VoterKey;
use throng_domain::code::{BatchName, Code};
use throng_domain::poll::Poll;

use crate::server::{NOW, TestServer};

/// A batch of so many valid codes for the poll with this slug, as they are printed, and the batch's number.
pub fn create(server: &TestServer, slug: &str, count: usize) -> (Vec<String>, u32) {
    let codes: Vec<Code> = (0..count).map(|_| Code::of_random(rand::random())).collect();
    let name = BatchName::of_number(rand::random());
    let make = || {
        server.database.with_store(async |store| {
            let poll = store.poll(&slug.parse().unwrap()).await.unwrap().unwrap();
            let voters: Vec<VoterKey> = codes.iter().map(|code| voter(server, &poll, *code)).collect();
            let batch = store.begin_code_batch(poll.id, &name, NOW, &Author::THRONG).await.unwrap().number;
            store.add_codes(poll.id, batch, &voters).await.unwrap();
            store.mark_batch_exported(poll.id, batch, NOW).await.unwrap();
            batch
        })
    };
    // A thread of its own, since the caller's may be running a browser.
    let batch = std::thread::scope(|scope| scope.spawn(make).join().unwrap());
    (codes.iter().map(ToString::to_string).collect(), batch)
}

/// Revokes a batch.
pub fn revoke(server: &TestServer, slug: &str, batch: u32) {
    server.database.with_store(async |store| {
        let poll = store.poll(&slug.parse().unwrap()).await.unwrap().unwrap();
        store.revoke_code_batch(poll.id, batch, NOW, &Author::THRONG).await.unwrap();
    });
}

fn voter(server: &TestServer, poll: &Poll, code: Code) -> VoterKey {
    code_voter(PolicyKey(&server.app.policy_key), poll.id, code)
}
