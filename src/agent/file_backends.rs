//! The backends of one file: those that its template lists, and what each change takes from nginx. Pure.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::model::backend_change::BackendChange;
use crate::model::live_backends::LiveBackends;
use crate::model::removed::Removed;
use crate::render::{ListedBackends, Reads};

/// The backends of one file, from render to render.
#[derive(Default)]
pub struct FileBackends {
    /// Those of a render that is not live yet: `None` in it if its template asked for none.
    rendered: Option<Option<ListedBackends>>,
    /// Whether that render has completed.
    is_whole: bool,
    /// Those of the live file; `None` if they are not known, or its template asked for none.
    live: Option<Arc<LiveBackends>>,
    /// Whether something has changed since the live file was rendered that is not the key of a backend.
    has_other_changes: bool,
}

/// The effect of a change of one file on its backends.
#[derive(Debug, PartialEq, Eq)]
pub struct FileChange {
    /// For people, if the template asked for backends.
    pub shown: Option<BackendChange>,
    /// The backends that get no traffic any more.
    pub removed: Removed,
}

impl FileBackends {
    /// Records a render: the backends that its template asked for, its reads, and the changed paths that were the reason for it;
    /// `None` if anything may have changed.
    pub fn rendered(&mut self, listed: Option<ListedBackends>, reads: &Reads, changed: Option<&[&str]>) {
        let folders = listed.as_ref().map(ListedBackends::folders).unwrap_or_default();
        self.note_changes(reads, &folders, changed);
        self.rendered = Some(listed);
        self.is_whole = false;
    }

    /// Records that the last render has completed: it has seen all that the store has for it.
    pub fn completed(&mut self) {
        self.is_whole = true;
    }

    /// Returns the backends that the store has for the file, if its last render has completed and is not live.
    pub fn waiting(&self) -> Option<LiveBackends> {
        let rendered = self.rendered.as_ref().filter(|_| self.is_whole)?.as_ref()?;
        Some(LiveBackends::new(rendered.backends(), &rendered.folders(), None, 0))
    }

    /// Records that the guard has replaced the last render by one without backends.
    pub fn rendered_placeholder(&mut self) {
        self.rendered = self.rendered.take().map(|listed| listed.map(ListedBackends::emptied));
        self.is_whole = false;
    }

    fn note_changes(&mut self, reads: &Reads, folders: &BTreeSet<&str>, changed: Option<&[&str]>) {
        let live = self.live.iter().flat_map(|live| live.folders());
        let folders: Vec<&str> = live.chain(folders.iter().copied()).collect();
        let is_backend = |path: &str| !reads.name(path) && folders.iter().any(|folder| path.starts_with(folder));
        let is_plain = |path: &&str| !reads.include(path) || is_backend(path);
        self.has_other_changes |= !changed.is_some_and(|paths| paths.iter().all(is_plain));
    }

    /// Records that the last render is live. Returns what that changed. A file that was not written has the same bytes as before:
    /// nginx asks for its backends, and nothing else has changed.
    pub fn went_live(&mut self, is_written: bool, unix_seconds: u64) -> FileChange {
        let has_other_changes = std::mem::take(&mut self.has_other_changes) && is_written;
        let unknown = FileChange { shown: None, removed: Removed::Unknown };
        let Some(rendered) = self.rendered.take() else { return unknown };
        let before = self.live.take();
        let Some(rendered) = rendered else { return unknown };
        let live = LiveBackends::new(rendered.backends(), &rendered.folders(), before.as_deref(), unix_seconds);
        let shown = Some(BackendChange::between(before.as_deref(), &live));
        let removed = match &before {
            Some(before) if !has_other_changes => without(before, &live.serving().collect()),
            _ => Removed::Unknown,
        };
        // The same ones are not kept twice: whoever looks at those before may go on for a while.
        self.live = Some(before.filter(|before| **before == live).unwrap_or_else(|| Arc::new(live)));
        FileChange { shown, removed }
    }

    /// Returns the backends of the live file; `None` if they are not known.
    pub fn live(&self) -> Option<&Arc<LiveBackends>> {
        self.live.as_ref()
    }

    /// Returns the addresses of the backends in the live file that get traffic.
    pub fn serving(&self) -> impl Iterator<Item = &str> {
        self.live.iter().flat_map(|live| live.serving())
    }

    /// Returns what the file, which is removed, takes from nginx. `reads` are those of its last render.
    pub fn removed(mut self, reads: &Reads, changed: Option<&[&str]>) -> Removed {
        self.note_changes(reads, &BTreeSet::new(), changed);
        match self.live {
            Some(live) if !self.has_other_changes => without(&live, &BTreeSet::new()),
            _ => Removed::Unknown,
        }
    }
}

/// Returns the backends that got traffic and are not among these.
fn without(before: &LiveBackends, serving: &BTreeSet<&str>) -> Removed {
    let gone: BTreeSet<&str> = before.serving().filter(|address| !serving.contains(address)).collect();
    Removed::addresses(gone.iter())
}

#[cfg(test)]
mod tests {
    use super::*;

    const WEB: &str = "/web/";
    const A: &str = "10.0.0.1:80";
    const B: &str = "10.0.0.2:80";
    const ON_B: (&str, bool) = (B, false);

    /// A file whose template lists the backends below `/web`, reads `/timeout` and `/web/title`, and looks through `/text/*`.
    fn reads() -> Reads {
        Reads::of(&["/timeout", "/web/title"], &[WEB, "/text/"])
    }

    /// The same with A and B live.
    fn file() -> FileBackends {
        let mut file = FileBackends::default();
        file.rendered(Some(ListedBackends::of(WEB, &[(A, false), ON_B])), &reads(), None);
        assert_eq!(file.went_live(true, 0).removed, Removed::Unknown, "nobody knows what was there before");
        file
    }

    fn removed(addresses: Option<&[&str]>) -> Removed {
        addresses.map_or(Removed::Unknown, |addresses| Removed::addresses(addresses.iter()))
    }

    /// Checks what a change of these paths removes if the template then lists these backends.
    #[track_caller]
    fn check(changed: Option<&[&str]>, listed: &[(&str, bool)], expected: Option<&[&str]>) {
        let mut file = file();
        file.rendered(Some(ListedBackends::of(WEB, listed)), &reads(), changed);
        assert_eq!(file.went_live(true, 0).removed, removed(expected), "{changed:?} {listed:?}");
    }

    #[test]
    fn what_a_change_of_backends_keys_removes_is_known() {
        check(Some(&["/web/a"]), &[ON_B], Some(&[A]));
        check(Some(&["/web/a", "/web/b"]), &[], Some(&[A, B]));
        check(Some(&["/web/c"]), &[(A, false), ON_B, ("10.0.0.3:80", false)], Some(&[]));
        check(Some(&["/web/a"]), &[("10.0.0.3:80", false), ON_B], Some(&[A]));
        // Still listed, but it gets no traffic.
        check(Some(&["/web/a"]), &[(A, true), ON_B], Some(&[A]));
        check(Some(&["/web/a"]), &[(A, true), (A, false), ON_B], Some(&[]));
        // The template does not look at the other key.
        check(Some(&["/web/a", "/elsewhere"]), &[ON_B], Some(&[A]));
        // What these have removed is anybody's guess.
        check(None, &[ON_B], None);
        let mut asked_for = file();
        asked_for.rendered(Some(ListedBackends::of(WEB, &[ON_B])), &reads(), None);
        assert_eq!(asked_for.went_live(false, 0).removed, removed(Some(&[A])), "no byte of the file has changed");
        for other in ["/timeout", "/text/x", "/web/title"] {
            check(Some(&["/web/a", other]), &[ON_B], None);
        }
    }

    #[test]
    fn what_changed_before_the_file_went_live_counts() {
        let listed = || Some(ListedBackends::of(WEB, &[ON_B]));
        for (first, second, expected) in
            [("/web/a", "/web/b", Some(&[A][..])), ("/timeout", "/web/a", None), ("/web/a", "/timeout", None)]
        {
            let mut file = file();
            file.rendered(listed(), &reads(), Some(&[first]));
            file.rendered(listed(), &reads(), Some(&[second]));
            assert_eq!(file.went_live(true, 0).removed, removed(expected), "{first} {second}");
            file.rendered(Some(ListedBackends::of(WEB, &[])), &reads(), Some(&["/web/b"]));
            assert_eq!(file.went_live(true, 0).removed, removed(Some(&[B])), "afterwards");
        }
    }

    #[test]
    fn only_addresses_can_be_looked_for_among_connections() {
        let mut file = file();
        let mut change = |listed: &[(&str, bool)]| {
            file.rendered(Some(ListedBackends::of(WEB, listed)), &reads(), Some(&["/web/a"]));
            file.went_live(true, 0).removed
        };
        assert_eq!(change(&[("host:80", false), ("unix:/run/a.sock", false)]), removed(Some(&[A, B])));
        assert_eq!(change(&[("host:80", false)]), Removed::Unknown);
        assert_eq!(change(&[]), Removed::Unknown);
    }

    #[test]
    fn a_render_that_does_not_list_backends_removes_anything() {
        let mut file = file();
        file.rendered(None, &reads(), Some(&["/web/a"]));
        assert_eq!(file.went_live(true, 0), FileChange { shown: None, removed: Removed::Unknown });
        assert_eq!(file.live(), None, "its list is gone");
    }

    #[test]
    fn a_placeholder_and_a_file_that_goes_remove_all_backends() {
        let mut with_placeholder = file();
        with_placeholder.rendered(Some(ListedBackends::of(WEB, &[ON_B])), &reads(), Some(&["/web/a"]));
        with_placeholder.rendered_placeholder();
        assert_eq!(with_placeholder.went_live(true, 0).removed, removed(Some(&[A, B])));
        let live = with_placeholder.live().unwrap();
        assert_eq!((live.len(), live.folders().collect::<Vec<_>>()), (0, vec![WEB]), "the list is there, and empty");
        assert_eq!(file().removed(&reads(), Some(&["/web/a", "/web/b"])), removed(Some(&[A, B])));
        assert_eq!(file().removed(&reads(), Some(&["/web/a", "/timeout"])), Removed::Unknown);
        assert_eq!(FileBackends::default().removed(&reads(), Some(&["/web/a"])), Removed::Unknown);
    }
}
