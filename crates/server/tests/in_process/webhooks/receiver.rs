//! A receiver of webhooks' messages, which responds as the test says.

use std::collections::VecDeque;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use throng_testkit::eventually;

/// What a receiver does with a message.
pub enum Reply {
    /// It responds with this status.
    Status(u16),
    /// It responds with a redirect.
    Redirect(String),
    /// It ends the connection.
    HangUp,
    /// It leaves the connection open.
    Nothing,
}

/// A message as it was received.
#[derive(Clone, Debug)]
pub struct Received {
    pub target: String,
    headers: Vec<(String, String)>,
    pub body: String,
}

/// A receiver; its thread ends with the test's process.
pub struct Receiver {
    pub url: String,
    received: Arc<Mutex<Vec<Received>>>,
}

impl Receiver {
    /// It replies so to the first messages, and with 200 to all others.
    pub fn start(replies: impl IntoIterator<Item = Reply>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/hook?a=b", listener.local_addr().unwrap());
        let received: Arc<Mutex<Vec<Received>>> = Arc::default();
        let (kept, mut replies) = (Arc::clone(&received), replies.into_iter().collect::<VecDeque<_>>());
        std::thread::spawn(move || {
            let mut open = Vec::new();
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let message = Received::read(&stream);
                let reply = replies.pop_front().unwrap_or(Reply::Status(200));
                // Before the response: who has it knows that the message is here.
                kept.lock().unwrap().push(message);
                let head = match reply {
                    Reply::Status(status) => format!("HTTP/1.1 {status} X\r\ncontent-length: 2\r\n\r\nok"),
                    Reply::Redirect(to) => format!("HTTP/1.1 302 X\r\nlocation: {to}\r\ncontent-length: 0\r\n\r\n"),
                    Reply::HangUp => continue,
                    Reply::Nothing => {
                        open.push(stream);
                        continue;
                    }
                };
                // The sender may have gone.
                let _ = stream.write_all(head.as_bytes());
            }
        });
        Self { url, received }
    }

    /// How many messages it has.
    pub fn received(&self) -> usize {
        self.received.lock().unwrap().len()
    }

    /// Its messages, once it has at least so many.
    pub fn wait_for(&self, messages: usize) -> Vec<Received> {
        let received = || self.received.lock().unwrap().clone();
        eventually("they are received", || Some(received()).filter(|received| received.len() >= messages))
    }
}

impl Received {
    fn read(stream: &TcpStream) -> Self {
        let mut reader = BufReader::new(stream);
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).unwrap();
            match line.trim_end() {
                "" => break,
                line => lines.push(line.to_owned()),
            }
        }
        let target = lines[0].split(' ').nth(1).unwrap().to_owned();
        let header =
            |line: &String| line.split_once(": ").map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()));
        let mut message =
            Self { target, headers: lines.iter().skip(1).filter_map(header).collect(), body: String::new() };
        let length: u64 = message.header("content-length").parse().unwrap();
        reader.take(length).read_to_string(&mut message.body).unwrap();
        message
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(given, _)| given == name).map_or("", |(_, value)| value)
    }

    /// Whether it has the signature of Standard Webhooks with this secret.
    pub fn is_signed_with(&self, secret: &str) -> bool {
        let key = STANDARD.decode(secret.strip_prefix("whsec_").unwrap()).unwrap();
        let mut hmac = Hmac::<Sha256>::new_from_slice(&key).unwrap();
        let signed = format!("{}.{}.{}", self.header("webhook-id"), self.header("webhook-timestamp"), self.body);
        hmac.update(signed.as_bytes());
        let expected = format!("v1,{}", STANDARD.encode(hmac.finalize().into_bytes()));
        self.header("webhook-signature") == expected
    }
}
