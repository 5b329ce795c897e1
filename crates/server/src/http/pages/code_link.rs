//! The invitation code in the address of a poll's page, for links in letters: `/polls/{slug}?code=ABCD-EFGH-JKMN-PQRS`. The page's
//! form has the code in its field then.

use throng_domain::code::Code;
use throng_domain::policy::Policy;
use throng_domain::poll::Poll;

/// The query parameter that contains a code.
const FIELD: &str = "code";

/// The code in the query of an address; `None` if there is none that can be one, or the poll has no codes.
pub fn code_in(poll: &Poll, query: &str) -> Option<Code> {
    match poll.policy {
        Policy::Code => {
            let fields: Vec<(String, String)> = serde_urlencoded::from_str(query).ok()?;
            fields.iter().find(|(name, _)| name == FIELD)?.1.parse().ok()
        }
        Policy::Unlimited | Policy::Device | Policy::Network | Policy::Signed => None,
    }
}

/// The part of a query with this code, which needs no encoding.
pub fn code_field(code: Code) -> String {
    format!("{FIELD}={code}")
}

#[cfg(test)]
mod tests {
    use throng_domain::clock::Timestamp;
    use throng_domain::new_poll::NewPoll;
    use throng_domain::poll::PollId;

    use super::*;

    #[test]
    fn code_is_read_where_the_poll_has_codes() {
        let demo = NewPoll::demo("demo".parse().unwrap(), Timestamp(0));
        let poll = NewPoll { policy: Policy::Code, ..demo.clone() }.into_poll(PollId(1));
        let code = "0123-4567-89AB-CDEF".parse().ok();
        for query in ["code=0123-4567-89AB-CDEF", "a=b&code=0123+4567%2089abcdef&id=x"] {
            assert_eq!(code_in(&poll, query), code, "{query}");
            assert_eq!(code_in(&demo.clone().into_poll(PollId(1)), query), None, "{query}");
        }
        assert_eq!(code_in(&poll, &code_field(code.unwrap())), code);
        for query in ["", "code", "code=", "code=%3Cscript%3E", "xcode=0123-4567-89AB-CDEF", "code=%ff"] {
            assert_eq!(code_in(&poll, query), None, "{query}");
        }
    }
}
