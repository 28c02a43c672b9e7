//! How things stand → counters and gauges in the Prometheus text format (version 0.0.4).
//!
//! Made anew for each that asks, from the picture that the evaluator has put on the board: counting
//! costs the evaluator next to nothing, and nobody who asks can slow it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    time::Instant,
};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeGaugeValue, NoLabelSet, prometheus_text},
    metrics::MetricType,
    registry::Registry,
};

use crate::{
    board::{FILE_STATES, Status, UNREADABLE},
    engine::counts::{RuleCounts, SourceCounts},
};

/// The media type.
pub const CONTENT_TYPE: &str = prometheus_text::CONTENT_TYPE;

/// Files that are told one by one; of more those that are furthest behind.
pub const FILES_MAX: usize = 256;

/// All of it.
pub fn text(status: Status, stream_readers: usize, now: Instant) -> String {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Scrape { status, stream_readers, now }));
    let mut text = String::new();
    // Writing to a string does not fail.
    prometheus_text::encode(&mut text, &registry).ok();
    text
}

#[derive(Debug)]
struct Scrape {
    status: Status,
    stream_readers: usize,
    now: Instant,
}

type Label<'a> = (&'static str, &'a str);

impl Collector for Scrape {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut families = Families(encoder);
        self.lines(&mut families)?;
        self.files(&mut families)?;
        self.losses(&mut families)?;
        self.rules(&mut families)?;
        self.process(&mut families)
    }
}

impl Scrape {
    fn lines(&self, families: &mut Families<'_>) -> fmt::Result {
        let of = |count: fn(&SourceCounts) -> u64| {
            let sources = self.status.counts.sources.iter();
            sources.map(move |(name, counts)| ([("source", &**name)], count(counts)))
        };
        families.counter("sentinel_lines", "Lines evaluated", of(|source| source.lines))?;
        families.counter("sentinel_bytes", "Bytes evaluated", of(|source| source.bytes))?;
        families.counter(
            "sentinel_parse_errors",
            "Lines that a rule looked into and that are not what their format says",
            of(|source| source.parse_errors),
        )?;
        families.counter(
            "sentinel_encoding_errors",
            "Lines that a rule looked into and that are not UTF-8",
            of(|source| source.encoding_errors),
        )?;
        families.counter(
            "sentinel_long_lines",
            "Lines of which the middle was not matched",
            of(|source| source.long_lines),
        )
    }

    fn files(&self, families: &mut Families<'_>) -> fmt::Result {
        // A rotated file may still go by the path of the one after it.
        let mut lags: BTreeMap<(&str, &str), (u64, f64)> = BTreeMap::new();
        for file in &self.status.files {
            let (bytes, seconds) = lags.entry((&file.source, &file.path)).or_default();
            *bytes += file.lag_bytes;
            *seconds = seconds.max(file.lag_seconds);
        }
        let mut lags: Vec<_> = lags.into_iter().collect();
        lags.sort_by_key(|(_, (bytes, _))| std::cmp::Reverse(*bytes));
        lags.truncate(FILES_MAX);
        let labels = |(source, file)| [("source", source), ("file", file)];
        families.gauge(
            "sentinel_lag_bytes",
            "Bytes that are not evaluated yet",
            lags.iter().map(|(of, (bytes, _))| (labels(*of), *bytes)),
        )?;
        families.gauge(
            "sentinel_lag_seconds",
            "How long the oldest byte that is not evaluated yet has been seen to wait",
            lags.iter().map(|(of, (_, seconds))| (labels(*of), *seconds)),
        )?;
        let unread = self.status.files.iter().filter(|file| file.state == UNREADABLE);
        let mut unreadable: BTreeSet<&str> = unread.map(|file| &*file.path).collect();
        unreadable.extend(self.status.unreadable.keys().map(String::as_str));
        let count = |state: &str| match state {
            UNREADABLE => unreadable.len(),
            _ => self.status.files.iter().filter(|file| file.state == state).count(),
        };
        families.gauge(
            "sentinel_files",
            "Files by what becomes of them",
            FILE_STATES.iter().map(|state| ([("state", *state)], count(state))),
        )?;
        let rotations = self.status.rotations;
        families.counter(
            "sentinel_rotations",
            "Files renamed, and files whose content was replaced in place",
            [("rename", rotations.renamed), ("truncate", rotations.truncated)]
                .map(|(kind, count)| ([("kind", kind)], count)),
        )
    }

    fn losses(&self, families: &mut Families<'_>) -> fmt::Result {
        let counts = &self.status.counts;
        families.counter(
            "sentinel_gaps",
            "Stretches of a file that were not provably evaluated",
            counts.gaps.iter().map(|(reason, gap)| ([("reason", *reason)], gap.gaps)),
        )?;
        families.counter(
            "sentinel_gap_bytes",
            "Bytes in gaps whose end is known",
            counts.gaps.iter().map(|(reason, gap)| ([("reason", *reason)], gap.bytes)),
        )?;
        families.counter(
            "sentinel_late_lines",
            "Lines too far behind their source to count in a window",
            one(counts.late_lines),
        )?;
        families.counter(
            "sentinel_clock_skew_lines",
            "Lines stamped too far ahead of the clock",
            one(counts.clock_skew_lines),
        )
    }

    fn rules(&self, families: &mut Families<'_>) -> fmt::Result {
        fn of<'a, N>(
            rules: &'a [RuleCounts],
            count: impl Fn(&RuleCounts) -> N,
        ) -> impl Iterator<Item = ([Label<'a>; 1], N)> {
            rules.iter().map(move |rule| ([("rule", &*rule.id)], count(rule)))
        }
        let rules = &self.status.counts.rules;
        families.counter(
            "sentinel_rule_matches",
            "Lines that a rule matched",
            of(rules, |rule| rule.matches),
        )?;
        families.gauge(
            "sentinel_groups",
            "Groups that wait or cool down",
            of(rules, |rule| rule.groups),
        )?;
        families.counter(
            "sentinel_group_evictions",
            "Groups given up for others though they could still have raised an alert",
            of(rules, |rule| rule.evictions),
        )?;
        families.counter(
            "sentinel_alerts",
            "Alerts that stand in alerts.log",
            self.status.raised.iter().map(|(of, count)| {
                ([("rule", &*of.rule), ("level", of.level), ("status", of.status)], *count)
            }),
        )?;
        let status = &self.status.rules;
        families.gauge("sentinel_rules", "Rules in force", one(status.count))?;
        families.gauge(
            "sentinel_rules_info",
            "The rules in force by the digest of their files",
            [([("digest", &*status.digest)], 1_u32)],
        )?;
        families.gauge(
            "sentinel_reload_success",
            "1 if the rule files as they are now are in force",
            one(u32::from(status.last_reload_error.is_none())),
        )
    }

    fn process(&self, families: &mut Families<'_>) -> fmt::Result {
        let status = &self.status;
        let age = status.snapshot_at.map(|at| self.now.saturating_duration_since(at).as_secs_f64());
        families.gauge(
            "sentinel_checkpoint_age_seconds",
            "Since the last snapshot",
            age.into_iter().flat_map(one),
        )?;
        families.gauge(
            "sentinel_journal_bytes",
            "Size of the turns since the last snapshot, with their alerts",
            one(status.journal_bytes),
        )?;
        families.gauge(
            "sentinel_evaluation_stopped",
            "1 while a full disk keeps lines from being evaluated",
            one(u32::from(status.stopped_by.is_some())),
        )?;
        families.gauge(
            "sentinel_stream_readers",
            "Streams of alerts that are open",
            one(self.stream_readers),
        )?;
        families.gauge(
            "sentinel_build_info",
            "The version that runs",
            [([("version", status.version)], 1_u32)],
        )
    }
}

/// The only series of its family.
fn one<N>(value: N) -> [([Label<'static>; 0], N); 1] {
    [([], value)]
}

/// Writes family after family. A counter's name is given `_total`.
struct Families<'e>(DescriptorEncoder<'e>);

impl Families<'_> {
    fn counter<'a, const L: usize>(
        &mut self,
        name: &str,
        help: &str,
        series: impl IntoIterator<Item = ([Label<'a>; L], u64)>,
    ) -> fmt::Result {
        let mut family = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        for (labels, value) in series {
            family.encode_family(&labels)?.encode_counter::<NoLabelSet, _, u64>(&value, None)?;
        }
        Ok(())
    }

    fn gauge<'a, const L: usize, N: EncodeGaugeValue>(
        &mut self,
        name: &str,
        help: &str,
        series: impl IntoIterator<Item = ([Label<'a>; L], N)>,
    ) -> fmt::Result {
        let mut family = self.0.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for (labels, value) in series {
            family.encode_family(&labels)?.encode_gauge(&value)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
