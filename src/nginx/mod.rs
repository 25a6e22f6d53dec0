//! What nginx means, as data: its command lines, its files, its processes, its words. Rank 2: never runs nginx. Pure.

pub mod backend;
pub mod error_log;
pub mod installation;
pub mod process;
pub mod quote;
