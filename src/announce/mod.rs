//! Backends that register themselves: health check, hysteresis, a key under a lease. Rank 4.
//!
//! Deciding is pure: `health` (rise and fall), `registrar` (requests to etcd), `layout` (keys and values), `roster` (the
//! services), `status` (the answer to whoever asks), `ending` (the order of the end), `draining` (the evaluation of receipts), `vacancy`
//! (when the log says that there is nothing to announce). `run` waits for the next event and hands it to them; `service_files` reads
//! beside it.

pub mod asked;
pub mod draining;
pub mod ending;
pub mod health;
pub mod keeper;
pub mod layout;
mod link;
mod log;
mod lookup;
pub mod registrar;
pub mod roster;
pub mod run;
pub mod service_files;
mod services;
pub mod status;
pub mod vacancy;
