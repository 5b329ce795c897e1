//! Where requests come in: the address, and a gate on each core that is opened once there is something to answer with.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context as _;
use throng_domain::clock::Clock;
use tokio::sync::{oneshot, watch};

use crate::config::Config;
use crate::http::{self, Dependency, Front, ReadinessGate};
use crate::metrics::HttpMetrics;
use crate::serve::{Beside, Core, Cores, Listen, Shutdown, Tls};

/// The way in to every core.
pub(super) struct Entrance {
    listen: Listen,
    clock: Arc<dyn Clock>,
    shutdown: Arc<Shutdown>,
    gates: Vec<Gate>,
    cores: Option<Cores>,
}

/// That of one core.
struct Gate {
    gate: Arc<ReadinessGate>,
    metrics: Arc<HttpMetrics>,
    /// Where what runs beside the requests goes, once the core has begun.
    beside: Option<oneshot::Sender<Beside>>,
}

impl Entrance {
    /// One with a gate for each of `metrics`, all closed. It doesn't listen yet; `missing` is what is waited for meanwhile.
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
            beside: None,
        };
        let trusted = config.trusted_proxies.clone();
        Self {
            listen: Listen {
                address: config.listen,
                tls,
                is_proxy: Arc::new(move |address| trusted.contain(address)),
                proxy_protocol: config.proxy_protocol,
                idle: config.idle,
            },
            clock: Arc::clone(clock),
            shutdown: Arc::default(),
            gates: metrics.iter().map(gate).collect(),
            cores: None,
        }
    }

    /// The end, in steps.
    pub fn shutdown(&self) -> &Arc<Shutdown> {
        &self.shutdown
    }

    /// Listens from now on, if it doesn't yet; returns the address if it has just begun.
    ///
    /// # Errors
    /// If the address or a thread can't be had.
    pub fn listen(&mut self) -> anyhow::Result<Option<SocketAddr>> {
        if self.cores.is_some() {
            return Ok(None);
        }
        let core = |Gate { gate, metrics, beside }: &mut Gate| {
            let (given, taken) = oneshot::channel::<Beside>();
            *beside = Some(given);
            Core {
                service: Arc::clone(gate),
                beside: Box::pin(async move {
                    if let Ok(beside) = taken.await {
                        beside.await;
                    }
                }),
                connections: metrics.connections.clone(),
                unsent_bytes: metrics.unsent_bytes.clone(),
            }
        };
        let cores = self.gates.iter_mut().map(core).collect();
        let started = Cores::start(&self.listen, cores, http::refusal_body, &self.clock, Arc::clone(&self.shutdown))
            .with_context(|| cant_serve(self.listen.address))?;
        let address = started.address;
        self.cores = Some(started);
        Ok(Some(address))
    }

    /// Opens every gate: to each core its front, and what runs beside it.
    ///
    /// # Errors
    /// As [`Self::listen`].
    pub fn open(mut self, fronts: Vec<(Front, Beside)>) -> anyhow::Result<Cores> {
        debug_assert_eq!(fronts.len(), self.gates.len());
        let mut besides = Vec::new();
        for (Gate { gate, .. }, (front, beside)) in self.gates.iter().zip(fronts) {
            gate.open(front);
            besides.push(beside);
        }
        self.listen()?;
        for (Gate { beside: given, .. }, beside) in self.gates.iter_mut().zip(besides) {
            let given = given.take().and_then(|given| given.send(beside).err());
            debug_assert!(given.is_none(), "a core waits for what runs beside it");
        }
        self.cores.context("it listens")
    }
}

/// What to do about an address that can't be had.
pub(super) fn cant_serve(address: SocketAddr) -> String {
    format!("can't serve on {address}; is something else running there? Set LISTEN")
}
