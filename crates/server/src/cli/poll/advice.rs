//! Errors of [`crate::polls`], with what to do on the command line.

use throng_domain::poll::Slug;
use throng_domain::window::WindowFault;

use crate::polls::PollError;
use crate::view::rfc3339_text;

/// The error, and what to do instead.
pub(in crate::cli) fn advise(error: PollError) -> anyhow::Error {
    let text = match error {
        PollError::NotFound { slug, named, more } => not_found(&slug, &named, more),
        PollError::NoOpeningToCountFrom => {
            "a delay in --closes-at counts from the opening: give --opens-at too, or an \
                                            absolute time to close at"
                .to_owned()
        }
        PollError::Window { slug, fault } => fault_text(&slug, fault),
        PollError::SlugTaken(_)
        | PollError::Invalid(_)
        | PollError::Busy(_)
        | PollError::DiffersAgain(_)
        | PollError::Edit { .. }
        | PollError::OtherVersion { .. }
        | PollError::RehearsalForGood { .. }
        | PollError::NotARehearsal(_)
        | PollError::InvalidPass(_)
        | PollError::ShowNotFound(_)
        | PollError::InvalidShow(_)
        | PollError::OtherShowVersion { .. }
        | PollError::HasNoCodes { .. }
        | PollError::NoSuchBatch { .. }
        | PollError::NotFinal(_)
        | PollError::RecordDisagrees(_)
        | PollError::Store(_) => return error.into(),
    };
    anyhow::Error::msg(text)
}

/// The error about a poll that doesn't exist, with the latest of those that do.
fn not_found(slug: &Slug, named: &[Slug], more: bool) -> String {
    let mut known = named.iter().map(Slug::as_str).collect::<Vec<_>>().join(", ");
    if more {
        known.push_str(" and more, see `throng poll list`");
    }
    match named.len() {
        0 => format!("there is no poll `{slug}`, nor any other; make one with `throng poll create`"),
        1 => format!("there is no poll `{slug}`; the only one is {known}"),
        _ => format!("there is no poll `{slug}`; there are {known}"),
    }
}

/// The error, and what to do instead.
fn fault_text(slug: &Slug, fault: WindowFault) -> String {
    match fault {
        WindowFault::Draft => {
            format!("the poll `{slug}` is a draft, so there is nothing to close; to open it: throng poll open {slug}")
        }
        WindowFault::NotOpenYet { opens_at } => format!(
            "the poll `{slug}` opens only at {}; close it --at a later moment, or open it later: throng poll open \
             {slug} --at WHEN",
            rfc3339_text(opens_at)
        ),
        WindowFault::Open { opens_at } => format!(
            "the poll `{slug}` is open already, from {} on; to set when it closes: throng poll close {slug} --at WHEN",
            rfc3339_text(opens_at)
        ),
        WindowFault::Closed { closes_at } => format!(
            "the poll `{slug}` is closed already, since {}; to let it take ballots again: throng poll open {slug} \
             --again",
            rfc3339_text(closes_at)
        ),
        WindowFault::NotClosed => {
            format!("the poll `{slug}` isn't closed, so it can't be opened again; see throng poll show {slug}")
        }
        WindowFault::ClosesInThePast { closes_at } => format!(
            "{} has passed, and what was counted since would have come too late; choose a later moment to close \
             `{slug}`",
            rfc3339_text(closes_at)
        ),
        WindowFault::ClosesBeforeOpening { opens_at, closes_at } => format!(
            "the poll `{slug}` would close at {}, before it opens at {}; give a later --closes-at",
            rfc3339_text(closes_at),
            rfc3339_text(opens_at)
        ),
    }
}
