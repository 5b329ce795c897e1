//! Tokens as a publisher signs them for its users: JWTs (RFC 7519), in a file that the load generator reads.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::ops::Range;
use std::path::{Path, PathBuf};

use anyhow::anyhow;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::hmac;
use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use serde_json::json;

use crate::bench::machine;
use crate::command;
use crate::parallel::run_parallel;
use crate::services::OPENSSL;

/// The secret of HS256.
const SECRET: &[u8] = b"only for measuring, on this machine";

/// How long the tokens are valid, in seconds: longer than any benchmark takes.
const VALID_S: u64 = 86_400;

/// The tokens that a processor signs at a time.
const CHUNK: u64 = 5_000;

/// What signs tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// HMAC with SHA-256
    Hs256,
    /// RSASSA-PKCS1-v1_5 with SHA-256, and a key of 2,048 bits
    Rs256,
}

/// Files in a directory.
#[derive(Clone, Debug)]
pub struct Tokens {
    /// The tokens, one per line, each of another voter; all lines have the same length.
    pub tokens: PathBuf,
    /// The key that verifies them, as Throng reads it.
    pub keys: PathBuf,
}

/// Signs so many tokens for votes in `poll`, and writes them in `directory`.
///
/// # Errors
/// If no key can be made, or the files can't be written.
pub fn make(algorithm: Algorithm, count: u64, poll: &str, directory: &Path) -> anyhow::Result<Tokens> {
    let (signer, keys) = Signer::new(algorithm, directory)?;
    let expires_s = machine::now_ms() / 1_000 + VALID_S;
    let tokens = directory.join(format!("{}.tokens", signer.name()));
    let slots = vec![(); std::thread::available_parallelism()?.get()];
    let mut file = BufWriter::new(File::create(&tokens)?);
    let chunks = (0..count).step_by(usize::try_from(CHUNK)?).map(|first| first..count.min(first + CHUNK)).collect();
    let sign = |voters: Range<u64>| -> anyhow::Result<Vec<String>> {
        voters.map(|voter| signer.token(voter, poll, expires_s)).collect()
    };
    for lines in run_parallel(&slots, chunks, |(), voters| sign(voters)) {
        for line in lines? {
            writeln!(file, "{line}")?;
        }
    }
    file.flush()?;
    Ok(Tokens { tokens, keys })
}

enum Signer {
    Hs256(hmac::Key),
    Rs256(Box<RsaKeyPair>),
}

impl Signer {
    /// One with a key, and the file that verifies what it signs.
    fn new(algorithm: Algorithm, directory: &Path) -> anyhow::Result<(Self, PathBuf)> {
        match algorithm {
            Algorithm::Hs256 => {
                let keys = directory.join("keys.json");
                let key = json!({"kty": "oct", "alg": "HS256", "k": encoded(SECRET)});
                std::fs::write(&keys, json!({"keys": [key]}).to_string())?;
                Ok((Self::Hs256(hmac::Key::new(hmac::HMAC_SHA256, SECRET)), keys))
            }
            Algorithm::Rs256 => {
                let (private, keys) = (directory.join("private.pem"), directory.join("keys.pem"));
                let mut generate = command::program(OPENSSL.name);
                generate.args(["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out"]);
                command::output(generate.arg(&private))?;
                let mut public = command::program(OPENSSL.name);
                public.args(["pkey", "-pubout", "-in"]).arg(&private).arg("-out").arg(&keys);
                command::output(&mut public)?;
                // As PEM, openssl always writes a PKCS #8 key; as DER, it may be one in the older form.
                let pem = std::fs::read_to_string(&private)?;
                let base64: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
                let key = RsaKeyPair::from_pkcs8(&STANDARD.decode(base64)?);
                let key = key.map_err(|error| anyhow!("the key that openssl made can't be used: {error}"))?;
                Ok((Self::Rs256(Box::new(key)), keys))
            }
        }
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Hs256(_) => "HS256",
            Self::Rs256(_) => "RS256",
        }
    }

    /// The token of the voter with this number.
    fn token(&self, voter: u64, poll: &str, expires_s: u64) -> anyhow::Result<String> {
        let header = json!({"alg": self.name(), "typ": "JWT"}).to_string();
        let claims = json!({"sub": format!("user-{voter:010}"), "aud": poll, "exp": expires_s}).to_string();
        let message = format!("{}.{}", encoded(header.as_bytes()), encoded(claims.as_bytes()));
        let signature = self.signature(message.as_bytes())?;
        Ok(format!("{message}.{}", encoded(&signature)))
    }

    fn signature(&self, message: &[u8]) -> anyhow::Result<Vec<u8>> {
        match self {
            Self::Hs256(key) => Ok(hmac::sign(key, message).as_ref().to_vec()),
            Self::Rs256(key) => {
                let mut signature = vec![0; key.public().modulus_len()];
                let signed = key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature);
                signed.map_err(|_| anyhow!("a token can't be signed"))?;
                Ok(signature)
            }
        }
    }
}

/// Base64url without padding (RFC 7515, 2).
fn encoded(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;

    #[test]
    fn tokens_are_signed_and_each_is_another_voters() {
        let directory = tempfile::tempdir().unwrap();
        let Tokens { tokens, keys } = make(Algorithm::Hs256, CHUNK + 1, "song", directory.path()).unwrap();
        let keys: Value = serde_json::from_slice(&std::fs::read(keys).unwrap()).unwrap();
        let secret = URL_SAFE_NO_PAD.decode(keys["keys"][0]["k"].as_str().unwrap()).unwrap();
        let tokens = std::fs::read_to_string(tokens).unwrap();
        let mut voters = BTreeSet::new();
        for token in tokens.lines() {
            let (message, signature) = token.rsplit_once('.').unwrap();
            let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
            hmac::verify(&hmac::Key::new(hmac::HMAC_SHA256, &secret), message.as_bytes(), &signature).unwrap();
            let claims = URL_SAFE_NO_PAD.decode(message.split_once('.').unwrap().1).unwrap();
            let claims: Value = serde_json::from_slice(&claims).unwrap();
            assert_eq!(claims["aud"], "song");
            voters.insert(claims["sub"].as_str().unwrap().to_owned());
        }
        assert_eq!(voters.len(), 5_001);
        assert_eq!(tokens.len() % voters.len(), 0, "all lines have the same length");
    }
}
