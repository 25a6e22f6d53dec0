//! The one event loop and its pure schedule. Rank 5: knows every part and holds no business rule beyond the schedule.

pub mod schedule;
pub mod touched;
