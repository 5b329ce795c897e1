//! Webhooks, against real receivers: what is told, in which order, how often, and by whom.

mod receiver;

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};
use throng::config::DerivedKey;
use throng::results::{LivePolls, ResultSource};
use throng::telemetry::metrics::WebhookMetrics;
use throng::webhooks::{SEND_MAX, WebhookClient, WebhookSecret, WebhookSender, WebhookUrl, create_webhook};
use throng_backends::store::sqlite::SqliteStore;
use throng_domain::admin_token::Role;
use throng_domain::audit::Author;
use throng_domain::clock::{ManualClock, Timestamp};
use throng_domain::new_poll::NewPoll;
use throng_domain::store::{PollStore as _, Schema as _, Store, WebhookStore as _};
use throng_domain::webhook::Webhook;
use throng_testkit::{NOW, TestServer, eventually};

use self::receiver::{Received, Receiver, Reply};
use crate::routes::admin::Admin;

/// A database with webhooks, and a clock that a test moves.
struct Setting {
    _directory: tempfile::TempDir,
    store: Arc<SqliteStore>,
    clock: Arc<ManualClock>,
}

impl Setting {
    async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = Arc::new(SqliteStore::open(&directory.path().join("throng.db")).unwrap());
        store.migrate().await.unwrap();
        Self { _directory: directory, store, clock: Arc::new(ManualClock::new(NOW)) }
    }

    async fn webhook(&self, url: &str) -> (Webhook, WebhookSecret) {
        let url = WebhookUrl::parse(url, &"".parse().unwrap()).unwrap();
        create_webhook(&*self.store, &url, [7; 16], &key(), &Author::THRONG).await.unwrap()
    }

    /// Polls that open now.
    async fn open(&self, polls: usize) {
        for poll in 0..polls {
            let new = NewPoll::demo(format!("poll-{poll}").parse().unwrap(), NOW);
            self.store.create_poll(new, &Author::THRONG).await.unwrap();
        }
    }

    /// What a server that starts now sends with.
    async fn sender(&self) -> WebhookSender {
        self.sender_waiting(SEND_MAX).await
    }

    async fn sender_waiting(&self, send_max: Duration) -> WebhookSender {
        let store = Arc::<SqliteStore>::clone(&self.store);
        let source = ResultSource::of_store(store, Arc::<ManualClock>::clone(&self.clock));
        let polls = Arc::new(LivePolls::load("demo".parse().unwrap(), &source).await.unwrap());
        let client = WebhookClient::new("".parse().unwrap(), send_max);
        let (store, clock) = (Arc::<SqliteStore>::clone(&self.store) as Arc<dyn Store>, Arc::clone(&self.clock));
        WebhookSender::new(store, polls, clock, key(), client, WebhookMetrics::default())
    }

    fn after(&self, ms: i64) {
        self.clock.set(NOW.plus_ms(ms));
    }

    async fn last(&self) -> (bool, String) {
        let last = self.store.webhooks().await.unwrap().remove(0).last.unwrap();
        (last.is_delivered, last.outcome)
    }
}

fn key() -> DerivedKey {
    DerivedKey::new([3; 32])
}

/// What a message is about, as its body says.
fn about(received: &Received) -> (String, String) {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let body: Value = serde_json::from_str(&received.body).unwrap();
    (text(&body["type"]), text(&body["data"]["poll"]["slug"]))
}

#[test]
fn opening_close_and_final_result_are_told_in_order() {
    // Without the demo poll.
    let settings = [("APP_ENV", "prod"), ("APP_SECRET", "0123456789abcdef0123456789abcdef")];
    let (server, receiver) = (TestServer::start_with(&settings), Receiver::start([]));
    let admin = Admin::new(&server, "anna", Role::Admin);
    admin.post("/webhooks", &json!({"url": "http://10.0.0.1/"})).assert_problem(422, "invalid_body");
    let made = admin.post("/webhooks?reason=cms", &json!({"url": receiver.url}));
    assert_eq!(made.status, 201, "{made:?}");
    let secret = made.json()["secret"].as_str().unwrap().to_owned();
    assert!(secret.starts_with("whsec_"), "{secret}");
    let tested = admin.send("POST", "/webhooks/1/test", &[], "");
    assert_eq!(tested.json(), json!({"delivered": true, "outcome": "200 OK"}));

    let poll = json!({"slug": "song", "title": "Best song?", "options": ["A", "B"], "results": "never",
        "opens_at": "+1m", "closes_at": "+1m"});
    assert_eq!(admin.post("/polls", &poll).status, 201);
    let mut rehearsal = poll.clone();
    (rehearsal["slug"], rehearsal["rehearsal"]) = (json!("test"), json!(true));
    assert_eq!(admin.post("/polls", &rehearsal).status, 201);
    server.clock.set(NOW.plus_ms(60_000));
    assert_eq!(receiver.wait_for(2).len(), 2);
    server.clock.set(NOW.plus_ms(150_000));
    let told = receiver.wait_for(4);
    let expected = [("webhook.test", ""), ("poll.opened", "song"), ("poll.closed", "song"), ("poll.final", "song")];
    let told_of: Vec<_> = told.iter().map(about).collect();
    assert_eq!(told_of.iter().map(|(event, poll)| (event.as_str(), poll.as_str())).collect::<Vec<_>>(), expected);
    for message in &told {
        assert_eq!((message.target.as_str(), message.header("content-type")), ("/hook?a=b", "application/json"));
        assert!(message.header("user-agent").starts_with("throng/"));
        assert!(message.is_signed_with(&secret), "{message:?}");
        assert!(!message.is_signed_with("whsec_AAAA"));
    }
    let opened: Value = serde_json::from_str(&told[1].body).unwrap();
    assert_eq!(
        (&opened["timestamp"], &opened["data"]["poll"]["state"]),
        (&json!("2100-01-01T00:01:00.000Z"), &json!("open"))
    );
    assert_eq!(opened["data"]["results"], Value::Null);
    let last: Value = serde_json::from_str(&told[3].body).unwrap();
    // Also where voters don't see it.
    assert_eq!(
        (&last["data"]["results"]["voters"], &last["data"]["results"]["provisional"]),
        (&json!(0), &json!(false))
    );

    let listed = || admin.get("/webhooks")["webhooks"][0].clone();
    let webhook = eventually("the last one has ended", || Some(listed()).filter(|webhook| webhook["pending"] == 0));
    assert_eq!((&webhook["secret"], &webhook["last"]["outcome"]), (&Value::Null, &json!("200 OK")), "{webhook}");
    assert_eq!(server.metric("throng_webhook_attempts_total{outcome=\"delivered\"}"), 3);
    let log = admin.get("/audit?limit=100").to_string();
    assert!(log.contains("create_webhook") && !log.contains("/hook"), "{log}");
    assert_eq!(admin.send("DELETE", "/webhooks/1", &[], "").status, 200);
    admin.send("DELETE", "/webhooks/1", &[], "").assert_problem(404, "webhook_not_found");
    admin.send("POST", "/webhooks/1/test", &[], "").assert_problem(404, "webhook_not_found");
}

#[tokio::test]
async fn message_is_sent_again_until_it_is_accepted() {
    let elsewhere = Receiver::start([]);
    let replies = [Reply::Status(500), Reply::Redirect(elsewhere.url.clone()), Reply::HangUp, Reply::Status(410)];
    let (setting, receiver) = (Setting::new().await, Receiver::start(replies));
    let (_, secret) = setting.webhook(&receiver.url).await;
    setting.open(1).await;
    let sender = setting.sender().await;
    let outcomes = ["500 Internal Server Error", "302 Found", "no response", "410 Gone"];
    for (attempt, outcome) in (1..).zip(outcomes) {
        sender.send_due().await.unwrap();
        let (is_delivered, last) = setting.last().await;
        assert!(!is_delivered && last.contains(outcome), "{last}");
        // Nothing before it is due again, a few seconds later at the earliest.
        sender.send_due().await.unwrap();
        assert_eq!(receiver.wait_for(attempt).len(), attempt);
        let next = setting.store.webhooks().await.unwrap()[0].next_at.unwrap();
        let pause_ms = next.0 - setting.clock_now().0;
        let doubled = 10_000 << (attempt - 1);
        assert!((doubled * 3 / 4..=doubled * 5 / 4).contains(&pause_ms), "{attempt}: {pause_ms}");
        setting.clock.set(next);
    }
    sender.send_due().await.unwrap();
    assert_eq!(setting.last().await, (true, "200 OK".to_owned()));
    setting.after(9_000_000);
    sender.send_due().await.unwrap();
    let received = receiver.wait_for(5);
    assert_eq!(received.len(), 5, "none after it was accepted");
    for message in &received {
        assert_eq!(message.header("webhook-id"), received[0].header("webhook-id"));
        assert!(message.is_signed_with(&secret.text()), "{message:?}");
    }
    assert_ne!(received[0].header("webhook-timestamp"), received[4].header("webhook-timestamp"));
    assert_eq!(elsewhere.received(), 0, "no redirect is followed");
}

#[tokio::test]
async fn receiver_that_does_not_respond_holds_nothing_up() {
    let (setting, silent, other) = (Setting::new().await, Receiver::start([Reply::Nothing]), Receiver::start([]));
    setting.webhook(&silent.url).await;
    setting.webhook(&other.url).await;
    setting.open(2).await;
    let sender = setting.sender_waiting(Duration::from_millis(100)).await;
    sender.send_due().await.unwrap();
    assert_eq!(setting.last().await, (false, "no response within 100ms".to_owned()));
    assert_eq!(other.wait_for(2).len(), 2);
}

#[tokio::test]
async fn message_whose_sender_was_killed_is_sent_after_its_lease() {
    let (setting, receiver) = (Setting::new().await, Receiver::start([]));
    let (webhook, _) = setting.webhook(&receiver.url).await;
    // While no server runs.
    setting.open(1).await;
    let first = setting.sender().await;
    setting.store.add_openings(&[setting.store.polls().await.unwrap()[0].id]).await.unwrap();
    let killed = setting.store.claim_delivery(webhook.number, NOW, NOW.plus_ms(60_000)).await.unwrap();
    first.send_due().await.unwrap();
    drop(first);
    let restarted = setting.sender().await;
    restarted.send_due().await.unwrap();
    assert_eq!(receiver.received(), 0, "it is claimed");
    setting.after(60_000);
    restarted.send_due().await.unwrap();
    setting.after(120_000);
    setting.sender().await.send_due().await.unwrap();
    let received = receiver.wait_for(1);
    assert_eq!((received.len(), received[0].header("webhook-id")), (1, &*killed.unwrap().message_id()));
    // An opening of long ago is told to nobody.
    let late = NewPoll::demo("late".parse().unwrap(), Timestamp(NOW.0 - 25 * 3_600_000));
    setting.store.create_poll(late, &Author::THRONG).await.unwrap();
    setting.sender().await.send_due().await.unwrap();
    assert_eq!(receiver.received(), 1);
}

#[tokio::test]
async fn several_nodes_send_each_message_once() {
    let (setting, receiver) = (Setting::new().await, Receiver::start([]));
    setting.webhook(&receiver.url).await;
    setting.open(30).await;
    let nodes = [setting.sender().await, setting.sender().await, setting.sender().await];
    for _ in 0..2 {
        for sent in join_all(nodes.iter().map(WebhookSender::send_due)).await {
            sent.unwrap();
        }
    }
    let received = receiver.wait_for(30);
    let mut ids: Vec<_> = received.iter().map(|message| message.header("webhook-id").to_owned()).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!((received.len(), ids.len()), (30, 30));
}

#[tokio::test]
async fn nothing_is_sent_into_private_networks() {
    let setting = Setting::new().await;
    for url in ["https://10.0.0.1/", "https://[fd00::1]/", "https://169.254.169.254/latest"] {
        let (webhook, _) = setting.webhook(url).await;
        let refused = setting.sender().await.send_test(&webhook).await.unwrap_err();
        assert!(refused.contains("WEBHOOK_HOSTS"), "{url}: {refused}");
    }
    // As if it was allowed once.
    let (webhook, _) = setting.webhook("https://a.example/").await;
    let webhook = Webhook { url: "http://a.example/".to_owned(), ..webhook };
    assert!(setting.sender().await.send_test(&webhook).await.unwrap_err().contains("use https://"));
}

impl Setting {
    fn clock_now(&self) -> Timestamp {
        use throng_domain::clock::Clock as _;
        self.clock.now()
    }
}
