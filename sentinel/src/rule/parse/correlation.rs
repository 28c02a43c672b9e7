//! `[rule.correlation]` and `group_by`: when matches become a trip, and in which groups.

use std::{num::NonZeroU32, ops::Range};

use toml::de::{DeTable, DeValue};

use super::reader::{Node, Reader, suggestion};
use crate::{
    record::FieldId,
    rule::{Correlation, Kind},
};

/// The shortest and the longest span that is counted in.
pub(super) const TIMESPAN: (&str, &str) = ("1ms", "30d");

/// The most that may have to be counted: it bounds what one group costs.
pub(super) const GTE_MAX: i64 = 10_000;

/// The most fields of a group.
const GROUP_FIELDS_MAX: usize = 8;

pub(super) const CORRELATION_KEYS: [&str; 5] = ["type", "field", "group_by", "timespan", "gte"];
const TYPES: [&str; 2] = ["event_count", "value_count"];

/// Fields that a client makes up anew for each request: groups of one.
const NEVER_EQUAL: [&str; 4] = ["user_agent.original", "http.request.id", "trace.id", "url.query"];

impl Reader<'_, '_> {
    /// The correlation, and the fields of its groups.
    pub(super) fn correlation(
        &mut self,
        table: &DeTable<'_>,
        node: &Node<'_>,
    ) -> Option<(Correlation, Vec<FieldId>)> {
        let errors = self.errors();
        let mut kind = None;
        let mut field = None;
        let mut groups = Vec::new();
        let mut timespan = None;
        let mut gte = None;
        for (key, value) in table {
            match key.get_ref().as_ref() {
                "type" => kind = self.correlation_type(value),
                "field" => field = self.text("field", value).map(|text| (text, value.span())),
                "group_by" => groups = self.group_by(value),
                "timespan" => {
                    timespan =
                        self.duration("timespan", value, TIMESPAN).zip(value.get_ref().as_str())
                }
                "gte" => gte = self.integer("gte", value, 1..=GTE_MAX),
                name if super::RULE_KEYS.contains(&name) => {
                    let line = self.line(node.span().start);
                    let message =
                        format!("`{name}` belongs to the rule: move it above line {line}");
                    self.error(key.span(), message, "below a header, keys belong to that header");
                }
                _ => self.unknown(key, "a correlation", &CORRELATION_KEYS),
            }
        }
        for (key, example) in [("type", "event_count"), ("timespan", "5m"), ("gte", "10")] {
            if !table.contains_key(key) {
                let quote = if key == "gte" { "" } else { "\"" };
                let help = format!("like `{key} = {quote}{example}{quote}`");
                self.missing(node.span(), format!("this correlation lacks `{key}`"), &help);
            }
        }
        let kind = match (kind?, field) {
            ("event_count", None) => Kind::EventCount,
            ("event_count", Some((_, span))) => {
                let help = "`value_count` counts the distinct values of a field";
                self.error(span, "`event_count` counts matches, not a field", help);
                return None;
            }
            (_, Some((name, span))) => {
                if groups.iter().any(|(group, _)| group == name) {
                    let help = "each group has one value of the field it is grouped by";
                    self.warn(span.clone(), "this can never count beyond 1", help);
                }
                Kind::ValueCount(self.intern(name, span)?)
            }
            (_, None) => {
                let help = "whose distinct values are counted, like `field = \"url.path\"`";
                self.missing(node.span(), "this correlation lacks `field`".to_owned(), help);
                return None;
            }
        };
        let (timespan, timespan_text) = timespan?;
        let gte = u32::try_from(gte?).ok().and_then(NonZeroU32::new)?;
        let groups = groups
            .into_iter()
            .map(|(name, span)| self.intern(&name, span))
            .collect::<Option<_>>()?;
        let correlation =
            Correlation { kind, timespan, timespan_text: timespan_text.to_owned(), gte };
        (self.errors() == errors).then_some((correlation, groups))
    }

    fn correlation_type(&mut self, node: &Node<'_>) -> Option<&'static str> {
        let text = self.text("type", node)?;
        let known = TYPES.into_iter().find(|known| *known == text);
        if known.is_none() {
            let mut help = suggestion(text, &TYPES);
            if help.is_empty() {
                help = format!("one of {}", TYPES.join(", "));
            }
            self.error(node.span(), format!("unknown correlation `{text}`"), help);
        }
        known
    }

    /// The fields of a group, by name.
    pub(super) fn group_by(&mut self, node: &Node<'_>) -> Vec<(String, Range<usize>)> {
        let mut groups: Vec<(String, Range<usize>)> = Vec::new();
        for (name, node) in self.texts("group_by", node).unwrap_or_default() {
            if name.is_empty() {
                self.error(node.span(), "no field has an empty name", "");
            } else if groups.iter().any(|(known, _)| known == name) {
                self.error(node.span(), format!("`{name}` is named twice"), "");
            } else {
                if NEVER_EQUAL.contains(&name) {
                    let help = "a client can make every request a group of its own";
                    self.warn(node.span(), format!("groups by `{name}` may never fill"), help);
                }
                groups.push((name.to_owned(), node.span()));
            }
        }
        if groups.len() > GROUP_FIELDS_MAX {
            let message = format!("`group_by` names more than {GROUP_FIELDS_MAX} fields");
            self.error(node.span(), message, "");
        }
        groups
    }

    /// `group_by` of the rule itself, which a rule with a correlation has in its correlation.
    pub(super) fn misplaced_group_by(&mut self, node: &Node<'_>, correlation: &Node<'_>) {
        let message = "`group_by` of a rule with a correlation belongs to the correlation";
        let help = match correlation.get_ref() {
            DeValue::Table(_) if self.has_header(correlation) => {
                format!("move it below line {}", self.line(correlation.span().start))
            }
            _ => "move it into `correlation`".to_owned(),
        };
        self.error(node.span(), message, help);
    }
}
