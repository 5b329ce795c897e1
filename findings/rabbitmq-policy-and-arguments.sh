#!/bin/bash
# What a policy does to a quorum queue whose own arguments say otherwise (RabbitMQ 3.10.8, Debian 12; python3-pika 1.2.0):
# - `overflow` of the policy replaces the argument, so a queue declared with reject-publish drops messages it has confirmed;
# - of `message-ttl` the lower value holds, and only for messages published after the policy was set;
# - `dead-letter-exchange` of the argument holds;
# - declaring a queue again doesn't keep it from expiring, though the documentation of `expires` says so; basic.get does.
# Starts a private broker on loopback, in a temporary directory. Exits non-zero if any of it changes.
# Needs: apt-get install rabbitmq-server python3-pika
set -euo pipefail
home=$(mktemp -d)
free_port() { /usr/bin/python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
export HOME=$home ERL_EPMD_PORT ERL_EPMD_ADDRESS=127.0.0.1 PORT
ERL_EPMD_PORT=$(free_port) PORT=$(free_port)
export RABBITMQ_NODENAME=finding-$PORT@localhost RABBITMQ_NODE_IP_ADDRESS=127.0.0.1 RABBITMQ_NODE_PORT=$PORT
export RABBITMQ_DIST_PORT RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS="-kernel inet_dist_use_interface {127,0,0,1}"
RABBITMQ_DIST_PORT=$(free_port)
export RABBITMQ_MNESIA_BASE=$home/mnesia RABBITMQ_LOG_BASE=$home/logs RABBITMQ_CONFIG_FILE=$home/none
export RABBITMQ_ENABLED_PLUGINS_FILE=$home/plugins RABBITMQ_CONF_ENV_FILE=/dev/null CONF_ENV_FILE=/dev/null
export CTL="/usr/lib/rabbitmq/bin/rabbitmqctl -n $RABBITMQ_NODENAME"
echo '[].' > "$home/plugins"
epmd -address 127.0.0.1 -port "$ERL_EPMD_PORT" & mapper=$!
RUNNING_UNDER_SYSTEMD=true /usr/lib/rabbitmq/bin/rabbitmq-server > "$home/out" 2>&1 & server=$!
trap 'kill $server 2>/dev/null || true; wait $server 2>/dev/null || true; kill $mapper 2>/dev/null || true; rm -rf "$home"' EXIT
$CTL await_startup --timeout 120 > /dev/null
echo "RabbitMQ $($CTL version)"
timeout 400 /usr/bin/python3 - <<'PYTHON'
import json, os, subprocess, sys, time
import pika

def control(*arguments):
    subprocess.run([*os.environ["CTL"].split(), *arguments], check=True, stdout=subprocess.DEVNULL)

def policy(definition):
    control("set_policy", "p", "^q$", json.dumps(definition), "--apply-to", "queues")
    connection.sleep(0.5)

def declare(name, **more):
    arguments = {"x-queue-type": "quorum"} | {f"x-{key.replace('_', '-')}": value for key, value in more.items()}
    connection.channel().queue_declare(name, durable=True, arguments=arguments)

def fresh(**more):
    for name in ["q", "dead"]:
        connection.channel().queue_delete(name)
    declare("dead")
    declare("q", **more)

def publish(count):
    confirmed = 0
    for _ in range(count):
        channel = connection.channel()
        channel.confirm_delivery()
        try:
            channel.basic_publish("", "q", b"x", mandatory=True)
            confirmed += 1
        except pika.exceptions.NackError:
            pass
        channel.close()
    return confirmed

def count(name):
    return connection.channel().queue_declare(name, passive=True).method.message_count

wrong = 0
def seen(what, value, expected):
    global wrong
    wrong += value != expected
    print(f"{what}: {value}" + ("" if value == expected else f"  CHANGED, it was {expected}"))

connection = pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", int(os.environ["PORT"])))
fresh(overflow="reject-publish", max_length=3)
seen("argument overflow=reject-publish, max-length=3: confirmed of 8, left", (publish(8), count("q")), (4, 4))
policy({"overflow": "drop-head"})
seen("the same and a policy overflow=drop-head: confirmed of 8 more, left", (publish(8), count("q")), (8, 3))
control("clear_policy", "p")

fresh(message_ttl=60_000, dead_letter_exchange="", dead_letter_routing_key="dead")
publish(2)
policy({"message-ttl": 500, "dead-letter-exchange": "nowhere"})
publish(3)
connection.sleep(2)
seen("2 before and 3 after a policy message-ttl=500: left, in the argument's dead-letter queue", (count("q"), count("dead")), (5, 0))
connection.channel().queue_purge("q")
publish(3)
connection.sleep(2)
seen("3 more with nothing before them: left, in the argument's dead-letter queue", (count("q"), count("dead")), (0, 3))
control("clear_policy", "p")

def kept(use):
    fresh()
    publish(3)
    policy({"expires": 2_500})
    ends = time.monotonic() + 9
    while time.monotonic() < ends:
        connection.sleep(0.5)
        use()
    try:
        return count("q") > 0
    except pika.exceptions.ChannelClosedByBroker:
        return False
    finally:
        control("clear_policy", "p")

def get_and_put_back():
    channel = connection.channel()
    channel.basic_get("q")
    channel.close()

seen("policy expires=2500, declared again every 0.5 s: still there with its messages", kept(lambda: declare("q")), False)
seen("policy expires=2500, a message got and put back every 0.5 s: still there with its messages", kept(get_and_put_back), True)
sys.exit(wrong > 0)
PYTHON
