//! `throng poll edit`, `delete`, `archive` and `log`.

use serde_json::json;

use crate::cli::workspace::Workspace;

#[test]
fn a_draft_is_edited_then_opened_then_only_its_texts() {
    let workspace = Workspace::with_demo();
    workspace.create("song", "--kind multiple --consent Fair").succeeds();
    let edited = workspace
        .run("poll edit song --add-option C --remove-option 1 --label 2=Beta --policy device --quota 2 --json")
        .json();
    assert_eq!(edited["options"], json!([{"id": 2, "label": "Beta"}, {"id": 3, "label": "C"}]));
    assert_eq!((&edited["policy"], &edited["quota"]["ballots"]), (&json!("device"), &json!(2)));
    assert_eq!((&edited["consent"], &edited["version"]), (&json!("Fair"), &json!(2)));
    workspace.run("poll edit song --consent Other --if-version 1").fails(1, &["version 2, not 1", "changed meanwhile"]);
    workspace.run("poll edit song --title Ok --remove-option 7").fails(1, &["no option 7"]);
    workspace.run("poll edit song --label Beta").fails(2, &["2=Beta"]);
    workspace.run("poll edit song").fails(2, &["--title"]);
    workspace.run("poll edit sing --title X").fails(1, &["no poll `sing`"]);

    workspace.run("poll open song").succeeds();
    workspace
        .run("poll edit song --add-option D --quota 3")
        .fails(1, &["the options, how many options a ballot may choose, the quota can't change once"]);
    let edited = workspace.run("poll edit song --label 3=Gamma --results after_close --if-version 3 --json").json();
    assert_eq!((&edited["options"][1]["label"], &edited["results"]), (&json!("Gamma"), &json!("after_close")));
    assert!(workspace.run("poll show song").succeeds().contains("Fair"));
}

#[test]
fn locale_and_order_change_at_any_time() {
    let workspace = Workspace::with_demo();
    let made = workspace.create("song", "--locale zh-Hant --option-order shuffle --opens-at now --json").json();
    assert_eq!((&made["locale"], &made["option_order"]), (&json!("zh-Hant"), &json!("shuffle")));
    workspace.run("poll edit song --locale zh-hant").fails(2, &["zh-Hant, zh-Hans"]);
    let edited = workspace.run("poll edit song --locale ar --option-order fixed --json").json();
    assert_eq!((&edited["locale"], &edited["option_order"]), (&json!("ar"), &json!("fixed")));
    assert!(workspace.run("poll show song").succeeds().contains("locale   ar"));
}

#[test]
fn allowed_origins_change_at_any_time_and_are_noted() {
    let workspace = Workspace::with_demo();
    let created =
        workspace.create("song", "--allow-origin HTTPS://Ok.example/ --allow-origin null --opens-at now").succeeds();
    assert!(created.contains("song"));
    assert!(workspace.run("poll show song").succeeds().contains("origins  https://ok.example, null"));
    workspace.run("poll edit song --allow-origin https://ok.example/page").fails(2, &["nothing after them"]);
    workspace.run("poll edit song --allow-origin *").fails(2, &["each origin in full"]);
    workspace.run("poll edit song --allow-origin null --no-allowed-origins").fails(2, &["--no-allowed-origins"]);
    let edited = workspace.run("poll edit song --allow-origin https://b.example --by Ann --json").json();
    assert_eq!(edited["allowed_origins"], json!(["https://b.example"]));
    let log = workspace.run("poll log song").succeeds();
    assert!(log.contains("by Ann") && log.contains("allowed_origins") && log.contains("https://b.example"), "{log}");
    let edited = workspace.run("poll edit song --no-allowed-origins --json").json();
    assert_eq!(edited["allowed_origins"], json!([]));
    assert!(!workspace.run("poll show song").succeeds().contains("origins"));
}

#[test]
fn a_draft_is_deleted_and_an_opened_poll_archived() {
    let workspace = Workspace::with_demo();
    workspace.create("song", "").succeeds();
    workspace.run("poll delete song --if-version 2").fails(1, &["version 1, not 2"]);
    assert_eq!(workspace.run("poll delete song").succeeds(), "The draft `song` is deleted.\n");
    workspace.run("poll show song").fails(1, &["no poll `song`"]);
    workspace.run("poll delete demo").fails(1, &["isn't a draft"]);
    workspace.run("poll archive demo").fails(1, &["isn't final yet"]);

    let server = workspace.serve();
    workspace.run("poll close demo").succeeds();
    throng_testkit::eventually("the result is final", || {
        workspace.run("poll show demo").succeeds().contains("final").then_some(())
    });
    assert_eq!(workspace.run("poll archive demo").succeeds(), "The poll `demo` is archived.\n");
    drop(server);
    workspace.run("poll archive demo").succeeds();
    assert!(workspace.run("poll list").succeeds().contains("All 1 polls are archived"));
    assert!(workspace.run("poll list --archived").succeeds().contains("demo"));
    workspace.run("poll open demo --again").fails(1, &["is archived; take it back first"]);
    workspace.run("poll archive demo --undo").succeeds();
    workspace.run("poll open demo --again").succeeds();
}

#[test]
fn who_changed_what_is_told() {
    let workspace = Workspace::with_demo();
    workspace.create("song", "--by Ann").succeeds();
    workspace.run_args(&["poll", "edit", "song", "--title", "Best?", "--by", "Bo", "--reason", "a typo"]).succeeds();
    workspace.run("poll open song").succeeds();
    workspace.run("poll codes create song --count 1").fails(1, &["has no codes"]);
    let told = workspace.run("poll log song").succeeds();
    let expected = [
        "open song  by uid-",
        "edit song  by Bo\n    reason: a typo\n    title: \"Best song?\" -> \"Best?\"\n",
        "create song  by Ann",
    ];
    let places: Vec<_> = expected.iter().map(|part| told.find(part)).collect();
    assert!(places.iter().all(Option::is_some) && places.is_sorted(), "{told}");
    assert!(told.contains("opens_at: none -> 20"), "{told}");

    let log = workspace.run("poll log --json --limit 3").json();
    let actions: Vec<_> = log.as_array().unwrap().iter().map(|entry| entry["action"].as_str().unwrap()).collect();
    assert_eq!(actions, ["open", "edit", "create"]);
    assert_eq!(log[1]["changes"], json!({"title": {"from": "Best song?", "to": "Best?"}}));
    let before = log[2]["number"].to_string();
    let earlier = workspace.run(&format!("poll log --json --before {before}")).json();
    assert_eq!((&earlier[0]["poll"], &earlier[0]["author"]), (&json!("demo"), &json!("throng")));
    assert_eq!(workspace.run("poll log nothing").succeeds(), "No change is noted.\n");
}
