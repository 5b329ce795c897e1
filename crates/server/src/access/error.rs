//! Why a request isn't allowed.

use throng_domain::admin_token::Role;
use throng_domain::store::StoreError;

/// Why a request isn't allowed.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// It has no token.
    #[error("there is no token in the request")]
    Missing,
    /// There is no such token, or it is expired or revoked: which of these, is for nobody else to know.
    #[error("the token isn't valid")]
    Invalid,
    /// The network has sent too many tokens that weren't valid.
    #[error("too many tokens that aren't valid came from this network")]
    Throttled {
        /// After how many whole seconds an unknown one is looked for again; at least 1.
        retry_after_s: u32,
    },
    /// The token has another role.
    #[error("this needs a token with the role `{}`, and this one has the role `{}`", needed.as_str(), role.as_str())]
    Forbidden {
        /// The token's role.
        role: Role,
        /// The lowest role that would do.
        needed: Role,
    },
    /// The tokens can't be read.
    #[error(transparent)]
    Unavailable(#[from] StoreError),
}
