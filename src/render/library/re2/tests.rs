//! Patterns as Go reads them: what each matches and does not match, and texts that are not patterns.

use super::*;
use regex::Regex;

#[track_caller]
fn check(pattern: &str, matches: &[&str], others: &[&str]) {
    let translated = translate(pattern).unwrap_or_else(|| panic!("{pattern} is refused"));
    let regex = Regex::new(&translated).unwrap_or_else(|error| panic!("{pattern}: {error}"));
    for text in matches {
        assert!(regex.is_match(text), "{pattern} as {translated} does not match {text:?}");
    }
    for text in others {
        assert!(!regex.is_match(text), "{pattern} as {translated} matches {text:?}");
    }
}

#[test]
fn perls_sets_are_ascii() {
    check(r"^\w+$", &["aZ_9"], &["é", ""]);
    check(r"^[\w.-]+$", &["a.b-c"], &["bücher.example"]);
    check(r"[^\w.-]", &["ü", " "], &["a.b"]);
    check(r"^\d$", &["7"], &["٣"]);
    check(r"^\s$", &[" ", "\t", "\u{c}"], &["\u{a0}", "\u{b}"]);
    check(r"^[\D]$", &["٣", "a"], &["7"]);
    check(r"\bé", &["aé"], &["é"]);
    check(r"\ba", &["é a", "a"], &["ba"]);
}

#[test]
fn braces_that_count_nothing_are_themselves() {
    check("^server {$", &["server {"], &["server"]);
    check(r"{(\w+)}", &["/a/{b}"], &["/a/b"]);
    check("^a{,2}$", &["a{,2}"], &["aa"]);
    check("^x{a}{$", &["x{a}{"], &[]);
    check("^a{2,3}b{2}c{1,}$", &["aabbc"], &["abbc", "aabb"]);
    check("^a{2,3}?$", &["aa"], &["a"]);
    check("}]", &["}]"], &[]);
}

#[test]
fn sets_have_no_operators() {
    check("^[a&&b]$", &["a", "&", "b"], &["c"]);
    check("^[+--]$", &["+", ",", "-"], &["."]);
    check("^[[a]$", &["[", "a"], &["b"]);
    check("^[a-z[]$", &["q", "["], &["]"]);
    check("^[]a]$", &["]", "a"], &["b"]);
    check("^[^]a]$", &["b", "\n"], &["]"]);
    check("^[a-]$", &["a", "-"], &["b"]);
    check("^[~~x]$", &["~", "x"], &["y"]);
    check(r"^[\-\]\\^]$", &["-", "]", "\\", "^"], &["a"]);
    check("^[[:alpha:]_[:^digit:]]$", &["é", "a", "_"], &["7"]);
    check("^[:a]$", &[":", "a"], &["b"]);
}

#[test]
fn escapes_and_groups() {
    check(r"\<a", &["<a"], &["a"]);
    check(r"^\Qa.b\E+$", &["a.bb"], &["axb"]);
    check(r"^\Qa.(", &["a.(b"], &["a"]);
    check(r"^\123\x41\x{e9}\0$", &["SAé\u{0}"], &[]);
    check(r"^\t\.\_\/$", &["\t._/"], &[]);
    check(r"^(?i:ab)(?P<n>c)(?<m>d)(?s).$", &["ABcd\n"], &["abCd."]);
    check(r"^\pL\p{Greek}\p{^Greek}\PL$", &["aαa1"], &["ααα1"]);
    check("^(a|b)*?c$", &["abc"], &["abd"]);
    check("# not a comment", &["# not a comment"], &[]);
}

#[test]
fn what_go_refuses_is_refused() {
    for pattern in [
        "a++",
        "a**",
        "a{2}{3}",
        "a*{2}",
        "a???",
        "(?x) a",
        "(?R)a",
        r"\u0041",
        "a{1001}",
        "a{3,2}",
        r"\Z",
        r"\1",
        r"\8",
        r"\C",
        "*a",
        "(*a)",
        "[z-a]",
        "[a",
        "[[:nope:]]",
        r"[a-\d]",
        r"\x4",
        r"\x{}",
        r"\p{a=b}",
        r"\E",
        "(?=a)",
        "(?!a)",
        r"a|*",
    ] {
        let refused = translate(pattern).is_none_or(|translated| Regex::new(&translated).is_err());
        assert!(refused, "{pattern} as {:?}", translate(pattern));
    }
}

#[test]
fn a_brace_reads_no_further_than_its_count() {
    check("^{{1,2,3}$", &["{{1,2,3}"], &["{"]);
    check("^a{1{2}$", &["a{11"], &["a{1{"]);
    assert_eq!(translate("a{99999999999999999999}"), None);
}
