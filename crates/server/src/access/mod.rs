//! Who may administer polls over HTTP: making and revoking tokens, and recognizing them.
//!
//! A server keeps the tokens in memory and reads them again when that is a second old, or when it doesn't know one: so a token that
//! was just made is valid at once, a revoked one for a second at most, and a crowd of guesses costs the database one query at a time.

mod error;
mod known;
mod text;
mod throttle;

use throng_domain::admin_token::{AdminToken, NewAdminToken, Role, TokenName};
use throng_domain::audit::Author;
use throng_domain::clock::Timestamp;
use throng_domain::store::{Store, StoreError};

pub use self::error::AccessError;
pub use self::known::AdminAccess;
pub use self::text::TokenText;

/// Makes a token; `secret` has to be random. Returns it with its text, which can't be had again: only its hash is stored.
///
/// # Errors
/// Those of the store.
pub async fn create_token(
    store: &dyn Store,
    name: TokenName,
    role: Role,
    expires_at: Option<Timestamp>,
    secret: [u8; 32],
    by: &Author,
) -> Result<(AdminToken, TokenText), StoreError> {
    let hash = TokenText { number: 0, secret }.hash();
    let token = store.create_token(NewAdminToken { name, role, expires_at, hash }, by).await?;
    let text = TokenText { number: token.number, secret };
    Ok((token, text))
}

/// Checks that a token's role is enough.
///
/// # Errors
/// [`AccessError::Forbidden`].
pub fn require(token: &AdminToken, needed: Role) -> Result<(), AccessError> {
    let role = token.role;
    if role.includes(needed) { Ok(()) } else { Err(AccessError::Forbidden { role, needed }) }
}
