//! Rendering: the case files of tests/cases/render, isolation of broken templates, what a resource remembers.

mod cases;
mod convert;
pub mod facts;
mod isolation;
mod remembered;
