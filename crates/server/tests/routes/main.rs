//! The routes, over real connections to a whole server.

#[path = "../support/mod.rs"]
mod support;

mod original;
