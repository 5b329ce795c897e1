//! The page, voted in with a real browser. Screenshots go to `target/screenshots`.
//!
//! Needs Chromium and its driver: Debian's packages `chromium` and `chromium-driver`.

#[path = "../support/mod.rs"]
mod support;

#[path = "../pages/polls.rs"]
mod polls;

mod appearance;
mod browser;
mod voting;
