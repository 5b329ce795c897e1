//! A ranked poll's rankings in the formats that other programs count.

use throng_domain::poll::{Kind, Poll};
use throng_domain::store::{Store, StoreError};
use throng_domain::tabulation::{Profile, write_blt, write_soi};

use crate::view::rankings;

/// A format of rankings: each one with the number of ballots that have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RankingFormat {
    /// That of the Electoral Reform Society and of OpaVote.
    Blt,
    /// PrefLib's, of strict and incomplete orders.
    Soi,
}

impl RankingFormat {
    /// The ending of a file's name.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Blt => "blt",
            Self::Soi => "soi",
        }
    }
}

/// The rankings of `poll` that count; `None` if its ballots don't rank options. One ranking may be one person's: they are for the poll's
/// operators.
///
/// # Errors
/// Those of the store.
pub async fn rankings_text(
    store: &dyn Store,
    poll: &Poll,
    format: RankingFormat,
) -> Result<Option<String>, StoreError> {
    if poll.kind != Kind::Ranked {
        return Ok(None);
    }
    let rankings = rankings(store.detailed_tallies(poll.id).await?.details);
    let options: Vec<_> = poll.options.iter().map(|option| (option.id, option.label.as_str())).collect();
    let title = if poll.rehearsal { format!("REHEARSAL: {}", poll.title) } else { poll.title.clone() };
    let profile = Profile { title: &title, options: &options, rankings: &rankings };
    let mut text = String::new();
    let written = match format {
        RankingFormat::Blt => write_blt(&mut text, &profile),
        RankingFormat::Soi => write_soi(&mut text, &format!("{}.soi", poll.slug), &profile),
    };
    written.expect("writing to a String can't fail");
    Ok(Some(text))
}
