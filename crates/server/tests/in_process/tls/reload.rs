//! Certificates that change while a server runs.

use std::net::SocketAddr;

use tempfile::TempDir;
use throng_testkit::{Connection, ThrongProcess, eventually, throng};

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
    let directory = tempfile::tempdir().unwrap();
    let mut process = process(&directory, &files);
    replace(&files.certificate(), "nothing");
    let said = process.says("can't be used");
    assert!(said.contains("ERROR") && said.contains("has no -----BEGIN CERTIFICATE-----"), "{said}");
    assert!(is_served(process.address, &first));
    std::fs::remove_file(files.key()).unwrap();
    let said = process.says("can't be used");
    assert!(said.contains("can't read"), "{said}");
    assert!(is_served(process.address, &first));
    let second = Certificate::make();
    files.put(&second);
    process.says("new connections get the new certificate");
    assert!(is_served(process.address, &second));
    let stream = client::connect(process.address, &second.der, &["http/1.1"]).unwrap();
    assert_eq!(Connection::over(stream).request("POST", "/api/submit", &[], b"[1]").status, 200);
}

/// A server in a process of its own, in this directory.
fn process(directory: &TempDir, files: &Files) -> ThrongProcess {
    let mut command = throng(directory.path());
    command.envs(files.settings());
    ThrongProcess::spawn(command).once_logged("serving on https://")
}
