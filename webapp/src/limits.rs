//! Settings in; a process that may open as many descriptors as they ask for out.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::settings::{Fault, Settings};

/// Descriptors beside connections: logs, sockets to sentinel, the runtime's own.
const OTHERS: u64 = 128;

/// Raises the soft limit of open files where it is too low.
///
/// # Errors
/// The hard limit is too low.
pub fn raise(settings: &Settings) -> Result<(), Fault> {
    let needed = settings.connections_max as u64 + OTHERS;
    let limit = getrlimit(Resource::Nofile);
    // None is no limit.
    if limit.current.is_none_or(|current| needed <= current) {
        return Ok(());
    }
    let fault = |wrong: String| Fault {
        variable: "MAX_CONNECTIONS",
        wrong,
        remedy: "lower it, or raise the limit (ulimit -Hn, LimitNOFILE=)".to_owned(),
    };
    if let Some(maximum) = limit.maximum.filter(|maximum| *maximum < needed) {
        return Err(fault(format!(
            "{} needs {needed} open files and the system allows {maximum}",
            settings.connections_max
        )));
    }
    setrlimit(Resource::Nofile, Rlimit { current: Some(needed), maximum: limit.maximum })
        .map_err(|error| fault(format!("cannot raise the limit of open files: {error}")))
}
