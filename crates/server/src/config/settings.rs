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
