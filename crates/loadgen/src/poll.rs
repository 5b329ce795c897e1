//! The poll to vote in: the server's default poll by the compatibility routes, or a rehearsal by version 1.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use crate::connection::Connection;
use crate::error::{ExchangeError, LoadError, ResultError};
use crate::request::{ANY_ID, VoteRequest};
use crate::response::Response;
use crate::target::Target;

/// The poll to vote in.
#[derive(Clone, Debug)]
pub enum Poll {
    /// The server's default poll: `POST /api/submit`, without ballot ids.
    Default,
    /// A rehearsal: `POST /api/v1/polls/{slug}/ballots`, with its pass.
    Rehearsal(Rehearsal),
}

/// A poll that no voter takes part in.
#[derive(Clone, Debug)]
pub struct Rehearsal {
    /// Its slug.
    pub slug: String,
    /// What lets a load run vote in it, as `throng poll pass` prints it: digits, letters and dots.
    pub pass: String,
    /// The first half of the ballots' ids; random, since no other run may have it.
    pub run: u64,
}

/// How the poll is read.
#[derive(Debug)]
pub(crate) struct PollReader {
    pub(crate) target: Target,
    pub(crate) address: SocketAddr,
    pub(crate) response_max: Duration,
    pub(crate) poll: Poll,
}

/// The part of a poll that matters here.
#[derive(Deserialize)]
struct PollView {
    #[serde(default)]
    rehearsal: bool,
    kind: String,
    state: String,
    policy: String,
    proof: String,
    min_choices: usize,
    options: Vec<OptionView>,
}

#[derive(Deserialize)]
struct OptionView {
    id: u64,
}

/// The part of a result that matters here.
#[derive(Deserialize)]
struct ResultView {
    voters: u64,
}

impl PollReader {
    /// A request for each option, and how many votes are counted before the first.
    ///
    /// # Errors
    /// If the poll can't be read, or a load run can't vote in it.
    pub(crate) async fn prepare(&self) -> Result<(Vec<VoteRequest>, u64), LoadError> {
        let url = || self.target.to_string();
        let (requests, before) = match &self.poll {
            Poll::Default => {
                let counts = self.default_counts().await.map_err(LoadError::NoResult)?;
                let vote = |option| VoteRequest::same(self.target.post("submit", "", &format!("[{option}]")));
                (counts.keys().map(vote).collect(), counts.values().sum())
            }
            Poll::Rehearsal(rehearsal) => {
                let poll: PollView =
                    self.get(&rehearsal.route(""), &rehearsal.header()).await.map_err(LoadError::NoResult)?;
                if let Some(why) = poll.obstacle() {
                    return Err(LoadError::NoRehearsal { slug: rehearsal.slug.clone(), why });
                }
                (self.ballots(rehearsal, &poll), self.counted().await.map_err(LoadError::NoResult)?)
            }
        };
        if requests.is_empty() { Err(LoadError::NoOptions { url: url() }) } else { Ok((requests, before)) }
    }

    /// How many votes are counted.
    ///
    /// # Errors
    /// If the result can't be read.
    pub(crate) async fn counted(&self) -> Result<u64, ResultError> {
        match &self.poll {
            // Each vote of a load is for one option.
            Poll::Default => Ok(self.default_counts().await?.values().sum()),
            Poll::Rehearsal(rehearsal) => {
                let result: ResultView = self.get(&rehearsal.route("/results"), &rehearsal.header()).await?;
                Ok(result.voters)
            }
        }
    }

    /// A ballot for each option, with as many of the following ones as a ballot has to choose.
    fn ballots(&self, rehearsal: &Rehearsal, poll: &PollView) -> Vec<VoteRequest> {
        let (route, header) = (rehearsal.route("/ballots"), rehearsal.header());
        let ballot = |first: usize| {
            let chosen = poll.options.iter().cycle().skip(first).take(poll.min_choices.max(1));
            let choices = chosen.map(|option| option.id.to_string()).collect::<Vec<_>>().join(",");
            let body = format!("{{\"choices\":[{choices}],\"ballot_id\":\"{ANY_ID}\"}}");
            VoteRequest::with_id(self.target.post(&route, &header, &body), rehearsal.run)
        };
        (0..poll.options.len()).map(ballot).collect()
    }

    /// Votes by option: option ids are integers, which as JSON keys are strings.
    async fn default_counts(&self) -> Result<BTreeMap<u64, u64>, ResultError> {
        self.get("result", "").await
    }

    async fn get<T: DeserializeOwned>(&self, route: &str, headers: &str) -> Result<T, ResultError> {
        let exchange = async {
            let mut connection = Connection::open(self.address).await.map_err(ExchangeError::Unconnected)?;
            connection.exchange(&self.target.get(route, headers)).await.map_err(ExchangeError::Failed)
        };
        let route = format!("{}/api/{route}", self.target);
        let response = timeout(self.response_max, exchange).await.unwrap_or(Err(ExchangeError::TimedOut));
        match response {
            Err(source) => Err(ResultError::NoResponse { route, source }),
            Ok(Response { status: 200, body, .. }) => {
                serde_json::from_slice(&body).map_err(|source| ResultError::Unreadable { route, source })
            }
            Ok(Response { status, .. }) => Err(ResultError::Status { route, status }),
        }
    }
}

impl Rehearsal {
    fn route(&self, below: &str) -> String {
        format!("v1/polls/{}{below}", self.slug)
    }

    fn header(&self) -> String {
        format!("throng-rehearsal: {}\r\n", self.pass)
    }
}

impl PollView {
    /// Why a load run can't vote in it, if it can't.
    fn obstacle(&self) -> Option<&'static str> {
        match self.policy.as_str() {
            _ if !self.rehearsal => Some("it isn't a rehearsal: voters vote there"),
            _ if self.state != "open" => Some("it isn't open"),
            _ if self.proof != "never" => Some("its ballots need a proof of work, which a load run doesn't make"),
            _ if !["single", "multiple"].contains(&self.kind.as_str()) => {
                Some("its ballots rank options or give them scores, which a load run doesn't do")
            }
            // Without a cookie, each ballot is of another device.
            "unlimited" | "device" => None,
            _ => Some("its policy identifies voters whom a load run can't be; create it with `unlimited` or `device`"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn poll(rehearsal: bool, state: &str, policy: &str, proof: &str) -> PollView {
        let (state, policy, proof) = (state.to_owned(), policy.to_owned(), proof.to_owned());
        let options = [1, 2, 7].map(|id| OptionView { id }).into();
        PollView { rehearsal, kind: "multiple".to_owned(), state, policy, proof, min_choices: 2, options }
    }

    #[test]
    fn load_votes_only_where_no_voter_does() {
        assert_eq!(poll(true, "open", "unlimited", "never").obstacle(), None);
        assert_eq!(poll(true, "open", "device", "never").obstacle(), None);
        for (poll, why) in [
            (PollView { kind: "ranked".to_owned(), ..poll(true, "open", "unlimited", "never") }, "rank options"),
            (poll(false, "open", "unlimited", "never"), "isn't a rehearsal"),
            (poll(true, "scheduled", "unlimited", "never"), "isn't open"),
            (poll(true, "open", "network", "never"), "policy"),
            (poll(true, "open", "device", "adaptive"), "proof"),
        ] {
            assert!(poll.obstacle().unwrap().contains(why), "{why}");
        }
    }

    #[test]
    fn ballots_choose_as_many_options_as_they_have_to() {
        let reader = PollReader {
            target: "http://vote.example".parse().unwrap(),
            address: ([127, 0, 0, 1], 80).into(),
            response_max: Duration::ZERO,
            poll: Poll::Default,
        };
        let rehearsal = Rehearsal { slug: "test".to_owned(), pass: "1.a".to_owned(), run: 1 };
        let ballots = reader.ballots(&rehearsal, &poll(true, "open", "unlimited", "never"));
        let texts: Vec<_> =
            (0..).zip(&ballots).map(|(n, ballot)| String::from_utf8(ballot.bytes(n).into()).unwrap()).collect();
        assert!(texts[0].starts_with("POST /api/v1/polls/test/ballots HTTP/1.1\r\n"), "{}", texts[0]);
        assert!(texts[0].contains("\r\nthrong-rehearsal: 1.a\r\n"), "{}", texts[0]);
        let id = "00000000-0000-0001-0000-000000000002";
        assert!(texts[2].ends_with(&format!("{{\"choices\":[7,1],\"ballot_id\":\"{id}\"}}")), "{}", texts[2]);
    }
}
