//! The page, voted in with a real browser. Screenshots go to `target/screenshots`.
//!
//! Needs Chromium and its driver: Debian's packages `chromium` and `chromium-driver`; and the proxies that `deploy/` has
//! configurations of.

mod appearance;
mod codes;
mod hostile_texts;
mod lost_responses;
mod option_order;
mod proof;
mod ranking;
mod shows;
mod voters;
mod voting;
mod without_script;
