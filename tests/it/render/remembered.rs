//! What a resource remembers of its last render never shows in the bytes.

use std::sync::Arc;

use proptest::prelude::*;
use upstreamd::model::key::{Key, Revision, Value};
use upstreamd::model::range::KeyRanges;
use upstreamd::model::resource::Escape;
use upstreamd::model::tree::Tree;
use upstreamd::model::view::View;
use upstreamd::render::{Memory, Root, TemplateSources, compile};

use super::facts::FixedFacts;

const TEMPLATE: &str = "{% for p in gets(pattern=\"/s/*\") %}{{ p.key }}={{ p.value }} {% endfor %}\n\
    {{ getvs(pattern=\"/s/*\") }}\n{{ gets(pattern=\"/s/k[0-4]*\") | length }}\n\
    {% if exists(key=\"/more\") %}{{ getvs(pattern=\"/s/k1*\") }}{% endif %}";

/// One step in the life of a store.
#[derive(Clone, Debug)]
enum Step {
    Put(usize, usize),
    Binary(usize),
    Delete(usize),
    /// Many at once: more than is followed one by one.
    Burst(usize),
    /// The resource looks at other keys.
    Elsewhere,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0..200_usize, 0..20_usize).prop_map(|(key, value)| Step::Put(key, value)),
        3 => (0..200_usize).prop_map(Step::Delete),
        1 => (0..200_usize).prop_map(Step::Binary),
        1 => (0..20_usize).prop_map(Step::Burst),
        1 => Just(Step::Elsewhere),
    ]
}

fn key(index: usize) -> Key {
    match index {
        0 => Key::from("/more"),
        1 => Key::from("/s/below/too"),
        index => Key::from(format!("/s/k{index}").as_str()),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn with_and_without_memory_the_bytes_are_the_same(steps in proptest::collection::vec(step(), 1..40)) {
        let sources = TemplateSources::from([("t".to_owned(), Arc::from(TEMPLATE))]);
        let (renderer, _) = compile(&sources, &[Root::tera("t", Escape::None)], Arc::new(FixedFacts));
        let value = |index: usize| Value::from(format!("v{index}").as_str());
        let mut tree = Tree::from_entries(Revision(1), (2..150).map(|index| (key(index), value(index % 7))));
        let mut ranges = KeyRanges::of_directories(["/"]);
        let mut memory = Memory::default();
        for (round, step) in steps.into_iter().enumerate() {
            let revision = Revision(i64::try_from(round).unwrap() + 2);
            match step {
                Step::Put(index, text) => tree.advance(revision, [(key(index), value(text))], []),
                Step::Binary(index) => tree.advance(revision, [(key(index), Value::from_bytes(&[0xff]))], []),
                Step::Delete(index) => tree.advance(revision, [], [key(index)]),
                Step::Burst(text) => tree.advance(revision, (2..120).map(|index| (key(index), value(text + index))), []),
                Step::Elsewhere => {
                    ranges = KeyRanges::of_directories(if ranges.len() == 1 { ["/s", "/more"] } else { ["/", "/"] });
                    Vec::new()
                }
            };
            let view = View::new(tree.clone(), Arc::from(""), ranges.clone());
            let remembering = renderer.render(Root::tera("t", Escape::None), &view, &mut memory);
            prop_assert_eq!(remembering, renderer.render(Root::tera("t", Escape::None), &view, &mut Memory::default()));
        }
    }
}

const BACKENDS: &str = "{% for b in backends(prefix=\"/s\", max=90) %}{{ b.name }} {{ b.key }} {{ b.address }} {{ b.weight }} \
    {{ b.backup }} {{ b.down }} {{ b.meta.tags | default(value=\"-\") }}\n{% endfor %}\
    {{ backends(prefix=\"/s\", subfolders=false, draining=true) | length }} {{ backends(prefix=\"/s/t\") | length }}";

/// A key of a folder that holds backends of every layout, neighbours of one address, and keys that are none.
fn backend_key(index: usize) -> Key {
    let settings = ["url", "weight", "tags"];
    match index {
        0..9 => Key::from(format!("/s/t{}/{}", index / 3, settings[index % 3]).as_str()),
        9 => Key::from("/s/url"),
        10 => Key::from("/elsewhere"),
        11..14 => Key::from(format!("/s/t/{}", settings[index - 11]).as_str()),
        _ => Key::from(format!("/s/k{index}").as_str()),
    }
}

fn backend_value(index: usize) -> Value {
    let (nth, port) = (index % 40, 80 + index % 3);
    Value::from(
        match index % 11 {
            0 => format!("{{\"host\":\"10.0.0.{nth}\",\"port\":{port},\"weight\":7}}"),
            1 => format!("{{\"port\":{port},\"priority\":{},\"host\":\"10.0.0.{nth}\"}}", 5 + index % 9),
            2 => format!("{{\"host\":\"10.0.0.{nth}\",\"port\":{port},\"state\":\"down\"}}"),
            3 => format!("{{\"host\":\"10.0.0.{nth}\",\"port\":{port},\"state\":\"draining\"}}"),
            4 => "5".to_owned(),
            5 => "no address".to_owned(),
            6 | 7 => format!("http://10.0.0.{nth}:{port}"),
            _ => format!("10.0.0.{nth}:{port}"),
        }
        .as_str(),
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn backends_are_the_same_with_and_without_memory(
        start in proptest::collection::vec(0..1000_usize, 200),
        steps in proptest::collection::vec(proptest::collection::vec((0..220_usize, proptest::option::weighted(0.7, 0..1000_usize)), 1..30), 1..12),
    ) {
        let sources = TemplateSources::from([("t".to_owned(), Arc::from(BACKENDS))]);
        let (renderer, problems) = compile(&sources, &[Root::tera("t", Escape::None)], Arc::new(FixedFacts));
        prop_assert_eq!(problems, []);
        let entries = start.iter().enumerate().map(|(index, value)| (backend_key(index), backend_value(*value)));
        let mut tree = Tree::from_entries(Revision(1), entries);
        let mut memory = Memory::default();
        for (round, step) in steps.into_iter().enumerate() {
            let view = View::new(tree.clone(), Arc::from(""), KeyRanges::of_directories(["/s", "/elsewhere"]));
            let mut fresh = Memory::default();
            let remembering = renderer.render(Root::tera("t", Escape::None), &view, &mut memory);
            prop_assert_eq!(remembering, renderer.render(Root::tera("t", Escape::None), &view, &mut fresh));
            prop_assert_eq!(memory.keys_set_aside(), fresh.keys_set_aside());
            prop_assert_eq!(memory.tally(), fresh.tally());
            for (index, value) in step {
                let revision = Revision(i64::try_from(round).unwrap() + 2);
                match value {
                    Some(value) => tree.advance(revision, [(backend_key(index), backend_value(value))], []),
                    None => tree.advance(revision, [], [backend_key(index)]),
                };
            }
        }
    }
}
