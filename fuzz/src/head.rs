//! The bytes of a connection, however they are cut: `webapp::heads` and `webapp::record::RawHead`
//! beside the parser that hyper uses.

use std::time::{Duration, Instant};

use httparse::{EMPTY_HEADER, Request, Status};
use webapp::{
    heads::{Heads, Length},
    record::RawHead,
};

const LINE_KEPT_MAX: usize = 2_048;
const HEADERS_KEPT_MAX: usize = 4_096;
const BEHIND_BYTES_MAX: usize = 8_192;

/// A line whose bytes say in what pieces the rest arrives, then the rest. `FE n c` in it stands for
/// 64 n times c: long heads must be short here.
///
/// # Panics
/// A head that no request came of is not what remains, or is read otherwise than by the parser.
pub fn head(data: &[u8]) {
    let line_end = data.iter().position(|b| *b == b'\n').unwrap_or(data.len());
    let (sizes, rest) = data.split_at(line_end);
    let wire = expand(rest.strip_prefix(b"\n").unwrap_or_default());
    let mut connection = Connection::new(&wire);
    let mut sizes = sizes.iter().cycle();
    while connection.is_open() && connection.came < wire.len() {
        let size = sizes.next().map_or(wire.len(), |size| usize::from(*size) * 3 + 1);
        connection.arrive(size);
    }
    connection.end();
}

fn expand(bytes: &[u8]) -> Vec<u8> {
    let mut wire = Vec::new();
    let mut rest = bytes;
    loop {
        match rest {
            [0xfe, n, c, behind @ ..] => {
                if wire.len() < 40_000 {
                    wire.extend(std::iter::repeat_n(*c, 64 * usize::from(*n)));
                }
                rest = behind;
            }
            [first, behind @ ..] => {
                wire.push(*first);
                rest = behind;
            }
            [] => return wire,
        }
    }
}

/// A connection as hyper sees it.
struct Connection<'a> {
    wire: &'a [u8],
    heads: Heads,
    /// When a byte came: this, and a millisecond for each piece.
    epoch: Instant,
    /// Where pieces ended.
    pieces: Vec<usize>,
    came: usize,
    /// Where the next head begins, as far as the parser knows.
    next: usize,
    is_over: bool,
    is_unseen: bool,
}

impl<'a> Connection<'a> {
    fn new(wire: &'a [u8]) -> Self {
        let epoch = webapp::clock::now();
        let heads = Heads::default();
        let pieces = Vec::new();
        Self { wire, heads, epoch, pieces, came: 0, next: 0, is_over: false, is_unseen: false }
    }

    fn is_open(&self) -> bool {
        !self.is_over && !self.is_unseen
    }

    fn time(&self, piece: usize) -> Instant {
        self.epoch + Duration::from_millis(piece as u64)
    }

    fn came_at(&self, byte: usize) -> Instant {
        self.time(self.pieces.iter().filter(|end| **end <= byte).count())
    }

    fn arrive(&mut self, size: usize) {
        let end = (self.came + size).min(self.wire.len());
        let now = self.time(self.pieces.len());
        self.heads.push(&self.wire[self.came..end], now);
        self.pieces.push(end);
        self.came = end;
        while self.is_open() && self.next < self.came && self.parse() {}
    }

    /// Hands over a request if one is there.
    fn parse(&mut self) -> bool {
        let bytes = &self.wire[self.next..self.came];
        let mut headers = [EMPTY_HEADER; 64];
        let mut request = Request::new(&mut headers);
        let head_bytes = match request.parse(bytes) {
            Ok(Status::Complete(head_bytes)) => head_bytes,
            Ok(Status::Partial) => return false,
            Err(_) => {
                self.is_over = true;
                return false;
            }
        };
        let begins = empty_lines(bytes);
        check_raw(&bytes[begins..head_bytes], &request);
        let Some(length) = length(&request) else {
            self.is_over = true;
            return false;
        };

        let now = self.time(self.pieces.len());
        let began = self.heads.parsed(length, now);
        // What came behind another head is looked at once that one was parsed.
        assert!(self.came_at(self.next + begins) <= began && began <= now);
        assert!(!self.heads.may_be_cut() && !self.heads.is_silent());
        let behind = bytes.len() - head_bytes;
        self.is_unseen = length == Length::Chunked || behind > BEHIND_BYTES_MAX;
        assert_eq!(self.heads.is_unseen(), self.is_unseen);
        self.heads.answered(self.is_unseen);
        self.next += head_bytes;
        if let Length::Known(body) = length {
            self.next += usize::try_from(body).expect("a small body");
        }
        true
    }

    fn end(mut self) {
        let found = self.heads.unserved();
        let left = self.wire.get(self.next..self.came).unwrap_or_default();
        let begins = empty_lines(left);
        let head = &left[begins..];
        if self.is_unseen || head.is_empty() {
            assert_eq!(found, None);
            assert_eq!(self.heads.is_silent(), self.next == 0 && head.is_empty());
            return;
        }
        let found = found.expect("a head was begun");
        let (kept, cut) = kept(head);
        assert_eq!((found.head.as_slice(), found.cut), (kept.as_slice(), cut));
        assert!(self.came_at(self.next + begins) <= found.began);
        assert!(found.began <= self.time(self.pieces.len()));
        assert!(!self.heads.is_silent());
        assert_eq!(self.heads.unserved(), None, "told twice");
        RawHead::read(&kept);
    }
}

/// Bytes before a head that are none of it.
fn empty_lines(bytes: &[u8]) -> usize {
    let mut at = 0;
    loop {
        match bytes.get(at..).unwrap_or_default() {
            [b'\n', ..] => at += 1,
            [b'\r', b'\n', ..] => at += 2,
            [b'\r', ..] => return at + 1,
            _ => return at,
        }
    }
}

/// What of a head is kept, and whether there was more.
fn kept(bytes: &[u8]) -> (Vec<u8>, bool) {
    let mut lines = Vec::new();
    for line in bytes.split_inclusive(|b| *b == b'\n') {
        lines.push(line);
        if line.ends_with(b"\n") && line.iter().all(|b| b"\r\n".contains(b)) {
            break;
        }
    }
    let first = lines.remove(0);
    let line = first.strip_suffix(b"\n").unwrap_or(first);
    let mut kept = line[..line.len().min(LINE_KEPT_MAX)].to_vec();
    let mut cut = kept.len() < line.len();
    if line.len() < first.len() {
        kept.push(b'\n');
    }
    let headers = lines.concat();
    kept.extend_from_slice(&headers[..headers.len().min(HEADERS_KEPT_MAX)]);
    cut |= headers.len() > HEADERS_KEPT_MAX;
    (kept, cut)
}

/// The body's length; nothing where there is none that can be trusted.
fn length(request: &Request<'_, '_>) -> Option<Length> {
    let values = |name: &str| {
        let named = request.headers.iter().filter(|header| header.name.eq_ignore_ascii_case(name));
        named.map(|header| header.value).collect::<Vec<_>>()
    };
    if !values("transfer-encoding").is_empty() {
        return Some(Length::Chunked);
    }
    match values("content-length")[..] {
        [] => Some(Length::Known(0)),
        [length] => {
            let length: u16 = std::str::from_utf8(length).ok()?.parse().ok()?;
            Some(Length::Known(length.into()))
        }
        _ => None,
    }
}

/// What the parser can read is read alike by who reads what it cannot.
fn check_raw(head: &[u8], request: &Request<'_, '_>) {
    let raw = RawHead::read(head);
    assert_eq!(Some(raw.method.as_str()), request.method);
    assert_eq!(Some(raw.target.as_str()), request.path);
    assert_eq!(Some(raw.version), request.version.map(|minor| format!("1.{minor}")));
    assert_eq!(raw.headers.len(), request.headers.len());
    for header in &*request.headers {
        let mut values = raw.headers.get_all(header.name).iter();
        assert!(values.any(|value| value.as_bytes() == header.value), "{header:?}");
    }
}
