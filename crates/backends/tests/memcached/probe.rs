//! The errors that operators get for a cache that can't be used.

use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};

use throng_backends::cache::memcached::fault;
use throng_domain::cache::{Lease, ResultCache as _};
use throng_domain::poll::PollId;
use throng_testkit::eventually_async;

use super::{host, namespace, node};

/// A twemproxy in front of the server of the tests.
struct Twemproxy {
    process: Child,
    host: String,
    _directory: tempfile::TempDir,
}

impl Twemproxy {
    async fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let free = || TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let (address, statistics) = (free(), free());
        let configuration = directory.path().join("nutcracker.yml");
        let pool = format!("votes:\n  listen: {address}\n  servers:\n    - {}:1\n", host());
        std::fs::write(&configuration, pool).unwrap();
        let mut command = Command::new("/usr/sbin/nutcracker");
        command.arg("-c").arg(&configuration).args(["-a", "127.0.0.1", "-s", &statistics.port().to_string()]);
        let process = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let process = process.expect("nutcracker is installed: `cargo xtask test` ensures it");
        eventually_async("nutcracker listens", async || TcpStream::connect(address).ok()).await;
        Self { process, host: address.to_string(), _directory: directory }
    }
}

impl Drop for Twemproxy {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[tokio::test]
async fn a_proxy_without_meta_commands_is_named() {
    let proxy = Twemproxy::start().await;
    assert_eq!(node(&proxy.host, &namespace("proxy")).lease(PollId(1), 1).await, Lease::Unknown);
    let error = fault(&[host(), proxy.host.clone()]).await.unwrap();
    assert!(error.contains(&proxy.host) && error.contains("twemproxy") && error.contains("CACHE_URL"), "{error}");
}

#[tokio::test]
async fn unreachable_server_is_reported_with_advice() {
    let unused = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let error = fault(std::slice::from_ref(&unused)).await.unwrap();
    assert!(error.contains(&unused) && error.contains("start memcached"), "{error}");
}

#[tokio::test]
async fn usable_server_has_no_fault() {
    assert_eq!(fault(&[host()]).await, None);
}
