//! The only code that touches disk, processes, clock, network, signals and namespaces.
//! Rank 3: knows files and commands, never what a template or a transaction is.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "this is the one place for effects")]

pub mod child;
pub mod clock;
pub mod connections;
pub mod dns;
pub mod dns_forward;
pub mod dns_listener;
pub mod etcd;
pub mod folder_reader;
pub mod folder_watch;
pub mod fs;
pub mod generation;
pub mod host;
pub mod http;
pub mod init;
pub mod lock;
pub mod namespace;
pub mod nginx_process;
pub mod nginx_users;
pub mod panics;
pub mod probe;
mod proc_stat;
pub mod process;
pub mod program_answer;
pub mod random;
pub mod refuge;
pub mod route;
pub mod signals;
pub mod systemd;
pub mod tasks;
pub mod terminal;
mod tls;
pub mod usage;
