//! The names that SkyDNS's records below `/skydns`, and the backends below `/services`, make: answers to people's questions, from
//! the tree that is watched anyway. Never asks a store, and never answers what nginx asks. Pure.

mod answer;
mod find;
mod labels;
mod leases;
mod record;
mod sections;
mod services;
mod table;

#[cfg(test)]
mod corpus;
#[cfg(test)]
mod tests;

pub use answer::{Moment, NameAnswer, answer, refusal};
pub use labels::OwnDomain;
pub use leases::{KeyLeases, LeaseTimes};
pub use table::{NamePlaces, NameTable};

/// TTL of a record without one, in seconds: SkyDNS's own default.
pub const DEFAULT_TTL_SECONDS: u32 = 3600;
/// TTL of a backend without one, in seconds: most backends go without notice.
pub const SERVICE_TTL_SECONDS: u32 = 30;
/// TTL of the answer that there is no such record, in seconds.
pub const NOTHING_TTL_SECONDS: u32 = 60;
/// Most CNAME records in a chain.
pub const LONGEST_CHAIN: usize = 8;
/// Most records that are looked at for one question: more than that do not fit into any answer.
pub const MAX_LOOKED_AT: usize = 10_000;
