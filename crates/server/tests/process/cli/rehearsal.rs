//! A rehearsal on the command line, against a real server.

use std::process::Stdio;

use throng_testkit::Connection;

use crate::cli::workspace::{Ran, Workspace};

#[test]
fn rehearsal_is_created_and_run() {
    let workspace = Workspace::with_demo();
    let server = workspace.serve();
    workspace.create("test", "--rehearsal --opens-at now").succeeds();
    assert!(workspace.run("poll list").succeeds().contains("open (rehearsal)"));
    assert!(workspace.run("poll show test").succeeds().contains("no voter takes part in it"));
    assert_eq!(workspace.run("poll show test --json").json()["rehearsal"], true);
    workspace.run("poll edit test --rehearsal").fails(2, &["--rehearsal"]);
    workspace.run("poll pass demo").fails(1, &["isn't a rehearsal", "--rehearsal"]);
    workspace.run("poll pass test --expires-at +8d").fails(1, &["at the latest"]);

    let pass = workspace.run("poll pass test");
    assert_eq!(pass.succeeds().lines().count(), 1);
    assert!(workspace.run("poll pass test --json").json()["expires_at"].is_string());
    throng_testkit::eventually("the server knows the poll", || {
        let answer = Connection::open(server.address).request("GET", "/polls/test", &[], b"");
        (answer.status == 403).then_some(())
    });
    workspace.write("pass", &pass.output());
    let url = format!("http://{}", server.address);
    let bench = ["bench", "--url", &url, "--clients", "20", "--rounds", "2", "--rehearse", "test", "--pass-file", "-"];
    let mut command = workspace.command(&bench);
    let file = std::fs::File::open(workspace.path("pass")).unwrap();
    let report = Ran(command.stdin(Stdio::from(file)).output().unwrap()).succeeds();
    assert!(report.contains("the server counted 40 (from 0 to 40): right"), "{report}");
    let results = workspace.run("poll results test").succeeds();
    assert!(results.contains("REHEARSAL") && results.contains("Ballots: 40."), "{results}");
    assert!(workspace.run("poll export test").succeeds().contains(",rehearsal\n"));
}
