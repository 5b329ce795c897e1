//! The two original routes.

use crate::support::TestServer;

#[test]
fn a_vote_is_in_its_own_answer_and_in_every_later_result() {
    let server = TestServer::start();
    assert_eq!(server.post("/api/submit", b"[1,2]").text(), r#"{"1":1,"2":1,"3":0,"4":0,"5":0}"#);
    assert_eq!(server.post("/api/submit", b"[1,2]").text(), r#"{"1":2,"2":2,"3":0,"4":0,"5":0}"#);
    assert_eq!(server.get("/api/result").text(), r#"{"1":2,"2":2,"3":0,"4":0,"5":0}"#);
}
