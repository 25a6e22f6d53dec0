//! Fragments, several watchers, late events: whole revisions only.

use super::*;
use crate::model::key::{Key, Value};

struct Bench {
    assembler: Assembler,
    start: Instant,
}

impl Bench {
    fn new(directories: &[&str], watchers: usize) -> Bench {
        let ranges = KeyRanges::of_directories(directories.iter().copied());
        let made = Instant::now();
        let assembler = Assembler::new(ranges, watchers, Revision(10), None, made);
        Bench { assembler, start: made + CATCH_UP }
    }

    /// Adds a message at `at` milliseconds: `watcher` delivers `events`, as revision, key and value (empty: deleted). Returns whether
    /// what waits is within its bounds.
    fn message(&mut self, at: u64, watcher: i64, is_fragment: bool, events: &[(i64, &str, &str)]) -> bool {
        let event = |(revision, key, value): &(i64, &str, &str)| WatchEvent {
            key: Key::from(*key),
            value: (!value.is_empty()).then(|| Value::from(*value)),
            revision: Revision(*revision),
            lease: 0,
        };
        let events = events.iter().map(event).collect();
        let message = WatchMessage { watcher, is_fragment, events, ..WatchMessage::default() };
        self.assembler.take_message(message, self.start + Duration::from_millis(at))
    }

    /// Returns the complete revisions at `at` milliseconds: revision and changes as text.
    fn complete(&mut self, at: u64) -> Option<(i64, String)> {
        let batch = self.assembler.take_complete(self.start + Duration::from_millis(at))?;
        let shown = |(key, value): (&Key, &Option<Value>)| match value {
            Some(value) => format!("{key}={}", value.as_text().unwrap()),
            None => format!("{key} gone"),
        };
        Some((batch.revision.0, batch.changes.iter().map(shown).collect::<Vec<_>>().join(" ")))
    }

    fn deadline(&self) -> Option<u64> {
        let deadline = self.assembler.deadline()?;
        Some(u64::try_from(deadline.duration_since(self.start).as_millis()).unwrap())
    }
}

fn some(revision: i64, changes: &str) -> Option<(i64, String)> {
    Some((revision, changes.to_owned()))
}

#[test]
fn a_single_watcher_has_whole_revisions_at_once() {
    let mut bench = Bench::new(&["/a"], 1);
    assert_eq!(bench.complete(0), None);
    bench.message(0, 1, false, &[(11, "/a/x", "1"), (11, "/a/y", "1"), (12, "/a/x", ""), (13, "/a/z", "2")]);
    assert_eq!(bench.complete(0), some(13, "/a/x gone /a/y=1 /a/z=2"));
    assert_eq!((bench.complete(99), bench.deadline()), (None, None));
}

#[test]
fn a_revision_in_fragments_waits_for_the_last_of_them() {
    let mut bench = Bench::new(&["/a"], 1);
    bench.message(0, 1, true, &[(11, "/a/x", "1")]);
    assert_eq!((bench.complete(50), bench.deadline()), (None, None));
    bench.message(60, 1, true, &[(11, "/a/y", "1")]);
    assert_eq!(bench.complete(99), None);
    bench.message(100, 1, false, &[(11, "/a/z", "1")]);
    assert_eq!(bench.complete(100), some(11, "/a/x=1 /a/y=1 /a/z=1"));
}

#[test]
fn neighbours_of_a_directory_are_dropped_but_their_revisions_count() {
    let mut bench = Bench::new(&["/services"], 1);
    bench.message(0, 1, false, &[(11, "/services-old/x", "1"), (12, "/services.d", "1")]);
    assert_eq!(bench.complete(0), some(12, ""));
    assert_eq!(bench.assembler.mark(), None);
    bench.message(1, 1, false, &[(13, "/services/x", ""), (14, "/services-old/x", "")]);
    assert_eq!(bench.complete(1), some(14, "/services/x gone"));
    let mark = bench.assembler.mark().unwrap();
    assert_eq!((mark.key.as_str(), &mark.value, mark.revision), ("/services/x", &None, Revision(13)));
}

#[test]
fn with_several_watchers_a_revision_is_complete_after_a_quiet_time() {
    let mut bench = Bench::new(&["/a", "/z"], 2);
    bench.message(0, 1, false, &[(11, "/a/x", "1")]);
    assert_eq!((bench.complete(1), bench.deadline()), (None, Some(10)));
    bench.message(1, 2, false, &[(11, "/z/x", "1")]);
    assert_eq!((bench.complete(10), bench.deadline()), (None, Some(11)));
    assert_eq!(bench.complete(11), some(11, "/a/x=1 /z/x=1"));
    assert_eq!((bench.complete(99), bench.deadline()), (None, None));
}

#[test]
fn a_steady_stream_holds_back_only_the_newest_revision() {
    let mut bench = Bench::new(&["/a", "/z"], 2);
    for revision in 11..=60 {
        let at = u64::try_from(revision - 11).unwrap();
        bench.message(at, 1, false, &[(revision, "/a/x", "1"), (revision, &format!("/a/{revision}"), "1")]);
        assert_eq!(bench.complete(at), None);
        assert_eq!(bench.deadline(), Some((at + 10).min(50)));
    }
    let (revision, changes) = bench.complete(50).unwrap();
    assert!(revision == 59 && changes.contains("/a/59=1") && !changes.contains("/a/60"), "{revision}: {changes}");
    bench.message(51, 2, false, &[(60, "/z/x", "1")]);
    assert_eq!(bench.complete(61), some(60, "/a/60=1 /a/x=1 /z/x=1"));
}

#[test]
fn what_a_steady_stream_has_handed_out_is_held_no_longer() {
    let mut bench = Bench::new(&["/a", "/z"], 2);
    bench.assembler = bench.assembler.holding_up_to(20_000);
    let mut handed_out = 0;
    for at in 0..2_000_u64 {
        let revision = 11 + i64::try_from(at).unwrap();
        assert!(bench.message(at, 1, false, &[(revision, "/a/x", "1")]), "after {at} ms");
        handed_out += u32::from(bench.complete(at).is_some());
    }
    assert!(handed_out > 10, "{handed_out} hand-outs");
}

#[test]
fn watchers_that_catch_up_one_by_one_are_waited_for_at_the_beginning() {
    let ranges = KeyRanges::of_directories(["/a", "/z"]);
    let made = Instant::now();
    let assembler = Assembler::new(ranges, 2, Revision(10), None, made);
    let mut bench = Bench { assembler, start: made };
    bench.message(0, 1, false, &[(11, "/a/x", "1"), (12, "/a/x", "2")]);
    assert_eq!((bench.complete(200), bench.deadline()), (None, Some(300)));
    bench.message(120, 2, false, &[(11, "/z/x", "1"), (12, "/z/x", "2")]);
    assert_eq!((bench.complete(299), bench.deadline()), (None, Some(300)));
    assert_eq!(bench.complete(300), some(12, "/a/x=2 /z/x=2"));
}

#[test]
fn a_late_part_of_an_old_revision_is_passed_on_by_itself() {
    let mut bench = Bench::new(&["/a", "/z"], 2);
    bench.message(0, 1, false, &[(11, "/a/x", "1"), (12, "/a/x", "2")]);
    assert_eq!(bench.complete(10), some(12, "/a/x=2"));
    bench.message(11, 2, false, &[(11, "/z/x", "1")]);
    assert_eq!(bench.complete(21), some(12, "/z/x=1"));
    assert_eq!(bench.assembler.mark().map(|mark| mark.revision), Some(Revision(11)));
}

#[test]
fn an_older_event_never_replaces_a_newer_one_of_the_same_batch() {
    let mut bench = Bench::new(&["/a", "/z"], 2);
    bench.message(0, 1, false, &[(13, "/a/x", "3")]);
    bench.message(0, 2, false, &[(11, "/z/x", "1"), (12, "/z/x", "2")]);
    assert_eq!(bench.complete(10), some(13, "/a/x=3 /z/x=2"));
}
