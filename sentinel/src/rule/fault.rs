//! A fault of a rule file, with its place: what a person reads before mending it.

use std::{fmt, ops::Range};

use serde::Serialize;

/// Whether a rule set can live with a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The set is refused.
    Error,
    /// The set runs; it may not do what was meant.
    Warning,
}

/// Something wrong at one place of one file.
///
/// Displayed as compilers do: place and message, the line, and a caret under the words that are
/// meant, with a suggestion where there is one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// Error or warning.
    pub severity: Severity,
    /// The file, as given.
    pub file: String,
    /// Line of the first byte that is meant, from 1.
    pub line: u32,
    /// Its column in characters, from 1.
    pub column: u32,
    /// What is wrong.
    pub message: String,
    /// What to do, under the caret; may be empty.
    pub help: String,
    /// The text of the line.
    #[serde(skip)]
    excerpt: String,
    /// How many characters of it are meant.
    #[serde(skip)]
    width: usize,
}

impl Fault {
    /// A fault at a span of bytes of `text`, which is the content of `file`.
    pub fn new(
        severity: Severity,
        (file, text): (&str, &str),
        span: Range<usize>,
        message: impl Into<String>,
        help: impl Into<String>,
    ) -> Self {
        let before = text.get(..span.start.min(text.len())).unwrap_or(text);
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        let lead = before.get(line_start..).unwrap_or_default();
        let rest = text.get(line_start..).unwrap_or_default();
        let excerpt = rest.lines().next().unwrap_or_default();
        let meant = text.get(span).and_then(|meant| meant.lines().next()).unwrap_or_default();
        Self {
            severity,
            file: file.to_owned(),
            line: count(before.matches('\n').count() + 1),
            column: count(lead.chars().count() + 1),
            message: message.into(),
            help: help.into(),
            excerpt: excerpt.to_owned(),
            width: meant.chars().count().max(1),
        }
    }

    /// A fault of a file as a whole.
    pub fn of_file(file: &str, message: impl Into<String>) -> Self {
        Self::new(Severity::Error, (file, ""), 0..0, message, "")
    }
}

fn count(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// Characters of a line that are shown before the ones that are meant, and after their beginning.
const EXCERPT_CHARS: (usize, usize) = (40, 80);

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        write!(f, "{}:{}:{}: {severity}: {}", self.file, self.line, self.column, self.message)?;
        if self.excerpt.is_empty() {
            return Ok(());
        }
        let number = self.line.to_string();
        let gutter = " ".repeat(number.len());
        let lead = usize::try_from(self.column).unwrap_or(1).saturating_sub(1);
        let from =
            if lead > EXCERPT_CHARS.0 + EXCERPT_CHARS.1 { lead - EXCERPT_CHARS.0 } else { 0 };
        let to = lead + EXCERPT_CHARS.1;
        let shown = |c: char| if c.is_control() && c != '\t' { '\u{fffd}' } else { c };
        let excerpt: String = self.excerpt.chars().map(shown).skip(from).take(to - from).collect();
        let (cut_before, cut_after) = (
            if from > 0 { "…" } else { "" },
            if self.excerpt.chars().nth(to).is_some() { "…" } else { "" },
        );
        // A tab stays a tab, so that the caret stands where the eye sees the word.
        let blank = |c: char| if c == '\t' { c } else { ' ' };
        let indent: String =
            cut_before.chars().chain(excerpt.chars().take(lead - from)).map(blank).collect();
        let carets = "^".repeat(self.width.min(to - lead));
        write!(
            f,
            "\n{gutter} |\n{number} | {cut_before}{excerpt}{cut_after}\n{gutter} | {indent}{carets}"
        )?;
        if !self.help.is_empty() {
            write!(f, " {}", self.help)?;
        }
        Ok(())
    }
}
