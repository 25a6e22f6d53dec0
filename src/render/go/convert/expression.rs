//! Expressions of a Go template as Tera expressions of known type.

use std::sync::Arc;

use super::functions;
use super::typed::{NotConverted, Typed, TypedKind, literal, refused};
use crate::render::go::node::{Expr, ExprKind, Pipe, PipeCommand};

/// Variables and dot, as far as they are known here.
pub(super) struct Scope<'a> {
    pub(super) dot: Option<&'a Typed>,
    pub(super) variables: &'a [(Arc<str>, Option<Typed>)],
}

/// Converts a pipeline.
pub(super) fn pipe(
    pipe: &Pipe,
    dot: Option<&Typed>,
    variables: &[(Arc<str>, Option<Typed>)],
) -> Result<Typed, NotConverted> {
    Scope { dot, variables }.pipe(pipe)
}

impl Scope<'_> {
    fn pipe(&self, pipe: &Pipe) -> Result<Typed, NotConverted> {
        let mut value = None;
        for command in &pipe.commands {
            value = Some(self.command(command, value.take())?);
        }
        value.ok_or(None)
    }

    fn command(&self, command: &PipeCommand, last: Option<Typed>) -> Result<Typed, NotConverted> {
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

    fn word(&self, word: &Expr) -> Result<Typed, NotConverted> {
        match &word.kind {
            ExprKind::Text(_, text) => match literal(text) {
                Some(code) => Ok(Typed::atom(code, TypedKind::Text)),
                None => refused(word.at, "a text with a control character cannot be written in Tera"),
            },
            ExprKind::Number(number) => match number.integer {
                Some(integer) if !number.is_float && !number.overflows => Ok(if integer < 0 {
                    Typed::operation(integer.to_string(), TypedKind::Int)
                } else {
                    Typed::atom(integer.to_string(), TypedKind::Int)
                }),
                _ => refused(word.at, "a fraction prints differently in Tera"),
            },
            ExprKind::Bool(value) => Ok(Typed::atom(value.to_string(), TypedKind::Bool)),
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

    fn dot(&self, at: usize) -> Result<Typed, NotConverted> {
        match self.dot {
            Some(dot) if dot.kind == TypedKind::Unknown => Err(None),
            Some(dot) => Ok(dot.clone()),
            None => refused(at, "dot is nothing here; the name of a for_each is {{ item }}"),
        }
    }

    fn variable(&self, name: &str, at: usize) -> Result<Typed, NotConverted> {
        let found = self.variables.iter().rev().find(|(known, _)| &**known == name);
        match found {
            Some((_, Some(value))) if value.kind != TypedKind::Unknown => Ok(value.clone()),
            Some(_) => Err(None),
            None if name == "$" => refused(at, "`$` is nothing; the name of a for_each is {{ item }}"),
            None => refused(at, format!("variable `{name}` is not defined")),
        }
    }

    /// Converts members: only pairs have any.
    fn member(&self, of: Typed, names: &[Arc<str>], at: usize) -> Result<Typed, NotConverted> {
        match (of.kind, names.iter().map(|name| &**name).collect::<Vec<_>>().as_slice()) {
            (_, []) => Ok(of),
            (TypedKind::Pair, ["Key"]) => Ok(of.member("key")),
            (TypedKind::Pair, ["Value"]) => Ok(of.member("value")),
            (TypedKind::Unknown, _) => Err(None),
            (kind, _) => refused(at, format!("{} has no such member", kind.described())),
        }
    }
}
