//! Configuration: read once at start, complete, or not at all.
//!
//! Every setting is described in [`SETTINGS`], from which `throng help` and the errors draw their words.

mod dotenv;
mod otlp;
mod public_url;
mod secret;
mod show;
mod sources;
mod text_file;
mod tls;
mod wait;

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;
use std::time::Duration;

use throng_backends::cache::CacheUrl;
use throng_backends::queue::{MessageKey, QueueUrl};
use throng_backends::store::DatabaseUrl;
use throng_domain::poll::Slug;

pub use self::otlp::OtlpEndpoint;
pub use self::public_url::PublicUrl;
pub use self::secret::AppSecret;
pub use self::show::{Shown, show};
pub use self::sources::{Sources, flag_of};
pub use self::wait::Wait;
use crate::http::{ANY_WITH_CREDENTIALS, CorsOrigins, ReceiptKey, TrustedProxies};
use crate::serve::{IdleTimeouts, TlsFiles};

/// What a setting is called, what it is if nobody says, and what it means.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// Its name in the environment and in `.env` files.
    pub name: &'static str,
    /// Its value where none is given, in words.
    pub default: &'static str,
    /// What it means.
    pub meaning: &'static str,
    /// Whether `NAME_FILE` may name a file that has its value: that of a secret, or of a URL with a password in it.
    pub may_be_in_file: bool,
}

impl Setting {
    const fn new(name: &'static str, default: &'static str, meaning: &'static str) -> Self {
        Self { name, default, meaning, may_be_in_file: false }
    }

    const fn or_file(self) -> Self {
        Self { may_be_in_file: true, ..self }
    }
}

/// Every setting.
pub const SETTINGS: &[Setting] = &[
    Setting::new("APP_ENV", "dev", "`dev`, or `prod`: JSON logs, no demo poll, no default origins"),
    Setting::new("LISTEN", "127.0.0.1:8080", "address and port to serve on"),
    Setting::new("PORT", "none", "without LISTEN: serve on this port of all networks, as platforms ask that start containers"),
    Setting::new("TLS_CERTIFICATE", "none", "a PEM file: serve HTTPS with this certificate, followed by those that vouch for it"),
    Setting::new("TLS_KEY", "none", "a PEM file: the certificate's private key"),
    Setting::new("APP_SECRET", "made in dev", "the key from which all others are made: 32 characters or more, the same for all nodes and workers").or_file(),
    Setting::new("DATABASE_URL", "sqlite://var/throng.db", "where ballots are kept: sqlite://PATH, or mysql:// or postgres://USER:PASSWORD@HOST:PORT/NAME?sslmode=verify-full").or_file(),
    Setting::new("QUEUE_URL", "none", "the broker between web nodes and workers: amqp://USER:PASSWORD@HOST:5672/%2f").or_file(),
    Setting::new("QUEUE_PREFIX", "throng", "what the names of the broker's queues begin with; one for each system that shares a broker"),
    Setting::new("CACHE_URL", "none", "where nodes share results behind a broker: memcached://HOST:11211[,HOST:PORT…]").or_file(),
    Setting::new("CACHE_LIFE_TIME", "5", "seconds until a node behind a broker that hears of no change asks the database; 0: it does for every reader"),
    Setting::new("WORKER_LISTEN", "127.0.0.1:8081", "a worker's health and metrics"),
    Setting::new("WAIT", "forever", "seconds that a server or worker waits at start for a database or broker that is away; 0: it ends at once"),
    Setting::new("DEFAULT_POLL", "demo", "the poll of /api/submit, /api/result and /"),
    Setting::new("CORS_ALLOW_ORIGIN", "* in dev, none in prod", "origins whose pages may send ballots and read responses of /api/, beside our own, by commas; *: all"),
    Setting::new("CORS_ALLOW_CREDENTIALS", "false", "true: requests of listed origins may carry cookies, for a gate in front that wants them"),
    Setting::new("TRUSTED_PROXIES", "none", "networks of proxies whose X-Forwarded-For, Forwarded and X-Request-Id count: 10.0.0.0/8,::1"),
    Setting::new("PUBLIC_URL", "all of the site that is asked for", "the address at which voters reach this server, where a proxy maps a path to it: https://site.example/vote"),
    Setting::new("PROXY_PROTOCOL", "false", "true: connections from TRUSTED_PROXIES begin with a PROXY header, of version 1 or 2, and others with none"),
    Setting::new("IDLE_TIMEOUT", "15, and 3660 for TRUSTED_PROXIES", "seconds after which an idle connection is closed; longer than a proxy in front keeps one"),
    Setting::new("KEEP_AWAKE", "false", "true: keep processors from sleeping while a crowd votes, where this process may"),
    Setting::new("LOG", "info", "what is logged: error, warn, info, debug, or a filter such as throng=debug"),
    Setting::new("OTLP_ENDPOINT", "none", "in a build with the feature otlp: a collector that gets a span a batch, http://localhost:4318"),
];

const SECRET_MISSING: &str = "give one in prod, the same to all nodes and workers: `openssl rand -hex 32` makes one";

/// Names with a meaning that this version has no code for: setting one is refused, not ignored.
const NOT_YET: &[&str] = &["ADMIN_TOKEN"];

/// The whole configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// Development or production.
    pub app_env: AppEnv,
    /// The address served on.
    pub listen: SocketAddr,
    /// The certificate served with; without one, connections are plain.
    pub tls: Option<TlsFiles>,
    /// The key from which all others are made.
    pub app_secret: Option<AppSecret>,
    /// Where ballots are kept.
    pub database: DatabaseUrl,
    /// The broker between web nodes and workers; none where the web node records by itself.
    pub queue: Option<QueueUrl>,
    /// What the names of the broker's queues begin with.
    pub queue_prefix: QueuePrefix,
    /// What nodes share results through.
    pub cache: Option<CacheUrl>,
    /// How long a result may lag behind a broker, in milliseconds; 0: not at all.
    pub cache_life_ms: u64,
    /// The address of a worker's health and metrics.
    pub worker_listen: SocketAddr,
    /// How long a start waits for a database or a broker that is away.
    pub wait: Wait,
    /// The poll behind the original routes and `/`.
    pub default_poll: Slug,
    /// Whose pages may call the public routes.
    pub cors_origins: CorsOrigins,
    /// The proxies whose word on a client counts.
    pub trusted_proxies: TrustedProxies,
    /// How voters reach this server.
    pub public_url: PublicUrl,
    /// Whether their connections begin with a header of the PROXY protocol.
    pub proxy_protocol: bool,
    /// How long a connection may be idle.
    pub idle: IdleTimeouts,
    /// Whether processors are kept from sleeping while a crowd votes.
    pub keep_awake: bool,
    /// What is logged, as a filter of `tracing`.
    pub log: String,
    /// Where spans are sent; none in a build that can't.
    pub otlp_endpoint: Option<OtlpEndpoint>,
    /// What is perhaps not meant so, in words.
    pub warnings: Vec<String>,
}

/// Development or production.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AppEnv {
    /// For trying out: a demo poll, readable logs.
    Dev,
    /// For the crowd: JSON logs, nothing made up.
    Prod,
}

/// Everything that is wrong with a configuration.
#[derive(Debug, PartialEq, Eq)]
pub struct Faults(pub Vec<String>);

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the configuration can't be used:")?;
        self.0.iter().try_for_each(|fault| write!(f, "\n  {fault}"))
    }
}

impl std::error::Error for Faults {}

impl Config {
    /// The configuration that `sources` give.
    ///
    /// # Errors
    /// All faults at once, each with the setting's name and where its value came from.
    pub fn read(sources: &Sources) -> Result<Self, Faults> {
        Self::read_with(sources, |_, _| ())
    }

    /// The configuration of a server that `sources` give: what other commands may lack, it must have.
    ///
    /// # Errors
    /// As [`Self::read`], the certificate's among them.
    pub fn read_to_serve(sources: &Sources) -> Result<Self, Faults> {
        Self::read_with(sources, |read, config| {
            read.check_certificate(config);
            read.check_secret_is_shared(config);
        })
    }

    fn read_with(sources: &Sources, check: impl FnOnce(&mut Reader<'_>, &Self)) -> Result<Self, Faults> {
        let mut read = Reader { sources, faults: sources.faults().to_vec() };
        read.refuse_foreign();
        for name in NOT_YET {
            if read.sources.get(name).is_some_and(|found| !found.value.is_empty()) {
                read.fault(name, "this version of Throng can't do that yet; unset it");
            }
        }
        let app_env = read.setting("APP_ENV", AppEnv::Dev);
        let cors_default = match app_env {
            AppEnv::Dev => CorsOrigins::Any,
            AppEnv::Prod => CorsOrigins::Listed(Vec::new()),
        };
        let config = Self {
            app_env,
            listen: read.listen(),
            tls: read.tls(),
            app_secret: read.optional("APP_SECRET"),
            database: read.setting("DATABASE_URL", DatabaseUrl::Sqlite("var/throng.db".into())),
            queue: read.optional("QUEUE_URL"),
            queue_prefix: read.setting("QUEUE_PREFIX", QueuePrefix("throng".to_owned())),
            cache: read.optional("CACHE_URL"),
            cache_life_ms: read.setting("CACHE_LIFE_TIME", Seconds(5_000)).0,
            worker_listen: read.setting("WORKER_LISTEN", Address(([127, 0, 0, 1], 8081).into())).0,
            wait: read.setting("WAIT", Wait::FOREVER),
            default_poll: read.setting("DEFAULT_POLL", "demo".parse().expect("`demo` is a slug")),
            cors_origins: read.cors_origins(cors_default),
            trusted_proxies: read.setting("TRUSTED_PROXIES", TrustedProxies::default()),
            public_url: read.setting("PUBLIC_URL", PublicUrl::default()),
            proxy_protocol: read.setting("PROXY_PROTOCOL", false),
            idle: read.optional("IDLE_TIMEOUT").map_or_else(IdleTimeouts::default, |IdleTimeout(idle)| idle),
            keep_awake: read.setting("KEEP_AWAKE", false),
            log: read.setting("LOG", LogFilter("info".to_owned())).0,
            otlp_endpoint: read.optional("OTLP_ENDPOINT"),
            warnings: warnings(sources),
        };
        if config.proxy_protocol && config.trusted_proxies == TrustedProxies::default() {
            read.fault("PROXY_PROTOCOL", "set TRUSTED_PROXIES too: only their headers are read");
        }
        if config.app_env == AppEnv::Prod {
            read.refuse_in_prod(&config);
        }
        check(&mut read, &config);
        if read.faults.is_empty() { Ok(config) } else { Err(Faults(read.faults)) }
    }
}

impl Config {
    /// The key under which messages to workers are authenticated.
    ///
    /// # Errors
    /// If it has to be made, in dev, and can't be kept.
    pub fn message_key(&self) -> anyhow::Result<MessageKey> {
        let secret = match &self.app_secret {
            Some(secret) => secret.clone(),
            None => AppSecret::kept_for_dev()?,
        };
        Ok(MessageKey::new(&secret.derive("queue messages")))
    }

    /// The key under which a vote's receipts for browsers are signed. A server that is the only one of its database may do
    /// without a secret: its key is a new one with each start.
    ///
    /// # Errors
    /// If the secret has to be made, in dev, and can't be kept.
    pub fn receipt_key(&self) -> anyhow::Result<ReceiptKey> {
        let key = match &self.app_secret {
            Some(secret) => secret.derive("page receipts"),
            None if self.has_other_nodes() => AppSecret::kept_for_dev()?.derive("page receipts"),
            None => rand::random(),
        };
        Ok(ReceiptKey::new(key))
    }

    /// Whether other servers may serve the same polls.
    fn has_other_nodes(&self) -> bool {
        self.queue.is_some() || self.database.is_shared()
    }
}

/// What is perhaps not meant: slips of names, and values left empty.
fn warnings(sources: &Sources) -> Vec<String> {
    let mut warnings = sources.warnings().to_vec();
    for Setting { name, default, .. } in SETTINGS {
        if let Some(found) = sources.get(name).filter(|found| found.value.is_empty()) {
            warnings.push(format!("{name} (from {}) is empty; its default is used: {default}", found.from));
        }
    }
    warnings
}

struct Reader<'a> {
    sources: &'a Sources,
    faults: Vec<String>,
}

impl Reader<'_> {
    fn setting<T: FromStr<Err: fmt::Display>>(&mut self, name: &str, default: T) -> T {
        let Some(found) = self.sources.get(name).filter(|found| !found.value.is_empty()) else { return default };
        match found.value.parse() {
            Ok(value) => value,
            Err(error) => {
                self.fault(name, &error.to_string());
                default
            }
        }
    }

    fn optional<T: FromStr<Err: fmt::Display>>(&mut self, name: &str) -> Option<T> {
        let found = self.sources.get(name).filter(|found| !found.value.is_empty())?;
        match found.value.parse() {
            Ok(value) => Some(value),
            Err(error) => {
                self.fault(name, &error.to_string());
                None
            }
        }
    }

    /// `LISTEN`, or all networks at `PORT`.
    fn listen(&mut self) -> SocketAddr {
        let default = self
            .optional("PORT")
            .map_or(SocketAddr::from(([127, 0, 0, 1], 8080)), |Port(port)| SocketAddr::from(([0, 0, 0, 0], port)));
        self.setting("LISTEN", Address(default)).0
    }

    /// Refuses what would be used as it stands, and was meant for another program to replace.
    fn refuse_foreign(&mut self) {
        for Setting { name, .. } in SETTINGS {
            if self
                .sources
                .get(name)
                .is_some_and(|found| ["%kernel.", "%env("].iter().any(|of| found.value.contains(of)))
            {
                self.fault(
                    name,
                    "%kernel.…% and %env(…)% are Symfony's, which Throng doesn't replace; write the value itself",
                );
            }
        }
        // Without it ballots would go to the default, a file that nobody looks for.
        if self.sources.get("DATABASE_URL").is_some_and(|found| found.value.is_empty()) {
            self.fault("DATABASE_URL", "it is empty; give a value, or unset it for the default sqlite://var/throng.db");
        }
    }

    /// Refuses every origin together with credentials in dev too: no browser accepts it, so it would only seem to work.
    fn cors_origins(&mut self, default: CorsOrigins) -> CorsOrigins {
        let origins = self.setting("CORS_ALLOW_ORIGIN", default);
        if !self.setting("CORS_ALLOW_CREDENTIALS", false) {
            return origins;
        }
        origins.with_credentials().unwrap_or_else(|| {
            self.fault("CORS_ALLOW_CREDENTIALS", ANY_WITH_CREDENTIALS);
            CorsOrigins::Any
        })
    }

    /// What is fit for trying out, and for nothing else.
    fn refuse_in_prod(&mut self, config: &Config) {
        // One that was left empty was meant to be there, whether anything here needs it yet or not.
        let is_empty = self.sources.get("APP_SECRET").is_some_and(|found| found.value.is_empty());
        if config.app_secret.is_none() && (config.queue.is_some() || is_empty) {
            self.fault("APP_SECRET", SECRET_MISSING);
        }
        if let Some(queue) = &config.queue
            && queue.has_default_password()
        {
            self.fault(
                "QUEUE_URL",
                "RabbitMQ's guest account is for trying out; make a user of its own: rabbitmqctl add_user",
            );
        }
    }

    /// A voter whose vote one node took may be led to another, which has to know the first one's signature.
    fn check_secret_is_shared(&mut self, config: &Config) {
        let is_told = self.faults.iter().any(|fault| fault.starts_with("APP_SECRET"));
        if config.app_env == AppEnv::Prod && config.app_secret.is_none() && config.has_other_nodes() && !is_told {
            self.fault("APP_SECRET", SECRET_MISSING);
        }
    }

    fn fault(&mut self, name: &str, what: &str) {
        let from = self.sources.get(name).map_or_else(String::new, |found| format!(" (from {})", found.from));
        self.faults.push(format!("{name}{from}: {what}"));
    }
}

impl FromStr for AppEnv {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "dev" => Ok(Self::Dev),
            "prod" => Ok(Self::Prod),
            other => Err(format!("`{other}` is neither `dev` nor `prod`")),
        }
    }
}

/// What the names of a broker's queues begin with: 1 to 64 letters, digits and dashes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueuePrefix(pub String);

impl FromStr for QueuePrefix {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        if plain && text.len() <= 64 {
            Ok(Self(text.to_owned()))
        } else {
            Err("use up to 64 letters, digits and dashes, such as song-contest".to_owned())
        }
    }
}

/// An address and port to serve on.
struct Address(SocketAddr);

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let what = "is no address and port, such as 127.0.0.1:8080, or 0.0.0.0:8080 for all networks";
        text.parse().map(Self).map_err(|_| format!("`{text}` {what}"))
    }
}

/// A port to serve on.
struct Port(u16);

impl FromStr for Port {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.parse().map(Self).map_err(|_| format!("`{text}` is not a port: a number from 1 to 65535, such as 8080"))
    }
}

/// Whole seconds, kept as milliseconds.
struct Seconds(u64);

impl FromStr for Seconds {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let seconds: u32 = text.parse().map_err(|_| format!("`{text}` is no number of seconds, such as 5"))?;
        Ok(Self(u64::from(seconds) * 1_000))
    }
}

struct IdleTimeout(IdleTimeouts);

impl FromStr for IdleTimeout {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.parse::<Seconds>()? {
            Seconds(0) => Err("every connection would be closed at once; set 1 or more seconds".to_owned()),
            Seconds(ms) => Ok(Self(IdleTimeouts::all(Duration::from_millis(ms)))),
        }
    }
}

struct LogFilter(String);

impl FromStr for LogFilter {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // A single word that is no level would be taken for a part of a program, of which all is logged, and of ours nothing.
        let is_slip = |part: &str| {
            let is_level = part.parse::<tracing_subscriber::filter::LevelFilter>().is_ok();
            !is_level && !part.contains(['=', ':', '[']) && part != "throng"
        };
        if let Some(part) = text.split(',').map(str::trim).find(|part| is_slip(part)) {
            return Err(format!("`{part}` is neither a level (error, warn, info, debug, trace, off) nor PART=LEVEL"));
        }
        match tracing_subscriber::EnvFilter::try_new(text) {
            Ok(_) => Ok(Self(text.to_owned())),
            Err(error) => Err(format!("`{text}` is no filter such as info or throng=debug: {error}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(settings: &[(&str, &str)]) -> Result<Config, Faults> {
        Config::read(&Sources::from_pairs(settings))
    }

    #[test]
    fn a_log_that_would_log_nothing_of_ours_is_a_slip() {
        for text in ["verbose", "inf", "info,throngg"] {
            assert!(read(&[("LOG", text)]).is_err(), "{text}");
        }
        for text in ["info", "off", "throng", "warn,throng=debug", "info,throng::request=debug,hyper=warn"] {
            assert!(read(&[("LOG", text)]).is_ok(), "{text}");
        }
    }

    #[test]
    fn without_settings_it_is_a_development_server() {
        let config = read(&[]).unwrap();
        assert_eq!(config.app_env, AppEnv::Dev);
        assert_eq!(config.listen.to_string(), "127.0.0.1:8080");
        assert_eq!(config.database, DatabaseUrl::Sqlite("var/throng.db".into()));
        assert_eq!(config.cors_origins, CorsOrigins::Any);
    }

    #[test]
    fn in_production_no_origin_is_allowed_unasked() {
        assert_eq!(read(&[("APP_ENV", "prod")]).unwrap().cors_origins, CorsOrigins::Listed(vec![]));
    }

    #[test]
    fn credentials_go_with_listed_origins_alone() {
        for env in ["dev", "prod"] {
            let any = [("APP_ENV", env), ("CORS_ALLOW_ORIGIN", "*"), ("CORS_ALLOW_CREDENTIALS", "true")];
            let Faults(faults) = read(&any).unwrap_err();
            assert!(faults[0].contains("list your pages' origins in CORS_ALLOW_ORIGIN"), "{faults:?}");
            let listed = [("APP_ENV", env), ("CORS_ALLOW_ORIGIN", "https://a.example"), any[2]];
            assert!(matches!(read(&listed).unwrap().cors_origins, CorsOrigins::ListedWithCredentials(_)));
        }
        read(&[("CORS_ALLOW_CREDENTIALS", "true")]).expect_err("in dev, every origin is the default");
    }

    #[test]
    fn nodes_of_one_database_need_a_secret_to_serve_in_prod() {
        let shared = [("APP_ENV", "prod"), ("DATABASE_URL", "postgres://user:password@host/throng")];
        let Faults(faults) = Config::read_to_serve(&Sources::from_pairs(&shared)).unwrap_err();
        assert!(faults.len() == 1 && faults[0].starts_with("APP_SECRET"), "{faults:?}");
        read(&shared).expect("other commands sign nothing");
        let alone = [("APP_ENV", "prod"), ("DATABASE_URL", "sqlite://var/throng.db")];
        Config::read_to_serve(&Sources::from_pairs(&alone)).expect("a file has one server");
    }

    #[test]
    fn all_faults_are_reported_at_once() {
        let Faults(faults) = read(&[
            ("APP_ENV", "staging"),
            ("LISTEN", "8080"),
            ("DATABASE_URL", "oracle://user:hunter2@host/name"),
            ("DEFAULT_POLL", "no such slug"),
            ("CORS_ALLOW_ORIGIN", "example.com"),
            ("LOG", "throng=loud"),
            ("ADMIN_TOKEN", "x"),
        ])
        .unwrap_err();
        assert_eq!(faults.len(), 7, "{faults:#?}");
        assert!(!faults.concat().contains("hunter2"), "{faults:#?}");
    }

    #[test]
    fn an_empty_value_is_none() {
        let config = read(&[("LISTEN", ""), ("QUEUE_URL", " ")]).unwrap();
        assert_eq!(config.listen.port(), 8080);
        assert_eq!(config.warnings.len(), 2, "{:?}", config.warnings);
        assert!(
            config.warnings.contains(&"LISTEN (from code) is empty; its default is used: 127.0.0.1:8080".to_owned())
        );
        assert!(read(&[("DATABASE_URL", "")]).is_err(), "ballots would go where nobody looks");
    }

    #[test]
    fn blanks_around_a_value_are_left_out() {
        let config = read(&[("DATABASE_URL", " sqlite://a.db\r\n"), ("APP_SECRET", &format!("{}\n", "s".repeat(32)))]);
        let config = config.unwrap();
        assert_eq!(config.database, DatabaseUrl::Sqlite("a.db".into()));
        assert_eq!(config.app_secret, Some("s".repeat(32).parse().unwrap()));
    }

    #[test]
    fn port_alone_means_all_networks() {
        let listen = |settings: &[(&str, &str)]| read(settings).unwrap().listen.to_string();
        assert_eq!(listen(&[("PORT", "3000")]), "0.0.0.0:3000");
        assert_eq!(listen(&[("PORT", "3000"), ("LISTEN", "127.0.0.1:80")]), "127.0.0.1:80");
        for wrong in ["http", "70000", "-1", "3000/tcp"] {
            assert!(read(&[("PORT", wrong)]).unwrap_err().0[0].contains(wrong), "{wrong}");
        }
    }

    #[test]
    fn placeholders_of_symfony_are_refused() {
        for url in ["sqlite:///%kernel.project_dir%/var/data.db", "%env(DATABASE_URL)%"] {
            let Faults(faults) = read(&[("DATABASE_URL", url)]).unwrap_err();
            assert!(faults[0].contains("Symfony's"), "{faults:?}");
        }
    }

    #[test]
    fn every_setting_is_listed() {
        for setting in SETTINGS {
            let broken = read(&[(setting.name, "\u{1} broken =")]);
            assert!(broken.is_err(), "{} is listed but not read", setting.name);
        }
    }
}
