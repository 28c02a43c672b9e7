//! A cursor and the board in; an answer without an end out: alerts as they come, a sign of life
//! between them, and its end when sentinel ends.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use hyper::body::{Body, Bytes, Frame};
use tokio::{sync::watch, time::sleep};

use super::cursor::Cursor;
use crate::board::Board;

/// Between two signs of life of a stream that has nothing to tell.
const ALIVE_EVERY: Duration = Duration::from_secs(15);

/// The body of the answer. It asks the ring when the connection has taken what was told before: a
/// slow reader costs nobody a thing, and falls out of the ring at worst.
pub(super) struct AlertStream {
    next: Option<Next>,
}

type Next = Pin<Box<dyn Future<Output = Option<(String, Feed)>> + Send>>;

impl AlertStream {
    pub(super) fn new(board: Arc<Board>, cursor: Cursor) -> Self {
        let feed = Feed { over: board.listen(), board, cursor };
        // At once: whoever comes back before the first alert knows where it was.
        let alive = feed.cursor.alive();
        Self { next: Some(Box::pin(async { Some((alive, feed)) })) }
    }
}

impl Body for AlertStream {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let Some(next) = &mut self.next else { return Poll::Ready(None) };
        let told = ready!(next.as_mut().poll(cx));
        self.next = None;
        Poll::Ready(told.map(|(piece, feed)| {
            self.next = Some(Box::pin(feed.next()));
            Ok(Frame::data(piece.into()))
        }))
    }
}

struct Feed {
    board: Arc<Board>,
    over: watch::Receiver<bool>,
    cursor: Cursor,
}

impl Feed {
    async fn next(mut self) -> Option<(String, Self)> {
        let silence = sleep(ALIVE_EVERY);
        tokio::pin!(silence);
        loop {
            // Before the ring is read: what comes after is a change.
            let over = *self.over.borrow_and_update();
            let piece = self.board.ring(|ring| self.cursor.piece(ring));
            if !piece.is_empty() {
                return Some((piece, self));
            }
            if over {
                return None;
            }
            tokio::select! {
                changed = self.over.changed() => changed.ok()?,
                () = &mut silence => return Some((self.cursor.alive(), self)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use http_body_util::BodyExt as _;

    use super::*;
    use crate::{board::Status, sink::ring::Query};

    #[expect(clippy::disallowed_methods, reason = "a board must have moved lately")]
    fn board() -> Arc<Board> {
        Arc::new(Board::new(Status::default(), Instant::now()))
    }

    fn alert(board: &Board, seq: u64) {
        let mut alert = crate::alert::golden();
        alert.seq = seq;
        board.alert(alert, "{}\n");
    }

    async fn told(stream: &mut AlertStream) -> Option<String> {
        let Ok(frame) = stream.frame().await?;
        Some(String::from_utf8(frame.into_data().unwrap().to_vec()).unwrap())
    }

    // The clock goes on by itself where nothing else can happen.
    #[tokio::test(start_paused = true)]
    async fn it_tells_where_it_is_then_alerts_signs_of_life_and_its_end() {
        let board = board();
        let cursor = board.ring(|ring| Cursor::new(Query::default(), ring));
        let mut stream = AlertStream::new(Arc::clone(&board), cursor);
        assert_eq!(told(&mut stream).await.unwrap(), ":\nid: 0\n\n");
        alert(&board, 1);
        assert_eq!(told(&mut stream).await.unwrap(), "id: 1\ndata: {}\n\n");
        assert_eq!(told(&mut stream).await.unwrap(), ":\nid: 1\n\n");
        alert(&board, 2);
        board.end();
        assert_eq!(told(&mut stream).await.unwrap(), "id: 2\ndata: {}\n\n");
        assert_eq!(told(&mut stream).await, None);
        assert_eq!(told(&mut stream).await, None);
    }

    #[tokio::test(start_paused = true)]
    #[expect(clippy::disallowed_methods, reason = "a clock that the test moves")]
    async fn a_sign_of_life_comes_in_time_where_no_alert_is_for_the_reader() {
        let board = board();
        let query = Query { rule: Some("another".into()), ..Query::default() };
        let cursor = board.ring(|ring| Cursor::new(query, ring));
        let mut stream = AlertStream::new(Arc::clone(&board), cursor);
        told(&mut stream).await.unwrap();
        let start = tokio::time::Instant::now();
        let raising = async {
            for seq in 1.. {
                alert(&board, seq);
                sleep(Duration::from_secs(4)).await;
            }
        };
        let alive = tokio::select! {
            alive = told(&mut stream) => alive.unwrap(),
            () = raising => unreachable!("it never ends"),
        };
        assert_eq!((alive.as_str(), start.elapsed()), (":\nid: 4\n\n", ALIVE_EVERY));
    }
}
