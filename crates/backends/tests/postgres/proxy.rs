//! A TCP proxy before PostgreSQL that can be frozen, or can lose what is said.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// What becomes of what passes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// All is passed on.
    Open,
    /// Connections are made, bytes are taken, and nothing is passed on.
    Frozen,
    /// Where a client says this, the connection is cut before the server hears it.
    CutAt(&'static str),
    /// Where a client says this, the server hears it, and the connection is cut when it answers.
    LoseAnswerTo(&'static str),
}

pub struct Proxy {
    address: SocketAddr,
    way: watch::Sender<Way>,
}

impl Proxy {
    pub async fn start(upstream: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (way, watched) = watch::channel(Way::Open);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(carry(client, upstream.clone(), watched.clone()));
            }
        });
        Self { address, way }
    }

    pub fn address(&self) -> String {
        self.address.to_string()
    }

    pub fn set(&self, way: Way) {
        self.way.send_replace(way);
    }
}

/// Carries one connection until either side, or the proxy, ends it: then both sides are closed.
async fn carry(client: TcpStream, upstream: String, way: watch::Receiver<Way>) {
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = TcpStream::connect(upstream).await.unwrap().into_split();
    let cut_answer = Arc::new(AtomicBool::new(false));
    tokio::select! {
        () = ask(from_client, to_server, way.clone(), &cut_answer) => {}
        () = answer(from_server, to_client, way, &cut_answer) => {}
    }
}

async fn ask(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut way: watch::Receiver<Way>, cut_answer: &AtomicBool) {
    let mut bytes = vec![0; 64 * 1_024];
    while let Ok(count @ 1..) = from.read(&mut bytes).await {
        let said = &bytes[..count];
        let says = |words: &str| said.windows(words.len()).any(|window| window == words.as_bytes());
        let Ok(now) = way.wait_for(|way| *way != Way::Frozen).await.map(|way| *way) else { return };
        match now {
            Way::CutAt(words) if says(words) => return,
            Way::LoseAnswerTo(words) if says(words) => cut_answer.store(true, Ordering::SeqCst),
            Way::Open | Way::Frozen | Way::CutAt(_) | Way::LoseAnswerTo(_) => {}
        }
        if to.write_all(said).await.is_err() {
            return;
        }
    }
}

async fn answer(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut way: watch::Receiver<Way>,
    cut_answer: &AtomicBool,
) {
    let mut bytes = vec![0; 64 * 1_024];
    while let Ok(count @ 1..) = from.read(&mut bytes).await {
        let thawed = way.wait_for(|way| *way != Way::Frozen).await.is_ok();
        if !thawed || cut_answer.load(Ordering::SeqCst) || to.write_all(&bytes[..count]).await.is_err() {
            return;
        }
    }
}
