//! `throng show`.

use serde_json::json;

use crate::cli::workspace::Workspace;

#[test]
fn show_is_created_edited_and_deleted() {
    let workspace = Workspace::with_demo();
    assert!(workspace.run("show list").succeeds().contains("throng show create"));
    workspace.create("a", "--opens-at now").succeeds();
    workspace.create("b", "").succeeds();
    workspace.create("test", "--rehearsal --opens-at now").succeeds();
    let create = workspace.run("show create finale --title Finale --poll b --poll a --by anna");
    assert!(create.succeeds().contains("is created"));
    workspace.run("show create finale --title x").fails(1, &["there is a show `finale` already"]);
    workspace.run("show create x --title x --poll test --poll nothing").fails(1, &["rehearsal", "no poll `nothing`"]);
    workspace.run("show create x --title x --poll a --poll a").fails(1, &["twice"]);
    let shown = workspace.run("show show finale").succeeds();
    assert!(shown.contains("b     draft") && shown.contains(">  a     open"), "{shown}");
    assert_eq!(workspace.run("show show finale --json").json()["polls"], json!(["b", "a"]));
    workspace.run("show edit finale --poll a --title Final").succeeds();
    let expected = json!([{"slug": "finale", "title": "Final", "polls": ["a"], "version": 2}]);
    assert_eq!(workspace.run("show list --json").json(), expected);
    assert!(workspace.run("show list").succeeds().contains("finale"));
    assert!(workspace.run("poll log").succeeds().contains("create_show finale  by anna"));
    workspace.run("show edit nothing --title x").fails(1, &["no show `nothing`"]);
    assert!(workspace.run("show delete finale").succeeds().contains("its polls stay"));
    workspace.run("show show finale").fails(1, &["no show `finale`"]);
    workspace.run("poll show a").succeeds();
}
