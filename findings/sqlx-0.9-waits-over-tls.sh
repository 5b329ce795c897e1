#!/bin/bash
# sqlx 0.9.0 doesn't set TCP_NODELAY, which 0.8.6 does. Over TLS a message above 16 KB is two records and so two writes: on
# one host the second waits some 40 ms for the delayed acknowledgement of the first, in every single query. Without TLS the
# same message is one write and nothing waits. (The option is back on sqlx's main branch.)
#
# Uses Debian's postgresql and openssl, and cargo with the pinned crates below, in a temporary directory on loopback; a build
# of some minutes, then seconds. Exits with 1 if it is otherwise here.
set -euo pipefail

PG=$(ls -d /usr/lib/postgresql/*/bin | sort -V | tail -1)
echo "versions: $("$PG/postgres" --version); $(cargo --version); sqlx 0.9.0 and 0.8.6; Linux $(uname -r)"
work=$(mktemp -d /tmp/finding.XXXXXX)
as=()
if [ "$(id -u)" = 0 ]; then as=(setpriv --reuid=postgres --regid=postgres --clear-groups --); chown postgres "$work"; fi
chmod 755 "$work"
pid=
cleanup() { [ -z "$pid" ] || { kill -INT "$pid" 2>/dev/null; wait "$pid" 2>/dev/null; } || true; rm -rf "$work"; }
trap cleanup EXIT
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')

mkdir -p "$work/crate/src"
cat >"$work/crate/Cargo.toml" <<'TOML'
[package]
name = "waits"
version = "0.0.0"
edition = "2024"
[dependencies]
sqlx9 = { package = "sqlx", version = "=0.9.0", default-features = false, features = ["runtime-tokio", "tls-rustls-ring-native-roots", "postgres"] }
sqlx8 = { package = "sqlx", version = "=0.8.6", default-features = false, features = ["runtime-tokio", "tls-rustls-ring-native-roots", "postgres"] }
tokio = { version = "1", features = ["rt", "net", "time", "io-util"] }
TOML
cat >"$work/crate/src/main.rs" <<'RUST'
use std::time::Instant;

// The median time of 21 queries with a parameter of 40 KB, in milliseconds.
macro_rules! median {
    ($sqlx:ident, $url:expr) => {{
        use $sqlx::Connection as _;
        let mut connection = $sqlx::PgConnection::connect($url).await.unwrap();
        let text = "x".repeat(40_000);
        let mut times = Vec::new();
        for _ in 0..22 {
            let started = Instant::now();
            let length: i32 = $sqlx::query_scalar("SELECT length($1::text)").bind(&text).fetch_one(&mut connection).await.unwrap();
            assert_eq!(length, 40_000);
            times.push(started.elapsed().as_secs_f64() * 1e3);
        }
        times.remove(0); // the one that prepares
        times.sort_by(f64::total_cmp);
        times[times.len() / 2]
    }};
}

fn main() {
    let server = std::env::args().nth(1).unwrap();
    let (plain, tls) = (format!("{server}?sslmode=disable"), format!("{server}?sslmode=require"));
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
        let (plain9, tls9) = (median!(sqlx9, &plain), median!(sqlx9, &tls));
        let (plain8, tls8) = (median!(sqlx8, &plain), median!(sqlx8, &tls));
        println!("sqlx 0.9.0: {plain9:.1} ms without TLS, {tls9:.1} ms with; 0.8.6: {plain8:.1} ms without, {tls8:.1} ms with");
        if !(tls9 > 35.0 && plain9 < 35.0 && tls8 < 35.0) {
            println!("it behaves differently here");
            std::process::exit(1);
        }
    });
}
RUST
(cd "$work/crate" && timeout 1800 cargo build --quiet)

"${as[@]}" openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost \
  -keyout "$work/key.pem" -out "$work/certificate.pem" 2>/dev/null
"${as[@]}" "$PG/initdb" -D "$work/data" -U tester --auth=trust --no-sync >"$work/initdb.log"
"${as[@]}" "$PG/postgres" -D "$work/data" -c listen_addresses=127.0.0.1 -c port="$port" -c unix_socket_directories= \
  -c ssl=on -c ssl_cert_file="$work/certificate.pem" -c ssl_key_file="$work/key.pem" >"$work/postgres.log" 2>&1 & pid=$!
for _ in $(seq 100); do "$PG/pg_isready" -q -h 127.0.0.1 -p "$port" && break; sleep 0.2; done
timeout 60 "$work/crate/target/debug/waits" "postgres://tester:none@127.0.0.1:$port/postgres"
