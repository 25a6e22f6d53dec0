//! Answers the questions of nginx about the endpoints of its upstreams: an answer is held until something changes, so that a
//! change arrives in milliseconds and without a reload. Never asks a store, and never writes nginx's files.

pub mod answerer;
pub mod asked;
pub mod flood;
pub mod ledger;
pub mod message;
pub mod name_service;
mod poller;
pub mod published;
pub mod saved;
pub mod service;
pub mod skydns;
pub mod taken;
mod targets;
mod until_live;
mod written;
