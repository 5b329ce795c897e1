//! Public keys in PEM format, as `openssl pkey -pubout` writes them.

use pkcs1::RsaPublicKey;
use rustls::pki_types::SubjectPublicKeyInfoDer;
use rustls::pki_types::pem::PemObject as _;
use spki::{ObjectIdentifier, SubjectPublicKeyInfoRef};

use super::key::TokenKey;

/// RFC 8017, A.1.
const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");

/// RFC 5480, 2.1.1.
const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const P_256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");

/// Reads all public keys: for each, itself or its fault. They have no `kid`.
///
/// # Errors
/// If there is none, a block is damaged, or one is a private key.
pub(super) fn read(text: &str) -> Result<Vec<Result<TokenKey, String>>, String> {
    if text.contains("PRIVATE KEY-----") {
        return Err("has a private key; keep it where tokens are signed, and put here what `openssl pkey -pubout` \
                    writes"
            .to_owned());
    }
    let keys: Result<Vec<_>, _> = SubjectPublicKeyInfoDer::pem_slice_iter(text.as_bytes()).collect();
    let keys = keys.map_err(|_| "is damaged: one of its blocks can't be read as PEM".to_owned())?;
    if keys.is_empty() {
        return Err(r#"has neither a JWK Set such as {"keys":[…]} nor a -----BEGIN PUBLIC KEY-----"#.to_owned());
    }
    Ok(keys
        .iter()
        .enumerate()
        .map(|(at, key)| read_key(key).map_err(|fault| format!("key {} {fault}", at + 1)))
        .collect())
}

fn read_key(der: &[u8]) -> Result<TokenKey, String> {
    let damaged = || "is damaged".to_owned();
    let info = SubjectPublicKeyInfoRef::try_from(der).map_err(|_| damaged())?;
    let key = info.subject_public_key.as_bytes().ok_or_else(damaged)?;
    if info.algorithm.oid == RSA {
        let key = RsaPublicKey::try_from(key).map_err(|_| damaged())?;
        return TokenKey::rs256(None, key.modulus.as_bytes(), key.public_exponent.as_bytes());
    }
    if info.algorithm.oid != EC || info.algorithm.parameters_oid() != Ok(P_256) {
        return Err("is neither an RSA key nor one on the curve P-256".to_owned());
    }
    match key {
        [4, point @ ..] => {
            let (x, y) = point.split_at(point.len() / 2);
            TokenKey::es256(None, x, y)
        }
        _ => Err("is compressed; `openssl pkey -pubin -ec_conv_form uncompressed` writes all of it".to_owned()),
    }
}
