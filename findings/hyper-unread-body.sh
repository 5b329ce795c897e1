#!/bin/bash
# hyper 1.12.0, server side, HTTP/1.1: when a service answers without reading a request's body, the connection ends after the
# response if the body isn't there whole, and the response doesn't say so: it has no `Connection: close`. A client, or a proxy that
# keeps connections, that sends its next request there loses it, and for a POST doesn't know whether it was handled.
# With a body that has arrived in the same segment the connection goes on.
#
# Wants cargo and bash. Builds in a temporary directory, listens on loopback, ends by itself.
set -euo pipefail
work=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server" 2>/dev/null || true; rm -rf "$work"' EXIT
mkdir "$work/src"
cat > "$work/Cargo.toml" <<'TOML'
[package]
name = "unread-body"
version = "0.0.0"
edition = "2024"
[dependencies]
bytes = "1"
http-body-util = "=0.1.5"
hyper = { version = "=1.12.0", features = ["http1", "server"] }
hyper-util = { version = "=0.1.21", features = ["tokio"] }
tokio = { version = "1", features = ["rt", "net"] }
[workspace]
TOML
cat > "$work/src/main.rs" <<'RUST'
use std::convert::Infallible;

use bytes::Bytes;
use http_body_util::Full;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, body::Incoming};
use hyper_util::rt::TokioIo;

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        println!("{}", listener.local_addr().unwrap().port());
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let answer = service_fn(async |_: Request<Incoming>| {
                Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(b"unread"))))
            });
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), answer).await;
        }
    });
}
RUST
cargo build --quiet --manifest-path "$work/Cargo.toml" --target-dir "$work/target"
"$work/target/debug/unread-body" > "$work/port" &
server=$!
for _ in $(seq 100); do [ -s "$work/port" ] && break; sleep 0.1; done
port=$(cat "$work/port")

# Sends $1, then reads all that comes within 3 s; prints it, and at the end whether the connection was ended.
talk() {
    exec 3<>"/dev/tcp/127.0.0.1/$port"
    printf "$1" >&3
    if timeout 3 cat <&3; then echo "[closed]"; else echo "[open]"; fi
    exec 3>&-
}

echo "hyper 1.12.0, a POST of 20,000 bytes, of which 5 are sent when the answer comes:"
late=$(talk 'POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 20000\r\n\r\n12345' | tr -d '\r')
echo "$late" | sed 's/^/  /'
echo "a POST of 5 bytes, which are sent with the head:"
whole=$(talk 'POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\n12345' | tr -d '\r')
echo "$whole" | sed 's/^/  /'

grep -q '200 OK' <<< "$late" && grep -qF '[closed]' <<< "$late" && grep -qF '[open]' <<< "$whole" || { echo "CHANGED: the connection"; exit 1; }
if grep -qi '^connection: close' <<< "$late"; then echo "CHANGED: the close is announced"; exit 1; fi
echo "as recorded: the first connection is closed, and its response didn't say so"
