//! Throng with votes that have tokens, as of a publisher's users.

use std::path::{Path, PathBuf};

use super::new_poll;
use super::request::Request;
use super::server::Server;

/// The poll, which is also the audience of the tokens.
pub const SLUG: &str = "signed";

/// A server on a new file with a poll, and the tokens of its votes.
#[derive(Clone, Debug)]
pub struct SignedVotes {
    /// Its program.
    pub throng: PathBuf,
    /// The file with a token in each line.
    pub tokens: PathBuf,
    /// The file with the key that verifies them.
    pub keys: PathBuf,
    /// What its poll is created with.
    pub poll: &'static [&'static str],
}

impl SignedVotes {
    /// Starts the server, with its file in `directory`.
    ///
    /// # Errors
    /// If it doesn't respond.
    pub fn start(&self, directory: &Path) -> anyhow::Result<Server> {
        let database = new_poll::create(&self.throng, directory, SLUG, self.poll)?;
        Server::start(&self.throng, directory, Request::Result, |command, address| {
            command.args(["--listen", &address.to_string(), "--database-url", &database]);
            command.env("DEFAULT_POLL", SLUG).env("APP_ENV", "prod").env("VOTER_KEYS", &self.keys);
            Ok(())
        })
    }

    /// The header of its votes: another token in each request.
    pub fn header(&self) -> String {
        format!("Throng-Voter: @{}", self.tokens.display())
    }
}
