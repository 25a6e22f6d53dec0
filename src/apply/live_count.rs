//! Backend counts of live files, and since when a loss of backends is held: kept across restarts, one small record per
//! destination in the state folder. Never decides about a file; a lost record costs one comparison.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::world::fs::{FileError, record};

use super::{Context, failure, plan};

/// The record of one destination.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LiveCount {
    /// Number of backends in the live file.
    pub count: Option<usize>,
    /// Start of the hold, in seconds since 1970.
    pub held_since_unix: Option<u64>,
}

/// Returns the record of `dest`; an empty one if there is no state folder or no record that can be parsed. Such a record is kept
/// aside, if this run `applies` what it renders.
pub fn load(context: &Context, dest: &Path, applies: bool) -> LiveCount {
    let Some(path) = path_of(context, dest) else { return LiveCount::default() };
    let problem = match record::read(&path) {
        Ok(None) => return LiveCount::default(),
        Ok(Some(text)) => match serde_json::from_str(&text) {
            Ok(live) => return live,
            Err(error) => error.to_string(),
        },
        // What the process or the machine is short of says nothing about the record.
        Err(error) if error.may_pass() || error.source.kind() == ErrorKind::PermissionDenied => {
            return unknown(context, (&path, dest), &failure::describe(&error), "it stays");
        }
        Err(error) => failure::describe(&error),
    };
    let kept = match applies.then(|| record::move_aside(&path)) {
        None => "it stays".to_owned(),
        Some(Ok(aside)) => format!("it is kept as `{}`", aside.display()),
        Some(Err(error)) => failure::describe(&error),
    };
    unknown(context, (&path, dest), &problem, &kept)
}

fn unknown(context: &Context, (path, dest): (&Path, &Path), problem: &str, kept: &str) -> LiveCount {
    context.warn_in_next_report([format!(
        "the record `{}` cannot be read ({problem}): {kept}, and how many backends `{}` has is not known, so that its guard cannot \
         compare the next change",
        path.display(),
        dest.display()
    )]);
    LiveCount::default()
}

/// Writes the record of `dest`, durably; does nothing without a state folder.
///
/// # Errors
/// The record could not be written.
pub fn save(context: &Context, dest: &Path, live: LiveCount) -> Result<(), FileError> {
    let Some(path) = path_of(context, dest) else { return Ok(()) };
    record::write(&path, &serde_json::to_string(&live).unwrap_or_default())
}

fn path_of(context: &Context, dest: &Path) -> Option<PathBuf> {
    let name = plan::hash(dest.as_os_str().as_encoded_bytes())[..16].to_owned();
    Some(context.settings.state_folder.as_ref()?.join("live").join(format!("{name}.json")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::apply::Settings;

    #[test]
    fn a_record_that_cannot_be_read_is_kept_and_said() {
        let folder = tempfile::tempdir().unwrap();
        let context = Context::new(Settings { state_folder: Some(folder.path().to_owned()), ..Settings::default() });
        let (dest, live) = (Path::new("/web.conf"), LiveCount { count: Some(5), held_since_unix: None });
        assert_eq!(load(&context, dest, true), LiveCount::default());
        save(&context, dest, live).unwrap();
        assert_eq!((load(&context, dest, true), context.take_pending_warnings().len()), (live, 0));
        let path = path_of(&context, dest).unwrap();
        let breaks: [fn(&Path); 3] = [
            |path| std::fs::write(path, "{\"count\":").unwrap(),
            |path| std::fs::write(path, [0xff]).unwrap(),
            |path| std::fs::create_dir(path).unwrap(),
        ];
        for break_it in breaks {
            std::fs::remove_file(&path).unwrap();
            break_it(&path);
            assert_eq!(load(&context, dest, false), LiveCount::default());
            assert!(context.take_pending_warnings()[0].contains("it stays") && path.exists(), "a look changes nothing");
            assert_eq!(load(&context, dest, true), LiveCount::default());
            let said = context.take_pending_warnings();
            assert!(said.len() == 1 && said[0].contains("it is kept as") && !path.exists(), "{said:?}");
            save(&context, dest, live).unwrap();
            assert_eq!(load(&context, dest, true), live);
        }
    }
}
