//! The output for the person at the terminal: numbered steps, indented text, upstreamd's log lines as they appear.

use std::cell::Cell;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::time::Duration;

thread_local! {
    static STEP: Cell<u32> = const { Cell::new(0) };
}

/// Begins the next step of the tour.
pub fn step(title: &str) {
    let number = STEP.get() + 1;
    STEP.set(number);
    println!("\n{number}. {title}");
}

/// Text below a step.
pub fn say(text: &str) {
    for line in text.lines() {
        println!("   {line}");
    }
}

/// Prints each new line of a log with a prefix, for ever.
pub async fn follow(log: &Path, prefix: &str) -> std::io::Result<()> {
    let mut reader = BufReader::new(std::fs::File::open(log)?);
    let mut line = Vec::new();
    loop {
        // A line is printed when it is complete; at the end of the file the rest is waited for.
        if reader.read_until(b'\n', &mut line)? > 0 && line.ends_with(b"\n") {
            print!("   {prefix} {}", String::from_utf8_lossy(&line));
            line.clear();
        } else {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}
