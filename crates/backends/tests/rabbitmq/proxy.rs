//! A TCP proxy in front of the broker that can freeze, close connections, and send frames that the broker doesn't.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{broadcast, watch};

/// The fault that the proxy injects on new and existing connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// None: forwards all bytes.
    None,
    /// Reads bytes and forwards none, in either direction.
    Frozen,
    /// Closes every connection.
    Unavailable,
}

pub struct Proxy {
    address: SocketAddr,
    fault: watch::Sender<Fault>,
    injected: broadcast::Sender<&'static [u8]>,
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
        let (fault, watched) = watch::channel(Fault::None);
        let injected = broadcast::channel(16).0;
        let sender = injected.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                if *watched.borrow() == Fault::Unavailable {
                    continue;
                }
                let (from_client, to_client) = client.into_split();
                let (from_server, to_server) = TcpStream::connect(&upstream).await.unwrap().into_split();
                // Nothing is injected towards the broker.
                let (no_injection, has_published) = (broadcast::channel(1).1, Arc::new(AtomicBool::new(false)));
                let fault = watched.clone();
                tokio::spawn(forward(from_client, to_server, fault, no_injection, Arc::clone(&has_published)));
                tokio::spawn(forward(from_server, to_client, watched.clone(), sender.subscribe(), has_published));
            }
        });
        Self { address, fault, injected }
    }

    pub fn host(&self) -> String {
        self.address.to_string()
    }

    pub fn set(&self, fault: Fault) {
        self.fault.send_replace(fault);
    }

    /// Sends `connection.blocked` or `connection.unblocked` in the broker's place, on all connections on which something was
    /// published, as the broker does. Must be called while the broker itself sends nothing.
    pub fn send_blocked(&self, blocked: bool) {
        self.injected.send(if blocked { BLOCKED } else { UNBLOCKED }).unwrap();
    }
}

async fn forward(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut fault: watch::Receiver<Fault>,
    mut injected: broadcast::Receiver<&'static [u8]>,
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
            Ok(frame) = injected.recv(), if has_published.load(Ordering::Relaxed) => {
                bytes[..frame.len()].copy_from_slice(frame);
                frame.len()
            }
            _ = fault.wait_for(|fault| *fault == Fault::Unavailable) => return,
        };
        let fault = fault.wait_for(|fault| *fault != Fault::Frozen).await;
        if !fault.is_ok_and(|fault| *fault == Fault::None) || to.write_all(&bytes[..count]).await.is_err() {
            return;
        }
    }
}
