//! `throng poll void` and `throng poll unvoid`.

use serde_json::json;

use crate::cli::polls::record;
use crate::cli::workspace::Workspace;

#[test]
fn doubtful_ballots_are_shown_then_void_then_count_again() {
    let workspace = Workspace::with_demo();
    workspace.create("song", "--kind multiple --opens-at now").succeeds();
    record(&workspace, "song", &[&[1], &[1, 2], &[1], &[2]]);
    let before = workspace.run("poll results song --json").json();

    let shown = workspace.run("poll void song --choices 1 --json").json();
    assert_eq!((&shown["applied"], &shown["void_ballots"]), (&json!(false), &json!(2)));
    assert_eq!(shown["options"][0], json!({"id": 1, "label": "A", "before": 3, "after": 1}));
    assert_eq!(workspace.run("poll results song --json").json()["seq"], before["seq"], "nothing changed");
    let told = workspace.run("poll void song --choices 1").succeeds();
    assert!(
        told.contains("Void ballots: 2 by this rule, 2 by all rules.") && told.contains("Nothing was changed"),
        "{told}"
    );

    workspace.run("poll void song --choices 1 --apply").fails(2, &["--reason"]);
    let applied = workspace.run("poll void song --choices 1 --apply --reason robots --json").json();
    assert_eq!((&applied["applied"], &applied["voters"]), (&json!(true), &json!({"before": 4, "after": 2})));
    let after = workspace.run("poll results song --json").json();
    assert_eq!((&after["voters"], &after["options"][0]["count"]), (&json!(2), &json!(1)));
    assert!(after["seq"].as_u64() > before["seq"].as_u64(), "{after}");
    assert_eq!(workspace.run("poll recount song --json").json()["equal"], json!(true));
    let listed = workspace.run("poll void song --list").succeeds();
    assert!(listed.contains("1  applied  that chose 1"), "{listed}");
    assert!(workspace.run("poll log song").succeeds().contains("reason: robots"));

    // They are all there.
    let exported = workspace.run("poll export song").succeeds();
    assert_eq!(exported.lines().count(), 5, "{exported}");
    assert_eq!(exported.lines().filter(|line| line.ends_with(",void")).count(), 3, "the header and two: {exported}");
    assert!(workspace.run("poll results song").succeeds().contains("Some ballots are void"));
    workspace
        .run("poll void song --choices 1 --apply --reason again")
        .fails(1, &["rule 1 of poll `song` says that already"]);
    let none = workspace.run("poll void song --until 2020-01-01T00:00:00Z").succeeds();
    assert!(none.contains("No ballot fits this rule. Void ballots by other rules: 2."), "{none}");
    workspace.run("poll unvoid song 1 --apply --reason mistake").succeeds();
    let again = workspace.run("poll results song --json").json();
    assert_eq!((&again["voters"], &again["options"]), (&before["voters"], &before["options"]));
    assert!(again["seq"].as_u64() > after["seq"].as_u64(), "{again}");
    assert!(workspace.run("poll void song --list").succeeds().contains("1  undone"));
    workspace.run("poll unvoid song 1").fails(1, &["rule 1 of poll `song` is undone already"]);
    workspace.run("poll unvoid song 2").fails(1, &["no rule 2"]);
    assert!(workspace.run("poll log song").succeeds().contains("rule 1: that chose 1, undone"));
}

#[test]
fn rule_without_a_meaning_is_refused() {
    let workspace = Workspace::with_demo();
    workspace.run("poll void demo").fails(2, &["--from"]);
    workspace.run("poll void demo --choices 1 --apply --reason=").fails(2, &["--reason"]);
    workspace.run("poll void demo --choices 9").fails(1, &["no option 9"]);
    workspace.run("poll void demo --voter 12").fails(2, &["30 hexadecimal digits"]);
    workspace.run(&format!("poll void demo --voter {}", "ab".repeat(15))).fails(1, &["knows no voters"]);
    let backwards = "poll void demo --from 2026-07-02T00:00:00Z --until 2026-07-01T00:00:00Z";
    workspace.run(backwards).fails(1, &["before an earlier one"]);
    assert!(workspace.run("poll void demo --list").succeeds().contains("no rules"));
}
