//! Runs a parsed Go template: text, actions, conditions, loops, templates within templates.
//! Bounded in depth, in steps and in what it prints; reaches the world only through its session.

use std::path::Path;
use std::sync::Arc;

use super::json::from_json;
use super::node::{Branch, Call, Expr, ExprKind, Pipe, PipeCommand, TemplateNode, excerpt};
use super::parser::Unit;
use super::print;
use super::run::GoRun;
use super::templates::GoTemplates;
use super::value::{GoValue, ItemType};
use crate::model::problem::{Place, Problem};
use crate::model::resource::Escape;
use crate::nginx::quote;
use crate::render::escape;
use crate::render::output::MAX_OUTPUT_BYTES;
use crate::render::session::{PathPart, is_too_long, shown};

/// Levels of blocks and templates within each other.
const MAX_DEPTH: usize = 100;
/// Levels of `include`.
const MAX_INCLUDE_DEPTH: usize = 10;

/// An error, boxed because results are passed through many frames.
pub(super) type Trouble = Box<Problem>;

/// End of a list of nodes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Flow {
    Done,
    Break,
    Continue,
}

/// One running template.
pub(super) struct Interpreter<'a> {
    templates: &'a GoTemplates,
    pub(super) run: &'a mut GoRun,
    pub(super) escape: Escape,
    /// The files on the way here, the one that runs last.
    files: Vec<&'a str>,
    source: &'a str,
    unit: &'a Unit,
    /// The template of the file that runs: the file's name, or what a `define` calls it.
    template: &'a str,
    variables: Vec<(Arc<str>, GoValue)>,
    depth: usize,
    output: String,
}

impl<'a> Interpreter<'a> {
    /// Runs a file, and returns what it prints.
    pub(super) fn run(
        templates: &'a GoTemplates,
        root: &str,
        escape: Escape,
        run: &'a mut GoRun,
        expected_bytes: usize,
    ) -> Result<String, Trouble> {
        let (file, source, unit) = templates.root(root)?;
        let item = run.session.view.item().map(|item| (Arc::from("item"), GoValue::Text(Arc::clone(item))));
        // confd has no data for a template: dot is nil, unless it is validated with some.
        let mock = run.session.mock.as_deref().map(from_json);
        let item = item.map(|item| GoValue::Map(Arc::new([item].into())));
        let dot = mock.or(item).unwrap_or(GoValue::Missing);
        let mut interpreter = Interpreter {
            templates,
            run,
            escape,
            files: vec![file],
            source,
            unit,
            template: file,
            variables: vec![(Arc::from("$"), dot.clone())],
            depth: 0,
            output: String::with_capacity(expected_bytes),
        };
        interpreter.nodes(&unit.root, &dot)?;
        Ok(interpreter.output)
    }

    /// Returns an error of this template, at an expression.
    #[cold]
    pub(super) fn trouble(&self, at: usize, expression: &impl std::fmt::Display, message: &str) -> Trouble {
        self.trouble_of(at, expression, Problem::new(message))
    }

    #[cold]
    pub(super) fn trouble_of(&self, at: usize, expression: &impl std::fmt::Display, failure: Problem) -> Trouble {
        let message = format!("executing {:?} at <{}>: {}", self.template, excerpt(expression), failure.message);
        let file = Path::new(self.files.last().map_or("", |file| file));
        let place = Some(Place::in_text(file, self.source, at));
        Box::new(Problem { place, message, hint: failure.hint })
    }

    fn nodes(&mut self, nodes: &'a [TemplateNode], dot: &GoValue) -> Result<Flow, Trouble> {
        for node in nodes {
            match self.node(node, dot)? {
                Flow::Done => {}
                other => return Ok(other),
            }
        }
        Ok(Flow::Done)
    }

    fn node(&mut self, node: &'a TemplateNode, dot: &GoValue) -> Result<Flow, Trouble> {
        match node {
            TemplateNode::Text(text) => {
                self.output.push_str(text);
                if self.output.len() > MAX_OUTPUT_BYTES {
                    return Err(self.too_much());
                }
            }
            TemplateNode::Action(pipe) => {
                if pipe.assigns && self.append_in_place(pipe, dot)? {
                    return Ok(Flow::Done);
                }
                let value = self.pipe(pipe, dot)?;
                if pipe.variables.is_empty() {
                    self.print(pipe, &value)?;
                }
            }
            TemplateNode::Break => return Ok(Flow::Break),
            TemplateNode::Continue => return Ok(Flow::Continue),
            TemplateNode::If(branch) => return self.scoped(&branch.pipe, |it| it.choose(branch, dot, false)),
            TemplateNode::With(branch) => return self.scoped(&branch.pipe, |it| it.choose(branch, dot, true)),
            TemplateNode::Range(branch) => return self.scoped(&branch.pipe, |it| it.range(branch, dot)),
            TemplateNode::Template(call) => self.call(call, dot)?,
        }
        Ok(Flow::Done)
    }

    #[cold]
    fn too_much(&self) -> Trouble {
        let message = format!("the output is larger than {MAX_OUTPUT_BYTES} bytes");
        Box::new(Problem::in_template(self.files[0], message))
    }

    /// Goes one level down; variables that are declared there end with it.
    fn scoped<T>(&mut self, pipe: &Pipe, work: impl FnOnce(&mut Self) -> Result<T, Trouble>) -> Result<T, Trouble> {
        if self.depth >= MAX_DEPTH {
            return Err(self.trouble(pipe.at, pipe, &format!("more than {MAX_DEPTH} levels are nested")));
        }
        let outer = self.variables.len();
        self.depth += 1;
        let result = work(self);
        self.depth -= 1;
        self.variables.truncate(outer);
        result
    }

    fn choose(&mut self, branch: &'a Branch, dot: &GoValue, rebinds: bool) -> Result<Flow, Trouble> {
        let value = self.pipe(&branch.pipe, dot)?;
        match value.is_true() {
            true if rebinds => self.nodes(&branch.body, &value),
            true => self.nodes(&branch.body, dot),
            false => self.nodes(&branch.otherwise, dot),
        }
    }

    fn range(&mut self, branch: &'a Branch, dot: &GoValue) -> Result<Flow, Trouble> {
        let value = self.pipe(&branch.pipe, dot)?;
        let mut empty = true;
        let mut round = |it: &mut Self, index: &dyn Fn() -> GoValue, item: &GoValue| -> Result<bool, Trouble> {
            empty = false;
            it.round(branch, index, item)
        };
        match &value {
            GoValue::Missing | GoValue::Nil => {}
            GoValue::List(_, items) => {
                for (index, item) in items.iter().enumerate() {
                    if !round(self, &|| GoValue::Int(i64::try_from(index).unwrap_or(i64::MAX)), item)? {
                        break;
                    }
                }
            }
            GoValue::Map(map) => {
                for (key, item) in map.iter() {
                    if !round(self, &|| GoValue::Text(Arc::clone(key)), item)? {
                        break;
                    }
                }
            }
            GoValue::Int(count) if branch.pipe.variables.len() < 2 => {
                for number in 0..*count {
                    if !round(self, &|| GoValue::Int(number), &GoValue::Int(number))? {
                        break;
                    }
                }
            }
            GoValue::Int(_) => {
                let message = "a number can only be iterated over with one variable";
                return Err(self.trouble(branch.pipe.at, &branch.pipe, message));
            }
            other => {
                let message = format!("range can't iterate over a value of type {}", other.type_name());
                return Err(self.trouble(branch.pipe.at, &branch.pipe, &message));
            }
        }
        if empty { self.nodes(&branch.otherwise, dot) } else { Ok(Flow::Done) }
    }

    /// Runs one round of a loop; false ends the loop.
    fn round(&mut self, branch: &'a Branch, index: &dyn Fn() -> GoValue, item: &GoValue) -> Result<bool, Trouble> {
        self.step(branch.pipe.at, &branch.pipe)?;
        let inner = self.variables.len();
        match branch.pipe.variables.as_slice() {
            [] => {}
            [only] if branch.pipe.assigns => self.assign(only, &branch.pipe, item.clone())?,
            [first, second] if branch.pipe.assigns => {
                self.assign(first, &branch.pipe, index())?;
                self.assign(second, &branch.pipe, item.clone())?;
            }
            [_] => self.variables[inner - 1].1 = item.clone(),
            _ => {
                self.variables[inner - 2].1 = index();
                self.variables[inner - 1].1 = item.clone();
            }
        }
        let flow = self.nodes(&branch.body, item)?;
        self.variables.truncate(inner);
        Ok(flow != Flow::Break)
    }

    fn step(&mut self, at: usize, expression: &impl std::fmt::Display) -> Result<(), Trouble> {
        self.run.session.budget.take_rounds(1).map_err(|problem| self.trouble_of(at, expression, problem))
    }

    fn call(&mut self, call: &'a Call, dot: &GoValue) -> Result<(), Trouble> {
        let body = match self.unit.defines.get(&call.name) {
            Some(body) => body,
            None if call.name == self.files[self.files.len() - 1] => &self.unit.root,
            None => return Err(self.trouble(call.at, call, &format!("template {:?} not defined", call.name))),
        };
        let dot = match &call.pipe {
            Some(pipe) => self.scoped(pipe, |it| it.pipe(pipe, dot))?,
            None => GoValue::Missing,
        };
        self.step(call.at, call)?;
        if self.depth >= MAX_DEPTH {
            return Err(self.trouble(call.at, call, &format!("more than {MAX_DEPTH} templates are nested")));
        }
        let variables = std::mem::replace(&mut self.variables, vec![(Arc::from("$"), dot.clone())]);
        let template = std::mem::replace(&mut self.template, &call.name);
        self.depth += 1;
        let result = self.nodes(body, &dot);
        self.depth -= 1;
        self.template = template;
        self.variables = variables;
        result.map(|_| ())
    }

    /// Runs `include`: a file with its own templates and variables, as text.
    pub(super) fn include(&mut self, name: &str, dot: GoValue) -> Result<Result<GoValue, Problem>, Trouble> {
        let Some((file, source, unit)) = self.templates.included(name)? else {
            if is_too_long(name) {
                return Ok(Err(Problem::new(format!("there is no template with a name of {} bytes", name.len()))));
            }
            return Ok(Err(match self.run.session.part_of(name) {
                Some(PathPart::ValueOf(key)) => {
                    Problem::new(format!("there is no template with the name that key `{}` holds", shown(key)))
                }
                Some(PathPart::Unknown) => {
                    Problem::new("there is no template with a name that may be made with a value")
                }
                None => self.templates.no_such_include(name),
            }));
        };
        if self.files.contains(&file) {
            return Ok(Err(Problem::new(format!("`{file}` includes itself"))));
        }
        if self.files.len() > MAX_INCLUDE_DEPTH || self.depth >= MAX_DEPTH {
            return Ok(Err(Problem::new(format!("more than {MAX_INCLUDE_DEPTH} files include each other"))));
        }
        let outer = (self.source, self.unit, self.template, self.output.len());
        let variables = std::mem::replace(&mut self.variables, vec![(Arc::from("$"), dot.clone())]);
        (self.source, self.unit, self.template) = (source, unit, file);
        self.files.push(file);
        self.depth += 1;
        self.nodes(&unit.root, &dot)?;
        self.depth -= 1;
        self.files.pop();
        self.variables = variables;
        (self.source, self.unit, self.template, _) = outer;
        let text = self.output.split_off(outer.3);
        // Its text was checked when it was printed.
        Ok(Ok(GoValue::Safe(Arc::from(text))))
    }

    fn print(&mut self, pipe: &Pipe, value: &GoValue) -> Result<(), Trouble> {
        let before = self.output.len();
        print::action(value, &mut self.output);
        if self.output.len() > MAX_OUTPUT_BYTES {
            return Err(self.too_much());
        }
        if self.escape == Escape::None || matches!(value, GoValue::Safe(_)) || is_constant(pipe) {
            return Ok(());
        }
        let printed = &self.output[before..];
        if quote::is_harmless(printed) {
            return Ok(());
        }
        let mut failure = Problem::new(escape::refused(&self.run.session, printed));
        failure.hint = Some("`nginxString` writes it as one quoted argument".to_owned());
        Err(self.trouble_of(pipe.at, pipe, failure))
    }

    /// Returns the error for a variable without a value. The parser knows a variable from its declaration on, the pipeline
    /// that declares it included; only here does it show whether the variable ever got a value.
    fn unset(&self, name: &str, at: usize, expression: &impl std::fmt::Display) -> Trouble {
        self.trouble(at, expression, &format!("undefined variable: {name}"))
    }

    fn assign(&mut self, name: &str, pipe: &Pipe, value: GoValue) -> Result<(), Trouble> {
        match self.variables.iter_mut().rev().find(|(known, _)| &**known == name) {
            Some(variable) => variable.1 = value,
            None => return Err(self.unset(name, pipe.at, pipe)),
        }
        Ok(())
    }

    /// Returns the items of the list that a variable holds, if nothing else holds it.
    pub(super) fn lone_list(&mut self, name: &str) -> Option<&mut Vec<GoValue>> {
        match self.variables.iter_mut().rev().find(|(known, _)| &**known == name).map(|(_, value)| value) {
            Some(GoValue::List(ItemType::Any, items)) => Arc::get_mut(items),
            _ => None,
        }
    }

    pub(super) fn variable(&self, name: &str, at: &Expr) -> Result<GoValue, Trouble> {
        let found = self.variables.iter().rev().find(|(known, _)| &**known == name);
        found.map(|(_, value)| value.clone()).ok_or_else(|| self.unset(name, at.at, at))
    }

    /// Returns the value of a pipeline in parentheses.
    pub(super) fn nested(&mut self, pipe: &'a Pipe, dot: &GoValue) -> Result<GoValue, Trouble> {
        self.scoped(pipe, |it| it.pipe(pipe, dot))
    }

    /// Returns the value of a pipeline, given to the variables that it declares.
    pub(super) fn pipe(&mut self, pipe: &'a Pipe, dot: &GoValue) -> Result<GoValue, Trouble> {
        let mut value = None;
        for command in &pipe.commands {
            let result = self.command(command, dot, value.take())?;
            value = Some(if result.is_nil() { GoValue::Missing } else { result });
        }
        let value = value.unwrap_or(GoValue::Missing);
        for variable in &pipe.variables {
            if pipe.assigns {
                self.assign(variable, pipe, value.clone())?;
            } else {
                self.variables.push((Arc::clone(variable), value.clone()));
            }
        }
        Ok(value)
    }
}

/// Checks whether a pipeline is a text or a number of the template itself.
fn is_constant(pipe: &Pipe) -> bool {
    let [PipeCommand { words, .. }] = pipe.commands.as_slice() else { return false };
    let [Expr { kind, .. }] = words.as_slice() else { return false };
    matches!(kind, ExprKind::Text(..) | ExprKind::Number(_) | ExprKind::Bool(_))
}
