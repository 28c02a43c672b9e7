//! What a rule asks of one field, and whether the field's values answer it.

use std::{borrow::Cow, net::IpAddr};

use aho_corasick::AhoCorasick;
use ipnet::IpNet;
use serde::Serialize;

use super::{
    literal::{self, Literals},
    number,
    pattern::{Pattern, Patterns},
    url,
    values::Values,
};
use crate::{
    decode::{ENCODING_ERROR, PARSE_ERROR},
    record::FieldId,
};

/// A field and what its value must be.
#[derive(Debug, Serialize)]
pub(crate) struct Condition {
    /// Its name.
    pub(crate) name: String,
    #[serde(skip)]
    pub(crate) field: FieldId,
    pub(crate) wanted: Wanted,
    /// Upper and lower case differ.
    pub(crate) cased: bool,
    /// The value is looked at as written, and percent-decoded once and twice.
    pub(crate) url: bool,
}

#[derive(Debug, Serialize)]
pub(crate) enum Wanted {
    /// The field is there, or it is not.
    Exists(bool),
    /// One value passes all of these.
    Tests(Vec<Test>),
}

/// An operator with its operands: of a list, one must fit.
#[derive(Debug, Serialize)]
pub(crate) enum Test {
    Equal(Equal),
    Contains(Contains),
    StartsWith(Vec<String>),
    EndsWith(Vec<String>),
    Re(Patterns),
    Cidr(Vec<IpNet>),
    Gt(f64),
    Gte(f64),
    Lt(f64),
    Lte(f64),
}

/// Texts (`true` and `false` among them), and numbers, which compare as numbers.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Equal {
    pub(crate) texts: Vec<String>,
    pub(crate) numbers: Vec<String>,
}

#[derive(Debug, Serialize)]
pub(crate) struct Contains {
    texts: Vec<String>,
    #[serde(skip)]
    finder: AhoCorasick,
}

impl Contains {
    pub(crate) fn new(texts: Vec<String>) -> Result<Self, aho_corasick::BuildError> {
        let finder = AhoCorasick::new(&texts)?;
        Ok(Self { texts, finder })
    }
}

/// Lower case, character by character: what a text is alone and inside another must be the same.
pub(crate) fn folded(text: &str) -> Cow<'_, str> {
    if text.is_ascii() {
        if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return Cow::Owned(text.to_ascii_lowercase());
        }
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.chars().flat_map(char::to_lowercase).collect())
}

impl Condition {
    /// Whether the condition holds; captures of the value that it holds for are added if so.
    pub(super) fn holds(
        &self,
        values: &Values<'_, '_>,
        captured: &mut Vec<(FieldId, String)>,
    ) -> bool {
        let tests = match &self.wanted {
            Wanted::Exists(exists) => return values.any(self.field, |_| true) == *exists,
            Wanted::Tests(tests) => tests,
        };
        if self.url && self.field == values.line.id {
            return values.line_variants().iter().any(|text| self.passes(tests, text, captured));
        }
        values.any(self.field, |text| {
            if !self.url {
                return self.passes(tests, text, captured);
            }
            url::variants(Cow::Borrowed(text)).iter().any(|text| self.passes(tests, text, captured))
        })
    }

    fn passes(&self, tests: &[Test], text: &str, captured: &mut Vec<(FieldId, String)>) -> bool {
        let before = captured.len();
        let folded = if self.cased { Cow::Borrowed(text) } else { folded(text) };
        let passes = tests.iter().all(|test| test.passes(text, &folded, captured));
        if !passes {
            captured.truncate(before);
        }
        passes
    }

    /// Whether one text passes, for the prefilter: captures are of no interest. None may be any.
    pub(super) fn fits(&self, text: Option<&str>) -> bool {
        match (&self.wanted, text) {
            (Wanted::Tests(tests), Some(text)) => self.passes(tests, text, &mut Vec::new()),
            _ => true,
        }
    }

    /// Literals of which one stands in the raw line wherever this holds.
    pub(super) fn literals(&self) -> Option<Literals> {
        let Wanted::Tests(tests) = &self.wanted else { return None };
        if self.is_made() {
            return None;
        }
        let best = tests.iter().map(Test::literals).fold(None, literal::better)?;
        if self.url { best.encoded() } else { Some(best) }
    }

    /// Whether the field's value is made by the decoder and need not stand in the line.
    fn is_made(&self) -> bool {
        ["@timestamp", PARSE_ERROR, ENCODING_ERROR].contains(&&*self.name)
    }

    /// Whether the value as written tells, so that a look at the raw line may do.
    pub(super) fn is_plain(&self) -> bool {
        let tests = matches!(&self.wanted, Wanted::Tests(_));
        tests && !self.url && !self.is_made() && self.name != "line"
    }

    pub(crate) fn patterns(&self) -> impl Iterator<Item = &Pattern> + Clone {
        let tests = match &self.wanted {
            Wanted::Tests(tests) => tests.as_slice(),
            Wanted::Exists(_) => &[],
        };
        tests.iter().flat_map(|test| match test {
            Test::Re(patterns) => patterns.iter(),
            _ => [].iter(),
        })
    }
}

impl Test {
    fn passes(&self, text: &str, folded: &str, captured: &mut Vec<(FieldId, String)>) -> bool {
        match self {
            Self::Equal(Equal { texts, numbers }) => {
                texts.iter().any(|wanted| wanted == folded)
                    || numbers.iter().any(|wanted| wanted == text || number::same(text, wanted))
            }
            Self::Contains(Contains { finder, .. }) => finder.is_match(folded),
            Self::StartsWith(texts) => texts.iter().any(|wanted| folded.starts_with(wanted)),
            Self::EndsWith(texts) => texts.iter().any(|wanted| folded.ends_with(wanted)),
            Self::Re(patterns) => patterns.find(text, captured),
            Self::Cidr(nets) => text.parse::<IpAddr>().is_ok_and(|address| {
                // An IPv4 address in IPv6 clothes is that IPv4 address.
                let address = address.to_canonical();
                nets.iter().any(|net| net.contains(&address))
            }),
            Self::Gt(bound) => number::value(text).is_some_and(|value| value > *bound),
            Self::Gte(bound) => number::value(text).is_some_and(|value| value >= *bound),
            Self::Lt(bound) => number::value(text).is_some_and(|value| value < *bound),
            Self::Lte(bound) => number::value(text).is_some_and(|value| value <= *bound),
        }
    }

    fn literals(&self) -> Option<Literals> {
        let texts = match self {
            Self::Equal(Equal { texts, numbers }) if numbers.is_empty() => texts,
            Self::Contains(Contains { texts, .. })
            | Self::StartsWith(texts)
            | Self::EndsWith(texts) => texts,
            Self::Re(patterns) => {
                let each: Option<Vec<_>> =
                    patterns.iter().map(|pattern| pattern.literals().cloned()).collect();
                return each.and_then(Literals::union);
            }
            _ => return None,
        };
        Literals::of_texts(texts.iter().map(String::as_str))
    }
}
