//! A render's view of the store, which records what it looks at: a later change of anything else cannot change the output,
//! so that one of two thousand files of a `for_each` is rendered again, and not all. Pure.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::model::glob::{BadPattern, Glob};
use crate::model::key::Value;
use crate::model::view::{DirectoryChild, View};

/// More keys and folders than this are recorded as "everything".
const MAX_PLACES: usize = 256;

/// The keys and folders that a render looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reads {
    /// Single paths.
    paths: BTreeSet<String>,
    /// Everything that begins so.
    beginnings: BTreeSet<String>,
    /// Whether it looked at everything in the store.
    everything: bool,
    /// Whether it asked outside of the store, which may answer differently at any time: the clock, name servers, files.
    outside: bool,
}

impl Reads {
    /// Reads of everything, in the store and outside: any change may change the output.
    pub fn everything() -> Reads {
        Reads { everything: true, outside: true, ..Reads::default() }
    }

    /// Checks whether a change of this path, as the template names it, may change the output.
    pub fn depend_on(&self, path: &str) -> bool {
        self.outside || self.include(path)
    }

    /// Checks whether the value at this path, or its existence, may have had a part in the output.
    pub fn include(&self, path: &str) -> bool {
        self.everything
            || self.paths.contains(path)
            || self.beginnings.iter().any(|beginning| path.starts_with(beginning.as_str()))
    }

    /// Checks whether this very path was asked for.
    pub fn name(&self, path: &str) -> bool {
        self.paths.contains(path)
    }

    /// Checks whether the same render may give a different result at any time.
    pub(super) fn are_outside(&self) -> bool {
        self.outside
    }

    fn absorb(&mut self, other: &Reads) {
        self.outside |= other.outside;
        self.everything |= other.everything;
        if !self.everything {
            self.paths.extend(other.paths.iter().cloned());
            self.beginnings.extend(other.beginnings.iter().cloned());
        }
        self.limit();
    }

    fn limit(&mut self) {
        self.everything |= self.paths.len() + self.beginnings.len() > MAX_PLACES;
        if self.everything {
            self.paths.clear();
            self.beginnings.clear();
        }
    }
}

#[cfg(test)]
impl Reads {
    /// Makes reads for tests: of these paths, and of everything that begins so.
    pub(crate) fn of(paths: &[&str], beginnings: &[&str]) -> Reads {
        let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        Reads { paths: owned(paths), beginnings: owned(beginnings), ..Reads::default() }
    }
}

/// A view that records what is asked of it.
pub(super) struct Window {
    view: View,
    reads: RefCell<Reads>,
}

impl Window {
    pub(super) fn new(view: View) -> Window {
        Window { view, reads: RefCell::default() }
    }

    /// Returns the view itself. Callers record first what they will look at.
    pub(super) fn view(&self) -> &View {
        &self.view
    }

    /// Returns the reads of this render, at its end.
    pub(super) fn into_reads(self) -> Reads {
        self.reads.into_inner()
    }

    /// Returns a copy of the reads so far.
    pub(super) fn reads(&self) -> Reads {
        self.reads.borrow().clone()
    }

    /// Replaces the reads, and returns those of before.
    pub(super) fn replace_reads(&self, reads: Reads) -> Reads {
        self.reads.replace(reads)
    }

    /// Records what a different render has read.
    pub(super) fn note_all(&self, reads: &Reads) {
        self.reads.borrow_mut().absorb(reads);
    }

    /// Records that something outside of the store was asked.
    pub(super) fn leave(&self) {
        self.reads.borrow_mut().outside = true;
    }

    /// Records that everything below a folder, which ends with a slash, will be looked at.
    pub(super) fn note_below(&self, folder: &str) {
        self.note(|reads| reads.beginnings.insert(folder.to_owned()));
    }

    /// Records that every path that could match a pattern will be looked at.
    pub(super) fn note_matching(&self, pattern: &str) {
        if self.reads.borrow().everything {
            return;
        }
        // A bad pattern fails the render.
        let Ok(glob) = Glob::parse(pattern) else { return };
        let literal = glob.literal_prefix().to_string();
        if glob.is_literal() {
            self.note(|reads| reads.paths.insert(literal));
        } else {
            self.note(|reads| reads.beginnings.insert(literal));
        }
    }

    pub(super) fn get(&self, path: &str) -> Option<&Value> {
        self.note(|reads| reads.paths.insert(path.to_owned()));
        self.view.get(path)
    }

    pub(super) fn matching(
        &self,
        pattern: &str,
        go_on: &mut dyn FnMut(&str) -> bool,
    ) -> Result<Vec<(&str, &Value)>, BadPattern> {
        self.note_matching(pattern);
        self.view.matching_while(pattern, go_on)
    }

    pub(super) fn children(&self, directory: &str) -> BTreeMap<&str, DirectoryChild> {
        let trimmed = directory.strip_suffix('/').unwrap_or(directory);
        // The root of keys without a leading slash is every key.
        self.note_below(&if trimmed.is_empty() { String::new() } else { format!("{trimmed}/") });
        self.view.children(directory)
    }

    pub(super) fn has_directory(&self, directory: &str) -> bool {
        self.note_below(&format!("{}/", directory.strip_suffix('/').unwrap_or(directory)));
        self.view.has_directory(directory)
    }

    /// Returns every path and value. Only for messages: a render that fails leaves no reads.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.view.iter()
    }

    pub(super) fn covers(&self, path: &str) -> bool {
        self.view.covers(path)
    }

    pub(super) fn item(&self) -> Option<&Arc<str>> {
        self.view.item()
    }

    fn note(&self, add: impl FnOnce(&mut Reads) -> bool) {
        let mut reads = self.reads.borrow_mut();
        if !reads.everything && add(&mut reads) {
            reads.limit();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::key::{Key, Revision};
    use crate::model::range::KeyRanges;
    use crate::model::resource::{Engine, Escape};
    use crate::model::tree::Tree;
    use crate::render::facts::NoWorld;
    use crate::render::{Memory, Root, TemplateSources, compile};

    fn window() -> Window {
        let keys = ["/a/x", "/a/y/z", "/b", "/c/d"].map(|key| (Key::from(key), Value::from("v")));
        let tree = Tree::from_entries(Revision(1), keys);
        Window::new(View::new(tree, Arc::from(""), KeyRanges::of_directories(["/"])))
    }

    fn check(look: impl FnOnce(&Window), concerned: &[&str], others: &[&str]) {
        let window = window();
        look(&window);
        let reads = window.reads();
        for path in concerned {
            assert!(reads.depend_on(path), "{path} of {reads:?}");
        }
        for path in others {
            assert!(!reads.depend_on(path), "{path} of {reads:?}");
        }
    }

    #[test]
    fn what_was_looked_at_is_known() {
        check(|_| (), &[], &["/a", "/"]);
        check(|w| _ = w.get("/b"), &["/b"], &["/b/c", "/bb", "/a/x"]);
        check(|w| _ = w.get("/new"), &["/new"], &["/b"]);
        check(|w| drop(w.matching("/a/*", &mut |_| true)), &["/a/x", "/a/new"], &["/b", "/ab"]);
        check(|w| drop(w.matching("/a/x", &mut |_| true)), &["/a/x"], &["/a/y"]);
        check(|w| drop(w.matching("/a/x*", &mut |_| true)), &["/a/x1"], &["/a/y"]);
        check(|w| drop(w.children("/a")), &["/a/new", "/a/y/z"], &["/a", "/b"]);
        check(|w| drop(w.children("/a/")), &["/a/new/deep"], &["/b"]);
        check(|w| drop(w.children("/")), &["/a", "b"], &[]);
        check(|w| _ = w.has_directory("/c"), &["/c/e"], &["/c", "/cc"]);
        check(|w| w.note_below("/a/"), &["/a/x"], &["/b"]);
        check(Window::leave, &["/anything"], &[]);
    }

    fn places(count: usize) -> Reads {
        let window = window();
        (0..count).for_each(|n| _ = window.get(&format!("/n/{n}")));
        window.reads()
    }

    #[test]
    fn too_many_places_are_everything() {
        check(|w| (0..=MAX_PLACES).for_each(|n| _ = w.get(&format!("/n/{n}"))), &["/other"], &[]);
        check(|w| (0..3).for_each(|_| w.note_all(&places(MAX_PLACES / 2))), &["/n/0"], &["/other"]);
        check(|w| (0..3).for_each(|n| w.note_all(&places(MAX_PLACES * n))), &["/other"], &[]);
        check(|w| (0..2 * MAX_PLACES).for_each(|_| _ = w.get("/b")), &["/b"], &["/other"]);
    }

    /// Every function that asks the store, in both engines. A change that the reads pass over must not change the output.
    #[test]
    fn a_change_that_does_not_concern_a_render_does_not_change_it() {
        let tera = [
            "{{ getv(key=\"/a/x\") }}",
            "{{ getv(key=\"/new\", default=\"-\") }}",
            "{% set p = get(key=\"/b\") %}{{ p.value }}",
            "{% for p in gets(pattern=\"/a/*\") %}{{ p.key }}={{ p.value }}{% endfor %}",
            "{{ getvs(pattern=\"/many/*\") | join(sep=\" \") }}",
            "{% for n in ls(dir=\"/\") %}{{ n }}{% endfor %}{% for n in lsdir(dir=\"/c\") %}{{ n }}{% endfor %}",
            "{{ exists(key=\"/c\") }}{{ exists(key=\"/c/d\") }}{{ exists(key=\"/nothing\") }}",
            "{% for b in backends(prefix=\"/up\") %}{{ b.address }} {% endfor %}",
            "{{ getv(key=getv(key=\"/b\"), default=\"-\") }}",
        ];
        let go = [
            "{{getv \"/a/x\"}}",
            "{{getv \"/new\" \"-\"}}",
            "{{(get \"/b\").Value}}",
            "{{range gets \"/a/*\"}}{{.Key}}={{.Value}}{{end}}",
            "{{getvs \"/many/*\"}}",
            "{{ls \"/\"}}{{lsdir \"/c\"}}{{ls \"/b\"}}",
            "{{exists \"/c\"}}{{exists \"/c/d\"}}{{exists \"/nothing\"}}",
            "{{getv (getv \"/b\") \"-\"}}",
        ];
        let many = (0..80).map(|n| format!("/many/{n:02}"));
        let fixed = ["/a/x", "/a/y/z", "/b", "/c/d/e", "/up/1", "/up/sub/2"].map(str::to_owned);
        let keys: Vec<String> = many.chain(fixed).collect();
        let more = ["/new", "/a/new", "/c/new/x", "/nothing/x", "/up/3", "/many/new", "/root", "/10.0.0.1:80", "/a"];
        let value = |text: &str| crate::model::key::Value::from(text);
        let tree =
            || Tree::from_entries(Revision(1), keys.iter().map(|key| (Key::from(key.as_str()), value("10.0.0.1:80"))));
        let (mut skipped, mut rendered) = (0, 0);
        for (engine, template) in tera.map(|t| (Engine::Tera, t)).into_iter().chain(go.map(|t| (Engine::Go, t))) {
            let root = Root::new("t", engine, Escape::None);
            let sources = TemplateSources::from([("t".to_owned(), Arc::from(template))]);
            let (renderer, problems) = compile(&sources, &[root], Arc::new(NoWorld));
            assert_eq!(problems, [], "{template}");
            let render = |tree: &Tree, memory: &mut Memory| {
                let view = View::new(tree.clone(), Arc::from(""), KeyRanges::of_directories(["/"]));
                let view = view.with_item(Some(Arc::from("item")));
                let rendering = renderer.render(root, &view, memory);
                (rendering.result.map(|bytes| String::from_utf8(bytes).unwrap()).ok(), rendering.reads)
            };
            for key in keys.iter().map(String::as_str).chain(more) {
                for change in [Some("10.0.0.2:80"), Some("/a/x"), None] {
                    let (mut tree, mut memory) = (tree(), Memory::default());
                    // Twice: the second time from what the first has left.
                    let (before, _) = render(&tree, &mut memory);
                    let (again, reads) = render(&tree, &mut memory);
                    assert_eq!(again, before, "{template}");
                    let puts = change.map(|text| (Key::from(key), value(text)));
                    let gone = change.is_none().then(|| Key::from(key));
                    tree.advance(Revision(2), puts, gone);
                    if reads.depend_on(key) {
                        rendered += 1;
                    } else {
                        skipped += 1;
                        assert_eq!(
                            render(&tree, &mut Memory::default()).0,
                            before,
                            "{template} after {key}: {change:?}"
                        );
                    }
                }
            }
        }
        assert!(skipped > rendered && rendered > 100, "{skipped} {rendered}");
    }
}
