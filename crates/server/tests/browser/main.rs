//! The page, voted in with a real browser. Screenshots go to `target/screenshots`.
//!
//! Needs Chromium and its driver: Debian's packages `chromium` and `chromium-driver`; and the proxies that `deploy/` has
//! configurations of.
#![allow(clippy::print_stdout, reason = "some tests report what they did")]
#![allow(clippy::unwrap_used, reason = "a test fails where it can't go on")]

#[path = "../support/mod.rs"]
mod support;

#[path = "../pages/polls.rs"]
mod polls;

#[path = "../proxies/front/mod.rs"]
mod front;

mod appearance;
mod browser;
mod lost_responses;
mod voting;
mod without_script;
