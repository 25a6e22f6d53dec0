//! The event loop and what it knows of the world. Rank 5: holds no business rules.

pub mod facts;
