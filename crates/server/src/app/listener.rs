//! The listening address, and a readiness gate on each core that is opened once the server is ready.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context as _;
use throng_domain::clock::Clock;
use tokio::sync::{oneshot, watch};

use crate::config::Config;
use crate::http::{self, Gateway, ReadinessGate};
use crate::net::{Background, Core, Cores, Listen, Shutdown, Tls};
use crate::state::Dependency;
use crate::telemetry::metrics::HttpMetrics;

/// Listens for all cores.
pub(super) struct Listener {
    listen: Listen,
    clock: Arc<dyn Clock>,
    shutdown: Arc<Shutdown>,
    gates: Vec<Gate>,
    cores: Option<Cores>,
}

/// One core's gate.
struct Gate {
    gate: Arc<ReadinessGate>,
    metrics: Arc<HttpMetrics>,
    /// Receives the core's background work, once the core runs.
    background: Option<oneshot::Sender<Background>>,
}

impl Listener {
    /// A listener with a closed gate for each of `metrics`, which doesn't listen yet. `missing` is the dependency that the
    /// server waits for.
    pub fn new(
        config: &Config,
        clock: &Arc<dyn Clock>,
        metrics: &[Arc<HttpMetrics>],
        tls: Option<Arc<Tls>>,
        missing: &watch::Receiver<Dependency>,
    ) -> Self {
        let gate = |metrics: &Arc<HttpMetrics>| Gate {
            gate: Arc::new(ReadinessGate::new(config, clock, Arc::clone(metrics), missing.clone())),
            metrics: Arc::clone(metrics),
            background: None,
        };
        let trusted = config.trusted_proxies.clone();
        Self {
            listen: Listen {
                address: config.listen,
                tls,
                is_proxy: Arc::new(move |address| trusted.contains(address)),
                proxy_protocol: config.proxy_protocol,
                idle: config.idle,
            },
            clock: Arc::clone(clock),
            shutdown: Arc::default(),
            gates: metrics.iter().map(gate).collect(),
            cores: None,
        }
    }

    /// The shutdown, in steps.
    pub fn shutdown(&self) -> &Arc<Shutdown> {
        &self.shutdown
    }

    /// Starts listening, unless it listens already; returns the address if it has just started.
    ///
    /// # Errors
    /// If the address can't be bound, or a thread can't be created.
    pub fn listen(&mut self) -> anyhow::Result<Option<SocketAddr>> {
        if self.cores.is_some() {
            return Ok(None);
        }
        let core = |Gate { gate, metrics, background }: &mut Gate| {
            let (sender, receiver) = oneshot::channel::<Background>();
            *background = Some(sender);
            Core {
                service: Arc::clone(gate),
                background: Box::pin(async move {
                    if let Ok(background) = receiver.await {
                        background.await;
                    }
                }),
                connections: metrics.connections.clone(),
                unsent_bytes: metrics.unsent_bytes.clone(),
            }
        };
        let cores = self.gates.iter_mut().map(core).collect();
        let started = Cores::start(&self.listen, cores, http::error_body, &self.clock, Arc::clone(&self.shutdown))
            .with_context(|| cant_serve(self.listen.address))?;
        let address = started.address;
        self.cores = Some(started);
        Ok(Some(address))
    }

    /// Opens every gate: passes each core its gateway and its background work.
    ///
    /// # Errors
    /// As [`Self::listen`].
    pub fn open(mut self, gateways: Vec<(Gateway, Background)>) -> anyhow::Result<Cores> {
        debug_assert_eq!(gateways.len(), self.gates.len());
        let mut all_background = Vec::new();
        for (Gate { gate, .. }, (gateway, background)) in self.gates.iter().zip(gateways) {
            gate.open(gateway);
            all_background.push(background);
        }
        self.listen()?;
        for (Gate { background: sender, .. }, background) in self.gates.iter_mut().zip(all_background) {
            let unsent = sender.take().and_then(|sender| sender.send(background).err());
            debug_assert!(unsent.is_none(), "a core waits for its background work");
        }
        self.cores.context("the server isn't listening")
    }
}

/// The error message for an address that can't be bound, with advice.
pub(super) fn cant_serve(address: SocketAddr) -> String {
    format!("can't serve on {address}; is something else running there? Set LISTEN")
}
