//! `servers` in both languages and both forms: the same text, the same endpoints, the same counts.

use std::sync::Arc;

use upstreamd::model::endpoints::{NameForm, ServersForm};
use upstreamd::model::key::{Key, Revision, Value};
use upstreamd::model::range::KeyRanges;
use upstreamd::model::resource::Escape;
use upstreamd::model::tree::Tree;
use upstreamd::model::view::View;
use upstreamd::render::{Memory, Rendering, Root, TemplateSources, compile};

use super::facts::FixedFacts;

const KEYS: &[(&str, &str)] = &[
    ("/s/web/a", "10.0.0.1:80"),
    ("/s/web/b", "{\"host\": \"10.0.0.2\", \"port\": 80, \"weight\": 7, \"max_conns\": 9}"),
    ("/s/web/c", "10.0.0.3:80; } server { listen 1;"),
    ("/s/web/d", "{\"host\": \"10.0.0.4\", \"port\": 80, \"backup\": true}"),
    ("/s/web/e", "{\"host\": \"10.0.0.5\", \"port\": 80, \"state\": \"draining\"}"),
    ("/s/web/f", "{\"host\": \"10.0.0.6\", \"port\": 80, \"down\": true}"),
    ("/s/web/g", "app.example:80"),
    ("/s/api/a", "10.0.1.1:80"),
];

fn view(keys: &[(&str, &str)]) -> View {
    let entries = keys.iter().map(|(key, value)| (Key::from(*key), Value::from(*value)));
    View::new(Tree::from_entries(Revision(1), entries), Arc::from(""), KeyRanges::of_directories(["/s"]))
}

fn forms() -> [ServersForm; 2] {
    let (resolvers, standby) = (vec!["127.0.0.1:53".to_owned()], "/run/peers/".to_owned());
    [
        ServersForm::Lines,
        ServersForm::Names(Arc::new(NameForm { resolvers, standby: Some(standby), owner: "web".to_owned() })),
    ]
}

/// Renders a Go template and a Tera template, and compares all that comes out of them. `placeholder` withholds the backends.
#[track_caller]
fn both(go: &str, tera: &str, form: &ServersForm, view: &View, placeholder: bool) -> Rendering {
    let sources = [("go", go), ("tera", tera)].map(|(name, text)| (name.to_owned(), Arc::from(text)));
    let roots = [Root::go("go", Escape::Nginx), Root::tera("tera", Escape::Nginx)];
    let roots = roots.map(|root| Root { servers: form, ..root });
    let (renderer, problems) = compile(&TemplateSources::from(sources), &roots, Arc::new(FixedFacts));
    assert_eq!(problems, [], "{tera}");
    assert!(roots.iter().all(|root| renderer.asks_for_backends(*root)));
    let [go, tera] = roots.map(|root| match placeholder {
        true => renderer.render_placeholder(root, view, &mut Memory::default()),
        false => renderer.render(root, view, &mut Memory::default()),
    });
    assert_eq!(go.result, tera.result);
    assert_eq!(go.endpoints, tera.endpoints);
    assert_eq!(go.tally, tera.tally);
    assert_eq!(go.skipped, tera.skipped);
    assert_eq!(go.listed.backends(), tera.listed.backends());
    assert_eq!(go.reads, tera.reads);
    tera
}

fn text(rendering: &Rendering) -> String {
    String::from_utf8(rendering.result.clone().unwrap()).unwrap()
}

const OPTIONS: &str = "{{servers \"/s/web\" \"hostnames\" true \"draining\" true \"max_fails\" 2 \"group\" \"blue\" \"port\" 8080 \
    \"subfolders\" (list \"x\")}}";
const OPTIONS_TERA: &str = "{{ servers(prefix=\"/s/web\", hostnames=true, draining=true, max_fails=2, group=\"blue\", port=8080, \
    subfolders=[\"x\"]) }}";

#[test]
fn both_languages_print_the_same_lines() {
    let [lines, _] = &forms();
    let rendering = both(OPTIONS, OPTIONS_TERA, lines, &view(KEYS), false);
    let expected = "server 10.0.0.1:80 max_fails=2 fail_timeout=10s;
    server 10.0.0.2:80 weight=7 max_fails=2 fail_timeout=10s max_conns=9;
    server 10.0.0.4:80 max_fails=2 fail_timeout=10s backup;
    server 10.0.0.5:80 max_fails=2 fail_timeout=10s down;
    server 10.0.0.6:80 max_fails=2 fail_timeout=10s down;
    server app.example:80 max_fails=2 fail_timeout=10s;";
    assert_eq!(text(&rendering).replace(" weight=100", ""), expected);
    assert_eq!(rendering.endpoints, []);
    let tally = rendering.tally.unwrap();
    assert_eq!((tally.keys, tally.backends, tally.skipped), (7, 6, 1));
    assert_eq!(rendering.skipped.iter().map(|(key, _)| key.as_str()).collect::<Vec<_>>(), ["/s/web/c"]);
    let empty = both(OPTIONS, OPTIONS_TERA, lines, &view(&[]), false);
    assert_eq!(text(&empty), "server 127.0.0.1:1 down; # nginx accepts no upstream without a server");
}

/// The loop that templates have without the function.
const LOOP: &str = "
{%- for b in backends(prefix=\"/s/web\", hostnames=true, draining=true, max_fails=2) %}
    server {{ b.address }}{% if b.weight != 1 %} weight={{ b.weight }}{% endif %} max_fails={{ b.max_fails }} fail_timeout={{ b.fail_timeout }}s
{%- if b.max_conns %} max_conns={{ b.max_conns }}{% endif %}{% if b.backup %} backup{% endif %}{% if b.down %} down{% endif %};
{%- else %}
    server 127.0.0.1:1 down; # nginx accepts no upstream without a server
{%- endfor %}
";

#[test]
fn the_lines_are_those_of_a_loop() {
    let call = "\n    {{ servers(prefix=\"/s/web\", hostnames=true, draining=true, max_fails=2) }}\n";
    let root = Root::tera("t", Escape::Nginx);
    for keys in [KEYS, &KEYS[..1], &[]] {
        let [by_loop, by_call] = [LOOP, call].map(|template| {
            let sources = TemplateSources::from([("t".to_owned(), Arc::from(template))]);
            let (renderer, problems) = compile(&sources, &[root], Arc::new(FixedFacts));
            assert_eq!(problems, []);
            text(&renderer.render(root, &view(keys), &mut Memory::default()))
        });
        assert_eq!(by_call, by_loop);
    }
}

#[test]
fn both_languages_print_the_same_names() {
    let [lines, names] = &forms();
    let rendering = both(OPTIONS, OPTIONS_TERA, names, &view(KEYS), false);
    let printed = text(&rendering);
    assert!(printed.starts_with("resolver 127.0.0.1:53;\n    resolver_timeout 12s;\n    server s-web-"), "{printed}");
    let addresses = |set: &upstreamd::model::endpoints::EndpointSet| -> Vec<String> {
        assert_eq!(printed.matches(&format!("server {} service=peers resolve ", set.name)).count(), 1);
        assert_eq!(printed.matches(&format!("include /run/peers/{}.peers*;", set.name.label())).count(), 1);
        set.endpoints.iter().map(|endpoint| format!("{}*{}", endpoint.address, endpoint.weight)).collect()
    };
    let mut sets: Vec<Vec<String>> = rendering.endpoints.iter().map(addresses).collect();
    sets.sort();
    assert_eq!(sets.concat(), ["10.0.0.1:80*100", "10.0.0.2:80*7", "10.0.0.4:80*100"]);
    assert!(printed.ends_with("\n    server app.example:80 weight=100 max_fails=2 fail_timeout=10s;"), "{printed}");
    // What counts and what is said of the backends does not depend on the form.
    let in_lines = both(OPTIONS, OPTIONS_TERA, lines, &view(KEYS), false);
    assert_eq!(rendering.tally, in_lines.tally);
    assert_eq!(rendering.listed.backends(), in_lines.listed.backends());
    assert_eq!(rendering.reads, in_lines.reads);
    // Another value is another endpoint, not another file.
    let changed = [KEYS, &[("/s/web/h", "10.0.0.9:80"), ("/s/web/a", "10.0.0.8:80")]].concat();
    let changed = both(OPTIONS, OPTIONS_TERA, names, &view(&changed), false);
    assert_eq!(text(&changed), printed);
    assert_ne!(changed.endpoints, rendering.endpoints);
}

#[test]
fn the_same_call_has_the_same_names_and_another_has_others() {
    let [_, names] = &forms();
    let (go, tera) = ("{{servers \"/s/web\"}}", "{{ servers(prefix=\"/s/web\") }}");
    let once = both(go, tera, names, &view(KEYS), false);
    let twice = both(&go.repeat(2), &tera.repeat(2), names, &view(KEYS), false);
    assert_eq!(text(&twice), text(&once).repeat(2));
    assert_eq!(twice.endpoints, once.endpoints);
    assert_eq!(twice.tally, once.tally);
    let (other_go, other_tera) = ("{{servers \"/s/api/\"}}", "{{ servers(prefix=\"/s/api/\") }}");
    let more = both(&[go, other_go].concat(), &[tera, other_tera].concat(), names, &view(KEYS), false);
    assert_eq!(more.endpoints.len(), once.endpoints.len() + 1);
    assert_eq!(more.tally.unwrap().backends, once.tally.unwrap().backends + 1);
}

#[test]
fn a_placeholder_has_a_name_without_endpoints() {
    let (go, tera) = ("{{servers \"/s/web\"}}", "{{ servers(prefix=\"/s/web\") }}");
    for form in &forms() {
        let withheld = both(go, tera, form, &view(KEYS), true);
        let counted = both(go, tera, form, &view(KEYS), false);
        let empty = both(go, tera, form, &view(&[]), false);
        assert_eq!(withheld.tally, counted.tally);
        assert_eq!(text(&withheld), text(&empty));
        assert_eq!(withheld.endpoints, empty.endpoints);
        assert!(withheld.endpoints.iter().all(|set| set.endpoints.is_empty()));
        assert_eq!(withheld.endpoints.len(), usize::from(*form != ServersForm::Lines));
    }
}

/// Compiles and renders with `escape = "nginx"`; an error without its place.
fn escaped(template: &str, root: Root<'_>) -> Result<String, String> {
    let sources = TemplateSources::from([("t".to_owned(), Arc::from(template))]);
    let (renderer, problems) = compile(&sources, &[root], Arc::new(FixedFacts));
    if let Some((_, problem)) = problems.into_iter().next() {
        return Err(problem.message);
    }
    let rendering = renderer.render(root, &view(KEYS), &mut Memory::default());
    rendering.result.map(|bytes| String::from_utf8(bytes).unwrap()).map_err(|problem| problem.message)
}

#[test]
fn the_whole_text_may_be_printed_and_no_part_of_it() {
    let line = "server 10.0.1.1:80 max_fails=1 fail_timeout=10s;";
    let (tera, go) = (Root::tera("t", Escape::Nginx), Root::go("t", Escape::Nginx));
    for (root, template) in [
        (tera, "{{ servers(prefix=\"/s/api\") }}"),
        (tera, "{% set s = servers(prefix=\"/s/api\") %}{{ s }}"),
        (go, "{{servers \"/s/api\"}}"),
        (go, "{{$s := servers \"/s/api\"}}{{$s}}"),
        (go, "{{\"/s/api\" | servers}}"),
    ] {
        assert_eq!(escaped(template, root), Ok(line.to_owned()), "{template}");
    }
    for (root, template) in [
        (tera, "{{ servers(prefix=\"/s/api\") | upper }}"),
        (tera, "{{ servers(prefix=\"/s/api\") ~ \"\" }}"),
        (go, "{{servers \"/s/api\" | toUpper}}"),
        (go, "{{print (servers \"/s/api\")}}"),
    ] {
        let refused = escaped(template, root).unwrap_err();
        assert!(refused.ends_with("contains whitespace, and may not be printed in an nginx file"), "{refused}");
    }
}

#[test]
fn a_wrong_option_is_named_by_its_place_and_never_shown() {
    for (arguments, expected) in [
        ("\"prot\" 80", "argument 2 is not the name of an option"),
        ("\"port\" 80 (getv \"/s/web/c\") 1", "argument 4 is not the name of an option"),
        ("\"port\" 80 7 1", "argument 4 must be the name of an option, not int"),
        ("\"port\"", "option `port` has no value"),
        ("\"port\" 80 \"port\" 81", "option `port` is given twice"),
        ("\"port\" \"80\"", "option `port` must be a whole number, not string"),
        ("\"port\" 0", "argument `port` must be 1 to 65535"),
        ("\"hostnames\" 1", "option `hostnames` must be true or false, not int"),
        ("\"group\" nil", "option `group` must be a string, not nil"),
        ("\"allow\" (list 1)", "option `allow` must be a string or a list of strings, not []interface {}"),
        ("\"allow\" (list \"10.0.0.0/8\" \"10.0.0.0/33\")", "item 2 of argument `allow` is not a network"),
        ("\"unix\" 1", "option `unix` must be a string or a list of strings, not int"),
    ] {
        let template = format!("{{{{servers \"/s/web\" {arguments}}}}}");
        let message = escaped(&template, Root::go("t", Escape::Nginx)).unwrap_err();
        assert!(message.ends_with(expected), "{template}: {message}");
    }
    let outside = escaped("{{servers (getv \"/s/api/a\")}}", Root::go("t", Escape::Nginx)).unwrap_err();
    let expected = "nothing below the folder that is made with the value of key `/s/api/a` can be seen";
    assert!(outside.ends_with(expected), "{outside}");
    let outside = escaped("{{ servers(prefix=\"/t\") }}", Root::tera("t", Escape::Nginx)).unwrap_err();
    assert_eq!(outside, "`servers`: nothing below `/t/` can be seen");
    let unknown = escaped("{{ servers(prefix=\"/s\", prot=1) }}", Root::tera("t", Escape::Nginx)).unwrap_err();
    assert_eq!(unknown, "`servers`: has no argument `prot`");
}
