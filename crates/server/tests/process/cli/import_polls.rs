//! `throng poll import`.

use serde_json::json;

use crate::cli::workspace::Workspace;

const TOML: &str = r#"
[[polls]]
slug = "song"
title = "Best song?"
options = ["Alpha", "Beta"]
kind = "multiple"
policy = "device"
quota = { ballots = 10, per_option = 3 }
allowed_origins = ["https://news.example:443", "null"]
locale = "zh-Hans"
option_order = "shuffle"
opens_at = 2099-07-01T20:00:00+02:00
closes_at = "+2h"

[[polls]]
slug = "day"
title = "Which day?"
options = [{ id = 1, label = "Friday" }, "Saturday"]
"#;

#[test]
fn file_is_imported_any_number_of_times() {
    let workspace = Workspace::with_demo();
    workspace.write("polls.toml", TOML);
    let dry = workspace.run("poll import polls.toml --dry-run").succeeds();
    assert_eq!(dry, "song: would be created\nday: would be created\n");
    assert_eq!(workspace.run("poll list --json").json().as_array().unwrap().len(), 1);
    assert_eq!(workspace.run("poll import polls.toml").succeeds(), "song: created\nday: created\n");
    let made = workspace.run("poll show song --json").json();
    assert_eq!((&made["state"], &made["closes_at"]), (&json!("scheduled"), &json!("2099-07-01T20:00:00.000Z")));
    assert_eq!((&made["quota"], &made["max_choices"]), (&json!({"ballots": 10, "per_option": 3}), &json!(2)));
    assert_eq!((&made["locale"], &made["option_order"]), (&json!("zh-Hans"), &json!("shuffle")));
    assert_eq!(made["allowed_origins"], json!(["https://news.example", "null"]));
    assert_eq!(workspace.run("poll import polls.toml").succeeds(), "song: unchanged\nday: unchanged\n");

    workspace.write("polls.toml", &TOML.replace("Which day?", "Which days?").replace("+2h", "+3h"));
    let dry = workspace.run("poll import polls.toml --dry-run").succeeds();
    assert_eq!(dry, "song: would be changed\nday: would be changed\n");
    let done = workspace.run("poll import polls.toml --json --by Ann --reason later").json();
    assert_eq!(done, json!([{"poll": "song", "done": "changed"}, {"poll": "day", "done": "changed"}]));
    let log = workspace.run("poll log day").succeeds();
    assert!(log.contains("by Ann") && log.contains("reason: later") && log.contains("Which days?"), "{log}");
}

#[test]
fn json_is_read_from_standard_input() {
    let workspace = Workspace::with_demo();
    workspace.write("polls", r#"{"polls": [{"slug": "song", "title": "?", "options": ["A", "B"]}]}"#);
    workspace.run("poll import polls").fails(1, &["--format json"]);
    let mut command = workspace.command(&["poll", "import", "-", "--format", "json"]);
    let input = std::fs::File::open(workspace.path("polls")).unwrap();
    let done = command.stdin(input).output().unwrap();
    assert_eq!(String::from_utf8(done.stdout).unwrap(), "song: created\n");
}

#[test]
fn file_with_a_fault_says_where_and_imports_nothing() {
    let workspace = Workspace::with_demo();
    let second = |poll: &str| format!("[[polls]]\nslug = 'song'\ntitle = '?'\noptions = ['A', 'B']\n[[polls]]\n{poll}");
    for (text, parts) in [
        (
            second("slug = 'day'\ntitle = '?'\noptions = ['A', 'B']\nvotes = 9"),
            ["poll 2, `day`", "unknown field `votes`"],
        ),
        (second("slug = 'song'\ntitle = '?'\noptions = ['A', 'B']"), ["two polls `song`", "nothing was imported"]),
        (second("slug = 'A b'\ntitle = '?'\noptions = ['A', 'B']"), ["poll 2, `A b`", "can't be a poll's slug"]),
        (
            second("slug = 'day'\ntitle = '?'\noptions = ['A', 'B']\nopens_at = 2099-07-01"),
            ["poll 2, `day`", "time zone"],
        ),
        ("[[poll]]".to_owned(), ["polls.toml", "unknown field `poll`"]),
        ("polls = [".to_owned(), ["polls.toml", "TOML parse error"]),
    ] {
        workspace.write("polls.toml", &text);
        workspace.run("poll import polls.toml").fails(1, &parts);
    }
    assert_eq!(workspace.run("poll list --json").json().as_array().unwrap().len(), 1);
    let json = r#"{"polls": [{"slug": "song", "title": "1", "title": "2", "options": ["A", "B"]}]}"#;
    workspace.write("polls.json", json);
    workspace.run("poll import polls.json").fails(1, &["duplicate field `title` at line 1"]);
    workspace.write("polls.json", r#"{"polls": [["song", "1", "", "", "single", ["A", "B"]]]}"#);
    workspace.run("poll import polls.json").fails(1, &["poll 1 isn't a table of fields"]);
    workspace.write("polls.toml", &second("slug = 'day'\ntitle = '?'\noptions = ['A']"));
    let failed = workspace.run("poll import polls.toml");
    failed.fails(1, &["not all of polls.toml", "poll `day`", "2 to 100 options"]);
    assert!(workspace.run("poll show song").succeeds().contains("draft"), "the others are imported");
    workspace.run("poll import none.toml").fails(1, &["none.toml", "No such file"]);
}
