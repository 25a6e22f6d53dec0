//! The only code that touches disk, processes, clock, network, signals and namespaces.
//! Rank 3: knows files and commands, never what a template or a transaction is.

pub mod dns;
pub mod host;
