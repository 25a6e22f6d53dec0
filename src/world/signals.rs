//! The signals that the agent understands. Never acts on one.

use tokio::signal::unix::{Signal as Stream, SignalKind, signal};

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// SIGTERM, SIGINT: end, after what runs has ended.
    Stop,
    /// SIGHUP: read conf.d and templates again.
    Reload,
    /// SIGUSR1: read the store again and look at every file.
    Resync,
}

/// Listens for all of them. One that cannot be listened for keeps its default effect.
pub struct Signals {
    terminate: Option<Stream>,
    interrupt: Option<Stream>,
    hang_up: Option<Stream>,
    user1: Option<Stream>,
}

impl Signals {
    /// Starts to listen. Must be called inside the runtime.
    pub fn listen() -> Signals {
        let listen = |kind| signal(kind).ok();
        Signals {
            terminate: listen(SignalKind::terminate()),
            interrupt: listen(SignalKind::interrupt()),
            hang_up: listen(SignalKind::hangup()),
            user1: listen(SignalKind::user_defined1()),
        }
    }

    /// The next signal.
    pub async fn next(&mut self) -> Signal {
        tokio::select! {
            () = arrival(&mut self.terminate) => Signal::Stop,
            () = arrival(&mut self.interrupt) => Signal::Stop,
            () = arrival(&mut self.hang_up) => Signal::Reload,
            () = arrival(&mut self.user1) => Signal::Resync,
        }
    }
}

async fn arrival(stream: &mut Option<Stream>) {
    match stream {
        Some(stream) => {
            stream.recv().await;
        }
        None => std::future::pending().await,
    }
}
