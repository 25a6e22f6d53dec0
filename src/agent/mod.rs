//! The one event loop and its pure schedule. Rank 5: knows every part and holds no business rule beyond the schedule.

pub mod draining;
pub mod engine;
pub mod expansion;
pub mod facts;
pub mod governor;
pub mod loaded;
pub mod marks;
pub mod receipts;
pub mod rendering;
pub mod reporting;
pub mod run;
pub mod schedule;
mod standing;
pub mod stores;
mod supervised;
pub mod supervision;
mod teller;
pub mod touched;
pub mod waiting;
