//! What a page may load, run and send, and which pages may frame it: its `Content-Security-Policy`.

use askama::Template;
use hyper::header::HeaderValue;
use throng_domain::origins::Origin;

use super::page::{PlainPage, PollPage, ShowPage};

/// A page, with its policy.
pub trait Page: Template {
    /// The value of `Content-Security-Policy`.
    fn policy(&self) -> HeaderValue;
}

/// A poll's page loads resources from this server only, runs no inline script except
/// [`BALLOT_ID_SCRIPT`](super::assets::BALLOT_ID_SCRIPT) and [`OPTION_ORDER_SCRIPT`](super::assets::OPTION_ORDER_SCRIPT), which are
/// allowed by their digests, has workers of this server only, and sends forms to this server only.
const OF_POLL: &str = "default-src 'none'; script-src 'self' 'sha256-RnMogN10mybWt3OMmNGDtdjoDiXLGbudI47PWNopA8I=' \
     'sha256-firFP2ryhCnZMPzxA9B8WrrlGXaxKujGi7Q3347WKMs='; \
     worker-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; \
     form-action 'self'; base-uri 'none'";

/// Only pages of the origins that the poll lists show it in a frame. What has no origin of its own can't be named there.
impl Page for PollPage<'_> {
    fn policy(&self) -> HeaderValue {
        let ancestors = self.allowed_origins().iter().filter(|origin| !origin.is_opaque()).map(Origin::as_str);
        let ancestors = ancestors.collect::<Vec<_>>().join(" ");
        let ancestors = if ancestors.is_empty() { "'none'" } else { &ancestors };
        HeaderValue::try_from(format!("{OF_POLL}; frame-ancestors {ancestors}")).expect("an origin is visible ASCII")
    }
}

/// A show's page without a poll has the script that waits for one.
impl Page for ShowPage {
    fn policy(&self) -> HeaderValue {
        HeaderValue::from_static(
            "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; \
             form-action 'none'; base-uri 'none'; frame-ancestors 'none'",
        )
    }
}

/// A page without a poll has text only.
impl Page for PlainPage {
    fn policy(&self) -> HeaderValue {
        HeaderValue::from_static(
            "default-src 'none'; style-src 'self'; img-src 'self' data:; \
             form-action 'none'; base-uri 'none'; frame-ancestors 'none'",
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::pages::assets;

    #[test]
    fn policy_contains_the_digests_of_the_inline_scripts() {
        use sha2::Digest as _;
        for script in [assets::BALLOT_ID_SCRIPT, assets::OPTION_ORDER_SCRIPT] {
            let expected = format!("'sha256-{}'", base64(&sha2::Sha256::digest(script)));
            assert!(OF_POLL.contains(&expected), "write {expected} into OF_POLL");
            assert!(!script.contains("</"), "the HTML parser would end the script there");
        }
    }

    /// Base64 with padding (RFC 4648).
    fn base64(bytes: &[u8]) -> String {
        const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let digit = |bits: usize| char::from(DIGITS[bits & 63]);
        let group = |chunk: &[u8]| -> String {
            let bits = (0..3).fold(0, |bits, at| bits << 8 | usize::from(chunk.get(at).copied().unwrap_or(0)));
            let digits = [18, 12, 6, 0].map(|shift| digit(bits >> shift));
            (0..4).map(|at| if at <= chunk.len() { digits[at] } else { '=' }).collect()
        };
        bytes.chunks(3).map(group).collect()
    }
}
