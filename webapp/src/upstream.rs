//! A query for alerts in; sentinel's answer over its unix socket out, at once or not at all, or its
//! events as they come.
//!
//! One question per query is in flight; who asks the same meanwhile gets the same answer. So a flood
//! costs sentinel little, and without a cache an alert is visible at once.

mod talk;
mod events;
mod parser;

use std::{collections::HashMap, error::Error, fmt, io, path::PathBuf, sync::Arc, time::Duration};

use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use parking_lot::Mutex;
use serde::Deserialize;
use serde_json::value::RawValue;
use shared::socket::ANSWER_BYTES_MAX;
use tokio::{sync::watch, time::timeout};

pub use events::Events;
use talk::Talk;

/// Connecting, asking and reading together.
const DEADLINE: Duration = Duration::from_millis(500);

/// Different questions in flight.
const QUESTIONS_MAX: usize = 64;

/// sentinel, at the other end of its socket.
#[derive(Debug)]
pub struct Upstream {
    socket: PathBuf,
    in_flight: InFlight,
}

/// What sentinel said: the body of `/alerts`, or why there is none.
pub type Answer = Result<Bytes, Unavailable>;

/// Why sentinel has no answer.
#[derive(Debug, Clone)]
pub struct Unavailable(Arc<str>);

impl fmt::Display for Unavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for Unavailable {}

impl Unavailable {
    fn new(why: impl fmt::Display) -> Self {
        Self(why.to_string().into())
    }
}

impl Upstream {
    /// Connects for each question: a restarted sentinel is found at once.
    pub fn new(socket: PathBuf) -> Self {
        Self { socket, in_flight: Arc::default() }
    }

    /// Opens a stream of alerts behind the one with that `seq`, or else of those to come; `query` is
    /// valid.
    ///
    /// # Errors
    /// sentinel is away, slow, or says no.
    pub async fn stream(&self, query: &str, seen: Option<u64>) -> Result<Events, Unavailable> {
        let opening = Talk::begin(&self.socket, shared::socket::ALERTS_STREAM, query, seen);
        match timeout(DEADLINE, opening).await {
            Ok(opened) => opened.map(|(talk, body)| Events::new(talk, body)),
            Err(_) => Err(Unavailable::new("no answer in time")),
        }
    }

    /// Asks for alerts; `query` is valid, and in one spelling for one meaning.
    ///
    /// # Errors
    /// sentinel is away, slow, or says what we cannot use.
    pub async fn alerts(&self, query: String) -> Answer {
        let mut answer = {
            let mut in_flight = self.in_flight.lock();
            match in_flight.get(&query) {
                Some(answer) => answer.clone(),
                None if in_flight.len() >= QUESTIONS_MAX => {
                    return Err(Unavailable::new("too many different questions in flight"));
                }
                None => {
                    let (tell, answer) = watch::channel(None);
                    in_flight.insert(query.clone(), answer.clone());
                    let socket = self.socket.clone();
                    let question = Question { query, in_flight: Arc::clone(&self.in_flight) };
                    // A task of its own: whoever asked first may leave, the others still wait.
                    // It ends by its deadline, so nobody needs to await it.
                    tokio::spawn(async move {
                        let answer = timeout(DEADLINE, ask(&socket, &question.query)).await;
                        let answer =
                            answer.unwrap_or_else(|_| Err(Unavailable::new("no answer in time")));
                        // First out of the map, so that nobody joins an answer of the past.
                        drop(question);
                        tell.send_replace(Some(answer));
                    });
                    answer
                }
            }
        };
        let answer = answer.wait_for(Option::is_some).await;
        answer
            .ok()
            .and_then(|answer| answer.clone())
            .unwrap_or_else(|| Err(Unavailable::new("the question was dropped")))
    }
}

/// The answer to come, by query.
type InFlight = Arc<Mutex<HashMap<String, watch::Receiver<Option<Answer>>>>>;

/// A question in flight; dropped, it is over, whatever ended it.
struct Question {
    query: String,
    in_flight: InFlight,
}

impl Drop for Question {
    fn drop(&mut self) {
        self.in_flight.lock().remove(&self.query);
    }
}

async fn ask(socket: &std::path::Path, query: &str) -> Answer {
    let (mut talk, body) = Talk::begin(socket, shared::socket::ALERTS, query, None).await?;
    let body = talk.during(Limited::new(body, ANSWER_BYTES_MAX).collect()).await;
    let body = body.map_err(|error| {
        if error.is::<LengthLimitError>() {
            Unavailable::new("the answer is over 1 MiB")
        } else {
            Unavailable::new(error)
        }
    })?;
    emit(&body.to_bytes()).map_err(Unavailable::new)
}

/// What sentinel sends; its alerts are passed on as they are, keys of a newer one included.
#[derive(Deserialize)]
struct Sent<'a> {
    #[serde(borrow)]
    alerts: Vec<&'a RawValue>,
}

fn emit(body: &[u8]) -> io::Result<Bytes> {
    let sent: Sent<'_> = serde_json::from_slice(body)?;
    let mut out = Vec::with_capacity(body.len() + 16);
    out.extend_from_slice(br#"{"alerts":["#);
    for (n, alert) in sent.alerts.iter().enumerate() {
        if !alert.get().starts_with('{') {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "an alert is no object"));
        }
        if n > 0 {
            out.push(b',');
        }
        out.extend_from_slice(alert.get().as_bytes());
    }
    out.extend_from_slice(b"]}");
    Ok(out.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alerts_are_passed_on_and_nothing_else_is() {
        for (sent, passed_on) in [
            (r#"{"alerts":[]}"#, Some(r#"{"alerts":[]}"#)),
            (
                r#"{"next_after_seq":7,"alerts":[{"seq":7,"new":[1.50]}, {"seq":6}]}"#,
                Some(r#"{"alerts":[{"seq":7,"new":[1.50]},{"seq":6}]}"#),
            ),
            (r#"{"alerts":[1]}"#, None),
            (r#"{"alerts":{}}"#, None),
            (r#"{"alert":[]}"#, None),
            (r#"{"alerts":[}"#, None),
            ("", None),
            ("\u{ff}", None),
        ] {
            let emitted = emit(sent.as_bytes()).ok();
            assert_eq!(emitted.as_deref(), passed_on.map(str::as_bytes), "{sent}");
        }
    }

    #[tokio::test]
    async fn so_many_different_questions_are_in_flight() {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("s.sock");
        let _silent = tokio::net::UnixListener::bind(&socket).unwrap();
        let upstream = Arc::new(Upstream::new(socket));
        let asking: Vec<_> = (0..QUESTIONS_MAX)
            .map(|n| {
                let upstream = Arc::clone(&upstream);
                tokio::spawn(async move { upstream.alerts(format!("limit={n}")).await })
            })
            .collect();
        while upstream.in_flight.lock().len() < QUESTIONS_MAX {
            tokio::task::yield_now().await;
        }
        let one_more = upstream.alerts("limit=1000".to_owned()).await.unwrap_err();
        assert_eq!(one_more.to_string(), "too many different questions in flight");
        for one in asking {
            assert_eq!(one.await.unwrap().unwrap_err().to_string(), "no answer in time");
        }
        assert!(upstream.in_flight.lock().is_empty());
    }
}
