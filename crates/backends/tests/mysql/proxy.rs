//! A TCP proxy in front of the server that can freeze, and can lose the response to a commit, or the commit itself.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::server;

/// The fault that the proxy injects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// None: forwards all bytes.
    None,
    /// Reads bytes and forwards none.
    Frozen,
    /// Forwards the next commit, and closes its connection when the response arrives.
    LoseCommitResponse,
    /// Closes the connection of the next commit before the server has received it.
    LoseCommit,
}

pub struct Proxy {
    pub address: SocketAddr,
    fault: Arc<watch::Sender<Fault>>,
}

impl Proxy {
    pub async fn start() -> Self {
        let (_, upstream) = server().rsplit_once('@').map(|(user, host)| (user.to_owned(), host.to_owned())).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let fault = Arc::new(watch::Sender::new(Fault::None));
        let current = Arc::clone(&fault);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (from_client, to_client) = client.into_split();
                let (from_server, to_server) = TcpStream::connect(&upstream).await.unwrap().into_split();
                let cut = Arc::new(AtomicBool::new(false));
                tokio::spawn(forward_requests(from_client, to_server, Arc::clone(&current), Arc::clone(&cut)));
                tokio::spawn(forward_responses(from_server, to_client, current.subscribe(), cut));
            }
        });
        Self { address, fault }
    }

    pub fn set(&self, fault: Fault) {
        self.fault.send_replace(fault);
    }
}

async fn forward_requests(
    mut client: OwnedReadHalf,
    mut server: OwnedWriteHalf,
    fault: Arc<watch::Sender<Fault>>,
    cut: Arc<AtomicBool>,
) {
    let mut bytes = [0; 65_536];
    let mut current = fault.subscribe();
    while let Ok(count @ 1..) = client.read(&mut bytes).await {
        let now = *current.wait_for(|fault| *fault != Fault::Frozen).await.unwrap();
        // A statement starts after the five bytes of its header.
        if bytes[..count].get(5..).is_some_and(|statement| statement.starts_with(b"COMMIT")) && now != Fault::None {
            fault.send_replace(Fault::None);
            cut.store(true, Ordering::SeqCst);
            if now == Fault::LoseCommit {
                return;
            }
        }
        if server.write_all(&bytes[..count]).await.is_err() {
            return;
        }
    }
}

/// Ends with the server's connection too, and then closes the client's.
async fn forward_responses(
    mut server: OwnedReadHalf,
    mut client: OwnedWriteHalf,
    mut fault: watch::Receiver<Fault>,
    cut: Arc<AtomicBool>,
) {
    let mut bytes = [0; 65_536];
    while let Ok(count @ 1..) = server.read(&mut bytes).await {
        if fault.wait_for(|fault| *fault != Fault::Frozen).await.is_err()
            || cut.load(Ordering::SeqCst)
            || client.write_all(&bytes[..count]).await.is_err()
        {
            return;
        }
    }
}
