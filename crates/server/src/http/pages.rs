//! The pages that voters see.

use std::sync::Arc;

use axum::Router;

use crate::app::CoreState;

/// The pages' routes.
pub fn router() -> Router<Arc<CoreState>> {
    Router::new()
}
