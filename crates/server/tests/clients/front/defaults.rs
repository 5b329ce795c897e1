//! Proxies as they are installed: with the times and the numbers that their packages, or they themselves, set, and no more than
//! what it takes to have them keep connections to a server.

use std::net::SocketAddr;
use std::process::Command;

use super::{Front, free_address, nginx_paths, program};

/// Where Envoy is: no package of the system's has it. `cargo xtask proxies` sets this.
const ENVOY: &str = "THRONG_TEST_ENVOY";

/// Threads and processes as in Debian's `mpm_event.conf`.
const APACHE_MPM: &str = "StartServers 2\nMinSpareThreads 25\nMaxSpareThreads 75\nThreadLimit 64\nThreadsPerChild 25\n\
    MaxRequestWorkers 150\nMaxConnectionsPerChild 0\n";

impl Front {
    /// nginx with `keepalive` in `upstream`, without which it keeps no connection, and the times that it has by default.
    pub fn nginx_by_default(server: SocketAddr) -> Self {
        let (address, directory) = (free_address(), tempfile::tempdir().unwrap());
        let paths = nginx_paths(directory.path());
        let configuration = format!(
            "worker_processes auto;\nevents {{ worker_connections 768; }}\nhttp {{\naccess_log off;\n{paths}\
             upstream throng {{ server {server}; keepalive 256; }}\n\
             server {{\nlisten {address};\nlocation / {{\nproxy_pass http://throng;\nproxy_http_version 1.1;\n\
             proxy_set_header Connection \"\";\n}}\n}}\n}}\n"
        );
        Self::nginx_from(&configuration, address, directory)
    }

    /// Apache with the numbers of Debian's `mpm_event.conf`.
    pub fn apache_by_default(server: SocketAddr) -> Self {
        let site = format!(
            "{APACHE_MPM}Timeout 300\nKeepAlive On\nMaxKeepAliveRequests 100\nKeepAliveTimeout 5\n\
             <VirtualHost *:80>\nProxyPass \"/\" \"http://{server}/\"\n</VirtualHost>\n"
        );
        Self::apache_with(server, &site)
    }

    /// HAProxy with the times of Debian's `haproxy.cfg`. With its own `http-reuse safe` a new client has a new connection to the
    /// server; with this line each takes one that is there.
    pub fn haproxy_by_default(server: SocketAddr) -> Self {
        Self::haproxy_with(
            server,
            "defaults\n    mode http\n    timeout connect 5000\n    timeout client 50000\n    timeout server 50000\n\
             frontend web\n    bind :80 \n    default_backend throng\n\
             backend throng\n    http-reuse always\n    server node1 127.0.0.1:8080\n",
        )
    }

    /// Caddy, with nothing but a `reverse_proxy`.
    pub fn caddy_by_default(server: SocketAddr) -> Self {
        let (address, directory) = (free_address(), tempfile::tempdir().unwrap());
        let file = directory.path().join("Caddyfile");
        let configuration = format!(
            "{{\nadmin off\nauto_https off\nlog {{\nlevel ERROR\n}}\n}}\n\
             http://:{} {{\nbind {}\nreverse_proxy {server}\n}}\n",
            address.port(),
            address.ip()
        );
        std::fs::write(&file, configuration).unwrap();
        let mut command = Command::new(program("caddy"));
        command.args(["run", "--adapter", "caddyfile", "--config"]).arg(&file);
        command.env("HOME", directory.path()).env_remove("XDG_DATA_HOME").env_remove("XDG_CONFIG_HOME");
        Self::start(command, address, directory)
    }

    /// Envoy, with nothing but a route to a cluster.
    pub fn envoy_by_default(server: SocketAddr) -> Self {
        let envoy = std::env::var_os(ENVOY).unwrap_or_else(|| panic!("{ENVOY} isn't set; run `cargo xtask proxies`"));
        let (address, directory) = (free_address(), tempfile::tempdir().unwrap());
        let file = directory.path().join("envoy.yaml");
        std::fs::write(&file, envoy_configuration(address, server)).unwrap();
        let mut command = Command::new(envoy);
        command.args(["--disable-hot-restart", "--log-level", "error", "--config-path"]).arg(&file);
        Self::start(command, address, directory)
    }
}

fn envoy_configuration(address: SocketAddr, server: SocketAddr) -> String {
    let socket = |address: SocketAddr| {
        format!("{{ socket_address: {{ address: {}, port_value: {} }} }}", address.ip(), address.port())
    };
    let (listens, sends) = (socket(address), socket(server));
    let extension = "type.googleapis.com/envoy.extensions.filters";
    format!(
        r#"static_resources:
  listeners:
  - address: {listens}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": {extension}.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: web
          route_config:
            virtual_hosts:
            - {{ name: throng, domains: ["*"], routes: [{{ match: {{ prefix: "/" }}, route: {{ cluster: throng }} }}] }}
          http_filters:
          - name: envoy.filters.http.router
            typed_config: {{ "@type": {extension}.http.router.v3.Router }}
  clusters:
  - name: throng
    load_assignment:
      cluster_name: throng
      endpoints: [{{ lb_endpoints: [{{ endpoint: {{ address: {sends} }} }}] }}]
"#
    )
}
