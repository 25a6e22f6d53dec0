//! Knowledge about nginx, as data: its command lines, files, processes and log lines. Rank 2: never runs nginx. Pure.

pub mod backend;
pub mod error_log;
pub mod installation;
pub mod process;
pub mod quote;
pub mod words;
