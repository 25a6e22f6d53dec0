//! Files, functions and structs stay small enough to be read at once.

use std::fs;

use super::code::{self, File};

const LONGEST_FILE: usize = 450;
const LONGEST_FUNCTION: usize = 60;
const MAX_FIELDS: usize = 12;

/// Functions that are longer, with the reason.
const LONG_FUNCTIONS: &[(&str, &str)] = &[
    ("agent/catalog.rs load_confdir", "reads as a list: one file of conf.d after the other, each with its problems"),
    ("config/resource.rs read_template", "a table of fields: one line for each that [template] has"),
    ("render/go/printf.rs verb", "a table of verbs: one arm each"),
    ("status/events.rs pass", "one arm for each outcome of a pass, with its log line"),
    ("render/tera/incremental/rewrite.rs read_loop", "one scan of a loop's tags, which share its position"),
];

/// Structs that are wider, with the reason.
const WIDE_STRUCTS: &[(&str, &str)] = &[
    ("model/resource.rs Resource", "a table of settings: what [template] says"),
    ("model/report.rs Report", "a table: one field for each thing that a pass reports"),
    ("status/board.rs Board", "a table of metrics: what is true now"),
    ("model/status.rs Status", "a public format: one field for each member of /api/status"),
];

#[test]
fn files_stay_short() {
    let long = |file: &File| file.text.lines().count() > LONGEST_FILE;
    let files = code::program();
    let found: Vec<String> = files.values().filter(|file| long(file)).map(|file| file.name.clone()).collect();
    code::assert_known("files that are too long", &found, &[]);
    let main_lines = fs::read_to_string(code::root().join("src/main.rs")).unwrap().lines().count();
    assert!(main_lines < 40, "main.rs has {main_lines} lines");
}

#[test]
fn functions_stay_short() {
    let files = code::program();
    let mut found = Vec::new();
    for file in files.values() {
        for (name, lines) in functions(&file.code).into_iter().filter(|(_, lines)| *lines > LONGEST_FUNCTION) {
            println!("{} {name}: {lines} lines", file.name);
            found.push(format!("{} {name}", file.name));
        }
    }
    assert_with_reasons("functions of more than 60 lines", &found, LONG_FUNCTIONS);
}

#[test]
fn structs_stay_narrow() {
    let files = code::program();
    let mut found = Vec::new();
    for file in files.values() {
        for (name, fields) in structs(&file.code).into_iter().filter(|(_, fields)| *fields > MAX_FIELDS) {
            println!("{} {name}: {fields} fields", file.name);
            found.push(format!("{} {name}", file.name));
        }
    }
    assert_with_reasons("structs of more than 12 fields", &found, WIDE_STRUCTS);
}

fn assert_with_reasons(what: &str, found: &[String], known: &[(&str, &str)]) {
    let names: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
    code::assert_known(what, found, &names);
    let without: Vec<&str> = known.iter().filter(|(_, reason)| reason.len() < 20).map(|(name, _)| *name).collect();
    assert!(without.is_empty(), "{what}: no reason is given for {without:?}");
}

/// Returns the positions of the keyword in `code`, each with the name that follows.
fn declared<'a>(code: &'a str, keyword: &str) -> Vec<(usize, &'a str)> {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let named = |(at, found): (usize, &str)| {
        let rest = code[at + found.len()..].strip_prefix(' ')?;
        let name = rest.split(|c| !is_word(c)).next().filter(|name| !name.is_empty())?;
        (!code[..at].ends_with(is_word)).then_some((at, name))
    };
    code.match_indices(keyword).filter_map(named).collect()
}

/// Returns each function with its lines, from `fn` to the closing brace.
fn functions(code: &str) -> Vec<(&str, usize)> {
    let with_body = |(at, name)| {
        let body = at + body_of(&code[at..])?;
        let lines = |end: usize| code[at..end].matches('\n').count() + 1;
        code[body..].starts_with('{').then(|| (name, lines(body + code::block(&code[body..]))))
    };
    declared(code, "fn").into_iter().filter_map(with_body).collect()
}

/// Returns the start of the body, or the `;` in its place; the `;` of an array type does not count.
fn body_of(code: &str) -> Option<usize> {
    let mut depth = 0;
    code.bytes().position(|byte| {
        match byte {
            b'(' | b'[' => depth += 1,
            b')' | b']' => depth -= 1,
            _ => {}
        }
        depth == 0 && matches!(byte, b'{' | b';')
    })
}

/// Returns each struct that has named fields with their number.
fn structs(code: &str) -> Vec<(&str, usize)> {
    let with_fields = |(at, name)| {
        let body = at + code[at..].find(['{', ';', '('])?;
        code[body..].starts_with('{').then(|| (name, fields(&code[body..body + code::block(&code[body..])])))
    };
    declared(code, "struct").into_iter().filter_map(with_fields).collect()
}

/// Counts the colons of a block that stand right in it and are no `::`.
fn fields(block: &str) -> usize {
    let bytes = block.as_bytes();
    let (mut depth, mut count) = (0, 0);
    for (at, byte) in bytes.iter().enumerate() {
        match byte {
            b'{' | b'(' | b'[' => depth += 1,
            b'}' | b')' | b']' => depth -= 1,
            b':' if depth == 1 && bytes[at - 1] != b':' && bytes.get(at + 1) != Some(&b':') => count += 1,
            _ => {}
        }
    }
    count
}

#[test]
fn lines_and_fields_are_counted() {
    let code = "fn a(x: [u8; 4]) -> B {\n  if x {\n  }\n}\nfn b(&self);\nstruct S<T> { #[x(y: z)] a: std::net::IpAddr, pub b: Fn(x: u8) }\nstruct U(u8);";
    assert_eq!(functions(code), [("a", 4)]);
    assert_eq!(structs(code), [("S", 2)]);
}
