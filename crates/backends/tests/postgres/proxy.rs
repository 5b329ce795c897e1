//! A TCP proxy in front of PostgreSQL that can freeze, or lose requests and responses.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// The fault that the proxy injects.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// None: forwards all bytes.
    None,
    /// Accepts connections, reads bytes and forwards none.
    Frozen,
    /// Closes the connection when a client sends this text, before the server receives it.
    CutBefore(&'static str),
    /// Forwards this text when a client sends it, and closes the connection when the response arrives.
    LoseResponseTo(&'static str),
}

pub struct Proxy {
    address: SocketAddr,
    fault: watch::Sender<Fault>,
}

impl Proxy {
    pub async fn start(upstream: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (fault, watched) = watch::channel(Fault::None);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(proxy(client, upstream.clone(), watched.clone()));
            }
        });
        Self { address, fault }
    }

    pub fn address(&self) -> String {
        self.address.to_string()
    }

    pub fn set(&self, fault: Fault) {
        self.fault.send_replace(fault);
    }
}

/// Forwards one connection until either side, or the proxy, ends it: then both sides are closed.
async fn proxy(client: TcpStream, upstream: String, fault: watch::Receiver<Fault>) {
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = TcpStream::connect(upstream).await.unwrap().into_split();
    let cut_response = Arc::new(AtomicBool::new(false));
    tokio::select! {
        () = forward_requests(from_client, to_server, fault.clone(), &cut_response) => {}
        () = forward_responses(from_server, to_client, fault, &cut_response) => {}
    }
}

async fn forward_requests(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut fault: watch::Receiver<Fault>,
    cut_response: &AtomicBool,
) {
    let mut bytes = vec![0; 64 * 1_024];
    while let Ok(count @ 1..) = from.read(&mut bytes).await {
        let sent = &bytes[..count];
        let contains = |text: &str| sent.windows(text.len()).any(|window| window == text.as_bytes());
        let Ok(now) = fault.wait_for(|fault| *fault != Fault::Frozen).await.map(|fault| *fault) else { return };
        match now {
            Fault::CutBefore(text) if contains(text) => return,
            Fault::LoseResponseTo(text) if contains(text) => cut_response.store(true, Ordering::SeqCst),
            Fault::None | Fault::Frozen | Fault::CutBefore(_) | Fault::LoseResponseTo(_) => {}
        }
        if to.write_all(sent).await.is_err() {
            return;
        }
    }
}

async fn forward_responses(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut fault: watch::Receiver<Fault>,
    cut_response: &AtomicBool,
) {
    let mut bytes = vec![0; 64 * 1_024];
    while let Ok(count @ 1..) = from.read(&mut bytes).await {
        let unfrozen = fault.wait_for(|fault| *fault != Fault::Frozen).await.is_ok();
        if !unfrozen || cut_response.load(Ordering::SeqCst) || to.write_all(&bytes[..count]).await.is_err() {
            return;
        }
    }
}
