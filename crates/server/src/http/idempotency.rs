//! A ballot's id outside its body. It identifies a request that a client or a proxy repeats after a missing response as the
//! same ballot.
//!
//! It is sent as `Idempotency-Key`, a quoted string as in the IETF draft (draft-ietf-httpapi-idempotency-key-header) or
//! unquoted as many clients send it, or as `?ballot_id=`, for clients that can't set a header. It must be a UUID, since it is
//! stored as the ballot's id.

use hyper::HeaderMap;
use hyper::header::HeaderName;
use throng_domain::ballot::BallotId;
use throng_domain::submission::parse_ballot_id;

use super::problem::Problem;

/// The header's name.
pub const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// The name of the query parameter.
const PARAMETER: &str = "ballot_id";

/// The ballot's id in the headers, the query and the body of a request; `in_body` is the one in the body.
///
/// # Errors
/// [`Problem::NotABallot`] if one of them isn't a UUID, or if they differ.
pub fn ballot_id(
    headers: &HeaderMap,
    query: Option<&str>,
    in_body: Option<BallotId>,
) -> Result<Option<BallotId>, Problem> {
    let in_headers = headers.get_all(IDEMPOTENCY_KEY).iter().map(|value| from_header(value.as_bytes()));
    let fields: Vec<(String, String)> = serde_urlencoded::from_str(query.unwrap_or_default()).unwrap_or_default();
    let in_query = fields.into_iter().filter(|(name, _)| name == PARAMETER).map(|(_, value)| parse_ballot_id(&value));
    let mut id = in_body;
    for found in in_headers.chain(in_query) {
        let found = found.ok_or_else(not_a_uuid)?;
        if id.is_some_and(|id| id != found) {
            return Err(Problem::NotABallot("The request contains two different ballot ids; send one.".to_owned()));
        }
        id = Some(found);
    }
    Ok(id)
}

fn from_header(value: &[u8]) -> Option<BallotId> {
    let text = std::str::from_utf8(value).ok()?.trim();
    let quoted = text.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
    parse_ballot_id(quoted.unwrap_or(text))
}

fn not_a_uuid() -> Problem {
    let example = "\"018f4d1e-7c00-7000-8000-000000000001\"";
    Problem::NotABallot(format!("Idempotency-Key and ?ballot_id= must be a UUID, such as {example}."))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "018f4d1e-7c00-7000-8000-000000000001";
    const TWO: &str = "018f4d1e-7c00-7000-8000-000000000002";

    fn resolved(header: Option<&str>, query: Option<&str>, body: Option<&str>) -> Result<Option<String>, String> {
        let headers = header.map(|value| (IDEMPOTENCY_KEY, value.parse().unwrap())).into_iter().collect();
        let id = ballot_id(&headers, query, body.and_then(parse_ballot_id));
        id.map(|id| id.map(|id| id.to_string())).map_err(|problem| problem.code().to_owned())
    }

    #[test]
    fn ids_are_read_from_header_query_and_body() {
        let one = Ok(Some(ONE.to_owned()));
        let (quoted, query) = (format!("\"{ONE}\""), format!("a=b&ballot_id={ONE}"));
        assert_eq!(resolved(None, None, None), Ok(None));
        assert_eq!(resolved(None, Some("a=b"), None), Ok(None));
        assert_eq!(resolved(Some(&quoted), None, None), one);
        assert_eq!(resolved(Some(ONE), None, None), one);
        assert_eq!(resolved(None, Some(&query), None), one);
        assert_eq!(resolved(Some(&ONE.to_uppercase()), Some(&query), Some(ONE)), one);
    }

    #[test]
    fn differing_or_invalid_ids_are_rejected() {
        let rejected = Err("not_a_ballot".to_owned());
        for header in ["", "\"\"", "1", "\"abc\"", &format!("\"{ONE}"), &format!("{ONE}, {ONE}")] {
            assert_eq!(resolved(Some(header), None, None), rejected, "{header}");
        }
        assert_eq!(resolved(None, Some("ballot_id="), None), rejected);
        assert_eq!(resolved(None, Some(&format!("ballot_id={ONE}&ballot_id={TWO}")), None), rejected);
        assert_eq!(resolved(Some(ONE), None, Some(TWO)), rejected);
        assert_eq!(resolved(Some(ONE), Some(&format!("ballot_id={TWO}")), None), rejected);
    }
}
