//! Random bytes in; a panic where something does not hold of them that must hold of all bytes.
//!
//! Each function stands for what strangers' bytes meet first, and compares it with a model that is
//! written for its clarity alone. Kept inputs are in `seeds/`; docs/fuzzing.md says how more are found.

mod client;
mod csrf;
mod head;
mod query;
mod token;

pub use client::client;
pub use csrf::csrf;
pub use head::head;
pub use query::query;
pub use token::token;

/// A target: its name, which is that of its directory in `seeds/`, and its function.
pub type Target = (&'static str, fn(&[u8]));

/// All of them.
pub const TARGETS: [Target; 5] =
    [("client", client), ("query", query), ("csrf", csrf), ("token", token), ("head", head)];
