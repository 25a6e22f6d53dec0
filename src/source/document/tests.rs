//! Results of each format, and its errors with their positions.

use super::*;
use crate::model::store::StoreLimits;

fn parsed(extension: &str, content: &[u8]) -> Result<BTreeMap<String, Value>, Problem> {
    let limits = StoreLimits { keys: 500_000, bytes: 8 << 20, value_bytes: 100_000 };
    parse(&Path::new("file").with_extension(extension), content, &mut StoreTally::new(limits))
}

fn check(extension: &str, content: &str, expected: &[(&str, &str)]) {
    let entries = parsed(extension, content.as_bytes()).unwrap_or_else(|problem| panic!("{content:?}: {problem}"));
    let shown: Vec<(&str, &str)> =
        entries.iter().map(|(key, value)| (key.as_str(), value.as_text().unwrap_or("(binary)"))).collect();
    assert_eq!(shown, expected, "{content:?}");
}

#[track_caller]
fn check_problem(extension: &str, content: &[u8], expected: &str) {
    let problem = parsed(extension, content).unwrap_err().to_string();
    assert_eq!(problem, format!("file.{extension}:{expected}"));
}

#[test]
fn the_three_languages_say_the_same() {
    let expected = [
        ("/myapp/database/port", "5432"),
        ("/myapp/database/url", "db.example.com"),
        ("/myapp/debug", "true"),
        ("/myapp/ratio", "0.5"),
        ("/myapp/upstream/0", "10.0.1.10:8080"),
        ("/myapp/upstream/1/host", "10.0.1.11"),
    ];
    let yaml = "myapp:\n  database:\n    url: db.example.com\n    port: 5432\n  debug: true\n  ratio: 0.5\n  \
                upstream:\n    - 10.0.1.10:8080\n    - host: 10.0.1.11\n";
    check("yaml", yaml, &expected);
    check("", yaml, &expected);
    let json = r#"{"myapp": {"database": {"url": "db.example.com", "port": 5432}, "debug": true, "ratio": 0.5,
                   "upstream": ["10.0.1.10:8080", {"host": "10.0.1.11"}]}}"#;
    check("json", json, &expected);
    check("yml", json, &expected);
    let toml = "[myapp]\ndebug = true\nratio = 0.5\nupstream = [\"10.0.1.10:8080\", {host = \"10.0.1.11\"}]\n\
                [myapp.database]\nurl = \"db.example.com\"\nport = 5432\n";
    check("TOML", toml, &expected);
}

#[test]
fn scalars_of_yaml_are_read_as_confd_reads_them_and_null_is_no_key() {
    check(
        "yaml",
        "a: 1.10\nb: 0x1F\nc: yes\nd: ~\ne:\nf: null\ng: 'null'\nh: \"~\"\ni: 2024-01-02\nj: |\n  two\n  lines\nk: '1.10'\n\
         l: !!str 1.10\nl2: !!binary aGVs\nl3: !!binary |\n  aGVs\n  bG8=\nl4: !!binary gA==\n1.10: m\nn: &n 0x10\no: *n\n*n : p\nq: [~, 1.0]\nr: ''\n",
        &[
            ("/1.10", "m"),
            ("/16", "p"),
            ("/a", "1.1"),
            ("/b", "31"),
            ("/c", "yes"),
            ("/g", "null"),
            ("/h", "~"),
            ("/i", "2024-01-02"),
            ("/j", "two\nlines\n"),
            ("/k", "1.10"),
            ("/l", "1.10"),
            ("/l2", "hel"),
            ("/l3", "hello"),
            ("/l4", "(binary)"),
            ("/n", "16"),
            ("/o", "16"),
            ("/q/1", "1"),
            ("/r", ""),
        ],
    );
    check(
        "json",
        r#"{"a": null, "b": 1.0, "c": 18446744073709551615, "d": -1}"#,
        &[("/b", "1"), ("/c", "18446744073709551615"), ("/d", "-1")],
    );
}

#[test]
fn keys_may_be_whole_paths() {
    check(
        "yaml",
        "/services/web/1: a\nservices/web/2: b\n8080: c\n",
        &[("/8080", "c"), ("/services/web/1", "a"), ("/services/web/2", "b")],
    );
    check("yaml", "a:\n  b//c/./d/: 1\n  ../e: 2\n  '': 3\n", &[("/a", "3"), ("/a/b/c/d", "1"), ("/e", "2")]);
}

#[test]
fn an_empty_file_has_no_keys() {
    for extension in ["yaml", "json", "toml"] {
        check(extension, "", &[]);
        check(extension, " \n", &[]);
    }
    check("yaml", "# nothing yet\n", &[]);
    check("yaml", "\u{feff}a: 1\n", &[("/a", "1")]);
    check("yaml", "{}\n", &[]);
}

#[test]
fn aliases_and_merges_of_yaml_work() {
    let yaml =
        "base: &base {a: 1, b: 2}\nweb:\n  <<: *base\n  b: 3\nall:\n  <<: [*base, {c: 4}]\nname: &n x\nagain: *n\n";
    check(
        "yaml",
        yaml,
        &[
            ("/again", "x"),
            ("/all/a", "1"),
            ("/all/b", "2"),
            ("/all/c", "4"),
            ("/base/a", "1"),
            ("/base/b", "2"),
            ("/name", "x"),
            ("/web/a", "1"),
            ("/web/b", "3"),
        ],
    );
}

#[test]
fn problems_name_the_place_and_no_value() {
    check_problem("yaml", b"a: 1\nb: [secret\n", "3:1: while parsing a flow sequence, expected ',' or ']'");
    check_problem("yaml", b"a: 1\nb: 2\na: 3\n", "3:1: duplicate key \"a\", first given on line 1");
    check_problem("yaml", b"a: 1\n---\nb: 2\n", "2:1: the file holds more than one document");
    check_problem("yaml", b"a: 1\n? [x]\n: 2\n", "2:3: a key must not be a list or a map");
    check_problem("yaml", b"a:\n  <<: 5\n", "2:7: `<<` merges a map or a list of maps, but this is neither");
    check_problem("yaml", b"just text\n", "1:1: the file holds a single value instead of keys with values");
    check_problem("yaml", b"a: 1\nb: \xff\n", "2:4: not UTF-8 text");
    check_problem("json", b"{\"a\": 1,\n \"a\": 2}", "2:4: duplicate key \"a\"");
    check_problem("json", b"{\"a\": \"secret\"\n", "2:1: EOF while parsing an object");
    check_problem("toml", b"a = 1\nb = secret\n", "2:5: string values must be quoted, expected literal string");
    check_problem("toml", b"a = 1\na = 2\n", "2:1: duplicate key \"a\", first given on line 1");
}

#[test]
fn files_without_measure_are_refused() {
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..9 {
        let below = format!("*a{}", level - 1);
        bomb.push_str(&format!("a{level}: &a{level} [{}]\n", [below.as_str(); 10].join(", ")));
    }
    let problem = parsed("yaml", bomb.as_bytes()).unwrap_err();
    assert_eq!(problem.message, "the aliases expand to more than 1000000 values");
    let deep = format!("{}x", "- ".repeat(65));
    assert_eq!(parsed("yaml", deep.as_bytes()).unwrap_err().message, "the values are nested more than 64 levels deep");
    let deep = format!("{}{}", "[".repeat(500), "]".repeat(500));
    assert_eq!(parsed("yaml", deep.as_bytes()).unwrap_err().message, "recursion limit exceeded");
    assert_eq!(parsed("json", deep.as_bytes()).unwrap_err().message, "recursion limit exceeded");
    let mut ladder = "a0: &a0 x\n".to_owned();
    for step in 1..100 {
        ladder.push_str(&format!("a{step}: &a{step} [*a{}]\n", step - 1));
    }
    assert_eq!(
        parsed("yaml", ladder.as_bytes()).unwrap_err().message,
        "the values are nested more than 64 levels deep"
    );
    assert!(parsed("yaml", b"a: &a [*a]\n").is_err());
}

proptest::proptest! {
    #[test]
    fn no_text_makes_the_parsers_fall_over(text in "[-a-z0-9:{}\\[\\],&*<>?|'\"# \t\n=.!%\u{e9}]{0,80}") {
        for extension in ["yaml", "json", "toml"] {
            // It does not matter here if the text is well-formed.
            drop(parsed(extension, text.as_bytes()));
        }
    }
}

#[test]
fn aliases_expand_within_the_bytes_of_the_store() {
    let large = "x".repeat(90_000);
    let aliases: String = (0..200).map(|n| format!("k{n}: *a\n")).collect();
    let text = format!("a: &a {large}\n{aliases}");
    check_problem(
        "yaml",
        text.as_bytes(),
        "93:6: the aliases expand to more than the 8 MiB that --max-store-mib allows",
    );
    let nested: String = (1..60).map(|n| format!("a{n}: &a{n} [*a{}]\n", n - 1)).collect();
    let text = format!("a0: &a0 {large}\n{nested}");
    assert!(parsed("yaml", text.as_bytes()).unwrap_err().message.contains("8 MiB"));
}

#[test]
fn long_names_and_many_values_are_refused() {
    let name = "a/".repeat(300_000);
    let problem = "1:1: a key has 600001 bytes with the names above it, and 4096 are allowed";
    check_problem("json", format!(r#"{{"{name}": {{"b": 1, "c": 2}}}}"#).as_bytes(), problem);
    let nested = format!(r#"{{"{0}": {{"{0}": {{"b": 1}}}}}}"#, "a".repeat(2100));
    assert!(parsed("json", nested.as_bytes()).unwrap_err().message.contains("4201 bytes"));
    let list = |length: usize| format!(r#"{{"a": [0{}]}}"#, ",0".repeat(length - 1));
    assert!(parsed("json", list(1_000_000).as_bytes()).unwrap_err().message.contains("more than 1000000 values"));
    assert!(parsed("json", list(500_001).as_bytes()).unwrap_err().message.contains("--max-store-keys"));
    assert_eq!(parsed("json", list(400_000).as_bytes()).unwrap().len(), 400_000);
}

#[test]
fn toml_is_counted_before_it_is_read() {
    let list = |count: usize| format!("a = [{}]", "0,".repeat(count));
    let problem = "1:1: the file has more than 2000000 of `=`, `,`, `.`, `[` and `{` outside of texts and comments";
    check_problem("toml", list(2_000_000).as_bytes(), problem);
    assert_eq!(parsed("toml", list(100_000).as_bytes()).unwrap().len(), 100_000);
    let text = format!("a = '''{}'''", ",".repeat(2_000_001));
    assert_eq!(parsed("toml", text.as_bytes()).unwrap()["/a"], Value::Oversized(2_000_001));
}

#[test]
fn a_value_that_is_too_large_is_left_out_of_memory_and_not_of_the_keys() {
    let entries = parsed("yaml", format!("a: {}\nb: 1\n", "x".repeat(100_001)).as_bytes()).unwrap();
    assert_eq!((&entries["/a"], &entries["/b"]), (&Value::Oversized(100_001), &Value::from("1")));
}
