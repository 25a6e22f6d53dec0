//! What nginx means, as data: its command lines, its files, its words. Rank 2: never runs nginx.

pub mod backend;
pub mod installation;
pub mod quote;
