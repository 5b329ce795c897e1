//! Configuration: read once at start, completely or not at all.
//!
//! Every setting is described in [`SETTINGS`], from which `throng help` and the errors take their texts.

mod cors_origins;
mod dotenv;
mod keys;
mod otlp;
mod public_url;
mod secret;
mod settings;
mod show;
mod sources;
mod text_file;
mod tls;
mod token_keys;
mod trusted_proxies;
mod values;
mod voter_keys;
mod wait;
mod webhook_hosts;

use std::fmt;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::str::FromStr;

use throng_backends::cache::CacheUrl;
use throng_backends::queue::QueueUrl;
use throng_backends::store::DatabaseUrl;
use throng_domain::poll::Slug;

use self::cors_origins::ANY_WITH_CREDENTIALS;
pub use self::cors_origins::CorsOrigins;
pub use self::otlp::OtlpEndpoint;
pub use self::public_url::PublicUrl;
pub use self::secret::{AppSecret, DerivedKey, SECRET_SUFFIX};
pub use self::settings::{SETTINGS, Setting};
pub use self::show::{Shown, show};
pub use self::sources::{Sources, flag_of};
use self::token_keys::KeysFile;
pub use self::token_keys::{TokenKey, TokenKeys};
pub use self::trusted_proxies::TrustedProxies;
use self::values::{Address, IdleTimeout, LogFilter, Port, Seconds, VotesPerNetwork};
pub use self::values::{AppEnv, QueuePrefix};
pub use self::wait::Wait;
pub use self::webhook_hosts::WebhookHosts;
use crate::net::{IdleTimeouts, TlsFiles};

const SECRET_MISSING: &str = "give one in prod, the same to all nodes and workers: `openssl rand -hex 32` makes one";

/// Reserved names that this version doesn't implement: setting one is an error, not ignored.
const RESERVED: &[&str] = &["ADMIN_TOKEN"];

/// The whole configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// Development or production.
    pub app_env: AppEnv,
    /// The address to serve on.
    pub listen: SocketAddr,
    /// The certificate and its key; without them, connections are unencrypted.
    pub tls: Option<TlsFiles>,
    /// The key from which all others are derived.
    pub app_secret: Option<AppSecret>,
    /// The database in which ballots are stored.
    pub database: DatabaseUrl,
    /// The broker between web nodes and workers; `None` if the web node records ballots itself.
    pub queue: Option<QueueUrl>,
    /// The prefix of the names of the broker's queues.
    pub queue_prefix: QueuePrefix,
    /// The cache through which nodes share results.
    pub cache: Option<CacheUrl>,
    /// How stale a result may be behind a broker, in milliseconds; 0: not at all.
    pub cache_life_ms: u64,
    /// The address of a worker's health and metrics.
    pub worker_listen: SocketAddr,
    /// How long a start waits for an unavailable database or broker.
    pub wait: Wait,
    /// The poll behind the compatibility routes and `/`.
    pub default_poll: Slug,
    /// The origins whose pages may call the public routes.
    pub cors_origins: CorsOrigins,
    /// The proxies whose forwarded headers are trusted.
    pub trusted_proxies: TrustedProxies,
    /// The address at which voters reach this server.
    pub public_url: PublicUrl,
    /// Whether connections from trusted proxies begin with a header of the PROXY protocol.
    pub proxy_protocol: bool,
    /// How long a connection may be idle.
    pub idle: IdleTimeouts,
    /// The most votes per minute of one network in one poll; `None` means no limit.
    pub votes_per_network: Option<NonZeroU32>,
    /// The file with the keys that verify voters' tokens.
    pub voter_keys: Option<PathBuf>,
    /// The hosts that webhooks may have without TLS or within private networks.
    pub webhook_hosts: WebhookHosts,
    /// Whether processors are kept from sleeping while many clients vote.
    pub keep_awake: bool,
    /// What is logged, as a filter of `tracing`.
    pub log: String,
    /// The collector to which spans are sent; `None` in a build that doesn't support it.
    pub otlp_endpoint: Option<OtlpEndpoint>,
    /// Descriptions of what may be mistakes.
    pub warnings: Vec<String>,
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
    /// Reads the configuration from `sources`.
    ///
    /// # Errors
    /// All faults at once, each with the setting's name and the source of its value.
    pub fn read(sources: &Sources) -> Result<Self, Faults> {
        Self::read_with(sources, |_, _| ())
    }

    /// Reads the configuration of a server from `sources`. It must include what other commands may lack.
    ///
    /// # Errors
    /// As for [`Self::read`], with those of the certificate and of the keys for voters' tokens.
    pub fn read_to_serve(sources: &Sources) -> Result<Self, Faults> {
        Self::read_with(sources, |read, config| {
            read.check_certificate(config);
            read.check_token_keys(config);
            read.check_secret_is_shared(config);
        })
    }

    fn read_with(sources: &Sources, check: impl FnOnce(&mut Reader<'_>, &Self)) -> Result<Self, Faults> {
        let mut read = Reader { sources, faults: sources.faults().to_vec() };
        read.refuse_foreign();
        for name in RESERVED {
            if read.sources.get(name).is_some_and(|found| !found.value.is_empty()) {
                read.fault(name, "this version of Throng doesn't support it yet; unset it");
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
            votes_per_network: read.setting("VOTES_PER_NETWORK", VotesPerNetwork(None)).0,
            voter_keys: read.optional("VOTER_KEYS").map(|KeysFile(path)| path),
            webhook_hosts: read.setting("WEBHOOK_HOSTS", WebhookHosts::default()),
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

/// Possible mistakes: misspelled names, and empty values.
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

    /// `LISTEN`, or `PORT` on all networks.
    fn listen(&mut self) -> SocketAddr {
        let default = self
            .optional("PORT")
            .map_or(SocketAddr::from(([127, 0, 0, 1], 8080)), |Port(port)| SocketAddr::from(([0, 0, 0, 0], port)));
        self.setting("LISTEN", Address(default)).0
    }

    /// Refuses placeholders for another program to replace, which would be used literally.
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
        // Otherwise ballots would go to the default, a file that the operator doesn't expect.
        if self.sources.get("DATABASE_URL").is_some_and(|found| found.value.is_empty()) {
            self.fault("DATABASE_URL", "it is empty; give a value, or unset it for the default sqlite://var/throng.db");
        }
    }

    /// Refuses all origins together with credentials, in dev too: no browser accepts it, so it would only seem to work.
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

    /// Refuses what is suitable for development only.
    fn refuse_in_prod(&mut self, config: &Config) {
        // An empty value is a mistake, whether or not the secret is needed yet.
        let is_empty = self.sources.get("APP_SECRET").is_some_and(|found| found.value.is_empty());
        if config.app_secret.is_none() && (config.queue.is_some() || is_empty) {
            self.fault("APP_SECRET", SECRET_MISSING);
        }
        if let Some(queue) = &config.queue
            && queue.has_default_password()
        {
            self.fault("QUEUE_URL", "everybody knows its password; make a user with another one: rabbitmqctl add_user");
        }
        if config.database.has_default_password() {
            self.fault(
                "DATABASE_URL",
                "everybody knows its password; make a user with another one: CREATE USER, or ALTER USER",
            );
        }
    }

    /// A voter whose vote one node accepted may be routed to another node, which must be able to verify the first one's
    /// signature.
    fn check_secret_is_shared(&mut self, config: &Config) {
        let is_reported = self.faults.iter().any(|fault| fault.starts_with("APP_SECRET"));
        if config.app_env == AppEnv::Prod && config.app_secret.is_none() && config.has_other_nodes() && !is_reported {
            self.fault("APP_SECRET", SECRET_MISSING);
        }
    }

    fn fault(&mut self, name: &str, what: &str) {
        let from = self.sources.get(name).map_or_else(String::new, |found| format!(" (from {})", found.from));
        self.faults.push(format!("{name}{from}: {what}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(settings: &[(&str, &str)]) -> Result<Config, Faults> {
        Config::read(&Sources::from_pairs(settings))
    }

    #[test]
    fn misspelled_log_filter_is_refused() {
        for text in ["verbose", "inf", "info,throngg"] {
            assert!(read(&[("LOG", text)]).is_err(), "{text}");
        }
        for text in ["info", "off", "throng", "warn,throng=debug", "info,throng::request=debug,hyper=warn"] {
            assert!(read(&[("LOG", text)]).is_ok(), "{text}");
        }
    }

    #[test]
    fn default_is_a_development_server() {
        let config = read(&[]).unwrap();
        assert_eq!(config.app_env, AppEnv::Dev);
        assert_eq!(config.listen.to_string(), "127.0.0.1:8080");
        assert_eq!(config.database, DatabaseUrl::Sqlite("var/throng.db".into()));
        assert_eq!(config.cors_origins, CorsOrigins::Any);
    }

    #[test]
    fn production_allows_no_origin_by_default() {
        assert_eq!(read(&[("APP_ENV", "prod")]).unwrap().cors_origins, CorsOrigins::Listed(vec![]));
    }

    #[test]
    fn credentials_require_listed_origins() {
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
        let shared = [("APP_ENV", "prod"), ("DATABASE_URL", "postgres://user:7f3a9c@host/throng")];
        let Faults(faults) = Config::read_to_serve(&Sources::from_pairs(&shared)).unwrap_err();
        assert!(faults.len() == 1 && faults[0].starts_with("APP_SECRET"), "{faults:?}");
        read(&shared).expect("other commands sign nothing");
        let alone = [("APP_ENV", "prod"), ("DATABASE_URL", "sqlite://var/throng.db")];
        Config::read_to_serve(&Sources::from_pairs(&alone)).expect("a file has one server");
    }

    /// S27: the passwords that servers come with are for development.
    #[test]
    fn default_passwords_are_refused_in_prod() {
        for (name, url) in [
            ("QUEUE_URL", "amqp://guest:guest@host/%2f"),
            ("QUEUE_URL", "amqp://host/%2f"),
            ("QUEUE_URL", "amqps://admin:admin@host/%2f"),
            ("DATABASE_URL", "mysql://root@host/throng"),
            ("DATABASE_URL", "mysql://root:root@host/throng"),
            ("DATABASE_URL", "mariadb://throng:throng@host/throng"),
            ("DATABASE_URL", "postgres://postgres:postgres@host/throng"),
            ("DATABASE_URL", "postgres://postgres@host/throng"),
            ("DATABASE_URL", "postgresql://app:%21ChangeMe%21@host/app"),
        ] {
            let secret = ("APP_SECRET", "7f3a9c7f3a9c7f3a9c7f3a9c7f3a9c7f");
            let Faults(faults) = read(&[("APP_ENV", "prod"), secret, (name, url)]).unwrap_err();
            assert!(faults.len() == 1 && faults[0].starts_with(name), "{url}: {faults:?}");
            assert!(faults[0].contains("everybody knows its password"), "{url}: {faults:?}");
            read(&[secret, (name, url)]).expect("in development they are what is there");
        }
    }

    #[test]
    fn voters_stay_the_same_over_a_restart() {
        let directory = tempfile::tempdir().unwrap();
        let database = directory.path().join("votes.db");
        let key = |more: &[(&str, &str)]| {
            let url = format!("sqlite://{}", database.display());
            read(&[&[("DATABASE_URL", &*url), ("APP_ENV", "prod")], more].concat()).unwrap().policy_key().unwrap()
        };
        assert_eq!(key(&[]), key(&[]));
        assert!(directory.path().join("votes.db.secret").exists());
        let secret = "s".repeat(32);
        assert_ne!(key(&[("APP_SECRET", &secret)]), key(&[]));
        assert_eq!(key(&[("APP_SECRET", &secret)]), key(&[("APP_SECRET", &secret)]));
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
    fn empty_value_counts_as_unset() {
        let config = read(&[("LISTEN", ""), ("QUEUE_URL", " ")]).unwrap();
        assert_eq!(config.listen.port(), 8080);
        assert_eq!(config.warnings.len(), 2, "{:?}", config.warnings);
        assert!(
            config.warnings.contains(&"LISTEN (from code) is empty; its default is used: 127.0.0.1:8080".to_owned())
        );
        assert!(read(&[("DATABASE_URL", "")]).is_err(), "ballots would go to an unexpected file");
    }

    #[test]
    fn blanks_around_a_value_are_removed() {
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
    fn votes_of_a_network_are_limited_only_on_request() {
        let votes = |settings: &[(&str, &str)]| read(settings).unwrap().votes_per_network.map(NonZeroU32::get);
        assert_eq!(votes(&[]), None);
        assert_eq!(votes(&[("VOTES_PER_NETWORK", "0")]), None);
        assert_eq!(votes(&[("VOTES_PER_NETWORK", "600")]), Some(600));
        for wrong in ["-1", "10/s", "5000000000"] {
            assert!(read(&[("VOTES_PER_NETWORK", wrong)]).unwrap_err().0[0].contains(wrong), "{wrong}");
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
            let broken = Config::read_to_serve(&Sources::from_pairs(&[(setting.name, "\u{1} broken =")]));
            assert!(broken.is_err(), "{} is listed but not read", setting.name);
        }
    }
}
