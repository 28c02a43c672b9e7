//! The log monitor.
