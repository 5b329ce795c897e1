//! Request bodies, read whole and limited in size.

use std::error::Error;
use std::io;

use axum::BoxError;
use axum::body::HttpBody as Body;
use axum::extract::{FromRequest, Request};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use hyper::HeaderMap;
use hyper::header::CONTENT_ENCODING;

use super::problem::Problem;

/// The largest body that a route for voters accepts, in bytes.
pub const BODY_BYTES_MAX: usize = 16 * 1024;

/// A request's whole body. The connection's timeouts limit how long it may take to arrive.
#[derive(Debug)]
pub struct WholeBody(pub Bytes);

impl<S: Sync> FromRequest<S> for WholeBody {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        require_no_coding(request.headers())?;
        read(request.into_body(), BODY_BYTES_MAX).await.map(Self)
    }
}

/// Rejects a body that is compressed or has another content coding: none is decoded.
///
/// # Errors
/// [`Problem::UnsupportedContentEncoding`].
pub fn require_no_coding(headers: &HeaderMap) -> Result<(), Problem> {
    let mut codings = headers.get_all(CONTENT_ENCODING).iter();
    let plain = codings.all(|coding| coding.as_bytes().trim_ascii().eq_ignore_ascii_case(b"identity"));
    if plain { Ok(()) } else { Err(Problem::UnsupportedContentEncoding) }
}

/// The whole of `body`, if it is at most `bytes_max` long.
///
/// # Errors
/// [`Problem::TooLarge`], [`Problem::RequestTimeout`], or [`Problem::BodyUnreadable`] if it ends early.
pub async fn read(
    mut body: impl Body<Data = Bytes, Error: Into<BoxError>> + Unpin,
    bytes_max: usize,
) -> Result<Bytes, Problem> {
    // A declared length that is too large is rejected before the body is sent.
    if body.size_hint().lower() > bytes_max as u64 {
        return Err(Problem::TooLarge { bytes_max });
    }
    let first = next_part(&mut body, bytes_max, bytes_max).await?.unwrap_or_default();
    // Nearly every body arrives in one part, which needs no copy.
    if body.is_end_stream() {
        return Ok(first);
    }
    let mut whole = BytesMut::from(first);
    while let Some(part) = next_part(&mut body, bytes_max - whole.len(), bytes_max).await? {
        whole.extend_from_slice(&part);
    }
    Ok(whole.freeze())
}

/// The next part of a body of at most `bytes_max`; `None` at its end. An error if the part is larger than what is `left` of that.
async fn next_part(
    body: &mut (impl Body<Data = Bytes, Error: Into<BoxError>> + Unpin),
    left: usize,
    bytes_max: usize,
) -> Result<Option<Bytes>, Problem> {
    while let Some(frame) = body.frame().await {
        // Trailers are ignored.
        let Ok(part) = frame.map_err(|error| unreadable(&*error.into()))?.into_data() else { continue };
        return if part.len() > left { Err(Problem::TooLarge { bytes_max }) } else { Ok(Some(part)) };
    }
    Ok(None)
}

fn unreadable(error: &(dyn Error + 'static)) -> Problem {
    let mut causes = std::iter::successors(Some(error), |&error| error.source());
    let timed_out = |error: &io::Error| error.kind() == io::ErrorKind::TimedOut;
    if causes.any(|cause| cause.downcast_ref().is_some_and(timed_out)) {
        Problem::RequestTimeout
    } else {
        Problem::BodyUnreadable
    }
}
