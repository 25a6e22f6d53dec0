//! A Go template as a Tera template that prints the same bytes. It refuses, by place, what it cannot be sure of: every type
//! is known before a line is written, so that nothing is left to how a value happens to print. Never looks at a store.

mod expression;
mod functions;
mod typed;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use super::lexer::Mistake;
use super::node::{Branch, Pipe, TemplateNode};
use super::parser;
use crate::model::problem::{Place, Problem};
use typed::{NotConverted, Typed, TypedKind, refused};

/// Converts the template `name`.
///
/// # Errors
/// The template is not a Go template, or has places without a certain counterpart: all of them.
pub fn convert(name: &str, source: &str) -> Result<String, Vec<Problem>> {
    let problem =
        |mistake: Mistake| Problem::new(mistake.message).at(Place::in_text(Path::new(name), source, mistake.at));
    let unit = parser::parse(source).map_err(|mistakes| mistakes.into_iter().map(problem).collect::<Vec<_>>())?;
    let mut converter = Converter::default();
    converter.nodes(&unit.root, None);
    if converter.problems.is_empty() {
        return Ok(converter.output);
    }
    converter.problems.sort_by_key(|problem| problem.at);
    Err(converter.problems.into_iter().map(problem).collect())
}

/// Names that mean something to Tera.
const RESERVED: &[&str] = &[
    "and",
    "or",
    "not",
    "in",
    "is",
    "if",
    "else",
    "elif",
    "for",
    "set",
    "true",
    "false",
    "none",
    "null",
    "loop",
    "item",
    "True",
    "False",
    "None",
    "break",
    "continue",
    "include",
    "block",
    "filter",
    "raw",
    "component",
    "extends",
];

#[derive(Default)]
struct Converter {
    output: String,
    problems: Vec<Mistake>,
    /// Name in Go, and the expression for it here; `None` if it was refused.
    variables: Vec<(Arc<str>, Option<Typed>)>,
    /// Names in use, each given only once: Go's blocks have scopes that Tera's do not.
    names: BTreeSet<String>,
}

/// Value of dot; `None` outside of everything.
type Dot<'a> = Option<&'a Typed>;

impl Converter {
    fn nodes(&mut self, nodes: &[TemplateNode], dot: Dot<'_>) {
        for node in nodes {
            match node {
                TemplateNode::Text(text) => self.text(text),
                TemplateNode::Action(pipe) => self.action(pipe, dot),
                TemplateNode::If(branch) => self.choice(branch, dot, false),
                TemplateNode::With(branch) => self.with(branch, dot),
                TemplateNode::Range(branch) => self.range(branch, dot),
                TemplateNode::Template(call) => {
                    let message = "templates within templates are not converted; put what it prints here";
                    self.problems.push(Mistake::new(call.at, message));
                }
                TemplateNode::Break => self.output.push_str("{% break %}"),
                TemplateNode::Continue => self.output.push_str("{% continue %}"),
            }
        }
    }

    /// Writes text, protected from Tera if it would read more in it.
    fn text(&mut self, text: &str) {
        let is_plain = !["{{", "{%", "{#"].iter().any(|open| text.contains(open)) && !text.ends_with('{');
        if is_plain {
            self.output.push_str(text);
        } else {
            // A text that would end the raw block itself is cut in two there.
            let safe = text.replace("{% endraw", "{% endraw %}{{ \"{% endraw\" }}{% raw %}");
            let safe = safe.replace("{%- endraw", "{% endraw %}{{ \"{%- endraw\" }}{% raw %}");
            self.output.push_str(&format!("{{% raw %}}{safe}{{% endraw %}}"));
        }
    }

    fn action(&mut self, pipe: &Pipe, dot: Dot<'_>) {
        let value = self.value(pipe, dot);
        if !pipe.variables.is_empty() {
            self.declare(pipe, value);
            return;
        }
        let Some(value) = value else { return };
        match value.kind {
            TypedKind::Text | TypedKind::Int | TypedKind::Bool => {
                self.output.push_str(&format!("{{{{ {} }}}}", value.code))
            }
            kind => {
                let message = format!("{} prints differently in Tera; print its items one by one", kind.described());
                self.problems.push(Mistake::new(pipe.at, message));
            }
        }
    }

    /// Returns the value of a pipeline; records why it is refused, once.
    fn value(&mut self, pipe: &Pipe, dot: Dot<'_>) -> Option<Typed> {
        let is_known = |name: &Arc<str>| self.variables.iter().any(|(known, _)| known == name);
        let result = match (pipe.assigns, pipe.variables.iter().find(|name| !is_known(name))) {
            (true, Some(unknown)) => refused(pipe.at, format!("variable `{unknown}` is not defined")),
            (true, None) => refused(pipe.at, "an assignment to a variable that exists has no certain counterpart"),
            (false, _) => expression::pipe(pipe, dot, &self.variables),
        };
        result.map_err(|refused| self.refuse(refused)).ok()
    }

    fn refuse(&mut self, refused: NotConverted) {
        self.problems.extend(refused);
    }

    /// Assigns a value to the variable that a pipeline declares.
    fn declare(&mut self, pipe: &Pipe, value: Option<Typed>) -> Option<Typed> {
        if pipe.assigns {
            return None;
        }
        let [variable] = pipe.variables.as_slice() else {
            self.problems.push(Mistake::new(pipe.at, "two variables need a range"));
            return None;
        };
        let declared = value.map(|value| {
            let name = self.fresh(variable);
            self.output.push_str(&format!("{{% set {name} = {} %}}", value.code));
            Typed::atom(name, value.kind)
        });
        self.variables.push((Arc::clone(variable), declared.clone()));
        declared
    }

    /// Returns an unused name, as near to this one as possible.
    fn fresh(&mut self, wanted: &str) -> String {
        let letters: String = wanted.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
        let starts_well = letters.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        let base = if starts_well { letters } else { format!("v{letters}") };
        let mut name = base.clone();
        let mut number = 2;
        while RESERVED.contains(&name.as_str()) || self.names.contains(&name) {
            name = format!("{base}_{number}");
            number += 1;
        }
        self.names.insert(name.clone());
        name
    }

    /// Writes `{{ if }}`; `is_elif` if its beginning belongs to the branch before.
    fn choice(&mut self, branch: &Branch, dot: Dot<'_>, is_elif: bool) {
        let outer = self.variables.len();
        let value = self.value(&branch.pipe, dot);
        let value = if branch.pipe.variables.is_empty() { value } else { self.declare(&branch.pipe, value) };
        let condition = value.map_or_else(|| "false".to_owned(), |value| value.truth());
        self.output.push_str(&format!("{{% {} {condition} %}}", if is_elif { "elif" } else { "if" }));
        self.nodes(&branch.body, dot);
        match branch.otherwise.as_slice() {
            [] => {}
            [TemplateNode::If(next)] if next.pipe.variables.is_empty() => {
                self.choice(next, dot, true);
                self.variables.truncate(outer);
                return;
            }
            otherwise => {
                self.output.push_str("{% else %}");
                self.nodes(otherwise, dot);
            }
        }
        self.output.push_str("{% endif %}");
        self.variables.truncate(outer);
    }

    fn with(&mut self, branch: &Branch, dot: Dot<'_>) {
        let outer = self.variables.len();
        let value = self.value(&branch.pipe, dot);
        let value = match (branch.pipe.variables.as_slice(), value) {
            ([], Some(value)) => {
                let name = self.fresh("it");
                self.output.push_str(&format!("{{% set {name} = {} %}}", value.code));
                Some(Typed::atom(name, value.kind))
            }
            ([], None) => None,
            (_, value) => self.declare(&branch.pipe, value),
        };
        let condition = value.as_ref().map_or_else(|| "false".to_owned(), Typed::truth);
        let poisoned = Typed::unknown();
        self.output.push_str(&format!("{{% if {condition} %}}"));
        self.nodes(&branch.body, Some(value.as_ref().unwrap_or(&poisoned)));
        if !branch.otherwise.is_empty() {
            self.output.push_str("{% else %}");
            self.nodes(&branch.otherwise, dot);
        }
        self.output.push_str("{% endif %}");
        self.variables.truncate(outer);
    }

    fn range(&mut self, branch: &Branch, dot: Dot<'_>) {
        let outer = self.variables.len();
        let value = self.value(&branch.pipe, dot);
        let item = value.as_ref().and_then(|value| value.kind.item());
        if let (Some(value), None) = (&value, item) {
            let message = format!("a range over {} has no certain counterpart", value.kind.described());
            // The reason why something is unknown was reported before.
            if value.kind != TypedKind::Unknown {
                self.problems.push(Mistake::new(branch.pipe.at, message));
            }
        }
        let (index, named) = match branch.pipe.variables.as_slice() {
            [index, item] => (Some(index), Some(item)),
            [item] => (None, Some(item)),
            _ => (None, None),
        };
        let kind = item.unwrap_or(TypedKind::Unknown);
        let name = self.fresh(named.map_or(kind.usual_name(), |name| name));
        let each = Typed::atom(name, kind);
        let list = value.map_or_else(|| "[]".to_owned(), |value| value.code);
        self.output.push_str(&format!("{{% for {} in {list} %}}", each.code));
        if let Some(index) = index {
            // `loop` is that of the innermost loop, so the number is kept by its name.
            let counter = self.fresh(index);
            self.output.push_str(&format!("{{% set {counter} = loop.index0 %}}"));
            self.variables.push((Arc::clone(index), Some(Typed::atom(counter, TypedKind::Int))));
        }
        if let Some(named) = named {
            self.variables.push((Arc::clone(named), Some(each.clone())));
        }
        self.nodes(&branch.body, Some(&each));
        self.variables.truncate(outer);
        if !branch.otherwise.is_empty() {
            self.output.push_str("{% else %}");
            self.nodes(&branch.otherwise, dot);
        }
        self.output.push_str("{% endfor %}");
    }
}

#[cfg(test)]
mod tests;
