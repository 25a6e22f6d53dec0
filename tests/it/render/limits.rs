//! A render ends in time and makes nothing without bound, whatever a template computes and whatever the store has.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use upstreamd::model::dns::Srv;
use upstreamd::model::key::{Key, Revision, Value};
use upstreamd::model::problem::Problem;
use upstreamd::model::range::KeyRanges;
use upstreamd::model::resource::{Engine, Escape};
use upstreamd::model::tree::Tree;
use upstreamd::model::view::View;
use upstreamd::nginx::installation::Version;
use upstreamd::render::{Facts, Memory, Root, TemplateSources, compile};

/// A world in which each look at the clock takes a millisecond, so that a render's time is over after so many looks.
struct Ticking {
    start: Instant,
    looks: AtomicU64,
    timeout: Option<Duration>,
}

impl Facts for Ticking {
    fn instant(&self) -> Instant {
        self.start + Duration::from_millis(self.looks.fetch_add(1, Ordering::Relaxed))
    }
    fn render_timeout(&self) -> Option<Duration> {
        self.timeout
    }
    fn env(&self, _: &str) -> Option<String> {
        panic!("nobody asked for this")
    }
    fn now(&self) -> jiff::Zoned {
        jiff::Zoned::default()
    }
    fn file_exists(&self, _: &str) -> bool {
        false
    }
    fn hostname(&self) -> Result<String, String> {
        Ok("host".to_owned())
    }
    fn lookup_ip(&self, _: &str, _: Option<Duration>) -> Result<Vec<IpAddr>, String> {
        Ok(Vec::new())
    }
    fn lookup_srv(&self, _: &str, _: &str, _: &str, _: Option<Duration>) -> Result<Vec<Srv>, String> {
        Ok(Vec::new())
    }
    fn interface_addresses(&self, _: &str) -> Vec<IpAddr> {
        Vec::new()
    }
    fn nginx_version(&self, _: Option<&std::path::Path>) -> Option<Version> {
        None
    }
}

/// Renders over a store with ten keys of a value of 26 bytes, and one of 1 MiB.
fn render(engine: Engine, escape: Escape, template: &str, milliseconds: Option<u64>) -> Result<String, Problem> {
    render_all(engine, escape, vec![("t".to_owned(), template.to_owned())], milliseconds)
}

fn render_all(
    engine: Engine,
    escape: Escape,
    templates: Vec<(String, String)>,
    milliseconds: Option<u64>,
) -> Result<String, Problem> {
    let timeout = milliseconds.map(Duration::from_millis);
    let facts = Ticking { start: Instant::now(), looks: AtomicU64::new(0), timeout };
    let root = Root::new("t", engine, escape);
    let sources: TemplateSources = templates.into_iter().map(|(name, text)| (name, Arc::from(text))).collect();
    let (renderer, problems) = compile(&sources, &[root], Arc::new(facts));
    assert_eq!(problems, [], "{sources:?}");
    let value = Value::from("abcdefghijklmnopqrstuvwxyz");
    let keys = (0..10).map(|n| (Key::from(format!("/v/{n}").as_str()), value.clone()));
    let large = Value::from("0123456789abcdef".repeat(1 << 16).as_str());
    let tree = Tree::from_entries(Revision(1), keys.chain([(Key::from("/large"), large)]));
    let view = View::new(tree, Arc::from(""), KeyRanges::of_directories(["/"]));
    let rendering = renderer.render(root, &view, &mut Memory::default());
    rendering.result.map(|bytes| String::from_utf8(bytes).unwrap())
}

#[track_caller]
fn check(engine: Engine, template: &str, milliseconds: Option<u64>, expected: &str) {
    for escape in [Escape::None, Escape::Nginx] {
        let problem = render(engine, escape, template, milliseconds).map(|text| text.len()).unwrap_err();
        assert!(problem.to_string().contains(expected), "{template}\n{problem}");
        assert!(problem.place.is_some(), "{template}\n{problem}");
    }
}

#[test]
fn a_render_ends_when_its_time_is_over_whatever_it_computes() {
    const LATE: &str = "the render takes longer than 3ms\n  hint: --render-timeout sets this limit";
    let rounds = "{%- for a in range(end=1000) -%}";
    let ends = "{%- endfor -%}";
    for work in [
        format!("{rounds}{rounds}{ends}{ends}"),
        format!("{rounds}{rounds}a{ends}{ends}"),
        format!("{rounds}{{% if a in [1] %}}{{% endif %}}{ends}"),
        format!("{rounds}{{% if a == b %}}{{% endif %}}{ends}"),
        format!("{rounds}{{% if b <= b %}}{{% endif %}}{ends}"),
        format!("{rounds}{{% if b is containing(pat=b) %}}{{% endif %}}{ends}"),
        format!("{rounds}{{% set x = b is not starting_with(pat=b) %}}{ends}"),
        format!("{rounds}{{% if range(end=9) %}}{{% endif %}}{ends}"),
        format!("{rounds}{{% set x = a ~ b %}}{ends}"),
        format!("{{% set r = range(end=1000) %}}{rounds}{{% set x = r | sort %}}{ends}"),
        format!("{rounds}{{{{ getv(key=\"/v/1\") }}}}{ends}"),
        format!("{rounds}{{{{ b | upper }}}}{ends}"),
        "{{ getv(key=\"/large\") | regex_replace_all(pattern=\"0\", replacement=\"\") | length }}".to_owned(),
        "{{ b | regex_replace_all(pattern=\"b\", replacement=repeat(text=\"$1\", n=1000)) }}".to_owned(),
        "{% set x = [[c for c in range(end=1000)] for a in range(end=1000)] %}".to_owned(),
        format!("{{% set x %}}{rounds}{rounds}{ends}{ends}{{% endset %}}"),
    ] {
        check(Engine::Tera, &format!("{{% set b = \"b\" %}}{work}"), Some(3), LATE);
    }
    let nested = (1..15).map(|n| (format!("t{n}"), format!("{{% include \"t{}\" %}}", n + 1).repeat(10)));
    let nested = nested.chain([("t15".to_owned(), String::new()), ("t".to_owned(), "{% include \"t1\" %}".to_owned())]);
    let components = "{% component a(n) %}{% if n < 19 %}{{ <a n={n + 1} /> }}{{ <a n={n + 1} /> }}{{ <a n={n + 1} /> }}{% endif %}\
                      {% endcomponent %}{{ <a n={0} /> }}";
    let components = [("t".to_owned(), components.to_owned())];
    for sources in [nested.collect::<Vec<_>>(), components.to_vec()] {
        let problem = render_all(Engine::Tera, Escape::None, sources, Some(3)).map(|text| text.len()).unwrap_err();
        assert!(problem.to_string().contains(LATE) && problem.place.is_some(), "{problem}");
    }
    for work in [
        "{{range 1000000}}{{end}}",
        "{{range 1000000}}a{{end}}",
        "{{range 1000000}}{{getv \"/v/1\"}}{{end}}",
        "{{define \"a\"}}{{range 1000}}{{end}}{{end}}{{range 1000}}{{template \"a\"}}{{end}}",
        "{{$l := list}}{{range 1000000}}{{$l = append $l .}}{{end}}",
        "{{regexReplaceAll \"0\" (getv \"/large\") \"\" | len}}",
        "{{regexReplaceAll \"b\" \"b\" (repeat 1000 \"$1\")}}",
    ] {
        check(Engine::Go, work, Some(3), LATE);
    }
}

#[test]
fn a_render_without_a_limit_of_time_has_a_limit_of_rounds() {
    let outer = "{%- for a in range(end=200) -%}{%- for b in range(end=100000) -%}{%- endfor -%}{%- endfor -%}";
    check(Engine::Tera, outer, None, "take more than 10000000 rounds");
    check(Engine::Go, "{{range 10000001}}{{end}}", None, "take more than 10000000 rounds");
}

#[test]
fn nothing_that_a_render_makes_is_without_bound() {
    const LONG: &str = "would make a text of more than 16777216 bytes";
    const LARGE: &str = "would nest more than 64 levels, or hold more than 16777216 bytes";
    let large = "{% set a = getv(key=\"/large\") %}{% set named = json(text='{\"' ~ a ~ '\": 1}') %}{% set l = [] %}";
    let times = "{% for n in range(end=60) %}";
    for (work, expected) in [
        ("{{ a | replace(from=\"0\", to=a) }}", LONG),
        ("{{ replace(text=a, old=\"0\", new=a) }}", LONG),
        ("{{ a | regex_replace_all(pattern=\"0\", replacement=a) }}", LONG),
        ("{{ a | split(sep=\"0\") | join(sep=a) }}", LONG),
        ("{{ join(list=split(text=a, sep=\"0\"), sep=a) }}", LONG),
        ("{{ a | indent(width=1000, first=true) | replace(from=\"0\", to=\"\\n\") | indent(width=1000) }}", LONG),
        ("{% for n in range(end=60) %}{% set_global a = a ~ a %}{% endfor %}", LARGE),
        ("{% for n in range(end=60) %}{% set_global a = [a, a] %}{% endfor %}", LARGE),
        ("{% for n in range(end=60) %}{% set_global a = {\"a\": a, \"b\": a} %}{% endfor %}", LARGE),
        ("{% for n in range(end=60) %}{% set_global a = list(items=[a, a]) %}{% endfor %}", LARGE),
        ("{% for n in range(end=60) %}{% set_global a = append(list=[a], value=a) %}{% endfor %}", LARGE),
        ("{% for n in range(end=60) %}{% set_global a = map(a=a, b=a) %}{% endfor %}", LARGE),
        ("{% set a = 1 %}{% for n in range(end=1000) %}{% set_global a = [a] %}{% endfor %}", LARGE),
        ("{% set a = 1 %}{% for n in range(end=1000) %}{% set_global a = map(a=a) %}{% endfor %}{{ a }}", LARGE),
        ("{% set b = [a ~ n for n in range(end=1000)] %}", "would keep more than"),
        ("{% set b %}{% for n in range(end=1000) %}{{ a }}{% endfor %}{% endset %}", "would keep more than"),
        (
            "{% set b %}{% for n in range(end=10000) %}{% for n in range(end=1000) %}a text of two hundred bytes, a text of two \
             hundred bytes, a text of two hundred bytes, a text of two hundred bytes, a text of two hundred bytes, a text of two \
             hundred bytes{% endfor %}{% endfor %}{% endset %}",
            "would keep more than",
        ),
        ("{% for n in range(end=60) %}{% set_global l = append(list=l, value=named) %}{% endfor %}", LARGE),
        ("{{ repeat(text='x', n=3000000) | split(sep='') | length }}", LARGE),
        ("{{ repeat(text=',x', n=2000000) | split(pat=',') | length }}", LARGE),
        ("{% set j = '[' ~ repeat(text='0,', n=2500000) ~ '0]' %}{{ j | from_json | length }}", LARGE),
        ("{% set j = '[' ~ repeat(text='[],', n=2500000) ~ '0]' %}{{ j | json_array | length }}", LARGE),
        ("{% set j = repeat(text='[', n=65) ~ repeat(text=']', n=65) %}{{ j | from_json | length }}", LARGE),
        (
            "{% set j = '{\"a\": ' ~ repeat(text='[', n=64) ~ repeat(text=']', n=64) ~ '}' %}{{ json(text=j) | length }}",
            LARGE,
        ),
        ("{% set l = [named for n in range(end=200)] %}", "would keep more than"),
        ("{% set b %}{% for n in range(end=200) %}{{ named }}{% endfor %}{% endset %}", "would keep more than"),
        ("{% filter upper %}{% for n in range(end=1000) %}{{ a }}{% endfor %}{% endfilter %}", "would keep more than"),
        ("{% for n in range(end=1000) %}{{ a | safe }}{% endfor %}", "the output is larger than 67108864 bytes"),
    ] {
        let problem = render(Engine::Tera, Escape::None, &format!("{large}{work}"), None).map(|text| text.len());
        let problem = problem.unwrap_err();
        assert!(problem.to_string().contains(expected) && problem.place.is_some(), "{times} {work}\n{problem}");
    }
    for (work, expected) in [
        ("{{replace $a \"0\" $a -1}}", LONG),
        ("{{regexReplaceAll \"0\" $a $a}}", LONG),
        ("{{join (split $a \"0\") $a}}", LONG),
        ("{{range 60}}{{$a = print $a $a}}{{end}}", LONG),
        ("{{$l := list}}{{range 60}}{{$l = append $l $l}}{{end}}", LARGE),
        ("{{$l := list}}{{range 60}}{{$l = append $l $a}}{{end}}", LARGE),
        ("{{$l := list}}{{range 1000}}{{$l = list $l}}{{end}}", LARGE),
        ("{{$l := list}}{{range 60}}{{$l = append $l $named}}{{end}}", LARGE),
        ("{{len (split (repeat 3000000 \"x\") \"\")}}", LARGE),
        ("{{len (split (repeat 2000000 \",x\") \",\")}}", LARGE),
        ("{{len (jsonArray (print \"[\" (repeat 2500000 \"0,\") \"0]\"))}}", LARGE),
        ("{{len (fromJson (print (repeat 65 \"[\") (repeat 65 \"]\")))}}", LARGE),
        ("{{len (json (print \"{\\\"a\\\":\" (repeat 64 \"[\") (repeat 64 \"]\") \"}\"))}}", LARGE),
        ("{{$q := \"\"}}{{range 25}}{{$q = squote $q}}{{end}}", LONG),
        ("{{range 12}}{{$a = base64Encode $a}}{{end}}", LONG),
        ("{{$l := list}}{{range 60}}{{$l = append $l (dict \"a\" $named \"b\" .)}}{{end}}", LARGE),
        ("{{range 1000}}{{$a}}{{end}}", "the output is larger than 67108864 bytes"),
    ] {
        let values = "{{$a := getv \"/large\"}}{{$named := json (print \"{\\\"\" $a \"\\\":1}\")}}";
        let problem = render(Engine::Go, Escape::None, &format!("{values}{work}"), None);
        let problem = problem.map(|text| text.len()).unwrap_err();
        assert!(problem.to_string().contains(expected) && problem.place.is_some(), "{work}\n{problem}");
    }
}

/// With a copy of the list for each item, or a comparison with each other item, these would take minutes.
#[test]
fn a_long_list_is_made_and_sifted_in_linear_time() {
    let appended = "{{$l := list}}{{range 200000}}{{$l = append $l .}}{{end}}{{len $l}} {{index $l 199999}}";
    assert_eq!(render(Engine::Go, Escape::None, appended, None).unwrap(), "200000 199999");
    let shared = "{{$l := list 1}}{{$m := $l}}{{$l = append $l 2}}{{$l = append $l $l}}{{$m}} {{$l}}";
    assert_eq!(render(Engine::Go, Escape::None, shared, None).unwrap(), "[1] [1 2 [1 2]]");
    let unique = "{{ range(end=100000) | unique | length }} {{ [1, 1.0, \"1\", [1], [1.0], {\"a\": 1, \"b\": 2}, {\"b\": 2, \"a\": 1}, \
                  true, none, none, 0.0, -0.0] | unique }}";
    let expected = "100000 [1, \"1\", [1], {\"a\": 1, \"b\": 2}, true, , 0.0]";
    assert_eq!(render(Engine::Tera, Escape::None, unique, None).unwrap(), expected);
}

/// With Tera's own order, in which both numbers equal the text, sorting this panics.
#[test]
fn a_list_of_lists_of_all_kinds_is_sorted_or_refused() {
    let list = "[[9],[8],[9],[9],[9],[\"b\"],[1],[1],[1],[1],[1],[5],[5],[5],[5],[5],[5],[5],[5],[5],[5],[5]]";
    let pairs = list.replace('[', "{\"k\":[").replace(']', "]}").replacen("{\"k\":[", "[", 1);
    let pairs = pairs.strip_suffix('}').unwrap();
    for work in [
        format!("{{{{ '{list}' | json_array | sort }}}}"),
        format!("{{{{ '{pairs}' | json_array | sort(attribute='k') }}}}"),
    ] {
        let problem = render(Engine::Tera, Escape::None, &work, None).unwrap_err();
        assert!(problem.to_string().contains("cannot sort: `array` and `array` are not comparable"), "{problem}");
    }
    let numbers = list.replace("\"b\"", "-1");
    let sorted =
        render(Engine::Tera, Escape::None, &format!("{{{{ '{numbers}' | json_array | sort }}}}"), None).unwrap();
    assert!(sorted.starts_with("[[-1], [1], [1],") && sorted.ends_with("[8], [9], [9], [9], [9]]"), "{sorted}");
}

#[test]
fn what_is_as_large_and_as_deep_as_it_may_be_is_read() {
    let json = "'[' ~ repeat(text='0,', n=2000000) ~ '0]'";
    let deep = "repeat(text='[', n=64) ~ repeat(text=']', n=64)";
    let tera = "{{ repeat(text='x', n=1800000) | split(sep='') | length }} {{ (JSON) | from_json | length }} {{ (DEEP) | from_json | length }}";
    let tera = tera.replace("JSON", json).replace("DEEP", deep);
    assert_eq!(render(Engine::Tera, Escape::None, &tera, None).unwrap(), "1800000 2000001 1");
    let go = "{{len (split (repeat 1800000 \"x\") \"\")}} {{len (jsonArray (print \"[\" (repeat 2000000 \"0,\") \"0]\"))}} \
              {{len (fromJson (print (repeat 64 \"[\") (repeat 64 \"]\")))}}";
    assert_eq!(render(Engine::Go, Escape::None, go, None).unwrap(), "1800000 2000001 1");
}

#[test]
fn a_quoted_text_may_be_printed_as_a_whole_and_not_in_part() {
    let refused = "and may not be printed in an nginx file";
    let quoted = "{% set q = nginx_string(text=\"A b; C\") %}";
    for whole in [
        "{{ q }}",
        "{% set r = q %}{{ r }}",
        "{{ [q, 1][0] }}",
        "{% set l = [1, q] %}{{ l?[1] }}",
        "{{ q | default(value=1) }}",
        "{{ q | trim }}",
    ] {
        let text = render(Engine::Tera, Escape::Nginx, &format!("{quoted}{whole}"), None);
        assert_eq!(text.unwrap(), "\"A b; C\"", "{whole}");
    }
    for block in [
        "{% filter indent(first=true, width=1) %}a {{ q }};\n{% endfilter %}",
        "{% set r %} a {{ q }};\n{% endset %}{{ r }}",
        "{% set r %}  a {{ q }}; \n\n{% endset %} {{ r | trim }}\n",
        "{% set r %}  a {{ q }};\n{% endset %} {{ r | trim_start }}",
        " a{{ q | indent(first=true, width=1) }};\n",
    ] {
        let text = render(Engine::Tera, Escape::Nginx, &format!("{quoted}{block}"), None);
        assert_eq!(text.unwrap(), " a \"A b; C\";\n", "{block}");
    }
    for part in [
        "{{ q[1:6] }}",
        "{{ q[0] }}{{ q[2] }}",
        "{{ q[0:4][2] }}{{ [q][0][3] }}",
        "{{ q | trim(pat='\"') }}",
        "{{ q | trim_start(pat='\"') }}",
        "{{ q | trim_end(pat='\"') }}",
        "{{ q | upper }}",
        "{{ q | capitalize }}",
        "{{ q | replace(from='\"', to='') }}",
        "{{ q | truncate(length=5) }}",
        "{{ q | reverse }}",
        "{{ q ~ ';' }}",
        "{{ [q, q] | join(sep='') }}",
        "{{ q?[1:6] }}",
        "{{ q?[0] }}{{ q?[2] }}",
        "{{ <one part={q[1:6]} /> }}",
        "{% set r = <one part={q?[1:6]} /> %}{{ r }}",
        "{% <one part={q[1:6]}> %}{% </one> %}",
        "{% filter default(value=q[1:6], boolean=true) %}{% endfilter %}",
        "{% set r | default(value=q[1:6], boolean=true) %}{% endset %}{{ r }}",
        "{{ q | indent(first=true, indentation=';') }}",
        "{% for c in q %}{{ c }}{% endfor %}",
        "{{ q | split(sep=' ') | last }}",
        "{% set r %}{{ q }}{% endset %}{{ r[1:6] }}",
        "{% set r %}{{ q }}{% endset %}{{ r | upper }}",
        "{% set r %}{{ q }}{% endset %}{{ r | trim(pat='\"') }}",
        "{% set r %}{{ q }}{% endset %}{{ r | indent(first=true, indentation=';') }}",
    ] {
        let component = "{% component one(part) %}{{ part }}{% endcomponent %}";
        let problem = render(Engine::Tera, Escape::Nginx, &format!("{component}{quoted}{part}"), None).unwrap_err();
        assert!(problem.to_string().contains(refused), "{part}\n{problem}");
    }
    let quoted = "{{$q := nginxString \"A b; C\"}}";
    assert_eq!(render(Engine::Go, Escape::Nginx, &format!("{quoted}{{{{$q}}}}"), None).unwrap(), "\"A b; C\"");
    for part in [
        "{{slice $q 1 6}}",
        "{{toUpper $q}}",
        "{{trimPrefix $q \"\\\"\"}}",
        "{{replace $q \"\\\"\" \"\" -1}}",
        "{{print $q \";\"}}",
        "{{printf \"%s;\" $q}}",
        "{{list $q}}",
        "{{join (split $q \"\\\"\") \"\"}}",
    ] {
        let problem = render(Engine::Go, Escape::Nginx, &format!("{quoted}{part}"), None).unwrap_err();
        assert!(problem.to_string().contains(refused), "{part}\n{problem}");
    }
}

#[test]
fn json_of_many_lines_is_bounded_by_what_it_is_as_text() {
    let deep = "(list ".repeat(20) + "$l" + &")".repeat(20);
    let list = format!("{{{{$l := list}}}}{{{{range 400000}}}}{{{{$l = append $l 0}}}}{{{{end}}}}{{{{$l = {deep}}}}}");
    let short = render(Engine::Go, Escape::None, &format!("{list}{{{{len (toJson $l)}}}}"), None);
    assert_eq!(short.unwrap(), "800041");
    let problem = render(Engine::Go, Escape::None, &format!("{list}{{{{len (toPrettyJson $l)}}}}"), None).unwrap_err();
    assert!(problem.message.contains("would make a text of more than 16777216 bytes"), "{problem}");
}

/// With a search for each value in the whole text, this would take minutes.
#[test]
fn the_origin_of_a_long_refused_text_is_found_in_linear_time() {
    let keys = (0..60_000).map(|n| (Key::from(format!("/v/{n}").as_str()), Value::from(format!("v{n};").as_str())));
    let tree = Tree::from_entries(Revision(1), keys);
    let view = View::new(tree, Arc::from(""), KeyRanges::of_directories(["/"]));
    let root = Root::new("t", Engine::Tera, Escape::Nginx);
    let template = "{{ getvs(pattern=\"/v/*\") | join(sep=\" \") }}";
    let sources = TemplateSources::from([("t".to_owned(), Arc::from(template))]);
    let facts = Ticking { start: Instant::now(), looks: AtomicU64::new(0), timeout: None };
    let (renderer, _) = compile(&sources, &[root], Arc::new(facts));
    let problem = renderer.render(root, &view, &mut Memory::default()).result.unwrap_err();
    let expected = "t:1:4: a text made with the value of key `/v/0` is longer than 4000 bytes, and may not be printed";
    assert!(problem.to_string().starts_with(expected), "{problem}");
}

/// A word of a value for each look would take minutes with large values, and so would a comparison with each name beside it.
#[test]
fn the_search_for_the_origin_of_a_missing_key_ends_in_time() {
    let entries = (0..1000).flat_map(|n| {
        let words = (0..3).map(|word| format!("word{word}ofvalue{n}")).collect::<Vec<_>>().join(" ");
        [(format!("/v/{n}"), words), (format!("/near/{n:0>40}"), String::new())]
    });
    let entries = entries.chain([("/near/zebra1".to_owned(), String::new())]);
    let entries = entries.map(|(key, value)| (Key::from(key.as_str()), Value::from(value.as_str())));
    let view =
        View::new(Tree::from_entries(Revision(1), entries), Arc::from(""), KeyRanges::of_directories(["/v", "/near"]));
    let unknown = "; its name may be made with a value, and is not shown";
    let optional = "key `/near/zebra2` does not exist\n  hint: getv";
    let zebra = "key `/near/zebra2` does not exist\n  hint: did you mean `/near/zebra1`?";
    // `getvs` looks at the clock for every sixteenth key.
    for (engine, template, milliseconds, expected) in [
        (
            Engine::Tera,
            "{% set v = getvs(pattern=\"/v/*\") %}{{ getv(key=\"/v/none\") }}",
            None,
            "key `/v/none` does not",
        ),
        (Engine::Tera, "{% set v = getvs(pattern=\"/v/*\") %}{{ getv(key=\"/v/none\") }}", Some(70), unknown),
        (Engine::Tera, "{{ getv(key=\"/near/zebra2\") }}", None, zebra),
        (Engine::Tera, "{{ getv(key=\"/near/zebra2\") }}", Some(3), optional),
        (Engine::Tera, "{% set v = getvs(pattern=\"/v/*\") %}{{ servers(prefix=\"/a\") }}", None, "below `/a/` can"),
        (
            Engine::Tera,
            "{% set v = getvs(pattern=\"/v/*\") %}{{ servers(prefix=\"/a\") }}",
            Some(70),
            "below a folder whose",
        ),
        (Engine::Go, "{{$v := getvs \"/v/*\"}}{{include (print \"a\")}}", None, "no template `a`"),
        (
            Engine::Go,
            "{{$v := getvs \"/v/*\"}}{{include (print \"a\")}}",
            Some(70),
            "a name that may be made with a value",
        ),
    ] {
        let root = Root::new("t", engine, Escape::None);
        let sources = TemplateSources::from([("t".to_owned(), Arc::from(template))]);
        let timeout = milliseconds.map(Duration::from_millis);
        let facts = Ticking { start: Instant::now(), looks: AtomicU64::new(0), timeout };
        let (renderer, _) = compile(&sources, &[root], Arc::new(facts));
        let problem = renderer.render(root, &view, &mut Memory::default()).result.unwrap_err();
        assert!(problem.to_string().contains(expected), "{template} {milliseconds:?}\n{problem}");
    }
}
