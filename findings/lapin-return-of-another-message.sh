#!/bin/bash
# lapin 4.12.3 attaches a returned message (basic.return) to the confirm of its channel that it completes next, not to that of
# the message which was returned. With several messages in flight on one channel, the confirm of a message that reached its queue
# can carry another one's return, and the confirm of the message that reached none can look like a success. RabbitMQ sends a
# message's return before its confirm, but another message's confirm may come between them, or one confirm be for several. Seen
# with RabbitMQ 3.10.8 (Debian 12): 163 of 2,000 pairs were swapped, so that a returned message looked delivered.
#
# Publishes messages in pairs, each `mandatory`: one to a queue, then one to a queue that doesn't exist, and compares the message
# in each confirm with the one that was published. Uses Debian's rabbitmq-server and cargo with the pinned crate below, in a
# temporary directory on loopback; a build of some minutes, then seconds. Exits with 1 if it is otherwise here.
# Needs: apt-get install rabbitmq-server
set -euo pipefail
home=$(mktemp -d)
free_port() { /usr/bin/python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
mkdir -p "$home/crate/src"
cat >"$home/crate/Cargo.toml" <<'TOML'
[package]
name = "returns"
version = "0.0.0"
edition = "2024"
[dependencies]
lapin = { version = "=4.12.3", default-features = false, features = ["tokio"] }
tokio = { version = "1", features = ["rt-multi-thread", "macros", "net", "time"] }
TOML
cat >"$home/crate/src/main.rs" <<'RUST'
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions, QueueDeclareOptions};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Connection, ConnectionProperties};

const PAIRS: u32 = 2_000;

#[tokio::main]
async fn main() {
    let url = std::env::args().nth(1).unwrap();
    let connection = Connection::connect(&url, ConnectionProperties::default()).await.unwrap();
    let channel = connection.create_channel().await.unwrap();
    channel.confirm_select(ConfirmSelectOptions::default()).await.unwrap();
    let durable = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    channel.queue_declare("there".into(), durable, FieldTable::default()).await.unwrap();
    let mandatory = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
    let mut sent = Vec::new();
    for pair in 0..PAIRS {
        for queue in ["there", "nowhere"] {
            let properties = BasicProperties::default().with_delivery_mode(2);
            let body = format!("{pair} {queue}");
            let confirm = channel.basic_publish("".into(), queue.into(), mandatory, body.as_bytes(), properties);
            sent.push((body.clone(), confirm.await.unwrap()));
        }
    }
    let (mut delivered_with_return, mut returned_without, mut of_another) = (0, 0, 0);
    for (body, confirm) in sent {
        let returned = confirm.await.unwrap().take_message();
        match (body.ends_with("nowhere"), returned) {
            (false, Some(_)) => delivered_with_return += 1,
            (true, None) => returned_without += 1,
            (true, Some(message)) if message.delivery.data != body.as_bytes() => of_another += 1,
            (false, None) | (true, Some(_)) => {}
        }
    }
    println!(
        "of {PAIRS} messages that reached the queue, the confirms of {delivered_with_return} carried a return; of {PAIRS} that \
         didn't, those of {returned_without} carried none, and {of_another} that of another message"
    );
    std::process::exit(i32::from(delivered_with_return == 0 || returned_without == 0));
}
RUST
(cd "$home/crate" && timeout 1800 cargo build --quiet)

export HOME=$home ERL_EPMD_PORT ERL_EPMD_ADDRESS=127.0.0.1
ERL_EPMD_PORT=$(free_port) PORT=$(free_port)
export RABBITMQ_NODENAME=finding-$PORT@localhost RABBITMQ_NODE_IP_ADDRESS=127.0.0.1 RABBITMQ_NODE_PORT=$PORT
export RABBITMQ_DIST_PORT RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS="-kernel inet_dist_use_interface {127,0,0,1}"
RABBITMQ_DIST_PORT=$(free_port)
export RABBITMQ_MNESIA_BASE=$home/mnesia RABBITMQ_LOG_BASE=$home/logs RABBITMQ_CONFIG_FILE=$home/none
export RABBITMQ_ENABLED_PLUGINS_FILE=$home/plugins RABBITMQ_CONF_ENV_FILE=/dev/null CONF_ENV_FILE=/dev/null
echo '[].' > "$home/plugins"
epmd -address 127.0.0.1 -port "$ERL_EPMD_PORT" & mapper=$!
RUNNING_UNDER_SYSTEMD=true /usr/lib/rabbitmq/bin/rabbitmq-server > "$home/out" 2>&1 & server=$!
trap 'kill $server 2>/dev/null || true; wait $server 2>/dev/null || true; kill $mapper 2>/dev/null || true; rm -rf "$home"' EXIT
control="/usr/lib/rabbitmq/bin/rabbitmqctl -n $RABBITMQ_NODENAME"
for _ in $(seq 60); do $control await_startup --timeout 120 > /dev/null 2>&1 && break; sleep 1; done
echo "RabbitMQ $($control version), lapin 4.12.3"
timeout 120 "$home/crate/target/debug/returns" "amqp://guest:guest@127.0.0.1:$PORT"
