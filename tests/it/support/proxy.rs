//! A TCP forwarder that can be cut or made to swallow everything, to part a client from its server.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

#[derive(Default)]
struct State {
    /// New connections are closed at once.
    cut: AtomicBool,
    /// Everything that arrives is discarded; connections stay open.
    swallow: AtomicBool,
    ended: AtomicBool,
    accepted: AtomicUsize,
    open: Mutex<Vec<TcpStream>>,
}

/// Forwards connections to one server until dropped.
pub struct Proxy {
    address: SocketAddr,
    state: Arc<State>,
}

impl Proxy {
    /// Forwards to 127.0.0.1:`port`.
    pub fn start(port: u16) -> Proxy {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State::default());
        let accepting = Arc::clone(&state);
        thread::spawn(move || {
            for client in listener.incoming() {
                if accepting.ended.load(Ordering::SeqCst) {
                    return;
                }
                accepting.accepted.fetch_add(1, Ordering::SeqCst);
                let Ok(client) = client else { continue };
                if accepting.cut.load(Ordering::SeqCst) {
                    continue;
                }
                let Ok(server) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)) else { continue };
                forward(&accepting, &client, &server);
                forward(&accepting, &server, &client);
                accepting.open.lock().unwrap().extend([client, server]);
            }
        });
        Proxy { address, state }
    }

    /// `host:port` of this end.
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// How many connections were tried so far.
    pub fn accepted(&self) -> usize {
        self.state.accepted.load(Ordering::SeqCst)
    }

    /// Breaks all connections and takes no new ones.
    pub fn cut(&self) {
        self.state.cut.store(true, Ordering::SeqCst);
        self.break_connections();
    }

    /// Breaks all connections; new ones work.
    pub fn break_connections(&self) {
        for stream in self.state.open.lock().unwrap().drain(..) {
            stream.shutdown(Shutdown::Both).ok();
        }
    }

    /// Discards everything from now on; all connections stay open.
    pub fn swallow(&self) {
        self.state.swallow.store(true, Ordering::SeqCst);
    }

    /// Ends `cut` and `swallow`. Swallowed bytes are lost, so their connections are broken.
    pub fn mend(&self) {
        self.state.cut.store(false, Ordering::SeqCst);
        if self.state.swallow.swap(false, Ordering::SeqCst) {
            self.break_connections();
        }
    }
}

fn forward(state: &Arc<State>, from: &TcpStream, to: &TcpStream) {
    let (state, mut from, mut to) = (Arc::clone(state), from.try_clone().unwrap(), to.try_clone().unwrap());
    to.set_nodelay(true).ok();
    thread::spawn(move || {
        let mut buffer = vec![0; 64 << 10];
        while let Ok(length @ 1..) = from.read(&mut buffer) {
            if !state.swallow.load(Ordering::SeqCst) && to.write_all(&buffer[..length]).is_err() {
                break;
            }
        }
        to.shutdown(Shutdown::Both).ok();
    });
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.state.ended.store(true, Ordering::SeqCst);
        self.break_connections();
        TcpStream::connect(self.address).ok();
    }
}
