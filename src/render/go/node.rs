//! A parsed Go template, and how its expressions are written in error messages.

use std::fmt;
use std::sync::Arc;

use super::functions::GoFunction;

/// Text, or one action between `{{` and `}}`.
pub(super) enum TemplateNode {
    /// Text to print as it is.
    Text(String),
    /// `{{ pipeline }}`.
    Action(Pipe),
    /// `{{ if }}`.
    If(Branch),
    /// `{{ with }}`.
    With(Branch),
    /// `{{ range }}`.
    Range(Branch),
    /// `{{ template }}` and `{{ block }}`.
    Template(Call),
    /// `{{ break }}`.
    Break,
    /// `{{ continue }}`.
    Continue,
}

/// A condition or a loop.
pub(super) struct Branch {
    pub(super) pipe: Pipe,
    pub(super) body: Vec<TemplateNode>,
    pub(super) otherwise: Vec<TemplateNode>,
}

/// The use of a defined template.
pub(super) struct Call {
    pub(super) at: usize,
    pub(super) name: String,
    pub(super) pipe: Option<Pipe>,
}

/// Commands, each of which gets the result of the one before as its last argument.
pub(super) struct Pipe {
    pub(super) at: usize,
    /// Variables that get the result, with their `$`.
    pub(super) variables: Vec<Arc<str>>,
    /// Whether they exist already (`=`).
    pub(super) assigns: bool,
    pub(super) commands: Vec<PipeCommand>,
}

/// A value, or a function and its arguments.
pub(super) struct PipeCommand {
    pub(super) at: usize,
    pub(super) words: Vec<Expr>,
}

/// One word of a command.
pub(super) struct Expr {
    pub(super) at: usize,
    pub(super) kind: ExprKind,
}

/// Kind of a word.
pub(super) enum ExprKind {
    Dot,
    Nil,
    Bool(bool),
    Number(Number),
    /// As written, and what it means.
    Text(String, Arc<str>),
    /// `.a.b`.
    Field(Vec<Arc<str>>),
    /// `$a.b`.
    Variable(Arc<str>, Vec<Arc<str>>),
    Function(&'static GoFunction),
    /// `(…).a`, `f.a`.
    Chain(Box<Expr>, Vec<Arc<str>>),
    Pipe(Pipe),
}

/// A number of the template: it has no type before it is used.
pub(super) struct Number {
    /// As written.
    pub(super) text: String,
    /// Value as an integer, if it has one.
    pub(super) integer: Option<i64>,
    pub(super) float: f64,
    /// Whether it is an integer that is too large.
    pub(super) overflows: bool,
    /// Whether it is a float without context.
    pub(super) is_float: bool,
}

/// The most characters of an expression in a message.
const MAX_SHOWN: usize = 60;

/// Returns an expression as messages show it, cut if it is long.
pub(super) fn excerpt(expression: &impl fmt::Display) -> String {
    let text = expression.to_string();
    match text.char_indices().nth(MAX_SHOWN) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    }
}

impl fmt::Display for Pipe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.variables.is_empty() {
            let sign = if self.assigns { "=" } else { ":=" };
            write!(f, "{} {sign} ", self.variables.join(", "))?;
        }
        separated(f, &self.commands, " | ")
    }
}

impl fmt::Display for PipeCommand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        separated(f, &self.words, " ")
    }
}

fn separated<T: fmt::Display>(f: &mut fmt::Formatter<'_>, items: &[T], separator: &str) -> fmt::Result {
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            f.write_str(separator)?;
        }
        item.fmt(f)?;
    }
    Ok(())
}

impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fields = |f: &mut fmt::Formatter<'_>, names: &[Arc<str>]| names.iter().try_for_each(|n| write!(f, ".{n}"));
        match &self.kind {
            ExprKind::Dot => f.write_str("."),
            ExprKind::Nil => f.write_str("nil"),
            ExprKind::Bool(value) => value.fmt(f),
            ExprKind::Number(number) => f.write_str(&number.text),
            ExprKind::Text(written, _) => f.write_str(written),
            ExprKind::Field(names) => fields(f, names),
            ExprKind::Variable(name, names) => f.write_str(name).and_then(|()| fields(f, names)),
            ExprKind::Function(function) => f.write_str(function.name),
            ExprKind::Chain(inner, names) => inner.fmt(f).and_then(|()| fields(f, names)),
            ExprKind::Pipe(pipe) => write!(f, "({pipe})"),
        }
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{{{template {:?}", self.name)?;
        if let Some(pipe) = &self.pipe {
            write!(f, " {pipe}")?;
        }
        f.write_str("}}")
    }
}

/// Checks whether nodes print nothing but white space: such a definition replaces no other.
pub(super) fn is_blank(nodes: &[TemplateNode]) -> bool {
    nodes.iter().all(|node| matches!(node, TemplateNode::Text(text) if text.trim().is_empty()))
}
