//! A broken template fails only the templates that use it.

use std::sync::Arc;

use upstreamd::model::key::{Key, Revision, Value};
use upstreamd::model::range::KeyRanges;
use upstreamd::model::resource::Escape::{self, Nginx, None as Plain};
use upstreamd::model::tree::Tree;
use upstreamd::model::view::View;
use upstreamd::render::{Memory, Renderer, Root, TemplateSources, compile};

use super::facts::FixedFacts;

fn view(keys: &[(&str, &str)]) -> View {
    let entries = keys.iter().map(|(key, value)| (Key::from(*key), Value::from(*value)));
    View::new(Tree::from_entries(Revision(1), entries), Arc::from(""), KeyRanges::of_directories([""]))
}

fn sources(texts: &[(&str, &str)]) -> TemplateSources {
    texts.iter().map(|(name, text)| ((*name).to_owned(), Arc::from(*text))).collect()
}

/// Tera templates, as roots.
fn tera<'a>(roots: &[(&'a str, Escape)]) -> Vec<Root<'a>> {
    roots.iter().map(|(name, escape)| Root::tera(name, *escape)).collect()
}

/// Compiles, checks which roots fail with which first line, and gives the renderer.
#[track_caller]
fn check(texts: &[(&str, &str)], roots: &[(&str, Escape)], failing: &[(usize, &str)]) -> Renderer {
    let (renderer, problems) = compile(&sources(texts), &tera(roots), Arc::new(FixedFacts));
    let found: Vec<(usize, String)> = problems.iter().map(|(index, problem)| (*index, problem.to_string())).collect();
    let expected: Vec<(usize, String)> = failing.iter().map(|(index, text)| (*index, (*text).to_owned())).collect();
    assert_eq!(found, expected);
    for (index, (root, escape)) in roots.iter().enumerate() {
        let rendered =
            renderer.render(Root::tera(root, *escape), &view(&[("/v", "a b")]), &mut Memory::default()).result;
        if failing.iter().any(|(failed, _)| *failed == index) {
            assert!(rendered.is_err(), "{root} did not compile, but renders");
        } else if *escape == Plain {
            assert!(rendered.is_ok(), "{root}: {rendered:?}");
        }
    }
    renderer
}

#[track_caller]
fn output(renderer: &Renderer, root: &str) -> String {
    String::from_utf8(renderer.render(Root::tera(root, Plain), &view(&[]), &mut Memory::default()).result.unwrap())
        .unwrap()
}

#[test]
fn a_broken_include_fails_its_users_however_far_away() {
    check(
        &[
            ("good", "fine"),
            ("direct", "{% include \"broken\" %}"),
            ("far", "{% include \"direct\" %}"),
            ("child", "{% extends \"base\" %}{% block b %}x{% endblock %}"),
            ("base", "{% block b %}{% endblock %}{% include \"broken\" %}"),
            ("caller", "{{ <box/> }}"),
            ("parts", "{% component box() %}{% include \"broken\" %}{% endcomponent %}"),
            ("broken", "ok\n{{ nope() }}"),
        ],
        &[("good", Plain), ("direct", Plain), ("far", Plain), ("child", Plain), ("caller", Plain), ("good", Nginx)],
        &[
            (1, "broken:2:4: unknown function `nope`"),
            (2, "broken:2:4: unknown function `nope`"),
            (3, "broken:2:4: unknown function `nope`"),
            (4, "broken:2:4: unknown function `nope`"),
        ],
    );
}

#[test]
fn templates_that_nothing_reaches_do_not_matter() {
    let renderer = check(
        &[
            ("main", "{# {% include \"go.tmpl\" %} #}fine"),
            ("go.tmpl", "{{range gets \"/a\"}}{{.Value}}{{end}}"),
            ("b", "{{"),
        ],
        &[("main", Plain)],
        &[],
    );
    assert_eq!(output(&renderer, "main"), "fine");
}

#[test]
fn two_resources_may_each_have_a_component_of_one_name() {
    let texts = [
        ("a", "{% component box() %}of a{% endcomponent %}{{ <box/> }}"),
        ("b", "{% component box() %}of b{% endcomponent %}{{ <box/> }}"),
        ("c", "plain"),
    ];
    let renderer = check(&texts, &[("a", Plain), ("b", Plain), ("c", Plain)], &[]);
    assert_eq!([output(&renderer, "a"), output(&renderer, "b")], ["of a", "of b"]);
}

#[test]
fn one_template_may_be_a_root_in_both_modes_and_several_times() {
    let (renderer, problems) = compile(
        &sources(&[("t", "{{ getv(key=\"/v\") }}")]),
        &tera(&[("t", Nginx), ("t", Plain), ("t", Nginx)]),
        Arc::new(FixedFacts),
    );
    assert_eq!(problems, []);
    let view = view(&[("/v", "a b")]);
    assert_eq!(renderer.render(Root::tera("t", Plain), &view, &mut Memory::default()).result.unwrap(), b"a b");
    assert!(renderer.render(Root::tera("t", Nginx), &view, &mut Memory::default()).result.is_err());
}

#[test]
fn a_missing_root_is_reported_with_its_neighbour() {
    let (_, problems) =
        compile(&sources(&[("site.conf", "x")]), &[Root::tera("sites.conf", Plain)], Arc::new(FixedFacts));
    let (0, problem) = &problems[0] else { panic!("{problems:?}") };
    assert_eq!(problem.to_string(), "sites.conf: there is no such template\n  hint: did you mean `site.conf`?");
}

#[test]
fn nesting_that_could_exhaust_the_stack_is_refused() {
    let chain = |levels: usize| -> TemplateSources {
        let include = |level: usize| format!("{{% block a %}}{{% include \"t{}\" %}}{{% endblock %}}", level + 1);
        let text = |level: usize| if level + 1 < levels { include(level) } else { "end".to_owned() };
        (0..levels).map(|level| (format!("t{level}"), Arc::from(text(level)))).collect()
    };
    let (renderer, problems) = compile(&chain(8), &[Root::tera("t0", Plain)], Arc::new(FixedFacts));
    assert_eq!(problems, []);
    assert_eq!(output(&renderer, "t0"), "end");
    for levels in [9, 5_000] {
        let (_, problems) = compile(&chain(levels), &[Root::tera("t0", Plain)], Arc::new(FixedFacts));
        let texts: Vec<String> = problems.iter().map(|(_, problem)| problem.to_string()).collect();
        assert_eq!(texts, ["t0: nests more than 16 levels of include, block and component"]);
    }
}

#[test]
fn conditions_that_could_exhaust_the_stack_are_refused() {
    let chain = |elifs: usize| -> TemplateSources {
        let text = format!("{{% if 0 %}}a{}{{% else %}}end{{% endif %}}", "{% elif 0 %}b".repeat(elifs));
        [("good".to_owned(), Arc::from("good")), ("t".to_owned(), Arc::from(text))].into()
    };
    let roots = [Root::tera("good", Plain), Root::tera("t", Plain)];
    let (renderer, problems) = compile(&chain(100), &roots, Arc::new(FixedFacts));
    assert_eq!((problems, output(&renderer, "t")), (Vec::new(), "end".to_owned()));
    for elifs in [200, 50_000] {
        let (renderer, problems) = compile(&chain(elifs), &roots, Arc::new(FixedFacts));
        let texts: Vec<String> = problems.iter().map(|(_, problem)| problem.to_string()).collect();
        let hint = "each `elif` is within the condition before it; end the `if` now and then, and begin a new one";
        assert_eq!(texts, [format!("t: nests more than 200 conditions\n  hint: {hint}")]);
        assert_eq!(output(&renderer, "good"), "good");
    }
}

#[test]
fn every_problem_of_every_root_is_listed() {
    check(
        &[("a", "{{ one() }}{{ two() }}"), ("b", "{% if %}"), ("c", "x")],
        &[("a", Plain), ("b", Plain), ("c", Plain), ("a", Plain)],
        &[
            (0, "a:1:4: unknown function `one`"),
            (0, "a:1:15: unknown function `two`"),
            (1, "b:1:7: found `%}` but expected an expression"),
            (3, "a:1:4: unknown function `one`"),
            (3, "a:1:15: unknown function `two`"),
        ],
    );
}

#[test]
fn a_failed_render_leaves_nothing_behind_and_threads_do_not_meet() {
    let (renderer, problems) =
        compile(&sources(&[("t", "{{ getv(key=\"/v\") }}")]), &[Root::tera("t", Plain)], Arc::new(FixedFacts));
    assert_eq!(problems, []);
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let renderer = &renderer;
            scope.spawn(move || {
                let mut memory = Memory::default();
                for round in 0..200 {
                    let value = format!("{thread}-{round}");
                    let rendered =
                        renderer.render(Root::tera("t", Plain), &view(&[("/v", &value)]), &mut memory).result;
                    assert_eq!(rendered.unwrap(), value.as_bytes());
                    assert!(renderer.render(Root::tera("t", Plain), &view(&[]), &mut memory).result.is_err());
                }
            });
        }
    });
}
