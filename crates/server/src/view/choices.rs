//! What a ballot says of its options, under the name that it is sent with.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;
use throng_domain::ballot::{Choices, Form};
use throng_domain::poll::OptionId;

/// `"choices":[1,3]`, `"ranking":[3,1]` or `"scores":{"1":5}`, to be flattened into an object.
#[derive(Debug, JsonSchema, Serialize)]
pub struct ChoicesView<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    choices: Option<&'a [OptionId]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ranking: Option<&'a [OptionId]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<BTreeMap<OptionId, u8>>")]
    scores: Option<&'a Choices>,
}

impl<'a> From<&'a Choices> for ChoicesView<'a> {
    fn from(choices: &'a Choices) -> Self {
        let none = Self { choices: None, ranking: None, scores: None };
        match choices.form() {
            Form::Chosen(options) => Self { choices: Some(options), ..none },
            Form::Ranked(options) => Self { ranking: Some(options), ..none },
            Form::Scored(_) => Self { scores: Some(choices), ..none },
        }
    }
}
