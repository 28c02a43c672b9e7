//! Bytes of a connection in; the head that is being sent, as far as it came, out.
//!
//! hyper answers what it cannot parse without telling anybody what it was. Of `/?q=<script>` sent raw
//! no rule would ever see a byte, so the reader keeps the beginning of each head. Pure: told the time.

use std::time::Instant;

use memchr::memchr;

/// Bytes of a request line that are kept.
const LINE_KEPT_MAX: usize = 2 * 1_024;

/// Bytes of the headers behind it that are kept, however long it was: behind a proxy they tell whose
/// request it is.
const HEADERS_KEPT_MAX: usize = 4 * 1_024;

/// Bytes behind a head that are kept until its body's length is known.
const BEHIND_BYTES_MAX: usize = 8 * 1_024;

/// Where in its requests a connection is.
#[derive(Debug, Default)]
pub struct Heads {
    phase: Phase,
    kept: Vec<u8>,
    /// Where the headers begin in `kept`.
    headers_at: Option<usize>,
    /// Something of the head was not kept.
    cut: bool,
    began: Option<Instant>,
    /// A CR before the head, whose LF is to come.
    empty_cr: bool,
    /// The current line holds more than CR; one that does not ends the head.
    in_line: bool,
    behind: Vec<u8>,
    /// Bytes behind the head that did not fit into `behind`.
    behind_lost: bool,
    request: Request,
    /// When the last answer was taken.
    waiting_since: Option<Instant>,
    /// A byte of a head came.
    any: bool,
    /// Bytes may have come that nobody reads.
    unread: bool,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// In a head, or before one.
    #[default]
    Head,
    /// Behind a head that nobody has been told of yet.
    Behind,
    /// In a body, with so many bytes to come.
    Body(u64),
    /// Where the next head begins only hyper sees.
    Unseen,
    /// No head will be read any more.
    Over,
}

/// Where the request is that was handed over last.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Request {
    /// There was none, or its answer was taken.
    #[default]
    Done,
    /// It is not answered.
    Asked,
    /// The client has not taken all of its answer.
    Answered,
    /// Its answer has no end of its own.
    Streamed,
}

/// The body of the head that was parsed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Length {
    /// So many bytes, perhaps none.
    Known(u64),
    /// Chunks.
    Chunked,
}

/// A head that no request came of.
#[derive(Debug, PartialEq, Eq)]
pub struct Unserved {
    /// Its beginning.
    pub head: Vec<u8>,
    /// `head` is not all that came.
    pub cut: bool,
    /// All of it came.
    pub is_whole: bool,
    /// When its first byte came.
    pub began: Instant,
}

impl Heads {
    /// Bytes that were just read.
    pub fn push(&mut self, mut bytes: &[u8], now: Instant) {
        while let Some((first, rest)) = bytes.split_first() {
            match &mut self.phase {
                Phase::Over | Phase::Unseen => return,
                Phase::Body(left) => {
                    let body = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                    *left -= body as u64;
                    bytes = bytes.get(body..).unwrap_or_default();
                    if *left == 0 {
                        self.phase = Phase::Head;
                    }
                }
                Phase::Behind => {
                    let room = BEHIND_BYTES_MAX - self.behind.len();
                    self.behind_lost |= room < bytes.len();
                    self.behind.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
                    return;
                }
                // Empty lines before a head are allowed (RFC 9112 §2.2); CR CR is no such line.
                Phase::Head
                    if self.began.is_none()
                        && (*first == b'\n' || (*first == b'\r' && !self.empty_cr)) =>
                {
                    self.empty_cr = *first == b'\r';
                    bytes = rest;
                }
                Phase::Head => {
                    self.any = true;
                    self.empty_cr = false;
                    self.began.get_or_insert(now);
                    let end = memchr(b'\n', bytes);
                    let (line, rest) = bytes.split_at(end.unwrap_or(bytes.len()));
                    self.keep(line);
                    self.in_line |= line.iter().any(|b| *b != b'\r');
                    bytes = rest;
                    if end.is_some() {
                        self.keep_end();
                        bytes = bytes.get(1..).unwrap_or_default();
                        if !std::mem::take(&mut self.in_line) {
                            self.phase = Phase::Behind;
                        }
                    }
                }
            }
        }
    }

    fn keep(&mut self, line: &[u8]) {
        let room = match self.headers_at {
            None => LINE_KEPT_MAX.saturating_sub(self.kept.len()),
            Some(at) => (at + HEADERS_KEPT_MAX).saturating_sub(self.kept.len()),
        };
        let kept = line.get(..room).unwrap_or(line);
        self.cut |= kept.len() < line.len();
        self.kept.extend_from_slice(kept);
    }

    fn keep_end(&mut self) {
        if self.headers_at.is_some() {
            self.keep(b"\n");
        } else {
            // Kept whatever the line's length: the headers begin behind it.
            self.kept.push(b'\n');
            self.headers_at = Some(self.kept.len());
        }
    }

    /// hyper has parsed a head and hands its request over. Returns when its first byte came.
    pub fn parsed(&mut self, length: Length, now: Instant) -> Instant {
        self.request = Request::Asked;
        let began = self.began.take().unwrap_or(now);
        self.kept.clear();
        (self.headers_at, self.cut) = (None, false);
        self.in_line = false;
        self.phase = match length {
            Length::Known(0) => Phase::Head,
            Length::Known(bytes) => Phase::Body(bytes),
            Length::Chunked => Phase::Unseen,
        };
        let behind = std::mem::take(&mut self.behind);
        if std::mem::take(&mut self.behind_lost) {
            self.phase = Phase::Unseen;
        }
        self.push(&behind, now);
        began
    }

    /// The request was answered; with `close` nothing that follows is a head.
    pub fn answered(&mut self, close: bool) {
        self.request = Request::Answered;
        if close {
            self.phase = Phase::Over;
        }
    }

    /// Nobody asked for the close: what the client has sent meanwhile is not read.
    pub fn closes(&mut self) {
        self.unread = true;
    }

    /// The answer has no end of its own.
    pub fn streams(&mut self) {
        self.request = Request::Streamed;
    }

    /// Closing at once would reset the connection: bytes may wait behind the last request.
    pub fn is_unread(&self) -> bool {
        self.unread
    }

    /// What the client sends is awaited by nobody, and when it closes its side it has left.
    pub fn is_stream(&self) -> bool {
        self.request == Request::Streamed
    }

    /// The client has taken all that there was for it.
    pub fn flushed(&mut self, now: impl FnOnce() -> Instant) {
        if self.request == Request::Answered {
            self.request = Request::Done;
            self.waiting_since = Some(now());
        }
    }

    /// Since when a head is awaited, or is on its way: the connection began at `began`. `None` while a
    /// request is under way.
    pub fn waiting_since(&self, began: Instant) -> Option<Instant> {
        (!self.is_answering()).then(|| self.waiting_since.unwrap_or(began))
    }

    /// What follows the request may be a head that nobody here would see: the connection has to end
    /// with its answer.
    pub fn is_unseen(&self) -> bool {
        self.phase == Phase::Unseen
    }

    /// The head that was begun and never became a request.
    pub fn unserved(&mut self) -> Option<Unserved> {
        if !matches!(self.phase, Phase::Head | Phase::Behind) {
            return None;
        }
        let began = self.began.take()?;
        let is_whole = self.phase == Phase::Behind;
        Some(Unserved { head: std::mem::take(&mut self.kept), cut: self.cut, is_whole, began })
    }

    /// A server that stops need not wait: a head is awaited or on its way, or the answer has no end of
    /// its own.
    pub fn may_be_cut(&self) -> bool {
        matches!(self.request, Request::Done | Request::Streamed)
    }

    /// Bytes that are written are of an answer to a request; else hyper refuses a head.
    pub fn is_answering(&self) -> bool {
        self.request != Request::Done
    }

    /// Nothing came, or empty lines alone, which are no part of a head.
    pub fn is_silent(&self) -> bool {
        !self.any
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::clock;

    const GET: &[u8] = b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n";
    const POST: &[u8] = b"POST /b HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc";

    fn unserved(heads: &mut Heads) -> Option<String> {
        heads.unserved().map(|unserved| String::from_utf8(unserved.head).unwrap())
    }

    #[test]
    fn a_head_without_a_request_is_kept() {
        for (bytes, expected) in [
            (b"" as &[u8], None),
            (b"\r\n\r\n", None),
            (b"G", Some("G")),
            (b"\r\nGET /<", Some("GET /<")),
            // hyper answers these; they must not pass for silence.
            (b"\r\r\r", Some("\r\r")),
            (b"\rGET /<", Some("GET /<")),
            (GET, Some("GET /a HTTP/1.1\r\nHost: a\r\n\r\n")),
            (b"GET /\n\nbehind", Some("GET /\n\n")),
        ] {
            let mut heads = Heads::default();
            heads.push(bytes, clock::now());
            assert_eq!(unserved(&mut heads).as_deref(), expected);
        }
    }

    #[test]
    fn empty_lines_are_silence() {
        for (bytes, silent) in [
            (b"" as &[u8], true),
            (b"\r\n\r\n", true),
            (b"\n", true),
            (b"\r\nG", false),
            (GET, false),
        ] {
            let mut heads = Heads::default();
            heads.push(bytes, clock::now());
            assert_eq!(heads.is_silent(), silent, "{bytes:?}");
        }
    }

    #[test]
    fn a_long_line_leaves_room_for_the_headers_and_says_that_it_was_cut() {
        let mut heads = Heads::default();
        heads.push(&[b'x'; 5_000], clock::now());
        heads.push(b"\r\nX-Forwarded-For: 192.0.2.7\r\n", clock::now());
        heads.push(&[b'y'; 5_000], clock::now());
        let unserved = heads.unserved().unwrap();
        assert!(unserved.cut);
        let head = String::from_utf8(unserved.head).unwrap();
        let (line, headers) = head.split_once('\n').unwrap();
        assert_eq!((line.len(), headers.len()), (LINE_KEPT_MAX, HEADERS_KEPT_MAX));
        assert!(headers.starts_with("X-Forwarded-For: 192.0.2.7\r\n"));
    }

    #[test]
    fn a_head_that_is_kept_whole_was_not_cut() {
        let mut heads = Heads::default();
        heads.push(GET, clock::now());
        assert!(!heads.unserved().unwrap().cut);
    }

    #[test]
    fn the_head_behind_a_body_is_found() {
        let mut heads = Heads::default();
        heads.push(&[POST, b"GET /<"].concat(), clock::now());
        heads.parsed(Length::Known(3), clock::now());
        heads.answered(false);
        assert_eq!(unserved(&mut heads).as_deref(), Some("GET /<"));
    }

    #[test]
    fn a_body_is_no_head() {
        let mut heads = Heads::default();
        heads.push(POST, clock::now());
        heads.parsed(Length::Known(5), clock::now());
        heads.push(b"d", clock::now());
        assert_eq!(unserved(&mut heads), None);
        heads.push(b"eGET", clock::now());
        assert_eq!(unserved(&mut heads).as_deref(), Some("GET"));
    }

    #[test]
    fn what_follows_chunks_or_too_much_is_unseen() {
        let mut heads = Heads::default();
        heads.push(b"POST / HTTP/1.1\r\n\r\n1\r\na\r\n0\r\n\r\nGET /<", clock::now());
        heads.parsed(Length::Chunked, clock::now());
        assert!(heads.is_unseen());
        let mut heads = Heads::default();
        heads.push(GET, clock::now());
        heads.push(&[b'x'; BEHIND_BYTES_MAX + 1], clock::now());
        heads.parsed(Length::Known(0), clock::now());
        assert!(heads.is_unseen());
        let mut heads = Heads::default();
        heads.push(&[POST, GET].concat(), clock::now());
        heads.parsed(Length::Known(3), clock::now());
        assert!(!heads.is_unseen());
    }

    #[test]
    fn a_head_is_awaited_from_the_beginning_and_when_an_answer_was_taken() {
        let began = clock::now();
        let later = began + std::time::Duration::from_secs(5);
        let mut heads = Heads::default();
        heads.flushed(|| later);
        assert_eq!(heads.waiting_since(began), Some(began));
        heads.push(GET, clock::now());
        assert_eq!(heads.waiting_since(began), Some(began));
        heads.parsed(Length::Known(0), clock::now());
        // hyper flushes at any time.
        heads.flushed(|| later);
        assert_eq!((heads.waiting_since(began), heads.may_be_cut()), (None, false));
        heads.answered(false);
        assert_eq!((heads.waiting_since(began), heads.may_be_cut()), (None, false));
        heads.flushed(|| later);
        assert_eq!((heads.waiting_since(began), heads.may_be_cut()), (Some(later), true));
        heads.streams();
        assert_eq!((heads.waiting_since(began), heads.may_be_cut()), (None, true));
    }

    #[test]
    fn nothing_follows_a_close() {
        let mut heads = Heads::default();
        heads.push(GET, clock::now());
        heads.parsed(Length::Known(0), clock::now());
        heads.answered(true);
        heads.push(b"GET /<", clock::now());
        assert_eq!(unserved(&mut heads), None);
        assert!(!heads.is_silent());
    }

    proptest! {
        #[test]
        fn chunking_does_not_matter(cuts in prop::collection::vec(1..20_usize, 0..20)) {
            let bytes = [GET, POST, GET, b"GET /<script> HTTP/1.1\r\n"].concat();
            let mut heads = Heads::default();
            let mut rest = bytes.as_slice();
            for cut in cuts {
                let (now, later) = rest.split_at(cut.min(rest.len()));
                heads.push(now, clock::now());
                rest = later;
            }
            heads.push(rest, clock::now());
            for length in [0, 3, 0] {
                heads.parsed(Length::Known(length), clock::now());
                heads.answered(false);
            }
            let last = unserved(&mut heads);
            prop_assert_eq!(last.as_deref(), Some("GET /<script> HTTP/1.1\r\n"));
        }
    }
}
