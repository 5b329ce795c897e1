//! Keys as a JWK Set (RFC 7517): `{"keys":[{"kty":"oct","kid":"2026","k":"…"}]}`.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::key::TokenKey;

#[derive(Deserialize)]
struct JwkSet<'a> {
    #[serde(borrow)]
    keys: Vec<&'a RawValue>,
}

/// The members of a key that are read, of all types of keys.
#[derive(Deserialize)]
struct Jwk {
    kty: String,
    kid: Option<String>,
    alg: Option<String>,
    #[serde(rename = "use")]
    purpose: Option<String>,
    crv: Option<String>,
    k: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
    d: Option<String>,
}

/// Reads the keys of a JWK Set: for each, itself or its fault. No fault has a part of a key.
///
/// # Errors
/// If it isn't a JWK Set.
pub(super) fn read(text: &str) -> Result<Vec<Result<TokenKey, String>>, String> {
    // The library's own message could quote a secret.
    let JwkSet { keys } = serde_json::from_str(text).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        format!(r#"isn't a JWK Set such as {{"keys":[…]}}: see line {line}, column {column}"#)
    })?;
    Ok(keys.into_iter().enumerate().map(|(at, key)| read_key(at + 1, key.get())).collect())
}

fn read_key(number: usize, json: &str) -> Result<TokenKey, String> {
    let jwk: Jwk = serde_json::from_str(json).map_err(|_| {
        format!("key {number} isn't a JWK: an object with `kty`, each of whose members is given once and is a string")
    })?;
    let name = jwk.kid.as_ref().map_or_else(|| format!("key {number}"), |id| format!("key {number} (`{id}`)"));
    jwk.into_key().map_err(|fault| format!("{name} {fault}"))
}

impl Jwk {
    fn into_key(self) -> Result<TokenKey, String> {
        if self.purpose.as_deref().is_some_and(|purpose| purpose != "sig") {
            return Err("isn't for signatures: its `use` isn't `sig`".to_owned());
        }
        let algorithm = match self.kty.as_str() {
            "oct" => "HS256",
            "RSA" => "RS256",
            "EC" => "ES256",
            _ => return Err("has an unsupported `kty`; use `oct`, `RSA` or `EC`".to_owned()),
        };
        if let Some(other) = self.alg.as_ref().filter(|alg| *alg != algorithm) {
            return Err(format!("is for {other}; with its `kty`, only {algorithm} is supported"));
        }
        if self.d.is_some() {
            return Err("is a private key; keep it where tokens are signed, and remove `d` here".to_owned());
        }
        match self.kty.as_str() {
            "oct" => TokenKey::hs256(self.kid, &decoded("k", self.k.as_deref())?),
            "RSA" => {
                let (n, e) = (decoded("n", self.n.as_deref())?, decoded("e", self.e.as_deref())?);
                TokenKey::rs256(self.kid, &n, &e)
            }
            _ if self.crv.as_deref() != Some("P-256") => Err("is on another curve than P-256".to_owned()),
            _ => {
                let (x, y) = (decoded("x", self.x.as_deref())?, decoded("y", self.y.as_deref())?);
                TokenKey::es256(self.kid, &x, &y)
            }
        }
    }
}

/// The bytes of a member; many programs write base64url with padding, which the standard leaves out.
fn decoded(name: &str, text: Option<&str>) -> Result<Vec<u8>, String> {
    let text = text.ok_or_else(|| format!("has no `{name}`"))?;
    URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).map_err(|_| format!("has a `{name}` that isn't base64url"))
}
