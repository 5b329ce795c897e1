//! memcached, over TCP only.

use std::process::Command;

use super::instance::{Instance, ServerSpec, StopSignal};
use super::wire::exchange;
use crate::packages::Program;

/// How it is set up and run.
pub const SPEC: ServerSpec = ServerSpec {
    name: "memcached",
    variable: "THRONG_TEST_MEMCACHED_URL",
    scheme: "memcached",
    has_users: false,
    programs: &[Program { name: "memcached", package: "memcached" }],
    // It writes no files.
    user: Some("nobody"),
    stop_signal: StopSignal::Terminate,
    prepare: |_| Ok(()),
    companion: None,
    command,
    accepts_clients: |address| Ok(exchange::<7>(address, b"version\r\n")? == *b"VERSION"),
};

fn command(instance: &Instance) -> anyhow::Result<Command> {
    let mut server = instance.command("memcached")?;
    server.args(["-l", "127.0.0.1", "-U", "0", "-p", &instance.ports[0].to_string()]);
    Ok(server)
}
