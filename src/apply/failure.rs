//! The failures of a transaction, worded for its report. Never reports them itself.

use crate::model::report::{Stage, StepFailure};
use crate::nginx::words;
use crate::world::fs::FileError;
use crate::world::process::FinishedCommand;

/// Returns the failure for an error of the file system.
pub(super) fn of_file(at: Stage, error: &FileError) -> StepFailure {
    StepFailure::new(at, describe(error))
}

/// Returns the result of a step that works on files.
pub(super) fn at<T>(at: Stage, result: Result<T, FileError>) -> Result<T, StepFailure> {
    result.map_err(|error| of_file(at, &error))
}

/// Returns the error with the system's reason.
pub(super) fn describe(error: &FileError) -> String {
    format!("{error}: {}", error.source)
}

/// Returns the failure of the command that `field` sets, with its output.
pub(super) fn of_command(at: Stage, field: &str, text: &str, finished: &FinishedCommand) -> StepFailure {
    StepFailure {
        at,
        message: format!("{field} `{text}`: {}", finished.end),
        // What nginx quotes may come from the store.
        output: words::masked(finished.output.trim_end()),
        place: None,
    }
}
