#!/bin/bash
# tracing-appender 0.2.5: a lossy non-blocking writer drops lines while what it writes to stalls, as it promises. But if its queue is
# still full when the guard is dropped, the guard prints to standard OUTPUT, with println!. Where a process's standard output and error
# are the same stalled pipe (2>&1), that print waits for ever, and the process, which has no other work left, never ends.
#
# Wants cargo and bash. Builds in a temporary directory and ends by itself.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/src"
cat > "$work/Cargo.toml" <<'TOML'
[package]
name = "appender"
version = "0.0.0"
edition = "2024"
[dependencies]
tracing-appender = "=0.2.5"
[workspace]
TOML
cat > "$work/src/main.rs" <<'RUST'
use std::io::{self, Write};
use std::sync::mpsc;

use tracing_appender::non_blocking::NonBlockingBuilder;

/// As a pipe that nobody reads.
struct Stalled(mpsc::Sender<()>);

impl Write for Stalled {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        let _ = self.0.send(());
        loop {
            std::thread::park();
        }
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn main() {
    let (begun, begins) = mpsc::channel();
    let (mut writer, guard) = NonBlockingBuilder::default().buffered_lines_limit(4).finish(Stalled(begun));
    writer.write_all(b"a line\n").unwrap();
    begins.recv().unwrap();
    for _ in 0..100 {
        writer.write_all(b"a line\n").unwrap();
    }
    eprintln!("dropped lines: {}", writer.error_counter().dropped_lines());
    drop(guard);
    eprintln!("the guard is dropped");
}
RUST
cargo build --quiet --manifest-path "$work/Cargo.toml" --target-dir "$work/target"
echo "tracing-appender 0.2.5, a queue of 4 lines before a writer that has stalled:"
timeout 20 "$work/target/debug/appender" > "$work/out" 2> "$work/err"
sed 's/^/  standard output: /' "$work/out"
sed 's/^/  standard error:  /' "$work/err"
grep -q 'the guard is dropped' "$work/err" || { echo "CHANGED: the guard waits"; exit 1; }
grep -q 'Failed to send shutdown signal' "$work/out" || { echo "CHANGED: nothing is printed to standard output"; exit 1; }
echo "as recorded: the guard's complaint goes to standard output"
