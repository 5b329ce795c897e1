//! memcached, over TCP alone.

use std::process::Command;

use super::plot::Plot;
use super::wire::exchange;
use super::{Ending, Recipe};
use crate::packages::Program;

/// How it is made.
pub const RECIPE: Recipe = Recipe {
    name: "memcached",
    variable: "THRONG_TEST_MEMCACHED_URL",
    scheme: "memcached",
    has_users: false,
    programs: &[Program { name: "memcached", package: "memcached" }],
    // It keeps no files.
    user: Some("nobody"),
    ending: Ending::Terminate,
    prepare: |_| Ok(()),
    companion: None,
    command,
    answers: |address| Ok(exchange::<7>(address, b"version\r\n")? == *b"VERSION"),
};

fn command(plot: &Plot) -> anyhow::Result<Command> {
    let mut server = plot.command("memcached")?;
    server.args(["-l", "127.0.0.1", "-U", "0", "-p", &plot.ports[0].to_string()]);
    Ok(server)
}
