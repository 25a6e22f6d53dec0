//! Evaluates commands and their words: constants, fields, variables, functions with arguments of the type they take.

use std::sync::Arc;

use super::functions::{Function, Run, Type, shared};
use super::interpreter::{Interpreter, Trouble};
use super::node::{Command, Expr, ExprKind};
use super::time;
use super::value::Value;
use crate::render::error::Failure;

impl<'a> Interpreter<'a> {
    /// A command; `last` is what the pipeline hands it.
    pub(super) fn command(&mut self, command: &'a Command, dot: &Value, last: Option<Value>) -> Result<Value, Trouble> {
        let first = &command.words[0];
        let arguments = &command.words[1..];
        match &first.kind {
            ExprKind::Function(function) => return self.function(function, command, arguments, dot, last),
            ExprKind::Field(names) => return self.fields(first, dot.clone(), names, arguments, dot, last),
            ExprKind::Chain(inner, names) => {
                let value = self.argument(inner, Type::Any, dot)?;
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

    /// A constant that no type is asked of.
    fn constant(&self, expr: &Expr) -> Result<Value, Trouble> {
        match &expr.kind {
            ExprKind::Bool(value) => Ok(Value::Bool(*value)),
            ExprKind::Text(_, value) => Ok(Value::Text(Arc::clone(value))),
            ExprKind::Number(number) if number.overflows => {
                Err(self.trouble(expr.at, expr, &format!("{} overflows int", number.text)))
            }
            ExprKind::Number(number) => Ok(match number.integer {
                Some(integer) if !number.is_float => Value::Int(integer),
                _ => Value::Float(number.float),
            }),
            _ => Ok(Value::Missing),
        }
    }

    /// A word as an argument of a type.
    pub(super) fn argument(&mut self, expr: &'a Expr, wanted: Type, dot: &Value) -> Result<Value, Trouble> {
        let value = match &expr.kind {
            ExprKind::Dot => dot.clone(),
            ExprKind::Field(names) => self.fields(expr, dot.clone(), names, &[], dot, None)?,
            ExprKind::Variable(name, names) => {
                let value = self.variable(name, expr)?;
                if names.is_empty() { value } else { self.fields(expr, value, names, &[], dot, None)? }
            }
            ExprKind::Chain(inner, names) => {
                let value = self.argument(inner, Type::Any, dot)?;
                self.fields(expr, value, names, &[], dot, None)?
            }
            ExprKind::Pipe(pipe) => self.nested(pipe, dot)?,
            ExprKind::Function(function) => self.bare_function(function, expr, dot)?,
            ExprKind::Nil if wanted.takes_nil() => return Ok(Value::Missing),
            ExprKind::Nil => {
                return Err(self.trouble(expr.at, expr, &format!("cannot assign nil to {}", wanted.name())));
            }
            ExprKind::Number(number) => match (wanted, number.integer) {
                (Type::Any, _) => return self.constant(expr),
                (Type::Int, Some(integer)) => return Ok(Value::Int(integer)),
                _ => return Err(self.unlike(expr, wanted)),
            },
            ExprKind::Text(_, value) if matches!(wanted, Type::Any | Type::Text) => {
                return Ok(Value::Text(Arc::clone(value)));
            }
            ExprKind::Bool(value) if matches!(wanted, Type::Any | Type::Bool) => return Ok(Value::Bool(*value)),
            ExprKind::Text(..) | ExprKind::Bool(_) => return Err(self.unlike(expr, wanted)),
        };
        self.checked(value, wanted, expr)
    }

    #[cold]
    fn unlike(&self, expr: &Expr, wanted: Type) -> Trouble {
        let message = match wanted {
            Type::Text | Type::Bool => format!("expected {}; found {expr}", wanted.name()),
            Type::Int => format!("expected integer; found {expr}"),
            _ => format!("can't handle {expr} for arg of type {}", wanted.name()),
        };
        self.trouble(expr.at, expr, &message)
    }

    fn checked(&self, value: Value, wanted: Type, expr: &Expr) -> Result<Value, Trouble> {
        if wanted.accepts(&value) {
            return Ok(value);
        }
        let message = match value {
            Value::Missing => format!("invalid value; expected {}", wanted.name()),
            other => format!("wrong type for value; expected {}; got {}", wanted.name(), other.type_name()),
        };
        Err(self.trouble(expr.at, expr, &message))
    }

    fn bare_function(&mut self, function: &'static Function, expr: &'a Expr, dot: &Value) -> Result<Value, Trouble> {
        self.called(function, expr.at, expr, &[], dot, None)
    }

    fn function(
        &mut self,
        function: &'static Function,
        command: &'a Command,
        arguments: &'a [Expr],
        dot: &Value,
        last: Option<Value>,
    ) -> Result<Value, Trouble> {
        self.called(function, command.at, command, arguments, dot, last)
    }

    fn called<D: std::fmt::Display>(
        &mut self,
        function: &'static Function,
        at: usize,
        written: &D,
        arguments: &'a [Expr],
        dot: &Value,
        last: Option<Value>,
    ) -> Result<Value, Trouble> {
        let count = arguments.len() + usize::from(last.is_some());
        let least = function.parameters.len();
        if count < least || (count > least && function.rest.is_none()) {
            let wanted = if function.rest.is_some() { format!("at least {least}") } else { least.to_string() };
            let message = format!("wrong number of args for {}: want {wanted} got {count}", function.name);
            return Err(self.trouble(at, &function.name, &message));
        }
        if let Run::Logic { stops_at } = function.run {
            return self.logic(stops_at, arguments, dot, last);
        }
        let wanted = |index: usize| function.parameters.get(index).copied().or(function.rest).unwrap_or(Type::Any);
        let mut values = Vec::with_capacity(count);
        for (index, argument) in arguments.iter().enumerate() {
            values.push(self.argument(argument, wanted(index), dot)?);
        }
        if let Some(last) = last {
            let wanted = wanted(arguments.len());
            if !wanted.accepts(&last) {
                let message = match last {
                    Value::Missing => format!("invalid value; expected {}", wanted.name()),
                    other => format!("wrong type for value; expected {}; got {}", wanted.name(), other.type_name()),
                };
                return Err(self.trouble(at, written, &message));
            }
            values.push(last);
        }
        let result = match &function.run {
            Run::Native(run) => run(&values, self.session),
            Run::Shared { name, arguments, result } => shared::call(name, arguments, *result, &values, self.session),
            Run::Include => {
                let name = values[0].as_text().cloned().unwrap_or_else(|| Arc::from(""));
                self.include(&name, values.get(1).cloned().unwrap_or(Value::Missing))?
            }
            Run::Logic { .. } => Ok(Value::Missing),
        };
        result.map_err(|Failure { message, hint }| {
            let message = format!("error calling {}: {message}", function.name);
            self.trouble_of(at, written, Failure { message, hint })
        })
    }

    /// `and` and `or`: the first operand that decides, or the last; what comes after it is not looked at.
    fn logic(
        &mut self,
        stops_at: bool,
        arguments: &'a [Expr],
        dot: &Value,
        last: Option<Value>,
    ) -> Result<Value, Trouble> {
        let mut value = Value::Missing;
        for argument in arguments {
            value = self.argument(argument, Type::Any, dot)?;
            if value.is_true() == stops_at {
                return Ok(value);
            }
        }
        Ok(last.unwrap_or(value))
    }

    /// Takes `names` of a value, one after the other. Arguments are for the last, which must then be a method.
    fn fields(
        &mut self,
        expr: &'a Expr,
        value: Value,
        names: &[Arc<str>],
        arguments: &'a [Expr],
        dot: &Value,
        last: Option<Value>,
    ) -> Result<Value, Trouble> {
        let mut value = value;
        for (index, name) in names.iter().enumerate() {
            let is_last = index + 1 == names.len();
            if let Value::Time(_) = value
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

    fn field(&self, expr: &Expr, value: &Value, name: &str, has_arguments: bool) -> Result<Value, Trouble> {
        let record = |member: Option<Value>| match member {
            Some(_) if has_arguments => {
                Err(self.trouble(expr.at, expr, &format!("{name} has arguments but cannot be invoked as function")))
            }
            Some(member) => Ok(member),
            None => {
                let message = format!("can't evaluate field {name} in type {}", value.type_name());
                Err(self.trouble(expr.at, expr, &message))
            }
        };
        let number = |number: u16| Value::Unsigned(u64::from(number), "uint16");
        match value {
            Value::Missing => Ok(Value::Missing),
            Value::Nil => Err(self.trouble(expr.at, expr, &format!("nil pointer evaluating interface {{}}.{name}"))),
            Value::Map(_) if has_arguments => {
                Err(self.trouble(expr.at, expr, &format!("{name} is not a method but has arguments")))
            }
            Value::Map(map) => Ok(map.get(name).cloned().unwrap_or(Value::Missing)),
            Value::Pair(pair) => record(match name {
                "Key" => Some(Value::Text(Arc::clone(&pair.key))),
                "Value" => Some(Value::Text(Arc::clone(&pair.value))),
                _ => None,
            }),
            Value::Srv(srv) => record(match name {
                "Target" => Some(Value::from(srv.target.as_str())),
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
        value: &Value,
        name: &str,
        arguments: &'a [Expr],
        dot: &Value,
        last: Option<Value>,
    ) -> Result<Value, Trouble> {
        let Value::Time(time) = value else { return Ok(Value::Missing) };
        let (count, numbers) = time::methods(name).unwrap_or_default();
        let given = arguments.len() + usize::from(last.is_some());
        if given != count {
            let message = format!("wrong number of args for {name}: want {count} got {given}");
            return Err(self.trouble(expr.at, expr, &message));
        }
        let wanted = if numbers { Type::Int } else { Type::Text };
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
