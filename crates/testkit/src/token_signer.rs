//! A publisher that signs tokens for its users.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::hmac;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair, RsaPublicKeyComponents,
};
use serde_json::{Value, json};

/// Used by tests alone: making one of RSA takes too long.
const RSA_KEY: &str = include_str!("rsa_key_for_tests.pem");

/// What comes before a key in its SubjectPublicKeyInfo (RFC 5280, 4.1): one of RSA with 2,048 bits, and one on P-256.
const RSA_PREFIX: &str = "MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8A";
const EC_PREFIX: &str = "3059301306072a8648ce3d020106082a8648ce3d030107034200";

/// A key, and the algorithm with which it signs.
pub enum TokenSigner {
    /// With this secret.
    Hs256(Vec<u8>),
    /// With the key for tests.
    Rs256(Box<RsaKeyPair>),
    /// With a new key.
    Es256(Box<EcdsaKeyPair>),
}

impl TokenSigner {
    /// One with a secret that tests share.
    pub fn hs256() -> Self {
        Self::Hs256(b"a secret of the publisher's, known to tests".to_vec())
    }

    /// One with the key for tests.
    pub fn rs256() -> Self {
        let lines: String = RSA_KEY.lines().filter(|line| !line.starts_with('-')).collect();
        Self::Rs256(Box::new(RsaKeyPair::from_pkcs8(&STANDARD.decode(lines).unwrap()).unwrap()))
    }

    /// One with a new key.
    pub fn es256() -> Self {
        let (algorithm, random) = (&ECDSA_P256_SHA256_FIXED_SIGNING, SystemRandom::new());
        let key = EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
        Self::Es256(Box::new(EcdsaKeyPair::from_pkcs8(algorithm, key.as_ref(), &random).unwrap()))
    }

    /// The name of its algorithm.
    pub fn algorithm(&self) -> &'static str {
        match self {
            Self::Hs256(_) => "HS256",
            Self::Rs256(_) => "RS256",
            Self::Es256(_) => "ES256",
        }
    }

    /// The key that verifies its tokens, as a JWK without a `kid`.
    pub fn jwk(&self) -> String {
        match self {
            Self::Hs256(secret) => format!(r#"{{"kty":"oct","k":"{}"}}"#, encoded(secret)),
            Self::Rs256(key) => {
                let RsaPublicKeyComponents::<Vec<u8>> { n, e } = key.public().into();
                format!(r#"{{"kty":"RSA","n":"{}","e":"{}"}}"#, encoded(&n), encoded(&e))
            }
            Self::Es256(key) => {
                let (x, y) = key.public_key().as_ref()[1..].split_at(32);
                format!(r#"{{"kty":"EC","crv":"P-256","x":"{}","y":"{}"}}"#, encoded(x), encoded(y))
            }
        }
    }

    /// The public key, in PEM format.
    pub fn pem(&self) -> String {
        let der = match self {
            Self::Hs256(_) => panic!("a secret has no public key"),
            Self::Rs256(key) => [&*STANDARD.decode(RSA_PREFIX).unwrap(), key.public_key().as_ref()].concat(),
            Self::Es256(key) => {
                let prefix = (0..EC_PREFIX.len()).step_by(2).map(|at| u8::from_str_radix(&EC_PREFIX[at..at + 2], 16));
                prefix.map(Result::unwrap).chain(key.public_key().as_ref().iter().copied()).collect()
            }
        };
        format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", STANDARD.encode(der))
    }

    /// A message's signature.
    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match self {
            Self::Hs256(secret) => hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), message).as_ref().to_vec(),
            Self::Rs256(key) => {
                let mut signed = vec![0; key.public().modulus_len()];
                key.sign(&RSA_PKCS1_SHA256, &random, message, &mut signed).unwrap();
                signed
            }
            Self::Es256(key) => key.sign(&random, message).unwrap().as_ref().to_vec(),
        }
    }

    /// The token with these claims.
    pub fn token(&self, claims: &Value) -> String {
        self.token_with(&json!({"alg": self.algorithm(), "typ": "JWT"}), claims)
    }

    /// The token with this header and these claims.
    pub fn token_with(&self, header: &Value, claims: &Value) -> String {
        let message = format!("{}.{}", encoded(header.to_string().as_bytes()), encoded(claims.to_string().as_bytes()));
        format!("{message}.{}", encoded(&self.sign(message.as_bytes())))
    }
}

/// Base64url without padding (RFC 7515, 2).
fn encoded(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}
