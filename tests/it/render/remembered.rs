//! The memory of a resource's last render never shows in the bytes.

use std::sync::Arc;

use proptest::prelude::*;
use upstreamd::model::endpoints::{NameForm, ServersForm};
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
            let forgetting = renderer.render(Root::tera("t", Escape::None), &view, &mut Memory::default());
            prop_assert_eq!(remembering.result, forgetting.result);
        }
    }
}

const BACKENDS: &str = "{% for b in backends(prefix=\"/s\", max=90) %}{{ b.name }} {{ b.key }} {{ b.address }} {{ b.weight }} \
    {{ b.backup }} {{ b.down }} {{ b.meta.tags | default(value=\"-\") }}\n{% endfor %}\
    {{ backends(prefix=\"/s\", subfolders=false, draining=true) | length }} {{ backends(prefix=\"/s/t\") | length }}\n\
    {{ servers(prefix=\"/s\", max=90) }}";
const GO_SERVERS: &str = "{{servers \"/s\" \"max\" 90}}{{servers \"/s/t\"}}";

/// A key of a folder that holds backends of every layout, several keys with one address, and keys that are no backends.
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
        let sources = TemplateSources::from_iter(sources.into_iter().chain([("g".to_owned(), Arc::from(GO_SERVERS))]));
        let names = NameForm { resolvers: vec!["127.0.0.1:53".to_owned()], standby: Some("/s/".to_owned()), owner: "t".to_owned() };
        let names = ServersForm::Names(Arc::new(names));
        let with_names = |root| Root { servers: &names, ..root };
        let (tera, go) = (Root::tera("t", Escape::None), Root::go("g", Escape::None));
        let roots = [tera, go, with_names(tera), with_names(go)];
        let (renderer, problems) = compile(&sources, &roots, Arc::new(FixedFacts));
        prop_assert_eq!(problems, []);
        let entries = start.iter().enumerate().map(|(index, value)| (backend_key(index), backend_value(*value)));
        let mut tree = Tree::from_entries(Revision(1), entries);
        let mut memories = roots.map(|_| Memory::default());
        for (round, step) in steps.into_iter().enumerate() {
            let view = View::new(tree.clone(), Arc::from(""), KeyRanges::of_directories(["/s", "/elsewhere"]));
            for (root, memory) in roots.into_iter().zip(&mut memories) {
                let remembering = renderer.render(root, &view, memory);
                let forgetting = renderer.render(root, &view, &mut Memory::default());
                prop_assert_eq!(remembering.result, forgetting.result);
                prop_assert_eq!(remembering.skipped, forgetting.skipped);
                prop_assert_eq!(remembering.tally, forgetting.tally);
                prop_assert_eq!(remembering.endpoints, forgetting.endpoints);
                prop_assert_eq!(remembering.listed.backends(), forgetting.listed.backends());
            }
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

/// Loops of every kind, over lists that change: each is printed in pieces if possible.
const LOOPS: &[&str] = &[
    "{% for p in gets(pattern=\"/s/*\") %}{{ p.key }}={{ p.value }} {% endfor %}",
    "a {%- for v in getvs(pattern=\"/s/*\") -%} \n {{ v }} \n {%- else -%} none {%- endfor -%} b",
    "a\n{% for v in getvs(pattern=\"/s/k1*\") %}\n{{ v }}\n{% else %}\nnone\n{% endfor %}\nb",
    "{% for n in ls(dir=\"/s\") %}{{ n }}: {% for v in getvs(pattern=\"/s/\" ~ n ~ \"/*\") %}{{ loop.index }} {{ v }}, \
     {% else %}-{% endfor %}{{ getv(key=\"/s/\" ~ n, default=\"none\") }}\n{% endfor %}",
    "{% for p in gets(pattern=\"/s/*\") %}{% set name = p.key | base %}{% if name is starting_with(pat=\"k1\") %}\
     {{ name | upper }}{% elif exists(key=\"/more\") %}{{ getv(key=\"/more\") }}{% else %}.{% endif %}{% endfor %}",
    "{% set other = getv(key=\"/more\", default=\"x\") %}{% for n in ls(dir=\"/s\") | reverse %}{{ n }}{% endfor %}{{ other }}\
     {% for n in ls(dir=\"/s\") %}{{ n }}{{ other }}{% endfor %}",
    "{% for p in [x.value for x in gets(pattern=\"/s/k*\") if x.value != \"v3\"] %}{{ [y for y in [p, p]] }}{% endfor %}",
    "{% for p in gets(pattern=\"/s/*\") %}{{ loop.index }}{% if loop.last %}.{% endif %}{% endfor %}",
    "{% for p in gets(pattern=\"/s/k1*\") %}{% if p.value == \"v1\" %}{% set seen = 1 %}{% endif %}{{ seen | default(value=0) }}\
     {% endfor %}{% set_global seen = 5 %}{% for p in gets(pattern=\"/s/k2*\") %}{% if p.value == \"v2\" %}{% break %}\
     {% endif %}{{ p.key }}{{ seen }}{% endfor %}",
    "{% for n in range(end=70) %}{{ getv(key=\"/s/k\" ~ n, default=\"-\") }} {% endfor %}{% for c in \"abc\" %}{{ c }}{% endfor %}",
    "{% for k, v in {\"a\": getvs(pattern=\"/s/*\")} %}{{ k }}{% for one in v %}{{ one }}{% endfor %}{% endfor %}",
    "{% set text %}{% for v in getvs(pattern=\"/s/*\") %}{{ v }},{% endfor %}{% endset %}{{ text | upper }}\
     {% filter upper %}{% for v in getvs(pattern=\"/s/k1*\") %}{{ v }},{% endfor %}{% endfilter %}",
    "{% for b in backends(prefix=\"/s\") %}{{ b.name }} {{ b.address }}\n{% else %}no backend{% endfor %}",
    "{% for v in getvs(pattern=\"/s/*\") %}{{ v }}{% else %}{% set empty = 1 %}{% endfor %}{{ empty | default(value=0) }}",
    "{% for v in getvs(pattern=\"/s/*\") %}{{ v | nginx_string }}{{ v }}{% endfor %}",
    "{% for n in [1, 2.5, true, none, [1], {\"a\": 2}, -0.0, \"x\"] %}{{ n }}{{ getv(key=\"/more\", default=\"\") }}{% endfor %}",
    "{% for n in nothing %}{{ n }}{% endfor %}",
    "{% for n in gets(pattern=nothing) %}{{ n }}{% endfor %}",
    "{% for n in getvs(pattern=5) %}{{ n }}{% endfor %}",
    "{% set p = \"/s/k\" %}{% for n in getvs(pattern=p ~ getv(key=\"/more\", default=\"\") ~ \"*\") %}{{ n }}{% endfor %}",
    "{% for n in ls(dir=\"/s\") %}{{ getv(key=\"/s/\" ~ n) }}{% endfor %}",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 30, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn loops_are_the_same_in_pieces_and_as_written(
        steps in proptest::collection::vec(proptest::collection::vec(step(), 0..4), 1..12),
        escape in prop_oneof![Just(Escape::None), Just(Escape::Nginx)],
    ) {
        // A template that defines a component is rendered as it is written.
        let plain = |template: &str| format!("{template}{{% component unused() %}}{{% endcomponent %}}");
        for template in LOOPS {
            let root = Root::tera("t", escape);
            let renderer = |text: &str| {
                compile(&TemplateSources::from([("t".to_owned(), Arc::from(text))]), &[root], Arc::new(FixedFacts))
            };
            let ((pieces, problems), (whole, others)) = (renderer(template), renderer(&plain(template)));
            prop_assert_eq!(&problems, &[], "{}", template);
            prop_assert_eq!(&others, &[], "{}", template);
            let value = |index: usize| Value::from(if index == 19 { "10.0.0.1;".to_owned() } else { format!("v{index}") }.as_str());
            let key = |index: usize| if index % 9 == 2 { Key::from(format!("/s/d{}/{index}", index % 5).as_str()) } else { key(index) };
            let mut tree = Tree::from_entries(Revision(1), (2..150).map(|index| (key(index), value(index % 7))));
            let mut memory = Memory::default();
            for (round, steps) in steps.iter().enumerate() {
                let revision = Revision(i64::try_from(round).unwrap() + 2);
                for step in steps {
                    match *step {
                        Step::Put(index, text) => tree.advance(revision, [(key(index), value(text))], []),
                        Step::Binary(index) => tree.advance(revision, [(key(index), Value::from_bytes(&[0xff]))], []),
                        Step::Delete(index) => tree.advance(revision, [], [key(index)]),
                        Step::Burst(text) => tree.advance(revision, (2..120).map(|index| (key(index), value((text + index) % 19))), []),
                        Step::Elsewhere => tree.advance(revision, [], (2..200).map(key)),
                    };
                }
                let view = View::new(tree.clone(), Arc::from(""), KeyRanges::of_directories(["/"]));
                let in_pieces = pieces.render(root, &view, &mut memory);
                let as_written = whole.render(root, &view, &mut Memory::default());
                prop_assert_eq!(in_pieces.result, as_written.result, "{}", template);
                prop_assert_eq!(in_pieces.skipped, as_written.skipped);
                prop_assert_eq!(in_pieces.tally, as_written.tally);
            }
        }
    }
}

/// No name that a file can have is taken by a loop.
#[test]
fn a_template_may_be_called_like_a_loop() {
    let loops = "{% include \"__each 1\" %}{% for x in [\"q\"] %}{{ x }}{% endfor %}";
    let texts = [("t", loops), ("__each 1", "one "), ("1 __each", "two "), ("t __each", "three ")];
    let sources: TemplateSources = texts.map(|(name, text)| (name.to_owned(), Arc::from(text))).into();
    let (renderer, problems) = compile(&sources, &[Root::tera("t", Escape::None)], Arc::new(FixedFacts));
    assert_eq!(problems, []);
    let mut memory = Memory::default();
    for _ in 0..3 {
        assert_eq!(
            renderer.render(Root::tera("t", Escape::None), &View::default(), &mut memory).result.unwrap(),
            b"one q"
        );
    }
}

#[test]
fn a_loop_that_prints_too_much_to_be_kept_prints_the_same() {
    let template = "{% for p in gets(pattern=\"/s/*\") %}{{ p.value }}{% endfor %}";
    let root = Root::tera("t", Escape::None);
    let sources = TemplateSources::from([("t".to_owned(), Arc::from(template))]);
    let (renderer, _) = compile(&sources, &[root], Arc::new(FixedFacts));
    let mut tree = Tree::from_entries(
        Revision(1),
        (2..12).map(|index| (key(index), Value::from(index.to_string().repeat(1 << 20).as_str()))),
    );
    let mut memory = Memory::default();
    for round in 2..5 {
        let view = View::new(tree.clone(), Arc::from(""), KeyRanges::of_directories(["/"]));
        let bytes = renderer.render(root, &view, &mut memory).result.unwrap();
        assert!(bytes.len() > 8 << 20);
        assert!(bytes == renderer.render(root, &view, &mut Memory::default()).result.unwrap());
        tree.advance(Revision(round), [(key(5), Value::from("small"))], []);
    }
}
