//! A database file's header, and the marks in it by which a log is matched to its file.
//!
//! SQLite applies any valid log to any file that it finds beside it. A backup copied back while an old log was left
//! there would become a mixture of both. Therefore this store counts its checkpoints in the header's `application_id`,
//! which SQLite doesn't use:
//!
//! - `sealed`, in the upper half, grows in the last commit before each checkpoint. A file with this number contains all
//!   that was committed up to there.
//! - `base`, in the lower half, is set to that number in the first commit after a complete checkpoint: the log that begins
//!   there is based on a file that is sealed with this number, or with a later one.
//!
//! So a file belongs to its log if its `sealed` lies between the log's `base` and the log's `sealed`. Both numbers wrap
//! around after 65,536 checkpoints, so differences are compared. A new database begins with a random number, so that
//! its log doesn't fit another database. What this can't detect: a log that another program began by a checkpoint of
//! its own, until this store's next one, at most a second later.

/// The part of a database file's header that is used here (<https://www.sqlite.org/fileformat2.html#the_database_header>).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    /// Whether the file is in WAL mode.
    pub(super) is_wal: bool,
    /// Grows with every change of the schema, and in a copy made by `VACUUM INTO`, whose pages are rewritten.
    pub(super) schema_cookie: u32,
    pub(super) marks: Marks,
}

impl Header {
    /// The header's length.
    pub(super) const BYTES: usize = 100;

    /// `None` if it isn't the header of a database.
    pub(super) fn parse(bytes: &[u8; Self::BYTES]) -> Option<Self> {
        let word = |at: usize| u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        bytes.starts_with(b"SQLite format 3\0").then(|| Self {
            is_wal: bytes[18] == 2,
            schema_cookie: word(40),
            marks: Marks::from_id(word(68).cast_signed()),
        })
    }
}

/// The content of `application_id`. Both 0: a file of an older Throng, which has no marks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Marks {
    sealed: u16,
    base: u16,
}

impl Marks {
    /// The most consecutive incomplete checkpoints that are counted: half of the number range.
    const SPAN_MAX: u16 = 0x7fff;

    /// The marks of a new database, from random bits.
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

    /// The marks of the last commit before a checkpoint.
    pub(super) fn sealed_again(self) -> Self {
        let span = self.sealed.wrapping_sub(self.base);
        Self { sealed: if span < Self::SPAN_MAX { self.sealed.wrapping_add(1) } else { self.sealed }, ..self }
    }

    /// The marks of a commit after a complete checkpoint, whose last commit had the marks `copied`: from there on the log is based on
    /// a file that contains at least that. Another store's checkpoint may have begun since, or already have gone further.
    pub(super) fn based_on(self, copied: Self) -> Self {
        let ahead = copied.sealed.wrapping_sub(self.base);
        Self { base: if ahead <= self.sealed.wrapping_sub(self.base) { copied.sealed } else { self.base }, ..self }
    }

    /// Whether a log whose last commit has these marks is based on a file that has `file`'s.
    pub(super) fn are_based_on(self, file: Self) -> bool {
        file.sealed.wrapping_sub(self.base) <= self.sealed.wrapping_sub(self.base)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log_is_based_only_on_the_file_it_was_begun_on() {
        let start = Marks { sealed: 0xfffe, base: 0xfffe };
        let (mut file, mut older) = (start, Vec::new());
        for _ in 0..5 {
            let log = file;
            assert!(log.are_based_on(file));
            // Incomplete at first; then the file has the marks of either checkpoint.
            let first = log.sealed_again();
            let second = first.sealed_again();
            for marks in [file, first, second] {
                assert!(second.are_based_on(marks), "{second:?} {marks:?}");
            }
            let next = second.based_on(second);
            older.extend([file, first]);
            assert!(older.iter().all(|old| !next.are_based_on(*old)), "{next:?}");
            assert!(!next.are_based_on(next.sealed_again()));
            assert!(!next.are_based_on(Marks::first(1 << 62)), "another database's");
            file = next;
        }
    }

    /// Each step of one store may come between any two of the other's.
    #[test]
    fn checkpoints_of_two_stores_never_lose_the_file() {
        let start = Marks { sealed: 0xfffe, base: 0xfffe };
        // Of each store's checkpoint: its seal, its copy, its base. The bits say whose turn it is.
        for turns in 0..1_u32 << 12 {
            let (mut log, mut file, mut steps, mut sealed) = (start, start, [0, 0], [start, start]);
            for turn in 0..12 {
                let store = usize::from(turns & (1 << turn) != 0);
                match steps[store] % 3 {
                    0 => {
                        log = log.sealed_again();
                        sealed[store] = log;
                    }
                    1 => file = log,
                    _ => log = log.based_on(sealed[store]),
                }
                steps[store] += 1;
                assert!(log.are_based_on(file), "{turns:012b}, turn {turn}: {log:?} {file:?}");
            }
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
