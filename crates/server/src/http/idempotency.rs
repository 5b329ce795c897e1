//! A ballot's id outside its body: by it a request that is sent again, by a client or a proxy that had no response, is
//! known to be the same ballot.
//!
//! It comes as `Idempotency-Key`, a quoted string as in the IETF's draft (draft-ietf-httpapi-idempotency-key-header) or bare
//! as many clients send it, or as `?ballot_id=`, for those that can't set a header. It has to be a UUID, since it is kept as
//! the ballot's id.

use hyper::HeaderMap;
use hyper::header::HeaderName;
use throng_domain::ballot::BallotId;
use throng_domain::submission::parse_ballot_id;

use super::error::Problem;

/// The header's name.
pub const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// The query's parameter.
const PARAMETER: &str = "ballot_id";

/// The ballot's id that a request names beside its body, which may name one as well.
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
    for named in in_headers.chain(in_query) {
        let named = named.ok_or_else(not_a_uuid)?;
        if id.is_some_and(|id| id != named) {
            return Err(Problem::NotABallot("The request names two ballot ids; send one.".to_owned()));
        }
        id = Some(named);
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
    Problem::NotABallot(format!("Idempotency-Key and ?ballot_id= take a UUID, such as {example}."))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "018f4d1e-7c00-7000-8000-000000000001";
    const TWO: &str = "018f4d1e-7c00-7000-8000-000000000002";

    fn named(header: Option<&str>, query: Option<&str>, body: Option<&str>) -> Result<Option<String>, String> {
        let headers = header.map(|value| (IDEMPOTENCY_KEY, value.parse().unwrap())).into_iter().collect();
        let id = ballot_id(&headers, query, body.and_then(parse_ballot_id));
        id.map(|id| id.map(|id| id.to_string())).map_err(|problem| problem.code().to_owned())
    }

    #[test]
    fn ids_are_taken_from_header_query_and_body() {
        let one = Ok(Some(ONE.to_owned()));
        let (quoted, query) = (format!("\"{ONE}\""), format!("a=b&ballot_id={ONE}"));
        assert_eq!(named(None, None, None), Ok(None));
        assert_eq!(named(None, Some("a=b"), None), Ok(None));
        assert_eq!(named(Some(&quoted), None, None), one);
        assert_eq!(named(Some(ONE), None, None), one);
        assert_eq!(named(None, Some(&query), None), one);
        assert_eq!(named(Some(&ONE.to_uppercase()), Some(&query), Some(ONE)), one);
    }

    #[test]
    fn ids_that_differ_or_are_none_are_refused() {
        let refused = Err("not_a_ballot".to_owned());
        for header in ["", "\"\"", "1", "\"abc\"", &format!("\"{ONE}"), &format!("{ONE}, {ONE}")] {
            assert_eq!(named(Some(header), None, None), refused, "{header}");
        }
        assert_eq!(named(None, Some("ballot_id="), None), refused);
        assert_eq!(named(None, Some(&format!("ballot_id={ONE}&ballot_id={TWO}")), None), refused);
        assert_eq!(named(Some(ONE), None, Some(TWO)), refused);
        assert_eq!(named(Some(ONE), Some(&format!("ballot_id={TWO}")), None), refused);
    }
}
