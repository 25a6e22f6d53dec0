//! The program of `make fuzz`: feeds made-up bytes to every parser that meets a stranger's bytes, until the time is over or one panics.
//! What a parser panicked at is written to `fuzz/corpus`, and is a test from then on. Never opens a connection.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "a program of its own")]
#![allow(clippy::print_stdout, clippy::print_stderr, unreachable_pub)]

mod bytes;
mod targets;

use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use clap::Parser;

use bytes::Source;
use targets::Target;

/// An input that takes longer is reported like a panic: its cost grows faster than its size.
const SLOW: Duration = Duration::from_secs(2);

/// Feeds made-up bytes to every parser that meets a stranger's bytes.
#[derive(Parser)]
#[command(name = "fuzz")]
struct Arguments {
    /// Seconds for each target
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Only targets whose name contains this
    #[arg(long, default_value = "")]
    only: String,
    /// Start of the made-up bytes; by default the time
    #[arg(long)]
    seed: Option<u64>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |since| u64::from(since.subsec_nanos()));
    let seed = arguments.seed.unwrap_or_else(now);
    let chosen: Vec<Target> =
        targets::all().into_iter().filter(|target| target.name.contains(&arguments.only)).collect();
    if chosen.is_empty() {
        eprintln!("fuzz: no target's name contains `{}`", arguments.only);
        return ExitCode::FAILURE;
    }
    // Its text would be printed for each panic; the input is what counts.
    std::panic::set_hook(Box::new(|_| ()));
    println!("seed {seed}\n{:24} {:>10} {:>10}", "target", "inputs", "slowest");
    let mut is_good = true;
    for target in &chosen {
        is_good &= run(target, Duration::from_secs(arguments.seconds), seed);
    }
    if is_good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Returns whether no input was bad.
fn run(target: &Target, limit: Duration, seed: u64) -> bool {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target.name);
    let mut source = Source::new(seed, target.seeds(&corpus));
    let (start, mut inputs, mut slowest, mut is_good) = (Instant::now(), 0_u64, Duration::ZERO, true);
    while start.elapsed() < limit && is_good {
        let input = source.next();
        let began = Instant::now();
        let result = std::panic::catch_unwind(|| (target.run)(&input));
        let took = began.elapsed();
        slowest = slowest.max(took);
        inputs += 1;
        let problem = match (&result, took > SLOW) {
            (Err(_), _) => "panicked",
            (Ok(()), true) => "was slow",
            (Ok(()), false) => continue,
        };
        is_good = false;
        let path = corpus.join(format!("{seed}-{inputs}"));
        let written = std::fs::create_dir_all(&corpus).and_then(|()| std::fs::write(&path, &input));
        println!(
            "{} {problem} at {} ({} bytes, written: {})",
            target.name,
            path.display(),
            input.len(),
            written.is_ok()
        );
    }
    println!("{:24} {inputs:>10} {:>8.1} ms", target.name, slowest.as_secs_f64() * 1000.0);
    is_good
}
