//! Go templates: text/template with confd's functions. Prints what confd prints; docs/go-templates.md lists the
//! differences. An engine of its own because confd's templates show Go's types everywhere: in what prints, in what
//! compares, in which function takes what. Never reads a file: other files come from `GoTemplates`.

mod asks;
mod convert;
mod differences;
mod expression;
mod float;
mod functions;
mod interpreter;
mod json;
mod lexer;
mod node;
mod number;
mod parser;
mod print;
mod printf;
mod render;
mod run;
mod templates;
mod time;
mod value;

#[cfg(test)]
mod tests;

pub use convert::convert;
pub(super) use render::render;
pub(super) use run::GoMemory;
pub(super) use templates::GoTemplates;
