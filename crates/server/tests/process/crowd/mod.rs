//! Ten thousand clients that say nothing, or one byte a second, and a thousand honest ones: the server and the crowd
//! in a process each, since either needs more descriptors than half a process may have.

use std::net::SocketAddr;
use std::time::Duration;

use rustix::process::{Resource, getrlimit, setrlimit};
use throng_testkit::DataDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

const SILENT: usize = 5_000;
const SLOW: usize = 5_000;
const HONEST: usize = 1_000;

/// Far more than what the deadlines add up to, since the machine may be busy, and far less than clients that are never closed
/// would last.
const CLOSED_WITHIN: Duration = Duration::from_secs(60);

/// How many connections are opened at a time: fewer than a listening socket's queue takes.
const OPENED_AT_ONCE: usize = 500;

const VOTE: &[u8] = b"POST /api/submit HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\n\r\n[1]";

fn raise_descriptors() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).unwrap();
    let needed = (SILENT + SLOW + HONEST + 100) as u64;
    let allowed = limit.maximum.unwrap_or(u64::MAX);
    assert!(allowed >= needed, "this test needs {needed} descriptors, the limit is {allowed}: raise it (ulimit -Hn)");
}

/// How long it takes the server to close this connection, on which one byte a second is sent if `speaks`.
async fn closed_after(mut stream: TcpStream, speaks: bool) -> Duration {
    let began = Instant::now();
    let mut seconds = interval(Duration::from_secs(1));
    seconds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut bytes = [0; 256];
    while began.elapsed() <= CLOSED_WITHIN {
        tokio::select! {
            read = stream.read(&mut bytes) => if !matches!(read, Ok(count) if count > 0) { break },
            _ = seconds.tick() => if speaks { let _ = stream.write_all(b"G").await; }
        }
    }
    began.elapsed()
}

/// Votes every two seconds, each time on a new connection, until it is over; how many votes were answered, all with 200.
async fn vote(address: SocketAddr, mut over: watch::Receiver<bool>) -> Result<usize, String> {
    let mut pace = interval(Duration::from_secs(2));
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut votes = 0;
    while !*over.borrow_and_update() {
        let answer = timeout(CLOSED_WITHIN, answer_to(address, VOTE)).await;
        let answer =
            answer.map_err(|_| format!("no answer in {CLOSED_WITHIN:?}"))?.map_err(|error| error.to_string())?;
        if !answer.starts_with("HTTP/1.1 200 ") {
            return Err(answer);
        }
        votes += 1;
        tokio::select! { _ = pace.tick() => {}, _ = over.changed() => {} }
    }
    Ok(votes)
}

/// The answer to a request, which is small enough to come in one piece.
async fn answer_to(address: SocketAddr, request: &[u8]) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(request).await?;
    let mut bytes = vec![0; 1_024];
    let read = stream.read(&mut bytes).await?;
    Ok(String::from_utf8_lossy(&bytes[..read]).into_owned())
}

/// Opens a connection for each silent and each slow client, and lets it run.
async fn hold(address: SocketAddr) -> JoinSet<Duration> {
    let (mut held, mut opened) = (JoinSet::new(), 0);
    while opened < SILENT + SLOW {
        let connects = (0..OPENED_AT_ONCE).map(|_| tokio::spawn(TcpStream::connect(address)));
        for connect in connects.collect::<Vec<_>>() {
            let stream = connect.await.unwrap().unwrap();
            held.spawn(closed_after(stream, opened % 2 == 0));
            opened += 1;
        }
    }
    held
}

#[tokio::test]
async fn ten_thousand_silent_and_slow_clients_keep_no_honest_one_from_voting() {
    raise_descriptors();
    let data_dir = DataDir::new();
    let throng = data_dir.start();
    let (end, over) = watch::channel(false);
    let mut honest = JoinSet::new();
    for _ in 0..HONEST {
        honest.spawn(vote(throng.address, over.clone()));
    }
    let held = hold(throng.address).await;
    let times = held.join_all().await;
    end.send(true).unwrap();
    let votes: Result<Vec<usize>, String> = honest.join_all().await.into_iter().collect();
    let votes: usize = votes.unwrap().into_iter().sum();

    let late = times.iter().filter(|time| **time > CLOSED_WITHIN).count();
    let latest = times.iter().max().unwrap();
    println!("{} connections closed, the last after {latest:?}; {votes} votes", times.len());
    assert_eq!((times.len(), late), (SILENT + SLOW, 0), "the last was closed after {latest:?}");
    let result = answer_to(throng.address, b"GET /api/result HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    assert!(result.contains(&format!("{{\"1\":{votes},")), "{votes} votes were answered: {result}");
}
