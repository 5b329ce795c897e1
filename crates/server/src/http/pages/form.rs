//! Ballots sent by a page's form.

use hyper::HeaderMap;
use hyper::header::CONTENT_TYPE;
use throng_domain::ballot::BallotId;
use throng_domain::code::CODE_BYTES_MAX;
use throng_domain::policy::Policy;
use throng_domain::poll::{Kind, OptionId, Poll};
use throng_domain::submission::{self, SentChoices, SentOptions};

use super::super::problem::Problem;

const MEDIA_TYPE: &str = "application/x-www-form-urlencoded";

/// A ballot as sent by a form.
#[derive(Debug)]
pub struct BallotForm {
    /// What it says of the options, in the order sent, not yet checked against a poll.
    pub choices: SentChoices,
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
    /// A form that nothing was filled into, for a ballot in a poll of this kind.
    pub fn empty(kind: Kind) -> Self {
        let choices = match kind {
            Kind::Single | Kind::Multiple => SentChoices::Options(SentOptions::new()),
            Kind::Ranked => SentChoices::Ranking(SentOptions::new()),
            Kind::Score => SentChoices::Scores(Vec::new()),
        };
        Self { choices, ballot_id: None, code: String::new(), proof: None, voter: None, retry: false }
    }

    /// Parses the fields `choice`, one per option, or in a ranked poll one per rank; in a score poll `score-1` for the option 1;
    /// `ballot_id`, `code`, `proof` and `retry`, and with the policy `signed` also `voter`. A rank or score that is left empty isn't
    /// given; a lower rank takes the place of an empty one.
    ///
    /// # Errors
    /// [`Problem::UnsupportedMediaType`], or [`Problem::NotABallot`] if there is an unknown field or an invalid value.
    pub fn read(headers: &HeaderMap, body: &[u8], poll: &Poll) -> Result<Self, Problem> {
        let media_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        if !media_type.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case(MEDIA_TYPE) {
            return Err(Problem::UnsupportedMediaType);
        }
        let not_a_ballot = || Problem::NotABallot("The form has an unknown field or an invalid value.".to_owned());
        let fields: Vec<(String, String)> = serde_urlencoded::from_bytes(body).map_err(|_| not_a_ballot())?;
        let mut form = Self::empty(poll.kind);
        for (name, value) in fields {
            match name.as_str() {
                "choice" => form.add_choice(&value).ok_or_else(not_a_ballot)?,
                "ballot_id" | "proof" if value.is_empty() => {}
                "code" if value.len() <= CODE_BYTES_MAX => form.code = value,
                "proof" => form.proof = Some(value),
                "voter" if poll.policy == Policy::Signed => form.voter = Some(value).filter(|voter| !voter.is_empty()),
                "retry" if value == "1" => form.retry = true,
                "ballot_id" => {
                    form.ballot_id = Some(submission::parse_ballot_id(&value).ok_or_else(not_a_ballot)?);
                }
                _ => form.add_score(&name, &value).ok_or_else(not_a_ballot)?,
            }
        }
        Ok(form)
    }

    fn add_choice(&mut self, value: &str) -> Option<()> {
        match &mut self.choices {
            SentChoices::Options(options) => options.push(option_id(value)?),
            SentChoices::Ranking(_) if value.is_empty() => {}
            SentChoices::Ranking(options) => options.push(option_id(value)?),
            SentChoices::Scores(_) => return None,
        }
        Some(())
    }

    fn add_score(&mut self, name: &str, value: &str) -> Option<()> {
        let SentChoices::Scores(scores) = &mut self.choices else { return None };
        let option = option_id(name.strip_prefix("score-")?)?;
        if !value.is_empty() {
            scores.push((option, number(value)?));
        }
        Some(())
    }
}

fn option_id(text: &str) -> Option<OptionId> {
    number(text).map(OptionId)
}

fn number<T: std::str::FromStr>(text: &str) -> Option<T> {
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}
