//! Connects, votes, and reads the server's count.

use std::sync::Arc;
use std::time::Duration;

use crate::client::Client;
use crate::counts::Votes;
use crate::error::LoadError;
use crate::findings::{Findings, Latencies, Outcomes};
use crate::load::Load;
use crate::poll::{Poll, PollReader};
use crate::run_context::RunContext;
use crate::schedule::Schedule;
use crate::target::Target;
use crate::{descriptors, open_loop, rounds};

/// Clients that are connected to a server and ready to vote.
#[derive(Debug)]
pub struct Generator {
    load: Load,
    clients: Vec<Client>,
    context: Arc<RunContext>,
    reader: PollReader,
    /// How many votes were counted before the first.
    before: u64,
}

/// A load whose votes have all ended.
#[derive(Debug)]
pub struct Run {
    load: Load,
    took: Duration,
    findings: Arc<Findings>,
    reader: PollReader,
    /// How many votes were counted before the first.
    before: u64,
}

/// What a load has shown.
#[derive(Clone, Debug)]
pub struct Measurement {
    /// The load.
    pub load: Load,
    /// The time that votes were in flight: for rounds, without the time between them.
    pub took: Duration,
    /// How the votes ended.
    pub outcomes: Outcomes,
    /// How long they took.
    pub latencies: Latencies,
    /// What the server counted.
    pub votes: Votes,
}

impl Generator {
    /// Reads the server's result and opens a connection per client. Raises the process's limit of open files to its hard limit.
    ///
    /// `timeout` is how long each connection may take to open, and how long a vote or the result may wait for its response.
    ///
    /// # Errors
    /// If the limit is too low for this number of clients, the server can't be reached, or a load run can't vote in the poll.
    pub async fn connect(target: Target, poll: Poll, load: Load, timeout: Duration) -> Result<Self, LoadError> {
        descriptors::raise_limit(load.clients())?;
        let address = target.address().await?;
        let reader = PollReader { target, address, response_max: timeout, poll };
        let (requests, before) = reader.prepare().await?;
        let context = Arc::new(RunContext { requests, timeout, findings: Arc::new(Findings::new()) });
        let clients = Client::open_all(address, load.clients(), timeout).await?;
        Ok(Self { load, clients, context, reader, before })
    }

    /// The outcomes so far, to be read while the load runs.
    pub fn findings(&self) -> Arc<Findings> {
        Arc::clone(&self.context.findings)
    }

    /// Casts all votes of the load, each for one option, and returns when the last one has its response or has timed out.
    ///
    /// # Errors
    /// If a client's task fails, which isn't expected. That a vote failed is an outcome, not an error.
    pub async fn run(self) -> Result<Run, LoadError> {
        let Self { load, clients, context, reader, before } = self;
        let took = match load {
            Load::Rounds { rounds, .. } => rounds::run(clients, &context, rounds).await,
            Load::Rate { rate, duration, .. } => open_loop::run(clients, &context, Schedule::new(rate, duration)).await,
        };
        let took = took.map_err(LoadError::Client)?;
        Ok(Run { load, took, findings: Arc::clone(&context.findings), reader, before })
    }
}

impl Run {
    /// Compares the server's result with the votes that it acknowledged. The result is read until it agrees, or until `settle`
    /// is over: a server may show its last votes late.
    pub async fn count(self, settle: Duration) -> Measurement {
        let Self { load, took, findings, reader, before } = self;
        let (outcomes, latencies) = (findings.outcomes(), findings.latencies());
        let votes = Votes::settle(before, &outcomes, settle, async || reader.counted().await).await;
        Measurement { load, took, outcomes, latencies, votes }
    }
}
