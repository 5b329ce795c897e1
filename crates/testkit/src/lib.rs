//! What Throng's tests have in common. A test fails, by a panic, where anything here can't go on.
#![allow(clippy::unwrap_used, reason = "a test fails where it can't go on")]

mod chaos_proxy;
mod wait;

pub use self::chaos_proxy::{ChaosProxy, Fault, Response};
pub use self::wait::{WAIT_MAX, eventually, eventually_async, wait_until, within};
