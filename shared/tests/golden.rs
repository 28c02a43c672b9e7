//! Golden lines in both directions: what is written reads back as the same value, and what is read
//! writes the same JSON. Compared as values, since the order of keys is no part of the contract.

use std::fmt::Debug;

use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use shared::{Alert, Record};

#[track_caller]
fn check<T: Serialize + DeserializeOwned + PartialEq + Debug>(lines: &str) {
    for line in lines.lines() {
        let written: Value = serde_json::from_str(line).unwrap();
        let read: T = serde_json::from_str(line).unwrap();
        assert_eq!(serde_json::to_value(&read).unwrap(), written);
        let again: T = serde_json::from_str(&serde_json::to_string(&read).unwrap()).unwrap();
        assert_eq!(again, read);
    }
}

#[test]
fn records_read_and_write_the_golden_lines() {
    check::<Record>(include_str!("golden/records.jsonl"));
}

#[test]
fn alerts_read_and_write_the_golden_lines() {
    check::<Alert>(include_str!("golden/alerts.jsonl"));
}

#[test]
fn a_record_keeps_what_it_does_not_know() {
    let line = include_str!("golden/records.jsonl").lines().next().unwrap();
    let newer = line.replacen('{', r#"{"cloud.region":"north","weights":[1,-2,0.5,null],"#, 1);
    let record: Record = serde_json::from_str(&newer).unwrap();
    assert_eq!(record.other["cloud.region"], shared::record::Value::Text("north".into()));
    check::<Record>(&newer);
}

#[test]
fn an_alert_of_a_newer_sentinel_is_still_read() {
    let line = include_str!("golden/alerts.jsonl").lines().next().unwrap();
    let newer = line.replacen('{', r#"{"silenced_by":["maintenance"],"#, 1);
    let alert: Alert = serde_json::from_str(&newer).unwrap();
    assert_eq!(alert, serde_json::from_str(line).unwrap());
}

#[test]
fn levels_are_ordered_and_named_as_they_are_written() {
    use shared::alert::Level;
    for (name, level) in Level::ALL {
        assert_eq!(serde_json::to_value(level).unwrap(), Value::from(name));
        assert_eq!(Level::named(name), Some(level));
    }
    assert!(Level::ALL.is_sorted_by_key(|(_, level)| *level));
    assert_eq!(Level::named("severe"), None);
}
