//! Signals that ask this process to end, noticed when it is ready to hear of them.

use anyhow::Result;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

/// Hears Ctrl-C, SIGTERM and the end of the terminal.
pub(crate) struct Stop(Signals);

impl Stop {
    pub(crate) fn listen() -> Result<Self> {
        Ok(Self(Signals::new([SIGINT, SIGTERM, SIGHUP])?))
    }

    /// Whether such a signal came since the last call.
    pub(crate) fn asked(&mut self) -> bool {
        self.0.pending().count() > 0
    }
}
