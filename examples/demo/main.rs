//! The demo that `make demo` runs: a store, six backends, nginx, and upstreamd between them, on free loopback ports in a
//! folder of its own. Shows traffic, a refused value, a removal and an addition, then runs until Ctrl-C. Everything it starts, it stops.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "a program of its own")]
#![allow(clippy::print_stdout, clippy::print_stderr, unreachable_pub)]

mod agent;
mod backends;
mod folder;
mod process;
mod screen;
mod store;
mod support;
mod tour;
mod traffic;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use tokio::signal::unix::{SignalKind, signal};

use process::Roster;

/// Why the demo could not go on.
type Failure = Box<dyn std::error::Error>;

/// Runs the whole of it on this machine, on loopback ports, until Ctrl-C.
#[derive(Parser)]
#[command(name = "demo")]
struct Arguments {
    /// The store in which the backends are registered
    #[arg(long, value_enum, default_value_t = StoreKind::Etcd)]
    store: StoreKind,
    /// End after the tour instead of waiting for Ctrl-C
    #[arg(long)]
    once: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum StoreKind {
    /// A real etcd
    Etcd,
    /// A YAML file
    File,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(demonstrate(&arguments))
    }));
    match outcome {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(failure)) => {
            eprintln!("\ndemo failed: {failure}");
            ExitCode::FAILURE
        }
        Err(_) => {
            eprintln!("\ndemo failed");
            ExitCode::FAILURE
        }
    }
}

/// Whatever ends first ends the rest: dropping the tour stops the processes that it started.
async fn demonstrate(arguments: &Arguments) -> Result<(), Failure> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangup = signal(SignalKind::hangup())?;
    let roster = Roster::default();
    let ended = tokio::select! {
        outcome = tour::run(arguments, &roster) => outcome.map(|()| None),
        died = roster.first_death() => Err(died.into()),
        _ = interrupt.recv() => Ok(Some("Ctrl-C")),
        _ = terminate.recv() => Ok(Some("SIGTERM")),
        _ = hangup.recv() => Ok(Some("SIGHUP")),
    };
    match ended? {
        None => println!("\nThe tour is over; everything it started is stopped."),
        Some(cause) if arguments.once => return Err(format!("{cause} ended the tour early").into()),
        Some(cause) => println!("\n{cause}: everything the demo started is stopped."),
    }
    Ok(())
}
