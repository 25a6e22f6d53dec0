//! Meanings of a confd resource that differ here: one line each, with its place and the reason. Pure: a difference is
//! reported, never judged; it is no mistake.

use crate::model::resource::{Engine, Resource};

use super::resource::PrefixMode;
use crate::model::problem::{Place, Position, Problem};

/// Returns the differences of one resource, if its template is confd's. `text` is its file; `prefix` is the global prefix
/// and how it combines with the resource's own.
pub fn of_resource(resource: &Resource, text: &str, prefix: (&str, PrefixMode)) -> Vec<Problem> {
    if resource.engine != Engine::Go {
        return Vec::new();
    }
    let field = |name: &str| WrittenField::find(text, name);
    let mut found = Vec::new();
    let mut add = |name: &str, field: Option<WrittenField<'_>>, message: String| {
        let place = |field: WrittenField<'_>| Place::at(&resource.file, field.position);
        found.extend(field.map(|field| Problem::new(format!("{name}: {message}")).at(place(field))));
    };
    if let Some(mode) = field("mode")
        && let Some((written, meant)) = decimal_mode(mode.value)
    {
        let message = format!("`{written}` is octal; confd reads it as decimal, which makes the mode {meant:04o}");
        add("mode", Some(mode), message);
    }
    for name in ["owner", "group"] {
        add(name, field(name), "is set; the older confd ignores it".to_owned());
    }
    if resource.check.as_ref().is_some_and(|check| !check.names_src()) {
        let message = "sees the new file in its place, and the live one is untouched until it passes; confd runs it while the \
                       old file is there";
        add("check_cmd", field("check_cmd"), message.to_owned());
    }
    if let Some(reload) = field("reload_cmd") {
        if reload.value.contains("{{") {
            let message = "paths replace {{…}}, as in the newer confd; the older passes it to the shell unchanged";
            add("reload_cmd", Some(reload), message.to_owned());
        }
        let message = "a reload that fails puts the previous file back (-onetime only if it sees that something runs) and is done \
                       again; confd leaves the new file and never tries again";
        add("reload_cmd", Some(reload), message.to_owned());
    }
    if resource.keys.is_empty() {
        let message = "empty: the file is rendered once in every mode; with --watch, confd never renders it";
        add("keys", field("keys"), message.to_owned());
    }
    let dropped = "a reload that would come too early waits and is done then; confd drops it";
    add("min_reload_interval", field("min_reload_interval"), dropped.to_owned());
    let debounce = "counted from the last change, within a limit; confd counts from the first";
    add("debounce", field("debounce"), debounce.to_owned());
    let (global, mode) = prefix;
    if !global.is_empty() {
        let message = match mode {
            PrefixMode::Concatenate => {
                format!("keys are read below {global} and this; the older confd reads {global} alone")
            }
            PrefixMode::Replace => format!("keys are read below {global} alone; the newer confd appends this to it"),
        };
        add("prefix", field("prefix"), message);
    }
    found
}

/// Returns the difference of resources that share their commands, in the order of their names.
pub fn of_group(resources: &[&Resource]) -> Option<Problem> {
    let [first, others @ ..] = resources else { return None };
    let is_confds = resources.iter().all(|resource| resource.engine == Engine::Go);
    if others.is_empty() || !is_confds || (first.check.is_none() && first.reload.is_none()) {
        return None;
    }
    let names: Vec<&str> = others.iter().map(|resource| &**resource.name()).collect();
    let message = format!(
        "shares its commands with {}: one check and one reload for all of them; confd runs them for each",
        names.join(" ")
    );
    Some(Problem::new(message).at(Place::file(&first.file)))
}

/// Most further places that one line names.
const MAX_PLACES: usize = 3;

/// Returns one line for each difference, in order of the first place where it is: its further places stand behind it.
pub fn lines(mut found: Vec<Problem>) -> Vec<String> {
    found.sort_by(|a, b| a.place.cmp(&b.place));
    found.dedup();
    let mut lines: Vec<(Problem, Vec<Place>)> = Vec::new();
    for problem in found {
        match lines.iter_mut().find(|(first, _)| first.message == problem.message) {
            Some((_, further)) => further.extend(problem.place),
            None => lines.push((problem, Vec::new())),
        }
    }
    let line = |(first, further): (Problem, Vec<Place>)| {
        let mut named: Vec<String> = further.iter().take(MAX_PLACES).map(ToString::to_string).collect();
        named.extend(further.len().checked_sub(MAX_PLACES).filter(|n| *n > 0).map(|n| format!("{n} more")));
        let also = if named.is_empty() { String::new() } else { format!(" (also {})", named.join(", ")) };
        format!("{first}{also}")
    };
    lines.into_iter().map(line).collect()
}

/// Returns the place of a field in a resource's file with this text; the file if it is not found.
pub fn place_of(resource: &Resource, text: &str, name: &str) -> Place {
    let field = WrittenField::find(text, name);
    field.map_or_else(|| Place::file(&resource.file), |field| Place::at(&resource.file, field.position))
}

/// A field of a resource's file, as written.
#[derive(Clone, Copy)]
struct WrittenField<'a> {
    position: Position,
    /// Text behind the `=`.
    value: &'a str,
}

impl<'a> WrittenField<'a> {
    /// Returns the first line that sets `name`. As in confd, case does not matter.
    fn find(text: &'a str, name: &str) -> Option<WrittenField<'a>> {
        text.lines().enumerate().find_map(|(index, line)| {
            let (key, value) = line.split_once('=')?;
            let found = key.trim().trim_matches('"').eq_ignore_ascii_case(name);
            let column = line.chars().take_while(|c| c.is_whitespace()).count() + 1;
            found.then(|| WrittenField { position: Position { line: index + 1, column }, value: value.trim() })
        })
    }
}

/// Returns the text of a mode that confd reads as decimal, and the mode that confd makes of it.
fn decimal_mode(value: &str) -> Option<(&str, u32)> {
    let text = value.trim_matches(['"', '\'']);
    let is_decimal = !text.starts_with('0') && !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    Some((text, text.parse::<u32>().ok().filter(|_| is_decimal)? & 0o777))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::config::resource::{Defaults, ResourceFile, parse};
    use expect_test::{Expect, expect};

    fn resource(name: &str, lines: &str) -> (Resource, String) {
        let text = format!("[template]\nsrc = \"a.tmpl\"\ndest = \"/etc/{name}\"\n{lines}");
        let file = ResourceFile { name: name.into(), path: name.into(), text: text.clone() };
        (parse(&file, &Defaults::default()).unwrap(), text)
    }

    fn check(lines: &str, prefix: (&str, PrefixMode), expected: Expect) {
        let (resource, text) = resource("a.toml", lines);
        let found: Vec<String> = of_resource(&resource, &text, prefix).iter().map(ToString::to_string).collect();
        expected.assert_eq(&found.join("\n"));
    }

    #[test]
    fn a_plain_resource_differs_in_nothing() {
        let none = ("", PrefixMode::Concatenate);
        check("keys = [\"/a\"]\nmode = \"0644\"\nprefix = \"/p\"\n", none, expect![[""]]);
        check("keys = [\"/a\"]\ncheck_cmd = \"nginx -t -c {{.src}}\"\n", none, expect![[""]]);
        check("keys = []\nengine = \"tera\"\nmode = \"644\"\n", none, expect![[""]]);
    }

    #[test]
    fn each_difference_is_reported_with_its_place() {
        check(
            "keys = []\n  mode = \"644\"\nOwner = \"root\"\ncheck_cmd = \"nginx -t\"\nreload_cmd = \"touch {{.dest}}\"\n\
             min_reload_interval = \"5s\"\ndebounce = \"2s\"\nprefix = \"/p\"\n",
            ("/production", PrefixMode::Concatenate),
            expect![[r#"
                a.toml:5:3: mode: `644` is octal; confd reads it as decimal, which makes the mode 0204
                a.toml:6:1: owner: is set; the older confd ignores it
                a.toml:7:1: check_cmd: sees the new file in its place, and the live one is untouched until it passes; confd runs it while the old file is there
                a.toml:8:1: reload_cmd: paths replace {{…}}, as in the newer confd; the older passes it to the shell unchanged
                a.toml:8:1: reload_cmd: a reload that fails puts the previous file back (-onetime only if it sees that something runs) and is done again; confd leaves the new file and never tries again
                a.toml:4:1: keys: empty: the file is rendered once in every mode; with --watch, confd never renders it
                a.toml:9:1: min_reload_interval: a reload that would come too early waits and is done then; confd drops it
                a.toml:10:1: debounce: counted from the last change, within a limit; confd counts from the first
                a.toml:11:1: prefix: keys are read below /production and this; the older confd reads /production alone"#]],
        );
        let replace = ("/production", PrefixMode::Replace);
        let expected = "a.toml:5:1: prefix: keys are read below /production alone; the newer confd appends this to it";
        let (resource, text) = resource("a.toml", "keys = [\"/a\"]\nprefix = \"/p\"\n");
        assert_eq!(of_resource(&resource, &text, replace)[0].to_string(), expected);
    }

    #[test]
    fn a_difference_of_many_resources_is_one_line() {
        let differences = |names: &[&str]| {
            let found = names.iter().flat_map(|name| {
                let (resource, text) = resource(name, "keys = [\"/a\"]\nmode = \"644\"\nowner = \"root\"\n");
                of_resource(&resource, &text, ("", PrefixMode::Concatenate))
            });
            lines(found.collect()).join("\n")
        };
        expect![[r#"
            a.toml:5:1: mode: `644` is octal; confd reads it as decimal, which makes the mode 0204 (also b.toml:5:1)
            a.toml:6:1: owner: is set; the older confd ignores it (also b.toml:6:1)"#]]
        .assert_eq(&differences(&["b.toml", "a.toml"]));
        let many = differences(&["a.toml", "b.toml", "c.toml", "d.toml", "e.toml", "f.toml"]);
        assert!(many.ends_with("ignores it (also b.toml:6:1, c.toml:6:1, d.toml:6:1, 2 more)"), "{many}");
    }

    #[test]
    fn resources_that_share_their_commands_are_reported_once() {
        let both: Vec<Arc<Resource>> = ["a.toml", "b.toml"]
            .map(|name| Arc::new(resource(name, "keys = [\"/a\"]\nreload_cmd = \"true\"\n").0))
            .to_vec();
        let both: Vec<&Resource> = both.iter().map(|resource| &**resource).collect();
        assert_eq!(
            of_group(&both).unwrap().to_string(),
            "a.toml: shares its commands with b.toml: one check and one reload for all of them; confd runs them for each"
        );
        assert!(of_group(&both[..1]).is_none() && of_group(&[]).is_none());
    }
}
