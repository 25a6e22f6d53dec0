//! Tokens to the trees of a Go template and of the templates that it defines. The grammar is Go's text/template of
//! release 1.23 and later; what Go finds while parsing (an unknown function, an unknown variable) is found here.

use std::collections::HashMap;
use std::sync::Arc;

use super::lexer::{GoToken, Mistake, TokenKind, tokens};
use super::node::{Branch, Call, TemplateNode, is_blank};

mod pipeline;

/// A template, and those that it defines, by name.
#[derive(Default)]
pub(super) struct Unit {
    pub(super) root: Vec<TemplateNode>,
    pub(super) defines: HashMap<String, Vec<TemplateNode>>,
}

/// Levels of nested blocks and parentheses.
const MAX_DEPTH: usize = 64;

/// Reads a template. The mistakes are those up to the first one in the syntax, in order; there is at least one.
pub(super) fn parse(source: &str) -> Result<Unit, Vec<Mistake>> {
    let tokens = tokens(source).map_err(|mistake| vec![mistake])?;
    let (variables, unit) = (vec![Arc::from("$")], Unit::default());
    let (open, unknown) = Default::default();
    let mut parser = Parser { tokens, next: 0, variables, loops: 0, depth: 0, open, unit, unknown };
    let whole = parser.whole();
    parser.unknown.extend(whole.err());
    if parser.unknown.is_empty() { Ok(parser.unit) } else { Err(parser.unknown) }
}

const KEYWORDS: &[&str] =
    &["block", "break", "continue", "define", "else", "end", "if", "range", "nil", "template", "with"];

/// One step of the parser.
enum ParserStep {
    Node(TemplateNode),
    /// `{{end}}`, at its offset.
    End(usize),
    /// `{{else`, read up to here.
    Else(usize),
}

struct Parser<'a> {
    tokens: Vec<GoToken<'a>>,
    next: usize,
    /// The variables that exist here.
    variables: Vec<Arc<str>>,
    /// Number of open `{{range}}`.
    loops: usize,
    depth: usize,
    /// Words of the blocks that are open, each with its offset.
    open: Vec<(&'a str, usize)>,
    unit: Unit,
    /// Functions that do not exist.
    unknown: Vec<Mistake>,
}

impl<'a> Parser<'a> {
    /// Reads all of it.
    fn whole(&mut self) -> Result<(), Mistake> {
        loop {
            match self.kind() {
                TokenKind::End => return Ok(()),
                TokenKind::Open if self.keyword_after_open() == Some("define") => self.define()?,
                _ => match self.node()? {
                    ParserStep::Node(node) => self.unit.root.push(node),
                    ParserStep::End(at) => return Err(Mistake::new(at, "{{end}} without a beginning")),
                    ParserStep::Else(at) => {
                        return Err(Mistake::new(at, "{{else}} without {{if}}, {{with}} or {{range}}"));
                    }
                },
            }
        }
    }

    fn peek(&self) -> &GoToken<'a> {
        // The last token is `End`, and `take` never goes beyond it.
        &self.tokens[self.next]
    }

    fn kind(&self) -> &TokenKind {
        &self.peek().kind
    }

    fn at(&self) -> usize {
        self.peek().at
    }

    fn take(&mut self) -> GoToken<'a> {
        let token = self.tokens[self.next].clone();
        self.next = (self.next + 1).min(self.tokens.len() - 1);
        token
    }

    fn skip_space(&mut self) {
        while *self.kind() == TokenKind::Space {
            self.take();
        }
    }

    fn take_if(&mut self, kind: &TokenKind) -> bool {
        let found = self.kind() == kind;
        if found {
            self.take();
        }
        found
    }

    fn keyword(&self) -> Option<&'a str> {
        let token = self.peek();
        KEYWORDS.contains(&token.text).then_some(token.text).filter(|_| token.kind == TokenKind::Word)
    }

    fn keyword_after_open(&self) -> Option<&'a str> {
        let token = self.tokens[self.next + 1..].iter().find(|token| token.kind != TokenKind::Space)?;
        KEYWORDS.contains(&token.text).then_some(token.text).filter(|_| token.kind == TokenKind::Word)
    }

    fn unexpected(&self, context: &str) -> Mistake {
        let token = self.peek();
        match token.kind {
            TokenKind::End => match self.open.last() {
                Some((word, at)) => {
                    Mistake::new(*at, format!("{{{{{word}}}}} is not closed: its {{{{end}}}} is missing"))
                }
                None => Mistake::new(token.at, "the template ends too early"),
            },
            TokenKind::Close => Mistake::new(token.at, format!("{context} ends too early")),
            TokenKind::Space => Mistake::new(token.at, format!("a blank cannot stand here in {context}")),
            _ => {
                let shown: String = token.text.chars().take(20).collect();
                Mistake::new(token.at, format!("`{}` cannot stand here in {context}", shown.escape_debug()))
            }
        }
    }

    fn close(&mut self, context: &str) -> Result<(), Mistake> {
        self.skip_space();
        if self.take_if(&TokenKind::Close) { Ok(()) } else { Err(self.unexpected(context)) }
    }

    /// Goes one level down, unless that is too deep.
    fn deeper<T>(&mut self, work: impl FnOnce(&mut Self) -> Result<T, Mistake>) -> Result<T, Mistake> {
        if self.depth >= MAX_DEPTH {
            return Err(Mistake::new(self.at(), format!("more than {MAX_DEPTH} levels are nested")));
        }
        self.depth += 1;
        let result = work(self);
        self.depth -= 1;
        result
    }

    /// Reads a block that begins with this word at this offset.
    fn within<T>(
        &mut self,
        word: &'a str,
        at: usize,
        work: impl FnOnce(&mut Self) -> Result<T, Mistake>,
    ) -> Result<T, Mistake> {
        self.open.push((word, at));
        let result = self.deeper(work);
        self.open.pop();
        result
    }

    /// Reads text or one action.
    fn node(&mut self) -> Result<ParserStep, Mistake> {
        match self.kind() {
            TokenKind::Text => Ok(ParserStep::Node(TemplateNode::Text(self.take().text.to_owned()))),
            TokenKind::Open => {
                self.take();
                self.action()
            }
            _ => Err(self.unexpected("the template")),
        }
    }

    fn action(&mut self) -> Result<ParserStep, Mistake> {
        self.skip_space();
        let at = self.at();
        let Some(keyword) = self.keyword() else {
            let pipe = self.pipe("the action", &TokenKind::Close)?;
            return Ok(ParserStep::Node(TemplateNode::Action(pipe)));
        };
        self.take();
        let node = match keyword {
            "end" => {
                self.close("{{end}}")?;
                return Ok(ParserStep::End(at));
            }
            "else" => return Ok(ParserStep::Else(at)),
            "if" | "with" | "range" => self.within(keyword, at, |parser| parser.branch(keyword))?,
            "break" | "continue" => {
                self.close(keyword)?;
                if self.loops == 0 {
                    return Err(Mistake::new(at, format!("{{{{{keyword}}}}} outside of {{{{range}}}}")));
                }
                if keyword == "break" { TemplateNode::Break } else { TemplateNode::Continue }
            }
            "template" => TemplateNode::Template(self.call("{{template}}")?),
            "block" => TemplateNode::Template(self.within(keyword, at, Self::block)?),
            "define" => return Err(Mistake::new(at, "{{define}} may only stand outside of all other blocks")),
            _ => {
                self.next -= 1;
                let pipe = self.pipe("the action", &TokenKind::Close)?;
                TemplateNode::Action(pipe)
            }
        };
        Ok(ParserStep::Node(node))
    }

    /// Reads nodes up to `{{end}}` or `{{else`; returns whether it was the latter.
    fn body(&mut self) -> Result<(Vec<TemplateNode>, bool), Mistake> {
        let mut nodes = Vec::new();
        loop {
            match self.node()? {
                ParserStep::Node(node) => nodes.push(node),
                ParserStep::End(_) => return Ok((nodes, false)),
                ParserStep::Else(_) => return Ok((nodes, true)),
            }
        }
    }

    fn branch(&mut self, keyword: &str) -> Result<TemplateNode, Mistake> {
        let outer = self.variables.len();
        let pipe = self.pipe(keyword, &TokenKind::Close)?;
        self.loops += usize::from(keyword == "range");
        let body = self.body();
        self.loops -= usize::from(keyword == "range");
        let (body, has_else) = body?;
        let otherwise = if has_else { self.otherwise(keyword)? } else { Vec::new() };
        self.variables.truncate(outer);
        let branch = Branch { pipe, body, otherwise };
        Ok(match keyword {
            "if" => TemplateNode::If(branch),
            "with" => TemplateNode::With(branch),
            _ => TemplateNode::Range(branch),
        })
    }

    /// Reads what follows `{{else`: `if` after `if` and `with` after `with` share the one `{{end}}`.
    fn otherwise(&mut self, keyword: &str) -> Result<Vec<TemplateNode>, Mistake> {
        self.skip_space();
        if self.keyword() == Some(keyword) && keyword != "range" {
            self.take();
            return Ok(vec![self.deeper(|parser| parser.branch(keyword))?]);
        }
        self.close("{{else}}")?;
        match self.body()? {
            (nodes, false) => Ok(nodes),
            (_, true) => Err(Mistake::new(self.at(), "a second {{else}}; {{end}} was expected")),
        }
    }

    /// Returns the quoted name of a template.
    fn name(&mut self, context: &str) -> Result<String, Mistake> {
        self.skip_space();
        let TokenKind::Literal(name) = self.kind() else { return Err(self.unexpected(context)) };
        let name = name.clone();
        self.take();
        Ok(name)
    }

    fn call(&mut self, context: &str) -> Result<Call, Mistake> {
        self.skip_space();
        let at = self.at();
        let name = self.name(context)?;
        self.skip_space();
        if self.take_if(&TokenKind::Close) {
            return Ok(Call { at, name, pipe: None });
        }
        let pipe = self.pipe(context, &TokenKind::Close)?;
        Ok(Call { at, name, pipe: Some(pipe) })
    }

    /// Reads a template's body, in which only `$` is known of the variables outside.
    fn separate(&mut self) -> Result<Vec<TemplateNode>, Mistake> {
        let variables = std::mem::replace(&mut self.variables, vec![Arc::from("$")]);
        let loops = std::mem::take(&mut self.loops);
        let body = self.body();
        self.variables = variables;
        self.loops = loops;
        match body? {
            (nodes, false) => Ok(nodes),
            (_, true) => Err(Mistake::new(self.at(), "{{else}} without {{if}}, {{with}} or {{range}}")),
        }
    }

    fn block(&mut self) -> Result<Call, Mistake> {
        let call = self.call("{{block}}")?;
        if call.pipe.is_none() {
            return Err(Mistake::new(call.at, "{{block}} needs a value for its dot"));
        }
        let body = self.separate()?;
        self.add(call.at, &call.name, body)?;
        Ok(call)
    }

    fn define(&mut self) -> Result<(), Mistake> {
        self.take();
        self.skip_space();
        let word = self.take();
        self.within(word.text, word.at, Self::definition)
    }

    fn definition(&mut self) -> Result<(), Mistake> {
        self.skip_space();
        let at = self.at();
        let name = self.name("{{define}}")?;
        self.close("{{define}}")?;
        let body = self.separate()?;
        self.add(at, &name, body)
    }

    fn add(&mut self, at: usize, name: &str, body: Vec<TemplateNode>) -> Result<(), Mistake> {
        match self.unit.defines.get(name) {
            Some(known) if !is_blank(known) && !is_blank(&body) => {
                return Err(Mistake::new(at, format!("template {name:?} is defined twice")));
            }
            Some(known) if !is_blank(known) => {}
            _ => {
                self.unit.defines.insert(name.to_owned(), body);
            }
        }
        Ok(())
    }
}
