//! Policies with which the broker would lose confirmed messages: the error contains advice, and nothing is published.

use std::process::Command;

use throng_backends::queue::rabbitmq::RabbitPublisher;
use throng_domain::queue::{Publisher, QueueError};
use throng_testkit::eventually_async;

use super::fixture::{Fixture, key, with_fixture};
use super::{ballots, within};

/// Each with a word that its error contains.
const HARMFUL: [(&str, &str); 3] = [
    (r#"{"message-ttl":1000}"#, "message-ttl"),
    (r#"{"max-length":3,"overflow":"drop-head"}"#, "overflow"),
    (r#"{"expires":1500}"#, "expires"),
];

/// A policy on the queues of this fixture.
struct Policy {
    name: String,
}

impl Policy {
    fn set(fixture: &Fixture, definition: &str) -> Self {
        let (name, pattern) = (fixture.prefix.clone(), format!("^{}\\.", fixture.prefix));
        control(&["set_policy", "--apply-to", "queues", &name, &pattern, definition]);
        Self { name }
    }
}

impl Drop for Policy {
    fn drop(&mut self) {
        control(&["clear_policy", &self.name]);
    }
}

#[track_caller]
fn control(arguments: &[&str]) {
    let control = std::env::var("THRONG_TEST_RABBITMQ_CONTROL").expect("`cargo xtask test` sets it");
    let output = Command::new(control).args(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Waits until publishing is rejected, and fails unless that is because of `effect`.
async fn rejected_for(publisher: &RabbitPublisher, effect: &str) {
    let error = eventually_async(effect, async || match publisher.refusal() {
        Err(QueueError::Rejected(error)) => Some(error),
        Ok(()) | Err(QueueError::Unavailable(_) | QueueError::Unknown(_)) => None,
    })
    .await;
    for word in [effect, "rabbitmqctl list_policies"] {
        assert!(error.contains(word), "{error}");
    }
    let refused = publisher.publish(&ballots(0, 1)).await;
    assert!(matches!(refused, Err(QueueError::Rejected(_) | QueueError::Unavailable(_))), "{refused:?}");
    assert!(!publisher.is_ready());
}

#[tokio::test]
async fn policy_set_while_a_node_runs_is_detected_until_cleared() {
    for (definition, effect) in HARMFUL {
        with_fixture(async move |fixture| {
            let publisher = fixture.publisher().await;
            publisher.publish(&ballots(0, 1)).await.unwrap();
            let policy = Policy::set(&fixture, definition);
            rejected_for(&publisher, effect).await;
            drop(policy);
            eventually_async("it accepts ballots again", async || publisher.is_ready().then_some(())).await;
            publisher.publish(&ballots(1, 1)).await.unwrap();
        })
        .await;
    }
}

#[tokio::test]
async fn policy_set_before_a_node_starts_is_detected() {
    for (definition, effect) in HARMFUL {
        with_fixture(async move |fixture| {
            let _policy = Policy::set(&fixture, definition);
            match within(10, "it connects", RabbitPublisher::connect(fixture.broker(), key())).await {
                Ok(publisher) => rejected_for(&publisher, effect).await,
                Err(QueueError::Rejected(error)) => assert!(error.contains(effect), "{error}"),
                Err(error) => panic!("{error}"),
            }
        })
        .await;
    }
}

/// A lower limit alone loses nothing: messages beyond it are rejected.
#[tokio::test]
async fn policy_that_lowers_a_limit_is_no_fault() {
    with_fixture(async move |fixture| {
        let _policy = Policy::set(&fixture, r#"{"max-length":3}"#);
        let publisher = fixture.publisher().await;
        let mut confirmed = 0;
        while publisher.publish(&ballots(confirmed, 1)).await.is_ok() {
            confirmed += 1;
        }
        assert!(publisher.is_ready());
        assert_eq!(fixture.ready("ballots").await, Some(confirmed as u32));
    })
    .await;
}
