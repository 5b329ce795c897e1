//! Ballots sent by a page's form.

use hyper::HeaderMap;
use hyper::header::CONTENT_TYPE;
use throng_domain::ballot::BallotId;
use throng_domain::code::CODE_BYTES_MAX;
use throng_domain::policy::Policy;
use throng_domain::poll::OptionId;
use throng_domain::submission;

use super::super::problem::Problem;

const MEDIA_TYPE: &str = "application/x-www-form-urlencoded";

/// A ballot as sent by a form.
#[derive(Debug, Default)]
pub struct BallotForm {
    /// The chosen options, in the order sent, not yet checked against a poll.
    pub choices: Vec<OptionId>,
    /// Its id; `None` if the form's page came from a cache and its script didn't run.
    pub ballot_id: Option<BallotId>,
    /// Its voter's invitation code, as it was typed; empty if there is none.
    pub code: String,
    /// Its proof of work, not yet checked.
    pub proof: Option<String>,
    /// The voter's token, not yet checked, where the poll's policy is `signed`.
    pub voter: Option<String>,
    /// Whether it was sent before, and may have been counted.
    pub retry: bool,
}

impl BallotForm {
    /// Parses the fields `choice`, one per option, `ballot_id`, `code`, `proof` and `retry`, and with the policy `signed` also
    /// `voter`.
    ///
    /// # Errors
    /// [`Problem::UnsupportedMediaType`], or [`Problem::NotABallot`] if there is an unknown field or an invalid value.
    pub fn read(headers: &HeaderMap, body: &[u8], policy: Policy) -> Result<Self, Problem> {
        let media_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        if !media_type.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case(MEDIA_TYPE) {
            return Err(Problem::UnsupportedMediaType);
        }
        let not_a_ballot = || Problem::NotABallot("The form has an unknown field or an invalid value.".to_owned());
        let fields: Vec<(String, String)> = serde_urlencoded::from_bytes(body).map_err(|_| not_a_ballot())?;
        let mut form = Self::default();
        for (name, value) in fields {
            match name.as_str() {
                "choice" => form.choices.push(option_id(&value).ok_or_else(not_a_ballot)?),
                "ballot_id" | "proof" if value.is_empty() => {}
                "code" if value.len() <= CODE_BYTES_MAX => form.code = value,
                "proof" => form.proof = Some(value),
                "voter" if policy == Policy::Signed => form.voter = Some(value).filter(|voter| !voter.is_empty()),
                "retry" if value == "1" => form.retry = true,
                "ballot_id" => {
                    form.ballot_id = Some(submission::parse_ballot_id(&value).ok_or_else(not_a_ballot)?);
                }
                _ => return Err(not_a_ballot()),
            }
        }
        Ok(form)
    }
}

fn option_id(text: &str) -> Option<OptionId> {
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok().map(OptionId)).flatten()
}
