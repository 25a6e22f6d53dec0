//! Rendering: the case files of tests/cases/render, isolation of broken templates, documentation, hostile stores.

mod cases;
mod documented;
mod facts;
mod hostile;
mod isolation;
mod remembered;
