//! Browsers, third-party clients and proxies in front of a server, what reads the description of its API, and the docs' programs in other
//! languages. `cargo xtask test` installs the programs that these tests need.
#![allow(clippy::print_stdout, reason = "some tests report what they did")]
#![allow(clippy::unwrap_used, reason = "a test fails where it can't go on")]

mod front;
mod webdriver;

mod api;
mod browser;
mod proxies;
mod receivers;
mod signers;
