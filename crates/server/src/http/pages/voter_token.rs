//! The token of a publisher's user in the address of a poll's page, from where the form takes it: `?voter=`.
//!
//! The publisher's site links to such an address, so it works without JavaScript. Only polls with the policy `signed` have it; the
//! page is for one voter then, and no cache in front keeps it.

use throng_domain::policy::Policy;
use throng_domain::poll::Poll;

/// The query parameter with the token.
pub const FIELD: &str = "voter";

/// The token in the query of an address.
pub fn in_query(poll: &Poll, query: &str) -> Option<String> {
    for_page(poll, query.split('&').find_map(|field| field.strip_prefix(FIELD)?.strip_prefix('='))?)
}

/// A token for a page of this poll and the addresses in it; `None` if the poll has no such voters, or the text can't be a token.
pub fn for_page(poll: &Poll, token: &str) -> Option<String> {
    // Those of a JWT: none of them has a meaning in an address or in HTML.
    let is_of_token = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let is_token = !token.is_empty() && token.bytes().all(is_of_token);
    (poll.policy == Policy::Signed && is_token).then(|| token.to_owned())
}

#[cfg(test)]
mod tests {
    use throng_domain::clock::Timestamp;
    use throng_domain::new_poll::NewPoll;
    use throng_domain::poll::PollId;

    use super::*;

    #[test]
    fn token_is_taken_from_the_address_of_a_signed_poll() {
        let demo = NewPoll::demo("demo".parse().unwrap(), Timestamp(0)).into_poll(PollId(1));
        let signed = Poll { policy: Policy::Signed, ..demo.clone() };
        for (query, token) in [
            ("voter=a-_9.b.c", Some("a-_9.b.c")),
            ("id=1&voter=a", Some("a")),
            ("voter=", None),
            ("voter", None),
            ("xvoter=a", None),
            ("voter=%22", None),
            ("voter=a\"><script>", None),
        ] {
            assert_eq!(in_query(&signed, query).as_deref(), token, "{query}");
            assert_eq!(in_query(&demo, query), None, "{query}");
        }
    }
}
