//! The web application: every request passes the guards, and every request leaves a record.
//!
//! ```text
//! accept → connection → exchange ┬ client → sanity → classify
//!                                ├ guard: rate → cors → csrf → query → body ─┐ Permit
//!                                ├ routes: index, health, csrf_token, alerts ┘ → upstream
//!                                └ finish: refusal, headers, record → log
//! ```
//! A guard is a pure decision; its "no" is a value that one file turns into an answer. A handler
//! needs a permit that only the guards make. The modules are listed as a request meets them.

pub mod settings;
pub mod limits;
pub mod app;
pub mod serve;
pub mod accept;
pub mod connection;
pub mod exchange;
pub mod panics;
pub mod client;
pub mod origin;
pub mod sanity;
pub mod classify;
pub mod guard;
pub mod routes;
pub mod upstream;
pub mod refusal;
pub mod finish;
pub mod record;
pub mod log;
pub mod healthcheck;

/// The one monotonic clock of the edges; everything behind them is told the time.
#[expect(clippy::disallowed_methods, reason = "edges read the clock here, and nowhere else")]
pub fn clock() -> std::time::Instant {
    std::time::Instant::now()
}
