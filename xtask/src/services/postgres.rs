//! PostgreSQL, with every commit synced, and with TLS, as Debian configures it.

use std::process::Command;

use super::certificate::{self, CERTIFICATE, KEY, OPENSSL};
use super::instance::{Instance, ServerSpec, StopSignal, USER};
use super::wire::exchange;
use crate::packages::Program;

/// How it is set up and run.
pub const SPEC: ServerSpec = ServerSpec {
    name: "postgres",
    variable: "THRONG_TEST_POSTGRES_URL",
    scheme: "postgres",
    has_users: true,
    programs: &[
        Program { name: "postgres", package: "postgresql" },
        Program { name: "initdb", package: "postgresql" },
        OPENSSL,
    ],
    user: Some("postgres"),
    // Fast shutdown: it disconnects its clients instead of waiting for them.
    stop_signal: StopSignal::Interrupt,
    prepare,
    companion: None,
    command,
    // While it starts it responds with an error (E), then with an authentication request (R).
    accepts_clients: |address| Ok(exchange::<1>(address, &startup_message())?[0] == b'R'),
};

fn prepare(instance: &Instance) -> anyhow::Result<()> {
    certificate::make(instance)?;
    let password = instance.write("password", &instance.password)?;
    let mut initdb = instance.command("initdb")?;
    initdb.args(["--encoding=UTF8", "--locale=C", "--auth=scram-sha-256", "--no-sync"]);
    initdb.arg(format!("--username={USER}")).arg(format!("--pwfile={password}"));
    initdb.arg(format!("--pgdata={}", instance.path("data")));
    instance.finish(initdb)
}

fn command(instance: &Instance) -> anyhow::Result<Command> {
    let mut server = instance.command("postgres")?;
    server.arg("-D").arg(instance.path("data"));
    for setting in ["listen_addresses=127.0.0.1", "unix_socket_directories=", "max_connections=300", "fsync=on"] {
        server.args(["-c", setting]);
    }
    for (setting, value) in [
        ("port", instance.ports[0].to_string()),
        ("ssl", "on".to_owned()),
        ("ssl_cert_file", instance.path(CERTIFICATE)),
        ("ssl_key_file", instance.path(KEY)),
    ] {
        server.arg("-c").arg(format!("{setting}={value}"));
    }
    Ok(server)
}

/// A client's startup message in version 3.0 of the protocol: total length, version, names and values.
fn startup_message() -> Vec<u8> {
    let settings = format!("user\0{USER}\0database\0postgres\0\0");
    let length = u32::try_from(8 + settings.len()).unwrap_or(u32::MAX);
    [&length.to_be_bytes()[..], &[0, 3, 0, 0], settings.as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn startup_message_contains_its_length() {
        let message = startup_message();
        assert_eq!(message[..8], [0, 0, 0, u8::try_from(message.len()).unwrap(), 0, 3, 0, 0]);
        assert!(message.ends_with(b"postgres\0\0"));
    }
}
