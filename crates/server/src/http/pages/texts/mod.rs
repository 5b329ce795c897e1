//! Every text that a page shows or that its script does, in one table per language.

mod english;
mod table;

use throng_domain::poll::Poll;

use self::english::ENGLISH;
pub use self::table::{DisplayTime, PlainText, Plural, Texts};

/// The texts for a page of `poll`. Polls have no language yet.
pub fn of(_poll: &Poll) -> &'static Texts {
    &ENGLISH
}

/// The texts for a page without a poll.
pub fn without_poll() -> &'static Texts {
    &ENGLISH
}
