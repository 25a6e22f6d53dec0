//! The command that is supervised beside the loop: started when `supervision` says so, given its signals, stopped at the end.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::apply::Context;
use crate::world::child::{Child, ChildEnd, StartError};

use super::engine::Engine;
use super::supervision::{self, HandOn, Start};

/// See the module. Where there is no command, nothing ever happens.
pub(super) struct Supervised {
    state: State,
    stop_timeout: Duration,
    /// SIGHUP has come while a transaction ran.
    hang_up_waits: bool,
}

enum State {
    None,
    /// To be started at this time at the latest.
    Awaited {
        command: Vec<String>,
        latest: Instant,
    },
    Running(Child),
}

impl Supervised {
    /// What is to be supervised, started at `latest` even where the first pass is not over.
    pub(super) fn new(command: Option<Vec<String>>, stop_timeout: Duration, latest: Instant) -> Supervised {
        let state = command.map_or(State::None, |command| State::Awaited { command, latest });
        Supervised { state, stop_timeout, hang_up_waits: false }
    }

    /// Whether it is still to be started.
    pub(super) fn is_awaited(&self) -> bool {
        matches!(self.state, State::Awaited { .. })
    }

    /// Does what has become possible: starts the command, hands on a signal that had to wait.
    ///
    /// # Errors
    /// The command cannot be started.
    pub(super) fn turn(&mut self, engine: &Engine, context: &Context, now: Instant) -> Result<(), StartError> {
        match &self.state {
            State::None => {}
            State::Awaited { command, latest } => {
                let start = supervision::start(engine.first_pass_is_over(), engine.is_busy(), *latest, now);
                match start {
                    Start::Wait => return Ok(()),
                    Start::Ready => {}
                    Start::Overdue => tracing::warn!(
                        "not everything could be rendered in time; the command starts with the files that are there"
                    ),
                }
                // Before it starts: from now on it may have read the files already.
                context.expect_nginx_to_start(false);
                let child = Child::start(command)?;
                tracing::info!(pid = child.pid(), "started `{}`", command.join(" "));
                self.state = State::Running(child);
            }
            State::Running(child) => {
                if self.hang_up_waits && !engine.is_busy() {
                    child.signal(Signal::SIGHUP);
                    self.hang_up_waits = false;
                }
            }
        }
        Ok(())
    }

    /// When `turn` has something to do even if nothing else happens.
    pub(super) fn wake_at(&self, now: Instant) -> Option<Instant> {
        match &self.state {
            // Later than that it waits for a transaction to end.
            State::Awaited { latest, .. } => Some(*latest).filter(|latest| *latest > now),
            State::None | State::Running(_) => None,
        }
    }

    /// Waits until the command has ended by itself.
    pub(super) async fn ended(&mut self) -> ChildEnd {
        match &mut self.state {
            State::Running(child) => {
                let ended = child.ended().await;
                tracing::error!("the supervised command has ended ({ended}); stopping");
                ended
            }
            State::None | State::Awaited { .. } => std::future::pending().await,
        }
    }

    /// Takes a signal that it is to get. One that comes before it has started is not kept: it would start with what the
    /// signal asks for.
    pub(super) fn hand_on(&mut self, signal: Signal, when: HandOn) {
        let State::Running(child) = &self.state else { return };
        match when {
            HandOn::Never | HandOn::Last => {}
            HandOn::Now => child.signal(signal),
            HandOn::BetweenTransactions => self.hang_up_waits = true,
        }
    }

    /// Ends it with this signal; `None` where there is nothing to end.
    pub(super) async fn stop(&mut self, signal: Signal) -> Option<ChildEnd> {
        let State::Running(child) = &mut self.state else { return None };
        let (ended, killed) = child.stop(signal, self.stop_timeout).await;
        if killed {
            tracing::error!("the supervised command did not end within {:?} of {signal}; killed", self.stop_timeout);
        } else {
            tracing::info!("the supervised command has ended: {ended}");
        }
        Some(ended)
    }
}
