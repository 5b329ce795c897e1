//! The pages' style sheet and scripts, embedded in the binary.

use axum::body::Body;
use axum::extract::Path;
use axum::response::{IntoResponse as _, Response};
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue, X_CONTENT_TYPE_OPTIONS};

use super::super::problem::Problem;

/// The style sheet.
pub const CSS: Asset = Asset::new("css", "text/css; charset=utf-8", include_str!("../../../../../web/poll.css"));

/// The script that sends a vote and shows its result without leaving the page.
pub const JS: Asset = Asset::new("js", "text/javascript; charset=utf-8", include_str!("../../../../../web/poll.js"));

/// The worker that solves challenges, for polls that ask for a proof of work.
pub const SOLVER: Asset =
    Asset::new("js", "text/javascript; charset=utf-8", include_str!("../../../../../web/proof.js"));

/// The script that gives a ballot its id. Inline in the page, since it has to run before the ballot can be sent.
pub const BALLOT_ID_SCRIPT: &str = include_str!("../../../../../web/ballot_id.js");

/// The script that gives the options an order of the ballot's own. Inline in the page, since it has to run before they are painted.
pub const OPTION_ORDER_SCRIPT: &str = include_str!("../../../../../web/option_order.js");

/// A file that the pages load.
#[derive(Debug)]
pub struct Asset {
    extension: &'static str,
    media_type: &'static str,
    content: &'static str,
    fingerprint: u64,
}

impl Asset {
    const fn new(extension: &'static str, media_type: &'static str, content: &'static str) -> Self {
        Self { extension, media_type, content, fingerprint: fingerprint(content.as_bytes()) }
    }

    /// Its address, which changes with its content, so that a browser may cache it forever. A node with another version of it
    /// responds with 404 there, which isn't cached.
    pub fn path(&self) -> String {
        format!("/assets/{}", self.name())
    }

    fn name(&self) -> String {
        format!("poll-{:016x}.{}", self.fingerprint, self.extension)
    }
}

/// `GET /assets/{name}`.
pub(super) async fn show(name: Result<Path<String>, axum::extract::rejection::PathRejection>) -> Response {
    let asset = name.ok().and_then(|Path(name)| [CSS, JS, SOLVER].into_iter().find(|asset| asset.name() == name));
    let Some(asset) = asset else { return Problem::NotFound.into_response() };
    let mut response = Response::new(Body::from(asset.content));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(asset.media_type));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=31536000, immutable"));
    response
}

/// FNV-1a. It distinguishes versions of these files and is not meant to resist attacks.
const fn fingerprint(content: &[u8]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let mut at = 0;
    while at < content.len() {
        hash = (hash ^ content[at] as u64).wrapping_mul(0x0100_0000_01b3);
        at += 1;
    }
    hash
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn solver_is_below_one_kilobyte() {
        assert!(SOLVER.content.len() < 1_024, "{} bytes", SOLVER.content.len());
    }

    #[test]
    fn fingerprint_is_fnv_1a() {
        assert_eq!(fingerprint(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fingerprint(b"foobar"), 0x8594_4171_f739_67e8);
    }
}
