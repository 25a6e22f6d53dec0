//! The command line: runs a command and returns its exit code. Used by `main.rs` alone.

mod agents;
mod announce;
pub mod args;
mod check;
mod convert;
pub mod exit;
mod logging;
mod names;
mod outcome;
mod preflight;
mod run;
mod show;
mod state;
mod status;

use std::process::ExitCode;
use std::sync::{Arc, mpsc};

use tokio::runtime::Runtime;

use crate::config::settings::Mode;
use crate::render;
use crate::world::signals::Signals;
use crate::world::{dns_listener, fs, host, init, namespace, panics, terminal};

use args::{Command, EarlyExit, Invocation};
use exit::{Ending, Exit};

/// Runs the whole program.
pub fn main() -> ExitCode {
    panics::handle();
    // The helper process of a check in a private namespace: not a subcommand for people.
    if host::arguments().nth(1).is_some_and(|first| first == namespace::HELPER_ARGUMENT) {
        return namespace::become_command();
    }
    init::hold_signals();
    let invocation = match parse_arguments() {
        Ok(invocation) => invocation,
        Err(EarlyExit { exit, text }) => {
            if exit == Exit::Done {
                terminal::print(&text);
            } else {
                terminal::print_error(&text);
            }
            return exit.into();
        }
    };
    if init::is_init() && !invocation.becomes_command() {
        return init::run(host::arguments()).map_or_else(
            |problem| {
                terminal::print_error(&format!("{problem}\n"));
                Exit::Stuck.into()
            },
            ExitCode::from,
        );
    }
    let quiet = !matches!(invocation.command, Command::Run | Command::Supervise { .. } | Command::Announce(_));
    logging::start(&invocation.settings, quiet);
    for warning in invocation.settings.warnings.iter() {
        tracing::warn!("{}", warning.line());
    }
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = match runtime.thread_stack_size(render::STACK_BYTES).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            terminal::print_error(&format!("cannot start the runtime: {error}\n"));
            return Exit::Stuck.into();
        }
    };
    let ending = carry_out(&runtime, invocation);
    // Neither a render that does not end nor a network folder that hangs may keep the process: dropping it would wait for them.
    runtime.shutdown_background();
    ending.into()
}

/// Carries out the command.
fn carry_out(runtime: &Runtime, invocation: Invocation) -> Ending {
    let settings = invocation.settings;
    let signals = {
        let _inside = runtime.enter();
        listen(&invocation.command, settings.mode)
    };
    init::let_signals_through();
    dns_listener::take_passed();
    match invocation.command {
        Command::Run => runtime.block_on(run::run(settings, None, signals)),
        Command::Supervise { command } if settings.mode == Mode::Onetime => {
            runtime.block_on(run::prepare_and_become(settings, &command, signals))
        }
        Command::Supervise { command } => runtime.block_on(run::run(settings, Some(command), signals)),
        Command::Announce(what) => runtime.block_on(announce::announce(settings, *what, signals)),
        Command::Check => runtime.block_on(check::check(&settings, invocation.problems)).into(),
        Command::CheckServices { path } => announce::check(&settings, invocation.problems, &path).into(),
        Command::Preflight => runtime.block_on(preflight::preflight(settings)).into(),
        Command::Render { resource, line } => runtime.block_on(show::render(settings, &resource, line, signals)),
        Command::Diff { resource } => runtime.block_on(show::diff(settings, resource.as_deref(), signals)),
        Command::Status { json, watches, list } => {
            runtime.block_on(status::status(settings, json, watches, list)).into()
        }
        Command::Explain { what, .. } if what.is_empty() => runtime.block_on(status::names(settings)).into(),
        Command::Explain { what, json } => runtime.block_on(status::explain(settings, &what, json)).into(),
        Command::Agents { json } => runtime.block_on(agents::agents(settings, json)).into(),
        Command::Convert { template } => convert::convert(&settings, &template).into(),
        Command::Keys { resource } => runtime.block_on(show::keys(settings, resource.as_deref())).into(),
    }
}

/// Starts to listen for the signals that a command handles; all others end it.
fn listen(command: &Command, mode: Mode) -> Signals {
    match command {
        Command::Supervise { .. } if mode != Mode::Onetime => Signals::listen_for_child(),
        Command::Announce(announce) if announce.command.is_some() => Signals::listen_for_child(),
        Command::Run
        | Command::Supervise { .. }
        | Command::Announce(_)
        | Command::Render { .. }
        | Command::Diff { .. } => Signals::listen(),
        _ => Signals::none(),
    }
}

/// Parses on its own thread: the table of all flags needs more than half a MiB for a moment, which a daemon would keep for
/// life. That thread's allocator returns it all once nothing of it is in use, so the result is copied, and the original is
/// dropped on that thread.
fn parse_arguments() -> Result<Invocation, EarlyExit> {
    let parse = || {
        let environment = |name: &str| host::env(name);
        let mut read_file = |path: &std::path::Path| {
            // It may keep us waiting for ever, and nothing has begun that a signal would have to end in order.
            if host::exists(path) && !fs::is_file(path) {
                init::let_signals_through();
            }
            fs::read_bytes(path)
        };
        args::parse(host::arguments(), &environment, &mut read_file)
    };
    let failed = || EarlyExit { exit: Exit::Usage, text: "the arguments could not be read\n".to_owned() };
    std::thread::scope(|scope| {
        let (hand_over, parsed) = mpsc::channel();
        let (copied, wait_until_copied) = mpsc::channel::<()>();
        scope.spawn(move || {
            let result = Arc::new(parse());
            hand_over.send(Arc::clone(&result)).ok();
            wait_until_copied.recv().ok();
        });
        let copy = match parsed.recv() {
            Ok(result) => (*result).clone(),
            Err(_) => Err(failed()),
        };
        drop(copied);
        copy
    })
}
