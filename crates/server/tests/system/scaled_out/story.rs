//! One day of a system, on each kind of it.

use serde_json::json;
use throng_testkit::{Answer, Client, Reply};
use uuid::Uuid;

use crate::scaled_out::servers::shared;
use crate::scaled_out::system::{Kind, System, wait_until_shown};

macro_rules! on_each_system {
    ($($name:ident: $kind:expr, $broker:expr, $cache:expr;)+) => {
        $(#[test] fn $name() { story(&System::new($kind, $broker, $cache), $broker); })+
    };
}

on_each_system! {
    on_mysql_alone: Kind::MySql, false, false;
    on_mysql_behind_a_broker: Kind::MySql, true, false;
    on_mysql_behind_a_broker_with_a_cache: Kind::MySql, true, true;
    on_postgres_alone: Kind::Postgres, false, false;
    on_postgres_behind_a_broker: Kind::Postgres, true, false;
    on_postgres_behind_a_broker_with_a_cache: Kind::Postgres, true, true;
}

/// Voters come to one node by both routes, send again what they aren't sure of, and see the result on the other node.
fn story(system: &System, broker: bool) {
    let _peace = shared();
    let nodes = if broker { vec![system.web(), system.web()] } else { vec![system.web()] };
    let worker = broker.then(|| system.worker());
    let mut client = Client::new(nodes[0].address);
    for _ in 0..20 {
        assert_eq!(post(&mut client, "/api/submit", "[1,3]").status, 200);
    }
    let (done, said) = if broker { (202, "accepted") } else { (201, "counted") };
    let ballot = |id: Uuid, choices: &[u16]| json!({"ballot_id": id, "choices": choices}).to_string();
    let id = Uuid::from_u128(rand::random());
    for _ in 0..2 {
        let answer = post(&mut client, "/api/v1/polls/demo/ballots", &ballot(id, &[2]));
        assert_eq!((answer.status, answer.json()["status"].as_str()), (done, Some(said)));
    }
    for (route, body, status) in [
        ("/api/submit", "[9]", 422),
        ("/api/submit", "nonsense", 422),
        ("/api/v1/polls/demo/ballots", r#"{"ballot_id":"x","choices":[1]}"#, 422),
        ("/api/v1/polls/none/ballots", "{}", 404),
    ] {
        assert_eq!(post(&mut client, route, body).status, status, "{route} {body}");
    }
    for node in &nodes {
        wait_until_shown(node, 21);
        assert_eq!(
            Client::new(node.address).get_json("/api/result"),
            json!({"1": 20, "2": 1, "3": 20, "4": 0, "5": 0})
        );
    }
    assert_eq!(system.stored().disagreements(), [""; 0]);
    system.output(&["poll", "recount", "demo"]);
    assert!(system.run(&["poll", "close", "demo"]).status.success());
    let closed = || match client.post("/api/submit", "[1]") {
        Reply::Answer(answer) if answer.status == 200 => None,
        Reply::Answer(answer) => Some(answer.status),
        reply @ (Reply::NotSent | Reply::Cut) => panic!("{reply:?}"),
    };
    let (accepted, status) = count_until(closed);
    assert_eq!(status, 410);
    // What was answered with 200 before the node knew of the close came after it, and was refused where it was recorded.
    let exported = String::from_utf8(system.run(&["poll", "export", "demo"]).stdout).unwrap();
    assert!(exported.lines().count() > 21 && accepted < 100_000);
    if let Some(mut worker) = worker {
        worker.terminate();
        let (status, said) = worker.ended();
        assert!(status.success(), "{said}");
    }
}

/// Does it again until it gives something; how often it gave nothing, and what it gave.
fn count_until<T>(mut done: impl FnMut() -> Option<T>) -> (usize, T) {
    let mut count = 0;
    loop {
        if let Some(given) = done() {
            return (count, given);
        }
        count += 1;
    }
}

fn post(client: &mut Client, path: &str, body: &str) -> Answer {
    match client.post(path, body) {
        Reply::Answer(answer) => answer,
        reply @ (Reply::NotSent | Reply::Cut) => panic!("POST {path}: {reply:?}"),
    }
}
