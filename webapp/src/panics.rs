//! A future that may panic in; its output or what the panic said out.
//!
//! A panic must not end a connection without an answer and a record.

use std::{
    backtrace::Backtrace,
    cell::{Cell, RefCell},
    fmt,
    panic::{self, AssertUnwindSafe, PanicHookInfo},
    pin::pin,
    sync::Arc,
    task::Poll,
};

use sha2::{Digest, Sha256};
use shared::record::action;
use slog::Level;

use crate::{app::App, clock, record::Event};

thread_local! {
    static IS_CATCHING: Cell<bool> = const { Cell::new(false) };
    static LAST: RefCell<Option<Panic>> = const { RefCell::new(None) };
}

/// What a panic said, and where.
#[derive(Debug, Clone, Default)]
pub struct Panic {
    message: String,
    location: String,
    /// The same for the same way to the same place.
    backtrace_hash: String,
}

impl fmt::Display for Panic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { message, location, backtrace_hash } = self;
        write!(f, "{message} (at {location}, backtrace {backtrace_hash})")
    }
}

impl Panic {
    fn of(info: &PanicHookInfo<'_>) -> Self {
        let backtrace = Backtrace::force_capture().to_string();
        let digest = Sha256::digest(backtrace);
        Self {
            message: info.payload_as_str().unwrap_or("no message").to_owned(),
            location: info.location().map_or_else(String::new, ToString::to_string),
            backtrace_hash: digest.iter().take(6).map(|byte| format!("{byte:02x}")).collect(),
        }
    }
}

/// From now on a panic is kept for [`caught`], or written down where nobody catches it.
pub fn install(app: Arc<App>) {
    let default = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        let panic = Panic::of(info);
        if IS_CATCHING.get() {
            LAST.set(Some(panic));
            return;
        }
        let text = panic.to_string();
        let event = Event {
            message: "panic",
            action: action::PANIC,
            error_type: Some(action::PANIC),
            error_message: Some(&text),
            ..Event::default()
        };
        app.logs.errors.write(Level::Error, clock::timestamp(), &event);
        default(info);
    }));
}

/// Polls a future; a panic ends it and nothing else.
///
/// # Errors
/// What the panic said.
pub async fn caught<F: Future>(future: F) -> Result<F::Output, Panic> {
    let mut future = pin!(future);
    std::future::poll_fn(move |cx| {
        IS_CATCHING.set(true);
        let polled = panic::catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx)));
        IS_CATCHING.set(false);
        match polled {
            Ok(polled) => polled.map(Ok),
            Err(_) => Poll::Ready(Err(LAST.take().unwrap_or_default())),
        }
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_ends_its_future_and_nothing_else() {
        assert_eq!(caught(async { 1 }).await.unwrap(), 1);
        let late = async {
            tokio::task::yield_now().await;
            assert_eq!(1, 2, "of no use");
        };
        assert!(caught(late).await.is_err());
    }
}
