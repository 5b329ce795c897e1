//! Polls counted, and files of rankings read, by programs other than Throng. `cargo xtask test` installs these and says with
//! `THRONG_TEST_RECOUNT` where they are.

mod elections;
mod files;
mod recount;
mod run_offs;
