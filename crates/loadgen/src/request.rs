//! The requests of votes, prepared before the first is sent.

use std::borrow::Cow;

use uuid::Uuid;

/// What stands where a ballot's id goes: as many bytes.
pub(crate) const ANY_ID: &str = "00000000-0000-0000-0000-000000000000";

/// A request that votes.
#[derive(Debug)]
pub(crate) struct VoteRequest {
    bytes: Vec<u8>,
    /// Where the ballot's id goes, and the first half of it, where each vote has one of its own.
    id: Option<(usize, u64)>,
}

impl VoteRequest {
    /// The same bytes for each vote.
    pub(crate) fn same(bytes: Vec<u8>) -> Self {
        Self { bytes, id: None }
    }

    /// With an id in the place of the last [`ANY_ID`]. `run` is the first half of the run's ids, which no other run has.
    pub(crate) fn with_id(bytes: Vec<u8>, run: u64) -> Self {
        let place = bytes.windows(ANY_ID.len()).rposition(|window| window == ANY_ID.as_bytes());
        Self { bytes, id: place.map(|place| (place, run)) }
    }

    /// The request of the vote with this number in its run.
    pub(crate) fn bytes(&self, vote: u64) -> Cow<'_, [u8]> {
        let Some((place, run)) = self.id else { return Cow::Borrowed(&self.bytes) };
        let mut bytes = self.bytes.clone();
        if let Some(place) = bytes.get_mut(place..place + ANY_ID.len()) {
            Uuid::from_u64_pair(run, vote).hyphenated().encode_lower(place);
        }
        Cow::Owned(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_ballot_has_an_id_of_its_own() {
        let request = VoteRequest::with_id(format!("id: {ANY_ID}!").into(), 0xab << 56);
        assert_eq!(&*request.bytes(1), b"id: ab000000-0000-0000-0000-000000000001!");
        assert_eq!(&*request.bytes(0x2f), b"id: ab000000-0000-0000-0000-00000000002f!");
    }
}
