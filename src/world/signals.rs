//! Receives signals. Never acts on one.

use std::task::Poll;

use nix::sys::signal::Signal;
use tokio::signal::unix::{Signal as Stream, SignalKind, signal};

/// The signals that a supervised command gets from us: all those to which servers give a meaning of their own.
pub const HANDED_ON: [Signal; 7] = [
    Signal::SIGTERM,
    Signal::SIGINT,
    Signal::SIGQUIT,
    Signal::SIGHUP,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
    Signal::SIGWINCH,
];

/// The signals that we handle if there is no supervised command.
const OWN: [Signal; 5] = [Signal::SIGTERM, Signal::SIGINT, Signal::SIGQUIT, Signal::SIGHUP, Signal::SIGUSR1];

/// A listener for several signals.
pub struct Signals {
    streams: Vec<(Signal, Stream)>,
}

impl Signals {
    /// Starts to listen for SIGTERM, SIGINT, SIGQUIT, SIGHUP and SIGUSR1. A signal that cannot be listened for keeps its
    /// default effect. Must be called inside the runtime.
    pub fn listen() -> Signals {
        Signals::listen_for(&OWN)
    }

    /// Starts to listen for the signals in `HANDED_ON` in the same way.
    pub fn listen_for_child() -> Signals {
        Signals::listen_for(&HANDED_ON)
    }

    /// Returns a listener for no signal.
    pub fn none() -> Signals {
        Signals { streams: Vec::new() }
    }

    fn listen_for(signals: &[Signal]) -> Signals {
        let listen = |number: &Signal| Some((*number, signal(SignalKind::from_raw(*number as i32)).ok()?));
        Signals { streams: signals.iter().filter_map(listen).collect() }
    }

    /// Waits for the next signal.
    pub async fn next(&mut self) -> Signal {
        std::future::poll_fn(|context| {
            for (number, stream) in &mut self.streams {
                if stream.poll_recv(context).is_ready() {
                    return Poll::Ready(*number);
                }
            }
            Poll::Pending
        })
        .await
    }
}
