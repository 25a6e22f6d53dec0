//! The meaning of signals, to the agent and to a supervised command, and when that command starts. Pure.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

/// The agent's reaction to a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignalMeaning {
    /// Nothing.
    None,
    /// Stop, after running passes have ended.
    Stop,
    /// Read conf.d and templates again, and the store.
    Reload,
    /// Read the store again and look at every file.
    Resync,
}

/// The moment at which a supervised command gets the same signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HandOn {
    /// Not at all.
    Never,
    /// At once.
    Now,
    /// When no transaction runs: then it reads complete files, and its reload is not mistaken for the transaction's.
    BetweenTransactions,
    /// At the end, after the agent's own work.
    Last,
}

/// An nginx that ends well sooner than this after its start has gone to the background. If its own file says `daemon off`, it
/// ends well only when somebody stops it.
const START_OF_NGINX: Duration = Duration::from_secs(10);

/// Returns whether a command that ran for so long and exited with 0 goes on in the background: nginx does, unless it is asked not
/// to.
pub fn went_to_background(command: &[String], ran: Duration) -> bool {
    let is_nginx = command.first().is_some_and(|program| program.rsplit('/').next() == Some("nginx"));
    is_nginx && ran < START_OF_NGINX && !command.iter().any(|word| word.contains("daemon off"))
}

/// Returns the agent's reaction to a signal, and when a supervised command gets it. `on_terminal`: standard input is a
/// terminal.
pub fn meaning(signal: Signal, on_terminal: bool) -> (SignalMeaning, HandOn) {
    match signal {
        Signal::SIGTERM | Signal::SIGINT | Signal::SIGQUIT => (SignalMeaning::Stop, HandOn::Last),
        Signal::SIGHUP => (SignalMeaning::Reload, HandOn::BetweenTransactions),
        Signal::SIGUSR1 => (SignalMeaning::Resync, HandOn::Now),
        // A change of the window size is not meant for it, and makes nginx dismiss its workers.
        Signal::SIGWINCH if on_terminal => (SignalMeaning::None, HandOn::Never),
        _ => (SignalMeaning::None, HandOn::Now),
    }
}

/// The decision whether to start a supervised command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// Not yet.
    Wait,
    /// Every group has had a pass.
    Ready,
    /// Some group has had no pass, but a longer wait would not help: the last good files have to do.
    Overdue,
}

/// Decides whether to start the command: after the first round, or at `latest`, and never in the middle of a transaction,
/// when only half of the files may be in place.
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

    #[test]
    fn an_nginx_that_ends_well_at_once_is_in_the_background() {
        let check = |words: &[&str], ran: u64, expected: bool| {
            let command: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
            assert_eq!(went_to_background(&command, Duration::from_secs(ran)), expected, "{words:?} {ran}");
        };
        check(&["nginx"], 0, true);
        check(&["/usr/sbin/nginx", "-c", "/n.conf"], 9, true);
        check(&["nginx"], 10, false);
        check(&["nginx", "-g", "daemon off;"], 0, false);
        check(&["app"], 0, false);
        check(&[], 0, false);
    }
}
