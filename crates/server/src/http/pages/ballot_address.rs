//! The address of the page with a ballot form for browsers without script. It contains a name for the ballot, so that going
//! back to it, reloading it or copying its tab gives the same ballot, also in a browser that requests the page again each time.
//!
//! An address may be passed on. If two people filled in the ballot of one address, the second would get the response that it is
//! already counted. So a cookie contains the name too, and a browser that neither sends that cookie nor comes from this
//! server's own page is redirected to a ballot of its own.
//!
//! The ballot's id isn't its name, but derived from it with the server's key: the address in a log doesn't identify the ballot.

use hyper::HeaderMap;
use hyper::header::HeaderValue;
use throng_domain::ballot::BallotId;
use throng_domain::clock::Timestamp;
use throng_domain::poll::Poll;
use uuid::Uuid;

use super::super::cookies::cookies;
use super::receipt::PageReceiptKey;

/// The query parameter with the name of the ballot.
const FIELD: &str = "id";

/// How long after its creation an address counts as one that its browser was just redirected to, in milliseconds: some browsers
/// keep no cookies and send no `Sec-Fetch-Site`.
const REDIRECT_MAX_MS: i64 = 10_000;

/// The address of a new ballot, with its cookie.
#[derive(Debug)]
pub struct BallotAddress {
    /// The address.
    pub address: HeaderValue,
    /// The value of `Set-Cookie` that is sent with it.
    pub cookie: HeaderValue,
}

impl BallotAddress {
    /// The address of a poll's ballot with this name, which must be unique. `voter` is the field of the address with the voter's code
    /// or token, if one is known.
    pub fn new(poll: &Poll, name: BallotId, voter: Option<&str>) -> Self {
        let slug = &poll.slug;
        let voter = voter.map(|field| format!("&{field}")).unwrap_or_default();
        let value = |text: String| HeaderValue::from_str(&text).expect("slugs and ids fit in a header");
        Self {
            address: value(format!("/polls/{slug}/ballot?{FIELD}={name}{voter}")),
            // Without a path, the cookie applies to the pages beside this one, whatever path prefix a proxy adds. It reveals no
            // more than the address.
            cookie: value(format!("{}={name}; HttpOnly; SameSite=Lax", cookie_name(poll))),
        }
    }
}

/// The id of the ballot that the query of an address names, if the browser that requests it at `now` is the one that was
/// redirected there.
pub fn ballot_id(
    poll: &Poll,
    key: PageReceiptKey<'_>,
    query: &str,
    headers: &HeaderMap,
    now: Timestamp,
) -> Option<BallotId> {
    let name = name_in(query)?;
    let is_in_cookie = || {
        let own = cookies(headers).filter(|(cookie, _)| *cookie == cookie_name(poll));
        own.filter_map(|(_, value)| Uuid::try_parse(value).ok()).any(|stored| stored == name)
    };
    let site = headers.get("sec-fetch-site");
    let is_from_own_page = || site.is_some_and(|site| site == "same-origin");
    // Another site could link its visitors to an address that it knows, load the same page itself, and vote before them.
    let is_redirected = || site.is_none_or(|site| site == "none") && is_new(name, now);
    (is_in_cookie() || is_from_own_page() || is_redirected()).then(|| key.ballot_id(poll, name))
}

/// Whether the query of an address names a ballot that was created just now: redirecting its browser to another one could loop
/// forever.
pub fn is_just_made(query: &str, now: Timestamp) -> bool {
    name_in(query).is_some_and(|name| is_new(name, now))
}

fn name_in(query: &str) -> Option<Uuid> {
    let name = query.split('&').find_map(|field| field.strip_prefix(FIELD)?.strip_prefix('='))?;
    Uuid::try_parse(name).ok().filter(|name| name.get_version_num() == 7)
}

fn is_new(name: Uuid, now: Timestamp) -> bool {
    let created_ms = name.as_u64_pair().0 >> 16;
    i64::try_from(created_ms).is_ok_and(|created_ms| now.0.abs_diff(created_ms) <= REDIRECT_MAX_MS.unsigned_abs())
}

fn cookie_name(poll: &Poll) -> String {
    format!("ballot-{}", poll.slug)
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderName;
    use throng_domain::new_poll::NewPoll;
    use throng_domain::poll::PollId;

    use super::*;
    use crate::config::DerivedKey;

    const NOW: Timestamp = Timestamp(1_800_000_000_000);
    const LATER: Timestamp = Timestamp(NOW.0 + REDIRECT_MAX_MS + 1);

    fn poll(id: i64, slug: &str) -> Poll {
        NewPoll::demo(slug.parse().unwrap(), NOW).into_poll(PollId(id))
    }

    fn name() -> BallotId {
        BallotId(Uuid::from_u64_pair((NOW.0.unsigned_abs() << 16) | 0x7000, 0x8000_0000_0000_0001))
    }

    fn headers(headers: &[(&'static str, &str)]) -> HeaderMap {
        let header = |(name, value): &(&'static str, &str)| {
            (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())
        };
        headers.iter().map(header).collect()
    }

    #[test]
    fn ballot_is_bound_to_its_browser() {
        let (poll, key) = (poll(1, "demo"), PageReceiptKey(&DerivedKey::new([7; 32])));
        let issued = BallotAddress::new(&poll, name(), None);
        let query = issued.address.to_str().unwrap().strip_prefix("/polls/demo/ballot?").unwrap().to_owned();
        let id = |pairs: &[(&'static str, &str)], now| ballot_id(&poll, key, &query, &headers(pairs), now);
        let cookie = issued.cookie.to_str().unwrap().split(';').next().unwrap();
        let own = id(&[("cookie", cookie)], LATER).unwrap();
        assert_eq!(own.0.get_version_num(), 7);
        assert_eq!(own.0.as_u64_pair().0, name().0.as_u64_pair().0, "ids ascend as names do");
        assert_ne!(own, name(), "the address doesn't reveal the id");
        for (headers, now, expected) in [
            (&[][..], NOW, Some(own)),
            (&[("sec-fetch-site", "same-origin")], LATER, Some(own)),
            (&[("sec-fetch-site", "none"), ("cookie", cookie)], LATER, Some(own)),
            (&[], LATER, None),
            (&[("sec-fetch-site", "none")], LATER, None),
            (&[("sec-fetch-site", "none")], NOW, Some(own)),
            (&[("sec-fetch-site", "cross-site"), ("cookie", cookie)], LATER, Some(own)),
            (&[("sec-fetch-site", "cross-site")], NOW, None),
            (&[("sec-fetch-site", "cross-site")], LATER, None),
            (&[("cookie", "ballot-demo=018f4d1e-7c00-7000-8000-000000000001")], LATER, None),
        ] {
            assert_eq!(id(headers, now), expected, "{headers:?}");
        }
    }

    #[test]
    fn id_depends_on_poll_and_key() {
        let key = PageReceiptKey(&DerivedKey::new([7; 32]));
        let query = format!("id={}", name());
        let id = |poll: &Poll, key: PageReceiptKey<'_>| ballot_id(poll, key, &query, &headers(&[]), NOW).unwrap();
        let own = id(&poll(1, "demo"), key);
        assert_ne!(own, id(&poll(2, "demo"), key));
        assert_ne!(own, id(&poll(1, "demo"), PageReceiptKey(&DerivedKey::new([8; 32]))));
    }

    #[test]
    fn invalid_names_give_no_ballot_id() {
        let key = PageReceiptKey(&DerivedKey::new([7; 32]));
        let version_4 = "id=018f4d1e-7c00-4000-8000-000000000001";
        for query in ["", "id", "id=", "id=x", "a=b", version_4] {
            let headers = headers(&[("sec-fetch-site", "same-origin")]);
            assert_eq!(ballot_id(&poll(1, "demo"), key, query, &headers, NOW), None, "{query}");
        }
    }
}
