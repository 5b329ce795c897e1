//! The policy `signed`: a voter is a user of the publisher's, who is named by a token that the publisher has signed.
//!
//! The token is a JWT (RFC 7519) in compact form. Its claims are `sub`, which names the user, `aud`, which is or contains the
//! poll's slug, `exp`, and optionally `nbf`. All other claims are ignored. The algorithm is that of the key (`config/token_keys`):
//! a token whose `alg` is another one has no key.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use throng_domain::ballot::VoterKey;
use throng_domain::clock::Timestamp;
use throng_domain::poll::Poll;

use super::key::PolicyKey;
use crate::config::TokenKeys;

/// The maximum length of a token, in bytes: what is longer isn't looked into.
const TOKEN_BYTES_MAX: usize = 4_096;

/// The maximum length of `sub`, in bytes.
const SUBJECT_BYTES_MAX: usize = 255;

/// By how much the publisher's clock may be off, in seconds.
const LEEWAY_S: f64 = 10.0;

/// A token as it was sent, not verified. It is never displayed, since whoever has it can vote as its voter.
#[derive(PartialEq, Eq)]
pub struct VoterToken(String);

/// Why a token isn't valid for a poll. It says what to change, and contains nothing of the token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenFault {
    /// It is too long.
    #[error("it has more than {max} bytes", max = TOKEN_BYTES_MAX)]
    TooLong,
    /// It can't be read.
    #[error(
        "it isn't a JWT in compact form: three parts in base64url, with `sub` and `aud` as strings, and `exp` and `nbf` \
         as numbers of seconds"
    )]
    Unreadable,
    /// It names a key or an algorithm that isn't configured.
    #[error("no key in VOTER_KEYS has its `alg` and its `kid`")]
    UnknownKey,
    /// None of the keys has signed it.
    #[error("its signature doesn't match the key")]
    WrongSignature,
    /// It lacks this claim.
    #[error("it has no `{0}`")]
    MissingClaim(&'static str),
    /// Its `sub` is empty or too long.
    #[error("its `sub` doesn't have 1 to {max} bytes", max = SUBJECT_BYTES_MAX)]
    SubjectLength,
    /// It is for another poll.
    #[error("its `aud` isn't this poll's name")]
    OtherPoll,
    /// It has expired.
    #[error("it has expired")]
    Expired,
    /// It expires so late that its `exp` must be in milliseconds.
    #[error("its `exp` is more than a year ahead; it counts seconds, not milliseconds")]
    TooFarAhead,
    /// Its `nbf` is in the future.
    #[error("it isn't valid yet: its `nbf` is in the future")]
    NotYetValid,
}

/// How long a token may be valid for: longer, and its `exp` is in milliseconds, so that it would never expire.
const LIFETIME_MAX_S: f64 = 366.0 * 24.0 * 60.0 * 60.0;

#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    /// Extensions without which the token must not be understood: none is supported.
    crit: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct Claims {
    sub: Option<String>,
    aud: Option<Audience>,
    exp: Option<f64>,
    nbf: Option<f64>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Several(Vec<String>),
}

impl VoterToken {
    /// A token as sent.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The pseudonym of the voter whom the token names. `now` is the time by which its lifetime is judged, if it is.
    ///
    /// # Errors
    /// Why it isn't valid for this poll. What is cheap is checked first; nothing of the claims is said if the signature is wrong.
    pub fn voter(
        &self,
        key: PolicyKey<'_>,
        keys: &TokenKeys,
        poll: &Poll,
        now: Option<Timestamp>,
    ) -> Result<VoterKey, TokenFault> {
        let Claims { sub, aud, exp, nbf } = self.verified(keys)?;
        let sub = sub.ok_or(TokenFault::MissingClaim("sub"))?;
        let aud = aud.ok_or(TokenFault::MissingClaim("aud"))?;
        let exp = exp.ok_or(TokenFault::MissingClaim("exp"))?;
        if sub.is_empty() || sub.len() > SUBJECT_BYTES_MAX {
            return Err(TokenFault::SubjectLength);
        }
        if !aud.contains(poll.slug.as_str()) {
            return Err(TokenFault::OtherPoll);
        }
        if let Some(now) = now {
            // Exact: milliseconds of this millennium are below 2⁵³.
            let now_s = now.0 as f64 / 1_000.0;
            if exp + LEEWAY_S <= now_s {
                return Err(TokenFault::Expired);
            }
            if exp > now_s + LIFETIME_MAX_S {
                return Err(TokenFault::TooFarAhead);
            }
            if nbf.is_some_and(|nbf| nbf - LEEWAY_S > now_s) {
                return Err(TokenFault::NotYetValid);
            }
        }
        Ok(key.voter("signed voter", poll.id, &sub))
    }

    /// The claims, if one of the keys has signed them.
    fn verified(&self, keys: &TokenKeys) -> Result<Claims, TokenFault> {
        if self.0.len() > TOKEN_BYTES_MAX {
            return Err(TokenFault::TooLong);
        }
        let mut parts = self.0.split('.');
        let [Some(header), Some(claims), Some(signature), None] = [(); 4].map(|()| parts.next()) else {
            return Err(TokenFault::Unreadable);
        };
        let message = &self.0[..header.len() + 1 + claims.len()];
        let Header { alg, kid, crit } = json(header)?;
        let signature = decoded(signature)?;
        if crit.is_some() {
            return Err(TokenFault::Unreadable);
        }
        let mut candidates = keys.candidates(&alg, kid.as_deref()).peekable();
        candidates.peek().ok_or(TokenFault::UnknownKey)?;
        if !candidates.any(|key| key.verifies(message.as_bytes(), &signature)) {
            return Err(TokenFault::WrongSignature);
        }
        json(claims)
    }
}

impl Audience {
    fn contains(&self, slug: &str) -> bool {
        match self {
            Self::One(one) => one == slug,
            Self::Several(several) => several.iter().any(|one| one == slug),
        }
    }
}

impl fmt::Debug for VoterToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("VoterToken(…)")
    }
}

fn json<T: DeserializeOwned>(part: &str) -> Result<T, TokenFault> {
    let json = decoded(part)?;
    // The derived implementations would accept a list of the fields' values as the object.
    if !json.trim_ascii_start().starts_with(b"{") {
        return Err(TokenFault::Unreadable);
    }
    serde_json::from_slice(&json).map_err(|_| TokenFault::Unreadable)
}

fn decoded(part: &str) -> Result<Vec<u8>, TokenFault> {
    URL_SAFE_NO_PAD.decode(part).map_err(|_| TokenFault::Unreadable)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use throng_domain::new_poll::NewPoll;
    use throng_domain::poll::PollId;
    use throng_testkit::TokenSigner;

    use super::*;
    use crate::config::DerivedKey;

    const NOW: Timestamp = Timestamp(4_102_444_800_000);
    const NOW_S: i64 = NOW.0 / 1_000;

    fn keys(jwks: &[String]) -> TokenKeys {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("keys.json");
        std::fs::write(&path, format!(r#"{{"keys":[{}]}}"#, jwks.join(","))).unwrap();
        TokenKeys::read(&path).unwrap()
    }

    fn poll(id: i64, slug: &str) -> Poll {
        NewPoll::demo(slug.parse().unwrap(), NOW).into_poll(PollId(id))
    }

    fn voter_of(keys: &TokenKeys, poll: &Poll, token: &str) -> Result<VoterKey, TokenFault> {
        VoterToken::new(token).voter(PolicyKey(&DerivedKey::new([7; 32])), keys, poll, Some(NOW))
    }

    /// What becomes of a token in the poll `song`.
    fn fault(keys: &TokenKeys, token: &str) -> Option<TokenFault> {
        voter_of(keys, &poll(1, "song"), token).err()
    }

    fn claims() -> Value {
        json!({"sub": "ann", "aud": "song", "exp": NOW_S + 60})
    }

    /// The claims with these changes; `null` removes one.
    fn changed(changes: &Value) -> Value {
        let mut claims = claims();
        for (name, value) in changes.as_object().unwrap() {
            if value.is_null() {
                claims.as_object_mut().unwrap().remove(name);
            } else {
                claims[name] = value.clone();
            }
        }
        claims
    }

    #[test]
    fn voter_is_the_user_whom_any_key_has_signed() {
        let signers = [TokenSigner::hs256(), TokenSigner::rs256(), TokenSigner::es256()];
        let keys = keys(&signers.each_ref().map(TokenSigner::jwk));
        let song = poll(1, "song");
        let ann = voter_of(&keys, &song, &signers[0].token(&claims())).unwrap();
        for signer in &signers {
            assert_eq!(voter_of(&keys, &song, &signer.token(&claims())), Ok(ann), "{}", signer.algorithm());
            let ben = signer.token(&changed(&json!({"sub": "ben"})));
            assert_ne!(voter_of(&keys, &song, &ben).unwrap(), ann);
        }
        let several = signers[0].token(&changed(&json!({"aud": ["other", "song"], "name": "Ann", "iat": 1.5})));
        assert_eq!(voter_of(&keys, &song, &several), Ok(ann));
        assert_ne!(voter_of(&keys, &poll(2, "song"), &several).unwrap(), ann, "no voter is followed from poll to poll");
    }

    #[test]
    fn claims_are_required_and_checked() {
        let signer = TokenSigner::hs256();
        let keys = keys(&[signer.jwk()]);
        let long = "x".repeat(SUBJECT_BYTES_MAX);
        for (changes, expected) in [
            (json!({}), None),
            (json!({"sub": null}), Some(TokenFault::MissingClaim("sub"))),
            (json!({"aud": null}), Some(TokenFault::MissingClaim("aud"))),
            (json!({"exp": null}), Some(TokenFault::MissingClaim("exp"))),
            (json!({"sub": ""}), Some(TokenFault::SubjectLength)),
            (json!({"sub": long}), None),
            (json!({"sub": format!("{long}x")}), Some(TokenFault::SubjectLength)),
            (json!({"sub": 17}), Some(TokenFault::Unreadable)),
            (json!({"aud": "other"}), Some(TokenFault::OtherPoll)),
            (json!({"aud": "song2"}), Some(TokenFault::OtherPoll)),
            (json!({"aud": []}), Some(TokenFault::OtherPoll)),
            (json!({"aud": ["other", "Song"]}), Some(TokenFault::OtherPoll)),
            (json!({"aud": 1}), Some(TokenFault::Unreadable)),
            (json!({"exp": "2100-01-01"}), Some(TokenFault::Unreadable)),
            (json!({"exp": NOW.0}), Some(TokenFault::TooFarAhead)),
            (json!({"exp": NOW_S - 9}), None),
            (json!({"exp": NOW_S - 10}), Some(TokenFault::Expired)),
            (json!({"exp": (NOW_S as f64) - 9.9}), None),
            (json!({"exp": -1e300}), Some(TokenFault::Expired)),
            (json!({"nbf": NOW_S + 10}), None),
            (json!({"nbf": NOW_S + 11}), Some(TokenFault::NotYetValid)),
            (json!({"nbf": 0}), None),
        ] {
            assert_eq!(fault(&keys, &signer.token(&changed(&changes))), expected, "{changes}");
        }
        let expired = VoterToken::new(signer.token(&changed(&json!({"exp": 0, "nbf": NOW_S * 2}))));
        let closed = expired.voter(PolicyKey(&DerivedKey::new([7; 32])), &keys, &poll(1, "song"), None);
        assert_eq!(closed, voter_of(&keys, &poll(1, "song"), &signer.token(&claims())), "its lifetime isn't judged");
    }

    /// S4: the algorithm is the key's, whatever a token says.
    #[test]
    fn algorithm_of_a_token_is_that_of_its_key() {
        let (rsa, ec) = (TokenSigner::rs256(), TokenSigner::es256());
        let public = keys(&[rsa.jwk(), ec.jwk()]);
        let unsigned = rsa.token_with(&json!({"alg": "none"}), &claims());
        let (message, _) = unsigned.rsplit_once('.').unwrap();
        for token in [unsigned.as_str(), &format!("{message}.")] {
            assert_eq!(fault(&public, token), Some(TokenFault::UnknownKey));
        }
        // The public key, which everybody may know, as the secret of HS256.
        for secret in [rsa.pem(), ec.pem(), rsa.jwk(), ec.jwk()] {
            let forged = TokenSigner::Hs256(secret.into_bytes()).token(&claims());
            assert_eq!(fault(&public, &forged), Some(TokenFault::UnknownKey));
            assert_eq!(
                fault(&keys(&[rsa.jwk(), TokenSigner::hs256().jwk()]), &forged),
                Some(TokenFault::WrongSignature)
            );
        }
        for alg in ["RS256", "ES256", "HS256"] {
            let other = if alg == "RS256" { &ec } else { &rsa };
            let token = other.token_with(&json!({"alg": alg}), &claims());
            let expected = if alg == "HS256" { TokenFault::UnknownKey } else { TokenFault::WrongSignature };
            assert_eq!(fault(&public, &token), Some(expected), "{alg}");
        }
        for alg in ["RS512", "PS256", "HS512", "rs256", "None", "NONE", ""] {
            let token = rsa.token_with(&json!({"alg": alg}), &claims());
            assert_eq!(fault(&public, &token), Some(TokenFault::UnknownKey), "{alg}");
        }
    }

    #[test]
    fn key_is_chosen_by_the_name_in_the_token() {
        let (old, new) = (TokenSigner::hs256(), TokenSigner::Hs256(vec![8; 32]));
        let named = |signer: &TokenSigner, kid: &str| signer.jwk().replace("{", &format!(r#"{{"kid":"{kid}","#));
        let keys = keys(&[named(&old, "old"), named(&new, "new")]);
        let token = |signer: &TokenSigner, header: Value| signer.token_with(&header, &claims());
        for (token, expected) in [
            (old.token(&claims()), None),
            (new.token(&claims()), None),
            (token(&new, json!({"alg": "HS256", "kid": "new"})), None),
            (token(&new, json!({"alg": "HS256", "kid": "old"})), Some(TokenFault::WrongSignature)),
            (token(&new, json!({"alg": "HS256", "kid": "x"})), Some(TokenFault::UnknownKey)),
            (token(&new, json!({"alg": "HS256", "kid": 1})), Some(TokenFault::Unreadable)),
            (token(&new, json!({"alg": "HS256", "kid": "../../key"})), Some(TokenFault::UnknownKey)),
        ] {
            assert_eq!(fault(&keys, &token), expected, "{token}");
        }
    }

    /// S4: any bit of the token, of its signature too.
    #[test]
    fn token_with_a_flipped_bit_is_refused() {
        for signer in [TokenSigner::hs256(), TokenSigner::es256()] {
            let (keys, token) = (keys(&[signer.jwk()]), signer.token(&claims()));
            for bit in 0..token.len() * 8 {
                let mut flipped = token.as_bytes().to_vec();
                flipped[bit / 8] ^= 1 << (bit % 8);
                assert!(fault(&keys, &String::from_utf8_lossy(&flipped)).is_some(), "{bit}");
            }
        }
    }

    #[test]
    fn what_is_no_token_is_unreadable_or_too_long() {
        let signer = TokenSigner::hs256();
        let keys = keys(&[signer.jwk()]);
        let token = signer.token(&claims());
        let parts: Vec<_> = token.split('.').collect();
        let unknown_extension = signer.token_with(&json!({"alg": "HS256", "crit": ["b64"], "b64": false}), &claims());
        for text in [
            "",
            ".",
            "..",
            "a.b.c",
            parts[0],
            &format!("{}.{}", parts[0], parts[1]),
            &format!("{token}="),
            &format!("{token}.{}", parts[2]),
            &format!(" {token}"),
            &format!("{}.{}.é", parts[0], parts[1]),
            &signer.token_with(&json!(["HS256", null, null]), &claims()),
            &signer.token_with(&json!({"typ": "JWT"}), &claims()),
            &signer.token(&json!(["ann", "song", NOW_S + 60, null])),
            &unknown_extension,
        ] {
            assert_eq!(fault(&keys, text), Some(TokenFault::Unreadable), "{text}");
        }
        let padded = |bytes: usize| signer.token(&changed(&json!({"more": "x".repeat(bytes)})));
        let short = padded(2_800);
        assert!(short.len() < TOKEN_BYTES_MAX, "{}", short.len());
        assert_eq!(fault(&keys, &short), None);
        assert_eq!(fault(&keys, &padded(3_000)), Some(TokenFault::TooLong));
    }

    /// S28: a token is never displayed.
    #[test]
    fn debug_shows_no_token() {
        assert_eq!(format!("{:?}", VoterToken::new("a.b.c")), "VoterToken(…)");
    }
}
