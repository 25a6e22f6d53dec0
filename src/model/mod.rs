//! The types that every other module uses: keys, trees, views, resources, events, reports.
//! Rank 1: uses nothing of this crate, touches nothing outside the process. Pure.

pub mod backend_change;
pub mod backoff;
pub mod connection;
pub mod dns;
pub mod endpoints;
pub mod etcd;
pub mod event;
pub mod for_each;
pub mod generation;
pub mod glob;
pub mod guard;
pub mod health;
pub mod key;
pub mod lease;
pub mod natural;
pub mod needs;
pub mod nginx;
pub mod note;
pub mod outward;
pub mod path;
pub mod problem;
pub mod process;
pub mod range;
pub mod receipt;
pub mod refusal;
pub mod removed;
pub mod report;
pub mod resource;
pub mod service;
mod shell;
pub mod store;
pub mod suggest;
pub mod text;
pub mod tree;
pub mod variable;
pub mod view;
