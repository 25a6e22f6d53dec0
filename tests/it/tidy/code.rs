//! The program's own source as the tidy tests read it: the files below `src`, their headers, and their code without comments, texts
//! and tests. Never judges.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

/// A file below `src` that is part of the program, not of its tests.
pub struct File {
    /// Path below `src`, such as `apply/plan.rs`.
    pub name: String,
    /// The whole text.
    pub text: String,
    /// The text without comments, string contents and items of tests; lines keep their numbers.
    pub code: String,
}

impl File {
    /// The file `name` with this text.
    pub fn new(name: &str, text: String) -> File {
        File { name: name.to_owned(), code: without_tests(&bare(&text)), text }
    }

    /// Returns the lines that open with `//!`, as one text.
    pub fn header(&self) -> String {
        let lines = self.text.lines().map_while(|line| line.strip_prefix("//!"));
        lines.map(str::trim).collect::<Vec<_>>().join(" ")
    }

    /// Returns the module the file holds: `["apply", "plan"]`; nothing for `lib.rs`.
    pub fn module(&self) -> Vec<String> {
        let path = self.name.trim_end_matches(".rs");
        let path = path.strip_suffix("/mod").unwrap_or(path);
        if path == "lib" { Vec::new() } else { path.split('/').map(str::to_owned).collect() }
    }

    /// Returns the file's place for people: `src/apply/plan.rs:12`, for a position in `code`.
    pub fn place(&self, position: usize) -> String {
        format!("src/{}:{}", self.name, 1 + self.code[..position].matches('\n').count())
    }
}

/// Returns the folder of the package, wherever the test program was built.
pub fn root() -> &'static Path {
    crate::support::package_root()
}

/// Returns every file of Rust below `folder`, in order.
pub fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap().flatten() {
        if entry.path().is_dir() {
            files.extend(rust_files(&entry.path()));
        } else if entry.path().extension().is_some_and(|extension| extension == "rs") {
            files.push(entry.path());
        }
    }
    files.sort();
    files
}

/// Returns the program's files by their path below `src`; files of tests are left out.
pub fn program() -> &'static BTreeMap<String, File> {
    static PROGRAM: LazyLock<BTreeMap<String, File>> = LazyLock::new(read_program);
    &PROGRAM
}

fn read_program() -> BTreeMap<String, File> {
    let src = root().join("src");
    rust_files(&src)
        .into_iter()
        .map(|path| File::new(path.strip_prefix(&src).unwrap().to_str().unwrap(), fs::read_to_string(&path).unwrap()))
        .filter(|file| !file.name.ends_with("/tests.rs") && !file.name.contains("/tests/"))
        .map(|file| (file.name.clone(), file))
        .collect()
}

/// Blanks comments and what stands between quotes.
pub fn bare(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let rest = &text[at..];
        let length = match bytes[at] {
            b'/' if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
            b'/' if rest.starts_with("/*") => rest.find("*/").map_or(rest.len(), |end| end + 2),
            b'r' if !is_word(bytes, at.wrapping_sub(1)) && raw_text(rest).is_some() => raw_text(rest).unwrap_or(1),
            b'"' => quoted(rest, '"'),
            b'\'' if is_character(rest) => quoted(rest, '\''),
            _ => 0,
        };
        let kept = |byte: u8| byte == b'\n' || length == 0;
        for byte in &mut out[at..at + length] {
            *byte = if kept(*byte) { *byte } else { b' ' };
        }
        at += length.max(rest.chars().next().map_or(1, char::len_utf8));
    }
    String::from_utf8(out).unwrap()
}

fn is_word(bytes: &[u8], at: usize) -> bool {
    bytes.get(at).is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')
}

/// Returns the length of `r"…"` or `r#"…"#`.
fn raw_text(rest: &str) -> Option<usize> {
    let hashes = rest[1..].bytes().take_while(|byte| *byte == b'#').count();
    let inside = rest[1 + hashes..].strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    Some(2 + hashes + inside.find(&end)? + end.len())
}

/// Distinguishes `'a'` and `'\n'` from a lifetime.
fn is_character(rest: &str) -> bool {
    let mut next = rest[1..].chars();
    match next.next() {
        Some('\\') => true,
        Some(_) => next.next() == Some('\''),
        None => false,
    }
}

fn quoted(rest: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, character) in rest.char_indices().skip(1) {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if character == quote => return at + 1,
            _ => {}
        }
    }
    rest.len()
}

/// Blanks every item below `#[cfg(test)]`, in code that is bare already.
fn without_tests(code: &str) -> String {
    let mut out = code.to_owned();
    while let Some(start) = out.find("#[cfg(test)]") {
        let body = out[start..].find(['{', ';']).map_or(out.len(), |at| start + at);
        let end = if out[body..].starts_with('{') { body + block(&out[body..]) } else { (body + 1).min(out.len()) };
        let blank: String = out[start..end].chars().map(|c| if c == '\n' { '\n' } else { ' ' }).collect();
        out.replace_range(start..end, &blank);
    }
    out
}

/// Returns the length of the block that `code` begins with, braces included.
pub fn block(code: &str) -> usize {
    let mut depth = 0;
    for (at, byte) in code.bytes().enumerate() {
        match byte {
            b'{' => depth += 1,
            b'}' if depth == 1 => return at + 1,
            b'}' => depth -= 1,
            _ => {}
        }
    }
    code.len()
}

/// Compares what was found with the list of those that are known: both directions fail, so that a list can only shrink.
pub fn assert_known(what: &str, found: &[String], known: &[&str]) {
    let new: Vec<&String> = found.iter().filter(|found| !known.contains(&found.as_str())).collect();
    let gone: Vec<&&str> = known.iter().filter(|known| !found.iter().any(|found| found == **known)).collect();
    assert!(new.is_empty(), "{what}: {new:#?}");
    assert!(gone.is_empty(), "{what}: on the list of exceptions, but no longer so: take them off it: {gone:#?}");
}

#[test]
fn comments_texts_and_tests_are_blanked() {
    let text = "let a = \"x{\\\"\"; // y\nlet b = r#\"{\"\"#; let c = '{'; fn f<'a>() {}\n#[cfg(test)]\nmod tests { fn g() {} }\nlast";
    let file = File::new("a/mod.rs", text.to_owned());
    let kept: Vec<&str> = file.code.split_whitespace().collect();
    assert_eq!(kept.join(" "), "let a = ; let b = ; let c = ; fn f<'a>() {} last");
    assert_eq!((file.module(), file.place(file.code.len())), (vec!["a".to_owned()], "src/a/mod.rs:5".to_owned()));
}
