//! Request bodies, whole and small.

use axum::body::HttpBody as Body;
use axum::extract::{FromRequest, Request};
use bytes::{Bytes, BytesMut};
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
    let first = next_part(&mut body, BODY_BYTES_MAX).await?.unwrap_or_default();
    // Nearly every body comes in one part, which needs no copy.
    if body.is_end_stream() {
        return Ok(first);
    }
    let mut whole = BytesMut::from(first);
    while let Some(part) = next_part(&mut body, BODY_BYTES_MAX - whole.len()).await? {
        whole.extend_from_slice(&part);
    }
    Ok(whole.freeze())
}

/// The next part of a body, if it has at most `bytes_max`; `None` at its end.
async fn next_part(body: &mut (impl Body<Data = Bytes> + Unpin), bytes_max: usize) -> Result<Option<Bytes>, Problem> {
    while let Some(frame) = body.frame().await {
        // What comes after the last part, in trailers, nobody reads.
        let Ok(part) = frame.map_err(|_| Problem::BodyUnreadable)?.into_data() else { continue };
        return if part.len() > bytes_max { Err(Problem::TooLarge) } else { Ok(Some(part)) };
    }
    Ok(None)
}
