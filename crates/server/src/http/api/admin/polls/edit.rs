//! `PATCH /api/v1/admin/polls/{slug}`.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use hyper::{HeaderMap, StatusCode};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer};
use serde_json::json;
use throng_domain::counting::CountingEdit;
use throng_domain::object::object;
use throng_domain::origins::AllowedOrigins;
use throng_domain::policy::Policy;
use throng_domain::poll::{
    CONSENT_CHARS_MAX, INTRO_CHARS_MAX, Kind, Locale, OPTIONS_MAX, OptionId, OptionOrder, PercentBase, Proof,
    TITLE_CHARS_MAX, Visibility,
};
use throng_domain::poll_change::{Edit, EditFault};

use super::super::request::{
    Administrator, JsonBody, SlugPath, changed, failed, require_if_match, responds_poll, with_json_body,
    with_required_version, with_slug,
};
use crate::http::openapi::{Operation, Tag, song};
use crate::http::problem::Problem;
use crate::polls::PollError;
use crate::state::CoreState;

/// How [`edit`] is described.
pub fn describe() -> Operation {
    let operation = with_slug(Operation::new(Tag::Polls, "editPoll", "Change some fields of a poll"))
        .describe("What decides how ballots count can't change once the poll has opened.")
        .problems([
            Problem::Poll(PollError::Edit { slug: song(), fault: EditFault::Fixed(vec!["the options"]) }),
            Problem::Poll(PollError::Invalid(vec!["the title needs 1 to 200 characters".to_owned()])),
        ]);
    let operation = with_json_body::<Patch>(operation, json!({ "title": "Which song?" }));
    responds_poll(with_required_version(operation), StatusCode::OK, "The poll as it is now.")
}

/// New values for some of a poll's fields; the others stay.
#[derive(Debug, Default, JsonSchema, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "PollPatch")]
pub struct Patch {
    /// The question.
    #[schemars(length(min = 1, max = TITLE_CHARS_MAX))]
    title: Option<String>,
    /// A sentence or two below the title.
    #[schemars(length(max = INTRO_CHARS_MAX))]
    intro: Option<String>,
    /// What a voter agrees to by voting.
    #[schemars(length(max = CONSENT_CHARS_MAX))]
    consent: Option<String>,
    /// New labels, by the options' ids.
    labels: BTreeMap<OptionId, String>,
    /// Labels of new options, which are added at the end.
    add_options: Vec<String>,
    /// The ids of options that are removed.
    remove_options: Vec<OptionId>,
    /// Who may see the results, and when.
    results: Option<Visibility>,
    /// What the percentages are shares of.
    percent_base: Option<PercentBase>,
    /// Whether a ballot has to come with a proof of work.
    proof: Option<Proof>,
    /// Whose pages may vote; empty: as the server's configuration says.
    allowed_origins: Option<AllowedOrigins>,
    /// The language of its texts.
    locale: Option<Locale>,
    /// In which order a page shows the options.
    option_order: Option<OptionOrder>,
    /// What a ballot says of the options. If it changes, the limits become those of a new poll, unless they are given too.
    kind: Option<Kind>,
    /// The fewest options a ballot may choose.
    #[schemars(range(min = 1, max = OPTIONS_MAX))]
    min_choices: Option<u16>,
    /// The most options a ballot may choose.
    #[schemars(range(min = 1, max = OPTIONS_MAX))]
    max_choices: Option<u16>,
    /// How rankings or scores are counted.
    #[serde(deserialize_with = "object")]
    counting: CountingEdit,
    /// What identifies a voter.
    policy: Option<Policy>,
    /// How often a voter may vote.
    #[serde(deserialize_with = "object")]
    quota: QuotaPatch,
    /// Whether voters may replace or withdraw their ballots until the poll closes.
    changeable: Option<bool>,
}

#[derive(Debug, Default, JsonSchema, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct QuotaPatch {
    /// How many ballots a voter may cast.
    #[schemars(range(min = 1))]
    ballots: Option<u8>,
    /// How many of them may choose the same option; `null` for any number.
    #[serde(deserialize_with = "given")]
    #[schemars(with = "Option<u8>", range(min = 1))]
    per_option: Option<Option<u8>>,
}

/// A value that is given, also if it is `null`.
fn given<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<u8>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

impl From<Patch> for Edit {
    fn from(patch: Patch) -> Self {
        Self {
            title: patch.title,
            intro: patch.intro,
            consent: patch.consent,
            labels: patch.labels.into_iter().collect(),
            added: patch.add_options,
            removed: patch.remove_options,
            results: patch.results,
            percent_base: patch.percent_base,
            proof: patch.proof,
            allowed_origins: patch.allowed_origins,
            locale: patch.locale,
            option_order: patch.option_order,
            kind: patch.kind,
            min_choices: patch.min_choices,
            max_choices: patch.max_choices,
            counting: patch.counting,
            policy: patch.policy,
            ballots: patch.quota.ballots,
            per_option: patch.quota.per_option,
            changeable: patch.changeable,
            window: None,
        }
    }
}

/// `PATCH /polls/{slug}`, with `If-Match`: changes some of the poll's fields.
pub async fn edit(
    State(core): State<Arc<CoreState>>,
    SlugPath(slug): SlugPath,
    by: Administrator,
    headers: HeaderMap,
    JsonBody(patch): JsonBody<Patch>,
) -> Result<Response, Problem> {
    require_if_match(&headers)?;
    let edited = by.polls(&core).edit(&slug, patch.into()).await.map_err(|error| failed(&core, error))?;
    Ok(changed(&core, &edited).await)
}
