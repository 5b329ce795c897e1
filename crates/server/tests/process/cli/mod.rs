//! The command line: the binary itself, in a directory of its own, without an environment.

mod backup;
mod codes;
mod configuration;
mod container;
mod edits;
mod import_php;
mod import_polls;
mod logging;
mod manual;
mod polls;
mod record;
mod rehearsal;
mod schema;
mod serving;
mod shows;
mod tokens;
mod voids;
mod waiting;
mod webhooks;
mod workspace;
