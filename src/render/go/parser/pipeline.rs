//! The inside of `{{ }}`: pipelines, their variables, commands and operands.

use std::sync::Arc;

use super::super::functions;
use super::super::lexer::{Mistake, TokenKind};
use super::super::node::{Expr, ExprKind, Pipe, PipeCommand};
use super::super::number;
use super::{KEYWORDS, Parser};

impl Parser<'_> {
    /// Reads a pipeline and the token that ends it.
    pub(super) fn pipe(&mut self, context: &str, end: &TokenKind) -> Result<Pipe, Mistake> {
        self.skip_space();
        let at = self.at();
        let (variables, assigns) = self.declarations(context)?;
        let mut commands = Vec::new();
        loop {
            self.skip_space();
            if self.take_if(end) {
                break;
            }
            commands.push(self.command(context)?);
        }
        if commands.is_empty() {
            return Err(Mistake::new(at, format!("{context} needs a value")));
        }
        for (position, command) in commands.iter().enumerate().skip(1) {
            use ExprKind::{Bool, Dot, Nil, Number, Text};
            if matches!(command.words[0].kind, Bool(_) | Dot | Nil | Number(_) | Text(..)) {
                let message = format!("stage {} of the pipeline is not a function", position + 1);
                return Err(Mistake::new(command.at, message));
            }
        }
        Ok(Pipe { at, variables, assigns, commands })
    }

    /// Reads `$a :=`, `$a =`, and in a range `$a, $b :=`.
    fn declarations(&mut self, context: &str) -> Result<(Vec<Arc<str>>, bool), Mistake> {
        let mut names: Vec<Arc<str>> = Vec::new();
        loop {
            let start = self.next;
            if *self.kind() != TokenKind::Variable && names.is_empty() {
                return Ok((names, false));
            }
            if *self.kind() != TokenKind::Variable {
                return Err(Mistake::new(self.at(), "after the comma a second variable is missing"));
            }
            let name = Arc::from(self.take().text);
            self.skip_space();
            match self.kind() {
                TokenKind::Declare | TokenKind::Assign => {
                    let assigns = self.take().kind == TokenKind::Assign;
                    names.push(name);
                    // As in Go, an assignment declares too: one to an unknown variable fails when it is reached.
                    self.variables.extend(names.iter().cloned());
                    return Ok((names, assigns));
                }
                TokenKind::Comma if context == "range" && names.is_empty() => {
                    self.take();
                    self.skip_space();
                    names.push(name);
                }
                TokenKind::Comma => return Err(Mistake::new(self.at(), format!("too many variables in {context}"))),
                _ if names.is_empty() => {
                    self.next = start;
                    return Ok((names, false));
                }
                _ => return Err(self.unexpected(context)),
            }
        }
    }

    /// Reads words up to `|` or the end of the pipeline.
    fn command(&mut self, context: &str) -> Result<PipeCommand, Mistake> {
        let at = self.at();
        let mut words = Vec::new();
        loop {
            self.skip_space();
            if let Some(word) = self.operand()? {
                words.push(word);
            }
            match self.kind() {
                TokenKind::Space => {}
                TokenKind::Close | TokenKind::Right => break,
                TokenKind::Pipe if !words.is_empty() => {
                    self.take();
                    break;
                }
                _ => return Err(self.unexpected(context)),
            }
        }
        if words.is_empty() { Err(self.unexpected(context)) } else { Ok(PipeCommand { at, words }) }
    }

    /// Reads a term and the fields that are taken of it.
    fn operand(&mut self) -> Result<Option<Expr>, Mistake> {
        let Some(term) = self.term()? else { return Ok(None) };
        let mut fields: Vec<Arc<str>> = Vec::new();
        while *self.kind() == TokenKind::Field {
            fields.push(Arc::from(&self.take().text[1..]));
        }
        if fields.is_empty() {
            return Ok(Some(term));
        }
        let at = term.at;
        let kind = match term.kind {
            ExprKind::Field(mut names) => {
                names.extend(fields);
                ExprKind::Field(names)
            }
            ExprKind::Variable(name, mut names) => {
                names.extend(fields);
                ExprKind::Variable(name, names)
            }
            ExprKind::Function(_) | ExprKind::Pipe(_) => ExprKind::Chain(Box::new(term), fields),
            _ => return Err(Mistake::new(at, format!("`{term}` has no fields"))),
        };
        Ok(Some(Expr { at, kind }))
    }

    fn term(&mut self) -> Result<Option<Expr>, Mistake> {
        let token = self.peek().clone();
        let at = token.at;
        let kind = match token.kind {
            TokenKind::Word => match token.text {
                "true" => ExprKind::Bool(true),
                "false" => ExprKind::Bool(false),
                "nil" => ExprKind::Nil,
                word if KEYWORDS.contains(&word) => return Ok(None),
                word => match functions::find(word) {
                    Some(function) => ExprKind::Function(function),
                    None => {
                        self.unknown.push(Mistake::new(at, format!("function `{word}` is not defined")));
                        // Stands for it, so that the rest is read too.
                        ExprKind::Field(Vec::new())
                    }
                },
            },
            TokenKind::Dot => ExprKind::Dot,
            TokenKind::Field => ExprKind::Field(vec![Arc::from(&token.text[1..])]),
            TokenKind::Variable => match self.variables.iter().find(|name| ***name == *token.text) {
                Some(name) => ExprKind::Variable(Arc::clone(name), Vec::new()),
                None => return Err(Mistake::new(at, format!("variable `{}` is not defined", token.text))),
            },
            TokenKind::Number => {
                ExprKind::Number(number::parse(token.text).map_err(|message| Mistake::new(at, message))?)
            }
            TokenKind::Literal(meaning) => ExprKind::Text(token.text.to_owned(), Arc::from(meaning)),
            TokenKind::Left => {
                self.take();
                let pipe = self.deeper(|parser| parser.pipe("the parentheses", &TokenKind::Right))?;
                return Ok(Some(Expr { at, kind: ExprKind::Pipe(pipe) }));
            }
            _ => return Ok(None),
        };
        self.take();
        Ok(Some(Expr { at, kind }))
    }
}
