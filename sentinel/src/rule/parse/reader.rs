//! Typed access to the TOML of one file: what is not as it must be becomes a fault with its place.

use std::ops::{Range, RangeInclusive};

use toml::{
    Spanned,
    de::{DeString, DeTable, DeValue},
};

use crate::{
    record::{FieldId, Names},
    rule::{Fault, Severity, duration},
    time::Span,
};

pub(super) type Key<'t> = Spanned<DeString<'t>>;
pub(super) type Node<'t> = Spanned<DeValue<'t>>;

/// Words of other tools, and ours.
const SYNONYMS: [(&str, &str); 12] = [
    ("severity", "level"),
    ("priority", "level"),
    ("name", "id"),
    ("description", "title"),
    ("condition", "match"),
    ("regex", "re"),
    ("throttle", "cooldown"),
    ("threshold", "gte"),
    ("count", "gte"),
    ("window", "timespan"),
    ("within", "timespan"),
    ("unless", "except"),
];

/// One file while it is read.
pub(super) struct Reader<'t, 'n> {
    pub(super) file: &'t str,
    pub(super) text: &'t str,
    pub(super) names: &'n mut Names,
    /// Lines on which the TOML itself is faulty.
    broken: Vec<u32>,
    faults: Vec<Fault>,
}

impl<'t, 'n> Reader<'t, 'n> {
    pub(super) fn new(file: &'t str, text: &'t str, names: &'n mut Names) -> Self {
        Self { file, text, names, broken: Vec::new(), faults: Vec::new() }
    }

    /// The faults of the file, in the order of their places.
    pub(super) fn into_faults(self) -> Vec<Fault> {
        let mut faults = self.faults;
        faults.sort_by_key(|fault| (fault.line, fault.column));
        faults
    }

    pub(super) fn errors(&self) -> usize {
        self.faults.iter().filter(|fault| fault.severity == Severity::Error).count()
    }

    pub(super) fn error(
        &mut self,
        span: Range<usize>,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        self.push(Severity::Error, span, message.into(), help.into());
    }

    pub(super) fn warn(
        &mut self,
        span: Range<usize>,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        self.push(Severity::Warning, span, message.into(), help.into());
    }

    /// What no TOML is. One slip makes several errors on its line: the first says it.
    pub(super) fn no_toml(&mut self, span: Range<usize>, message: &str, help: &str) {
        self.push(Severity::Error, span.clone(), message.to_owned(), help.to_owned());
        self.broken.push(u32::try_from(self.line(span.start)).unwrap_or(u32::MAX));
    }

    fn push(&mut self, severity: Severity, span: Range<usize>, message: String, help: String) {
        let fault = Fault::new(severity, (self.file, self.text), span, message, help);
        if !self.broken.contains(&fault.line) {
            self.faults.push(fault);
        }
    }

    /// A key that must be there is not; where the TOML is faulty, it may stand in what was not
    /// understood.
    pub(super) fn missing(&mut self, section: Range<usize>, message: String, help: &str) {
        if self.broken.is_empty() {
            self.error(section, message, help);
        }
    }

    /// A key that nobody knows.
    pub(super) fn unknown(&mut self, key: &Key<'_>, owner: &str, known: &[&'static str]) {
        let help = suggestion(key.get_ref(), known);
        self.error(key.span(), format!("unknown key `{}` in {owner}", key.get_ref()), help);
    }

    /// The line, from 1, that a byte stands in.
    pub(super) fn line(&self, at: usize) -> usize {
        let before = self.text.as_bytes().get(..at).unwrap_or_default();
        memchr::memchr_iter(b'\n', before).count() + 1
    }

    pub(super) fn written(&self, span: Range<usize>) -> &'t str {
        self.text.get(span).unwrap_or_default()
    }

    /// Whether a table was begun by a header, `[rule.match]`: then keys after it are its own.
    pub(super) fn has_header(&self, table: &Node<'_>) -> bool {
        self.written(table.span()).starts_with('[')
    }

    /// Whether a key was written with a bare dot after it: `url.path`.
    pub(super) fn has_dot(&self, key: &Key<'_>) -> bool {
        let rest = self.text.get(key.span().end..).unwrap_or_default();
        rest.trim_start_matches([' ', '\t']).starts_with('.')
    }

    /// The place of a part of a text, where the file holds the text as it is.
    pub(super) fn part(&self, node: &Node<'_>, part: Range<usize>) -> Range<usize> {
        let whole = node.span();
        let written = self.written(whole.clone());
        let opened = match written {
            multi if multi.starts_with("'''\n") => 4,
            multi if multi.starts_with("'''") => 3,
            plain if plain.starts_with('\'') => 1,
            plain if plain.starts_with('"') && !plain.starts_with("\"\"\"") => {
                if plain.contains('\\') {
                    return whole;
                }
                1
            }
            _ => return whole,
        };
        whole.start + opened + part.start..whole.start + opened + part.end
    }

    pub(super) fn wrong_type(&mut self, what: &str, node: &Node<'_>, wanted: &str) {
        let found = match node.get_ref() {
            DeValue::String(_) => "text",
            DeValue::Integer(_) | DeValue::Float(_) => "a number",
            DeValue::Boolean(_) => "true or false",
            DeValue::Datetime(_) => "a date",
            DeValue::Array(_) => "a list",
            DeValue::Table(_) => "a table",
        };
        self.error(node.span(), format!("`{what}` must be {wanted}, found {found}"), "");
    }

    pub(super) fn text<'a>(&mut self, what: &str, node: &'a Node<'_>) -> Option<&'a str> {
        let text = node.get_ref().as_str();
        if text.is_none() {
            self.wrong_type(what, node, "text");
        }
        text
    }

    /// One text, or a list of them; each with its node.
    pub(super) fn texts<'a, 'v>(
        &mut self,
        what: &str,
        node: &'a Node<'v>,
    ) -> Option<Vec<(&'a str, &'a Node<'v>)>> {
        let errors = self.errors();
        let mut texts = Vec::new();
        for node in self.one_or_many(node) {
            match node.get_ref().as_str() {
                Some(text) => texts.push((text, node)),
                None => self.wrong_type(what, node, "text or a list of texts"),
            }
        }
        (self.errors() == errors).then_some(texts)
    }

    /// The elements of a list; what is none, by itself.
    pub(super) fn one_or_many<'a, 'v>(&self, node: &'a Node<'v>) -> Vec<&'a Node<'v>> {
        match node.get_ref() {
            DeValue::Array(elements) => elements.iter().collect(),
            _ => vec![node],
        }
    }

    pub(super) fn integer(
        &mut self,
        what: &str,
        node: &Node<'_>,
        bounds: RangeInclusive<i64>,
    ) -> Option<i64> {
        let Some(integer) = node.get_ref().as_integer() else {
            self.wrong_type(what, node, "a whole number");
            return None;
        };
        let read = i64::from_str_radix(integer.as_str(), integer.radix());
        let read = read.ok().filter(|read| bounds.contains(read));
        if read.is_none() {
            let (lowest, highest) = bounds.into_inner();
            self.error(node.span(), format!("`{what}` must be from {lowest} to {highest}"), "");
        }
        read
    }

    /// A number to compare with.
    pub(super) fn number(&mut self, what: &str, node: &Node<'_>) -> Option<f64> {
        let read = match node.get_ref() {
            DeValue::Integer(integer) => i64::from_str_radix(integer.as_str(), integer.radix())
                .ok()
                .and_then(|integer| integer.to_string().parse().ok()),
            DeValue::Float(float) => float.as_str().parse().ok(),
            _ => None,
        };
        let read = read.filter(|read: &f64| read.is_finite());
        if read.is_none() {
            self.wrong_type(what, node, "a number");
        }
        read
    }

    pub(super) fn boolean(&mut self, what: &str, node: &Node<'_>) -> Option<bool> {
        let boolean = node.get_ref().as_bool();
        if boolean.is_none() {
            self.wrong_type(what, node, "true or false");
        }
        boolean
    }

    pub(super) fn duration(
        &mut self,
        what: &str,
        node: &Node<'_>,
        (shortest, longest): (&str, &str),
    ) -> Option<Span> {
        const EXAMPLE: &str = "a duration is text like \"90s\", \"5m\" or \"1h30m\"";
        let Some(text) = node.get_ref().as_str() else {
            self.wrong_type(what, node, "a duration");
            return None;
        };
        let Some(span) = duration::parse(text) else {
            self.error(node.span(), format!("`{what}` is no duration"), EXAMPLE);
            return None;
        };
        let bounds = duration::parse(shortest)..=duration::parse(longest);
        if !bounds.contains(&Some(span)) {
            self.error(node.span(), format!("`{what}` must be from {shortest} to {longest}"), "");
            return None;
        }
        Some(span)
    }

    pub(super) fn table<'a, 'v>(
        &mut self,
        what: &str,
        node: &'a Node<'v>,
    ) -> Option<&'a DeTable<'v>> {
        let table = node.get_ref().as_table();
        if table.is_none() {
            self.wrong_type(what, node, "a table");
        }
        table
    }

    /// Tables under headers in double brackets.
    pub(super) fn tables<'a, 'v>(
        &mut self,
        header: &str,
        node: &'a Node<'v>,
    ) -> Vec<(&'a DeTable<'v>, &'a Node<'v>)> {
        let DeValue::Array(elements) = node.get_ref() else {
            let help = format!("there may be several: write [[{header}]]");
            self.error(node.span(), format!("`{header}` must be a list of tables"), help);
            return Vec::new();
        };
        let mut tables = Vec::new();
        for element in elements {
            match element.get_ref() {
                DeValue::Table(table) => tables.push((table, element)),
                _ => self.wrong_type(header, element, "a table"),
            }
        }
        tables
    }

    /// A name as rules and sources have them.
    pub(super) fn name<'a>(&mut self, what: &str, node: &'a Node<'_>) -> Option<&'a str> {
        const NAME_CHARS_MAX: usize = 128;
        let text = self.text(what, node)?;
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_.".contains(c);
        if text.is_empty() || text.len() > NAME_CHARS_MAX || !text.chars().all(plain) {
            let message =
                format!("`{what}` must be 1 to {NAME_CHARS_MAX} of a-z, 0-9, `-`, `_`, `.`");
            self.error(node.span(), message, "");
            return None;
        }
        Some(text)
    }

    pub(super) fn intern(&mut self, name: &str, span: Range<usize>) -> Option<FieldId> {
        match self.names.intern(name) {
            Ok(id) => Some(id),
            Err(error) => {
                self.error(span, error.to_string(), "");
                None
            }
        }
    }
}

/// ``did you mean `level`?``, or nothing.
pub(super) fn suggestion(word: &str, known: &[&str]) -> String {
    let synonym = SYNONYMS.iter().find(|(theirs, ours)| *theirs == word && known.contains(ours));
    let nearest = known
        .iter()
        .map(|known| (strsim::damerau_levenshtein(word, known), known))
        .filter(|(distance, known)| *distance <= 1 + known.len() / 5)
        .min();
    match synonym.map(|(_, ours)| ours).or_else(|| nearest.map(|(_, known)| known)) {
        Some(meant) => format!("did you mean `{meant}`?"),
        None => String::new(),
    }
}
