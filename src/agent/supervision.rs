//! What signals mean, to us and to a supervised command, and when that command is started. Pure.

use std::time::Instant;

use nix::sys::signal::Signal;

/// What a signal asks of us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignalMeaning {
    /// Nothing.
    None,
    /// End, after what runs has ended.
    Stop,
    /// Read conf.d and templates again, and the store.
    Reload,
    /// Read the store again and look at every file.
    Resync,
}

/// When a supervised command gets the same signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HandOn {
    /// Not at all.
    Never,
    /// At once.
    Now,
    /// When no transaction runs: what it reads then is whole, and its reload is not taken for another.
    BetweenTransactions,
    /// When we have done what is to be done before the end.
    Last,
}

/// What a signal asks of us, and when a supervised command gets it. `on_terminal` says that our input is a terminal.
pub fn meaning(signal: Signal, on_terminal: bool) -> (SignalMeaning, HandOn) {
    match signal {
        Signal::SIGTERM | Signal::SIGINT | Signal::SIGQUIT => (SignalMeaning::Stop, HandOn::Last),
        Signal::SIGHUP => (SignalMeaning::Reload, HandOn::BetweenTransactions),
        Signal::SIGUSR1 => (SignalMeaning::Resync, HandOn::Now),
        // A window of another size is not meant for it, and makes nginx dismiss its workers.
        Signal::SIGWINCH if on_terminal => (SignalMeaning::None, HandOn::Never),
        _ => (SignalMeaning::None, HandOn::Now),
    }
}

/// Whether a supervised command is to be started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// Not yet.
    Wait,
    /// Every group has been worked on: what could be made true is.
    Ready,
    /// Something has not been worked on, but waiting longer would not serve anybody: the last good files have to do.
    Overdue,
}

/// Whether to start the command: when the first pass is over, or `latest` has come, and never in the middle of a transaction,
/// half of whose files it would read.
pub fn start(first_pass_over: bool, transaction_runs: bool, latest: Instant, now: Instant) -> Start {
    match (transaction_runs, first_pass_over) {
        (true, _) => Start::Wait,
        (false, true) => Start::Ready,
        (false, false) if now >= latest => Start::Overdue,
        (false, false) => Start::Wait,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn each_signal_has_its_meaning() {
        for (signal, on_terminal, expected) in [
            (Signal::SIGTERM, false, (SignalMeaning::Stop, HandOn::Last)),
            (Signal::SIGINT, true, (SignalMeaning::Stop, HandOn::Last)),
            (Signal::SIGQUIT, false, (SignalMeaning::Stop, HandOn::Last)),
            (Signal::SIGHUP, false, (SignalMeaning::Reload, HandOn::BetweenTransactions)),
            (Signal::SIGUSR1, false, (SignalMeaning::Resync, HandOn::Now)),
            (Signal::SIGUSR2, false, (SignalMeaning::None, HandOn::Now)),
            (Signal::SIGWINCH, false, (SignalMeaning::None, HandOn::Now)),
            (Signal::SIGWINCH, true, (SignalMeaning::None, HandOn::Never)),
        ] {
            assert_eq!(meaning(signal, on_terminal), expected, "{signal} {on_terminal}");
        }
    }

    #[test]
    fn it_starts_after_the_first_pass_or_when_waiting_is_over() {
        let latest = Instant::now();
        let early = latest - Duration::from_secs(1);
        for (over, runs, now, expected) in [
            (false, false, early, Start::Wait),
            (false, true, early, Start::Wait),
            (true, false, early, Start::Ready),
            (true, true, early, Start::Wait),
            (false, false, latest, Start::Overdue),
            (false, true, latest, Start::Wait),
            (true, false, latest, Start::Ready),
        ] {
            assert_eq!(start(over, runs, latest, now), expected, "{over} {runs}");
        }
    }
}
