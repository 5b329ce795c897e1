//! Every setting, with its default and its meaning.

/// The name, default and meaning of a setting.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// Its name in the environment and in `.env` files.
    pub name: &'static str,
    /// Description of its value if none is given.
    pub default: &'static str,
    /// What it means.
    pub meaning: &'static str,
    /// Whether `NAME_FILE` may name a file that contains its value: a secret, or a URL with a password.
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
    Setting::new("PORT", "none", "without LISTEN: serve on 0.0.0.0 with this port, as container platforms expect"),
    Setting::new(
        "TLS_CERTIFICATE",
        "none",
        "a PEM file: serve HTTPS with this certificate, followed by its intermediate certificates",
    ),
    Setting::new("TLS_KEY", "none", "a PEM file: the certificate's private key"),
    Setting::new(
        "APP_SECRET",
        "made in dev",
        "the secret from which all keys are derived: at least 32 characters, the same for all nodes and workers",
    )
    .or_file(),
    Setting::new(
        "DATABASE_URL",
        "sqlite://var/throng.db",
        "the database: sqlite://PATH, or mysql:// or postgres://USER:PASSWORD@HOST:PORT/NAME?sslmode=verify-full",
    )
    .or_file(),
    Setting::new("QUEUE_URL", "none", "the broker between web nodes and workers: amqp://USER:PASSWORD@HOST:5672/%2f")
        .or_file(),
    Setting::new(
        "QUEUE_PREFIX",
        "throng",
        "the prefix of the names of queues; a different one for each system on a broker",
    ),
    Setting::new(
        "CACHE_URL",
        "none",
        "the cache in which nodes behind a broker share results: memcached://HOST:11211[,HOST:PORT…]",
    )
    .or_file(),
    Setting::new(
        "CACHE_LIFE_TIME",
        "5",
        "seconds until a node behind a broker that receives no result queries the database; 0: for every reader",
    ),
    Setting::new("WORKER_LISTEN", "127.0.0.1:8081", "address and port of a worker's health and metrics"),
    Setting::new(
        "WAIT",
        "forever",
        "seconds that a server or worker waits at start for an unavailable database or broker; 0: it exits at once",
    ),
    Setting::new("DEFAULT_POLL", "demo", "the poll of /api/submit, /api/result and /"),
    Setting::new(
        "CORS_ALLOW_ORIGIN",
        "* in dev, none in prod",
        "other origins whose pages may send ballots and read responses of /api/, separated by commas; *: all",
    ),
    Setting::new(
        "CORS_ALLOW_CREDENTIALS",
        "false",
        "true: requests of listed origins may have cookies, for an authenticating proxy",
    ),
    Setting::new(
        "TRUSTED_PROXIES",
        "none",
        "networks of proxies whose X-Forwarded-For, Forwarded and X-Request-Id are trusted: 10.0.0.0/8,::1",
    ),
    Setting::new(
        "PUBLIC_URL",
        "the requested site",
        "the address at which voters reach this server, if a proxy maps a path to it: https://site.example/vote",
    ),
    Setting::new(
        "PROXY_PROTOCOL",
        "false",
        "true: connections from TRUSTED_PROXIES begin with a PROXY header, of version 1 or 2, and others without",
    ),
    Setting::new(
        "IDLE_TIMEOUT",
        "15, and 3660 for TRUSTED_PROXIES",
        "seconds after which an idle connection is closed; more than a proxy keeps one idle",
    ),
    Setting::new(
        "VOTES_PER_NETWORK",
        "0",
        "votes a minute that one network may send to one poll: an IPv4 address or an IPv6 /64; 0: any number",
    ),
    Setting::new(
        "VOTER_KEYS",
        "none",
        "a file with the keys that verify voters' tokens (policy signed): a JWK Set, or public keys as PEM",
    ),
    Setting::new(
        "WEBHOOK_HOSTS",
        "none",
        "hosts that webhooks may have without TLS, or within your own network: cms.internal,10.0.0.5",
    ),
    Setting::new(
        "KEEP_AWAKE",
        "false",
        "true: keep processors out of idle states while a crowd votes, if this process may",
    ),
    Setting::new("LOG", "info", "the log filter: error, warn, info, debug, or one such as throng=debug"),
    Setting::new(
        "OTLP_ENDPOINT",
        "none",
        "in a build with the feature otlp: a collector that receives a span per batch, http://localhost:4318",
    ),
];
