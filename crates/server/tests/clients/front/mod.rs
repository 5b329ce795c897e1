//! A proxy in front of a server: started with the configuration in `deploy/`, its addresses replaced, or as it is installed.

mod defaults;

use std::hash::{BuildHasher as _, RandomState};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use throng_testkit::eventually;

/// The modules that `deploy/apache.conf` names, and what any Apache needs.
const APACHE_MODULES: &str =
    "mpm_event authz_core proxy proxy_http proxy_balancer lbmethod_byrequests slotmem_shm reqtimeout headers unique_id";

/// A proxy that runs; it is stopped when dropped.
pub struct Front {
    pub address: SocketAddr,
    child: Child,
    _directory: TempDir,
}

impl Front {
    pub fn nginx(server: SocketAddr) -> Self {
        Self::nginx_with(server, &deployed("nginx.conf"))
    }

    /// nginx with Throng below `/vote/`, which it takes off.
    pub fn nginx_without_path(server: SocketAddr) -> Self {
        Self::nginx_below(server, "proxy_pass http://throng/;")
    }

    /// nginx with Throng below `/vote/`, which it leaves on.
    pub fn nginx_with_path(server: SocketAddr) -> Self {
        Self::nginx_below(server, "proxy_pass http://throng;")
    }

    fn nginx_below(server: SocketAddr, pass: &str) -> Self {
        let at_root = "location / {\n            proxy_pass http://throng;";
        let file = deployed("nginx.conf");
        assert!(file.contains(at_root), "{file}");
        Self::nginx_with(server, &file.replace(at_root, &format!("location /vote/ {{\n            {pass}")))
    }

    fn nginx_with(server: SocketAddr, configuration: &str) -> Self {
        let (address, directory) = (free_address(), tempfile::tempdir().unwrap());
        let configuration = configuration
            .replace("listen 80 reuseport backlog=8192;", &format!("listen {address};"))
            .replace("127.0.0.1:8080", &server.to_string())
            .replace("access_log off;", &format!("access_log off;\n{}", nginx_paths(directory.path())));
        Self::nginx_from(&configuration, address, directory)
    }

    fn nginx_from(configuration: &str, address: SocketAddr, directory: TempDir) -> Self {
        let file = directory.path().join("nginx.conf");
        std::fs::write(&file, configuration).unwrap();
        let pid = directory.path().join("nginx.pid").display().to_string();
        let mut command = Command::new(program("nginx"));
        command.arg("-p").arg(directory.path()).arg("-c").arg(&file).arg("-e").arg("stderr");
        command.arg("-g").arg(format!("daemon off; pid {pid};"));
        Self::start(command, address, directory)
    }

    pub fn apache(server: SocketAddr) -> Self {
        Self::apache_with(server, &deployed("apache.conf"))
    }

    /// Apache as it is by default: it keeps its clients' connections.
    pub fn apache_that_keeps(server: SocketAddr) -> Self {
        Self::apache_with(server, &deployed_without("apache.conf", "KeepAlive Off"))
    }

    fn apache_with(server: SocketAddr, site: &str) -> Self {
        let (address, directory) = (free_address(), tempfile::tempdir().unwrap());
        let root = directory.path().display();
        let mut configuration = format!("ServerRoot {root}\nServerName test\nListen {address}\nPidFile {root}/pid\n");
        configuration.push_str(&format!("DefaultRuntimeDir {root}\nErrorLog /dev/stderr\n"));
        for module in APACHE_MODULES.split(' ') {
            configuration.push_str(&format!("LoadModule {module}_module /usr/lib/apache2/modules/mod_{module}.so\n"));
        }
        if rustix::process::geteuid().is_root() {
            configuration.push_str("User www-data\nGroup www-data\n");
        }
        let site = site
            .replace("<VirtualHost *:80>", &format!("<VirtualHost {address}>\nServerName test"))
            .replace("127.0.0.1:8080", &server.to_string());
        let file = directory.path().join("apache.conf");
        std::fs::write(&file, configuration + &site).unwrap();
        let mut command = Command::new(program("apache2"));
        command.arg("-f").arg(&file).args(["-D", "FOREGROUND"]);
        Self::start(command, address, directory)
    }

    pub fn haproxy(server: SocketAddr) -> Self {
        Self::haproxy_with(server, &deployed("haproxy.cfg"))
    }

    /// HAProxy as it is by default: it keeps its clients' connections.
    pub fn haproxy_that_keeps(server: SocketAddr) -> Self {
        Self::haproxy_with(server, &deployed_without("haproxy.cfg", "http-after-response set-header Connection close"))
    }

    fn haproxy_with(server: SocketAddr, configuration: &str) -> Self {
        let (address, directory) = (free_address(), tempfile::tempdir().unwrap());
        let configuration = configuration
            .replace("bind :80 ", &format!("bind {address} "))
            .replace("127.0.0.1:8080", &server.to_string());
        let file = directory.path().join("haproxy.cfg");
        std::fs::write(&file, configuration).unwrap();
        let mut command = Command::new(program("haproxy"));
        command.args(["-db", "-f"]).arg(&file);
        Self::start(command, address, directory)
    }

    /// Varnish with its defaults, which tells of a response in `x-ttl`, `x-grace` and `x-hits` what it made of it.
    pub fn varnish(server: SocketAddr) -> Self {
        let (address, directory) = (free_address(), tempfile::tempdir().unwrap());
        let configuration = format!(
            "vcl 4.1;\nbackend default {{ .host = \"{}\"; .port = \"{}\"; }}\nsub vcl_deliver {{\n\
             set resp.http.x-ttl = obj.ttl;\nset resp.http.x-grace = obj.grace;\nset resp.http.x-hits = obj.hits;\n}}\n",
            server.ip(),
            server.port(),
        );
        let file = directory.path().join("default.vcl");
        std::fs::write(&file, configuration).unwrap();
        let mut command = Command::new(program("varnishd"));
        command.args(["-j", "none", "-F", "-s", "default,16m", "-T", "none", "-n"]).arg(directory.path().join("work"));
        command.arg("-a").arg(address.to_string()).arg("-f").arg(&file);
        Self::start(command, address, directory)
    }

    fn start(mut command: Command, address: SocketAddr, directory: TempDir) -> Self {
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn();
        let child = child.unwrap_or_else(|error| panic!("{command:?}: {error}; run `cargo xtask test`"));
        let mut front = Self { address, child, _directory: directory };
        eventually("the proxy listens", || {
            assert!(front.child.try_wait().unwrap().is_none(), "the proxy has ended; its words are above");
            TcpStream::connect(address).ok()
        });
        front
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        // Killed outright, it would leave its workers behind.
        let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
        let _ = self.child.wait();
    }
}

/// A file of `deploy/`.
fn deployed(name: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy").join(name)).unwrap()
}

/// A file of `deploy/` without this line, which it must have.
fn deployed_without(name: &str, line: &str) -> String {
    let file = deployed(name);
    let (line, without) = (format!("\n    {line}\n"), "\n");
    assert!(file.contains(&line), "{name} has no line{line}");
    file.replace(&line, without)
}

/// Where nginx may write.
fn nginx_paths(directory: &Path) -> String {
    let path = |kind: &str| format!("{kind}_temp_path {};\n", directory.join(kind).display());
    ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map(path).concat()
}

/// Administrators' programs aren't on everybody's search path.
fn program(name: &str) -> String {
    let known = ["/usr/sbin", "/usr/local/sbin", "/usr/bin"].map(|directory| format!("{directory}/{name}"));
    known.into_iter().find(|path| Path::new(path).exists()).unwrap_or_else(|| name.to_owned())
}

/// An address that was free a moment ago, and that nobody else takes before the proxy does: no other test's sockets are on one of
/// this machine's many addresses that was taken at random.
fn free_address() -> SocketAddr {
    let [_, second, third, last, ..] = RandomState::new().hash_one(0).to_be_bytes();
    let own = Ipv4Addr::new(127, second.max(1), third, last.clamp(1, 254));
    TcpListener::bind((own, 0)).unwrap().local_addr().unwrap()
}
