//! What went wrong in a transaction, in the words of its report.

use crate::model::report::{Stage, StepFailure};
use crate::world::fs::FileError;
use crate::world::process::FinishedCommand;

/// Returns a failure that says what the file system said.
pub(super) fn of_file(at: Stage, error: &FileError) -> StepFailure {
    StepFailure::new(at, describe(error))
}

/// Returns what failed and the system's reason.
pub(super) fn describe(error: &FileError) -> String {
    format!("{error}: {}", error.source)
}

/// Returns the failure of a command that is set in `field`, with what it printed.
pub(super) fn of_command(at: Stage, field: &str, text: &str, finished: &FinishedCommand) -> StepFailure {
    StepFailure {
        at,
        message: format!("{field} `{text}`: {}", finished.end),
        output: finished.output.trim_end().to_owned(),
    }
}
