//! Tera expressions whose type is known, and why a place cannot be converted.

use crate::render::go::lexer::Mistake;

/// Type of a value, as far as it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TypedKind {
    Text,
    Int,
    Bool,
    Texts,
    Ints,
    Pair,
    Pairs,
    /// Refused already: what depends on it is not refused again.
    Unknown,
}

impl TypedKind {
    pub(super) fn described(self) -> &'static str {
        match self {
            TypedKind::Text => "a text",
            TypedKind::Int => "a number",
            TypedKind::Bool => "true or false",
            TypedKind::Texts | TypedKind::Ints | TypedKind::Pairs => "a list",
            TypedKind::Pair => "a key with its value",
            TypedKind::Unknown => "this",
        }
    }

    /// Returns what a list of this kind holds.
    pub(super) fn item(self) -> Option<TypedKind> {
        match self {
            TypedKind::Texts => Some(TypedKind::Text),
            TypedKind::Ints => Some(TypedKind::Int),
            TypedKind::Pairs => Some(TypedKind::Pair),
            _ => None,
        }
    }

    /// Returns a name for an item without one.
    pub(super) fn usual_name(self) -> &'static str {
        match self {
            TypedKind::Pair => "pair",
            TypedKind::Int => "number",
            _ => "value",
        }
    }
}

/// A Tera expression and its type.
#[derive(Clone, Debug)]
pub(super) struct Typed {
    pub(super) code: String,
    pub(super) kind: TypedKind,
    /// Whether it can stand beside an operator as it is.
    is_atom: bool,
}

impl Typed {
    pub(super) fn atom(code: String, kind: TypedKind) -> Typed {
        Typed { code, kind, is_atom: true }
    }

    /// Returns an operator and its operands.
    pub(super) fn operation(code: String, kind: TypedKind) -> Typed {
        Typed { code, kind, is_atom: false }
    }

    pub(super) fn unknown() -> Typed {
        Typed::atom("none".to_owned(), TypedKind::Unknown)
    }

    /// Returns a text that a map has under this name.
    pub(super) fn member(&self, name: &str) -> Typed {
        let is_name = self.code.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        match is_name {
            true => Typed::atom(format!("{}.{name}", self.code), TypedKind::Text),
            // The result of a call has no members in Tera, but it can be filtered.
            false => Typed::operation(format!("{} | get(key=\"{name}\")", self.operand()), TypedKind::Text),
        }
    }

    /// Returns the code as an operand.
    pub(super) fn operand(&self) -> String {
        if self.is_atom { self.code.clone() } else { format!("({})", self.code) }
    }

    /// Returns a Tera expression that is true if Go takes the value for true.
    pub(super) fn truth(&self) -> String {
        match self.kind {
            TypedKind::Bool => self.code.clone(),
            TypedKind::Text => format!("{} != \"\"", self.operand()),
            TypedKind::Int => format!("{} != 0", self.operand()),
            TypedKind::Texts | TypedKind::Ints | TypedKind::Pairs => format!("{} | length > 0", self.operand()),
            // A pair is never empty.
            TypedKind::Pair => "true".to_owned(),
            TypedKind::Unknown => "false".to_owned(),
        }
    }

    /// Returns the same as an operand.
    pub(super) fn truth_operand(&self) -> String {
        if self.kind == TypedKind::Bool { self.operand() } else { format!("({})", self.truth()) }
    }
}

/// Reason why an expression is refused; `None` if it was reported already.
pub(super) type NotConverted = Option<Mistake>;

pub(super) fn refused<T>(at: usize, message: impl Into<String>) -> Result<T, NotConverted> {
    Err(Some(Mistake::new(at, message)))
}

/// Returns a text as a Tera literal; `None` if Tera has no way to write it.
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
