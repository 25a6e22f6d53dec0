//! The loop that hands out work and takes it back. Rank 5: knows every part and holds no business rule beyond the timing.
//!
//! `catalog` holds the content of conf.d. `desk` has an entry for each group, with the `state` of its resources, and hands
//! out a `pass` when `timing` says so; `crew` carries passes out beside the loop. `run` ties them together for the loops in
//! `follow` and `once`.

pub mod announcers;
pub mod catalog;
pub mod catalog_reader;
mod claims;
mod crew;
pub mod desk;
pub mod drains;
mod endpoint_news;
pub mod endpoints;
mod error_logs;
pub mod facts;
mod file_backends;
pub mod fleet;
pub mod follow;
mod given_up;
pub mod governor;
mod loss;
pub mod mark;
mod masters;
mod news;
mod old_workers;
pub mod once;
pub mod outside;
pub mod pass;
pub mod proofs;
mod questions;
mod readers;
pub mod receipt_key;
pub mod receipts;
mod recovering;
pub mod reloads;
pub mod reporting;
pub mod run;
mod standing;
mod state;
pub mod stores;
pub mod supervision;
pub mod supervisor;
mod surroundings;
pub mod timing;
mod unread;
mod untaken;
pub mod upstreams;
mod wait;
