//! Refusals, with their place. All case files in `tests/it` test that converted templates give the same bytes.

use super::convert;
use super::functions::SAME;
use crate::render::go;
use crate::render::tera;

fn check(template: &str, expected: Result<&str, &[&str]>) {
    let converted = convert("t", template);
    let found = converted.map_err(|problems| problems.iter().map(ToString::to_string).collect::<Vec<_>>());
    let found =
        found.as_ref().map(String::as_str).map_err(|problems| problems.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(found, expected.map_err(<[&str]>::to_vec), "{template}");
}

#[test]
fn what_is_certain_is_written_in_tera() {
    for (template, expected) in [
        ("a {{getv \"/a\"}} b", "a {{ getv(key=\"/a\") }} b"),
        ("{{getv \"/a\" \"x\\\"y\"}}", "{{ getv(key=\"/a\", default=\"x\\\"y\") }}"),
        (
            "{{range gets \"/a/*\"}}{{.Key}}={{.Value}}{{else}}none{{end}}",
            "{% for pair in gets(pattern=\"/a/*\") %}{{ pair.key }}={{ pair.value }}{% else %}none{% endfor %}",
        ),
        (
            "{{range $i, $v := getvs \"/a/*\"}}{{$i}}{{$v}}{{end}}",
            "{% for v in getvs(pattern=\"/a/*\") %}{% set i = loop.index0 %}{{ i }}{{ v }}{% endfor %}",
        ),
        (
            "{{if exists \"/a\"}}x{{else if eq (getv \"/b\") \"1\"}}y{{else}}z{{end}}",
            "{% if exists(key=\"/a\") %}x{% elif getv(key=\"/b\") == \"1\" %}y{% else %}z{% endif %}",
        ),
        ("{{printf \"/s/%s/*\" (base \"/x\")}}", "{{ \"/s/\" ~ base(path=\"/x\") ~ \"/*\" }}"),
        ("{{with getv \"/a\"}}{{.}}{{end}}", "{% set it = getv(key=\"/a\") %}{% if it != \"\" %}{{ it }}{% endif %}"),
        ("a {# b", "{% raw %}a {# b{% endraw %}"),
        ("{ {{- getv \"/a\"}}", "{% raw %}{{% endraw %}{{ getv(key=\"/a\") }}"),
    ] {
        check(template, Ok(expected));
    }
}

#[test]
fn what_is_not_certain_is_reported_once_with_its_place() {
    check("x\n  {{gets \"/a\"}}", Err(&["t:2:5: a list prints differently in Tera; print its items one by one"]));
    check(
        "{{$d := json (getv \"/a\")}}{{$d.x}}{{range $d.y}}{{.z}}{{end}}{{.b}}",
        Err(&[
            "t:1:9: `json`: numbers and nulls of JSON print differently in Tera",
            "t:1:64: dot is nothing here; the name of a for_each is {{ item }}",
        ]),
    );
    check(
        "{{template \"x\"}}",
        Err(&["t:1:12: templates within templates are not converted; put what it prints here"]),
    );
    check("{{if", Err(&["t:1:1: the action is not closed: }} is missing"]));
    for template in [
        "{{ls \"/a\"}}",
        "{{range ls \"/a\"}}{{end}}",
        "{{1.5}}",
        "{{$x := 1}}{{$x = 2}}",
        "{{len \"abc\"}}",
        "{{eq 1 \"1\"}}",
        "{{and \"a\" 1}}",
        "{{printf \"%5s\" \"a\"}}",
        "{{printf \"%s\"}}",
        "{{printf \"x\" 1}}",
        "{{toUpper 1}}",
        "{{datetime}}",
        "{{include \"x\"}}",
        "{{quote \"a\"}}",
        "{{index (split \"a\" \",\") 0}}",
        "{{.}}",
        "{{$}}",
        "{{range 3}}{{end}}",
        "{{(get \"/a\").Nope}}",
        "{{print 1 2}}",
    ] {
        assert!(convert("t", template).is_err(), "{template}");
    }
}

#[test]
fn functions_of_both_languages_exist_with_these_arguments() {
    for (name, tera_name, arguments, _) in SAME {
        let of_go = go::functions::find(name).unwrap_or_else(|| panic!("{name}"));
        let of_tera = tera::functions::all().find(|function| function.name == *tera_name);
        let of_tera = of_tera.unwrap_or_else(|| panic!("{tera_name}"));
        let known: Vec<&str> = of_tera.arguments.iter().map(|argument| argument.trim_end_matches('?')).collect();
        assert!(arguments.iter().all(|argument| known.contains(argument)), "{name}: {arguments:?} of {known:?}");
        assert_eq!(arguments.len(), of_go.parameters.len() + usize::from(of_go.rest.is_some()), "{name}");
    }
}
