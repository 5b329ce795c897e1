//! A database file's header, and the marks in it by which a log is known to belong to its file.
//!
//! SQLite lays any valid log over any file that it finds beside it. A backup that was copied back while an old log was
//! left there would so become a mixture of both. Therefore this store counts its checkpoints in the header's
//! `application_id`, of which SQLite makes no use:
//!
//! - `sealed`, in the upper half, grows in the last commit before each checkpoint. A file of this number holds all that
//!   was committed up to there.
//! - `base`, in the lower half, is set to `sealed` in the first commit after a checkpoint that was complete: the log which
//!   begins there stands upon a file that is sealed with this number.
//!
//! So a file belongs to its log if what it is sealed with lies between the log's `base` and the log's `sealed`. Both
//! numbers come around after 65,536 checkpoints, which is why it is a difference that is compared. A new database
//! begins with a number by chance, so that one's log doesn't fit another. What this can't see: a log that another program
//! began by a checkpoint of its own, until this store's next one, a second later at the most.

/// The part of a database file's header that is of interest here (<https://www.sqlite.org/fileformat2.html#the_database_header>).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    /// Whether the file is written through a log.
    pub(super) through_log: bool,
    /// Grows with every change of the schema, and in a copy made by `VACUUM INTO`, whose pages are laid out anew.
    pub(super) schema_cookie: u32,
    pub(super) marks: Marks,
}

impl Header {
    /// The header's length.
    pub(super) const BYTES: usize = 100;

    /// `None` if it is no database's.
    pub(super) fn parse(bytes: &[u8; Self::BYTES]) -> Option<Self> {
        let word = |at: usize| u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        bytes.starts_with(b"SQLite format 3\0").then(|| Self {
            through_log: bytes[18] == 2,
            schema_cookie: word(40),
            marks: Marks::from_id(word(68).cast_signed()),
        })
    }
}

/// What `application_id` holds. Both 0: an older Throng's, which has none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Marks {
    sealed: u16,
    base: u16,
}

impl Marks {
    /// The most incomplete checkpoints that are counted after one another: half of the circle.
    const SPAN_MAX: u16 = 0x7fff;

    /// Those of a new database, from some random bits.
    pub(super) fn first(random: i64) -> Self {
        let [a, b, ..] = random.to_be_bytes();
        let sealed = u16::from_be_bytes([a, b]).max(1);
        Self { sealed, base: sealed }
    }

    pub(super) fn from_id(application_id: i32) -> Self {
        let [a, b, c, d] = application_id.to_be_bytes();
        Self { sealed: u16::from_be_bytes([a, b]), base: u16::from_be_bytes([c, d]) }
    }

    pub(super) fn id(self) -> i32 {
        let ([a, b], [c, d]) = (self.sealed.to_be_bytes(), self.base.to_be_bytes());
        i32::from_be_bytes([a, b, c, d])
    }

    pub(super) fn are_missing(self) -> bool {
        self == Self::default()
    }

    /// Those of the last commit before a checkpoint.
    pub(super) fn sealed_again(self) -> Self {
        let span = self.sealed.wrapping_sub(self.base);
        Self { sealed: if span < Self::SPAN_MAX { self.sealed.wrapping_add(1) } else { self.sealed }, ..self }
    }

    /// Those of the first commit after a complete one.
    pub(super) fn based(self) -> Self {
        Self { base: self.sealed, ..self }
    }

    /// Whether a log whose last commit has these marks stands upon a file that has `file`'s.
    pub(super) fn stand_upon(self, file: Self) -> bool {
        file.sealed.wrapping_sub(self.base) <= self.sealed.wrapping_sub(self.base)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_stands_upon_the_file_it_was_begun_on_and_no_older_or_newer_one() {
        let start = Marks { sealed: 0xfffe, base: 0xfffe };
        let (mut file, mut older) = (start, Vec::new());
        for _ in 0..5 {
            let log = file;
            assert!(log.stand_upon(file));
            // Incomplete at first; then the file has what was sealed either time.
            let first = log.sealed_again();
            let second = first.sealed_again();
            for marks in [file, first, second] {
                assert!(second.stand_upon(marks), "{second:?} {marks:?}");
            }
            let next = second.based();
            older.extend([file, first]);
            assert!(older.iter().all(|old| !next.stand_upon(*old)), "{next:?}");
            assert!(!next.stand_upon(next.sealed_again()));
            assert!(!next.stand_upon(Marks::first(1 << 62)), "another database's");
            file = next;
        }
    }

    #[test]
    fn marks_are_kept_in_one_number() {
        for marks in [Marks { sealed: 0xffff, base: 1 }, Marks { sealed: 1, base: 0x8000 }, Marks::first(i64::MIN)] {
            assert_eq!(Marks::from_id(marks.id()), marks);
        }
        assert!(Marks::from_id(0).are_missing() && !Marks::first(0).are_missing());
    }
}
