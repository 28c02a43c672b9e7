//! Where alerts go: the file that keeps them, and the ring that answers for them.

pub mod alerts_log;
pub mod complete;
pub mod ring;
