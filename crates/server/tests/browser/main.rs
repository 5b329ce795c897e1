//! The page, voted in with a real browser. Screenshots go to `target/screenshots`.
//!
//! Needs Chromium and its driver: Debian's packages `chromium` and `chromium-driver`.
#![allow(clippy::unwrap_used, reason = "a test fails where it can't go on")]

#[path = "../support/mod.rs"]
mod support;

#[path = "../pages/polls.rs"]
mod polls;

mod appearance;
mod browser;
mod lost_responses;
mod voting;
mod without_script;
