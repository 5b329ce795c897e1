//! Results in a real memcached: the contract of every cache, and the behaviour of a node whose cache is frozen, unavailable,
//! flushed or written to by others.
#![allow(clippy::unwrap_used, reason = "a test fails where it can't go on")]

mod contract;
mod faults;
mod nodes;
mod planted;
mod probe;

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use throng_backends::cache::memcached::Memcached;
use throng_backends::cache::{CacheUrl, Namespace};

/// The server that all tests share, each with a namespace of its own.
fn host() -> String {
    let url = std::env::var("THRONG_TEST_MEMCACHED_URL").expect(
        "these tests need a memcached: run `cargo xtask test`, which starts a private one, or set \
         THRONG_TEST_MEMCACHED_URL (memcached://127.0.0.1:port)",
    );
    let CacheUrl::Memcached(hosts) = url.parse().expect("THRONG_TEST_MEMCACHED_URL is the URL of a cache");
    hosts.into_iter().next().expect("the URL names a host")
}

/// An empty namespace, which not even an earlier run of the same test has used.
fn namespace(test: &str) -> Namespace {
    let mut bits = [0; 16];
    File::open("/dev/urandom").and_then(|mut source| source.read_exact(&mut bits)).unwrap();
    Namespace::of(&format!("{test} {bits:?}"))
}

/// A node's cache at `host`.
fn node(host: &str, namespace: &Namespace) -> Memcached {
    Memcached::new(&[host.to_owned()], namespace.clone())
}

/// The same, with a deadline that only a fault reaches: for what a call does, however busy the machine is.
fn patient_node(host: &str, namespace: &Namespace) -> Memcached {
    node(host, namespace).with_deadline(Duration::from_secs(20))
}

/// A client of the server that isn't a node's cache.
struct RawClient(BufReader<TcpStream>);

impl RawClient {
    fn connect() -> Self {
        Self(BufReader::new(TcpStream::connect(host()).unwrap()))
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    /// Sets `key` to `value`, whatever its current value.
    fn set(&mut self, key: &str, value: &[u8]) {
        let command = format!("set {key} 0 60 {}\r\n", value.len());
        self.0.get_mut().write_all(&[command.as_bytes(), value, b"\r\n"].concat()).unwrap();
        assert_eq!(self.line(), "STORED");
    }

    /// The value of `key`.
    fn get(&mut self, key: &str) -> Vec<u8> {
        self.0.get_mut().write_all(format!("get {key}\r\n").as_bytes()).unwrap();
        let head = self.line();
        let length = head.rsplit(' ').next().and_then(|length| length.parse().ok()).expect("the key has a value");
        let mut value = vec![0; length];
        self.0.read_exact(&mut value).unwrap();
        assert_eq!([self.line(), self.line()], ["", "END"]);
        value
    }

    /// Deletes `key`, as a flush does with all keys; other tests use the same server.
    fn delete(&mut self, key: &str) {
        self.0.get_mut().write_all(format!("delete {key}\r\n").as_bytes()).unwrap();
        assert_eq!(self.line(), "DELETED");
    }
}
