//! What HAProxy makes of a node that is slow to say that it is ready.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use throng_testkit::{Connection, eventually};

use crate::front::Front;
use crate::proxies::stay_away;

/// Longer than the time between two checks.
const SLOW: Duration = Duration::from_millis(1_500);

/// A node that says only after a while that it is ready, and answers everything else at once. Its thread ends with the tests.
struct SlowNode {
    address: SocketAddr,
    /// Checks that it has answered.
    checks: Arc<AtomicUsize>,
}

impl SlowNode {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let node = Self { address: listener.local_addr().unwrap(), checks: Arc::default() };
        let checks = Arc::clone(&node.checks);
        std::thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                let checks = Arc::clone(&checks);
                std::thread::spawn(move || answer_all(connection, &checks));
            }
        });
        node
    }
}

/// Answers the requests of a connection, which have no bodies.
fn answer_all(connection: TcpStream, checks: &AtomicUsize) {
    let mut requests = BufReader::new(connection);
    let (mut line, mut is_check) = (String::new(), false);
    while requests.read_line(&mut line).is_ok_and(|read| read > 0) {
        is_check |= line.starts_with("GET /readyz");
        if line.trim().is_empty() {
            if is_check {
                stay_away(SLOW);
            }
            let _ = requests.get_mut().write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
            checks.fetch_add(usize::from(is_check), Ordering::SeqCst);
            is_check = false;
        }
        line.clear();
    }
}

#[test]
fn haproxy_sends_votes_to_a_node_that_answers_its_checks_slowly() {
    let node = SlowNode::start();
    let front = Front::haproxy(node.address);
    for checks in 0..=4 {
        eventually("the next check is answered", || (node.checks.load(Ordering::SeqCst) >= checks).then_some(()));
        assert_eq!(
            Connection::open(front.address).request("POST", "/api/submit", &[], b"").status,
            200,
            "{checks} checks"
        );
    }
}
