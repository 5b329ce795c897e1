//! The keys that verify the tokens of polls with the policy `signed`, from the file that `VOTER_KEYS` names: a JWK Set, or public
//! keys in PEM format. Nothing is ever fetched.

mod jwk;
mod key;
mod pem;

use std::path::{Path, PathBuf};
use std::str::FromStr;

pub use self::key::TokenKey;
use super::text_file;

/// The maximum number of keys: a token that names none of them is checked with every key of its algorithm.
const KEYS_MAX: usize = 16;

/// The keys: at least one.
#[derive(Debug)]
pub struct TokenKeys(Vec<TokenKey>);

impl TokenKeys {
    /// Reads the keys in a file.
    ///
    /// # Errors
    /// All faults at once, each with the file's name and without any part of a key.
    pub fn read(path: &Path) -> Result<Self, Vec<String>> {
        let named = |fault: String| format!("{} {fault}", path.display());
        Self::read_text(text_file::read(path)).map_err(|faults| faults.into_iter().map(named).collect())
    }

    fn read_text(text: Result<Option<String>, String>) -> Result<Self, Vec<String>> {
        let text = text.and_then(|text| text.ok_or_else(|| "doesn't exist".to_owned()));
        let read = |text: String| if text.trim_start().starts_with('{') { jwk::read(&text) } else { pem::read(&text) };
        let keys = text.and_then(read).map_err(|fault| vec![fault])?;
        if keys.is_empty() || keys.len() > KEYS_MAX {
            return Err(vec![format!("has {} keys; give 1 to {KEYS_MAX}", keys.len())]);
        }
        let (keys, faults): (Vec<_>, Vec<_>) = keys.into_iter().partition(Result::is_ok);
        let faults: Vec<_> = faults.into_iter().filter_map(Result::err).collect();
        if faults.is_empty() { Ok(Self(keys.into_iter().flatten().collect())) } else { Err(faults) }
    }

    /// The keys that may have signed a token with this `alg` and this `kid`: those of the algorithm, and if the token names a
    /// key, of these the one of that name and those without a name.
    pub fn candidates<'a>(&'a self, algorithm: &'a str, id: Option<&'a str>) -> impl Iterator<Item = &'a TokenKey> {
        let is_named = move |key: &TokenKey| id.is_none() || key.id().is_none() || key.id() == id;
        self.0.iter().filter(move |key| key.algorithm() == algorithm && is_named(key))
    }

    /// All keys.
    pub fn iter(&self) -> impl Iterator<Item = &TokenKey> {
        self.0.iter()
    }
}

/// The path of the file with the keys.
pub(super) struct KeysFile(pub(super) PathBuf);

impl FromStr for KeysFile {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // Otherwise a secret would be reported as the name of a file.
        if is_key(text) {
            return Err("it has the keys themselves; put them into a file, and set it to the file's path".to_owned());
        }
        Ok(Self(text.into()))
    }
}

/// Whether a value is keys in place of the path of a file with keys.
pub(super) fn is_key(value: &str) -> bool {
    value.starts_with('{') || value.starts_with("-----BEGIN")
}

#[cfg(test)]
mod tests {
    use throng_testkit::TokenSigner;

    use super::*;

    fn read(text: &str) -> Result<TokenKeys, Vec<String>> {
        TokenKeys::read_text(Ok(Some(text.to_owned())))
    }

    fn set(keys: &[&str]) -> String {
        format!(r#"{{"keys":[{}]}}"#, keys.join(","))
    }

    fn algorithms(keys: &TokenKeys) -> Vec<&'static str> {
        keys.iter().map(TokenKey::algorithm).collect()
    }

    const OCT: &str = r#"{"kty":"oct","kid":"a","alg":"HS256","k":"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"}"#;

    #[test]
    fn keys_of_every_algorithm_are_read() {
        let (rsa, ec) = (TokenSigner::rs256(), TokenSigner::es256());
        let keys = read(&set(&[OCT, &rsa.jwk(), &ec.jwk()])).unwrap();
        assert_eq!(algorithms(&keys), ["HS256", "RS256", "ES256"]);
        let keys = read(&format!("the publisher's\n{}{}", rsa.pem(), ec.pem())).unwrap();
        assert_eq!(algorithms(&keys), ["RS256", "ES256"]);
        let message = b"header.claims";
        for (key, signer) in keys.iter().zip([&rsa, &ec]) {
            assert!(key.verifies(message, &signer.sign(message)));
            assert!(!key.verifies(b"other", &signer.sign(message)));
        }
        let padded = OCT.replace("Hh8", "Hh8=");
        assert_eq!(algorithms(&read(&set(&[&padded])).unwrap()), ["HS256"]);
    }

    #[test]
    fn key_is_found_by_its_algorithm_and_name() {
        let unnamed = OCT.replace(r#""kid":"a","#, "");
        let keys = read(&set(&[OCT, &OCT.replace(r#""a""#, r#""b""#), &TokenSigner::es256().jwk(), &unnamed])).unwrap();
        let found = |algorithm, id| keys.candidates(algorithm, id).map(TokenKey::id).collect::<Vec<_>>();
        assert_eq!(found("HS256", None), [Some("a"), Some("b"), None]);
        assert_eq!(found("HS256", Some("b")), [Some("b"), None]);
        assert_eq!(found("HS256", Some("c")), [None]);
        assert_eq!(found("ES256", Some("a")), [None]);
        for algorithm in ["RS256", "none", "hs256", ""] {
            assert_eq!(found(algorithm, None), []);
        }
    }

    #[test]
    fn all_faults_of_keys_are_reported_at_once() {
        let rsa = TokenSigner::rs256().jwk();
        let short = rsa.split_once(r#""n":""#).map(|(head, tail)| format!("{head}\"n\":\"{}", &tail[100..])).unwrap();
        let faulty = [
            (r#"{"kty":"oct","kid":"x","k":"c2VjcmV0"}"#, "key 1 (`x`) has a secret of 6 bytes"),
            (r#"{"kty":"oct","k":"not base64url!"}"#, "key 2 has a `k` that isn't base64url"),
            (r#"{"kty":"oct","alg":"HS512","k":"c2VjcmV0"}"#, "key 3 is for HS512"),
            (r#"{"kty":"oct"}"#, "key 4 has no `k`"),
            (r#"{"kty":"OKP","crv":"Ed25519","x":"AA"}"#, "key 5 has an unsupported `kty`"),
            (r#"{"kty":"EC","crv":"P-384","x":"AA","y":"AA"}"#, "key 6 is on another curve"),
            (r#"{"kty":"EC","crv":"P-256","x":"AA","y":"AA"}"#, "key 7 isn't a point"),
            (r#"{"kty":"RSA","n":"AA","e":"AQAB","d":"AA"}"#, "key 8 is a private key"),
            (r#"{"kty":"oct","use":"enc","k":"c2VjcmV0"}"#, "key 9 isn't for signatures"),
            (r#"{"kty":"oct","k":7}"#, "key 10 isn't a JWK"),
            (&short, "bits; RS256 requires 2048 to 8192"),
            (&rsa.replace("AQAB", "AQAA"), "isn't a valid RSA key"),
        ];
        let faults = read(&set(&faulty.map(|(key, _)| key))).unwrap_err();
        assert_eq!(faults.len(), faulty.len(), "{faults:#?}");
        for (fault, (_, expected)) in faults.iter().zip(faulty) {
            assert!(fault.contains(expected), "{fault}: {expected}");
        }
        assert!(!faults.concat().contains("c2VjcmV0"), "no fault has a part of a key: {faults:#?}");
    }

    #[test]
    fn file_without_usable_keys_is_refused() {
        let many = set(&vec![OCT; KEYS_MAX + 1]);
        let ec = TokenSigner::es256().pem();
        for (text, expected) in [
            ("", "neither a JWK Set"),
            ("0123456789abcdef0123456789abcdef", "neither a JWK Set"),
            ("{}", "isn't a JWK Set"),
            (r#"{"keys":{"k":"secret"}}"#, "isn't a JWK Set"),
            (r#"{"keys":[]}"#, "has 0 keys; give 1 to 16"),
            (&many, "has 17 keys; give 1 to 16"),
            ("-----BEGIN PRIVATE KEY-----\nAA==\n-----END PRIVATE KEY-----\n", "has a private key"),
            ("-----BEGIN PUBLIC KEY-----\nAA==\n-----END PUBLIC KEY-----\n", "key 1 is damaged"),
            (&ec.replace("-----END PUBLIC", "-----END SECRET"), "is damaged"),
        ] {
            let faults = read(text).unwrap_err();
            assert!(faults.len() == 1 && faults[0].contains(expected), "{text}: {faults:?}");
            assert!(!faults[0].contains("secret"), "{faults:?}");
        }
        let missing = TokenKeys::read(Path::new("/nowhere/keys.json")).unwrap_err();
        assert_eq!(missing, ["/nowhere/keys.json doesn't exist"]);
    }

    #[test]
    fn debug_shows_no_key() {
        let shown = format!("{:?}", read(&set(&[OCT])).unwrap());
        assert_eq!(shown, r#"TokenKeys([TokenKey { id: Some("a"), algorithm: "HS256", .. }])"#);
    }
}
