//! RabbitMQ, with a node name and an Erlang port mapper of its own, and no plugins.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use super::instance::{CONTROL, Instance, ServerSpec, StopSignal, USER};
use super::wire::exchange;
use crate::packages::Program;

/// How it is set up and run.
pub const SPEC: ServerSpec = ServerSpec {
    name: "rabbitmq",
    variable: "THRONG_TEST_RABBITMQ_URL",
    scheme: "amqp",
    has_users: true,
    programs: &[
        Program { name: "rabbitmq-server", package: "rabbitmq-server" },
        Program { name: "epmd", package: "erlang-base" },
    ],
    user: None,
    stop_signal: StopSignal::Terminate,
    prepare,
    companion: Some(port_mapper),
    command,
    // It responds with a method frame (1) on channel 0 (0, 0): Connection.Start. It listens only when all else has started.
    accepts_clients: |address| Ok(exchange::<3>(address, b"AMQP\0\0\x09\x01")? == [1, 0, 0]),
};

fn prepare(instance: &Instance) -> anyhow::Result<()> {
    let (port, password) = (instance.ports[0], &instance.password);
    instance.write("enabled_plugins", "[].\n")?;
    instance.write(
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
    let control = instance.write(
        CONTROL,
        &format!(
            "#!/bin/sh\nHOME='{}' ERL_EPMD_PORT={} exec {} {} -n '{}' \"$@\"\n",
            instance.directory.display(),
            instance.ports[1],
            instance.chroot_prefix().join(" "),
            direct_program(instance, "rabbitmqctl"),
            node(instance)
        ),
    )?;
    fs::set_permissions(control, Permissions::from_mode(0o700))?;
    Ok(())
}

/// The program itself: the one on Debian's search path switches to another user first.
fn direct_program(instance: &Instance, program: &str) -> String {
    let path = format!("/usr/lib/rabbitmq/bin/{program}");
    if instance.has(&path) { path } else { program.to_owned() }
}

fn node(instance: &Instance) -> String {
    format!("throng-{}@localhost", instance.ports[0])
}

/// Without it, Erlang would start a port mapper itself, as a daemon that outlives the server.
fn port_mapper(instance: &Instance) -> anyhow::Result<Command> {
    let mut epmd = instance.command("epmd")?;
    epmd.args(["-address", "127.0.0.1", "-port", &instance.ports[1].to_string()]);
    Ok(epmd)
}

fn command(instance: &Instance) -> anyhow::Result<Command> {
    let [port, mapper, distribution] = instance.ports.map(|port| port.to_string());
    let mut server = instance.command(&direct_program(instance, "rabbitmq-server"))?;
    // The process becomes the Erlang VM, instead of a shell that waits for it.
    server.env("RUNNING_UNDER_SYSTEMD", "true");
    server.env("RABBITMQ_CONF_ENV_FILE", "/dev/null").env("CONF_ENV_FILE", "/dev/null");
    server.env("RABBITMQ_NODENAME", node(instance));
    server.env("RABBITMQ_NODE_IP_ADDRESS", "127.0.0.1").env("RABBITMQ_NODE_PORT", port);
    server.env("RABBITMQ_DIST_PORT", distribution).env("RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS", LOCAL_ONLY);
    server.env("ERL_EPMD_PORT", mapper).env("ERL_EPMD_ADDRESS", "127.0.0.1");
    server.env("RABBITMQ_MNESIA_BASE", instance.path("mnesia")).env("RABBITMQ_LOG_BASE", instance.path("logs"));
    server.env("RABBITMQ_CONFIG_FILE", instance.path("rabbitmq.conf"));
    server.env("RABBITMQ_ENABLED_PLUGINS_FILE", instance.path("enabled_plugins"));
    Ok(server)
}

const LOCAL_ONLY: &str = "-kernel inet_dist_use_interface {127,0,0,1}";
