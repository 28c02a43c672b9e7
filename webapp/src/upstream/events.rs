//! The body of sentinel's stream in; its events, checked and whole, out.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use hyper::body::{Body as _, Incoming};
use tokio::time::{Sleep, sleep};

use super::{Unavailable, parser::Parser, talk::Talk};

/// sentinel shows a sign of life every 15 s: longer silence is a sentinel that hangs.
const SILENCE_MAX: Duration = Duration::from_secs(60);

/// An open stream.
pub struct Events {
    talk: Talk,
    body: Incoming,
    parser: Parser,
    silence: Pin<Box<Sleep>>,
}

impl Events {
    pub(super) fn new(talk: Talk, body: Incoming) -> Self {
        let silence = Box::pin(sleep(SILENCE_MAX));
        Self { talk, body, parser: Parser::default(), silence }
    }

    /// The next events as text, one or more of them.
    ///
    /// # Errors
    /// sentinel ended, hangs, or sent what is no event of its own: nothing follows.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<Bytes, Unavailable>> {
        loop {
            self.talk.poll(cx);
            let bytes = match Pin::new(&mut self.body).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => frame.into_data().unwrap_or_default(),
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Err(Unavailable::new(error))),
                Poll::Ready(None) => {
                    return Poll::Ready(Err(Unavailable::new("sentinel ended the stream")));
                }
                Poll::Pending if self.silence.as_mut().poll(cx).is_ready() => {
                    return Poll::Ready(Err(Unavailable::new("sentinel has nothing to say")));
                }
                Poll::Pending => return Poll::Pending,
            };
            self.silence = Box::pin(sleep(SILENCE_MAX));
            let told = self.parser.push(&bytes).map_err(Unavailable::new)?;
            if !told.is_empty() {
                return Poll::Ready(Ok(told.into()));
            }
        }
    }
}
