//! `[[rule]]` → a rule, compiled.

use std::{collections::BTreeMap, ops::Range};

use shared::alert::Level;
use toml::de::DeTable;

use super::{
    correlation::CORRELATION_KEYS,
    meaning,
    reader::{Key, Node, Reader, suggestion},
};
use crate::{
    matching::{Condition, Matcher, Prefilter},
    rule::{GroupBy, Rule, template::Template},
    time::Span,
};

/// Every key of a rule.
pub(super) const RULE_KEYS: [&str; 14] = [
    "id",
    "title",
    "level",
    "source",
    "tags",
    "labels",
    "annotations",
    "match",
    "except",
    "message",
    "cooldown",
    "group_by",
    "ipv6_prefix",
    "correlation",
];

/// Event time for which a group stays quiet after an alert, unless the rule says.
const COOLDOWN: Span = Span::seconds(300);
const COOLDOWN_BOUNDS: (&str, &str) = ("0s", "30d");

/// Most providers give a customer this much; a shorter prefix would be theirs to change at will.
const IPV6_PREFIX: u8 = 64;

/// A rule as read, and what is checked against others.
pub(super) struct Read {
    pub(super) rule: Rule,
    pub(super) matcher: Matcher,
    pub(super) id_span: Range<usize>,
    pub(super) sources: Vec<(String, Range<usize>)>,
}

impl Reader<'_, '_> {
    pub(super) fn rule(&mut self, table: &DeTable<'_>, node: &Node<'_>) -> Option<Read> {
        let errors = self.errors();
        let id = table.get("id").and_then(|node| Some((self.id(node)?, node.span())));
        if !table.contains_key("id") {
            let help = "like `id = \"path-scan\"`: it names the rule in alerts";
            self.missing(node.span(), "this rule lacks `id`".to_owned(), help);
        }
        let owner = match &id {
            Some((id, _)) => format!("rule `{id}`"),
            None => "a rule".to_owned(),
        };
        let mut title = None;
        let mut level = Level::Medium;
        let mut sources = None;
        let mut tags = Vec::new();
        let mut labels = BTreeMap::new();
        let mut annotations = BTreeMap::new();
        let mut matcher = Matcher::default();
        let mut message = None;
        let mut cooldown = COOLDOWN;
        let mut groups = None;
        let mut ipv6_prefix = IPV6_PREFIX;
        let mut correlation = None;
        for (key, value) in table {
            match key.get_ref().as_ref() {
                "id" => {}
                "title" => title = self.text("title", value).map(str::to_owned),
                "level" => level = self.level(value).unwrap_or(level),
                "source" => sources = self.source_names(value),
                "tags" => {
                    let texts = self.texts("tags", value).unwrap_or_default();
                    tags = texts.into_iter().map(|(tag, _)| tag.to_owned()).collect();
                }
                "labels" => labels = self.strings("labels", value),
                "annotations" => annotations = self.strings("annotations", value),
                "match" => {
                    if let Some(table) = self.table("match", value) {
                        matcher.matches = self.conditions(&owner, value, table);
                    }
                }
                "except" => {
                    for (table, node) in self.tables("rule.except", value) {
                        matcher.except.push(self.conditions(&owner, node, table));
                    }
                }
                "message" => message = self.text("message", value).map(|text| (text, value)),
                "cooldown" => {
                    let read = self.duration("cooldown", value, COOLDOWN_BOUNDS);
                    cooldown = read.unwrap_or(cooldown);
                }
                "group_by" => groups = Some((self.group_by(value), value)),
                "ipv6_prefix" => {
                    let read = self.integer("ipv6_prefix", value, 1..=128);
                    ipv6_prefix =
                        read.and_then(|bits| u8::try_from(bits).ok()).unwrap_or(IPV6_PREFIX);
                }
                "correlation" => {
                    if let Some(table) = self.table("correlation", value) {
                        correlation = Some((self.correlation(table, value), value));
                    }
                }
                _ => self.not_of_a_rule(key, &owner),
            }
        }
        if !table.contains_key("match") {
            let help = "like `match = { \"http.response.status_code\" = 404 }`";
            self.missing(node.span(), format!("{owner} lacks `match`"), help);
        }
        if let (Some((_, group_by)), Some((_, correlation))) = (&groups, &correlation) {
            self.misplaced_group_by(group_by, correlation);
        }
        let is_counted = correlation.is_some();
        let trips = match correlation {
            Some((read, _)) => {
                read.map(|(correlation, groups)| (Some(correlation), GroupBy::Fields(groups)))
            }
            None => {
                self.plain_groups(groups.map(|(groups, _)| groups)).map(|groups| (None, groups))
            }
        };
        let message = match message {
            Some((text, node)) => self.message(text, node, is_counted, trips.as_ref(), &matcher),
            None => {
                let title = title.as_deref().or_else(|| id.as_ref().map(|(id, _)| id.as_str()));
                Some(Template::plain(title.unwrap_or_default()))
            }
        };
        self.warn_of_slowness(&matcher.matches, table.get("match").unwrap_or(node));
        if self.errors() > errors {
            return None;
        }
        let (id, id_span) = id?;
        let (correlation, group_by) = trips?;
        let mut rule = Rule {
            title: title.unwrap_or_else(|| id.clone()),
            id,
            level,
            file: self.file.to_owned(),
            line: u32::try_from(self.line(node.span().start)).unwrap_or(u32::MAX),
            tags,
            labels,
            annotations,
            group_by,
            ipv6_prefix,
            cooldown,
            correlation,
            digest: 0,
            meaning: String::new(),
            sources: sources.as_ref().map(|sources: &Vec<_>| {
                sources.iter().map(|(name, _): &(String, _)| name.clone()).collect()
            }),
            message: message?,
        };
        rule.meaning = meaning::of(&rule, &matcher, self.names);
        rule.digest = meaning::digest(&rule);
        Some(Read { rule, matcher, id_span, sources: sources.unwrap_or_default() })
    }

    /// A key that a rule does not have: often it has only slipped below or above its header.
    fn not_of_a_rule(&mut self, key: &Key<'_>, owner: &str) {
        let name = key.get_ref().as_ref();
        if super::FILE_KEYS.contains(&name) {
            let message = format!("`{name}` belongs to the file: move it above the first header");
            self.error(key.span(), message, "below a header, keys belong to that header");
        } else if CORRELATION_KEYS.contains(&name) {
            let message = format!("`{name}` belongs to the correlation of {owner}");
            self.error(key.span(), message, "move it below [rule.correlation]");
        } else {
            self.unknown(key, owner, &RULE_KEYS);
        }
    }

    fn warn_of_slowness(&mut self, matches: &[Condition], node: &Node<'_>) {
        if Prefilter::gates(matches) {
            return;
        }
        let mut patterns = matches.iter().flat_map(Condition::patterns);
        let without = patterns.clone().find(|pattern| pattern.literals().is_none());
        if let Some(slow) = without.or_else(|| patterns.next()) {
            let message = format!("every line must be tried against {slow}");
            let help = "no literal of three letters or more is sure to stand in every match";
            self.warn(node.span(), message, help);
        }
    }

    fn id(&mut self, node: &Node<'_>) -> Option<String> {
        let id = self.name("id", node)?;
        if id.starts_with(crate::notice::PREFIX) {
            self.error(node.span(), "ids that begin with `sentinel.` are sentinel's own", "");
            return None;
        }
        Some(id.to_owned())
    }

    fn level(&mut self, node: &Node<'_>) -> Option<Level> {
        let text = self.text("level", node)?;
        let level = Level::named(text);
        if level.is_none() {
            let names = Level::ALL.map(|(name, _)| name);
            let mut help = suggestion(text, &names);
            if help.is_empty() {
                help = format!("one of {}", names.join(", "));
            }
            self.error(node.span(), format!("unknown level `{text}`"), help);
        }
        level
    }

    fn source_names(&mut self, node: &Node<'_>) -> Option<Vec<(String, Range<usize>)>> {
        let names = self.texts("source", node)?;
        if names.is_empty() {
            self.error(
                node.span(),
                "a rule for no source sees no line",
                "leave `source` out for every source",
            );
        }
        Some(names.into_iter().map(|(name, node)| (name.to_owned(), node.span())).collect())
    }

    fn strings(&mut self, what: &str, node: &Node<'_>) -> BTreeMap<String, String> {
        let mut strings = BTreeMap::new();
        let Some(table) = self.table(what, node) else { return strings };
        for (key, value) in table {
            let name = key.get_ref().as_ref();
            let quoted = self.written(key.span()).starts_with(['"', '\'']);
            if self.has_header(node) && RULE_KEYS.contains(&name) && !quoted {
                let line = self.line(node.span().start);
                let help = format!(
                    "the rule's own belongs above line {line}; write \"{name}\" to mean it"
                );
                self.warn(key.span(), format!("`{name}` is one of the {what} here"), help);
            }
            if let Some(text) = self.text(name, value) {
                strings.insert(name.to_owned(), text.to_owned());
            }
        }
        strings
    }

    fn plain_groups(&mut self, groups: Option<Vec<(String, Range<usize>)>>) -> Option<GroupBy> {
        match groups {
            None => Some(GroupBy::ClientIp(self.intern("client.ip", 0..0)?)),
            Some(groups) => {
                let ids = groups.into_iter().map(|(name, span)| self.intern(&name, span));
                Some(GroupBy::Fields(ids.collect::<Option<_>>()?))
            }
        }
    }
}
