//! `message` → a template, and a word where nothing is known to fill one of its places.

use super::reader::{Node, Reader, suggestion};
use crate::{
    decode::{ENCODING_ERROR, PARSE_ERROR},
    matching::{Condition, Matcher},
    rule::{Correlation, GroupBy, Kind, template, template::Template},
};

impl Reader<'_, '_> {
    /// The template, checked against what its fields may come from.
    pub(super) fn message(
        &mut self,
        text: &str,
        node: &Node<'_>,
        is_counted: bool,
        trips: Option<&(Option<Correlation>, GroupBy)>,
        matcher: &Matcher,
    ) -> Option<Template> {
        let places = match template::placeholders(text) {
            Ok(places) => places,
            Err(bad) => {
                let place = self.part(node, bad.span);
                self.error(place, format!("message: {}", bad.message), "");
                return None;
            }
        };
        for (name, span) in places {
            let place = self.part(node, span);
            if name == "timespan" && !is_counted {
                self.error(place, "a rule without correlation has no timespan", "");
                continue;
            }
            if ["count", "timespan"].contains(&name) {
                continue;
            }
            let id = self.intern(name, place.clone())?;
            let captured = matcher
                .conditions()
                .flat_map(Condition::patterns)
                .any(|pattern| pattern.captures().any(|capture| capture == id));
            let grouped = trips.is_none_or(|(correlation, group_by)| {
                let counted = correlation.as_ref().map(|correlation| &correlation.kind);
                counted == Some(&Kind::ValueCount(id))
                    || matches!(group_by, GroupBy::Fields(fields) if fields.contains(&id))
            });
            let named = grouped || matcher.conditions().any(|condition| condition.field == id);
            if !captured && !named && !KNOWN_FIELDS.contains(&name) {
                let message = format!("nothing is known to fill `{{{name}}}`");
                let mut help = suggestion(name, &KNOWN_FIELDS);
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
}

/// Fields that our logs, our decoders or ECS are known to provide.
const KNOWN_FIELDS: [&str; 50] = [
    "@timestamp",
    "blocked_hits",
    "client.ip",
    "client.address",
    "client.port",
    "dropped",
    "error.message",
    "error.type",
    "event.action",
    "event.dataset",
    "event.duration",
    "event.outcome",
    "event.reason",
    "event.sequence",
    "host.name",
    "http.request.body.bytes",
    "http.request.id",
    "http.request.method",
    "http.request.referrer",
    "http.response.body.bytes",
    "http.response.status_code",
    "http.version",
    "line",
    "log.level",
    "message",
    "network.peer.address",
    "process.name",
    "process.pid",
    "query.duplicate",
    "query.odd_secret",
    "rule.name",
    "service.instance",
    "service.name",
    "service.version",
    "since",
    "source.ip",
    "stream",
    "destination.ip",
    "trace.id",
    "truncated",
    "url.domain",
    "url.full",
    "url.original",
    "url.path",
    "url.query",
    "user.id",
    "user.name",
    "user_agent.original",
    PARSE_ERROR,
    ENCODING_ERROR,
];
