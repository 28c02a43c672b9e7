//! The texts of rule files → a rule set, or all faults.

use std::num::NonZeroU32;

use shared::alert::Level;

use super::{Correlation, Fault, GroupBy, Kind, Rule, RuleSet, duration};
use crate::{record::Names, time::Span};

pub(super) fn parse(files: &[(String, String)]) -> Result<RuleSet, Vec<Fault>> {
    let mut names = Names::default();
    let mut rules = Vec::new();
    for (file, text) in files {
        let fault = |message: String| vec![Fault::of_file(file, message)];
        let table: toml::Table = text.parse().map_err(|e: toml::de::Error| fault(e.to_string()))?;
        for rule in table.get("rule").and_then(toml::Value::as_array).into_iter().flatten() {
            let text = |key: &str| rule.get(key).and_then(toml::Value::as_str);
            let mut intern = |name: &str| names.intern(name).map_err(|e| fault(e.to_string()));
            let mut conditions = Vec::new();
            for (key, value) in
                rule.get("match").and_then(toml::Value::as_table).into_iter().flatten()
            {
                let wanted = match value {
                    toml::Value::String(text) => text.clone(),
                    toml::Value::Table(table) => table
                        .get("contains")
                        .and_then(toml::Value::as_str)
                        .unwrap_or_default()
                        .to_owned(),
                    toml::Value::Integer(number) => number.to_string(),
                    _ => String::new(),
                };
                conditions.push((intern(key)?, wanted));
            }
            let mut fields = |table: &toml::Value| {
                table.get("group_by").and_then(toml::Value::as_array).map(|fields| {
                    fields
                        .iter()
                        .filter_map(toml::Value::as_str)
                        .map(&mut intern)
                        .collect::<Result<Vec<_>, _>>()
                })
            };
            let correlation = rule.get("correlation");
            let group_by = match (correlation.and_then(&mut fields), fields(rule)) {
                (Some(by), _) | (None, Some(by)) => GroupBy::Fields(by?),
                (None, None) if correlation.is_some() => GroupBy::Fields(Vec::new()),
                (None, None) => GroupBy::ClientIp(intern("client.ip")?),
            };
            let correlation = match correlation {
                None => None,
                Some(table) => {
                    let timespan_text =
                        table.get("timespan").and_then(toml::Value::as_str).unwrap_or("1m");
                    let gte = table.get("gte").and_then(toml::Value::as_integer).unwrap_or(1);
                    Some(Correlation {
                        kind: match table.get("field").and_then(toml::Value::as_str) {
                            None => Kind::EventCount,
                            Some(field) => Kind::ValueCount(intern(field)?),
                        },
                        timespan: duration::parse(timespan_text)
                            .ok_or_else(|| fault("timespan".into()))?,
                        timespan_text: timespan_text.to_owned(),
                        gte: u32::try_from(gte)
                            .ok()
                            .and_then(NonZeroU32::new)
                            .unwrap_or(NonZeroU32::MIN),
                    })
                }
            };
            rules.push(Rule {
                id: text("id").unwrap_or_default().to_owned(),
                title: text("title").or(text("id")).unwrap_or_default().to_owned(),
                level: text("level").and_then(Level::named).unwrap_or(Level::Medium),
                file: file.clone(),
                line: 1,
                tags: Vec::new(),
                labels: Default::default(),
                annotations: Default::default(),
                group_by,
                ipv6_prefix: 64,
                cooldown: text("cooldown").and_then(duration::parse).unwrap_or(Span::seconds(300)),
                correlation,
                digest: 0,
                conditions,
            });
        }
    }
    Ok(RuleSet { rules, sources: Vec::new(), names, digest: String::new() })
}
