//! One key, and what it verifies.

use std::fmt;

use ring::hmac;
use ring::signature::{self, RsaPublicKeyComponents, UnparsedPublicKey};

/// The minimum length of a secret for HS256, in bytes: that of the hash (RFC 7518, 3.2).
const SECRET_BYTES_MIN: usize = 32;

/// The minimum and maximum length of an RSA key for RS256, in bits: that of RFC 7518, 3.3, and that of the library.
const MODULUS_BITS_MIN: usize = 2_048;
const MODULUS_BITS_MAX: usize = 8_192;

/// The length of a coordinate on the curve P-256, in bytes.
const COORDINATE_BYTES: usize = 32;

/// A key that verifies tokens by one algorithm. What a token's header says can't make it another one.
pub struct TokenKey {
    id: Option<String>,
    verifier: Verifier,
}

enum Verifier {
    Hs256(hmac::Key),
    Rs256(RsaPublicKeyComponents<Vec<u8>>),
    Es256(UnparsedPublicKey<Vec<u8>>),
}

impl TokenKey {
    /// The key of HS256 with this secret.
    ///
    /// # Errors
    /// What is wrong with it, without any part of it.
    pub(super) fn hs256(id: Option<String>, secret: &[u8]) -> Result<Self, String> {
        if secret.len() < SECRET_BYTES_MIN {
            let bytes = secret.len();
            return Err(format!("has a secret of {bytes} bytes; HS256 requires {SECRET_BYTES_MIN} or more"));
        }
        Ok(Self { id, verifier: Verifier::Hs256(hmac::Key::new(hmac::HMAC_SHA256, secret)) })
    }

    /// The key of RS256 with this modulus and this exponent, big-endian.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn rs256(id: Option<String>, modulus: &[u8], exponent: &[u8]) -> Result<Self, String> {
        let (n, e) = (without_leading_zeros(modulus), without_leading_zeros(exponent));
        let bits = n.first().map_or(0, |first| n.len() * 8 - first.leading_zeros() as usize);
        if !(MODULUS_BITS_MIN..=MODULUS_BITS_MAX).contains(&bits) {
            return Err(format!("has {bits} bits; RS256 requires {MODULUS_BITS_MIN} to {MODULUS_BITS_MAX}"));
        }
        let is_exponent = e.last().is_some_and(|last| last % 2 == 1) && e.len() <= 4 && e != [1];
        if !is_exponent || n.last().is_some_and(|last| last % 2 == 0) {
            return Err("isn't a valid RSA key".to_owned());
        }
        Ok(Self { id, verifier: Verifier::Rs256(RsaPublicKeyComponents { n: n.to_vec(), e: e.to_vec() }) })
    }

    /// The key of ES256 with these coordinates on the curve P-256, big-endian.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn es256(id: Option<String>, x: &[u8], y: &[u8]) -> Result<Self, String> {
        if x.len() != COORDINATE_BYTES || y.len() != COORDINATE_BYTES {
            return Err(format!("isn't a point on P-256: its coordinates have {COORDINATE_BYTES} bytes each"));
        }
        // SEC 1, 2.3.3: 4 stands for both coordinates.
        let point = [&[4], x, y].concat();
        let key = UnparsedPublicKey::new(&signature::ECDSA_P256_SHA256_FIXED, point);
        Ok(Self { id, verifier: Verifier::Es256(key) })
    }

    /// Its `kid`, if it has one.
    pub fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// The name of its algorithm, as in a token's `alg`.
    pub fn algorithm(&self) -> &'static str {
        match &self.verifier {
            Verifier::Hs256(_) => "HS256",
            Verifier::Rs256(_) => "RS256",
            Verifier::Es256(_) => "ES256",
        }
    }

    /// Whether this is the message's signature under this key.
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        let verified = match &self.verifier {
            Verifier::Hs256(key) => hmac::verify(key, message, signature),
            Verifier::Rs256(key) => key.verify(&signature::RSA_PKCS1_2048_8192_SHA256, message, signature),
            Verifier::Es256(key) => key.verify(message, signature),
        };
        verified.is_ok()
    }
}

impl fmt::Debug for TokenKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenKey").field("id", &self.id).field("algorithm", &self.algorithm()).finish_non_exhaustive()
    }
}

fn without_leading_zeros(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    &number[zeros..]
}
