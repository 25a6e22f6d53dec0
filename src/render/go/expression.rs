//! Evaluates commands and their words: constants, fields, variables, functions with arguments of the type they take.

use std::sync::Arc;

use super::functions::{FunctionBody, GoFunction, Parameter};
use super::interpreter::{Interpreter, Trouble};
use super::node::{Expr, ExprKind, Pipe, PipeCommand};
use super::time;
use super::value::GoValue;
use crate::model::problem::Problem;
use crate::render::budget::check_added;

impl<'a> Interpreter<'a> {
    /// Evaluates a command; `last` is what the pipeline hands it.
    pub(super) fn command(
        &mut self,
        command: &'a PipeCommand,
        dot: &GoValue,
        last: Option<GoValue>,
    ) -> Result<GoValue, Trouble> {
        let first = &command.words[0];
        let arguments = &command.words[1..];
        match &first.kind {
            ExprKind::Function(function) => return self.function(function, command, arguments, dot, last),
            ExprKind::Field(names) => return self.fields(first, dot.clone(), names, arguments, dot, last),
            ExprKind::Chain(inner, names) => {
                let value = self.argument(inner, Parameter::Any, dot)?;
                return self.fields(first, value, names, arguments, dot, last);
            }
            ExprKind::Variable(name, names) if !names.is_empty() => {
                let value = self.variable(name, first)?;
                return self.fields(first, value, names, arguments, dot, last);
            }
            _ => {}
        }
        if last.is_some() || !arguments.is_empty() {
            return Err(self.trouble(first.at, first, &format!("can't give argument to non-function {first}")));
        }
        match &first.kind {
            ExprKind::Nil => Err(self.trouble(first.at, first, "nil is not a command")),
            ExprKind::Pipe(pipe) => self.nested(pipe, dot),
            ExprKind::Variable(name, _) => self.variable(name, first),
            ExprKind::Dot => Ok(dot.clone()),
            _ => self.constant(first),
        }
    }

    /// Returns a constant, of its own type.
    fn constant(&self, expr: &Expr) -> Result<GoValue, Trouble> {
        match &expr.kind {
            ExprKind::Bool(value) => Ok(GoValue::Bool(*value)),
            ExprKind::Text(_, value) => Ok(GoValue::Text(Arc::clone(value))),
            ExprKind::Number(number) if number.overflows => {
                Err(self.trouble(expr.at, expr, &format!("{} overflows int", number.text)))
            }
            ExprKind::Number(number) => Ok(match number.integer {
                Some(integer) if !number.is_float => GoValue::Int(integer),
                _ => GoValue::Float(number.float),
            }),
            _ => Ok(GoValue::Missing),
        }
    }

    /// Evaluates a word as an argument of a type.
    pub(super) fn argument(&mut self, expr: &'a Expr, wanted: Parameter, dot: &GoValue) -> Result<GoValue, Trouble> {
        let value = match &expr.kind {
            ExprKind::Dot => dot.clone(),
            ExprKind::Field(names) => self.fields(expr, dot.clone(), names, &[], dot, None)?,
            ExprKind::Variable(name, names) => {
                let value = self.variable(name, expr)?;
                if names.is_empty() { value } else { self.fields(expr, value, names, &[], dot, None)? }
            }
            ExprKind::Chain(inner, names) => {
                let value = self.argument(inner, Parameter::Any, dot)?;
                self.fields(expr, value, names, &[], dot, None)?
            }
            ExprKind::Pipe(pipe) => self.nested(pipe, dot)?,
            ExprKind::Function(function) => self.bare_function(function, expr, dot)?,
            ExprKind::Nil if wanted.takes_nil() => return Ok(GoValue::Missing),
            ExprKind::Nil => {
                return Err(self.trouble(expr.at, expr, &format!("cannot assign nil to {}", wanted.name())));
            }
            ExprKind::Number(number) => match (wanted, number.integer) {
                (Parameter::Any, _) => return self.constant(expr),
                (Parameter::Int, Some(integer)) => return Ok(GoValue::Int(integer)),
                _ => return Err(self.unlike(expr, wanted)),
            },
            ExprKind::Text(_, value) if matches!(wanted, Parameter::Any | Parameter::Text) => {
                return Ok(GoValue::Text(Arc::clone(value)));
            }
            ExprKind::Bool(value) if matches!(wanted, Parameter::Any | Parameter::Bool) => {
                return Ok(GoValue::Bool(*value));
            }
            ExprKind::Text(..) | ExprKind::Bool(_) => return Err(self.unlike(expr, wanted)),
        };
        self.checked(value, wanted, expr)
    }

    #[cold]
    fn unlike(&self, expr: &Expr, wanted: Parameter) -> Trouble {
        let message = match wanted {
            Parameter::Text | Parameter::Bool => format!("expected {}; found {expr}", wanted.name()),
            Parameter::Int => format!("expected integer; found {expr}"),
            _ => format!("can't handle {expr} for arg of type {}", wanted.name()),
        };
        self.trouble(expr.at, expr, &message)
    }

    fn checked(&self, value: GoValue, wanted: Parameter, expr: &Expr) -> Result<GoValue, Trouble> {
        if wanted.accepts(&value) {
            return Ok(value);
        }
        let message = match value {
            GoValue::Missing => format!("invalid value; expected {}", wanted.name()),
            other => format!("wrong type for value; expected {}; got {}", wanted.name(), other.type_name()),
        };
        Err(self.trouble(expr.at, expr, &message))
    }

    fn bare_function(
        &mut self,
        function: &'static GoFunction,
        expr: &'a Expr,
        dot: &GoValue,
    ) -> Result<GoValue, Trouble> {
        self.called(function, expr.at, expr, &[], dot, None)
    }

    fn function(
        &mut self,
        function: &'static GoFunction,
        command: &'a PipeCommand,
        arguments: &'a [Expr],
        dot: &GoValue,
        last: Option<GoValue>,
    ) -> Result<GoValue, Trouble> {
        self.called(function, command.at, command, arguments, dot, last)
    }

    fn called<D: std::fmt::Display>(
        &mut self,
        function: &'static GoFunction,
        at: usize,
        written: &D,
        arguments: &'a [Expr],
        dot: &GoValue,
        last: Option<GoValue>,
    ) -> Result<GoValue, Trouble> {
        let count = arguments.len() + usize::from(last.is_some());
        let least = function.parameters.len();
        if count < least || (count > least && function.rest.is_none()) {
            let wanted = if function.rest.is_some() { format!("at least {least}") } else { least.to_string() };
            let message = format!("wrong number of args for {}: want {wanted} got {count}", function.name);
            return Err(self.trouble(at, &function.name, &message));
        }
        if let FunctionBody::Logic { stops_at } = function.run {
            return self.logic(stops_at, arguments, dot, last);
        }
        let wanted = |index: usize| function.parameters.get(index).copied().or(function.rest).unwrap_or(Parameter::Any);
        let mut values = Vec::with_capacity(count);
        for (index, argument) in arguments.iter().enumerate() {
            values.push(self.argument(argument, wanted(index), dot)?);
        }
        if let Some(last) = last {
            let wanted = wanted(arguments.len());
            if !wanted.accepts(&last) {
                let message = match last {
                    GoValue::Missing => format!("invalid value; expected {}", wanted.name()),
                    other => format!("wrong type for value; expected {}; got {}", wanted.name(), other.type_name()),
                };
                return Err(self.trouble(at, written, &message));
            }
            values.push(last);
        }
        let in_time = self.run.session.budget.check_time();
        let result = match &function.run {
            _ if in_time.is_err() => in_time.map(|()| GoValue::Missing),
            FunctionBody::Native(run) => run(&values, self.run),
            FunctionBody::Include => {
                let name = values[0].as_text().cloned().unwrap_or_else(|| Arc::from(""));
                self.include(&name, values.get(1).cloned().unwrap_or(GoValue::Missing))?
            }
            FunctionBody::Logic { .. } => Ok(GoValue::Missing),
        };
        result.map_err(|Problem { message, hint, .. }| {
            let message = format!("error calling {}: {message}", function.name);
            self.trouble_of(at, written, Problem { place: None, message, hint })
        })
    }

    /// Does `$list = append $list item` without a copy of the list, if nothing else holds it: otherwise a loop that makes a
    /// list would take the square of its length. Returns whether it did.
    pub(super) fn append_in_place(&mut self, pipe: &'a Pipe, dot: &GoValue) -> Result<bool, Trouble> {
        let ([variable], [command]) = (pipe.variables.as_slice(), pipe.commands.as_slice()) else { return Ok(false) };
        let [function, list, item] = command.words.as_slice() else { return Ok(false) };
        let ExprKind::Variable(name, fields) = &list.kind else { return Ok(false) };
        let is_append = matches!(function.kind, ExprKind::Function(function) if function.name == "append");
        if !is_append || name != variable || !fields.is_empty() || self.lone_list(name).is_none() {
            return Ok(false);
        }
        let item = self.argument(item, Parameter::Any, dot)?;
        // The item may be the list itself.
        let Some(items) = self.lone_list(name) else { return Ok(false) };
        items.push(item);
        let checked = check_added(items);
        let checked = checked.and_then(|()| self.run.session.budget.check_time());
        checked.map(|()| true).map_err(|Problem { message, hint, .. }| {
            let message = format!("error calling append: {message}");
            self.trouble_of(command.at, command, Problem { place: None, message, hint })
        })
    }

    /// Evaluates `and` and `or`: the first operand that decides, or the last; what comes after it is not evaluated.
    fn logic(
        &mut self,
        stops_at: bool,
        arguments: &'a [Expr],
        dot: &GoValue,
        last: Option<GoValue>,
    ) -> Result<GoValue, Trouble> {
        let mut value = GoValue::Missing;
        for argument in arguments {
            value = self.argument(argument, Parameter::Any, dot)?;
            if value.is_true() == stops_at {
                return Ok(value);
            }
        }
        Ok(last.unwrap_or(value))
    }

    /// Reads fields `names` of a value, one after the other. Arguments are for the last, which must then be a method.
    fn fields(
        &mut self,
        expr: &'a Expr,
        value: GoValue,
        names: &[Arc<str>],
        arguments: &'a [Expr],
        dot: &GoValue,
        last: Option<GoValue>,
    ) -> Result<GoValue, Trouble> {
        let mut value = value;
        for (index, name) in names.iter().enumerate() {
            let is_last = index + 1 == names.len();
            if let GoValue::Time(_) = value
                && time::has_method(name)
            {
                let (arguments, last) = if is_last { (arguments, last.clone()) } else { (&[][..], None) };
                value = self.method(expr, &value, name, arguments, dot, last)?;
                continue;
            }
            let has_arguments = is_last && (!arguments.is_empty() || last.is_some());
            value = self.field(expr, &value, name, has_arguments)?;
        }
        Ok(value)
    }

    fn field(&self, expr: &Expr, value: &GoValue, name: &str, has_arguments: bool) -> Result<GoValue, Trouble> {
        let record = |member: Option<GoValue>| match member {
            Some(_) if has_arguments => {
                Err(self.trouble(expr.at, expr, &format!("{name} has arguments but cannot be invoked as function")))
            }
            Some(member) => Ok(member),
            None => {
                let message = format!("can't evaluate field {name} in type {}", value.type_name());
                Err(self.trouble(expr.at, expr, &message))
            }
        };
        let number = |number: u16| GoValue::Unsigned(u64::from(number), "uint16");
        match value {
            GoValue::Missing => Ok(GoValue::Missing),
            GoValue::Nil => Err(self.trouble(expr.at, expr, &format!("nil pointer evaluating interface {{}}.{name}"))),
            GoValue::Map(_) if has_arguments => {
                Err(self.trouble(expr.at, expr, &format!("{name} is not a method but has arguments")))
            }
            GoValue::Map(map) => Ok(map.get(name).cloned().unwrap_or(GoValue::Missing)),
            GoValue::Pair(pair) => record(match name {
                "Key" => Some(GoValue::Text(Arc::clone(&pair.key))),
                "Value" => Some(GoValue::Text(Arc::clone(&pair.value))),
                _ => None,
            }),
            GoValue::Srv(srv) => record(match name {
                "Target" => Some(GoValue::from(srv.target.as_str())),
                "Port" => Some(number(srv.port)),
                "Priority" => Some(number(srv.priority)),
                "Weight" => Some(number(srv.weight)),
                _ => None,
            }),
            _ => record(None),
        }
    }

    fn method(
        &mut self,
        expr: &'a Expr,
        value: &GoValue,
        name: &str,
        arguments: &'a [Expr],
        dot: &GoValue,
        last: Option<GoValue>,
    ) -> Result<GoValue, Trouble> {
        let GoValue::Time(time) = value else { return Ok(GoValue::Missing) };
        let (count, numbers) = time::methods(name).unwrap_or_default();
        let given = arguments.len() + usize::from(last.is_some());
        if given != count {
            let message = format!("wrong number of args for {name}: want {count} got {given}");
            return Err(self.trouble(expr.at, expr, &message));
        }
        let wanted = if numbers { Parameter::Int } else { Parameter::Text };
        let mut values = Vec::with_capacity(count);
        for argument in arguments {
            values.push(self.argument(argument, wanted, dot)?);
        }
        if let Some(last) = last {
            values.push(self.checked(last, wanted, expr)?);
        }
        time::call(time, name, &values).map_err(|failure| self.trouble_of(expr.at, expr, failure))
    }
}
