//! The texts of rule files → a rule set, or all faults.
//!
//! Read by hand from TOML with places, not by serde, which stops at the first fault.

use std::{collections::HashMap, ops::Range};

use sha2::{Digest, Sha256};
use toml::de::DeTable;

use super::{Fault, RuleSet, Severity, Source};
use crate::{matching::Matching, record::Names};

mod condition;
mod correlation;
mod meaning;
mod message;
mod reader;
mod rule;
mod source;

use reader::{Reader, suggestion};
use rule::RULE_KEYS;

/// The version of the rule language.
const VERSION: i64 = 1;

const FILE_KEYS: [&str; 1] = ["version"];
const TOP_KEYS: [&str; 3] = ["version", "source", "rule"];

/// A file as read.
struct File<'t> {
    name: &'t str,
    text: &'t str,
    rules: Vec<rule::Read>,
    sources: Vec<(Source, Range<usize>)>,
    /// How many sources the file declares, the faulty ones too.
    declared: usize,
    faults: Vec<Fault>,
}

pub(super) fn parse(files: &[(String, String)]) -> (Option<RuleSet>, Vec<Fault>) {
    let mut names = Names::default();
    let mut files: Vec<_> = files.iter().map(|(name, text)| file(name, text, &mut names)).collect();
    check_sources(&mut files);
    check_rules(&mut files);
    let digest = digest(files.iter().map(|file| file.text));
    let mut faults = Vec::new();
    let mut rules = Vec::new();
    let mut matchers = Vec::new();
    let mut sources = Vec::new();
    for file in files {
        let mut of_file = file.faults;
        of_file.sort_by_key(|fault| (fault.line, fault.column));
        faults.extend(of_file);
        for read in file.rules {
            rules.push(read.rule);
            matchers.push(read.matcher);
        }
        sources.extend(file.sources.into_iter().map(|(source, _)| source));
    }
    if faults.iter().any(|fault| fault.severity == Severity::Error) {
        return (None, faults);
    }
    match Matching::new(matchers, &mut names) {
        Ok(matching) => (Some(RuleSet { rules, sources, names, digest, matching }), faults),
        Err(error) => (None, vec![Fault::of_file("", error.to_string())]),
    }
}

fn file<'t>(name: &'t str, text: &'t str, names: &mut Names) -> File<'t> {
    let mut reader = Reader::new(name, text, names);
    let (table, errors) = DeTable::parse_recoverable(text);
    for error in errors {
        let help = if error.message().contains("escape") {
            "in double quotes a backslash begins an escape: write '...' for a regular expression"
        } else {
            ""
        };
        reader.no_toml(error.span().unwrap_or(0..0), error.message(), help);
    }
    let mut rules = Vec::new();
    let mut sources = Vec::new();
    let mut declared = 0;
    if !table.get_ref().contains_key("version") {
        let help = "the first line of a rule file is `version = 1`";
        reader.missing(0..0, "this file lacks `version`".to_owned(), help);
    }
    for (key, node) in table.get_ref() {
        match key.get_ref().as_ref() {
            "version" => {
                let read = node.get_ref().as_integer().map(|version| version.as_str());
                if read != Some("1") {
                    let message = format!("`version` must be {VERSION}, the only one there is");
                    reader.error(node.span(), message, "");
                }
            }
            "source" => {
                for (table, node) in reader.tables("source", node) {
                    declared += 1;
                    sources.extend(reader.source(table, node).map(|source| (source, node.span())));
                }
            }
            "rule" => {
                for (table, node) in reader.tables("rule", node) {
                    rules.extend(reader.rule(table, node));
                }
            }
            name if RULE_KEYS.contains(&name) => {
                let message = format!("`{name}` belongs to a rule");
                reader.error(key.span(), message, "write [[rule]] on a line above it");
            }
            _ => reader.unknown(key, "a rule file", &TOP_KEYS),
        }
    }
    File { name, text, rules, sources, declared, faults: reader.into_faults() }
}

fn check_sources(files: &mut [File<'_>]) {
    let mut known: HashMap<String, String> = HashMap::new();
    for file in &mut *files {
        for (source, span) in &file.sources {
            let fault = |message: String, help: &str| {
                Fault::new(Severity::Error, (file.name, file.text), span.clone(), message, help)
            };
            let place = format!("{}:{}", file.name, fault(String::new(), "").line);
            if let Some(first) = known.get(&source.name) {
                let message = format!("source `{}` is declared at {first}", source.name);
                file.faults.push(fault(message, "one source may have several paths"));
            } else {
                known.insert(source.name.clone(), place);
            }
        }
    }
    let faulty = files.iter().any(|file| file.declared != file.sources.len());
    if known.is_empty() || faulty {
        // None declared: each *.log is a source, and which there are shows only in the directory.
        return;
    }
    let names: Vec<&str> = known.keys().map(String::as_str).collect();
    for file in files {
        for (name, span) in file.rules.iter().flat_map(|read| &read.sources) {
            if !known.contains_key(name) {
                let message = format!("no source is named `{name}`");
                let help = suggestion(name, &names);
                let place = (file.name, file.text);
                file.faults.push(Fault::new(Severity::Error, place, span.clone(), message, help));
            }
        }
    }
}

fn check_rules(files: &mut [File<'_>]) {
    let mut ids: HashMap<String, String> = HashMap::new();
    let mut meanings: HashMap<String, String> = HashMap::new();
    let mut count = 0;
    for file in &mut *files {
        for read in &file.rules {
            let rule = &read.rule;
            count += 1;
            let place = format!("{}:{}", rule.file, rule.line);
            let fault = |severity, message, help| {
                let text = (file.name, file.text);
                Fault::new(severity, text, read.id_span.clone(), message, help)
            };
            if let Some(first) = ids.get(&rule.id) {
                let message = format!("rule id `{}` is taken: {first}", rule.id);
                file.faults.push(fault(Severity::Error, message, "each rule has an id of its own"));
            } else if let Some(first) = meanings.get(&rule.meaning) {
                let message = format!("rule `{}` does what {first} does", rule.id);
                file.faults.push(fault(
                    Severity::Warning,
                    message,
                    "both raise an alert each time",
                ));
            }
            meanings
                .entry(rule.meaning.clone())
                .or_insert_with(|| format!("`{}` ({place})", rule.id));
            ids.entry(rule.id.clone()).or_insert(place);
        }
    }
    let faultless = files.iter().all(|file| file.faults.is_empty());
    if let (0, true, Some(file)) = (count, faultless, files.first_mut()) {
        file.faults.push(Fault::of_file(file.name, "no rule: a rule begins with [[rule]]"));
    }
}

fn digest<'t>(texts: impl Iterator<Item = &'t str>) -> String {
    let mut hash = Sha256::new();
    for text in texts {
        // With its length, so that moving a line from one file to the next shows.
        hash.update(text.len().to_le_bytes());
        hash.update(text);
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}
