//! Policies with which the broker would lose what it has confirmed: told in words that help, and nothing is published.

use std::process::Command;

use throng_backends::queue::rabbitmq::RabbitPublisher;
use throng_domain::queue::{Publisher, QueueError};

use super::ground::{Ground, key, on_ground};
use super::{ballots, eventually, within};

/// Each with what is said of it.
const HARMFUL: [(&str, &str); 3] = [
    (r#"{"message-ttl":1000}"#, "message-ttl"),
    (r#"{"max-length":3,"overflow":"drop-head"}"#, "overflow"),
    (r#"{"expires":1500}"#, "expires"),
];

/// A policy on the queues of this ground.
struct Policy {
    name: String,
}

impl Policy {
    fn set(ground: &Ground, definition: &str) -> Self {
        let (name, pattern) = (ground.prefix.clone(), format!("^{}\\.", ground.prefix));
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

/// Waits until nothing is published any more, and fails unless that is because of `effect`.
async fn refused_for(publisher: &RabbitPublisher, effect: &str) {
    let words = eventually(effect, async || match publisher.refusal() {
        Err(QueueError::Rejected(words)) => Some(words),
        Ok(()) | Err(QueueError::Unavailable(_) | QueueError::Unknown(_)) => None,
    })
    .await;
    for word in [effect, "rabbitmqctl list_policies"] {
        assert!(words.contains(word), "{words}");
    }
    let refused = publisher.publish(&ballots(0, 1)).await;
    assert!(matches!(refused, Err(QueueError::Rejected(_) | QueueError::Unavailable(_))), "{refused:?}");
    assert!(!publisher.is_ready());
}

#[tokio::test]
async fn policy_set_while_a_node_runs_is_noticed_until_it_is_cleared() {
    for (definition, effect) in HARMFUL {
        on_ground(async move |ground| {
            let publisher = ground.publisher().await;
            publisher.publish(&ballots(0, 1)).await.unwrap();
            let policy = Policy::set(&ground, definition);
            refused_for(&publisher, effect).await;
            drop(policy);
            eventually("it takes ballots again", async || publisher.is_ready().then_some(())).await;
            publisher.publish(&ballots(1, 1)).await.unwrap();
        })
        .await;
    }
}

#[tokio::test]
async fn policy_set_before_a_node_starts_is_noticed() {
    for (definition, effect) in HARMFUL {
        on_ground(async move |ground| {
            let _policy = Policy::set(&ground, definition);
            match within(10, "it connects", RabbitPublisher::connect(ground.broker(), key())).await {
                Ok(publisher) => refused_for(&publisher, effect).await,
                Err(QueueError::Rejected(words)) => assert!(words.contains(effect), "{words}"),
                Err(error) => panic!("{error}"),
            }
        })
        .await;
    }
}

/// Lower bounds alone lose nothing: what is beyond them is refused.
#[tokio::test]
async fn policy_that_lowers_a_bound_is_no_fault() {
    on_ground(async move |ground| {
        let _policy = Policy::set(&ground, r#"{"max-length":3}"#);
        let publisher = ground.publisher().await;
        let mut confirmed = 0;
        while publisher.publish(&ballots(confirmed, 1)).await.is_ok() {
            confirmed += 1;
        }
        assert!(publisher.is_ready());
        assert_eq!(ground.ready("ballots").await, Some(confirmed as u32));
    })
    .await;
}
