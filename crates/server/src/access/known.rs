//! The tokens that a server knows.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use throng_domain::admin_token::AdminToken;
use throng_domain::clock::Clock;
use throng_domain::store::{Store, StoreError};
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::error::AccessError;
use super::text::TokenText;
use super::throttle::Throttle;
use crate::net::network;

/// For how long the tokens in memory are used.
const KNOWN_MAX: Duration = Duration::from_secs(1);

/// Recognizes the tokens in requests.
#[derive(Debug)]
pub struct AdminAccess {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    known: Mutex<Known>,
    throttle: Throttle,
}

/// The tokens when they were last read.
#[derive(Debug, Default)]
struct Known {
    tokens: Vec<AdminToken>,
    read_at: Option<Instant>,
}

impl AdminAccess {
    /// For the tokens of `store`, which expire by `clock`.
    pub fn new(store: Arc<dyn Store>, clock: Arc<dyn Clock>) -> Self {
        Self { store, clock, known: Mutex::default(), throttle: Throttle::default() }
    }

    /// The token with this text, sent from `address`.
    ///
    /// # Errors
    /// [`AccessError::Invalid`], [`AccessError::Throttled`] or [`AccessError::Unavailable`].
    pub async fn recognize(&self, text: &str, address: IpAddr) -> Result<AdminToken, AccessError> {
        let (asked_at, now, network) = (Instant::now(), self.clock.now(), network(address));
        let refuse = || Err(self.throttle.refuse(network, now));
        let Ok(text) = text.parse::<TokenText>() else { return refuse() };
        // One at a time: so the store is asked by one request, whatever their number.
        let mut known = self.known.lock().await;
        if known.read_at.is_none_or(|read_at| read_at.elapsed() >= KNOWN_MAX) {
            self.read(&mut known).await?;
        }
        // One that isn't known may have been made since, unless another request has read them meanwhile.
        if known.find(text.number).is_none() && known.read_at.is_none_or(|read_at| read_at < asked_at) {
            self.throttle.check(network, now)?;
            self.read(&mut known).await?;
        }
        match known.find(text.number).filter(|token| text.is_of(token) && token.is_valid(now)) {
            Some(token) => Ok(token.clone()),
            None => refuse(),
        }
    }

    /// Lets the tokens be read again with the next request, since one was revoked here.
    pub async fn forget(&self) {
        self.known.lock().await.read_at = None;
    }

    async fn read(&self, known: &mut Known) -> Result<(), StoreError> {
        let read_at = Instant::now();
        known.tokens = self.store.tokens().await?;
        known.read_at = Some(read_at);
        Ok(())
    }
}

impl Known {
    fn find(&self, number: u32) -> Option<&AdminToken> {
        self.tokens.iter().find(|token| token.number == number)
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use throng_backends::store::sqlite::SqliteStore;
    use throng_domain::admin_token::Role;
    use throng_domain::audit::Author;
    use throng_domain::clock::{ManualClock, Timestamp};
    use throng_domain::store::{AdminTokenStore as _, Schema as _};

    use super::super::create_token;
    use super::super::throttle::FAILED_MAX;
    use super::*;

    const HOME: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

    struct Site {
        access: AdminAccess,
        store: Arc<SqliteStore>,
        clock: Arc<ManualClock>,
        _directory: tempfile::TempDir,
    }

    async fn site() -> Site {
        let directory = tempfile::tempdir().unwrap();
        let store = Arc::new(SqliteStore::open(&directory.path().join("throng.db")).unwrap());
        store.migrate().await.unwrap();
        let clock = Arc::new(ManualClock::new(Timestamp(1_000)));
        let access = AdminAccess::new(Arc::<SqliteStore>::clone(&store), Arc::<ManualClock>::clone(&clock));
        Site { access, store, clock, _directory: directory }
    }

    impl Site {
        async fn token(&self, role: Role, expires_at: Option<Timestamp>, secret: u8) -> (AdminToken, String) {
            let name = "anna".parse().unwrap();
            let made = create_token(&*self.store, name, role, expires_at, [secret; 32], &Author::THRONG).await.unwrap();
            (made.0, made.1.to_string())
        }
    }

    #[tokio::test]
    async fn token_is_recognized_at_once_until_it_expires() {
        let it = site().await;
        for number in 1..=3 {
            let (token, text) = it.token(Role::Editor, Some(Timestamp(2_000)), number).await;
            assert_eq!(it.access.recognize(&text, HOME).await.unwrap(), token);
        }
        let (_, text) = it.token(Role::Editor, Some(Timestamp(2_000)), 9).await;
        it.clock.set(Timestamp(2_000));
        assert!(matches!(it.access.recognize(&text, HOME).await, Err(AccessError::Invalid)));
    }

    #[tokio::test]
    async fn only_the_secret_of_the_number_is_valid() {
        let it = site().await;
        let (_, first) = it.token(Role::Viewer, None, 1).await;
        let (_, second) = it.token(Role::Admin, None, 2).await;
        let mixed = format!("throng_2_{}", first.rsplit_once('_').unwrap().1);
        let flipped = format!("{}{}", &second[..second.len() - 2], if second.ends_with("gI") { "gM" } else { "gI" });
        for guess in [mixed.as_str(), &flipped, "throng_3_x", "", "throng_1_"] {
            assert!(matches!(it.access.recognize(guess, HOME).await, Err(AccessError::Invalid)), "{guess}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn revoked_token_is_refused_within_a_second() {
        let it = site().await;
        let (token, text) = it.token(Role::Admin, None, 1).await;
        it.access.recognize(&text, HOME).await.unwrap();
        it.store.revoke_token(token.number, &Author::THRONG).await.unwrap();
        tokio::time::advance(KNOWN_MAX).await;
        assert!(matches!(it.access.recognize(&text, HOME).await, Err(AccessError::Invalid)));
    }

    /// S21: a network that guesses is told to wait and costs the store nothing more, and who has a token is let in.
    #[tokio::test]
    async fn ten_thousand_guesses_are_throttled() {
        let it = site().await;
        let (_, text) = it.token(Role::Admin, None, 1).await;
        let mut invalid = 0;
        for guess in 0..10_000_u32 {
            let mut secret = [0; 32];
            secret[..4].copy_from_slice(&guess.to_le_bytes());
            let guessed = TokenText { number: 1, secret }.to_string();
            match it.access.recognize(&guessed, HOME).await {
                Err(AccessError::Invalid) => invalid += 1,
                Err(AccessError::Throttled { retry_after_s }) => assert!((1..=60).contains(&retry_after_s)),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(invalid, FAILED_MAX);
        let unknown = TokenText { number: 9, secret: [0; 32] }.to_string();
        assert!(matches!(it.access.recognize(&unknown, HOME).await, Err(AccessError::Throttled { .. })));
        let elsewhere = Ipv4Addr::new(192, 0, 2, 2).into();
        assert!(matches!(it.access.recognize(&unknown, elsewhere).await, Err(AccessError::Invalid)));
        it.access.recognize(&text, HOME).await.unwrap();
        it.clock.set(Timestamp(1_000 + 60_000));
        assert!(matches!(it.access.recognize(&unknown, HOME).await, Err(AccessError::Invalid)));
    }
}
