//! Linters: is the description a valid one?

use super::{Served, assert_run, node_tool, python_tool};

#[test]
fn description_is_valid_openapi() {
    let served = Served::start();
    let printed = assert_run(python_tool("openapi-spec-validator").arg(served.description()));
    assert!(printed.trim_end().ends_with("OK"), "{printed}");
}

#[test]
fn description_follows_the_recommended_rules() {
    let served = Served::start();
    let mut lint = node_tool("redocly");
    lint.args(["lint", "--format", "json"]).arg(served.description());
    // It would look for newer versions of itself, and report how it is used.
    lint.envs([("REDOCLY_TELEMETRY", "off"), ("REDOCLY_SUPPRESS_UPDATE_NOTICE", "true")]);
    let printed = assert_run(&mut lint);
    let report: serde_json::Value = serde_json::from_str(&printed).unwrap_or_else(|error| panic!("{error}: {printed}"));
    assert_eq!(report["totals"]["errors"], 0, "{printed}");
    assert_eq!(report["totals"]["warnings"], 0, "{printed}");
}
