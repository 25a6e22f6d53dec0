//! Everything that needs a real process, file system, etcd or nginx, in one test binary.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "these tests run real programs")]
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr, missing_docs, unreachable_pub, dead_code)]

mod announce;
mod apply;
mod backends;
mod broken;
mod classic;
mod cli;
mod commands;
mod confd_flags;
mod config;
mod dns;
mod docs;
mod doubts;
mod draining;
mod etcd_agent;
mod follow;
mod for_each;
mod future_tree;
mod go;
mod guards;
mod hostile;
mod installed;
mod isolation;
mod link_order;
mod modes;
mod pages;
mod receipts;
mod render;
mod sandbox;
mod several_stores;
mod shipped;
mod slow;
mod states;
mod status;
mod stock;
mod store;
mod supervise;
mod support;
mod systemd;
mod tidy;
mod verify;
mod wishes;
