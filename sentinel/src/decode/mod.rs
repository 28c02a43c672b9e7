//! A line → the fields that rules name.

use crate::record::{Names, Record};

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
}

/// Reads the fields of a line that `names` holds.
pub fn decode<'l>(_format: Format, line: &'l str, names: &Names) -> Record<'l> {
    use crate::record::Value;
    let mut record = Record::new(line, names);
    if let Ok(serde_json::Value::Object(object)) = serde_json::from_str(line) {
        for (key, value) in object {
            let Some(id) = names.find(&key) else { continue };
            match value {
                serde_json::Value::String(text) => record.set(id, Value::Text(text.into())),
                serde_json::Value::Bool(bool) => record.set(id, Value::Bool(bool)),
                serde_json::Value::Number(number) => record.set(
                    id,
                    Value::Number(number.to_string().into(), number.as_f64().unwrap_or(0.0)),
                ),
                _ => {}
            }
        }
    }
    record
}
