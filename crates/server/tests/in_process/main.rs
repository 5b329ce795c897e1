//! A whole server in the test's own process, over real connections. These tests need nothing but Rust.
#![allow(clippy::unwrap_used, reason = "a test fails where it can't go on")]

mod behind_broker;
mod intake;
mod pages;
mod routes;
mod tls;
mod webhooks;
