//! The routes, over real connections to a whole server.

mod adaptive;
mod ballots;
mod changes;
mod codes;
mod compat;
mod cors;
mod dashboard;
mod edits;
mod errors;
mod fast_path;
mod framing;
mod large_bodies;
mod limits;
mod network_limit;
mod operations;
mod origin;
mod overload;
mod polls;
mod proof;
mod request_log;
mod results;
mod shutdown;
mod signed;
mod visibility;
mod voids;
mod voters;
