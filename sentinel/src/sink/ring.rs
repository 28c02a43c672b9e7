//! The recent alerts, for whoever asks: by sequence, level, rule, status, group and time.

use std::{
    collections::{BTreeMap, VecDeque},
    fs::File,
    io::{self, Read as _, Seek as _, SeekFrom},
    path::Path,
};

use shared::{
    Alert,
    alert::{Level, Status},
    socket::ANSWER_BYTES_MAX,
};

use crate::time::Timestamp;

/// Alerts kept.
pub const RING_ALERTS_MAX: usize = 1_000;

/// How much of `alerts.log` is read at start to fill the ring, in bytes.
const WARM_BYTES_MAX: u64 = 8 << 20;

/// Most bytes of an answer without its alerts.
const FRAME_BYTES_MAX: usize = r#"{"alerts":[],"next_after_seq":18446744073709551615}"#.len();

/// An alert and its line.
#[derive(Debug)]
struct Kept {
    alert: Alert,
    json: String,
}

/// The last [`RING_ALERTS_MAX`] alerts, oldest first, by rising `seq`.
#[derive(Debug, Default)]
pub struct Ring {
    kept: VecDeque<Kept>,
    last_seq: u64,
}

/// Which alerts are asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    /// At most so many.
    pub limit: usize,
    /// Only newer ones, and the oldest of them first, so that nothing in the middle is skipped.
    pub after_seq: Option<u64>,
    /// Only alerts of that time or later.
    pub since: Option<Timestamp>,
    /// Only alerts of that level or above.
    pub level: Option<Level>,
    /// Only that rule.
    pub rule: Option<String>,
    /// Only that status.
    pub status: Option<Status>,
    /// Only groups with these values.
    pub group: BTreeMap<String, String>,
}

impl Default for Query {
    fn default() -> Self {
        Self {
            limit: 100,
            after_seq: None,
            since: None,
            level: None,
            rule: None,
            status: None,
            group: BTreeMap::new(),
        }
    }
}

impl Ring {
    /// The ring as the end of an `alerts.log`, and of the one rotated before it, fills it. What is no alert there is passed over.
    ///
    /// # Errors
    /// The file is there and cannot be read.
    pub fn warmed(alerts_log: &Path) -> io::Result<Self> {
        let mut ring = Self::default();
        let mut rotated = alerts_log.as_os_str().to_owned();
        rotated.push(".1");
        // The newest rotated file first: the file itself may have just begun.
        for path in [Path::new(&rotated), alerts_log] {
            ring.read(path)?;
        }
        Ok(ring)
    }

    fn read(&mut self, path: &Path) -> io::Result<()> {
        let mut file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        let from = file.metadata()?.len().saturating_sub(WARM_BYTES_MAX);
        file.seek(SeekFrom::Start(from))?;
        let mut bytes = Vec::new();
        file.take(WARM_BYTES_MAX).read_to_end(&mut bytes)?;
        for line in bytes.split(|byte| *byte == b'\n') {
            if let Ok(alert) = serde_json::from_slice(line)
                && let Ok(line) = std::str::from_utf8(line)
            {
                self.push(alert, line);
            }
        }
        Ok(())
    }

    /// Adds an alert and its line.
    pub fn push(&mut self, alert: Alert, line: &str) {
        if alert.seq <= self.last_seq {
            // Numbers begin anew: what is there belongs to an installation that is no more.
            self.kept.clear();
        } else if self.kept.len() == RING_ALERTS_MAX {
            self.kept.pop_front();
        }
        self.last_seq = alert.seq;
        self.kept.push_back(Kept { alert, json: line.trim_end().to_owned() });
    }

    /// `seq` of the newest alert; 0 where there is none.
    pub fn last_seq(&self) -> u64 {
        self.last_seq
    }

    /// Alerts up to that one were raised, whether or not they are kept.
    pub fn numbered(&mut self, seq: u64) {
        self.last_seq = self.last_seq.max(seq);
    }

    /// `seq` of the oldest alert that is kept, else of the next one to come.
    pub fn oldest_seq(&self) -> u64 {
        self.kept.front().map_or_else(|| self.last_seq.saturating_add(1), |kept| kept.alert.seq)
    }

    /// Alerts after that one with their lines, without a line feed, oldest first.
    pub fn after(&self, seq: u64) -> impl Iterator<Item = (&Alert, &str)> {
        let from = self.kept.partition_point(|kept| kept.alert.seq <= seq);
        self.kept.range(from..).map(|kept| (&kept.alert, kept.json.as_str()))
    }

    /// The alerts a query asks for as one JSON object of at most [`ANSWER_BYTES_MAX`], `next_after_seq`
    /// being where to go on.
    pub fn answer(&self, query: &Query) -> String {
        let (page, is_full) = match query.after_seq {
            Some(_) => page(self.kept.iter(), query),
            None => page(self.kept.iter().rev(), query),
        };
        let next = match (query.after_seq, page.last()) {
            (Some(_), Some(last)) if is_full => last.alert.seq,
            // All there is has been seen.
            (after, _) => self.last_seq.max(after.unwrap_or(0)),
        };
        let alerts: Vec<&str> = page.iter().map(|kept| kept.json.as_str()).collect();
        format!("{{\"alerts\":[{}],\"next_after_seq\":{next}}}", alerts.join(","))
    }
}

/// The first alerts that a query asks for, at least one if there is one, and whether more are behind.
fn page<'a>(kept: impl Iterator<Item = &'a Kept>, query: &Query) -> (Vec<&'a Kept>, bool) {
    let mut page = Vec::new();
    let mut bytes = FRAME_BYTES_MAX;
    for kept in kept.filter(|kept| query.matches(&kept.alert)) {
        let comma = usize::from(!page.is_empty());
        bytes = bytes.saturating_add(comma + kept.json.len());
        // One that is too large by itself must not keep those behind it from being seen.
        if page.len() >= query.limit || (bytes > ANSWER_BYTES_MAX && !page.is_empty()) {
            return (page, true);
        }
        page.push(kept);
    }
    (page, false)
}

impl Query {
    /// Whether it asks for that alert.
    pub fn matches(&self, alert: &Alert) -> bool {
        self.after_seq.is_none_or(|seq| alert.seq > seq)
            && self.level.is_none_or(|level| alert.level >= level)
            && self.rule.as_ref().is_none_or(|rule| alert.rule.id == *rule)
            && self.status.is_none_or(|status| alert.status == status)
            && self.since.is_none_or(|since| {
                Timestamp::parse(&alert.timestamp).is_some_and(|time| time >= since)
            })
            && self.group.iter().all(|(field, value)| alert.group.get(field) == Some(value))
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    fn ring(count: u64) -> Ring {
        let mut ring = Ring::default();
        for seq in 1..=count {
            let mut alert = crate::alert::golden();
            alert.seq = seq;
            if seq % 2 == 0 {
                alert.level = Level::Critical;
                alert.rule.id = "even".into();
                alert.group.insert("client.ip".into(), "192.0.2.2".into());
                alert.timestamp = "2026-02-01T00:00:00.000Z".into();
            }
            let line = crate::alert::line(&alert);
            ring.push(alert, &line);
        }
        ring
    }

    #[track_caller]
    fn check(count: u64, query: Query, expected: &[u64], next: u64) {
        let answer: serde_json::Value = serde_json::from_str(&ring(count).answer(&query)).unwrap();
        let seqs: Vec<u64> = answer["alerts"]
            .as_array()
            .unwrap()
            .iter()
            .map(|a| a["seq"].as_u64().unwrap())
            .collect();
        assert_eq!((seqs.as_slice(), answer["next_after_seq"].as_u64()), (expected, Some(next)));
    }

    #[test]
    fn the_newest_come_first_and_after_a_sequence_the_oldest() {
        let all = Query::default();
        check(0, all.clone(), &[], 0);
        check(3, all.clone(), &[3, 2, 1], 3);
        check(3, Query { limit: 2, ..all.clone() }, &[3, 2], 3);
        check(5, Query { limit: 2, after_seq: Some(1), ..all.clone() }, &[2, 3], 3);
        check(5, Query { limit: 2, after_seq: Some(3), ..all.clone() }, &[4, 5], 5);
        check(5, Query { after_seq: Some(5), ..all }, &[], 5);
    }

    #[test]
    fn a_query_narrows() {
        let all = Query::default();
        check(4, Query { level: Some(Level::High), ..all.clone() }, &[4, 2], 4);
        check(4, Query { level: Some(Level::Low), limit: 9, ..all.clone() }, &[4, 3, 2, 1], 4);
        check(4, Query { rule: Some("even".into()), ..all.clone() }, &[4, 2], 4);
        check(4, Query { status: Some(Status::Resolved), ..all.clone() }, &[], 4);
        check(
            4,
            Query { since: Timestamp::parse("2026-01-25T00:00:00Z"), ..all.clone() },
            &[4, 2],
            4,
        );
        let group = BTreeMap::from([("client.ip".into(), "192.0.2.2".into())]);
        check(4, Query { group, ..all }, &[4, 2], 4);
    }

    #[test]
    fn numbers_that_begin_anew_push_out_those_of_before() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("alerts.log");
        let lines = |count| {
            let ring = ring(count);
            ring.kept.iter().map(|kept| kept.json.clone() + "\n").collect::<String>()
        };
        std::fs::write(dir.path().join("alerts.log.1"), lines(9)).unwrap();
        std::fs::write(&path, lines(3)).unwrap();
        let mut warmed = Ring::warmed(&path).unwrap();
        assert_eq!((warmed.kept.len(), warmed.last_seq(), warmed.oldest_seq()), (3, 3, 1));
        assert_eq!(warmed.after(1).map(|(alert, _)| alert.seq).collect::<Vec<_>>(), [2, 3]);
        warmed.numbered(2);
        assert_eq!(warmed.last_seq(), 3);
        warmed.numbered(7);
        assert_eq!((warmed.last_seq(), warmed.after(3).count()), (7, 0));
    }

    #[test]
    fn the_ring_is_bounded_and_filled_again_from_its_file() {
        let ring = ring(RING_ALERTS_MAX as u64 + 5);
        assert_eq!((ring.kept.len(), ring.kept[0].alert.seq), (RING_ALERTS_MAX, 6));
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("alerts.log");
        assert_eq!(Ring::warmed(&path).unwrap().last_seq(), 0);
        let lines: Vec<&str> = ring.kept.iter().map(|kept| kept.json.as_str()).collect();
        std::fs::write(&path, format!("torn\"}}\n{}\n{{\"seq\":", lines.join("\n"))).unwrap();
        let warmed = Ring::warmed(&path).unwrap();
        assert_eq!(warmed.answer(&Query::default()), ring.answer(&Query::default()));
    }

    /// Bytes of an alert's line: many small ones, some that fill a page by themselves.
    fn bytes() -> impl Strategy<Value = usize> {
        prop_oneof![
            40 => 0_usize..4_000,
            4 => 0_usize..200_000,
            1 => ANSWER_BYTES_MAX - 200..ANSWER_BYTES_MAX + 200,
        ]
    }

    /// The `seq` of each alert of an answer, and where to go on.
    fn seen(answer: &str) -> (Vec<u64>, u64) {
        #[derive(serde::Deserialize)]
        struct Seen {
            alerts: Vec<Numbered>,
            next_after_seq: u64,
        }
        #[derive(serde::Deserialize)]
        struct Numbered {
            seq: u64,
        }
        let seen: Seen = serde_json::from_str(answer).unwrap();
        (seen.alerts.iter().map(|alert| alert.seq).collect(), seen.next_after_seq)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn pages_end_within_their_bytes_and_show_each_alert_once(
            sizes in vec(bytes(), 0..500),
            limit in prop_oneof![1_usize..20, 1_usize..=1_000],
        ) {
            let mut alert = ring(1).kept[0].alert.clone();
            let mut ring = Ring::default();
            let mut lines = Vec::new();
            for (seq, size) in (1..).zip(&sizes) {
                alert.seq = seq;
                lines.push(format!(r#"{{"seq":{seq},"pad":"{}"}}"#, "x".repeat(*size)));
                ring.push(alert.clone(), lines.last().unwrap());
            }
            let all: Vec<u64> = (1..).take(sizes.len()).collect();
            let (mut shown, mut after) = (Vec::new(), 0);
            loop {
                let answer = ring.answer(&Query { limit, after_seq: Some(after), ..Query::default() });
                let (page, next) = seen(&answer);
                if page.is_empty() {
                    prop_assert_eq!(next, ring.last_seq());
                    break;
                }
                prop_assert!(page.len() <= limit);
                prop_assert!(answer.len() <= ANSWER_BYTES_MAX || page.len() == 1);
                prop_assert_eq!(Some(&next), page.last());
                after = next;
                shown.extend(page.iter().copied());
                if let Some(line) = lines.get(shown.len()) && page.len() < limit {
                    // No page is shorter than it must be, but for the digits of a number.
                    prop_assert!(answer.len() + 1 + line.len() + 20 > ANSWER_BYTES_MAX);
                }
            }
            prop_assert_eq!(&shown, &all);

            let answer = ring.answer(&Query { limit, ..Query::default() });
            let (page, next) = seen(&answer);
            prop_assert!(answer.len() <= ANSWER_BYTES_MAX || page.len() == 1);
            prop_assert!(page.iter().eq(all.iter().rev().take(page.len())));
            prop_assert_eq!((page.is_empty(), next), (all.is_empty(), ring.last_seq()));
        }
    }
}
