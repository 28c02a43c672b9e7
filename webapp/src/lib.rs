//! The web application: every request passes the guards, and every request leaves a record.
//!
//! ```text
//! serve → accept → connection → exchange ┬ client → sanity → classify
//!                                        ├ guard: rate → cors → csrf → query → body ─┐ Permit
//!                                        ├ routes: index, health, csrf_token, alerts ┘ → upstream
//!                                        └ finish: refusal, headers, record → log
//! ```
//! A guard is a pure decision; its "no" is a value that one file turns into an answer. A handler
//! needs a permit that only the guards make. The modules are listed as a request meets them; imports
//! run one way, from `serve` down to `client`, `classify`, `origin` and `record`.

pub mod settings;
pub mod limits;
pub mod app;
pub mod serve;
pub mod phase;
pub mod accept;
pub mod listen;
mod seats;
pub mod connection;
pub mod unsent;
pub mod heads;
pub mod exchange;
pub mod panics;
pub mod client;
pub mod origin;
pub mod sanity;
pub mod classify;
pub mod guard;
pub mod routes;
pub mod streams;
pub mod upstream;
pub mod refusal;
pub mod finish;
pub mod record;
pub mod log;
pub mod clock;
pub mod healthcheck;
