//! `throng token`, and a server that knows the tokens.

use serde_json::json;
use throng_testkit::Connection;

use crate::cli::workspace::Workspace;

#[test]
fn token_is_printed_once_and_valid_at_once() {
    let workspace = Workspace::with_demo();
    assert!(workspace.run("token list").succeeds().contains("throng token create"));
    let server = workspace.serve();
    let made = workspace.run("token create anna --role editor --by root --reason new");
    let token = made.succeeds();
    assert!(token.starts_with("throng_1_") && token.lines().count() == 1, "{token}");
    let authorization = format!("Bearer {}", token.trim());
    let get =
        |path| Connection::open(server.address).request("GET", path, &[("authorization", authorization.as_str())], b"");
    assert_eq!(get("/api/v1/admin/token").json()["name"], "anna");
    assert_eq!(get("/api/v1/admin/tokens").status, 403);

    let listed = workspace.run("token list").succeeds();
    assert!(listed.contains("anna  editor") && listed.contains("valid"), "{listed}");
    let revoked = workspace.run("token revoke 1 --reason lost --json").json();
    assert_eq!((&revoked["number"], &revoked["role"]), (&json!(1), &json!("editor")));
    throng_testkit::eventually("it is refused", || (get("/api/v1/admin/token").status == 401).then_some(()));
    assert!(workspace.run("token list").succeeds().contains("revoked at 20"));
    let log = workspace.run("poll log").succeeds();
    assert!(log.contains("revoke_token 1 anna (editor)") && log.contains("reason: lost"), "{log}");
    assert!(!log.contains(token.trim()), "{log}");
}

#[test]
fn what_a_token_cannot_be_is_told() {
    let workspace = Workspace::with_demo();
    workspace.run("token create Anna --role editor").fails(2, &["can't be a token's name"]);
    workspace.run("token create anna").fails(2, &["--role"]);
    workspace.run("token create anna --role owner").fails(2, &["viewer, editor, admin"]);
    workspace.run("token create anna --role admin --expires-at 2020-01-01T00:00:00Z").fails(1, &["has passed"]);
    workspace.run("token revoke 7").fails(1, &["no token number 7"]);
    let expiring = workspace.run("token create anna --role viewer --expires-at +90d --json").json();
    assert!(expiring["expires_at"].is_string() && expiring["token"].is_string(), "{expiring}");
}
