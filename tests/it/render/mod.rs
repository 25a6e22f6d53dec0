//! Rendering: the case files of tests/cases/render, isolation of broken templates, the memory of a resource.

mod cases;
mod convert;
pub mod facts;
mod isolation;
mod limits;
mod remembered;
mod servers;
