//! A token as its holder has it.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use throng_domain::admin_token::{AdminToken, SecretHash};

/// What a token begins with, by which programs that look for secrets in files recognize one.
const PREFIX: &str = "throng_";

/// A token: `throng_`, its number, `_`, and its secret of 256 random bits in the URL-safe alphabet of base 64 (RFC 4648, 5).
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TokenText {
    /// The token's number.
    pub number: u32,
    /// Its secret.
    pub secret: [u8; 32],
}

impl TokenText {
    /// The hash by which the secret is stored.
    pub fn hash(&self) -> SecretHash {
        SecretHash(Sha256::digest(self.secret).into())
    }

    /// Whether this is the text of `token`: its secrets are compared in constant time.
    pub fn is_of(&self, token: &AdminToken) -> bool {
        self.number == token.number && bool::from(self.hash().0.ct_eq(&token.hash.0))
    }
}

impl fmt::Display for TokenText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}_{}", self.number, URL_SAFE_NO_PAD.encode(self.secret))
    }
}

/// Without the secret, which belongs in no log.
impl fmt::Debug for TokenText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TokenText({})", self.number)
    }
}

impl FromStr for TokenText {
    type Err = NotAToken;

    fn from_str(text: &str) -> Result<Self, NotAToken> {
        let (number, secret) = text.strip_prefix(PREFIX).and_then(|text| text.split_once('_')).ok_or(NotAToken)?;
        let secret = URL_SAFE_NO_PAD.decode(secret).map_err(|_| NotAToken)?;
        let parsed =
            Self { number: number.parse().map_err(|_| NotAToken)?, secret: secret.try_into().map_err(|_| NotAToken)? };
        // One text for each token.
        if parsed.to_string() == text { Ok(parsed) } else { Err(NotAToken) }
    }
}

/// A text that isn't a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a token looks like {PREFIX}1_ and 43 letters, digits, - and _")]
pub struct NotAToken;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_read_as_it_is_written() {
        for (number, byte) in [(1, 0), (u32::MAX, 255), (7, 0xfb)] {
            let token = TokenText { number, secret: [byte; 32] };
            assert_eq!(token.to_string().parse(), Ok(token));
            assert_eq!(format!("{token:?}"), format!("TokenText({number})"));
        }
        let text = TokenText { number: 1, secret: [0; 32] }.to_string();
        for bad in [
            text.replace("throng", "Throng"),
            text.replace("_1_", "_+1_"),
            text.replace("_1_", "_01_"),
            text.replace("_1_", "_4294967296_"),
            format!("{text}="),
            format!("{text}A"),
            format!(" {text}"),
            text.strip_suffix('A').unwrap().to_owned(),
            String::new(),
        ] {
            assert_eq!(bad.parse::<TokenText>(), Err(NotAToken), "{bad}");
        }
    }
}
