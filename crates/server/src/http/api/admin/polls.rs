//! Polls: listed, shown, created, edited and deleted.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use hyper::header::{HeaderValue, LOCATION};
use hyper::{HeaderMap, StatusCode};
use serde::{Deserialize, Deserializer, Serialize};
use throng_domain::counting::CountingEdit;
use throng_domain::origins::AllowedOrigins;
use throng_domain::policy::Policy;
use throng_domain::poll::{Kind, Locale, OptionId, OptionOrder, PercentBase, PollId, Proof, Visibility};
use throng_domain::poll_change::Edit;

use super::request::{
    Administrator, JsonBody, Parameters, SlugPath, changed, failed, json_response, no_content, poll_response, reload,
    require_if_match, with_status,
};
use crate::http::problem::Problem;
use crate::polls::{Applied, PollDefinition};
use crate::state::CoreState;
use crate::view::AdminPollView;

/// The most polls in one response.
const PAGE_MAX: usize = 1_000;

/// Which polls to list.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListQuery {
    /// Archived ones too.
    #[serde(default)]
    archived: bool,
    /// Those after this place, from `next` of an earlier response.
    #[serde(default)]
    after: i64,
    /// At most so many.
    #[serde(default = "default_limit")]
    limit: usize,
}

fn default_limit() -> usize {
    100
}

#[derive(Serialize)]
struct ListView<'a> {
    polls: Vec<AdminPollView<'a>>,
    next: Option<i64>,
}

/// `GET /polls`: in order of creation.
pub async fn list(
    State(core): State<Arc<CoreState>>,
    Parameters(query): Parameters<ListQuery>,
) -> Result<Response, Problem> {
    if !(1..=PAGE_MAX).contains(&query.limit) {
        return Err(Problem::InvalidQuery(format!("limit is 1 to {PAGE_MAX}")));
    }
    let (app, now) = (&core.app, core.app.clock.now());
    let (polls, next) = app.polls.page(PollId(query.after), query.limit, query.archived, &app.source).await?;
    let (polls, next) = (polls.iter().map(|poll| AdminPollView::new(poll, now)).collect(), next.map(|next| next.0));
    Ok(json_response(&ListView { polls, next }))
}

/// `GET /polls/{slug}`: as it is stored.
pub async fn show(State(core): State<Arc<CoreState>>, SlugPath(slug): SlugPath) -> Result<Response, Problem> {
    let poll = core.app.source.store.poll(&slug).await?.ok_or(Problem::PollNotFound)?;
    Ok(poll_response(&core, &poll))
}

/// `POST /polls`: creates a poll.
pub async fn create(
    State(core): State<Arc<CoreState>>,
    by: Administrator,
    JsonBody(definition): JsonBody<PollDefinition>,
) -> Result<Response, Problem> {
    let (new, schedule) = definition.into_new_poll()?;
    let poll = by.polls(&core).create(new, schedule).await.map_err(|error| failed(&core, error))?;
    let mut response = with_status(StatusCode::CREATED, changed(&core, &poll).await);
    let location =
        HeaderValue::from_str(&format!("/api/v1/admin/polls/{}", poll.slug)).expect("a slug fits in a header");
    response.headers_mut().insert(LOCATION, location);
    Ok(response)
}

/// `PUT /polls/{slug}`: creates the poll, or changes it so that it is as the body says. The same again changes nothing.
pub async fn apply(
    State(core): State<Arc<CoreState>>,
    SlugPath(slug): SlugPath,
    by: Administrator,
    JsonBody(definition): JsonBody<PollDefinition>,
) -> Result<Response, Problem> {
    if definition.slug != slug {
        return Err(Problem::InvalidBody("its slug is another one than in the address".to_owned()));
    }
    let applied = by.polls(&core).apply(&definition).await.map_err(|error| failed(&core, error))?;
    let response = changed(&core, applied.poll().0).await;
    Ok(match applied {
        Applied::Created(_) => with_status(StatusCode::CREATED, response),
        Applied::Changed(_) | Applied::Unchanged(_) => response,
    })
}

/// New values for some of a poll's fields; the others stay.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Patch {
    title: Option<String>,
    intro: Option<String>,
    consent: Option<String>,
    /// New labels, by the options' ids.
    labels: BTreeMap<OptionId, String>,
    add_options: Vec<String>,
    remove_options: Vec<OptionId>,
    results: Option<Visibility>,
    percent_base: Option<PercentBase>,
    proof: Option<Proof>,
    allowed_origins: Option<AllowedOrigins>,
    locale: Option<Locale>,
    option_order: Option<OptionOrder>,
    kind: Option<Kind>,
    min_choices: Option<u16>,
    max_choices: Option<u16>,
    counting: CountingEdit,
    policy: Option<Policy>,
    quota: QuotaPatch,
    changeable: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct QuotaPatch {
    ballots: Option<u8>,
    /// `null` for any number.
    #[serde(deserialize_with = "given")]
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

/// `DELETE /polls/{slug}`, with `If-Match`: deletes a draft.
pub async fn delete(
    State(core): State<Arc<CoreState>>,
    SlugPath(slug): SlugPath,
    by: Administrator,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    require_if_match(&headers)?;
    by.polls(&core).delete(&slug).await.map_err(|error| failed(&core, error))?;
    reload(&core).await;
    Ok(no_content())
}
