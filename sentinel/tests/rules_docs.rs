//! The guide to rules: every example in it is a rule file without a fault, and what it says of a
//! fault is what is said.

use sentinel::{decode::Format, rule::RuleSet};
use shared::alert::Level;

const GUIDE: &str = include_str!("../../docs/rules.md");

/// The fenced blocks of a language.
fn blocks(language: &str) -> Vec<&'static str> {
    let fence = format!("```{language}\n");
    GUIDE.split(&*fence).skip(1).filter_map(|rest| rest.split("```").next()).collect()
}

#[test]
fn every_example_is_a_rule_file() {
    let examples = blocks("toml");
    assert!(examples.len() >= 8);
    for example in examples {
        let (set, faults) = RuleSet::parse(&[("rules.md".into(), example.into())]);
        let faults: Vec<_> = faults.iter().map(ToString::to_string).collect();
        assert!(faults.is_empty(), "{}", faults.join("\n"));
        assert!(set.is_some());
    }
}

#[test]
fn the_examples_together_are_a_rule_set() {
    let files: Vec<_> = blocks("toml")
        .into_iter()
        .map(|example| ("rules.md".to_owned(), example.to_owned()))
        .collect();
    let (set, _) = RuleSet::parse(&files);
    assert!(set.is_some_and(|set| set.sources.len() == 3));
}

#[test]
fn the_fault_shown_is_the_fault_told() {
    let text =
        "version = 1\n[[rule]]\nid = \"a\"\n\n[rule.match]\na = 1\nb = 2\n\ncooldown = \"5m\"\n";
    let (_, faults) = RuleSet::parse(&[("rules/web.toml".into(), text.into())]);
    assert_eq!(faults[0].to_string(), blocks("text")[0].trim_end());
}

#[test]
fn a_captured_address_is_matched_as_shown() {
    let example =
        blocks("toml").into_iter().find(|example| example.contains("sshd-failure")).unwrap();
    let set = RuleSet::parse(&[("rules.md".into(), example.into())]).0.unwrap();
    let line = b"Jan 20 10:05:00 host sshd[123]: Failed password for invalid user bob from 192.0.2.1 port 4";
    let mut said = Vec::new();
    set.scan(&set.view("auth"), line, &mut |rule, fields| {
        said.push(set.rules[rule].message(fields, 5))
    });
    assert_eq!(said, ["192.0.2.1 tried to log in as bob"]);
}

#[test]
fn every_word_of_the_language_is_in_the_guide() {
    let levels = Level::ALL.map(|(name, _)| name);
    let formats = Format::ALL.map(|(name, _)| name);
    for word in levels.into_iter().chain(formats) {
        assert!(GUIDE.contains(&format!("`{word}`")), "{word}");
    }
}

#[test]
fn every_shipped_rule_is_in_the_guide_with_its_level() {
    let text = include_str!("../../rules/default.toml");
    let set = RuleSet::parse(&[("default.toml".into(), text.into())]).0.unwrap();
    for rule in &set.rules {
        let (level, _) = Level::ALL.iter().find(|(_, level)| *level == rule.level).unwrap();
        let row = format!("\n| `{}` | {level} | ", rule.id);
        assert!(GUIDE.contains(&row), "{row}");
    }
}
