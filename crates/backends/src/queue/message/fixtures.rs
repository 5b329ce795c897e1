//! Messages as released versions wrote them, under the key of 32 bytes of 7. A format that is no longer read may go; none may
//! change.

use throng_domain::ballot::{Ballot, BallotId, BallotKey, Choices, VoterKey};
use throng_domain::clock::Timestamp;
use throng_domain::policy::Policy;
use throng_domain::poll::{OptionId, PollId};
use throng_domain::tally::Tallies;
use uuid::Uuid;

use super::{MessageKey, decode_ballots, decode_tallies, encode_ballots};

/// Format 1, written by commit ab27aa1.
const BALLOTS_1: &str = "0101030102018f4d1e7c007000800000000000000180f8b9dfe96302010103018f4d1e7c007000800000000000000100020101000\
                         4018f4d1e7c00700080000000000000020909090909090909090909090909090989f8b9dfe96301ffff039568c08db4a1d8f348ed\
                         0d15732f548c4210670175feead0622be58464b5ac32";
const TALLIES_1: &str = "01020202ac02ab020201c801030003000001ffff03ffffffffffffffffff01680b7b1582d9c5797e13f0b30e52104098d8f97bf22\
                         c8aa4388db74c6b1ca68b";

/// Format 2: a ballot has a policy.
const BALLOTS_2: &str = "020102000206018f4d1e7c00700080000000000000010909090909090909090909090909090080f8b9dfe9630102010002018f4d\
                         1e7c00700080000000000000020001027ed7997877ec679c14d74f36aef3c6335c97ada3bd23bed721470b0d610c6294";

/// Format 3: a ballot may be a withdrawal, without choices.
const BALLOTS_3: &str = "030102000206018f4d1e7c00700080000000000000010909090909090909090909090909090080f8b9dfe96300010002018f4d1e\
                         7c00700080000000000000020001027cdaced3d1838859a22503cedb0009cfabc6ae1b57c592f356e3089ab017ea7e";

/// Format 4: a ballot may have a ranking or scores.
const BALLOTS_4: &str = "040104000206018f4d1e7c00700080000000000000010909090909090909090909090909090080f8b9dfe9630103ac0202010202\
                         018f4d1e7c0070008000000000000001090909090909090909090909090909000002020205a902000202018f4d1e7c0070008000\
                         00000000000109090909090909090909090909090900000000010002018f4d1e7c007000800000000000000200000102892b8c2f\
                         4aad041b4a4312bd8c8e78d45e8f5cb2858703dbad4499b090c155aa";

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.bytes().map(|digit| (digit as char).to_digit(16).unwrap() as u8).collect();
    digits.as_chunks().0.iter().map(|[high, low]| high << 4 | low).collect()
}

#[test]
fn messages_of_format_1_are_read() {
    let key = MessageKey::new(&[7; 32]);
    let choices = |ids: &[u16]| Choices::new(ids.iter().map(|id| OptionId(*id))).unwrap();
    let id = |number: u128| BallotId(Uuid::from_u128(0x018f_4d1e_7c00_7000_8000_0000_0000_0000 + number));
    let own = Ballot::unlimited(PollId(1), id(1), choices(&[1, 3]), Timestamp(1_715_000_000_000));
    let keyed =
        Ballot { key: BallotKey([9; 16]), ..Ballot::unlimited(PollId(2), id(2), choices(&[65_535]), Timestamp(-5)) };
    assert_eq!(decode_ballots(&key, &bytes(BALLOTS_1)).unwrap(), [own.clone(), own, keyed]);
    let tallies = [
        Tallies { poll: PollId(1), seq: 300, voters: 299, counts: vec![(OptionId(1), 200), (OptionId(3), 0)] },
        Tallies { poll: PollId(-2), seq: 0, voters: 0, counts: vec![(OptionId(65_535), u64::MAX)] },
    ];
    assert_eq!(decode_tallies(&key, &bytes(TALLIES_1)).unwrap(), tallies);
}

#[test]
fn messages_of_format_2_are_read_and_written() {
    let key = MessageKey::new(&[7; 32]);
    assert_eq!(decode_ballots(&key, &bytes(BALLOTS_2)).unwrap(), voters());
    assert_eq!(encode_ballots(&key, &voters()).unwrap(), bytes(BALLOTS_2));
    // What a worker of the release before reads is written as it was.
    assert_eq!(encode_ballots(&key, &voters()[1..]).unwrap()[0], 1);
}

#[test]
fn messages_of_format_3_are_read_and_written() {
    let key = MessageKey::new(&[7; 32]);
    let [ballot, other] = voters();
    let withdrawal = Ballot { choices: Choices::blank(), ..ballot };
    let ballots = [withdrawal, other];
    assert_eq!(encode_ballots(&key, &ballots).unwrap(), bytes(BALLOTS_3));
    assert_eq!(decode_ballots(&key, &bytes(BALLOTS_3)).unwrap(), ballots);
}

#[test]
fn messages_of_format_4_are_read_and_written() {
    let key = MessageKey::new(&[7; 32]);
    let [ballot, other] = voters();
    let saying = |choices: &str| Ballot { choices: choices.parse().unwrap(), ..ballot.clone() };
    let ballots = [saying("300>2>1"), saying("2=5,300=0"), saying("[]"), other];
    let hex: String = encode_ballots(&key, &ballots).unwrap().iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hex, BALLOTS_4);
    assert_eq!(decode_ballots(&key, &bytes(BALLOTS_4)).unwrap(), ballots);
}

/// A voter's ballot, and one of everybody's.
fn voters() -> [Ballot; 2] {
    let choices = Choices::new([OptionId(2)]).unwrap();
    let id = |number: u128| BallotId(Uuid::from_u128(0x018f_4d1e_7c00_7000_8000_0000_0000_0000 + number));
    let at = Timestamp(1_715_000_000_000);
    let voter = VoterKey([9; 15]);
    [
        Ballot::of_voter(PollId(3), Policy::Network, voter, id(1), choices.clone(), at),
        Ballot::unlimited(PollId(1), id(2), choices, at),
    ]
}
