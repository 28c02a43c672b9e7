//! slog-async's core, with its refusals counted: it says `Full` of a queue that is full and of a
//! writer that is gone.

use std::sync::Arc;

use slog::{Drain, OwnedKVList, Record};
use slog_async::AsyncCore;

use super::tally::{Loss, Tally};
use crate::clock;

pub(super) struct Counted {
    core: AsyncCore,
    tally: Arc<Tally>,
}

impl Counted {
    pub(super) fn new(core: AsyncCore, tally: Arc<Tally>) -> Self {
        Self { core, tally }
    }
}

/// A panic leaves no count half-made.
impl std::panic::RefUnwindSafe for Counted {}
impl std::panic::UnwindSafe for Counted {}

impl Drain for Counted {
    type Ok = ();
    type Err = slog::Never;

    fn log(&self, record: &Record<'_>, values: &OwnedKVList) -> Result<(), slog::Never> {
        self.tally.accept(1);
        if self.core.log(record, values).is_err() {
            self.tally.lose(1, Loss::QueueFull, clock::now());
        }
        Ok(())
    }
}
