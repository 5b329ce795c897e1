//! A TCP proxy in front of memcached that can freeze.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// Forwards all bytes; while it is frozen it accepts connections and reads bytes, and forwards none.
pub struct Proxy {
    address: SocketAddr,
    frozen: watch::Sender<bool>,
    requests: Arc<AtomicUsize>,
}

impl Proxy {
    pub async fn start(upstream: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (frozen, watched) = watch::channel(false);
        let requests = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&requests);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (from_client, to_client) = client.into_split();
                let (from_server, to_server) = TcpStream::connect(&upstream).await.unwrap().into_split();
                tokio::spawn(forward(from_client, to_server, watched.clone(), Arc::clone(&counted)));
                tokio::spawn(forward(from_server, to_client, watched.clone(), Arc::default()));
            }
        });
        Self { address, frozen, requests }
    }

    pub fn host(&self) -> String {
        self.address.to_string()
    }

    pub fn freeze(&self, frozen: bool) {
        self.frozen.send_replace(frozen);
    }

    /// How many reads from clients returned bytes.
    pub fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}

async fn forward(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut frozen: watch::Receiver<bool>,
    reads: Arc<AtomicUsize>,
) {
    let mut bytes = [0; 4_096];
    while let Ok(count @ 1..) = from.read(&mut bytes).await {
        reads.fetch_add(1, Ordering::SeqCst);
        if frozen.wait_for(|frozen| !frozen).await.is_err() || to.write_all(&bytes[..count]).await.is_err() {
            return;
        }
    }
}
