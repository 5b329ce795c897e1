//! Shows: created, changed and deleted.

use schemars::JsonSchema;
use serde::Deserialize;
use throng_domain::poll::Slug;
use throng_domain::show::Show;

use super::{PollError, PollService};

/// A show as it is to be.
#[derive(Clone, Debug, JsonSchema, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShowDefinition {
    /// Its public name, by which it is recognized.
    pub slug: Slug,
    /// What it is called.
    pub title: String,
    /// Its polls, in their order; drafts may be among them.
    pub polls: Vec<Slug>,
}

impl PollService<'_> {
    /// The show with this slug.
    ///
    /// # Errors
    /// [`PollError::ShowNotFound`], or those of the store.
    pub async fn find_show(&self, slug: &Slug) -> Result<Show, PollError> {
        let shows = self.store.shows().await?;
        shows.into_iter().find(|show| show.slug == *slug).ok_or_else(|| PollError::ShowNotFound(slug.clone()))
    }

    /// Creates a show.
    ///
    /// # Errors
    /// [`PollError::InvalidShow`]; [`StoreError::Conflict`](throng_domain::store::StoreError::Conflict) if another one has the slug; or those of
    /// the store.
    pub async fn create_show(&self, ShowDefinition { slug, title, polls }: ShowDefinition) -> Result<Show, PollError> {
        let show = Show { slug, title, polls, version: 1 };
        self.put_show(show, &[]).await
    }

    /// Changes a show: its title, its polls, or both.
    ///
    /// # Errors
    /// As for [`Self::create_show`], and [`PollError::ShowNotFound`] and [`PollError::OtherShowVersion`].
    pub async fn edit_show(
        &self,
        slug: &Slug,
        title: Option<String>,
        polls: Option<Vec<Slug>>,
    ) -> Result<Show, PollError> {
        let before = self.find_show_to_change(slug).await?;
        let (title, polls) = (title.unwrap_or(before.title.clone()), polls.unwrap_or(before.polls.clone()));
        if title == before.title && polls == before.polls {
            return Ok(before);
        }
        let show = Show { title, polls, slug: before.slug, version: before.version + 1 };
        self.put_show(show, &before.polls).await
    }

    /// Deletes a show, and returns what it was; its polls stay.
    ///
    /// # Errors
    /// As for [`Self::edit_show`].
    pub async fn delete_show(&self, slug: &Slug) -> Result<Show, PollError> {
        let show = self.find_show_to_change(slug).await?;
        self.store.delete_show(&show, self.author).await?;
        Ok(show)
    }

    async fn find_show_to_change(&self, slug: &Slug) -> Result<Show, PollError> {
        let show = self.find_show(slug).await?;
        match self.version {
            Some(expected) if expected != show.version => {
                Err(PollError::OtherShowVersion { slug: slug.clone(), expected, version: show.version })
            }
            Some(_) | None => Ok(show),
        }
    }

    /// Stores the show, whose new polls have to exist, and may not be rehearsals.
    async fn put_show(&self, show: Show, known: &[Slug]) -> Result<Show, PollError> {
        let mut faults = show.faults();
        if faults.is_empty() {
            for slug in show.polls.iter().filter(|slug| !known.contains(slug)) {
                match self.store.poll(slug).await? {
                    Some(poll) if poll.rehearsal => {
                        faults.push(format!("the poll `{slug}` is a rehearsal, which isn't shown"))
                    }
                    Some(_) => {}
                    None => faults.push(format!("there is no poll `{slug}`; create it first, as a draft if need be")),
                }
            }
        }
        if !faults.is_empty() {
            return Err(PollError::InvalidShow(faults));
        }
        self.store.put_show(&show, self.author).await?;
        Ok(show)
    }
}
