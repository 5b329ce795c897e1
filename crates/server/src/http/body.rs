//! Request bodies, whole and small.

use axum::body::HttpBody as Body;
use axum::extract::{FromRequest, Request};
use bytes::Bytes;
use http_body_util::BodyExt as _;

use super::error::Problem;

/// The largest body that any route takes, in bytes.
pub const BODY_BYTES_MAX: usize = 16 * 1024;

/// A request's whole body. How long it may take to arrive is bounded where the connection is served.
#[derive(Debug)]
pub struct WholeBody(pub Bytes);

impl<S: Sync> FromRequest<S> for WholeBody {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        read(request.into_body()).await.map(Self)
    }
}

/// The whole of `body`, if it isn't too large.
///
/// # Errors
/// [`Problem::TooLarge`], or [`Problem::BodyUnreadable`] if it ends early.
pub async fn read(mut body: impl Body<Data = Bytes> + Unpin) -> Result<Bytes, Problem> {
    // A length that is announced is refused before it is sent.
    if body.size_hint().lower() > BODY_BYTES_MAX as u64 {
        return Err(Problem::TooLarge);
    }
    let mut whole = Bytes::new();
    while let Some(frame) = body.frame().await {
        let Ok(part) = frame.map_err(|_| Problem::BodyUnreadable)?.into_data() else { continue };
        if whole.len() + part.len() > BODY_BYTES_MAX {
            return Err(Problem::TooLarge);
        }
        // Nearly every body comes in one part, which needs no copy.
        whole = if whole.is_empty() { part } else { [whole, part].concat().into() };
    }
    Ok(whole)
}
