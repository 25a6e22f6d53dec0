//! The upstreamd program: calls the library and exits with the code that it returns. Holds no logic.

use std::process::ExitCode;

fn main() -> ExitCode {
    upstreamd::cli::main()
}
