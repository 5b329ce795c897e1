//! What is said of certificates that can't be served with.

use std::path::Path;
use std::process::{Command, Stdio};

use throng::config::{Config, Faults, Sources};

use crate::tls::certificate::{Certificate, Files};

/// The faults of a server with these settings.
fn faults(settings: &[(&str, &str)]) -> Vec<String> {
    match Config::read_to_serve(&Sources::from_pairs(settings)) {
        Ok(_) => Vec::new(),
        Err(Faults(faults)) => faults,
    }
}

/// The one fault of a server with these files.
#[track_caller]
fn fault(files: &Files) -> String {
    let settings = files.settings();
    let faults = faults(&settings.each_ref().map(|(name, value)| (*name, value.as_str())));
    let [fault] = &faults[..] else { panic!("one fault, not {faults:?}") };
    fault.clone()
}

fn write(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap();
}

#[test]
fn a_certificate_and_its_key_are_taken() {
    let files = Files::with(&Certificate::make());
    let settings = files.settings();
    assert!(faults(&settings.each_ref().map(|(name, value)| (*name, value.as_str()))).is_empty());
}

#[test]
fn one_without_the_other_is_refused() {
    for (one, other) in [("TLS_CERTIFICATE", "TLS_KEY"), ("TLS_KEY", "TLS_CERTIFICATE")] {
        let said = faults(&[(one, "some.pem")]);
        assert!(said.len() == 1 && said[0].starts_with(one) && said[0].contains(other), "{said:?}");
        // For other commands too: it is a slip, whatever is in the file.
        assert!(Config::read(&Sources::from_pairs(&[(one, "some.pem")])).is_err());
    }
}

#[test]
fn all_faults_are_told_at_once() {
    let said = faults(&[("LISTEN", "8080"), ("TLS_CERTIFICATE", "/no/certificate.pem"), ("TLS_KEY", "/no/key.pem")]);
    assert_eq!(said.len(), 3, "{said:?}");
    assert!(said[1].contains("TLS_CERTIFICATE") && said[1].contains("can't read /no/certificate.pem"), "{said:?}");
    assert!(said[2].contains("TLS_KEY") && said[2].contains("can't read /no/key.pem"), "{said:?}");
}

#[test]
fn files_that_only_a_server_needs_may_be_missing_elsewhere() {
    let settings = [("TLS_CERTIFICATE", "/no/certificate.pem"), ("TLS_KEY", "/no/key.pem")];
    assert!(Config::read(&Sources::from_pairs(&settings)).is_ok());
}

#[test]
fn what_is_wrong_with_a_certificate_is_said() {
    let certificate = Certificate::make();
    let files = Files::with(&certificate);
    let junk = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    for (text, told) in [
        ("", "has no -----BEGIN CERTIFICATE-----"),
        (&*certificate.key_pem, "has no -----BEGIN CERTIFICATE-----"),
        (&certificate.pem[..certificate.pem.len() / 2], "is damaged"),
        (&certificate.pem.replace('M', "%"), "is damaged"),
        (junk, "has no valid certificate"),
    ] {
        write(&files.certificate(), text);
        let said = fault(&files);
        assert!(said.starts_with("TLS_CERTIFICATE (from code): ") && said.contains(told), "{said}");
        assert!(said.contains("certificate.pem"), "{said}");
    }
}

#[test]
fn what_is_wrong_with_a_key_is_said_and_nothing_of_it() {
    let certificate = Certificate::make();
    let files = Files::with(&certificate);
    let secret = certificate.key_pem.lines().nth(1).unwrap();
    let encrypted = certificate.key_pem.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY");
    let junk = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    let other = Certificate::make().key_pem;
    for (text, told) in [
        ("", "has no -----BEGIN PRIVATE KEY-----"),
        (&*certificate.pem, "has no -----BEGIN PRIVATE KEY-----"),
        (&encrypted, "is encrypted"),
        (&certificate.key_pem[..certificate.key_pem.len() / 2], "is damaged"),
        (junk, "has a key that can't be used"),
        (&other, "is not the key of the certificate in"),
    ] {
        write(&files.key(), text);
        let said = fault(&files);
        assert!(said.starts_with("TLS_KEY (from code): ") && said.contains(told), "{said}");
        assert!(said.contains("key.pem") && !said.contains(secret), "{said}");
    }
}

#[test]
fn a_server_with_a_bad_certificate_does_not_start() {
    let files = Files::with(&Certificate::make());
    write(&files.key(), "");
    let directory = tempfile::tempdir().unwrap();
    let mut command = Command::new(throng_testkit::built_throng());
    command.env_clear().envs(files.settings()).current_dir(directory.path()).stdin(Stdio::null());
    let ran = command.args(["serve", "--listen", "127.0.0.1:0"]).output().unwrap();
    let complaint = String::from_utf8(ran.stderr).unwrap();
    assert_eq!(ran.status.code(), Some(1), "{complaint}");
    assert!(complaint.contains("TLS_KEY (from the environment): "), "{complaint}");
    assert!(std::fs::read_dir(directory.path()).unwrap().next().is_none(), "it made nothing");
}
