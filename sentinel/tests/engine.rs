//! The detector as a whole, told lines and times: what it raises, and that neither a restart nor a
//! replay changes it.

use std::{borrow::Cow, sync::Arc};

use proptest::prelude::*;
use sentinel::{
    engine::{Engine, Now, State},
    line::Line,
    rule::RuleSet,
    time::{Span, Timestamp},
};
use shared::{Alert, alert::Observer};

const START: Timestamp = Timestamp(1_768_903_500_000_000);

const RULES: &str = r#"
version = 1
[[rule]]
id = "admin"
title = "Admin page"
level = "low"
match = { "url.path" = "/admin" }
message = "{client.ip} asked for {url.path}"
cooldown = "60s"
[[rule]]
id = "denied"
title = "Denied again and again"
level = "high"
match = { "event.action" = "denied" }
message = "{count} in {timespan} from {client.ip}"
cooldown = "0s"
[rule.correlation]
type = "event_count"
group_by = ["client.ip"]
timespan = "10s"
gte = 5
[[rule]]
id = "scan"
title = "Many paths"
level = "medium"
match = { "event.action" = "missing" }
cooldown = "30s"
[rule.correlation]
type = "value_count"
field = "url.path"
timespan = "10s"
gte = 3
"#;

fn rules(text: &str) -> Arc<RuleSet> {
    let (rules, faults) = RuleSet::parse(&[("test.toml".into(), text.into())]);
    let faults: Vec<String> = faults.iter().map(ToString::to_string).collect();
    Arc::new(rules.unwrap_or_else(|| panic!("{}", faults.join("\n"))))
}

fn observer() -> Observer {
    Observer { name: "sentinel".into(), version: "0".into(), hostname: "test".into() }
}

fn engine(rules: &Arc<RuleSet>, state: State) -> Engine {
    Engine::new(Arc::clone(rules), state, observer())
}

/// (source, seconds since the start by the line's own time, its other fields)
type Told<'a> = (&'a str, i64, &'a str);

fn told(engine: &mut Engine, (source, second, fields): Told<'_>, now: Now) -> Vec<Alert> {
    let origin = engine.origin(u32::from(source.as_bytes()[0]), source, &format!("{source}.log"));
    let time = START.plus(Span::seconds(second)).rfc3339();
    let line = format!(r#"{{"@timestamp":"{time}",{fields}}}"#);
    let mut alerts = Vec::new();
    let line = Line { offset: 0, bytes: Cow::Borrowed(line.as_bytes()), unmatched: None };
    engine.line(&origin, &line, now, &mut |alert| alerts.push(alert));
    alerts
}

fn live(second: i64) -> Now {
    Now::Live(START.plus(Span::seconds(second)))
}

fn summary(alert: &Alert) -> String {
    let group: Vec<_> = alert.group.values().map(String::as_str).collect();
    let Alert { rule, count, folded, .. } = alert;
    format!("{} [{}] {count}+{folded}", rule.id, group.join(" "))
}

/// Every line is read at the time it was written.
#[track_caller]
fn check(lines: &[Told<'_>], expected: &[&str]) {
    let mut engine = engine(&rules(RULES), State::begin(1, 0));
    let raised: Vec<String> = lines
        .iter()
        .flat_map(|&line| told(&mut engine, line, live(line.1)))
        .map(|alert| summary(&alert))
        .collect();
    assert_eq!(raised, expected);
}

const ADMIN: &str = r#""url.path":"/admin","client.ip":"192.0.2.1""#;
const DENIED: &str = r#""event.action":"denied","client.ip":"192.0.2.1""#;

#[test]
fn a_match_is_an_alert_and_matches_in_its_cooldown_are_folded_into_the_next() {
    let at = |second| ("a", second, ADMIN);
    check(&[at(0)], &["admin [192.0.2.1] 1+0"]);
    check(
        &[at(0), at(1), at(59), at(60), at(61), at(120)],
        &["admin [192.0.2.1] 1+0", "admin [192.0.2.1] 1+2", "admin [192.0.2.1] 1+1"],
    );
}

#[test]
fn one_client_does_not_cool_down_another() {
    let other = r#""url.path":"/admin","client.ip":"192.0.2.2""#;
    let nobody = r#""url.path":"/admin""#;
    check(
        &[("a", 0, ADMIN), ("a", 1, other), ("a", 2, nobody), ("a", 3, nobody)],
        &["admin [192.0.2.1] 1+0", "admin [192.0.2.2] 1+0", "admin [] 1+0"],
    );
}

#[test]
fn twenty_matches_of_five_without_a_cooldown_are_four_alerts() {
    let lines: Vec<_> = (0..20).map(|_| ("a", 0, DENIED)).collect();
    check(&lines, &["denied [192.0.2.1] 5+0"; 4]);
}

#[test]
fn matches_count_over_two_sources_and_only_within_the_timespan() {
    let at = |source, second| (source, second, DENIED);
    check(
        &[at("a", 0), at("b", 1), at("a", 2), at("b", 3), at("a", 9)],
        &["denied [192.0.2.1] 5+0"],
    );
    check(&[at("a", 0), at("b", 1), at("a", 2), at("b", 3), at("a", 10)], &[]);
}

#[test]
fn a_match_without_the_field_of_its_group_counts_in_the_empty_group() {
    let lines: Vec<_> = (0..5).map(|second| ("a", second, r#""event.action":"denied""#)).collect();
    check(&lines, &["denied [] 5+0"]);
}

#[test]
fn addresses_of_one_ipv6_network_are_one_group() {
    let from = |last| format!(r#""url.path":"/admin","client.ip":"2001:db8:1:2::{last}""#);
    let (one, two) = (from("1"), from("ffff"));
    check(&[("a", 0, &one), ("a", 1, &two)], &["admin [2001:db8:1:2::/64] 1+0"]);
    let mapped = r#""url.path":"/admin","client.ip":"::ffff:192.0.2.1""#;
    check(&[("a", 0, ADMIN), ("a", 1, mapped)], &["admin [192.0.2.1] 1+0"]);
}

#[test]
fn distinct_values_are_counted_and_cool_down() {
    let path = |path: &str| format!(r#""event.action":"missing","url.path":"/{path}""#);
    let paths: Vec<_> = ["a", "a", "b", "b", "c", "d", "e", "f"].map(path).into();
    let lines: Vec<_> = paths.iter().map(|fields| ("a", 0, fields.as_str())).collect();
    check(&lines, &["scan [] 3+0"]);
}

#[test]
fn a_line_far_behind_its_source_counts_in_no_window_but_still_matches() {
    let denied = |second| ("a", second, DENIED);
    let lines =
        [denied(100), denied(60), denied(61), denied(62), denied(63), denied(64), ("a", 60, ADMIN)];
    check(&lines, &["admin [192.0.2.1] 1+0"]);
    let other = [
        denied(100),
        ("b", 60, DENIED),
        denied(70),
        denied(71),
        denied(72),
        denied(73),
        denied(74),
    ];
    check(&other, &["denied [192.0.2.1] 5+0"]);
}

#[test]
fn a_line_from_the_future_is_now_and_makes_no_true_line_late() {
    let mut engine = engine(&rules(RULES), State::begin(1, 0));
    let mut raised = told(&mut engine, ("a", 3_600, DENIED), live(0));
    for second in 0..4 {
        raised.extend(told(&mut engine, ("a", second, DENIED), live(second)));
    }
    assert_eq!(raised.iter().map(summary).collect::<Vec<_>>(), ["denied [192.0.2.1] 5+0"]);
    assert_eq!((engine.counts().clock_skew_lines, engine.counts().late_lines), (1, 0));
    let ahead = told(&mut engine, ("a", 25, ADMIN), live(20));
    assert_eq!(ahead[0].timestamp, START.plus(Span::seconds(25)).rfc3339());
}

#[test]
fn last_weeks_log_is_not_late() {
    let mut engine = engine(&rules(RULES), State::begin(1, 0));
    let week = 7 * 86_400;
    let raised: Vec<_> =
        (0..5).flat_map(|second| told(&mut engine, ("a", second, DENIED), live(week))).collect();
    assert_eq!(raised.len(), 1);
    assert_eq!(raised[0].event.created, START.plus(Span::seconds(week)).rfc3339());
}

#[test]
fn an_alert_tells_what_happened() {
    let mut engine = engine(&rules(RULES), State::begin(1, 41));
    let mut raised = Vec::new();
    for second in 0..6 {
        raised.extend(told(&mut engine, ("requests", second, DENIED), live(second)));
    }
    let alert = &raised[0];
    assert_eq!(alert.seq, 42);
    assert_eq!(alert.message, "5 in 10s from 192.0.2.1");
    let window = alert.window.as_ref().unwrap();
    assert_eq!(window.start, START.rfc3339());
    assert_eq!(window.end, START.plus(Span::seconds(4)).rfc3339());
    assert_eq!(alert.evidence.len(), 5);
    assert!(alert.evidence.iter().all(|line| line.text.contains("denied") && !line.truncated));
    assert_eq!(
        (alert.evidence[0].source.as_str(), alert.evidence[0].file.as_str()),
        ("requests", "requests.log")
    );
}

#[test]
fn under_a_flood_of_groups_the_last_line_is_still_shown() {
    let mut engine = engine(&rules(RULES), State::begin(1, 0));
    let mut raised = Vec::new();
    for client in 0..3_000 {
        let (high, low) = (client / 250, client % 250);
        let fields = format!(r#""event.action":"denied","client.ip":"192.0.{high}.{low}""#);
        raised.extend(told(&mut engine, ("a", 0, &fields), live(0)));
    }
    for _ in 0..5 {
        let last = r#""event.action":"denied","client.ip":"203.0.113.9""#;
        raised.extend(told(&mut engine, ("a", 1, last), live(1)));
    }
    let shown: Vec<_> = raised[0].evidence.iter().map(|line| !line.text.is_empty()).collect();
    assert_eq!((raised.len(), shown.last()), (1, Some(&true)));
}

#[test]
fn a_value_of_a_group_is_shown_up_to_a_limit_and_told_apart_beyond_it() {
    let mut engine = engine(&rules(RULES), State::begin(1, 0));
    let long = "x".repeat(5_000);
    let from = |end: &str| format!(r#""url.path":"/admin","client.ip":"{long}{end}""#);
    let mut raised = told(&mut engine, ("a", 0, &from("1")), live(0));
    raised.extend(told(&mut engine, ("a", 0, &from("2")), live(0)));
    assert_eq!(
        raised.iter().map(|alert| alert.group["client.ip"].len()).collect::<Vec<_>>(),
        [1_024; 2]
    );
    assert_ne!(raised[0].fingerprint, raised[1].fingerprint);
}

#[test]
fn a_rule_that_means_the_same_keeps_its_groups_and_an_edited_one_begins_empty() {
    let at = |source: &'static str, second| (source, second, DENIED);
    for (edited, expected) in [
        (RULES.replace("Many paths", "Many, many paths"), 1),
        (RULES.replace("gte = 5", "gte = 4"), 0),
    ] {
        let mut engine = engine(&rules(RULES), State::begin(1, 0));
        let mut raised = Vec::new();
        for second in 0..3 {
            raised.extend(told(&mut engine, at("a", second), live(second)));
        }
        engine.replace(rules(&edited));
        for second in 3..5 {
            raised.extend(told(&mut engine, at("a", second), live(second)));
        }
        assert_eq!(raised.len(), expected);
    }
}

fn any_line() -> impl Strategy<Value = (&'static str, i64, i64, String)> {
    let fields = prop_oneof![
        (0..3_u8).prop_map(|ip| format!(r#""event.action":"denied","client.ip":"192.0.2.{ip}""#)),
        (0..5_u8).prop_map(|path| format!(r#""event.action":"missing","url.path":"/{path}""#)),
        (0..2_u8).prop_map(|ip| format!(r#""url.path":"/admin","client.ip":"192.0.2.{ip}""#)),
        Just(r#""event.action":"request""#.to_owned()),
    ];
    (prop_oneof![Just("a"), Just("b")], 0..4_i64, -40..10_i64, fields)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn a_restart_anywhere_changes_nothing(
        lines in proptest::collection::vec(any_line(), 1..80),
        stop in any::<prop::sample::Index>(),
    ) {
        let set = rules(RULES);
        let stop = stop.index(lines.len());
        let mut straight = engine(&set, State::begin(7, 0));
        let mut restarted = engine(&set, State::begin(7, 0));
        let mut clock = 0;
        for (index, (source, forward, off, fields)) in lines.iter().enumerate() {
            if index == stop {
                let kept = postcard::to_stdvec(restarted.state()).unwrap();
                restarted = engine(&set, postcard::from_bytes(&kept).unwrap());
            }
            clock += forward;
            let line = (*source, clock + off, fields.as_str());
            prop_assert_eq!(
                told(&mut straight, line, live(clock)),
                told(&mut restarted, line, live(clock))
            );
        }
    }

    #[test]
    fn a_replay_raises_what_was_raised_live(lines in proptest::collection::vec(any_line(), 1..80)) {
        let set = rules(RULES);
        let mut then = engine(&set, State::begin(7, 0));
        let mut again = engine(&set, State::default());
        let mut clock = 0;
        for (source, forward, off, fields) in &lines {
            clock += forward;
            let line = (*source, clock + off.min(&5), fields.as_str());
            let mut expected = told(&mut then, line, live(clock));
            let mut replayed = told(&mut again, line, Now::Replay);
            for alert in expected.iter_mut().chain(&mut replayed) {
                (alert.seq, alert.id, alert.event.created) = Default::default();
            }
            prop_assert_eq!(expected, replayed);
        }
    }
}
