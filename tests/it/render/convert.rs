//! Every Go template of the project, converted: in Tera the result gives the same bytes as the Go template, or fails as
//! it does. Refused templates are not tested here.

use std::fs;
use std::sync::Arc;

use upstreamd::model::key::{Key, Revision, Value};
use upstreamd::model::range::KeyRanges;
use upstreamd::model::resource::Escape;
use upstreamd::model::tree::Tree;
use upstreamd::model::view::View;
use upstreamd::render::{Memory, Root, TemplateSources, compile, convert};

use super::cases::view;
use super::facts::FixedFacts;
use crate::support::agent::Sandbox;
use crate::support::{cases, package_root};

/// The result of a template; errors are equal, because each engine has its own messages.
fn render(text: &str, root: Root<'_>, view: &View) -> Result<String, String> {
    let sources = TemplateSources::from([("main".to_owned(), Arc::from(text))]);
    let (renderer, problems) = compile(&sources, &[root], Arc::new(FixedFacts));
    if let Some((_, problem)) = problems.first() {
        return Err(problem.to_string());
    }
    let bytes = renderer.render(root, view, &mut Memory::default()).result.map_err(|error| error.to_string())?;
    Ok(String::from_utf8(bytes).unwrap())
}

/// Compares both; answers whether it could be converted.
#[track_caller]
fn same(template: &str, view: &View) -> bool {
    let Ok(converted) = convert("main", template) else { return false };
    let (go, tera) = (Root::go("main", Escape::None), Root::tera("main", Escape::None));
    let (before, after) = (render(template, go, view), render(&converted, tera, view));
    match (&before, &after) {
        (Ok(before), Ok(after)) => assert_eq!(before, after, "{template}\n--- in Tera\n{converted}"),
        (Err(_), Err(_)) => {}
        // Go's numbers have 64 bits, Tera's have more: said in docs/migration.md.
        (Err(error), Ok(_)) if error.contains("out of range") => {}
        _ => panic!("{template}\n--- in Tera\n{converted}\n--- go {before:?}\n--- tera {after:?}"),
    }
    true
}

#[test]
fn every_case_that_converts_gives_the_same() {
    let converted = std::cell::Cell::new(0_usize);
    for folder in ["go/ok", "go/err"] {
        cases::each(folder, |case| {
            converted.set(converted.get() + usize::from(same(case.text("template"), &view(case))))
        });
    }
    cases::each("go/each", |case| {
        for line in case.text("each").lines() {
            // A line holds several actions: each is tried by itself too, so that one that is refused does not hide the others.
            let alone = line
                .split_inclusive("}}")
                .filter(|piece| !["range", "if", "with", "end", "else", ":="].iter().any(|word| piece.contains(word)));
            for template in std::iter::once(line).chain(alone) {
                converted.set(converted.get() + usize::from(same(template, &view(case))));
            }
        }
    });
    assert!(converted.get() >= 150, "{} were converted", converted.get());
}

/// Templates as people write them, of what can be converted.
const WRITTEN: &[&str] = &[
    "upstream web {\n{{range gets \"/services/web/*\"}}    server {{.Value}}; # {{base .Key}}\n{{end}}}\n",
    "{{range $dir := lsdir \"/services\"}}\nupstream {{base $dir}} {\n  {{range $n, $pair := gets (printf \"/services/%s/*\" $dir) -}}\n  {{if $n}}, {{end}}{{$n}} {{$pair.Value}}\n  {{- end}}\n}{{end}}",
    "{{range $i, $a := lsdir \"/services\"}}{{range $j, $b := getvs \"/services/*/*\"}}{{$i}}{{$j}}{{$b}};{{end}}{{$i}}\n{{end}}",
    "{{- if exists \"/app/name\"}}\n  name {{getv \"/app/name\"}};\n{{- else if exists \"/none\"}} none\n{{- else}} no name\n{{- end}}\n",
    "{{if and (exists \"/app/name\") (eq (getv \"/app/name\") \"shop\")}}shop{{end}}{{if and (exists \"/none\") (eq (getv \"/none\") \"x\")}}x{{end}}",
    "{{if or (exists \"/none\") (not (exists \"/none\"))}}{{or (getv \"/app/empty\") (getv \"/app/name\")}}{{end}}",
    "{{$name := getv \"/app/name\"}}{{if true}}{{$name := toUpper $name}}{{$name}}{{end}}{{$name}}",
    "{{with getv \"/app/empty\"}}a{{else}}b{{end}}{{with $x := getv \"/app/name\"}}{{$x}}{{.}}{{end}}",
    "{{range split (getv \"/app/list\") \",\"}}<{{.}}>{{end}}{{join (split (getv \"/app/list\") \",\") \" \"}}",
    "{{range seq 1 (len (gets \"/services/*/*\"))}}{{.}}{{if eq . 2}}{{break}}{{end}},{{end}}",
    "{{range gets \"/services/web/*\"}}{{if eq .Value \"10.0.0.1:80\"}}{{continue}}{{end}}{{.Value}}{{end}}",
    "{{range reverse (gets \"/services/*/*\")}}{{.Key | base | toUpper | printf \"%s=%s\" \"k\"}} {{end}}",
    "{{range naturalSort (getvs \"/services/*/*\")}}{{.}} {{end}}{{default \"d\" (getv \"/app/empty\")}}",
    "{{getenv \"APP\"}} {{getenv \"NOT_SET\" \"x\"}} {{lookupIfaceIPV4 \"eth0\"}} {{hostname}} {{sha256sum (getv \"/app/name\")}}",
    "{{replace (getv \"/app/list\") \",\" \"|\" -1}} {{trimSuffix \"a.conf\" \".conf\"}} {{atoi \"7\" | add 1}} {{sub 1 5}} {{lt 1 2}}",
    "{\n  {{- /* a comment */ -}}\n  \"x\": \"{{getv \"/app/name\"}}\" }{% if %}{# no comment #} {{\"{{\"}} {",
    "{% endraw %}{{getv \"/app/name\"}}{%- endraw %}{# {% endraw",
    "{{(get \"/app/name\").Value}} {{with get \"/app/name\"}}{{.Key}}{{end}} {{ternary \"y\" \"n\" (exists \"/none\")}}",
    "{{toUpper \"straße İ ς\"}} {{toLower \"ΑΣ İ\"}} {{toUpper (getv \"/app/odd\")}} {{toLower (getv \"/app/odd\")}}",
    "{{printf \"%d %v%% %s\" 3 -4 \"ü\"}}{{printf \"%d\" (len (gets \"/*\"))}}{{print \"a\" \"b\"}}{{printf \"\"}}",
    "{{not (exists \"/none\")}} {{empty (getv \"/app/empty\")}} {{ne 1 2}} {{eq 1 2 1}} {{true}}",
    "{{range $item := gets \"/app/*\"}}{{$loop := .Key}}{{$loop}}{{range $item := split .Key \"/\"}}{{$item}}{{end}}{{end}}",
];

fn written_view() -> View {
    let keys = [
        ("/services/web/a", "10.0.0.2:80"),
        ("/services/web/b", "10.0.0.1:80"),
        ("/services/api/x10", "10.0.1.1:9000"),
        ("/services/api/x9", "10.0.1.2:9000"),
        ("/app/name", "shop"),
        ("/app/empty", ""),
        ("/app/list", "b,a,c"),
        ("/app/odd", "ßŉ ΣΑΣ İ {{ x }} {% y %}"),
    ];
    let tree = Tree::from_entries(Revision(1), keys.map(|(key, value)| (Key::from(key), Value::from(value))));
    View::new(tree, Arc::from(""), KeyRanges::of_directories(["/"]))
}

#[test]
fn templates_as_people_write_them_are_converted_and_give_the_same() {
    let empty = View::new(Tree::default(), Arc::from(""), KeyRanges::of_directories(["/"]));
    for template in WRITTEN {
        if let Err(problems) = convert("main", template) {
            panic!("{template}: {problems:?}");
        }
        same(template, &written_view());
        same(template, &empty);
    }
}

#[test]
fn convert_prints_a_template_that_renders_the_same_or_names_lines() {
    let root = package_root();
    let sandbox = Sandbox::new();
    let upstreams = root.join("tests/confdirs/stock/templates/upstreams.conf.tmpl");
    let converted = sandbox.run(&["convert", upstreams.to_str().unwrap()]).expect_code(0).stdout;
    sandbox.set_store("services: {web: {b: '10.0.0.1:8080', a: '10.0.0.2:8080'}, api: {x: '10.0.1.1:9000'}}\n");
    sandbox.template("converted.tera", &converted);
    let dest = sandbox.text_path("out/x");
    sandbox.resource("x", &format!("src = \"converted.tera\"\ndest = \"{dest}\"\nkeys = [\"/services\"]"));
    let rendered = sandbox.run(&["render", "x"]).expect_code(0).stdout;
    assert_eq!(rendered, fs::read_to_string(root.join("tests/confdirs/stock/expected/upstreams.conf")).unwrap());
    // The shipped example reads JSON.
    let app = root.join("examples/confd/templates/app.conf.tmpl");
    let app = app.to_str().unwrap();
    let ran = sandbox.run(&["convert", app]).expect_code(3);
    assert_eq!(ran.stdout, "");
    assert!(ran.stderr.contains(&format!("{app}:4:52: `json`: numbers and nulls of JSON")), "{}", ran.stderr);
    let ran = sandbox.run(&["convert", "/nowhere.tmpl"]).expect_code(3);
    assert!(ran.stderr.contains("cannot read the template"), "{ran:?}");
}
