//! The contract between `webapp` and `sentinel`, and nothing else: the log record one writes and
//! the other reads, the alert that goes back, and where the two meet.

pub mod record;
pub mod alert;
pub mod socket;

pub use alert::Alert;
pub use record::Record;
