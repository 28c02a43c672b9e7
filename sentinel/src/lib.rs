//! The log monitor. A byte's life, top to bottom:
//!
//! ```text
//! files → tail (identity, rotation) → lines → decode → fields → match → correlate → alert
//!       → journal → sinks (alerts.log, ring → socket, stream)
//! ```
//!
//! Everything from `line` to `engine` is pure: no file, no socket, no clock; time is an input.

pub mod time;
pub mod line;
pub mod merge;
pub mod record;
pub mod decode;
pub mod matching;
pub mod rule;
pub mod window;
pub mod group;
pub mod notice;
pub mod alert;
pub mod engine;
pub mod turn;
pub mod tail;
pub mod checkpoint;
pub mod sink;
pub mod board;
pub mod metrics;
pub mod socket;
pub mod failure;
pub mod regular;
pub mod settings;
pub mod bell;
pub mod watch;
pub mod daemon;
pub mod command;
