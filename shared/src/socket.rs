//! Where the two processes meet: a unix socket that speaks HTTP/1.1.

use std::path::{Path, PathBuf};

/// Longest path a unix socket can be bound to on Linux, in bytes (`sun_path` less its NUL; unix(7)).
pub const PATH_BYTES_MAX: usize = 107;

/// Largest answer of [`ALERTS`], in bytes: a page ends before it. An alert that is larger by itself
/// comes alone.
pub const ANSWER_BYTES_MAX: usize = 1 << 20;

/// Recent alerts: `limit`, `after_seq`, `since`, `level`, `rule`, `status`, `group.FIELD`.
pub const ALERTS: &str = "/v1/alerts";

/// Alerts as they come: Server-Sent Events (WHATWG HTML §9.2), `id` being their `seq`. Takes the
/// parameters of [`ALERTS`] but for `limit` and `since`, and `Last-Event-ID`.
pub const ALERTS_STREAM: &str = "/v1/alerts/stream";

/// What sentinel reads, how far it is, and what went wrong.
pub const STATUS: &str = "/v1/status";

/// Counters and gauges in the Prometheus text format.
pub const METRICS: &str = "/metrics";

/// 200 while the evaluator lives.
pub const HEALTHZ: &str = "/healthz";

/// 200 once rules are loaded, state is restored and the directory is watched; else 503.
pub const READYZ: &str = "/readyz";

/// Where sentinel keeps its state unless told otherwise, so that nobody has to tell it.
pub fn default_state_dir(log_dir: &Path) -> PathBuf {
    log_dir.join(".sentinel")
}

/// The socket in a state directory.
pub fn default_socket(state_dir: &Path) -> PathBuf {
    state_dir.join("sentinel.sock")
}
