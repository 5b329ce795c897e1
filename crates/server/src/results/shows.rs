//! The shows that this process serves: all of them, as they were last read.

use std::sync::Arc;

use arc_swap::ArcSwap;
use throng_domain::show::Show;
use throng_domain::store::{Store, StoreError};

/// Every show, by its slug.
#[derive(Debug, Default)]
pub struct LiveShows(ArcSwap<Vec<Arc<Show>>>);

impl LiveShows {
    /// Reads all shows: a few hundred small rows at the most.
    ///
    /// # Errors
    /// Those of the store; the known shows stay.
    pub async fn reload(&self, store: &dyn Store) -> Result<(), StoreError> {
        let shows = store.shows().await?;
        self.0.store(Arc::new(shows.into_iter().map(Arc::new).collect()));
        Ok(())
    }

    /// The show with this slug.
    pub fn find(&self, slug: &str) -> Option<Arc<Show>> {
        self.0.load().iter().find(|show| show.slug.as_str() == slug).cloned()
    }
}
