//! A TCP connection to a server that can be cut, or go silent.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

/// How often a quiet connection looks whether it still stands.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// How things stand on the way to the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Open,
    /// Whoever comes is turned away at once.
    Cut,
    /// Connections are made, bytes are taken, and nothing comes through.
    Silent,
}

/// Passes on what comes, as long as it is open.
pub struct Link {
    address: SocketAddr,
    state: Arc<State>,
}

struct State {
    way: Mutex<Way>,
    changed: Condvar,
    over: AtomicBool,
}

impl Link {
    /// An open one to the server there.
    pub fn to(server: SocketAddr) -> Self {
        Self::at(SocketAddr::from(([127, 0, 0, 1], 0)), server)
    }

    /// The same, at this address.
    pub fn at(address: SocketAddr, server: SocketAddr) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        let address = listener.local_addr().unwrap();
        let state = State { way: Mutex::new(Way::Open), changed: Condvar::new(), over: AtomicBool::new(false) };
        let state = Arc::new(state);
        let accepting = Arc::clone(&state);
        thread::spawn(move || accept(&listener, server, &accepting));
        Self { address, state }
    }

    /// Where to connect instead.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Lets everything through again.
    pub fn open(&self) {
        self.state.set(Way::Open);
    }

    /// Ends all connections and turns away whoever comes.
    pub fn cut(&self) {
        self.state.set(Way::Cut);
    }

    /// Holds everything back, both ways.
    pub fn silence(&self) {
        self.state.set(Way::Silent);
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.state.over.store(true, Ordering::SeqCst);
        self.cut();
        // So that whoever waits for connections notices.
        let _ = TcpStream::connect(self.address);
    }
}

impl State {
    fn set(&self, way: Way) {
        *self.way.lock().unwrap() = way;
        self.changed.notify_all();
    }

    /// Whether it is open or cut; waits while it is silent.
    fn is_open(&self) -> bool {
        let way = self.changed.wait_while(self.way.lock().unwrap(), |way| *way == Way::Silent).unwrap();
        *way == Way::Open
    }
}

fn accept(listener: &TcpListener, server: SocketAddr, state: &Arc<State>) {
    for client in listener.incoming().map_while(Result::ok) {
        if state.over.load(Ordering::SeqCst) {
            return;
        }
        if *state.way.lock().unwrap() == Way::Cut {
            continue;
        }
        let Ok(server) = TcpStream::connect(server) else { continue };
        for (from, to) in [(&client, &server), (&server, &client)] {
            let (from, to, state) = (from.try_clone().unwrap(), to.try_clone().unwrap(), Arc::clone(state));
            thread::spawn(move || pass(from, to, &state));
        }
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream, state: &State) {
    from.set_read_timeout(Some(LOOK_EVERY)).unwrap();
    let mut bytes = vec![0; 64 * 1024];
    loop {
        let read = match from.read(&mut bytes) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if [ErrorKind::WouldBlock, ErrorKind::TimedOut].contains(&error.kind()) => 0,
            Err(_) => break,
        };
        if !state.is_open() || to.write_all(&bytes[..read]).is_err() {
            break;
        }
    }
    for side in [&from, &to] {
        let _ = side.shutdown(Shutdown::Both);
    }
}
