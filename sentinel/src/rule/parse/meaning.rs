//! A rule → what it does, so that an edit that changes nothing of it costs no state.

use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::{
    matching::{Condition, Matcher},
    record::{FieldId, Names},
    rule::{GroupBy, Kind, Rule},
};

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

/// In words that are equal for rules that do the same.
pub(super) fn of(rule: &Rule, matcher: &Matcher, names: &Names) -> String {
    let name = |id: FieldId| names.name(id);
    let meaning = Meaning {
        source: &rule.sources,
        matches: &matcher.matches,
        except: &matcher.except,
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

/// Of what it does and its name.
pub(super) fn digest(rule: &Rule) -> u128 {
    let hash = Sha256::digest(format!("{}\n{}", rule.id, rule.meaning));
    hash.iter().take(16).fold(0, |digest, byte| digest << 8 | u128::from(*byte))
}
