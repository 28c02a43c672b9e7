//! `[[rule]]` → a rule, compiled.

use std::{collections::BTreeMap, ops::Range};

use serde::Serialize;
use sha2::{Digest, Sha256};
use shared::alert::Level;
use toml::de::DeTable;

use super::{
    known_fields,
    reader::{Node, Reader, suggestion},
};
use crate::{
    matching::{Condition, Prefilter},
    record::FieldId,
    rule::{Correlation, GroupBy, Kind, Rule, template, template::Template},
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
    pub(super) id_span: Range<usize>,
    pub(super) sources: Vec<(String, Range<usize>)>,
}

/// What a rule does, without its name and how it speaks of it.
#[derive(Serialize)]
struct Meaning<'r> {
    source: &'r Option<Vec<String>>,
    matches: &'r [Condition],
    except: &'r [Vec<Condition>],
    /// None: the client's address, where there is one.
    group_by: Option<Vec<&'r str>>,
    ipv6_prefix: u8,
    cooldown: i64,
    correlation: Option<(Option<&'r str>, i64, u32)>,
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
        let mut matches = Vec::new();
        let mut except = Vec::new();
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
                        matches = self.conditions(&owner, value, table);
                    }
                }
                "except" => {
                    for (table, node) in self.tables("rule.except", value) {
                        except.push(self.conditions(&owner, node, table));
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
                name if super::FILE_KEYS.contains(&name) => {
                    let message =
                        format!("`{name}` belongs to the file: move it above the first header");
                    self.error(key.span(), message, "below a header, keys belong to that header");
                }
                name if ["type", "field", "timespan", "gte"].contains(&name) => {
                    let message = format!("`{name}` belongs to the correlation of {owner}");
                    self.error(key.span(), message, "move it below [rule.correlation]");
                }
                _ => self.unknown(key, &owner, &RULE_KEYS),
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
            Some((text, node)) => {
                self.message(text, node, is_counted, trips.as_ref(), &matches, &except)
            }
            None => {
                let title = title.as_deref().or_else(|| id.as_ref().map(|(id, _)| id.as_str()));
                Some(Template::plain(title.unwrap_or_default()))
            }
        };
        if !Prefilter::gates(&matches) {
            let mut patterns = matches.iter().flat_map(Condition::patterns);
            let without = patterns.clone().find(|pattern| pattern.literals().is_none());
            if let Some(slow) = without.or_else(|| patterns.next()) {
                let place = table.get("match").unwrap_or(node).span();
                let message = format!("every line must be tried against {slow}");
                let help = "no literal of three letters or more is sure to stand in every match";
                self.warn(place, message, help);
            }
        }
        if self.errors() > errors {
            return None;
        }
        let names = sources.map(|sources: Vec<(String, Range<usize>)>| {
            (sources.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>(), sources)
        });
        let (source_names, sources) = names.unzip();
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
            sources: source_names,
            matches,
            except,
            message: message?,
        };
        rule.meaning = self.meaning(&rule);
        rule.digest = digest(&rule);
        Some(Read { rule, id_span, sources: sources.unwrap_or_default() })
    }

    fn id(&mut self, node: &Node<'_>) -> Option<String> {
        let id = self.name("id", node)?;
        if id.starts_with("sentinel.") {
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

    /// The template, checked against what its fields may come from.
    fn message(
        &mut self,
        text: &str,
        node: &Node<'_>,
        is_counted: bool,
        trips: Option<&(Option<Correlation>, GroupBy)>,
        matches: &[Condition],
        except: &[Vec<Condition>],
    ) -> Option<Template> {
        let places = match template::placeholders(text) {
            Ok(places) => places,
            Err(bad) => {
                let place = self.part(node, bad.span);
                self.error(place, format!("message: {}", bad.message), "");
                return None;
            }
        };
        let conditions = || matches.iter().chain(except.iter().flatten());
        for (name, span) in places {
            let place = self.part(node, span);
            if name == "timespan" && !is_counted {
                self.error(place, "a rule without correlation has no timespan", "");
                continue;
            }
            let id = self.intern(name, place.clone())?;
            let captured = conditions()
                .flat_map(Condition::patterns)
                .any(|pattern| pattern.captures().any(|capture| capture == id));
            let grouped = trips.is_none_or(|(correlation, group_by)| {
                let counted = correlation.as_ref().map(|correlation| &correlation.kind);
                counted == Some(&Kind::ValueCount(id))
                    || matches!(group_by, GroupBy::Fields(fields) if fields.contains(&id))
            });
            let named = grouped || conditions().any(|condition| condition.field == id);
            let known = known_fields();
            if !captured
                && !named
                && !known.contains(&name)
                && !["count", "timespan"].contains(&name)
            {
                let message = format!("nothing is known to fill `{{{name}}}`");
                let mut help = suggestion(name, &known);
                if help.is_empty() {
                    "it becomes `-` where a line has no such field".clone_into(&mut help);
                }
                self.warn(place, message, help);
            }
        }
        match Template::new(text, self.names) {
            Ok(template) => Some(template),
            Err(error) => {
                self.error(node.span(), error.to_string(), "");
                None
            }
        }
    }

    fn meaning(&self, rule: &Rule) -> String {
        let name = |id: FieldId| self.names.name(id);
        let meaning = Meaning {
            source: &rule.sources,
            matches: &rule.matches,
            except: &rule.except,
            group_by: match &rule.group_by {
                GroupBy::ClientIp(_) => None,
                GroupBy::Fields(fields) => Some(fields.iter().copied().map(name).collect()),
            },
            ipv6_prefix: rule.ipv6_prefix,
            cooldown: rule.cooldown.0,
            correlation: rule.correlation.as_ref().map(|correlation| {
                let counted = match correlation.kind {
                    Kind::EventCount => None,
                    Kind::ValueCount(field) => Some(name(field)),
                };
                (counted, correlation.timespan.0, correlation.gte.get())
            }),
        };
        serde_json::to_string(&meaning).expect("texts, numbers and lists of them are always JSON")
    }
}

fn digest(rule: &Rule) -> u128 {
    let hash = Sha256::digest(format!("{}\n{}", rule.id, rule.meaning));
    hash.iter().take(16).fold(0, |digest, byte| digest << 8 | u128::from(*byte))
}
