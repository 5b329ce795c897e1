//! Schemathesis: requests that the description allows, and requests that it doesn't. Each response has to be described, none may
//! be a server error, what is allowed has to be accepted, and what isn't has to be refused.

use std::path::Path;

use super::{Served, assert_run, python_tool};

/// Requests to each operation, in each of the two phases that make them up.
const EXAMPLES_MAX: &str = "40";

#[test]
fn requests_made_of_the_description_are_handled_as_described() {
    let served = Served::start();
    // The one that schemathesis revokes.
    assert_run(&mut served.data_dir.command(&["token", "create", "other", "--role", "viewer"]));
    let config = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/api/schemathesis.toml");
    let mut fuzz = python_tool("schemathesis");
    fuzz.arg("--config-file").arg(config).arg("run").arg(served.description()).args(["--url", &served.url()]);
    fuzz.args(["--checks", "all", "--max-examples", EXAMPLES_MAX, "--continue-on-failure"]);
    fuzz.args(["--no-color", "--warnings", "off"]);
    fuzz.env("THRONG_TOKEN", &served.token).current_dir(served.data_dir.path(""));
    let printed = assert_run(&mut fuzz);
    // It tests nothing, and succeeds, where it finds no operation.
    assert!(printed.contains("Tested: 48"), "{printed}");
    served.server.get("/readyz").json();
}
