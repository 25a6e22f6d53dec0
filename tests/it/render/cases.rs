//! Case files. `$$ keys` has `key = value` lines (a JSON string or `hex:ff00` for odd ones), `$$ template` the root,
//! `$$ template name` others, `$$ resource` may set `keys`, `prefix` and `escape`. Below `go/` they are Go templates;
//! there, `$$ each` holds one template per line, and the result of each is expected: `=` output, `!` an error.

use std::sync::Arc;

use upstreamd::model::key::{Key, Revision, Value};
use upstreamd::model::problem::Problem;
use upstreamd::model::range::KeyRanges;
use upstreamd::model::resource::{Engine, Escape};
use upstreamd::model::tree::Tree;
use upstreamd::model::view::View;
use upstreamd::render::{Memory, Root, TemplateSources, compile};

use super::facts::FixedFacts;
use crate::support::cases::{self, Case};

#[test]
fn templates_that_render() {
    cases::run("render/ok", |case| match rendered(case, Engine::Tera) {
        Ok(bytes) => String::from_utf8(bytes).unwrap(),
        Err(errors) => format!("unexpected: {}", described(&errors)),
    });
}

#[test]
fn templates_that_fail() {
    cases::run("render/err", |case| match rendered(case, Engine::Tera) {
        Ok(bytes) => format!("unexpected success: {}", String::from_utf8_lossy(&bytes)),
        Err(errors) => described(&errors),
    });
}

#[test]
fn go_templates_that_render() {
    cases::run("go/ok", |case| match rendered(case, Engine::Go) {
        Ok(bytes) => String::from_utf8(bytes).unwrap(),
        Err(errors) => format!("unexpected: {}", described(&errors)),
    });
}

#[test]
fn go_templates_that_fail() {
    cases::run("go/err", |case| match rendered(case, Engine::Go) {
        Ok(bytes) => format!("unexpected success: {}", String::from_utf8_lossy(&bytes)),
        Err(errors) => described(&errors),
    });
}

#[test]
fn go_templates_of_one_line() {
    cases::run("go/each", |case| {
        let keys = cases::Section { title: "keys".to_owned(), text: case.text("keys").to_owned() };
        let mut results = String::new();
        for line in case.text("each").lines() {
            let template = cases::Section { title: "template".to_owned(), text: line.to_owned() };
            let keys = cases::Section { title: keys.title.clone(), text: keys.text.clone() };
            let one = Case { path: case.path.clone(), sections: vec![keys, template] };
            let result = match rendered(&one, Engine::Go) {
                Ok(bytes) => match String::from_utf8(bytes).unwrap() {
                    text if text.contains('\n') || text.trim_end() != text => format!("= {text:?}"),
                    text => format!("= {text}"),
                },
                Err(errors) => format!("! {}", described(&errors).trim_end().replace('\n', "\n ")),
            };
            results.push_str(&format!("{line}\n  {result}\n"));
        }
        results
    });
}

fn rendered(case: &Case, engine: Engine) -> Result<Vec<u8>, Vec<Problem>> {
    let mut sources = TemplateSources::new();
    for section in &case.sections {
        if let Some(name) = section.title.strip_prefix("template") {
            let name = if name.is_empty() { "main" } else { name.trim() };
            sources.insert(name.to_owned(), Arc::from(section.text.as_str()));
        }
    }
    let escape = match setting(case, "escape") {
        Some("nginx") => Escape::Nginx,
        _ => Escape::None,
    };
    let root = Root::new("main", engine, escape);
    let (renderer, problems) = compile(&sources, &[root], Arc::new(FixedFacts));
    if !problems.is_empty() {
        return Err(problems.into_iter().map(|(_, problem)| problem).collect());
    }
    renderer.render(root, &view(case), &mut Memory::default()).result.map_err(|error| vec![error])
}

pub fn view(case: &Case) -> View {
    let entries = case.text("keys").lines().filter(|line| !line.is_empty()).map(|line| {
        let (key, value) = line.split_once(" = ").unwrap_or_else(|| panic!("{}: {line}", case.path.display()));
        let value = match value.strip_prefix("hex:") {
            Some(hex) => {
                (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
            }
            None => plain(value).into_bytes(),
        };
        (Key::from(plain(key).as_str()), Value::from_bytes(&value))
    });
    let tree = Tree::from_entries(Revision(1), entries);
    let prefix = setting(case, "prefix").unwrap_or("");
    let directories: Vec<String> = match setting(case, "keys") {
        Some(keys) => keys.split(", ").map(|key| format!("{prefix}{key}")).collect(),
        None => vec![prefix.to_owned()],
    };
    View::new(tree, Arc::from(prefix), KeyRanges::of_directories(directories.iter().map(String::as_str)))
}

fn setting<'a>(case: &'a Case, name: &str) -> Option<&'a str> {
    case.text("resource").lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(" = "))
}

fn plain(text: &str) -> String {
    if text.starts_with('"') { serde_json::from_str(text).unwrap() } else { text.to_owned() }
}

fn described(errors: &[Problem]) -> String {
    errors.iter().map(|error| format!("{error}\n")).collect()
}
