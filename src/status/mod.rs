//! What is true now, for people and machines. Rank 4: told by others, commands nobody.

pub mod diff;
pub mod events;
pub mod fleet;
