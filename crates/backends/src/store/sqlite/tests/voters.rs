use throng_domain::ballot::{BallotKey, VoterKey};
use throng_domain::contract::support::{OPENS_AT, all_ballots, counts, create_with_quota, of_voter};
use throng_domain::policy::Quota;
use throng_domain::poll::Poll;
use throng_domain::store::Outcome;

use super::*;
use crate::store::sqlite::voters::READ_AT_ONCE_MAX;

/// More voters than are read while a batch waits.
const MANY: u64 = READ_AT_ONCE_MAX + 1;

/// A ballot of the `number`th of many voters.
fn of_one_of_many(poll: &Poll, number: u64) -> Ballot {
    let mut voter = [9; 15];
    voter[..8].copy_from_slice(&number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes());
    with_voter(of_voter(poll, 0, number.into(), &[1]), VoterKey(voter))
}

fn with_voter(ballot: Ballot, voter: VoterKey) -> Ballot {
    Ballot { key: BallotKey::of_voter(voter, 0), ..ballot }
}

/// The same voter's ballot with another id.
fn another(ballot: &Ballot) -> Ballot {
    Ballot { id: BallotId(uuid::Uuid::from_u128(u128::MAX)), ..ballot.clone() }
}

fn used(ballot: &Ballot) -> Outcome {
    Outcome::QuotaUsed { ballots: 1, only: Some(ballot.choices.clone()) }
}

async fn outcomes(store: &SqliteStore, ballots: &[Ballot]) -> Vec<Outcome> {
    record(store, ballots).await.outcomes
}

/// A poll in which many voters have voted.
async fn with_many(store: &SqliteStore) -> Poll {
    let poll = create_with_quota(store, "many", Quota::ONE).await;
    let ballots: Vec<_> = (0..MANY).map(|number| of_one_of_many(&poll, number)).collect();
    let recorded = record(store, &ballots).await;
    assert!(recorded.outcomes.iter().all(|outcome| *outcome == Outcome::Counted));
    poll
}

#[tokio::test]
async fn reopened_file_still_knows_its_voters() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).await;
    let poll = create_with_quota(&store, "poll", Quota::ONE).await;
    let first = of_voter(&poll, 1, 1, &[1]);
    record(&store, std::slice::from_ref(&first)).await;
    drop(store);
    let store = open(directory.path()).await;
    let recorded = outcomes(&store, &[another(&first), first.clone(), of_voter(&poll, 2, 2, &[2])]).await;
    assert_eq!(recorded, [used(&first), Outcome::CountedBefore, Outcome::Counted]);
    assert_eq!(counts(&tallies(&store, &poll).await), [1, 1, 0, 0, 0]);
}

#[tokio::test]
async fn other_polls_are_served_while_voters_are_read() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).await;
    let (poll, other) = (with_many(&store).await, create_with_quota(&store, "other", Quota::ONE).await);
    let unlimited = create(&store, "unlimited").await;
    drop(store);
    let store = open(directory.path()).await;
    let early = Ballot { accepted_at: OPENS_AT.plus_ms(-1), ..of_voter(&poll, 2, 3, &[2]) };
    assert_eq!(outcomes(&store, &[early]).await, [Outcome::TooEarly], "whatever its voter has cast");
    drop(store);
    let store = open(directory.path()).await;
    let voted = of_one_of_many(&poll, 5);
    let batch =
        [another(&voted), of_voter(&other, 1, 1, &[2]), ballot(&unlimited, 1, &[3]), of_voter(&poll, 1, 2, &[2])];
    let recorded = outcomes(&store, &batch).await;
    assert_eq!(recorded, [Outcome::NotReady, Outcome::Counted, Outcome::Counted, Outcome::NotReady]);
    assert_eq!(tallies(&store, &poll).await.voters, MANY);
    store.voter_loader.join();
    let recorded = outcomes(&store, &batch).await;
    assert_eq!(recorded, [used(&voted), Outcome::CountedBefore, Outcome::CountedBefore, Outcome::Counted]);
    assert_eq!(tallies(&store, &poll).await.voters, MANY + 1);
}

#[tokio::test]
async fn served_file_has_its_voters_read_at_the_start() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).await;
    let poll = with_many(&store).await;
    drop(store);
    let path = directory.path().join("throng.db");
    let claim = DatabaseUrl::Sqlite(path.clone()).claim().unwrap();
    let store = SqliteStore::open_or_create(&path, claim.as_ref()).unwrap();
    store.migrate().await.unwrap();
    store.voter_loader.join();
    let voted = of_one_of_many(&poll, MANY - 1);
    let recorded = outcomes(&store, &[another(&voted), of_one_of_many(&poll, MANY)]).await;
    assert_eq!(recorded, [used(&voted), Outcome::Counted]);
    // Another store of the process has the same maps.
    let second = SqliteStore::open_or_create(&path, claim.as_ref()).unwrap();
    let new = of_one_of_many(&poll, MANY);
    assert_eq!(outcomes(&second, &[another(&new), another(&voted)]).await, [used(&new), used(&voted)]);
}

#[tokio::test]
async fn voters_of_another_store_are_known() {
    let directory = tempfile::tempdir().unwrap();
    let (one, other) = (open(directory.path()).await, open(directory.path()).await);
    let poll = create_with_quota(&one, "poll", Quota::ONE).await;
    for (number, (store, later)) in (0..).zip([(&one, &other), (&other, &one), (&one, &other)]) {
        let first = of_one_of_many(&poll, number);
        assert_eq!(outcomes(store, std::slice::from_ref(&first)).await, [Outcome::Counted]);
        assert_eq!(outcomes(later, &[another(&first)]).await, [used(&first)]);
    }
    assert_eq!(tallies(&one, &poll).await.voters, 3);
}

#[tokio::test]
async fn voters_with_equal_hashes_are_distinct() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).await;
    let poll = create_with_quota(&store, "poll", Quota { ballots: 2, per_option: None }).await;
    let voters = (0..20).map(|last| {
        let mut voter = [7; 15];
        voter[14] = last;
        VoterKey(voter)
    });
    let first: Vec<_> =
        voters.zip(1..).map(|(voter, number)| with_voter(of_voter(&poll, 0, number, &[1]), voter)).collect();
    for batch in [&first[..10], &first[10..]] {
        assert_eq!(outcomes(&store, batch).await, vec![Outcome::Counted; 10]);
    }
    assert_eq!(outcomes(&store, &first).await, vec![Outcome::CountedBefore; 20]);
    let second: Vec<_> = first.iter().map(another).collect();
    assert_eq!(outcomes(&store, &second).await, vec![Outcome::Counted; 20]);
    assert_eq!(tallies(&store, &poll).await.voters, 40);
}

#[tokio::test]
async fn failed_commit_leaves_no_voter() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).await;
    let poll = create_with_quota(&store, "poll", Quota::ONE).await;
    record(&store, &[of_voter(&poll, 1, 1, &[1])]).await;
    let (lost, kept) = (of_voter(&poll, 2, 2, &[2]), of_voter(&poll, 3, 3, &[3]));
    store.lock_writer().connection.commit_hook(Some(|| true)).unwrap();
    assert!(store.record(&[lost.clone(), kept.clone()]).await.is_err());
    store.lock_writer().connection.commit_hook(None::<fn() -> bool>).unwrap();
    // Other voters' ballots get the numbers that those had.
    assert_eq!(outcomes(&store, &[another(&kept)]).await, [Outcome::Counted]);
    assert_eq!(outcomes(&store, &[lost, kept.clone()]).await, [Outcome::Counted, used(&kept)]);
    assert_eq!(counts(&tallies(&store, &poll).await), [1, 1, 1, 0, 0]);
}

#[tokio::test]
async fn voters_of_a_result_long_final_are_forgotten() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).await;
    let poll = with_many(&store).await;
    let set_final = |ago_ms: i64| {
        let now = columns::now(&store.lock_writer().connection).unwrap();
        let set = "UPDATE poll SET closes_at = 5000, closed_at = 5000, final_at = ?1";
        store.lock_writer().connection.execute(set, [now.0 - ago_ms]).unwrap();
    };
    let again = of_one_of_many(&poll, 1);
    let day_ms = 24 * 60 * 60 * 1_000;
    set_final(day_ms - 60_000);
    store.maintain().await.unwrap();
    assert_eq!(outcomes(&store, std::slice::from_ref(&again)).await, [Outcome::CountedBefore]);
    set_final(day_ms + 60_000);
    store.maintain().await.unwrap();
    assert_eq!(outcomes(&store, &[again]).await, [Outcome::TooLate]);
    assert_eq!(tallies(&store, &poll).await.voters, MANY);
}

#[tokio::test]
async fn both_kinds_of_ballots_are_read_page_by_page() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).await;
    let poll = create_with_quota(&store, "poll", Quota::ONE).await;
    for (unlimited, of_voters) in [(0, 25), (10, 0), (3, 10), (10, 20)] {
        store.lock_writer().connection.execute_batch("DELETE FROM ballot; DELETE FROM voter_ballot").unwrap();
        let store = open(directory.path()).await;
        let mut batch: Vec<_> = (1..=unlimited).map(|number| ballot(&poll, number, &[1])).collect();
        batch.extend((0..of_voters).map(|number| of_one_of_many(&poll, number)));
        record(&store, &batch).await;
        let mut read = all_ballots(&store, &poll).await;
        for ballots in [&mut batch, &mut read] {
            ballots.sort_by_key(|ballot| (ballot.policy.as_str(), ballot.key));
        }
        assert_eq!(read, batch, "{unlimited} and {of_voters}");
    }
}

#[tokio::test]
async fn backup_and_recount_contain_the_ballots_of_voters() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).await;
    let (poll, unlimited) = (create_with_quota(&store, "poll", Quota::ONE).await, create(&store, "unlimited").await);
    record(&store, &[of_voter(&poll, 1, 1, &[1]), ballot(&unlimited, 1, &[1]), of_voter(&poll, 2, 2, &[1])]).await;
    let to = tempfile::NamedTempFile::new().unwrap();
    let path = directory.path().join("throng.db");
    assert_eq!(copy(&path, to.path()).unwrap(), Checked { polls: 2, ballots: 3 });
    store.lock_writer().connection.execute("DELETE FROM voter_ballot WHERE number = 1", []).unwrap();
    assert!(matches!(copy(&path, to.path()), Err(StoreError::Corrupt(why)) if why.to_string().contains("2 voters")));
}

#[tokio::test]
async fn file_of_the_fourth_version_gets_voters() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).await;
    let before = create(&store, "before").await;
    record(&store, &[ballot(&before, 1, &[1])]).await;
    store
        .lock_writer()
        .connection
        .execute_batch(
            &[UNDO_15, UNDO_14, UNDO_13, UNDO_12, UNDO_11, UNDO_10, UNDO_9, UNDO_8, UNDO_7, UNDO_6, UNDO_5].concat(),
        )
        .unwrap();
    assert_eq!(store.migrate().await.unwrap(), after(4));
    let poll = create_with_quota(&store, "poll", Quota::ONE).await;
    let cast = [ballot(&before, 2, &[1]), of_voter(&poll, 1, 1, &[1]), of_voter(&poll, 1, 2, &[1])];
    assert_eq!(outcomes(&store, &cast).await, [Outcome::Counted, Outcome::Counted, used(&cast[1])]);
    assert_eq!((tallies(&store, &before).await.voters, tallies(&store, &poll).await.voters), (2, 1));
}
