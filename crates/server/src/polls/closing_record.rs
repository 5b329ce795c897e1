//! The closing record of a poll: what was voted on, by which rules, what counts and what doesn't, signed.
//!
//! Whoever doubts a result later has one document to check: its signature, its sums, and the hash of the ballots, which anybody
//! with access to the database can compute again.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};
use throng_domain::audit::AuditEntry;
use throng_domain::poll::{OptionId, Poll, Slug};
use throng_domain::store::{Recount, StoreError};

use super::export::{EXPORT_PAGE_BALLOTS, Export, ExportFormat};
use super::{PollError, PollService};
use crate::config::DerivedKey;
use crate::view::{AdminPollView, AuditView, Rfc3339, Tabulated, rfc3339_text};

/// The form of a record; another one gets another name.
const FORMAT: &str = "throng-closing-record/1";

/// The most changes of the poll that a record lists.
const CHANGES_MAX: usize = 1_000;

/// How often all ballots are read until the poll stays as it is meanwhile.
const TRIES_MAX: usize = 3;

/// The key with which records are signed.
#[derive(Debug)]
pub struct RecordKey(Ed25519KeyPair);

/// A record that was signed: `{"record":{…},"signature":{…}}`.
#[derive(Clone, Debug, JsonSchema)]
#[schemars(transparent, inline)]
pub struct SignedRecord(#[schemars(with = "Signed<ClosingRecord<'_>>")] Value);

#[derive(JsonSchema, Serialize)]
#[schemars(rename = "SignedRecord")]
struct Signed<T> {
    record: T,
    /// Of the record's canonical JSON (RFC 8785).
    signature: Signature,
}

#[derive(JsonSchema, Serialize)]
struct Signature {
    algorithm: &'static str,
    /// In base 64, as `throng poll verify` prints it.
    public_key: String,
    /// In base 64.
    value: String,
}

/// What was voted on, by which rules, what counts and what doesn't.
#[derive(JsonSchema, Serialize)]
struct ClosingRecord<'a> {
    format: &'static str,
    software: &'static str,
    #[schemars(with = "Rfc3339")]
    made_at: String,
    poll: AdminPollView<'a>,
    result: RecordedResult<'a>,
    ballots: RecordedBallots,
    /// What a record can't know.
    missing: Vec<&'static str>,
    changes: Vec<AuditView<'a>>,
}

#[derive(JsonSchema, Serialize)]
struct RecordedResult<'a> {
    seq: u64,
    voters: u64,
    options: Vec<RecordedOption<'a>>,
    agrees_with_ballots: bool,
    /// Of a ranked poll its rounds, of a score poll its scores: as in a result, without means, which aren't integers.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Map<String, Value>>")]
    tabulated: Option<Value>,
}

#[derive(JsonSchema, Serialize)]
struct RecordedOption<'a> {
    id: OptionId,
    label: &'a str,
    count: u64,
}

#[derive(JsonSchema, Serialize)]
struct RecordedBallots {
    recorded: u64,
    counted: u64,
    /// Replaced by a later one of the same voter, or withdrawn.
    superseded: u64,
    void: u64,
    void_by_rule: Vec<VoidByRule>,
    /// Of the ballots as they are exported in lines of JSON, with the voters' pseudonyms and without `void`.
    sha256: String,
}

#[derive(JsonSchema, Serialize)]
struct VoidByRule {
    rule: u32,
    ballots: u64,
}

/// What is recorded of a poll's ballots.
#[derive(Debug)]
struct Counted {
    recorded: u64,
    /// How many each rule that voids ballots applies to, by its number; a ballot may be void by several.
    by_rule: Vec<(u32, u64)>,
    sha256: [u8; 32],
}

impl RecordKey {
    /// The Ed25519 key (RFC 8032) whose seed is this one.
    pub fn new(seed: &DerivedKey) -> Self {
        Self(Ed25519KeyPair::from_seed_unchecked(seed.bytes()).expect("a seed has 32 bytes"))
    }

    /// The public key, in base 64.
    pub fn public(&self) -> String {
        STANDARD.encode(self.0.public_key())
    }
}

impl PollService<'_> {
    /// The record of a poll whose result is final, signed. Reads every ballot.
    ///
    /// # Errors
    /// [`PollError::NotFinal`]; [`PollError::Busy`] if the poll is changed again and again meanwhile;
    /// [`PollError::RecordDisagrees`]; or those of [`Self::find`] and the store.
    pub async fn closing_record(&self, slug: &Slug, key: &RecordKey) -> Result<SignedRecord, PollError> {
        for _ in 0..TRIES_MAX {
            let poll = self.find(slug).await?;
            if poll.final_at.is_none() {
                return Err(PollError::NotFinal(slug.clone()));
            }
            let recount = self.recount(&poll).await?;
            let counted = self.count(&poll).await?;
            let tabulated = Tabulated::of(&poll, self.store.detailed_tallies(poll.id).await?.details);
            let changes = self.audit_log(Some(slug), None, CHANGES_MAX).await?;
            // All of it is of one state of the poll, to which no ballot is added any more.
            if self.find(slug).await?.version == poll.version {
                let record = self.record(&poll, &recount, &counted, &changes, tabulated.as_ref())?;
                return Ok(SignedRecord::sign(record, key));
            }
        }
        let meanwhile = format!("poll `{slug}` was changed while its ballots were read");
        Err(PollError::Busy(StoreError::Conflict(meanwhile)))
    }

    async fn count(&self, poll: &Poll) -> Result<Counted, PollError> {
        // Without what may change later.
        let export = Export::new(poll, ExportFormat::Ndjson, true).without_voids();
        let rules: Vec<_> = poll.voids.iter().filter(|void| !void.undone).collect();
        let (mut recorded, mut by_rule, mut hash) = (0, vec![0; rules.len()], Sha256::new());
        let mut after = None;
        loop {
            let page = self.store.ballots(poll.id, after, EXPORT_PAGE_BALLOTS).await?;
            recorded += page.ballots.len() as u64;
            hash.update(export.lines(&page.ballots));
            for ballot in page.ballots.iter().filter(|ballot| !ballot.choices.is_blank()) {
                for (rule, count) in rules.iter().zip(&mut by_rule) {
                    *count += u64::from(rule.rule.applies_to(ballot.key, ballot.accepted_at, &ballot.choices));
                }
            }
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        let by_rule = rules.iter().map(|rule| rule.number).zip(by_rule).collect();
        Ok(Counted { recorded, by_rule, sha256: hash.finalize().into() })
    }

    fn record(
        &self,
        poll: &Poll,
        recount: &Recount,
        counted: &Counted,
        changes: &[AuditEntry],
        tabulated: Option<&Tabulated>,
    ) -> Result<Value, PollError> {
        let now = self.clock.now();
        let (void, counts) = (recount.voided.all, recount.ballots.voters);
        let superseded = counted.recorded.checked_sub(counts + void);
        // In other polls each ballot counts, unless it is void.
        let superseded = superseded.filter(|superseded| poll.changeable || *superseded == 0);
        let superseded = superseded.ok_or_else(|| PollError::RecordDisagrees(poll.slug.clone()))?;
        let mut missing = vec!["votes that were refused, by reason"];
        if changes.len() >= CHANGES_MAX {
            missing.push("the earliest changes");
        }
        let options = poll.options.iter().map(|option| RecordedOption {
            id: option.id,
            label: &option.label,
            count: recount.tallies.count(option.id),
        });
        let by_rule = counted.by_rule.iter().map(|(rule, ballots)| VoidByRule { rule: *rule, ballots: *ballots });
        let hash: String = counted.sha256.iter().map(|byte| format!("{byte:02x}")).collect();
        let record = ClosingRecord {
            format: FORMAT,
            software: concat!("throng ", env!("CARGO_PKG_VERSION")),
            made_at: rfc3339_text(now),
            poll: AdminPollView::new(poll, now),
            result: RecordedResult {
                seq: recount.tallies.seq,
                voters: recount.tallies.voters,
                options: options.collect(),
                agrees_with_ballots: recount.agrees(),
                tabulated: tabulated.map(integers_of),
            },
            ballots: RecordedBallots {
                recorded: counted.recorded,
                counted: counts,
                superseded,
                void,
                void_by_rule: by_rule.collect(),
                sha256: hash,
            },
            // Votes that were refused are counted by each server since its start, in its metrics, and not stored.
            missing,
            changes: changes.iter().rev().map(AuditView::from).collect(),
        };
        Ok(serde_json::to_value(record).expect("a record has only strings for keys"))
    }
}

impl SignedRecord {
    /// Signs the record's canonical form (RFC 8785): sorted names and no white space. All of its numbers are integers.
    fn sign(record: Value, key: &RecordKey) -> Self {
        let value = STANDARD.encode(key.0.sign(record.to_string().as_bytes()));
        let signature = Signature { algorithm: "Ed25519", public_key: key.public(), value };
        let signed = Signed { record, signature };
        Self(serde_json::to_value(signed).expect("a record has only strings for keys"))
    }

    /// The record in this text, if its signature is valid, with the public key in base 64 that it is valid for.
    ///
    /// # Errors
    /// Why it isn't.
    pub fn verify(text: &str) -> Result<(Self, String), String> {
        let signed: Value = serde_json::from_str(text).map_err(|error| format!("it isn't JSON: {error}"))?;
        let record = signed.get("record").ok_or("it has no `record`")?;
        if record["format"] != FORMAT {
            return Err(format!("its format isn't {FORMAT}"));
        }
        // A name that is given twice has two values, of which a reader may see the one that isn't signed.
        let written = signed.to_string();
        if without_spaces(text) != written || signed.as_object().is_none_or(|parts| parts.len() != 2) {
            return Err("it isn't as it was written, white space aside".to_owned());
        }
        let field = |name: &str| signed["signature"][name].as_str().unwrap_or_default();
        let decoded = |name| STANDARD.decode(field(name)).map_err(|_| format!("its signature has no valid `{name}`"));
        let (key, signature) = (decoded("public_key")?, decoded("value")?);
        UnparsedPublicKey::new(&ED25519, key)
            .verify(record.to_string().as_bytes(), &signature)
            .map_err(|_| "its signature isn't valid: it was changed after it was signed".to_owned())?;
        let key = field("public_key").to_owned();
        Ok((Self(signed), key))
    }

    /// The record, with its signature.
    pub fn json(&self) -> &Value {
        &self.0
    }

    /// The record without its signature.
    pub fn record(&self) -> &Value {
        &self.0["record"]
    }
}

/// What was tabulated, without the means, which aren't integers: they follow from the sums.
fn integers_of(tabulated: &Tabulated) -> Value {
    let mut value = serde_json::to_value(tabulated).expect("what is tabulated has only strings for keys");
    for option in value.pointer_mut("/scores/options").and_then(Value::as_array_mut).into_iter().flatten() {
        option.as_object_mut().map(|fields| fields.remove("mean"));
    }
    value
}

/// JSON without the white space between its parts.
fn without_spaces(json: &str) -> String {
    let (mut in_text, mut is_escaped) = (false, false);
    let is_part = |letter: &char| {
        let is_space = !in_text && letter.is_ascii_whitespace();
        if *letter == '"' && !is_escaped {
            in_text = !in_text;
        }
        is_escaped = in_text && *letter == '\\' && !is_escaped;
        !is_space
    };
    json.chars().filter(is_part).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn changed_record_is_not_valid() {
        let key = RecordKey::new(&DerivedKey::new([7; 32]));
        let record = json!({"format": FORMAT, "z": 1, "a": {"voters": 12, "label": "Zo\u{eb} \u{1f3b6} \"x\"\n"}});
        let text = SignedRecord::sign(record, &key).json().to_string();
        let (_, public) = SignedRecord::verify(&text).unwrap();
        assert_eq!(public, key.public());
        // However it is laid out.
        let pretty = serde_json::to_string_pretty(&serde_json::from_str::<Value>(&text).unwrap()).unwrap();
        assert!(SignedRecord::verify(&pretty).is_ok());
        for (changed, why) in [
            (text.replace("12", "13"), "changed after"),
            (text.replace("Zo\u{eb}", "Zoe"), "changed after"),
            (text.replacen("\"voters\":", "\"voters\":99,\"voters\":", 1), "isn't as it was written"),
            (text.replacen('{', "{\"record\":{\"voters\":99},", 1), "isn't as it was written"),
            (text.replacen('{', "{\"a\":1,", 1), "isn't as it was written"),
            (text.replace("closing-record/1", "closing-record/2"), "format"),
            (text.replace("\"value\":\"", "\"value\":\"!"), "no valid `value`"),
            (text.replace("record", "recorded"), "no `record`"),
            ("{".to_owned(), "JSON"),
        ] {
            let fault = SignedRecord::verify(&changed).unwrap_err();
            assert!(fault.contains(why), "{why}: {fault}");
        }
        let other = RecordKey::new(&DerivedKey::new([8; 32]));
        let forged = text.replace(&key.public(), &other.public());
        assert!(SignedRecord::verify(&forged).is_err());
    }
}
