//! Knowledge about nginx, as data: its command lines, files, processes and log lines. Rank 2: never runs nginx. Pure.
// What is read here is written by strangers: cut by what is found in it, never at a number of bytes.
#![warn(clippy::string_slice)]

pub mod backend;
pub mod error_log;
pub mod includes;
pub mod installation;
pub mod process;
pub mod quote;
pub mod tokens;
pub mod upstream_log;
pub mod upstreams;
pub mod words;
