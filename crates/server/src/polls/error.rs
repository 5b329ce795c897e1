//! Why a poll wasn't changed.

use throng_domain::code::BatchName;
use throng_domain::policy::Policy;
use throng_domain::poll::Slug;
use throng_domain::poll_change::EditFault;
use throng_domain::store::StoreError;
use throng_domain::window::WindowFault;

/// Why a poll wasn't changed. Nothing was, except where [`Self::Store`] says that the outcome is unknown.
#[derive(Debug, thiserror::Error)]
pub enum PollError {
    /// There is no poll with this slug.
    #[error("there is no poll `{slug}`")]
    NotFound {
        /// The slug.
        slug: Slug,
        /// The latest of the existing polls.
        named: Vec<Slug>,
        /// Whether there are more.
        more: bool,
    },
    /// Another poll has this slug.
    #[error("{0}")]
    SlugTaken(String),
    /// The poll would break these rules.
    #[error("the poll can't be created:\n  {}", .0.join("\n  "))]
    Invalid(Vec<String>),
    /// The close was given as a delay after the opening, and the poll has none.
    #[error("a delay until the close counts from the opening, which isn't set")]
    NoOpeningToCountFrom,
    /// The poll can't be opened or closed as requested.
    #[error("the poll `{slug}` can't be opened or closed so")]
    Window {
        /// Its slug.
        slug: Slug,
        /// Why not.
        fault: WindowFault,
    },
    /// The poll can't be edited so.
    #[error("the poll `{slug}` can't be changed so: {fault}")]
    Edit {
        /// Its slug.
        slug: Slug,
        /// Why not.
        fault: EditFault,
    },
    /// The poll was changed since the version that the caller has seen.
    #[error("the poll `{slug}` is at version {version}, not {expected}: it was changed meanwhile; look at it again")]
    OtherVersion {
        /// Its slug.
        slug: Slug,
        /// The version that the caller has seen.
        expected: u64,
        /// Its version now.
        version: u64,
    },
    /// The poll is to become a rehearsal, or to stop being one.
    #[error(
        "the poll `{slug}` {}; that was decided when it was created, for good. Create another poll for the other purpose",
        if *rehearsal { "is a rehearsal" } else { "isn't a rehearsal" }
    )]
    RehearsalForGood {
        /// Its slug.
        slug: Slug,
        /// Whether it is one.
        rehearsal: bool,
    },
    /// Load runs may vote in rehearsals only.
    #[error("the poll `{0}` isn't a rehearsal, so no load run may vote in it; create one with --rehearsal")]
    NotARehearsal(Slug),
    /// There is no show with this slug.
    #[error("there is no show `{0}`; see `throng show list`")]
    ShowNotFound(Slug),
    /// The show would break these rules.
    #[error("the show can't be so:\n  {}", .0.join("\n  "))]
    InvalidShow(Vec<String>),
    /// The show was changed since the version that the caller has seen.
    #[error("the show `{slug}` is at version {version}, not {expected}: it was changed meanwhile; look at it again")]
    OtherShowVersion {
        /// Its slug.
        slug: Slug,
        /// The version that the caller has seen.
        expected: u64,
        /// Its version now.
        version: u64,
    },
    /// A pass can't be valid until that time.
    #[error("{0}")]
    InvalidPass(String),
    /// The poll has no codes: its policy is another one.
    #[error("the poll `{slug}` has the policy `{}`, so it has no codes; they are for polls created with --policy code", policy.as_str())]
    HasNoCodes {
        /// Its slug.
        slug: Slug,
        /// Its policy.
        policy: Policy,
    },
    /// The poll has no batch of this name.
    #[error("the poll `{slug}` has no batch `{name}`; see `throng poll codes list {slug}`")]
    NoSuchBatch {
        /// Its slug.
        slug: Slug,
        /// The name.
        name: BatchName,
    },
    /// The poll's result may still change.
    #[error(
        "the result of the poll `{0}` isn't final yet, so there is no record of it; close the poll, then wait until `throng poll show {0}` says final"
    )]
    NotFinal(Slug),
    /// The ballots that were read are not those that were counted.
    #[error(
        "the ballots of the poll `{0}` don't add up to what counts and what doesn't, so there is no record of it; keep a copy of the database"
    )]
    RecordDisagrees(Slug),
    /// Other changes were faster each time. The same change may succeed when there is less load.
    #[error("nothing was changed; try again when there is less load")]
    Busy(#[source] StoreError),
    /// The tallies were corrected, and differ from the ballots again.
    #[error(
        "the tallies of `{0}` were corrected, and differ again: is another repair running, or is the poll being changed? Run this again"
    )]
    DiffersAgain(Slug),
    /// The store's error.
    #[error(transparent)]
    Store(#[from] StoreError),
}
