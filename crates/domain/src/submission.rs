//! Parses what a voter sent, strictly: a body that isn't exactly a ballot is rejected, never guessed at.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde::de::{self, Deserializer, MapAccess, SeqAccess, Visitor};
use smallvec::SmallVec;
use uuid::Uuid;

use crate::ids::{BallotId, OptionId};

/// The option ids in a body, in the order sent, not yet checked against a poll.
pub type SentOptions = SmallVec<[OptionId; 8]>;

/// What a vote says of the options, not yet checked against a poll.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SentChoices {
    /// It chooses these.
    Options(SentOptions),
    /// It ranks these, the most preferred one first.
    Ranking(SentOptions),
    /// It gives scores, in the order sent.
    Scores(Vec<(OptionId, u8)>),
}

impl SentChoices {
    /// Whether it says nothing.
    pub fn is_empty(&self) -> bool {
        match self {
            Self::Options(options) | Self::Ranking(options) => options.is_empty(),
            Self::Scores(scores) => scores.is_empty(),
        }
    }
}

/// A body that isn't a ballot.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct NotABallot(#[from] serde_json::Error);

/// The body of `POST /api/submit`: a JSON array of option ids.
///
/// An id may be a number without a fraction (`3`, `3.0`) or a string of its digits (`"3"`): the system that this route
/// is compatible with accepted those.
///
/// # Errors
/// [`NotABallot`] for everything else.
pub fn parse_compat(body: &[u8]) -> Result<SentOptions, NotABallot> {
    let sent: SmallVec<[LooseOptionId; 8]> = serde_json::from_slice::<CompatSubmission>(body)?.0;
    Ok(sent.into_iter().map(|id| id.0).collect())
}

/// The body of `POST /api/v1/polls/{slug}/ballots`.
#[derive(Debug, PartialEq, Eq)]
pub struct Submission {
    /// The sender's id for the ballot, unless it is given outside of the body.
    pub ballot_id: Option<BallotId>,
    /// What it says of the options.
    pub choices: SentChoices,
    /// The token of the voter's device, as the response to an earlier ballot gave it, or the voter's code.
    pub voter: Option<String>,
    /// The proof of work, not yet checked.
    pub proof: Option<String>,
}

impl Submission {
    /// Parses the JSON object.
    ///
    /// # Errors
    /// [`NotABallot`] if it isn't such an object or has an unknown field.
    pub fn parse(body: &[u8]) -> Result<Self, NotABallot> {
        // The derived implementation would accept a list of the fields' values as the object.
        if body.trim_ascii_start().starts_with(b"[") {
            let expected = &r#"an object such as {"ballot_id":"…","choices":[1,3]}"#;
            return Err(<serde_json::Error as de::Error>::invalid_type(de::Unexpected::Seq, expected).into());
        }
        let Fields { ballot_id, choices, ranking, scores, voter, proof } = serde_json::from_slice(body)?;
        let choices = match (choices, ranking, scores) {
            (Some(options), None, None) => SentChoices::Options(options),
            (None, Some(ranking), None) => SentChoices::Ranking(ranking),
            (None, None, Some(SentScores(scores))) => SentChoices::Scores(scores),
            (None, None, None) => return Err(<serde_json::Error as de::Error>::missing_field("choices").into()),
            (Some(_), Some(_), _) | (Some(_), _, Some(_)) | (None, Some(_), Some(_)) => {
                let several = "one of `choices`, `ranking` and `scores`, as the poll's kind needs, is enough";
                return Err(<serde_json::Error as de::Error>::custom(several).into());
            }
        };
        Ok(Self { ballot_id, choices, voter, proof })
    }
}

impl JsonSchema for Submission {
    fn schema_name() -> Cow<'static, str> {
        "Submission".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        Fields::json_schema(generator)
    }
}

/// A ballot, with one of `choices`, `ranking` and `scores`, as the poll's kind needs.
#[derive(JsonSchema, Deserialize)]
#[serde(deny_unknown_fields)]
struct Fields {
    /// The sender's id for the ballot, unless it is given outside of the body.
    ballot_id: Option<BallotId>,
    /// The options chosen.
    choices: Option<SentOptions>,
    /// The options ranked, the most preferred one first.
    ranking: Option<SentOptions>,
    /// A score for each option.
    #[schemars(with = "Option<BTreeMap<OptionId, u8>>")]
    scores: Option<SentScores>,
    /// The token of the voter's device, as the response to an earlier ballot gave it, or the voter's code.
    voter: Option<String>,
    /// The proof of work.
    proof: Option<String>,
}

/// Scores by option, also where an option is named twice.
struct SentScores(Vec<(OptionId, u8)>);

impl<'de> Deserialize<'de> for SentScores {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Scores;

        impl<'de> Visitor<'de> for Scores {
            type Value = SentScores;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(r#"an object with a score for each option, such as {"1":5,"3":0}"#)
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut scores = Vec::new();
                while let Some(score) = map.next_entry()? {
                    scores.push(score);
                }
                Ok(SentScores(scores))
            }
        }

        deserializer.deserialize_map(Scores)
    }
}

/// Parses a ballot's id.
pub fn parse_ballot_id(text: &str) -> Option<BallotId> {
    Uuid::try_parse(text).ok().map(BallotId)
}

/// The ids of the options chosen, as numbers or as strings of digits.
#[derive(JsonSchema)]
#[schemars(transparent)]
pub struct CompatSubmission(SmallVec<[LooseOptionId; 8]>);

impl<'de> Deserialize<'de> for CompatSubmission {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Ids;

        impl<'de> Visitor<'de> for Ids {
            type Value = CompatSubmission;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an array of option ids such as [1,3]")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let mut ids = SmallVec::new();
                while let Some(id) = seq.next_element()? {
                    ids.push(id);
                }
                Ok(CompatSubmission(ids))
            }
        }

        deserializer.deserialize_seq(Ids)
    }
}

struct LooseOptionId(OptionId);

impl JsonSchema for LooseOptionId {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "LooseOptionId".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "anyOf": [
            { "type": "integer", "minimum": 0, "maximum": u16::MAX },
            { "type": "string", "pattern": "^[1-9][0-9]{0,4}$" },
        ] })
    }
}

impl<'de> Deserialize<'de> for LooseOptionId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Id;

        impl Visitor<'_> for Id {
            type Value = LooseOptionId;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an option id such as 3")
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Self::Value, E> {
                u16::try_from(number)
                    .map(|id| LooseOptionId(OptionId(id)))
                    .map_err(|_| E::invalid_value(de::Unexpected::Unsigned(number), &self))
            }

            fn visit_f64<E: de::Error>(self, number: f64) -> Result<Self::Value, E> {
                if number.fract() == 0.0 && (0.0..=f64::from(u16::MAX)).contains(&number) {
                    // In range and whole, so this is exact.
                    self.visit_u64(number as u64)
                } else {
                    Err(E::invalid_value(de::Unexpected::Float(number), &self))
                }
            }

            fn visit_str<E: de::Error>(self, digits: &str) -> Result<Self::Value, E> {
                let canonical = !digits.starts_with('0') && digits.bytes().all(|b| b.is_ascii_digit());
                match digits.parse() {
                    Ok(id) if canonical => Ok(LooseOptionId(OptionId(id))),
                    _ => Err(E::invalid_value(de::Unexpected::Str(digits), &self)),
                }
            }
        }

        deserializer.deserialize_any(Id)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn compat(body: &str) -> Option<Vec<u16>> {
        parse_compat(body.as_bytes()).ok().map(|ids| ids.iter().map(|id| id.0).collect())
    }

    #[test]
    fn forms_that_the_original_accepted_are_accepted() {
        for (body, ids) in [
            ("[1,3]", vec![1, 3]),
            (" [ 2 ]\n", vec![2]),
            (r#"["1"]"#, vec![1]),
            ("[1.0]", vec![1]),
            ("[1,1]", vec![1, 1]),
            ("[]", vec![]),
            ("[0]", vec![0]),
            ("[1,2,3,4,5,1,2,3,4,5]", vec![1, 2, 3, 4, 5, 1, 2, 3, 4, 5]),
        ] {
            assert_eq!(compat(body), Some(ids), "{body}");
        }
    }

    #[test]
    fn bodies_other_than_id_lists_are_rejected() {
        let nested = "[".repeat(10_000);
        for body in [
            "",
            "null",
            "{}",
            r#""x""#,
            "5",
            "true",
            "[-1]",
            "[1.5]",
            r#"["1.5"]"#,
            r#"["5 "]"#,
            r#"["03"]"#,
            r#"[""]"#,
            r#"["+1"]"#,
            r#"["1.0"]"#,
            "[true]",
            "[null]",
            "[1,null]",
            "[[1]]",
            r#"{"a":1}"#,
            "[99999999999999999999]",
            "[65536]",
            "[1,2",
            "[1,2,]",
            "[1] x",
            "\u{feff}[1]",
            "[NaN]",
            "[1e400]",
            &nested,
        ] {
            assert_eq!(compat(body), None, "{body:.40}");
        }
        assert!(parse_compat(b"[\"\xff\"]").is_err());
        assert!(parse_compat(b"\xff\xfe[1]").is_err());
    }

    #[test]
    fn v1_rejects_unknown_fields() {
        let id = "018f4d1e-7c00-7000-8000-000000000001";
        let good = format!(r#"{{"ballot_id":"{id}","choices":[1,3]}}"#);
        let options = |ids: &[u16]| -> SentOptions { ids.iter().map(|id| OptionId(*id)).collect() };
        let choices = |body: &str| Submission::parse(body.as_bytes()).unwrap().choices;
        assert_eq!(choices(&good), SentChoices::Options(options(&[1, 3])));
        assert_eq!(choices(r#"{"ranking":[3,1,3]}"#), SentChoices::Ranking(options(&[3, 1, 3])));
        let scores = vec![(OptionId(3), 5), (OptionId(1), 0), (OptionId(3), 4)];
        assert_eq!(choices(r#"{"scores":{"3":5,"1":0,"3":4}}"#), SentChoices::Scores(scores));
        let proven = r#"{"proof":"1.2.3","choices":[1]}"#;
        assert_eq!(Submission::parse(proven.as_bytes()).unwrap().proof.as_deref(), Some("1.2.3"));
        for body in [
            format!(r#"{{"ballot_id":"{id}","choices":[1],"votes":999}}"#),
            format!(r#"{{"ballot_id":"{id}","choices":[1],"voter":7}}"#),
            format!(r#"{{"ballot_id":"{id}","choices":["1"]}}"#),
            format!(r#"{{"ballot_id":"{id}"}}"#),
            format!(r#"{{"ballot_id":"{id}","choices":[1],"choices":[2]}}"#),
            r#"{"ballot_id":"x","choices":[1]}"#.to_owned(),
            r#"{"choices":[1],"proof":7}"#.to_owned(),
            r#"{"choices":[1],"ranking":[1]}"#.to_owned(),
            r#"{"choices":[1],"ranking":[1],"scores":{"1":1}}"#.to_owned(),
            r#"{"ranking":[1],"scores":{"1":1}}"#.to_owned(),
            r#"{"scores":[5]}"#.to_owned(),
            r#"{"scores":{"1":256}}"#.to_owned(),
            r#"{"scores":{"1":-1}}"#.to_owned(),
            r#"{"scores":{"1":1.5}}"#.to_owned(),
            r#"{"scores":{"x":1}}"#.to_owned(),
            r#"{"scores":{"1":1},"scores":{"1":2}}"#.to_owned(),
            format!(r#"["{id}",[1]]"#),
            format!("\n [\"{id}\",[1]]"),
        ] {
            assert!(Submission::parse(body.as_bytes()).is_err(), "{body}");
        }
    }

    #[test]
    fn error_describes_the_invalid_option_id() {
        for (choice, unexpected) in [("\"1\"", "string \"1\""), ("70000", "integer `70000`"), ("-1", "integer `-1`")] {
            let body = format!(r#"{{"ballot_id":"018f4d1e-7c00-7000-8000-000000000001","choices":[{choice}]}}"#);
            let error = Submission::parse(body.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(unexpected) && error.contains("an option's id, a number such as 3"), "{error}");
        }
    }

    proptest! {
        #[test]
        fn no_body_breaks_the_parser(body in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse_compat(&body);
            let _ = Submission::parse(&body);
        }

        #[test]
        fn every_list_of_ids_is_read_back(ids in proptest::collection::vec(any::<u16>(), 0..50)) {
            let body = serde_json::to_string(&ids).unwrap();
            prop_assert_eq!(compat(&body), Some(ids));
        }
    }
}
