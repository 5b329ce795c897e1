//! Certificates that change while a server runs.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;

use tempfile::TempDir;

use crate::support::{ANSWER_MAX, Connection, eventually};
use crate::tls::certificate::{Certificate, Files, TlsServer, replace};
use crate::tls::client;

/// Whether who trusts only `certificate` can connect.
fn is_served(address: SocketAddr, certificate: &Certificate) -> bool {
    client::connect(address, &certificate.der, &["http/1.1"]).is_ok()
}

#[test]
fn new_connections_get_the_new_certificate_and_old_ones_stay() {
    let server = TlsServer::start();
    let mut old = server.connect();
    assert_eq!(old.request("POST", "/api/submit", &[], b"[1]").status, 200);
    let new = Certificate::make();
    server.files.put(&new);
    eventually("the new certificate is served", || {
        assert_eq!(old.request("GET", "/api/result", &[], b"").status, 200, "the old connection goes on");
        is_served(server.server.address, &new).then_some(())
    });
    assert!(!is_served(server.server.address, &server.certificate));
    assert_eq!(old.request("POST", "/api/submit", &[], b"[1]").status, 200);
}

#[test]
fn a_bad_file_changes_nothing_and_the_log_says_why() {
    let first = Certificate::make();
    let files = Files::with(&first);
    let process = Process::start(&files);
    replace(&files.certificate(), "nothing");
    let said = process.until("can't be used");
    assert!(said.contains("ERROR") && said.contains("has no -----BEGIN CERTIFICATE-----"), "{said}");
    assert!(is_served(process.address, &first));
    std::fs::remove_file(files.key()).unwrap();
    let said = process.until("can't be used");
    assert!(said.contains("can't read"), "{said}");
    assert!(is_served(process.address, &first));
    let second = Certificate::make();
    files.put(&second);
    process.until("new connections get the new certificate");
    assert!(is_served(process.address, &second));
    let stream = client::connect(process.address, &second.der, &["http/1.1"]).unwrap();
    assert_eq!(Connection::over(stream).request("POST", "/api/submit", &[], b"[1]").status, 200);
}

/// A server in a process of its own, whose log is read.
struct Process {
    address: SocketAddr,
    child: Child,
    log: mpsc::Receiver<String>,
    _directory: TempDir,
}

impl Process {
    fn start(files: &Files) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_throng"));
        command.env_clear().envs(files.settings()).current_dir(directory.path()).stdin(Stdio::null());
        let mut child = command.args(["--listen", "127.0.0.1:0"]).stderr(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let (said, log) = mpsc::channel();
        std::thread::spawn(move || lines.map_while(Result::ok).try_for_each(|line| said.send(line)));
        let mut process = Self { address: ([127, 0, 0, 1], 0).into(), child, log, _directory: directory };
        let started = process.until("serving on https://");
        process.address = started.split_once("https://").unwrap().1.trim().parse().unwrap();
        process
    }

    /// The next line with `part`.
    #[track_caller]
    fn until(&self, part: &str) -> String {
        loop {
            let line = self.log.recv_timeout(ANSWER_MAX).unwrap_or_else(|_| panic!("the log has no `{part}`"));
            if line.contains(part) {
                return line;
            }
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
