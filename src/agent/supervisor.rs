//! The command that is supervised beside the loop: started when `supervision` says so, sent its signals, stopped at the end.
//! Never decides when to start it or which signals to forward.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::world::child::{Child, ChildEnd, StartError};
use crate::world::clock;

use super::run::Agent;
use super::supervision::{self, HandOn, Start};

/// A command to supervise.
pub struct CommandPlan {
    /// Program and arguments.
    pub command: Vec<String>,
    /// Longest time for which the first round may delay its start.
    pub start_timeout: Duration,
    /// Time for it to end after its signal.
    pub stop_timeout: Duration,
}

/// The supervised command; without one, nothing ever happens.
pub(super) struct Supervisor {
    state: CommandState,
    stop_timeout: Duration,
    /// Whether SIGHUP came while a transaction ran.
    hang_up_waits: bool,
}

enum CommandState {
    None,
    /// Not started yet; due at `latest` even if the first round is not over.
    Awaited {
        command: Vec<String>,
        latest: Instant,
    },
    Running {
        child: Child,
        command: Vec<String>,
        since: Instant,
    },
}

impl Supervisor {
    /// Returns the command before its start, if there is one.
    pub(super) fn new(plan: Option<CommandPlan>) -> Supervisor {
        let stop_timeout = plan.as_ref().map(|plan| plan.stop_timeout).unwrap_or_default();
        let awaited = |plan: CommandPlan| CommandState::Awaited {
            command: plan.command,
            latest: clock::now() + plan.start_timeout,
        };
        Supervisor { state: plan.map_or(CommandState::None, awaited), stop_timeout, hang_up_waits: false }
    }

    /// Returns whether the command still has to start.
    pub(super) fn has_to_start(&self) -> bool {
        matches!(self.state, CommandState::Awaited { .. })
    }

    /// Starts the command or forwards a waiting signal, if it is time for that.
    ///
    /// # Errors
    /// The command cannot be started.
    pub(super) fn turn(&mut self, agent: &Agent, now: Instant) -> Result<(), StartError> {
        let applies = agent.outlook.terms.is_applying();
        match &self.state {
            CommandState::None => {}
            CommandState::Awaited { command, latest } => {
                let start = supervision::start(agent.desk.first_round_is_over(), applies, *latest, now);
                match start {
                    Start::Wait => return Ok(()),
                    Start::Ready => {}
                    Start::Overdue => tracing::warn!(
                        "not every resource was rendered in time; starting the command with the files that are there"
                    ),
                }
                // Set before it starts: from now on it may have read the files already.
                agent.outlook.terms.context.expect_nginx_to_start(false);
                let child = Child::start(command)?;
                tracing::info!(pid = child.pid(), "started `{}`", command.join(" "));
                self.state = CommandState::Running { child, command: command.clone(), since: now };
            }
            CommandState::Running { child, .. } => {
                if self.hang_up_waits && !applies {
                    child.signal(Signal::SIGHUP);
                    self.hang_up_waits = false;
                }
            }
        }
        Ok(())
    }

    /// Returns when `turn` has something to do even without an event.
    pub(super) fn wake_at(&self, now: Instant) -> Option<Instant> {
        match &self.state {
            // After that it waits for a transaction to end.
            CommandState::Awaited { latest, .. } => Some(*latest).filter(|latest| *latest > now),
            CommandState::None | CommandState::Running { .. } => None,
        }
    }

    /// Waits until the command has ended by itself; `None` if it goes on in the background.
    pub(super) async fn ended(&mut self) -> Option<ChildEnd> {
        match &mut self.state {
            CommandState::Running { child, command, since } => {
                let ended = child.ended().await;
                let ran = clock::now().saturating_duration_since(*since);
                if ended == ChildEnd::Exited(0) && supervision::went_to_background(command, ran) {
                    tracing::error!(
                        "nginx has gone to the background, where it may run on and nobody supervises it; stopping (hint: start \
                         it with -g 'daemon off;')"
                    );
                    return None;
                }
                tracing::error!("the supervised command has ended ({ended}); stopping");
                Some(ended)
            }
            CommandState::None | CommandState::Awaited { .. } => std::future::pending().await,
        }
    }

    /// Forwards a signal. A signal before the start is dropped: the command reads everything when it starts.
    pub(super) fn hand_on(&mut self, signal: Signal, when: HandOn) {
        let CommandState::Running { child, .. } = &self.state else { return };
        match when {
            HandOn::Never | HandOn::Last => {}
            HandOn::Now => child.signal(signal),
            HandOn::BetweenTransactions => self.hang_up_waits = true,
        }
    }

    /// Ends the command with this signal. Returns `None` if there is no command to end.
    pub(super) async fn stop(&mut self, signal: Signal) -> Option<ChildEnd> {
        let CommandState::Running { child, .. } = &mut self.state else { return None };
        let (ended, killed) = child.stop(signal, self.stop_timeout).await;
        if killed {
            tracing::error!("the supervised command did not end within {:?} of {signal}; killed", self.stop_timeout);
        } else {
            tracing::info!("the supervised command has ended: {ended}");
        }
        Some(ended)
    }
}
