//! Every text that a page shows or that its script does, in one table per language.

mod english;
mod table;

use throng_domain::poll::{Locale, Poll};

use self::english::ENGLISH;
pub use self::table::{DisplayTime, PlainText, Plural, Texts};

/// The texts for a page of `poll`, in English where there are none in its language.
pub fn of(poll: &Poll) -> &'static Texts {
    match poll.locale {
        Locale::English
        | Locale::TraditionalChinese
        | Locale::SimplifiedChinese
        | Locale::Japanese
        | Locale::Spanish
        | Locale::Arabic => &ENGLISH,
    }
}

/// The texts for a page without a poll.
pub fn without_poll() -> &'static Texts {
    &ENGLISH
}
