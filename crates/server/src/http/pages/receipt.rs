//! The receipt that a browser gets for a vote sent by the page's form: an address that proves for ten minutes that a ballot was
//! accepted, and a cookie, without which the address proves nothing in another browser. The choices are in the cookie alone.
//!
//! Both are signed, so that any node with the same secret can verify them and no node keeps state. The ballot's id is in
//! neither: the address in a log doesn't identify the ballot.

use hyper::HeaderMap;
use hyper::header::{HeaderValue, ORIGIN};
use throng_domain::ballot::{BallotId, Choices};
use throng_domain::clock::Timestamp;
use throng_domain::poll::{OptionId, Poll};
use throng_domain::submission::SentChoices;
use uuid::Uuid;

use super::super::cookies::cookies;
use crate::config::DerivedKey;

/// How long a receipt is valid, in seconds.
const LIFETIME_S: i64 = 600;

/// The query parameter that contains a receipt.
const FIELD: &str = "receipt";

/// The key with which receipts are signed.
#[derive(Clone, Copy, Debug)]
pub struct PageReceiptKey<'a>(pub &'a DerivedKey);

/// A receipt as issued.
#[derive(Debug)]
pub struct PageReceipt {
    /// The address of the poll's page, with the receipt in its query.
    pub address: HeaderValue,
    /// The value of `Set-Cookie` that is sent with it.
    pub cookie: HeaderValue,
}

/// What a request proves about an earlier vote.
#[derive(Debug, PartialEq, Eq)]
pub enum Proof {
    /// This browser sent a ballot with these choices.
    Own(Vec<OptionId>),
    /// A ballot was accepted, but the request has no valid cookie for it: the browser that voted keeps no cookies, or this is
    /// another one.
    Unbound {
        /// The request comes from a page of this server; if `false`, it has no `Sec-Fetch-Site`.
        from_own_page: bool,
    },
}

/// Whether the query of an address contains a receipt, valid or not.
pub fn is_present(query: &str) -> bool {
    token(query).is_some()
}

fn token(query: &str) -> Option<&str> {
    query.split('&').find_map(|field| field.strip_prefix(FIELD)?.strip_prefix('='))
}

impl PageReceiptKey<'_> {
    /// The receipt for a ballot that was accepted at `now`, for the browser that sent these headers.
    pub fn issue(
        self,
        poll: &Poll,
        id: BallotId,
        choices: &Choices,
        now: Timestamp,
        headers: &HeaderMap,
    ) -> PageReceipt {
        let nonce = (self.0.mac(format!("nonce {} {id}", poll.id.0)) >> 64) as u64;
        let expires_s = now.0.div_euclid(1_000).saturating_add(LIFETIME_S);
        let choices: Vec<_> = choices.counted().iter().map(ToString::to_string).collect();
        let choices = choices.join(".");
        let address = self.0.mac(address_text(poll, expires_s, nonce));
        let cookie = self.0.mac(cookie_text(poll, nonce, &choices));
        let slug = &poll.slug;
        // A browser keeps no `Secure` cookie from a page that was loaded without TLS. Without a path, a cookie applies to the
        // pages beside this one, whatever path prefix a proxy adds.
        let from_https = headers.get(ORIGIN).is_some_and(|origin| origin.as_bytes().starts_with(b"https://"));
        let secure = if from_https { "; Secure" } else { "" };
        let address = format!("/polls/{slug}?{FIELD}={expires_s:x}-{nonce:016x}-{address:032x}");
        let cookie = format!(
            "{}={nonce:016x}-{choices}-{cookie:032x}; Max-Age={LIFETIME_S}; HttpOnly; SameSite=Lax{secure}",
            cookie_name(poll),
        );
        let value = |text: String| HeaderValue::from_str(&text).expect("slugs and numbers fit in a header");
        PageReceipt { address: value(address), cookie: value(cookie) }
    }

    /// What the query of an address and the headers of its request prove at `now`; `None` if the address has no valid receipt,
    /// or the receipt belongs to another browser.
    pub fn proof(self, poll: &Poll, query: &str, headers: &HeaderMap, now: Timestamp) -> Option<Proof> {
        let nonce = self.nonce_of(poll, query, now)?;
        if let Some(own) = cookies(headers).find_map(|(name, value)| self.own_choices(poll, nonce, name, value)) {
            return Some(Proof::Own(own));
        }
        // Browsers send whether the previous page was one of this server; old ones send nothing.
        match headers.get("sec-fetch-site").map(HeaderValue::as_bytes) {
            Some(b"same-origin") => Some(Proof::Unbound { from_own_page: true }),
            None => Some(Proof::Unbound { from_own_page: false }),
            Some(_) => None,
        }
    }

    /// The id of the poll's ballot with this name. It can't be computed without the key. It contains the same timestamp as the
    /// name, so that ids ascend as names do.
    pub fn ballot_id(self, poll: &Poll, name: Uuid) -> BallotId {
        let random = (self.0.mac(format!("ballot {} {name}", poll.id.0)) >> 64) as u64;
        let variant = 0b10 << 62;
        BallotId(Uuid::from_u64_pair(name.as_u64_pair().0, variant | (random >> 2)))
    }

    /// The id of the poll's ballot with these choices, of those that a form with this id makes. It contains the same timestamp.
    pub fn ballot_with_choices(self, poll: &Poll, id: BallotId, choices: &SentChoices) -> BallotId {
        let choices: Vec<_> = match choices {
            SentChoices::Options(options) | SentChoices::Ranking(options) => {
                options.iter().map(ToString::to_string).collect()
            }
            SentChoices::Scores(scores) => scores.iter().map(|(id, score)| format!("{id}={score}")).collect(),
        };
        let random = (self.0.mac(format!("ballot {} {id} {}", poll.id.0, choices.join("."))) >> 64) as u64;
        let variant = 0b10 << 62;
        BallotId(Uuid::from_u64_pair(id.0.as_u64_pair().0, variant | (random >> 2)))
    }

    fn nonce_of(self, poll: &Poll, query: &str, now: Timestamp) -> Option<u64> {
        let mut parts = token(query)?.splitn(3, '-');
        let expires_s = i64::from_str_radix(parts.next()?, 16).ok()?;
        let nonce = u64::from_str_radix(parts.next()?, 16).ok()?;
        let is_valid = self.verifies(&address_text(poll, expires_s, nonce), parts.next()?);
        (is_valid && now.0.div_euclid(1_000) < expires_s).then_some(nonce)
    }

    fn own_choices(self, poll: &Poll, nonce: u64, name: &str, value: &str) -> Option<Vec<OptionId>> {
        let mut parts = value.strip_prefix(&format!("{nonce:016x}-"))?.splitn(2, '-');
        let (choices, mac) = (parts.next()?, parts.next()?);
        let is_valid = name == cookie_name(poll) && self.verifies(&cookie_text(poll, nonce, choices), mac);
        let each = choices.split('.').filter(|_| !choices.is_empty());
        let ids: Option<Vec<_>> = each.map(|id| id.parse().ok().map(OptionId)).collect();
        ids.filter(|_| is_valid)
    }

    /// Whether `mac`, in hexadecimal digits, is that of `text`.
    fn verifies(self, text: &str, mac: &str) -> bool {
        u128::from_str_radix(mac, 16).is_ok_and(|mac| self.0.verifies(text, mac))
    }
}

fn address_text(poll: &Poll, expires_s: i64, nonce: u64) -> String {
    format!("address {} {expires_s} {nonce}", poll.id.0)
}

fn cookie_text(poll: &Poll, nonce: u64, choices: &str) -> String {
    format!("cookie {} {nonce} {choices}", poll.id.0)
}

fn cookie_name(poll: &Poll) -> String {
    format!("vote-{}", poll.slug)
}

#[cfg(test)]
mod tests {
    use hyper::header::COOKIE;
    use throng_domain::new_poll::NewPoll;
    use throng_domain::poll::PollId;

    use super::*;

    const NOW: Timestamp = Timestamp(1_800_000_000_000);

    fn poll(id: i64) -> Poll {
        NewPoll::demo("demo".parse().unwrap(), NOW).into_poll(PollId(id))
    }

    /// The query of a receipt's address, and its cookie.
    fn issued(key: PageReceiptKey<'_>, origin: &'static str) -> (String, String) {
        issued_for(key, origin, &Choices::new([OptionId(1), OptionId(3)]).unwrap())
    }

    fn issued_for(key: PageReceiptKey<'_>, origin: &'static str, choices: &Choices) -> (String, String) {
        let id = BallotId("018f4d1e-7c00-7000-8000-000000000001".parse().unwrap());
        let headers = HeaderMap::from_iter([(ORIGIN, HeaderValue::from_static(origin))]);
        let receipt = key.issue(&poll(1), id, choices, NOW, &headers);
        let query = receipt.address.to_str().unwrap().split_once('?').unwrap().1.to_owned();
        (query, receipt.cookie.to_str().unwrap().to_owned())
    }

    fn with_cookie(cookie: &str) -> HeaderMap {
        let pair = cookie.split(';').next().unwrap();
        HeaderMap::from_iter([(COOKIE, HeaderValue::from_str(&format!("a=b; {pair}; c")).unwrap())])
    }

    #[test]
    fn receipt_is_valid_on_any_node_for_ten_minutes() {
        let (query, cookie) = issued(PageReceiptKey(&DerivedKey::new([7; 32])), "https://vote.example");
        let other_node = PageReceiptKey(&DerivedKey::new([7; 32]));
        let proof = |later_ms| other_node.proof(&poll(1), &query, &with_cookie(&cookie), NOW.plus_ms(later_ms));
        let own = Some(Proof::Own(vec![OptionId(1), OptionId(3)]));
        assert_eq!((proof(0), proof(599_000), proof(600_000)), (own, proof(0), None));
        for part in ["HttpOnly", "SameSite=Lax", "Secure", "Max-Age=600"] {
            assert!(cookie.contains(part), "{cookie}");
        }
        assert!(!issued(other_node, "http://vote.example").1.contains("Secure"));
    }

    #[test]
    fn vote_that_counts_for_no_option_is_its_voters_too() {
        let key = PageReceiptKey(&DerivedKey::new([7; 32]));
        for choices in ["1=0,2=0", "[]"] {
            let (query, cookie) = issued_for(key, "null", &choices.parse().unwrap());
            let proof = key.proof(&poll(1), &query, &with_cookie(&cookie), NOW);
            assert_eq!(proof, Some(Proof::Own(Vec::new())), "{choices}");
        }
    }

    #[test]
    fn forged_or_foreign_receipt_is_rejected() {
        let key = PageReceiptKey(&DerivedKey::new([7; 32]));
        let (query, cookie) = issued(key, "null");
        let headers = with_cookie(&cookie);
        assert_eq!(key.proof(&poll(2), &query, &headers, NOW), None);
        assert_eq!(PageReceiptKey(&DerivedKey::new([8; 32])).proof(&poll(1), &query, &headers, NOW), None);
        for position in 0..query.len() {
            let mut forged = query.clone().into_bytes();
            forged[position] ^= 1;
            let forged = String::from_utf8(forged).unwrap();
            assert_eq!(key.proof(&poll(1), &forged, &headers, NOW), None, "{forged}");
        }
        for query in ["", "receipt", "receipt=", "receipt=-", "receipt=1-2-3", "receipt=ffffffffffffffff-1-1"] {
            assert_eq!(key.proof(&poll(1), query, &headers, NOW), None, "{query}");
        }
    }

    #[test]
    fn forged_cookie_gives_no_choices() {
        let key = PageReceiptKey(&DerivedKey::new([7; 32]));
        let (query, cookie) = issued(key, "null");
        let unbound = Some(Proof::Unbound { from_own_page: false });
        for forged in
            [cookie.replace("-1.3-", "-2-"), cookie.replace("vote-demo", "vote-other"), "vote-demo=".to_owned()]
        {
            assert_eq!(key.proof(&poll(1), &query, &with_cookie(&forged), NOW), unbound, "{forged}");
        }
    }

    #[test]
    fn address_alone_does_not_identify_the_voter() {
        let key = PageReceiptKey(&DerivedKey::new([7; 32]));
        let (query, _) = issued(key, "null");
        let proof = |site| {
            let name = hyper::header::HeaderName::from_static("sec-fetch-site");
            key.proof(&poll(1), &query, &HeaderMap::from_iter([(name, HeaderValue::from_static(site))]), NOW)
        };
        assert_eq!((proof("none"), proof("cross-site"), proof("same-site")), (None, None, None));
        assert_eq!(proof("same-origin"), Some(Proof::Unbound { from_own_page: true }));
    }
}
