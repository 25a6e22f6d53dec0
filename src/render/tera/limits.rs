//! Limits in Tera templates. Tera computes loops, `~`, comparisons and lists by itself and asks nobody, so each such expression is
//! passed through a filter of ours when the template is compiled: it counts rounds, looks at the clock, and refuses what is too large.
//! A tag that has none of these stays as it is. Reads and writes texts only.

mod expression;
mod filter;

use expression::{
    COSTLY_WORDS, Insertion, around, cost, find_word, inner_limits, masked, uses_component, value_of_set,
};
use filter::Limit;
pub(super) use filter::register;

use super::scan::{self, Tag, TagKind};

/// A template with its limits.
pub(super) struct Limited {
    pub(super) text: String,
    pub(super) shifts: Shifts,
}

/// The places of limits.
#[derive(Clone, Default)]
pub(super) struct Shifts(Vec<Shift>);

/// One text of ours in a template.
#[derive(Clone)]
struct Shift {
    /// Offset in the template as it was written.
    at: usize,
    /// Length, in bytes.
    length: usize,
    /// Offset of the expression that it limits.
    of: usize,
}

impl Shifts {
    /// Returns the offset in the template as it was written; for a limit that of its expression.
    pub(super) fn original(&self, offset: usize) -> usize {
        let mut inserted = 0;
        for Shift { at, length, of } in &self.0 {
            if offset < at + inserted {
                break;
            }
            if offset < at + inserted + length {
                return *of;
            }
            inserted += length;
        }
        offset - inserted
    }
}

/// Checks whether a template keeps what it prints: in blocks of `set` and `filter`, components, and `super()`.
pub(super) fn keeps_output(source: &str) -> bool {
    if !["set", "filter", "component", "super", "<"].iter().any(|word| source.contains(word)) {
        return false;
    }
    scan::tags(source).any(|tag| {
        let text = masked(tag.text(source).trim_start());
        match (tag.kind, scan::identifier(&text)) {
            (TagKind::Statement, "filter" | "component") => true,
            (TagKind::Statement, "set" | "set_global") if value_of_set(&text).is_none() => true,
            (TagKind::Print | TagKind::Statement, _) => find_word(&text, "super").is_some() || uses_component(&text),
            (TagKind::Comment | TagKind::Raw, _) => false,
        }
    })
}

/// Puts limits into a template. `is_kept`: what it prints may be kept, and counts.
pub(super) fn limited(source: &str, is_kept: bool) -> Limited {
    let mut insertions = Vec::new();
    let mut texts = if is_kept { OwnText::begin(source, &mut insertions) } else { OwnText::default() };
    for tag in scan::tags(source) {
        let before = insertions.len();
        limit_tag(&tag, source, is_kept, &mut insertions);
        let last = insertions.len().checked_sub(1).filter(|last| *last >= before);
        texts.take(&tag, source, last, &mut insertions);
    }
    texts.close(source.len(), &mut insertions);
    let mut text = String::with_capacity(source.len() + insertions.len() * 12);
    let mut shifts = Vec::with_capacity(insertions.len());
    let mut written = 0;
    for Insertion { at, text: inserted, of } in insertions {
        text.push_str(&source[written..at]);
        text.push_str(&inserted);
        shifts.push(Shift { at, length: inserted.len(), of });
        written = at;
    }
    text.push_str(&source[written..]);
    Limited { text, shifts: Shifts(shifts) }
}

/// Bytes of a template's own text in the file, in each component and in each loop: what may be kept counts.
#[derive(Default)]
struct OwnText {
    /// For each that is open, the insertion that counts its rounds, if there is one, and the bytes so far.
    open: Vec<(Option<usize>, usize)>,
    end: usize,
}

impl OwnText {
    /// Begins with the whole file, whose includes are its rounds. One that extends a different one has no text of its own.
    fn begin(source: &str, insertions: &mut Vec<Insertion>) -> OwnText {
        let extends = scan::tags(source).any(|tag| scan::identifier(tag.text(source).trim_start()) == "extends");
        if extends {
            return OwnText::default();
        }
        insertions.push(Insertion { at: 0, text: round_tag("", ""), of: 0 });
        OwnText { open: vec![(Some(0), 0)], end: 0 }
    }

    /// Adds what is before a tag, of which the last insertion is this.
    fn take(&mut self, tag: &Tag, source: &str, last: Option<usize>, insertions: &mut [Insertion]) {
        if self.open.is_empty() {
            return;
        }
        self.add(tag.open.saturating_sub(self.end));
        self.end = tag.end();
        match (tag.kind, scan::identifier(tag.text(source).trim_start())) {
            (TagKind::Raw, _) => self.add(tag.inside.len()),
            (TagKind::Statement, "for" | "component") => self.open.push((last, 0)),
            (TagKind::Statement, "endfor" | "endcomponent") => self.pop(insertions),
            _ => {}
        }
    }

    fn add(&mut self, more: usize) {
        if let Some((_, bytes)) = self.open.last_mut() {
            *bytes += more;
        }
    }

    fn pop(&mut self, insertions: &mut [Insertion]) {
        if let Some((Some(index), bytes)) = self.open.pop().filter(|(_, bytes)| *bytes > 0) {
            let name = Limit::Rounds.name();
            insertions[index].text = insertions[index].text.replace(name, &format!("{name}(bytes={bytes})"));
        }
    }

    fn close(&mut self, end: usize, insertions: &mut [Insertion]) {
        self.add(end.saturating_sub(self.end));
        while !self.open.is_empty() {
            self.pop(insertions);
        }
    }
}

fn limit_tag(tag: &Tag, source: &str, is_kept: bool, insertions: &mut Vec<Insertion>) {
    let text = tag.text(source);
    let word = scan::identifier(text.trim_start());
    let is_print = tag.kind == TagKind::Print;
    let is_plain = || {
        let costs = text.contains(['~', '[', '{', '<', '>', '!']) || text.contains("==");
        !costs && (is_print || !text.contains('|')) && !COSTLY_WORDS.iter().any(|word| text.contains(word))
    };
    // Most tags.
    if (is_print && !is_kept || matches!(word, "if" | "elif")) && is_plain() {
        return;
    }
    let start = tag.inside.start + usize::from(tag.trims(source).0);
    let masked = masked(text);
    let expression = match (tag.kind, word) {
        (TagKind::Print, _) => Some(0),
        (TagKind::Statement, "for") => find_word(&masked, "in").map(|at| at + 2),
        (TagKind::Statement, "if" | "elif") => find_word(&masked, word).map(|at| at + word.len()),
        (TagKind::Statement, "set" | "set_global") => value_of_set(&masked),
        (TagKind::Statement, "include" | "component") => return insertions.push(round(tag, word, source)),
        _ => None,
    };
    let is_own = matches!(tag.kind, TagKind::Comment | TagKind::Raw);
    let rest = &masked[expression.unwrap_or(0)..];
    // What is ours needs no limit.
    if is_own || rest.trim().is_empty() || rest.trim_start().starts_with("__each") {
        return;
    }
    let from = expression.unwrap_or(0);
    // A component is no value, but has some as arguments, like a filter of a block.
    let is_value = expression.is_some() && !rest.trim_start().starts_with('<');
    let limit = match (tag.kind, word) {
        _ if !is_value => None,
        (TagKind::Statement, "for") => Some(Limit::Rounds),
        (TagKind::Print, _) if is_kept => Some(Limit::Kept),
        _ => cost(rest, tag.kind),
    };
    let blanks = rest.len() - rest.trim_start().len();
    let outer = limit.map(|limit| around(limit, from + blanks, from + rest.trim_end().len()));
    let first = insertions.len();
    let [open, close] = outer.map_or([None, None], |outer| outer.map(Some));
    insertions.extend(open.into_iter().chain(inner_limits(&masked, from)).chain(close));
    for insertion in &mut insertions[first..] {
        (insertion.at, insertion.of) = (insertion.at + start, insertion.of + start);
    }
}

/// Returns a tag that counts a round for each include, and for each use of a component: those that nest multiply like loops.
fn round(tag: &Tag, word: &str, source: &str) -> Insertion {
    let dash = |trims: bool| if trims { "-" } else { "" };
    let (before, after) = tag.trims(source);
    let (at, text) = match word {
        "include" => (tag.open, round_tag(dash(before), "")),
        _ => (tag.end(), round_tag("", dash(after))),
    };
    Insertion { at, text, of: tag.open }
}

fn round_tag(before: &str, after: &str) -> String {
    format!("{{%{before} if 1 | {} %}}{{% endif {after}%}}", Limit::Rounds.name())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_stand_where_tera_computes_by_itself() {
        for (source, expected) in [
            ("{{ a }}{% if a.b %}{{ a | upper }}{% endif %}", None),
            ("{% if a == \"~[\" and b > 1 %}", None),
            ("{{ \"a ~ b\" }}{# a ~ b #}{% raw %}{{ a ~ b }}{% endraw %}", None),
            ("{% set x %}a{% endset %}{{ <a b={c ~ d} /> }}", None),
            ("{% include \"a ~ b\" %}", Some("{% if 1 | __rounds %}{% endif %}{% include \"a ~ b\" %}")),
            ("{%- include \"a\" %}", Some("{%- if 1 | __rounds %}{% endif %}{%- include \"a\" %}")),
            ("{% component a(b) -%} c", Some("{% component a(b) -%}{% if 1 | __rounds %}{% endif -%} c")),
            ("{%- for a in b -%}", Some("{%- for a in (b) | __rounds  -%}")),
            ("{% for k, v in f(a=\"in\") %}", Some("{% for k, v in (f(a=\"in\")) | __rounds  %}")),
            ("{{- a ~ b }}", Some("{{- (a ~ b) | __made  }}")),
            ("{% set x = a ~ \"=\" %}", Some("{% set x = (a ~ \"=\") | __made  %}")),
            ("{% elif a in b %}", Some("{% elif (a in b) | __timed  %}")),
            ("{% if a | sort %}{{ a | sort }}", Some("{% if (a | sort) | __timed  %}{{ a | sort }}")),
            ("{% if a == b %}", Some("{% if (a == b) | __timed  %}")),
            ("{% if a <= b %}", Some("{% if (a <= b) | __timed  %}")),
            ("{% if a >= 1 and b<=c %}", Some("{% if (a >= 1 and b<=c) | __timed  %}")),
            ("{% if a <= 1 and b >= -1 %}", None),
            ("{% if a is not containing(pat=b) %}", Some("{% if (a is not containing(pat=b)) | __timed  %}")),
            ("{% set x = a is starting_with(pat=b) %}", Some("{% set x = (a is starting_with(pat=b)) | __timed  %}")),
            ("{{ a is ending_with(pat=b) }}", Some("{{ (a is ending_with(pat=b)) | __timed  }}")),
            ("{% if a is defined and a is not odd %}{% set x = a is string %}", None),
            ("{% set x = range(end=a) %}", Some("{% set x = (range(end=a)) | __timed  %}")),
            ("{% if f(a=range(end=b)) %}", Some("{% if (f(a=range(end=b))) | __timed  %}")),
            ("{% set x = a[1:2] %}", Some("{% set x = (a[1:2] | __part ) | __made  %}")),
            ("{% set x = [a, [b]] %}", Some("{% set x = ([a, [b]]) | __made  %}")),
            ("{{ a[0].b }}", Some("{{ (a[0].b) | __made  }}")),
            (
                "{% for p in [x.v for x in g(a=[1]) if x in y] %}",
                Some(
                    "{% for p in ([(x.v ) | __item for x in( g(a=[1]) ) | __rounds if( x in y) | __made ]) | __rounds  %}",
                ),
            ),
            (
                "{{ [[y for y in x] for x in z] }}",
                Some(
                    "{{ ([([(y ) | __item for y in( x) | __rounds ] ) | __item for x in( z) | __rounds ]) | __made  }}",
                ),
            ),
        ] {
            let limited = limited(source, false);
            assert_eq!(limited.text, expected.unwrap_or(source), "{source}");
            for (at, c) in source.char_indices().filter(|(_, c)| c.is_ascii_alphabetic()) {
                let shifted = limited.text.match_indices(c).map(|(at, _)| limited.shifts.original(at));
                assert!(shifted.clone().any(|original| original == at), "{source} {at}");
            }
        }
        let kept = limited("{{ a }}{{ b ~ c }}", true).text;
        assert_eq!(kept, "{% if 1 | __rounds %}{% endif %}{{ (a) | __kept  }}{{ (b ~ c) | __kept  }}");
        let kept = limited("ab{% for a in b %}c{% for d in a %}efg{% endfor %}h{% endfor %}i", true).text;
        let ours = limited("{% for a in __each(n=1) %}{{ a }}b{% endfor %}", true).text;
        assert_eq!(ours, "{% if 1 | __rounds %}{% endif %}{% for a in __each(n=1) %}{{ (a) | __kept  }}b{% endfor %}");
        let expected = "{% if 1 | __rounds(bytes=3) %}{% endif %}ab{% for a in (b) | __rounds(bytes=2)  %}c\
                        {% for d in (a) | __rounds(bytes=3)  %}efg{% endfor %}h{% endfor %}i";
        assert_eq!(kept, expected);
    }

    /// Each `~` makes a text of its own: sixty-four of 16 MiB would be a gibibyte, before anybody looks at its size.
    #[test]
    fn many_joined_texts_are_looked_at_on_the_way() {
        let chain = |count: usize| vec!["a"; count].join(" ~ ");
        let (ten, sixteen) = (chain(10), chain(16));
        for (expression, expected) in [
            (sixteen.clone(), format!("({sixteen}) | __made ")),
            (chain(18), format!("(({sixteen} ) | __made ~ a ~ a) | __made ")),
            (
                format!("b and 1 - f(x={}) == -{}", chain(18), chain(17)),
                format!("(b and 1 - f(x=({sixteen} ) | __made ~ a ~ a) == (-{sixteen} ) | __made ~ a) | __made "),
            ),
            (format!("{ten} if {ten} else {ten}"), format!("({ten} if {ten} else {ten}) | __made ")),
            (format!("b is not c ~ {sixteen}"), format!("(b is not c ~ {sixteen}) | __made ")),
            (chain(202), format!("({}) | __made ", chain(202))),
        ] {
            let text = limited(&format!("{{{{ {expression} }}}}"), false).text;
            assert_eq!(text, format!("{{{{ {expected} }}}}"));
            if expression.len() > 200 || expression.contains(" is ") {
                continue;
            }
            let mut tera = tera::Tera::default();
            tera.register_function("f", |_: tera::Kwargs, _: &tera::State| 1);
            register(&mut tera);
            let result = tera.add_raw_template("t", &text);
            assert!(result.is_ok(), "{text}: {result:?}");
        }
    }

    #[test]
    fn a_template_that_keeps_what_it_prints_is_known() {
        for (source, expected) in [
            ("{% set x = 1 %}{% for a in b %}{{ a }}{% endfor %}{% include \"a\" %}", false),
            ("{% set x %}a{% endset %}", true),
            ("{% set_global x | upper %}a{% endset %}", true),
            ("{% filter upper %}a{% endfilter %}", true),
            ("{{ super() }}", true),
            ("{{ <a /> }}", true),
            ("{% <a> %}b{% </a> %}", true),
            ("{% set x = <a /> %}", true),
            ("{% if a <b and \"<c\" < d %}{{ superb }}{% endif %}{# super() #}", false),
        ] {
            assert_eq!(keeps_output(source), expected, "{source}");
        }
    }
}
