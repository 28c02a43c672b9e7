//! A line → the fields that rules name.

use crate::record::{FieldId, Names, Record};

mod clf;
mod fixed;
mod json;
mod stamp;

pub(crate) use stamp::Stamp;

/// True in a record whose line is not what its source's format says, or JSON that is broken.
pub const PARSE_ERROR: &str = "parse_error";

/// True in a record whose line is not UTF-8.
pub const ENCODING_ERROR: &str = "encoding_error";

/// How the lines of a source are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// Each line by its own shape: JSON, an access log, else text. So mixed files work, and
    /// nobody has a state to lose.
    Auto,
    /// A JSON object per line.
    Json,
    /// Access logs of nginx and Apache, with referrer and user agent.
    Combined,
    /// The same without the two.
    Common,
    /// Nothing but the line.
    Text,
}

impl Format {
    /// Every format with its name in a rule file.
    pub const ALL: [(&'static str, Self); 5] = [
        ("auto", Self::Auto),
        ("json", Self::Json),
        ("combined", Self::Combined),
        ("common", Self::Common),
        ("text", Self::Text),
    ];

    /// Its name in a rule file.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, format)| *format == self).map_or("", |(name, _)| name)
    }

    /// What [`Auto`](Self::Auto) takes a line for.
    pub fn of(self, line: &[u8]) -> Self {
        match self {
            Self::Auto if looks_like_json(line) => Self::Json,
            Self::Auto if clf::time(line).is_some() => Self::Combined,
            Self::Auto => Self::Text,
            told => told,
        }
    }
}

pub(crate) fn looks_like_json(line: &[u8]) -> bool {
    line.trim_ascii_start().first() == Some(&b'{')
}

/// Reads lines for one rule set.
#[derive(Debug, Default)]
pub(crate) struct Decoder {
    clf: clf::Slots,
    parse_error: Option<FieldId>,
    encoding_error: Option<FieldId>,
}

impl Decoder {
    pub(crate) fn new(names: &Names) -> Self {
        Self {
            clf: clf::Slots::new(names),
            parse_error: names.find(PARSE_ERROR),
            encoding_error: names.find(ENCODING_ERROR),
        }
    }

    /// The record of a line: what can be read of it, whatever it is; and whether it is what its
    /// format says. `mended`: it was not UTF-8.
    pub(crate) fn decode<'l>(
        &self,
        format: Format,
        line: &'l str,
        mended: bool,
        names: &Names,
    ) -> (Record<'l>, bool) {
        let mut record = Record::new(line, names);
        let whole = match format {
            Format::Auto if looks_like_json(line.as_bytes()) => {
                json::read(line, names, &mut record).is_ok()
            }
            Format::Auto => {
                clf::read(line, &self.clf, &mut record);
                true
            }
            Format::Json => json::read(line, names, &mut record).is_ok(),
            Format::Combined | Format::Common => clf::read(line, &self.clf, &mut record),
            Format::Text => true,
        };
        if let (Some(id), false) = (self.parse_error, whole) {
            record.set(id, "true");
        }
        if let (Some(id), true) = (self.encoding_error, mended) {
            record.set(id, "true");
        }
        (record, whole)
    }
}
