//! The upstreamd program: hands over to the library and exits with the code that comes back.

use std::process::ExitCode;

fn main() -> ExitCode {
    upstreamd::cli::main()
}
