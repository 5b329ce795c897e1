//! What `deploy/Dockerfile` sets and runs, without its container.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;

use rcgen::generate_simple_self_signed;
use throng_testkit::{Connection, ThrongProcess};

use crate::cli::workspace::{Ran, Workspace};

/// What an image says of itself.
struct Image {
    /// Its environment.
    environment: Vec<(String, String)>,
    entrypoint: Vec<String>,
    healthcheck: Vec<String>,
}

impl Image {
    fn read() -> Self {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/Dockerfile");
        let text = std::fs::read_to_string(file).unwrap();
        let environment = text.lines().filter_map(|line| line.strip_prefix("ENV ")).flat_map(str::split_whitespace);
        let environment = environment.map(|pair| pair.split_once('=').unwrap());
        let words = |instruction: &str| -> Vec<String> {
            let line = text.lines().find(|line| line.starts_with(instruction)).unwrap();
            serde_json::from_str(&line[line.find('[').unwrap()..]).unwrap()
        };
        Self {
            environment: environment.map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
            entrypoint: words("ENTRYPOINT "),
            healthcheck: words("HEALTHCHECK "),
        }
    }
}

/// The image's server, run with its environment and more, and at another port.
struct Container {
    workspace: Workspace,
    image: Image,
    more: Vec<(&'static str, String)>,
}

impl Container {
    fn new() -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let image = Image::read();
        assert!(image.environment.iter().any(|(name, value)| name == "PORT" && value == "8080"), "as EXPOSE says");
        Self { workspace: Workspace::new(), image, more: vec![("PORT", port.to_string())] }
    }

    fn settings(&self) -> Vec<(&str, &str)> {
        let own = self.image.environment.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        own.chain(self.more.iter().map(|(name, value)| (*name, value.as_str()))).collect()
    }

    fn start(&self, scheme: &str) -> ThrongProcess {
        let args = arguments(&self.image.entrypoint);
        self.workspace.start(&args, &self.settings()).once_logged(&format!("serving on {scheme}://"))
    }

    fn healthcheck(&self) -> Ran {
        let mut command = self.workspace.command(&arguments(&self.image.healthcheck));
        Ran(command.envs(self.settings()).output().unwrap())
    }
}

/// A command's words after the program's name.
fn arguments(words: &[String]) -> Vec<&str> {
    assert_eq!(words[0], "throng");
    words[1..].iter().map(String::as_str).collect()
}

#[test]
fn container_serves_all_networks_and_says_that_it_is_healthy() {
    let container = Container::new();
    container.healthcheck().fails(1, &["nothing answers on 127.0.0.1:"]);
    let server = container.start("http");
    assert_eq!(server.address.ip(), Ipv4Addr::UNSPECIFIED, "a published port leads to the container's own address");
    let inside = SocketAddr::from((Ipv4Addr::new(127, 0, 0, 2), server.address.port()));
    assert_eq!(Connection::open(inside).request("POST", "/api/submit", &[], b"[1]").status, 200);
    assert_eq!(container.healthcheck().succeeds(), "ready\n");
}

#[test]
fn container_with_a_certificate_says_that_it_is_healthy() {
    let mut container = Container::new();
    let made = generate_simple_self_signed(["vote.example".to_owned()]).unwrap();
    container.workspace.write("certificate.pem", &made.cert.pem());
    container.workspace.write("key.pem", &made.signing_key.serialize_pem());
    for (name, file) in [("TLS_CERTIFICATE", "certificate.pem"), ("TLS_KEY", "key.pem")] {
        container.more.push((name, container.workspace.path(file).to_str().unwrap().to_owned()));
    }
    let mut server = container.start("https");
    assert_eq!(container.healthcheck().succeeds(), "ready\n");
    server.terminate();
    assert_eq!(server.exit_code(), Some(0));
    container.healthcheck().fails(1, &["nothing answers on 127.0.0.1:"]);
}

#[test]
fn containers_worker_is_reached_from_other_containers() {
    let image = Image::read();
    let listen = image.environment.iter().find(|(name, _)| name == "WORKER_LISTEN");
    assert_eq!(listen.map(|(_, value)| value.as_str()), Some("0.0.0.0:8081"), "as EXPOSE says");
}
