//! TLS without a proxy, over real connections to a whole server.
#![allow(clippy::unwrap_used, reason = "a test fails where it can't go on")]

#[path = "../support/mod.rs"]
mod support;

mod certificate;
mod client;
mod floods;
mod frames;
mod handshakes;
mod http2;
mod limits;
mod openings;
mod reload;
mod settings;
mod shutdown;
mod slow;
mod unread;
mod votes;
