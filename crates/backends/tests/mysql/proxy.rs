//! A TCP proxy before the server that can be frozen, and can lose the answer to a commit, or the commit itself.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::server;

/// What the proxy does with what it is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Passes it on.
    Pass,
    /// Takes it, and passes nothing on.
    Freeze,
    /// Passes the next commit on, and cuts its connection when the answer comes.
    LoseAnswer,
    /// Cuts the connection of the next commit before the server has got it.
    LoseCommit,
}

pub struct Proxy {
    pub address: SocketAddr,
    mode: Arc<watch::Sender<Mode>>,
}

impl Proxy {
    pub async fn start() -> Self {
        let (_, upstream) = server().rsplit_once('@').map(|(user, host)| (user.to_owned(), host.to_owned())).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mode = Arc::new(watch::Sender::new(Mode::Pass));
        let set = Arc::clone(&mode);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (from_client, to_client) = client.into_split();
                let (from_server, to_server) = TcpStream::connect(&upstream).await.unwrap().into_split();
                let cut = Arc::new(AtomicBool::new(false));
                tokio::spawn(questions(from_client, to_server, Arc::clone(&set), Arc::clone(&cut)));
                tokio::spawn(answers(from_server, to_client, set.subscribe(), cut));
            }
        });
        Self { address, mode }
    }

    pub fn set(&self, mode: Mode) {
        self.mode.send_replace(mode);
    }
}

async fn questions(
    mut client: OwnedReadHalf,
    mut server: OwnedWriteHalf,
    mode: Arc<watch::Sender<Mode>>,
    cut: Arc<AtomicBool>,
) {
    let mut bytes = [0; 65_536];
    let mut set = mode.subscribe();
    while let Ok(count @ 1..) = client.read(&mut bytes).await {
        let now = *set.wait_for(|mode| *mode != Mode::Freeze).await.unwrap();
        // A question begins after the five bytes of its head.
        if bytes[..count].get(5..).is_some_and(|question| question.starts_with(b"COMMIT")) && now != Mode::Pass {
            mode.send_replace(Mode::Pass);
            cut.store(true, Ordering::SeqCst);
            if now == Mode::LoseCommit {
                return;
            }
        }
        if server.write_all(&bytes[..count]).await.is_err() {
            return;
        }
    }
}

/// Ends with the server's connection too, and by its end cuts the client's.
async fn answers(
    mut server: OwnedReadHalf,
    mut client: OwnedWriteHalf,
    mut mode: watch::Receiver<Mode>,
    cut: Arc<AtomicBool>,
) {
    let mut bytes = [0; 65_536];
    while let Ok(count @ 1..) = server.read(&mut bytes).await {
        if mode.wait_for(|mode| *mode != Mode::Freeze).await.is_err()
            || cut.load(Ordering::SeqCst)
            || client.write_all(&bytes[..count]).await.is_err()
        {
            return;
        }
    }
}
