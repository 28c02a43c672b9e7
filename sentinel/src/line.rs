//! Bytes in, lines out: a buffer that knows where in its source each line begins.

use std::{borrow::Cow, io};

use memchr::{memchr, memchr_iter, memrchr};

/// Longest line that is matched whole, in bytes.
pub const LINE_BYTES_MAX: usize = 1 << 20;

/// Of a longer line, the bytes matched at its end; the rest of [`LINE_BYTES_MAX`] is its head.
pub const TAIL_BYTES: usize = 64 << 10;

const HEAD_BYTES: usize = LINE_BYTES_MAX - TAIL_BYTES;
const READ_BYTES: usize = 256 << 10;

/// A longer run of NULs before a line is taken by itself: it may be as long as a file can be.
const HOLE_BYTES: usize = 64 << 10;

/// A line, without its line end.
#[derive(Debug, PartialEq, Eq)]
pub struct Line<'b> {
    /// Where it begins in its source.
    pub offset: u64,
    /// What is matched: the line, or head and tail of one beyond [`LINE_BYTES_MAX`].
    pub bytes: Cow<'b, [u8]>,
    /// The part of its source that is not in `bytes`.
    pub unmatched: Option<(u64, u64)>,
}

/// What has been read of a source and not yet been taken as lines.
///
/// Its position is always the start of a line, so that a restart never tears one. A line that is
/// not finished stays here; of one that never ends only head and tail are kept.
#[derive(Debug, Default)]
pub struct Buffer {
    position: u64,
    bytes: Vec<u8>,
    /// `bytes[..whole]` are finished lines.
    whole: usize,
    /// Bytes left out of the first line, after its first [`HEAD_BYTES`].
    left_out: u64,
    /// The last read came back empty.
    at_end: bool,
}

impl Buffer {
    /// An empty buffer for a source that was read up to `position`.
    pub fn at(position: u64) -> Self {
        Self { position, ..Self::default() }
    }

    /// Where the first byte that was not taken stands in the source.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Where the next read goes on.
    pub fn read_to(&self) -> u64 {
        self.position + self.bytes.len() as u64 + self.left_out
    }

    /// Where the position will be once the first `len` bytes of [`Self::whole`] are taken.
    pub fn position_after(&self, len: usize) -> u64 {
        self.position + len as u64 + self.left_out
    }

    /// There may be more to read, as far as the last read showed.
    pub fn more(&self) -> bool {
        !self.at_end
    }

    /// The finished lines, line ends included; empty where the next line is one beyond the limit.
    pub fn whole(&self) -> &[u8] {
        self.bytes.get(..self.whole).unwrap_or_default()
    }

    /// Reads until a line is finished or the source has no more, `piece` bytes at a time and at most
    /// 256 KiB. `read` is given where to read and fills what it can, as `pread` does.
    ///
    /// # Errors
    /// Those of `read`; what was read before stays.
    pub fn fill(
        &mut self,
        piece: u64,
        mut read: impl FnMut(&mut [u8], u64) -> io::Result<usize>,
    ) -> io::Result<()> {
        self.at_end = false;
        let piece = usize::try_from(piece).unwrap_or(READ_BYTES).min(READ_BYTES);
        while self.whole == 0 {
            let (known, from) = (self.bytes.len(), self.read_to());
            self.bytes.resize(known + piece, 0);
            let got = read(self.bytes.get_mut(known..).unwrap_or_default(), from);
            self.bytes.truncate(known + *got.as_ref().unwrap_or(&0));
            if got? == 0 {
                self.at_end = true;
                break;
            }
            self.scan(known);
        }
        Ok(())
    }

    /// Looks for line ends from `known` on, and leaves out the middle of an endless line.
    fn scan(&mut self, known: usize) {
        let fresh = self.bytes.get(known..).unwrap_or_default();
        // An endless line is finished alone: what follows it has offsets of its own.
        let end = if self.left_out > 0 { memchr(b'\n', fresh) } else { memrchr(b'\n', fresh) };
        if let Some(end) = end {
            self.whole = known + end + 1;
        } else if self.left_out == 0 && hole(&self.bytes) >= HOLE_BYTES {
            self.whole = hole(&self.bytes);
        } else if self.bytes.len() > LINE_BYTES_MAX + 2 {
            // The two bytes more are a line end that may come: until then the line may yet fit.
            let keep_from = self.bytes.len() - TAIL_BYTES - 2;
            self.left_out += (keep_from - HEAD_BYTES) as u64;
            self.bytes.drain(HEAD_BYTES..keep_from);
        }
    }

    /// What stands after the last line end becomes a line: its source will not grow again.
    pub fn finish(&mut self) {
        self.whole = self.bytes.len();
    }

    /// Nothing more can be read.
    pub fn end(&mut self) {
        self.at_end = true;
    }

    /// The last bytes that were read, as many as `most`; fewer if fewer are here.
    pub fn last(&self, most: usize) -> &[u8] {
        self.bytes.get(self.bytes.len().saturating_sub(most)..).unwrap_or_default()
    }

    /// There is an unfinished line.
    pub fn has_fragment(&self) -> bool {
        self.whole < self.bytes.len()
    }

    /// Gives the lines in the first `len` bytes of [`Self::whole`] to `line`, and forgets them.
    /// `len` is the end of a line.
    pub fn take(&mut self, len: usize, mut line: impl FnMut(Line<'_>)) {
        let taken = self.bytes.get(..len).unwrap_or_default();
        if self.left_out > 0 {
            let body = without_line_end(taken);
            line(compact(self.position, body, HEAD_BYTES, self.left_out));
        } else {
            split(taken, self.position, &mut line);
        }
        self.position = self.position_after(len);
        self.left_out = 0;
        self.bytes.drain(..len);
        self.whole = match self.whole - len {
            // After an endless line there may be finished ones that were not looked for yet.
            0 => memrchr(b'\n', &self.bytes).map_or(0, |end| end + 1),
            left => left,
        };
    }
}

/// Gives each line of `bytes`, which begin at `offset` of their source, to `line`.
fn split(bytes: &[u8], offset: u64, line: &mut impl FnMut(Line<'_>)) {
    let mut start = 0;
    let ends = memchr_iter(b'\n', bytes).map(|end| end + 1);
    let unfinished = bytes.get(memrchr(b'\n', bytes).map_or(0, |end| end + 1)..);
    // A hole that nothing follows yet is no line.
    let last = unfinished.is_some_and(|rest| hole(rest) < rest.len()).then_some(bytes.len());
    for end in ends.chain(last) {
        let body = without_line_end(bytes.get(start..end).unwrap_or_default());
        line(compact(offset + start as u64, body, HEAD_BYTES, 0));
        start = end;
    }
}

/// The line that `body` is. Where `left_out` bytes are missing at `cut`, or where `body` is over
/// the limit, head and tail with a mark between them that no text of theirs can make.
fn compact(offset: u64, body: &[u8], cut: usize, left_out: u64) -> Line<'_> {
    if left_out == 0 && body.len() <= LINE_BYTES_MAX {
        return Line { offset, bytes: Cow::Borrowed(without_holes(body)), unmatched: None };
    }
    let (head, rest) = body.split_at(cut.min(body.len()));
    let tail = rest.get(rest.len().saturating_sub(TAIL_BYTES)..).unwrap_or_default();
    let unmatched_from = offset + head.len() as u64;
    let unmatched_to = offset + body.len() as u64 + left_out - tail.len() as u64;
    let mut bytes = without_holes(head).to_vec();
    bytes.extend_from_slice("\u{fffd}".as_bytes());
    bytes.extend_from_slice(tail);
    Line { offset, bytes: Cow::Owned(bytes), unmatched: Some((unmatched_from, unmatched_to)) }
}

fn without_line_end(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// A file truncated under a writer that does not append starts its next line with a hole of NULs.
fn without_holes(line: &[u8]) -> &[u8] {
    line.get(hole(line)..).unwrap_or_default()
}

/// How many NULs it begins with.
fn hole(bytes: &[u8]) -> usize {
    bytes.iter().take_while(|byte| **byte == 0).count()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type Owned = (u64, Vec<u8>, Option<(u64, u64)>);

    /// Every line of `bytes`, read in pieces of `piece` bytes.
    fn lines(bytes: &[u8], piece: usize) -> (Vec<Owned>, u64) {
        let mut buffer = Buffer::at(0);
        let mut lines = Vec::new();
        loop {
            let read = |into: &mut [u8], from: u64| {
                let rest = bytes.get(usize::try_from(from).unwrap()..).unwrap_or_default();
                let n = rest.len().min(piece).min(into.len());
                into[..n].copy_from_slice(&rest[..n]);
                Ok(n)
            };
            buffer.fill(u64::MAX, read).unwrap();
            let whole = buffer.whole().len();
            if whole == 0 {
                return (lines, buffer.position());
            }
            buffer.take(whole, |line| {
                lines.push((line.offset, line.bytes.into_owned(), line.unmatched));
            });
        }
    }

    #[track_caller]
    fn check(bytes: &[u8], expected: &[(u64, &str)], position: u64) {
        for piece in 1..=bytes.len().max(1) {
            let (lines, at) = lines(bytes, piece);
            let lines: Vec<_> = lines
                .iter()
                .map(|(offset, line, _)| (*offset, std::str::from_utf8(line).unwrap()))
                .collect();
            assert_eq!((lines.as_slice(), at), (expected, position), "in pieces of {piece}");
        }
    }

    #[test]
    fn a_line_ends_with_its_line_feed_and_no_sooner() {
        check(b"", &[], 0);
        check(b"one\ntwo\n", &[(0, "one"), (4, "two")], 8);
        check(b"one\ntw", &[(0, "one")], 4);
        check(b"one\r\n\r\r\n\n", &[(0, "one"), (5, "\r"), (8, "")], 9);
    }

    #[test]
    fn a_hole_before_a_line_is_no_part_of_it() {
        check(b"\0\0\0one\n\0\n", &[(0, "one"), (7, "")], 9);
    }

    #[test]
    fn a_hole_of_any_size_leaves_the_line_behind_it_whole() {
        for len in [HOLE_BYTES - 1, HOLE_BYTES, READ_BYTES + 1, 3 << 20] {
            let mut bytes = vec![0; len];
            bytes.extend_from_slice(b"one\ntwo\n");
            for piece in [1 << 12, 100_003, READ_BYTES] {
                let (found, position) = lines(&bytes, piece);
                assert_eq!(position, bytes.len() as u64);
                let found: Vec<_> =
                    found.iter().map(|(_, line, unmatched)| (&line[..], *unmatched)).collect();
                assert_eq!(found, [(&b"one"[..], None), (b"two", None)], "{len} NULs");
            }
        }
    }

    #[test]
    fn a_fragment_becomes_a_line_when_its_source_is_finished() {
        let mut buffer = Buffer::at(10);
        let mut once = Some(b"a\nrest".as_slice());
        let mut read = |into: &mut [u8], _: u64| {
            let bytes = once.take().unwrap_or_default();
            into[..bytes.len()].copy_from_slice(bytes);
            Ok(bytes.len())
        };
        buffer.fill(u64::MAX, &mut read).unwrap();
        buffer.take(2, |line| assert_eq!(line.offset, 10));
        buffer.fill(u64::MAX, &mut read).unwrap();
        assert!(buffer.whole().is_empty() && buffer.has_fragment() && !buffer.more());
        buffer.finish();
        let mut seen = Vec::new();
        buffer.take(buffer.whole().len(), |line| seen.push((line.offset, line.bytes.to_vec())));
        assert_eq!(seen, [(12, b"rest".to_vec())]);
        assert_eq!(buffer.position(), 16);
    }

    #[test]
    fn a_line_at_the_limit_is_whole_and_one_beyond_says_what_is_missing() {
        for over in [0, 1, 2, 3, 100, READ_BYTES, 3 << 20] {
            let len = LINE_BYTES_MAX + over;
            let mut bytes: Vec<u8> = (0..len).map(|i| b'a' + (i % 23) as u8).collect();
            bytes.extend_from_slice(b"\r\nnext\nlast\n");
            for piece in [1 << 12, 100_003, READ_BYTES] {
                let (lines, position) = lines(&bytes, piece);
                assert_eq!(position, bytes.len() as u64);
                assert_eq!(lines.len(), 3, "{over} over, in pieces of {piece}");
                assert_eq!(lines[1], (len as u64 + 2, b"next".to_vec(), None));
                assert_eq!(lines[2], (len as u64 + 7, b"last".to_vec(), None));
                let (offset, line, unmatched) = &lines[0];
                assert_eq!(*offset, 0);
                if over == 0 {
                    assert_eq!((line.len(), *unmatched), (len, None));
                } else {
                    let tail = len - TAIL_BYTES;
                    assert_eq!(*unmatched, Some((HEAD_BYTES as u64, tail as u64)));
                    assert_eq!(line[..HEAD_BYTES], bytes[..HEAD_BYTES]);
                    assert_eq!(line[HEAD_BYTES + 3..], bytes[tail..len]);
                }
            }
        }
    }

    #[test]
    fn an_endless_line_does_not_grow_the_buffer() {
        let mut buffer = Buffer::at(0);
        let mut left = 100;
        buffer
            .fill(u64::MAX, |into, _| {
                into.fill(b'x');
                left -= 1;
                Ok(if left > 0 { into.len() } else { 0 })
            })
            .unwrap();
        assert_eq!(buffer.read_to(), 99 * READ_BYTES as u64);
        assert!(buffer.bytes.len() <= LINE_BYTES_MAX + READ_BYTES + 2);
    }

    proptest! {
        #[test]
        fn any_chunking_gives_the_same_lines(
            bytes in proptest::collection::vec(prop_oneof![Just(b'\n'), Just(b'\r'), Just(0), any::<u8>()], 0..200),
            piece in 1_usize..200,
        ) {
            prop_assert_eq!(lines(&bytes, piece), lines(&bytes, bytes.len().max(1)));
        }

        #[test]
        fn lines_and_the_rest_are_all_the_bytes(
            bytes in proptest::collection::vec(prop_oneof![Just(b'\n'), 1_u8..=255], 0..200),
            piece in 1_usize..200,
        ) {
            let (lines, position) = lines(&bytes, piece);
            let position = usize::try_from(position).unwrap();
            prop_assert_eq!(lines.len(), bytes.iter().filter(|byte| **byte == b'\n').count());
            prop_assert!(!bytes[position..].contains(&b'\n'));
        }
    }
}
