//! Tokens of those who administer polls: valid until they are revoked, each change noted.

use super::support::done;
use crate::admin_token::{AdminToken, NewAdminToken, Role, SecretHash};
use crate::audit::{Action, Author};
use crate::clock::Timestamp;
use crate::store::{Store, StoreError};

fn new_token(name: &str, role: Role, hash: u8) -> NewAdminToken {
    let name = name.parse().expect("the suite's names are valid");
    NewAdminToken { name, role, expires_at: None, hash: SecretHash([hash; 32]) }
}

/// Tokens are listed by their numbers, as they were made.
pub async fn tokens_are_kept_as_made(store: &dyn Store) {
    assert_eq!(done(store.tokens().await), []);
    let expires_at = Some(Timestamp(4_000_000_000_000));
    let first = NewAdminToken { expires_at, ..new_token("anna", Role::Admin, 255) };
    let first = done(store.create_token(first, &Author::THRONG).await);
    let second = done(store.create_token(new_token("anna", Role::Viewer, 0), &Author::THRONG).await);
    assert_eq!((first.number, second.number), (1, 2));
    assert_eq!((first.name.as_str(), first.role, first.expires_at), ("anna", Role::Admin, expires_at));
    assert_eq!((first.hash, first.revoked_at), (SecretHash([255; 32]), None));
    assert!(first.made_at > Timestamp(1_700_000_000_000), "{first:?}");
    assert_eq!(done(store.tokens().await), [first, second]);
}

/// A token is revoked once, and no other with it.
pub async fn token_is_revoked_once(store: &dyn Store) {
    let first = done(store.create_token(new_token("anna", Role::Editor, 1), &Author::THRONG).await);
    let second = done(store.create_token(new_token("ben", Role::Editor, 2), &Author::THRONG).await);
    let revoked = done(store.revoke_token(1, &Author::new("ben", "lost")).await);
    assert!(revoked.revoked_at.is_some_and(|at| at >= first.made_at), "{revoked:?}");
    assert_eq!(AdminToken { revoked_at: None, ..revoked.clone() }, first);
    assert_eq!(done(store.revoke_token(1, &Author::THRONG).await), revoked);
    assert_eq!(done(store.tokens().await), [revoked, second]);
    let missing = store.revoke_token(3, &Author::THRONG).await;
    assert!(matches!(&missing, Err(StoreError::Rejected(why)) if why.contains('3')), "{missing:?}");
    let log = done(store.audit_log(None, None, 10).await);
    let noted: Vec<_> = log.iter().map(|entry| (entry.action, entry.author.as_str(), &entry.poll)).collect();
    let made = (Action::CreateToken, "throng", &None);
    assert_eq!(noted, [(Action::RevokeToken, "ben", &None), made, made]);
    assert_eq!((log[0].reason.as_str(), &log[0].changes["token"]["name"]), ("lost", &"anna".into()));
}
