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
