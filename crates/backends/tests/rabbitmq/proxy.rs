//! A TCP proxy before the broker that can be frozen, cut, and made to say what the broker doesn't.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{broadcast, watch};

/// What it does with connections, new ones and those there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mood {
    /// Passes all on.
    Passes,
    /// Takes bytes and passes none on, in neither direction.
    Frozen,
    /// Ends every connection.
    Away,
}

pub struct Proxy {
    address: SocketAddr,
    mood: watch::Sender<Mood>,
    said: broadcast::Sender<&'static [u8]>,
}

/// `connection.blocked`, with the reason `memory`.
const BLOCKED: &[u8] = b"\x01\0\0\0\0\0\x0b\0\x0a\0\x3c\x06memory\xce";

/// `connection.unblocked`.
const UNBLOCKED: &[u8] = b"\x01\0\0\0\0\0\x04\0\x0a\0\x3d\xce";

/// `basic.publish`.
const PUBLISH: &[u8] = b"\0\x3c\0\x28";

impl Proxy {
    pub async fn start(upstream: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (mood, watched) = watch::channel(Mood::Passes);
        let said = broadcast::channel(16).0;
        let speaker = said.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                if *watched.borrow() == Mood::Away {
                    continue;
                }
                let (from_client, to_client) = client.into_split();
                let (from_server, to_server) = TcpStream::connect(&upstream).await.unwrap().into_split();
                // Nobody says anything to the broker.
                let (silence, has_published) = (broadcast::channel(1).1, Arc::new(AtomicBool::new(false)));
                let passes = watched.clone();
                tokio::spawn(pass(from_client, to_server, passes, silence, Arc::clone(&has_published)));
                tokio::spawn(pass(from_server, to_client, watched.clone(), speaker.subscribe(), has_published));
            }
        });
        Self { address, mood, said }
    }

    pub fn host(&self) -> String {
        self.address.to_string()
    }

    pub fn be(&self, mood: Mood) {
        self.mood.send_replace(mood);
    }

    /// Says in the broker's place that it takes nothing, or takes messages again, on all connections on which something was
    /// published, as the broker does. To be said while the broker itself says nothing.
    pub fn say_blocked(&self, blocked: bool) {
        self.said.send(if blocked { BLOCKED } else { UNBLOCKED }).unwrap();
    }
}

async fn pass(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut mood: watch::Receiver<Mood>,
    mut said: broadcast::Receiver<&'static [u8]>,
    has_published: Arc<AtomicBool>,
) {
    let mut bytes = [0; 65_536];
    loop {
        let count = tokio::select! {
            read = from.read(&mut bytes) => match read {
                Ok(count @ 1..) => {
                    if bytes[..count].windows(PUBLISH.len()).any(|window| window == PUBLISH) {
                        has_published.store(true, Ordering::Relaxed);
                    }
                    count
                }
                Ok(0) | Err(_) => return,
            },
            Ok(words) = said.recv(), if has_published.load(Ordering::Relaxed) => {
                bytes[..words.len()].copy_from_slice(words);
                words.len()
            }
            _ = mood.wait_for(|mood| *mood == Mood::Away) => return,
        };
        let mood = mood.wait_for(|mood| *mood != Mood::Frozen).await;
        if !mood.is_ok_and(|mood| *mood == Mood::Passes) || to.write_all(&bytes[..count]).await.is_err() {
            return;
        }
    }
}
