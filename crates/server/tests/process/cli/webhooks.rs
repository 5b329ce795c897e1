//! `throng webhook`, and a receiver with TLS whose certificate the machine trusts.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::Arc;

use rcgen::{CertificateParams, KeyPair};
use rustls::crypto::ring;
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::cli::workspace::{Ran, Workspace};

#[test]
fn webhook_is_made_listed_and_deleted() {
    let workspace = Workspace::with_demo();
    assert!(workspace.run("webhook list").succeeds().contains("throng webhook create URL"));
    let secret = workspace.run("webhook create https://a.example/secret --by root --reason cms").succeeds();
    assert!(secret.starts_with("whsec_") && secret.lines().count() == 1, "{secret}");
    let listed = workspace.run("webhook list").succeeds();
    assert!(listed.contains("https://a.example/secret") && !listed.contains("whsec_"), "{listed}");
    assert_eq!(workspace.run("webhook list --json").json()[0]["pending"], 0);
    let log = workspace.run("poll log").succeeds();
    assert!(log.contains("create_webhook 1 (https://a.example)  by root"), "{log}");
    workspace.run("webhook create http://a.example/").fails(1, &["WEBHOOK_HOSTS", "use https://"]);
    workspace.run("webhook create a.example").fails(1, &["https://HOST/PATH"]);
    workspace.run("webhook test 7").fails(1, &["no webhook number 7"]);
    let unused = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    workspace.run_args(&["webhook", "create", &format!("http://{unused}/")]).succeeds();
    workspace.run("webhook test 2").fails(1, &["not accepted", "no connection"]);
    assert!(workspace.run("webhook delete 1").succeeds().contains("is deleted"));
    workspace.run("webhook delete 1").fails(1, &["no webhook number 1"]);
}

#[test]
fn certificate_of_a_receiver_is_verified() {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec!["localhost".to_owned()]).unwrap().self_signed(&key).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], PrivateKeyDer::Pkcs8(key.serialize_der().into()))
        .unwrap();
    let (config, listener) = (Arc::new(config), TcpListener::bind("127.0.0.1:0").unwrap());
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let connection = ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut stream = StreamOwned::new(connection, stream.unwrap());
            // A client that doesn't trust the certificate ends the connection.
            if stream.read(&mut [0; 4_096]).is_ok() {
                let _ = stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n");
                let _ = stream.flush();
            }
        }
    });
    let workspace = Workspace::with_demo();
    workspace.write("root.pem", &certificate.pem());
    workspace.run_args(&["webhook", "create", &format!("https://localhost:{port}/")]).succeeds();
    let test = |roots: &str| {
        let mut command = workspace.command(&["webhook", "test", "1"]);
        Ran(command.env("SSL_CERT_FILE", roots).output().unwrap())
    };
    let tested = test("root.pem").succeeds();
    assert!(tested.contains("204 No Content"), "{tested}");
    workspace.write("other.pem", &{
        let key = KeyPair::generate().unwrap();
        CertificateParams::new(vec!["localhost".to_owned()]).unwrap().self_signed(&key).unwrap().pem()
    });
    test("other.pem").fails(1, &["not accepted"]);
    test("missing.pem").fails(1, &["root certificates"]);
}
