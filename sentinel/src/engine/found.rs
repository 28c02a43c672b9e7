//! A match: its group, and the line that it came from.

use std::{borrow::Cow, hash::Hasher as _, net::Ipv6Addr};

use siphasher::sip128::{Hasher128 as _, SipHasher13};

use crate::{
    alert,
    line::Line,
    rule::{Fields, GroupBy, Rule, RuleSet},
    time::Timestamp,
    window::{Hit, Place},
};

/// When a line happened.
#[derive(Debug, Clone, Copy)]
pub(super) struct When {
    pub(super) at: Timestamp,
    pub(super) late: bool,
}

/// A match and all that is known of it.
pub(super) struct Found<'a> {
    pub(super) rule: &'a Rule,
    pub(super) rules: &'a RuleSet,
    pub(super) fields: &'a dyn Fields,
    pub(super) time: When,
    pub(super) line: &'a Line<'a>,
    pub(super) file: u32,
}

pub(super) struct Trip {
    pub(super) hits: Vec<Hit>,
    pub(super) folded: u64,
}

impl Found<'_> {
    pub(super) fn hit(&self, value: u64, keep_text: bool) -> Hit {
        let (text, truncated) = if keep_text {
            let (text, cut) = alert::excerpt(&self.line.bytes);
            (Some(text), cut || self.line.unmatched.is_some())
        } else {
            (None, true)
        };
        let line = Place { file: self.file, offset: self.line.offset, text, truncated };
        Hit { time: self.time.at, value, line }
    }

    /// The fields that make its group, and their values. A value that is missing is empty: nobody
    /// leaves a group by breaking a line.
    pub(super) fn group(&self) -> Vec<(&str, Cow<'_, str>)> {
        let value = |id| match self.fields.field(id) {
            Some(value) => folded(value, self.rule.ipv6_prefix),
            None => Cow::Borrowed(""),
        };
        match &self.rule.group_by {
            GroupBy::Fields(fields) => {
                fields.iter().map(|id| (self.rules.names.name(*id), value(*id))).collect()
            }
            GroupBy::ClientIp(id) if self.fields.field(*id).is_some() => {
                vec![(self.rules.names.name(*id), value(*id))]
            }
            GroupBy::ClientIp(_) => Vec::new(),
        }
    }
}

/// An IPv6 address stands for its network: who has one address has all of its /64.
fn folded(value: Cow<'_, str>, prefix: u8) -> Cow<'_, str> {
    if prefix >= 128 || !value.contains(':') {
        return value;
    }
    match value.parse::<Ipv6Addr>() {
        Ok(address) => match address.to_ipv4_mapped() {
            Some(v4) => Cow::Owned(v4.to_string()),
            None => {
                let kept = u128::MAX.checked_shl(128 - u32::from(prefix)).unwrap_or(0);
                let network = Ipv6Addr::from(u128::from(address) & kept);
                Cow::Owned(format!("{network}/{prefix}"))
            }
        },
        Err(_) => value,
    }
}

/// SipHash-1-3 keyed by the installation, so that nobody outside can make two groups meet.
pub(super) fn hash<'a>(install: u128, values: impl Iterator<Item = &'a str>) -> u128 {
    let mut hasher = SipHasher13::new_with_key(&install.to_le_bytes());
    for value in values {
        hasher.write_usize(value.len());
        hasher.write(value.as_bytes());
    }
    hasher.finish128().as_u128()
}
