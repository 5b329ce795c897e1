//! What Throng's tests have in common. A test fails, by a panic, where anything here can't go on.
//!
//! - [`ChaosProxy`] injects faults between a client and any server.
//! - [`ThrongProcess`] is a real `throng`, with its log; [`DataDir`] is where one after the other runs.
//! - [`Connection`] and [`Client`] speak HTTP; [`log`](mod@log) keeps what this process logs.
//! - [`solve`] makes the proof of work that a ballot may need; [`TokenSigner`] signs the tokens of a publisher's users.
//! - [`eventually`] and its variants wait for what has no event.
//! - With the feature `server`: `TestServer` is a whole server in the test's process; `ApiDescription` is the document that describes
//!   its API, to which every answer is compared.
#![allow(clippy::unwrap_used, reason = "a test fails where it can't go on")]
#![allow(clippy::new_without_default, reason = "what is made takes time and room: nobody gets it by default")]

#[cfg(feature = "server")]
mod api_description;
mod chaos_proxy;
mod environment;
mod http;
pub mod log;
mod process;
mod proof;
#[cfg(feature = "server")]
mod server;
mod token_signer;
mod wait;

#[cfg(feature = "server")]
pub use self::api_description::ApiDescription;
pub use self::chaos_proxy::{ChaosProxy, Fault, Response};
pub use self::environment::{built_throng, directory_on_disk, throng_under_test, variable};
pub use self::http::{Answer, Client, Connection, Reply};
pub use self::process::{DataDir, Lines, ThrongProcess, throng};
pub use self::proof::solve;
#[cfg(feature = "server")]
pub use self::server::{CORES, GatedStore, NOW, TestDatabase, TestServer, codes, polls};
pub use self::token_signer::TokenSigner;
pub use self::wait::{WAIT_MAX, eventually, eventually_async, wait_until, within};
