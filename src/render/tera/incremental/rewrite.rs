//! Loops of Tera templates that stand by themselves: what they print follows from their items and the store alone, item by
//! item. A rewritten template hands the items of each to `each`, which reuses pieces of earlier renders if neither the
//! items nor the keys behind them have changed. Reads and writes template texts only; Tera says whether a loop reads other
//! variables.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use tera::Tera;

use super::pieces::Loops;
use crate::render::lists::ListKind;
use crate::render::tera::functions;
use crate::render::tera::limits::{self, keeps_output};
use crate::render::tera::scan::{self, Tag, TagKind};

/// Name of the function that rewritten templates call. It is no secret, but nothing else can be done with it.
pub(in crate::render::tera) const EACH: &str = "__each";
/// Variable of a loop's own template that holds its list.
pub(in crate::render::tera) const ITEMS: &str = "__items";
/// Variable that holds the text of a piece.
const TEXT: &str = "__text";

/// Returns the name of a loop's own template: no file has such a name.
pub(in crate::render::tera) fn name_of(number: usize) -> String {
    format!("{number}\0{EACH}")
}

/// Returns the name of a rewritten template: no file has such a name.
fn rewritten_name(template: &str) -> String {
    format!("{template}\0{EACH}")
}

/// The templates that are also there with their loops taken out.
#[derive(Default)]
pub(in crate::render::tera) struct Rewritten(BTreeSet<String>);

impl Rewritten {
    /// Returns the name of the rewritten template to render in place of `root`; `None` if pieces gain nothing.
    pub(in crate::render::tera) fn instead_of(&self, root: &str, loops: &Loops) -> Option<String> {
        (loops.are_worth_it() && self.0.contains(root)).then(|| rewritten_name(root))
    }
}

/// Adds the templates that have such loops once more, rewritten.
pub(in crate::render::tera) fn rewrite<'a>(
    tera: &mut Tera,
    templates: impl Iterator<Item = (&'a str, &'a str)>,
) -> Rewritten {
    let mut found: Vec<(&str, &str, Vec<Loop>)> =
        templates.map(|(name, source)| (name, source, loops(source))).filter(|found| !found.2.is_empty()).collect();
    let every = found.iter_mut().flat_map(|(_, _, loops)| loops);
    every.enumerate().for_each(|(position, one)| one.number = position + 1);
    let bodies = found.iter().flat_map(|(_, source, loops)| loops.iter().map(|l| (name_of(l.number), l.body(source))));
    let bodies = bodies.map(|(name, body)| (name, limits::limited(&body, false).text));
    if found.is_empty() || tera.add_raw_templates(bodies).is_err() {
        return Rewritten::default();
    }
    let stands_by_itself = |one: &&Loop| {
        let variables = tera.get_template_variables(&name_of(one.number));
        variables.is_ok_and(|variables| variables.iter().all(|name| *name == ITEMS))
    };
    let mut texts = BTreeMap::new();
    for (name, source, loops) in &found {
        let mut text = String::with_capacity(source.len());
        let mut written = 0;
        for found in loops.iter().filter(stands_by_itself) {
            text.push_str(&source[written..found.whole.start]);
            text.push_str(&found.call(source));
            written = found.whole.end;
        }
        if written > 0 {
            text.push_str(&source[written..]);
            texts.insert((*name).to_owned(), text);
        }
    }
    let renamed =
        texts.iter().map(|(name, text)| (rewritten_name(name), limits::limited(text, keeps_output(text)).text));
    if texts.is_empty() || tera.add_raw_templates(renamed).is_err() {
        return Rewritten::default();
    }
    Rewritten(texts.into_keys().collect())
}

/// A loop, as ranges of bytes of its template.
struct Loop {
    /// Its own among all templates that live together.
    number: usize,
    /// From the opening of `for` to the end of `endfor`.
    whole: Range<usize>,
    /// The name of an item.
    name: Range<usize>,
    /// Expression of the list.
    items: Range<usize>,
    /// From the end of `for` to the opening of `endfor`.
    inside: Range<usize>,
    /// Whether blank text is left out before `for`, after it, before `endfor` and after it.
    trims: [bool; 4],
}

impl Loop {
    /// Returns the loop alone, as a template over [`ITEMS`].
    fn body(&self, source: &str) -> String {
        let [_, after_for, before_end, _] = self.trims;
        let (name, inside) = (&source[self.name.clone()], &source[self.inside.clone()]);
        let (close, open) = (if after_for { "-%}" } else { "%}" }, if before_end { "{%-" } else { "{%" });
        format!("{{% for {name} in {ITEMS} {close}{inside}{open} endfor %}}")
    }

    /// Returns the text that replaces it.
    fn call(&self, source: &str) -> String {
        let [before, _, _, after] = self.trims;
        let (open, close) = (if before { "{%-" } else { "{%" }, if after { "-%}" } else { "%}" });
        let items = source[self.items.clone()].trim();
        let kept =
            [ListKind::Pairs, ListKind::Values].into_iter().find_map(|kind| Some((kind, pattern_of(items, kind)?)));
        let (argument, items) = kept.map_or(("items", items), |(kind, pattern)| (kind.function(), pattern));
        format!(
            "{open} for {TEXT} in {EACH}(n={}, {argument}=({items})) %}}{{{{ {TEXT} }}}}{{% endfor {close}",
            self.number
        )
    }
}

/// Returns the pattern, if an expression is one call of `gets` or `getvs` and nothing else.
fn pattern_of(expression: &str, kind: ListKind) -> Option<&str> {
    let arguments = expression.strip_prefix(kind.function())?.strip_prefix('(')?.strip_suffix(')')?;
    let pattern = arguments.trim_start().strip_prefix("pattern")?.trim_start().strip_prefix('=')?;
    let mut depth = 0;
    let is_one_argument = scan::without_strings(pattern).bytes().all(|byte| {
        match byte {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth -= 1,
            _ => {}
        }
        depth > 0 || (depth == 0 && byte != b',')
    });
    (is_one_argument && depth == 0 && !pattern.starts_with('=')).then(|| pattern.trim())
}

/// Returns the outermost loops that could stand by themselves, in order. Does not check which other variables they read.
fn loops(source: &str) -> Vec<Loop> {
    let tags: Vec<Tag> = scan::tags(source).collect();
    let impure = functions::impure_names();
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(tag) = tags.get(at) {
        at += 1;
        if word_of(tag, source) != "for" {
            continue;
        }
        let Some(end) = end_of_loop(&tags, at, source) else { break };
        found.extend(read_loop(&tags[at - 1..=end], source, &impure));
        at = end + 1;
    }
    found
}

/// Returns the first word of a statement; an empty text for any other tag.
fn word_of<'s>(tag: &Tag, source: &'s str) -> &'s str {
    if tag.kind == TagKind::Statement { scan::identifier(tag.text(source).trim_start()) } else { "" }
}

/// Returns the position of the `endfor` to a `for` before `from`.
fn end_of_loop(tags: &[Tag], from: usize, source: &str) -> Option<usize> {
    let mut depth = 1;
    tags.iter().enumerate().skip(from).find_map(|(position, tag)| {
        match word_of(tag, source) {
            "for" => depth += 1,
            "endfor" => depth -= 1,
            _ => {}
        }
        (depth == 0).then_some(position)
    })
}

/// Reads a loop from the tags between its `for` and its `endfor`, both included.
fn read_loop(tags: &[Tag], source: &str, impure: &BTreeSet<&str>) -> Option<Loop> {
    let [first, within @ .., last] = tags else { return None };
    let text = first.text(source);
    let start = first.inside.end - usize::from(first.trims(source).1) - text.len();
    // `for`, the name, `in`, and the rest. If there are two names, they mean key and value.
    let name_at = text.find("for")? + 3;
    let name_at = name_at + blanks(&text[name_at..]);
    let name = scan::identifier(&text[name_at..]);
    let in_at = name_at + name.len() + blanks(&text[name_at + name.len()..]);
    if name.is_empty() || scan::identifier(&text[in_at..]) != "in" {
        return None;
    }
    let items = start + in_at + 2..start + text.len();
    // Number of open branches in each loop.
    let mut branches = vec![0_usize];
    let mut is_empty = false;
    for tag in within {
        let expression = match tag.kind {
            TagKind::Comment => continue,
            TagKind::Raw => return None,
            TagKind::Print | TagKind::Statement => tag.text(source).trim(),
        };
        let branch = branches.last_mut()?;
        let depth = match word_of(tag, source) {
            "for" => {
                branches.push(0);
                branches.len() - 1
            }
            "endfor" => {
                branches.pop();
                branches.len()
            }
            "if" => {
                *branch += 1;
                branches.len()
            }
            "endif" => {
                *branch = branch.checked_sub(1)?;
                branches.len()
            }
            // The output of a loop without items. `loop` in it means the loop around it.
            "else" if *branch == 0 => {
                is_empty = true;
                (branches.len() == 1).then_some(1)?
            }
            // A variable set in a branch only may also be one of the template, and stays that if there are no items.
            "set" if *branch == 0 && !is_empty && expression.contains('=') => branches.len(),
            "elif" | "else" => branches.len(),
            _ if tag.kind == TagKind::Print => branches.len(),
            _ => return None,
        };
        if !is_plain(expression, depth, impure) {
            return None;
        }
    }
    Some(Loop {
        number: 0,
        whole: first.open..last.end(),
        name: start + name_at..start + name_at + name.len(),
        items,
        inside: first.end()..last.open,
        trims: [first.trims(source).0, first.trims(source).1, last.trims(source).0, last.trims(source).1],
    })
}

/// Checks whether an expression calls no impure function, and asks nothing of the outermost loop.
fn is_plain(expression: &str, depth: usize, impure: &BTreeSet<&str>) -> bool {
    let bare = scan::without_strings(expression);
    // A component: its definition is elsewhere.
    if bare.match_indices('<').any(|(at, _)| bare[at + 1..].trim_start().starts_with(|c: char| !c.is_ascii_digit())) {
        return false;
    }
    let mut words = bare.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.all(|word| !impure.contains(word) && !word.starts_with("__") && (depth > 1 || word != "loop"))
}

fn blanks(text: &str) -> usize {
    text.len() - text.trim_start().len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::resource::Escape;
    use crate::render::tera::engine::empty;

    /// Checks the number of loops that are taken out.
    fn check(source: &str, expected: usize) {
        let mut tera = empty(Escape::None);
        tera.add_raw_template("t", source).ok();
        let names = rewrite(&mut tera, std::iter::once(("t", source)));
        assert_eq!(names.0.len(), expected.min(1), "{source}");
        let taken = (1..9).filter(|number| {
            let body = name_of(*number);
            tera.contains_template(&body)
                && tera.get_template_variables(&body).unwrap().iter().all(|name| *name == ITEMS)
        });
        assert_eq!(taken.count(), expected, "{source}");
    }

    #[test]
    fn a_loop_that_stands_by_itself_is_taken_out() {
        for (source, expected) in [
            ("a {% for x in l %}{{ x }}{% endfor %} b", 1),
            ("{%- for x in gets(pattern=\"%}\") -%} {{ x.key }} {%- endfor -%}", 1),
            ("{% for x in l %}{% for y in x %}{{ loop.index }}{{ y }}{% endfor %}{% endfor %}", 1),
            ("{% for x in l %}{% set y = x.a %}{{ y }}{% else %}none{% endfor %}", 1),
            ("{% for x in l %}{# loop #}{{ \"loop\" }}{% if x < 3 %}{{ getv(key=x) }}{% endif %}{% endfor %}", 1),
            ("{% for x in {\"a\": {\"b\": 1}} %}{{ x }}{% endfor %}", 1),
            ("{% for x in l %}{{ y }}{% endfor %}{% for x in l %}x{% endfor %}{% for x in m %}x{% endfor %}", 2),
            ("{% raw %}{% for x in l %}{% endraw %}{% for x in l %}x{% endfor %}", 1),
            ("{% for x in l %}{% for y in x %}{% for z in y %}{{ x }}{% endfor %}{% endfor %}{% endfor %}", 1),
        ] {
            check(source, expected);
        }
    }

    #[test]
    fn what_stands_in_place_of_a_loop_trims_as_it_did() {
        for (source, expected) in [
            ("{% for x in l %} {% endfor %}", "{% for __text in __each(n=0, items=(l)) %}{{ __text }}{% endfor %}"),
            ("{%- for x in l -%} {%- endfor %}", "{%- for __text in __each(n=0, items=(l)) %}{{ __text }}{% endfor %}"),
            ("{% for x in l -%} {% endfor -%}", "{% for __text in __each(n=0, items=(l)) %}{{ __text }}{% endfor -%}"),
        ] {
            assert_eq!(loops(source)[0].call(source), expected);
        }
        for (items, expected) in [
            ("gets(pattern=\"/a/*\")", "gets=(\"/a/*\")"),
            ("getvs( pattern = p ~ f(x=1, y=[2, 3]) )", "getvs=(p ~ f(x=1, y=[2, 3]))"),
            ("gets(pattern=\"a,)\" ~ \"(\")", "gets=(\"a,)\" ~ \"(\")"),
            ("gets(pattern=p, more=1)", "items=(gets(pattern=p, more=1))"),
            ("gets(pattern=p) | f(x=1)", "items=(gets(pattern=p) | f(x=1))"),
            ("gets(pattern=f(x=1)) | f(x=1)", "items=(gets(pattern=f(x=1)) | f(x=1))"),
            ("gets()", "items=(gets())"),
            ("my_gets(pattern=p)", "items=(my_gets(pattern=p))"),
        ] {
            let source = format!("{{% for x in {items} %}}{{% endfor %}}");
            let call = loops(&source)[0].call(&source);
            assert_eq!(call, format!("{{% for __text in __each(n=0, {expected}) %}}{{{{ __text }}}}{{% endfor %}}"));
        }
        let source = "{%- for x in l -%} a {%- endfor -%}";
        assert_eq!(loops(source)[0].body(source), "{% for x in __items -%} a {%- endfor %}");
    }

    #[test]
    fn a_loop_that_asks_for_more_stays() {
        for source in [
            "{% for x in l %}{{ y }}{% endfor %}",
            "{% for x in l %}{{ x }}{% else %}{{ x }}{% endfor %}",
            "{% for k, v in l %}{{ v }}{% endfor %}",
            "{% for x in l %}{{ loop.index }}{% endfor %}",
            "{% for x in l %}{% for y in [loop.index] %}{{ y }}{% endfor %}{% endfor %}",
            "{% for x in l %}{% for y in x %}{% else %}{{ loop.index }}{% endfor %}{% endfor %}",
            "{% for x in l %}{% if x %}{% set y = 1 %}{% endif %}{% endfor %}",
            "{% for x in l %}{% else %}{% set y = 1 %}{% endfor %}",
            "{% for x in l %}{% set y %}text{% endset %}{% endfor %}",
            "{% for x in l %}{% set_global y = 1 %}{% endfor %}",
            "{% for x in l %}{% break %}{% endfor %}",
            "{% for x in l %}{% continue %}{% endfor %}",
            "{% for x in l %}{% include \"t\" %}{% endfor %}",
            "{% for x in l %}{{ <card a={x}/> }}{% endfor %}",
            "{% for x in l %}{% raw %}{{ x }}{% endraw %}{% endfor %}",
            "{% for x in l %}{% for b in backends(prefix=x) %}{% endfor %}{% endfor %}",
            "{% for x in l %}{{ servers(prefix=x) }}{% endfor %}",
            "{% for x in l %}{{ generation() }}{% endfor %}",
            "{% for x in l %}{{ getenv(name=x) }}{% endfor %}",
            "{% for x in l %}{{ __each(n=1, items=x) }}{% endfor %}",
            "{% for x in l %}{{ __items }}{% endfor %}",
            "{% for x in l %}",
            "{% for %}{% endfor %}",
            "{% endfor %}",
            "",
        ] {
            check(source, 0);
        }
    }
}
