//! Parses and checks what people write: conf.d becomes resources; flags, environment and `upstreamd.toml` become settings.
//! Reports every problem at once, each with its place and a hint.
//! Pure: it takes names and texts, and never reads a file.

mod command;
pub mod differences;
mod document;
pub mod duration;
pub(crate) mod given_twice;
mod port;
pub mod programs;
pub mod resource;
pub(crate) mod separators;
pub mod service;
pub mod set;
pub mod settings;
