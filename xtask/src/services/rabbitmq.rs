//! RabbitMQ, with a node name and an Erlang port mapper of its own, and no plugins.

use std::process::Command;

use super::plot::{Plot, USER};
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
    Ok(())
}

/// Erlang would start one by itself, as a daemon that outlives it.
fn port_mapper(plot: &Plot) -> anyhow::Result<Command> {
    let mut epmd = plot.command("epmd")?;
    epmd.args(["-address", "127.0.0.1", "-port", &plot.ports[1].to_string()]);
    Ok(epmd)
}

fn command(plot: &Plot) -> anyhow::Result<Command> {
    let [port, mapper, distribution] = plot.ports.map(|port| port.to_string());
    // The one on Debian's search path changes the user and forks; this one is what it runs.
    let own = "/usr/lib/rabbitmq/bin/rabbitmq-server";
    let mut server = plot.command(if std::path::Path::new(own).is_file() { own } else { "rabbitmq-server" })?;
    // So that it becomes the Erlang machine, instead of a shell that waits for it.
    server.env("RUNNING_UNDER_SYSTEMD", "true");
    server.env("RABBITMQ_CONF_ENV_FILE", "/dev/null").env("CONF_ENV_FILE", "/dev/null");
    server.env("RABBITMQ_NODENAME", format!("throng-{port}@localhost"));
    server.env("RABBITMQ_NODE_IP_ADDRESS", "127.0.0.1").env("RABBITMQ_NODE_PORT", port);
    server.env("RABBITMQ_DIST_PORT", distribution).env("RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS", LOCAL_ONLY);
    server.env("ERL_EPMD_PORT", mapper).env("ERL_EPMD_ADDRESS", "127.0.0.1");
    server.env("RABBITMQ_MNESIA_BASE", plot.path("mnesia")).env("RABBITMQ_LOG_BASE", plot.path("logs"));
    server.env("RABBITMQ_CONFIG_FILE", plot.path("rabbitmq.conf"));
    server.env("RABBITMQ_ENABLED_PLUGINS_FILE", plot.path("enabled_plugins"));
    Ok(server)
}

const LOCAL_ONLY: &str = "-kernel inet_dist_use_interface {127,0,0,1}";
