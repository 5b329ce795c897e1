//! RabbitMQ, with a node name and an Erlang port mapper of its own, and no plugins.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use super::plot::{CONTROL, Plot, USER};
use super::wire::exchange;
use super::{Ending, Recipe};
use crate::packages::Program;

/// How it is made.
pub const RECIPE: Recipe = Recipe {
    name: "rabbitmq",
    variable: "THRONG_TEST_RABBITMQ_URL",
    scheme: "amqp",
    has_users: true,
    programs: &[
        Program { name: "rabbitmq-server", package: "rabbitmq-server" },
        Program { name: "epmd", package: "erlang-base" },
    ],
    user: None,
    ending: Ending::Terminate,
    prepare,
    companion: Some(port_mapper),
    command,
    // It begins with a method (1) on channel 0 (0, 0): Connection.Start. It listens only when all else has started.
    answers: |address| Ok(exchange::<3>(address, b"AMQP\0\0\x09\x01")? == [1, 0, 0]),
};

fn prepare(plot: &Plot) -> anyhow::Result<()> {
    let (port, password) = (plot.ports[0], &plot.password);
    plot.write("enabled_plugins", "[].\n")?;
    plot.write(
        "rabbitmq.conf",
        &format!(
            "listeners.tcp.1 = 127.0.0.1:{port}\n\
             default_user = {USER}\n\
             default_pass = {password}\n\
             default_user_tags.administrator = true\n\
             default_permissions.configure = .*\n\
             default_permissions.read = .*\n\
             default_permissions.write = .*\n\
             log.console = true\n\
             log.file = false\n"
        ),
    )?;
    let control = plot.write(
        CONTROL,
        &format!(
            "#!/bin/sh\nHOME='{}' ERL_EPMD_PORT={} exec {} {} -n '{}' \"$@\"\n",
            plot.directory.display(),
            plot.ports[1],
            plot.entering().join(" "),
            own(plot, "rabbitmqctl"),
            node(plot)
        ),
    )?;
    fs::set_permissions(control, Permissions::from_mode(0o700))?;
    Ok(())
}

/// The program itself: the one on Debian's search path changes the user first.
fn own(plot: &Plot, program: &str) -> String {
    let path = format!("/usr/lib/rabbitmq/bin/{program}");
    if plot.has(&path) { path } else { program.to_owned() }
}

fn node(plot: &Plot) -> String {
    format!("throng-{}@localhost", plot.ports[0])
}

/// Erlang would start one by itself, as a daemon that outlives it.
fn port_mapper(plot: &Plot) -> anyhow::Result<Command> {
    let mut epmd = plot.command("epmd")?;
    epmd.args(["-address", "127.0.0.1", "-port", &plot.ports[1].to_string()]);
    Ok(epmd)
}

fn command(plot: &Plot) -> anyhow::Result<Command> {
    let [port, mapper, distribution] = plot.ports.map(|port| port.to_string());
    let mut server = plot.command(&own(plot, "rabbitmq-server"))?;
    // So that it becomes the Erlang machine, instead of a shell that waits for it.
    server.env("RUNNING_UNDER_SYSTEMD", "true");
    server.env("RABBITMQ_CONF_ENV_FILE", "/dev/null").env("CONF_ENV_FILE", "/dev/null");
    server.env("RABBITMQ_NODENAME", node(plot));
    server.env("RABBITMQ_NODE_IP_ADDRESS", "127.0.0.1").env("RABBITMQ_NODE_PORT", port);
    server.env("RABBITMQ_DIST_PORT", distribution).env("RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS", LOCAL_ONLY);
    server.env("ERL_EPMD_PORT", mapper).env("ERL_EPMD_ADDRESS", "127.0.0.1");
    server.env("RABBITMQ_MNESIA_BASE", plot.path("mnesia")).env("RABBITMQ_LOG_BASE", plot.path("logs"));
    server.env("RABBITMQ_CONFIG_FILE", plot.path("rabbitmq.conf"));
    server.env("RABBITMQ_ENABLED_PLUGINS_FILE", plot.path("enabled_plugins"));
    Ok(server)
}

const LOCAL_ONLY: &str = "-kernel inet_dist_use_interface {127,0,0,1}";
