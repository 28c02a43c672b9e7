//! A place among the alerts and the ring in; the events that follow, as text, out. Pure.
//!
//! The text is that of Server-Sent Events (WHATWG HTML §9.2.5). An alert's line holds no line feed,
//! so one `data` field carries it whole.

use std::fmt::Write as _;

use crate::sink::ring::{Query, Ring};

/// Bytes from which no further alert joins a piece: a reader takes piece by piece.
const PIECE_BYTES: usize = 32 << 10;

/// How far a reader is. Every alert behind it is told once, in its order.
#[derive(Debug)]
pub(super) struct Cursor {
    query: Query,
    seq: u64,
}

impl Cursor {
    /// Behind the alert that was seen last, or else behind the newest.
    pub(super) fn new(mut query: Query, ring: &Ring) -> Self {
        let seq = query.after_seq.take().unwrap_or_else(|| ring.last_seq());
        Self { query, seq }
    }

    /// A comment, for a reader that is gone is noticed by what it does not take; and the place, so
    /// that it comes back to it even where nothing was for it to see. An `id` alone is no event.
    pub(super) fn alive(&self) -> String {
        format!(":\nid: {}\n\n", self.seq)
    }

    /// What follows, or nothing yet. Where alerts are missing a `reset` says so, and it goes on
    /// behind them.
    pub(super) fn piece(&mut self, ring: &Ring) -> String {
        let mut piece = String::new();
        if self.seq > ring.last_seq() {
            // Seen at another sentinel, or before its state was wiped.
            self.reset(ring.oldest_seq(), &mut piece);
        }
        for (alert, line) in ring.after(self.seq) {
            if piece.len() >= PIECE_BYTES {
                return piece;
            }
            if self.seq + 1 < alert.seq {
                self.reset(alert.seq, &mut piece);
            }
            self.seq = alert.seq;
            if self.query.matches(alert) {
                write!(piece, "id: {}\ndata: {line}\n\n", alert.seq)
                    .expect("a string takes what it is given");
            }
        }
        if self.seq < ring.last_seq() {
            self.reset(ring.last_seq().saturating_add(1), &mut piece);
        }
        piece
    }

    fn reset(&mut self, next_seq: u64, piece: &mut String) {
        self.seq = next_seq.saturating_sub(1);
        write!(piece, "id: {}\nevent: reset\ndata: {{\"next_seq\":{next_seq}}}\n\n", self.seq)
            .expect("a string takes what it is given");
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};
    use shared::alert::Level;

    use super::*;
    use crate::sink::ring::RING_ALERTS_MAX;

    /// The alerts `seqs` in a ring; those with an even number are critical.
    fn raise(ring: &mut Ring, seqs: impl Iterator<Item = u64>) {
        let mut alert = crate::alert::golden();
        for seq in seqs {
            alert.seq = seq;
            alert.level = if seq % 2 == 0 { Level::Critical } else { Level::Low };
            ring.push(alert.clone(), &line(seq));
        }
    }

    fn line(seq: u64) -> String {
        format!("{{\"seq\":{seq}}}")
    }

    fn asks(after_seq: Option<u64>, level: Option<Level>) -> Query {
        Query { after_seq, level, ..Query::default() }
    }

    #[track_caller]
    fn check(seqs: &[u64], numbered: u64, query: Query, expected: &str) {
        let mut ring = Ring::default();
        raise(&mut ring, seqs.iter().copied());
        ring.numbered(numbered);
        let mut cursor = Cursor::new(query, &ring);
        assert_eq!(cursor.piece(&ring), expected);
        assert_eq!((cursor.piece(&ring), cursor.seq), (String::new(), ring.last_seq()));
        // What is raised next follows.
        let last = ring.last_seq();
        let next = last + 2 - last % 2;
        raise(&mut ring, last + 1..=next);
        let piece = cursor.piece(&ring);
        assert!(piece.ends_with(&format!("id: {next}\ndata: {}\n\n", line(next))), "{piece}");
        assert!(!piece.contains("reset"), "{piece}");
    }

    #[test]
    fn what_follows_is_told_and_what_is_missing_is_said() {
        let reset =
            |seq: u64| format!("id: {}\nevent: reset\ndata: {{\"next_seq\":{seq}}}\n\n", seq - 1);
        let told = |seq: u64| format!("id: {seq}\ndata: {{\"seq\":{seq}}}\n\n");
        let high = Some(Level::High);
        check(&[], 0, asks(None, None), "");
        check(&[1, 2], 0, asks(None, None), "");
        check(&[1, 2], 0, asks(Some(2), None), "");
        check(&[1, 2], 0, asks(Some(1), None), &told(2));
        check(&[1, 2], 0, asks(Some(0), None), &(told(1) + &told(2)));
        check(&[1, 2, 3], 0, asks(Some(0), high), &told(2));
        // Older than what is kept.
        check(&[5, 6], 0, asks(Some(4), None), &(told(5) + &told(6)));
        check(&[5, 6], 0, asks(Some(3), None), &(reset(5) + &told(5) + &told(6)));
        // A line of alerts.log was lost.
        check(&[1, 4], 0, asks(Some(0), None), &(told(1) + &reset(4) + &told(4)));
        // Newer than the newest: the state was wiped.
        check(&[1, 2], 0, asks(Some(9), high), &(reset(1) + &told(2)));
        check(&[], 0, asks(Some(9), None), &reset(1));
        check(&[1], 0, asks(Some(u64::MAX), None), &(reset(1) + &told(1)));
        // alerts.log was taken away.
        check(&[], 7, asks(None, None), "");
        check(&[], 7, asks(Some(6), None), &reset(8));
        check(&[6], 7, asks(Some(5), None), &(told(6) + &reset(8)));
    }

    #[derive(Debug, Clone)]
    enum Step {
        Raise(u64),
        Read,
        /// The reader comes back with the last `id` it was told.
        Return,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (1_u64..700).prop_map(Step::Raise),
            (1_u64..9).prop_map(Step::Raise),
            Just(Step::Read),
            Just(Step::Read),
            Just(Step::Return),
        ]
    }

    /// What a reader knows: alerts up to `seen` were told, or said to be missing.
    struct Reader {
        seen: u64,
        raised: u64,
        level: Option<Level>,
    }

    impl Reader {
        fn wants(&self, seq: u64) -> bool {
            self.level.is_none() || seq.is_multiple_of(2)
        }

        fn read(&mut self, piece: &str) {
            for event in piece.split_terminator("\n\n") {
                let (id, rest) = event.strip_prefix("id: ").unwrap().split_once('\n').unwrap();
                let id: u64 = id.parse().unwrap();
                if rest.starts_with("event: reset\n") {
                    let oldest = (self.raised + 1).saturating_sub(RING_ALERTS_MAX as u64);
                    assert_eq!(id + 1, oldest, "a reset leads to the oldest that is kept");
                    assert!(self.seen < id, "nothing was missing");
                } else {
                    assert_eq!(rest, format!("data: {}", line(id)));
                    assert!(self.wants(id) && self.seen < id, "{id} after {}", self.seen);
                    assert!((self.seen + 1..id).all(|seq| !self.wants(seq)), "skipped before {id}");
                }
                self.seen = id;
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn each_alert_is_told_once_or_said_to_be_missing(
            script in vec(step(), 1..40),
            narrow in any::<bool>(),
        ) {
            let level = narrow.then_some(Level::High);
            let mut ring = Ring::default();
            let mut reader = Reader { seen: 0, raised: 0, level };
            let mut cursor = Cursor::new(asks(None, level), &ring);
            for step in script {
                match step {
                    Step::Raise(count) => {
                        raise(&mut ring, reader.raised + 1..=reader.raised + count);
                        reader.raised += count;
                    }
                    Step::Read => reader.read(&cursor.piece(&ring)),
                    Step::Return => cursor = Cursor::new(asks(Some(reader.seen), level), &ring),
                }
            }
            loop {
                let piece = cursor.piece(&ring);
                if piece.is_empty() {
                    break;
                }
                reader.read(&piece);
            }
            prop_assert!((reader.seen + 1..=reader.raised).all(|seq| !reader.wants(seq)));
        }
    }
}
