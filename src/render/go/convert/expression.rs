//! Expressions of a Go template as Tera expressions of known type.

use std::sync::Arc;

use super::functions;
use crate::render::go::lexer::Mistake;
use crate::render::go::node::{Command, Expr, ExprKind, Pipe};

/// What is known of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Int,
    Bool,
    Texts,
    Ints,
    Pair,
    Pairs,
    /// Told already: what depends on it is not told again.
    Unknown,
}

impl Kind {
    pub(super) fn described(self) -> &'static str {
        match self {
            Kind::Text => "a text",
            Kind::Int => "a number",
            Kind::Bool => "true or false",
            Kind::Texts | Kind::Ints | Kind::Pairs => "a list",
            Kind::Pair => "a key with its value",
            Kind::Unknown => "this",
        }
    }

    /// What a list of this kind holds.
    pub(super) fn item(self) -> Option<Kind> {
        match self {
            Kind::Texts => Some(Kind::Text),
            Kind::Ints => Some(Kind::Int),
            Kind::Pairs => Some(Kind::Pair),
            _ => None,
        }
    }

    /// A name for an item that has none.
    pub(super) fn usual_name(self) -> &'static str {
        match self {
            Kind::Pair => "pair",
            Kind::Int => "number",
            _ => "value",
        }
    }
}

/// A Tera expression and what it gives.
#[derive(Clone, Debug)]
pub(super) struct Typed {
    pub(super) code: String,
    pub(super) kind: Kind,
    /// It can stand beside an operator as it is.
    is_atom: bool,
}

impl Typed {
    pub(super) fn atom(code: String, kind: Kind) -> Typed {
        Typed { code, kind, is_atom: true }
    }

    /// An operator and its operands.
    pub(super) fn operation(code: String, kind: Kind) -> Typed {
        Typed { code, kind, is_atom: false }
    }

    pub(super) fn unknown() -> Typed {
        Typed::atom("none".to_owned(), Kind::Unknown)
    }

    /// A text that a map has under this name.
    fn member(&self, name: &str) -> Typed {
        let is_name = self.code.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        match is_name {
            true => Typed::atom(format!("{}.{name}", self.code), Kind::Text),
            // What a call gives has no members in Tera, but it can be filtered.
            false => Typed::operation(format!("{} | get(key=\"{name}\")", self.operand()), Kind::Text),
        }
    }

    /// As an operand.
    pub(super) fn operand(&self) -> String {
        if self.is_atom { self.code.clone() } else { format!("({})", self.code) }
    }

    /// Whether Go takes it for true, as a Tera expression that is true or false.
    pub(super) fn truth(&self) -> String {
        match self.kind {
            Kind::Bool => self.code.clone(),
            Kind::Text => format!("{} != \"\"", self.operand()),
            Kind::Int => format!("{} != 0", self.operand()),
            Kind::Texts | Kind::Ints | Kind::Pairs => format!("{} | length > 0", self.operand()),
            // A pair is never empty.
            Kind::Pair => "true".to_owned(),
            Kind::Unknown => "false".to_owned(),
        }
    }

    /// The same as an operand.
    pub(super) fn truth_operand(&self) -> String {
        if self.kind == Kind::Bool { self.operand() } else { format!("({})", self.truth()) }
    }
}

/// Why an expression is refused; nothing where that was told already.
pub(super) type Refused = Option<Mistake>;

pub(super) fn refused<T>(at: usize, message: impl Into<String>) -> Result<T, Refused> {
    Err(Some(Mistake::new(at, message)))
}

/// What is known here: the variables, and dot.
pub(super) struct Scope<'a> {
    pub(super) dot: Option<&'a Typed>,
    pub(super) variables: &'a [(Arc<str>, Option<Typed>)],
}

/// A pipeline's value.
pub(super) fn pipe(
    pipe: &Pipe,
    dot: Option<&Typed>,
    variables: &[(Arc<str>, Option<Typed>)],
) -> Result<Typed, Refused> {
    Scope { dot, variables }.pipe(pipe)
}

impl Scope<'_> {
    fn pipe(&self, pipe: &Pipe) -> Result<Typed, Refused> {
        let mut value = None;
        for command in &pipe.commands {
            value = Some(self.command(command, value.take())?);
        }
        value.ok_or(None)
    }

    fn command(&self, command: &Command, last: Option<Typed>) -> Result<Typed, Refused> {
        let (first, arguments) = (&command.words[0], &command.words[1..]);
        if let ExprKind::Function(function) = &first.kind {
            let mut values = Vec::new();
            for argument in arguments {
                values.push(self.word(argument)?);
            }
            values.extend(last);
            return functions::call(function, &values, first.at);
        }
        if last.is_some() || !arguments.is_empty() {
            return refused(first.at, "only a function takes arguments");
        }
        self.word(first)
    }

    fn word(&self, word: &Expr) -> Result<Typed, Refused> {
        match &word.kind {
            ExprKind::Text(_, text) => match literal(text) {
                Some(code) => Ok(Typed::atom(code, Kind::Text)),
                None => refused(word.at, "a text with a control character cannot be written in Tera"),
            },
            ExprKind::Number(number) => match number.integer {
                Some(integer) if !number.is_float && !number.overflows => Ok(if integer < 0 {
                    Typed::operation(integer.to_string(), Kind::Int)
                } else {
                    Typed::atom(integer.to_string(), Kind::Int)
                }),
                _ => refused(word.at, "a fraction prints otherwise in Tera"),
            },
            ExprKind::Bool(value) => Ok(Typed::atom(value.to_string(), Kind::Bool)),
            ExprKind::Dot => self.dot(word.at),
            ExprKind::Field(names) => self.member(self.dot(word.at)?, names, word.at),
            ExprKind::Variable(name, names) => self.member(self.variable(name, word.at)?, names, word.at),
            ExprKind::Chain(inner, names) => self.member(self.word(inner)?, names, word.at),
            ExprKind::Pipe(pipe) if pipe.variables.is_empty() => self.pipe(pipe),
            ExprKind::Pipe(pipe) => refused(pipe.at, "a variable that is declared in parentheses is not converted"),
            ExprKind::Function(function) => functions::call(function, &[], word.at),
            ExprKind::Nil => refused(word.at, "nil has no counterpart"),
        }
    }

    fn dot(&self, at: usize) -> Result<Typed, Refused> {
        match self.dot {
            Some(dot) if dot.kind == Kind::Unknown => Err(None),
            Some(dot) => Ok(dot.clone()),
            None => refused(at, "dot is nothing here; the name of a for_each is {{ item }}"),
        }
    }

    fn variable(&self, name: &str, at: usize) -> Result<Typed, Refused> {
        let found = self.variables.iter().rev().find(|(known, _)| &**known == name);
        match found {
            Some((_, Some(value))) if value.kind != Kind::Unknown => Ok(value.clone()),
            Some(_) => Err(None),
            None if name == "$" => refused(at, "`$` is nothing; the name of a for_each is {{ item }}"),
            None => refused(at, format!("variable `{name}` is not defined")),
        }
    }

    /// Members: only pairs have any.
    fn member(&self, of: Typed, names: &[Arc<str>], at: usize) -> Result<Typed, Refused> {
        match (of.kind, names.iter().map(|name| &**name).collect::<Vec<_>>().as_slice()) {
            (_, []) => Ok(of),
            (Kind::Pair, ["Key"]) => Ok(of.member("key")),
            (Kind::Pair, ["Value"]) => Ok(of.member("value")),
            (Kind::Unknown, _) => Err(None),
            (kind, _) => refused(at, format!("{} has no such member", kind.described())),
        }
    }
}

/// A text as a Tera literal; `None` where Tera has no way to write it.
pub(super) fn literal(text: &str) -> Option<String> {
    let mut code = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => code.extend(['\\', c]),
            '\n' => code.push_str("\\n"),
            '\t' => code.push_str("\\t"),
            '\r' => code.push_str("\\r"),
            c if c.is_control() => return None,
            c => code.push(c),
        }
    }
    code.push('"');
    Some(code)
}
