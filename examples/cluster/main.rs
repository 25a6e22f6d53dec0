//! The program of `make cluster-test`: the cluster of `docker/compose.yaml` on a real Docker engine, under load, while nodes are
//! stopped, killed and cut off. Counts what clients lose in each phase, looks whether the state is right after it, prints a
//! table, and takes everything away again. Then the two variants of it, shortly. Ends by itself.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "a program of its own")]
#![allow(clippy::print_stdout, clippy::print_stderr, unreachable_pub)]

mod bare;
mod engine;
mod load;
mod phases;
mod state;
mod support;
mod variants;

use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;

use engine::Engine;
use load::{Load, Targets};

/// Why the test could not go on.
type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Runs the cluster in containers, breaks parts of it under load and counts what clients lose.
#[derive(Parser)]
#[command(name = "cluster")]
struct Arguments {
    /// Leave the containers when it is over
    #[arg(long)]
    keep: bool,
    /// Only phases and variants whose name contains this
    #[arg(long, default_value = "")]
    only: String,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let engine = match Engine::find("upstreamd-cluster-test", "compose.yaml") {
        Ok(engine) => engine,
        Err(problem) => {
            eprintln!("cluster-test: {problem}; nothing was tested");
            return ExitCode::FAILURE;
        }
    };
    let outcome = run(&arguments, &engine);
    if !arguments.keep {
        engine.down();
    }
    // The other two compose files, with the same images.
    let outcome = outcome.and_then(|good| Ok(variants::run(&arguments.only, arguments.keep)? && good));
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => {
            eprintln!("cluster-test: clients lost what they should not have, or the state was wrong: see the table");
            ExitCode::FAILURE
        }
        Err(failure) => {
            eprintln!("cluster-test failed: {failure}");
            ExitCode::FAILURE
        }
    }
}

/// Returns whether every phase succeeded.
fn run(arguments: &Arguments, engine: &Engine) -> Result<bool, Failure> {
    if !phases::any(&arguments.only) {
        return Ok(true);
    }
    println!("building the images and starting the cluster; the first time takes many minutes");
    engine.up()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let targets = Targets { https: engine.https, echo: engine.echo };
    state::wait_right(engine, &runtime, state::ALL)?;
    let load = Arc::new(Load::new(targets));
    load.start(&runtime);
    let results = phases::run(&arguments.only, engine, &runtime, &load);
    load.stop();
    let results = results?;
    phases::print(&results);
    Ok(results.iter().all(phases::Outcome::is_good))
}
