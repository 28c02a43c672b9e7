//! Rule files with faults: every fault is told at its place, with what to do, and all at once.

use proptest::prelude::*;
use sentinel::rule::{RuleSet, Severity};

/// Every fault of a file, as displayed, and whether there is a set.
#[track_caller]
fn check(text: &str, expected: &str) {
    let (set, faults) = RuleSet::parse(&[("x.toml".into(), text.into())]);
    let told: Vec<_> = faults.iter().map(ToString::to_string).collect();
    assert_eq!(told.join("\n"), expected.trim_start_matches('\n'));
    let errors = faults.iter().any(|fault| fault.severity == Severity::Error);
    assert_eq!(set.is_none(), errors);
}

/// The messages alone: `line:column message (help)`.
#[track_caller]
fn faults(text: &str, expected: &[&str]) {
    let (_, faults) = RuleSet::parse(&[("x.toml".into(), text.into())]);
    let told = faults.iter().map(|fault| {
        let help = if fault.help.is_empty() { String::new() } else { format!(" ({})", fault.help) };
        format!("{}:{} {}{help}", fault.line, fault.column, fault.message)
    });
    assert_eq!(told.collect::<Vec<_>>(), expected, "{text}");
}

/// A rule that is whole but for what is added.
fn rule(added: &str) -> String {
    format!("version = 1\n[[rule]]\nid = 'a'\nmatch = {{ a = 1 }}\n{added}")
}

/// A correlation that is whole but for one line.
fn correlation(line: &str) -> String {
    let (key, _) = line.split_once(' ').unwrap();
    let whole = ["type = 'event_count'", "timespan = '5m'", "gte = 3"];
    let others: Vec<_> = whole.into_iter().filter(|other| !other.starts_with(key)).collect();
    rule(&format!("[rule.correlation]\n{line}\n{}\n", others.join("\n")))
}

#[test]
fn a_fault_shows_its_place() {
    check(
        &rule("lvel = 'high'\n"),
        r"
x.toml:5:1: error: unknown key `lvel` in rule `a`
  |
5 | lvel = 'high'
  | ^^^^ did you mean `level`?",
    );
}

#[test]
fn all_faults_are_told_in_their_order() {
    check(
        "version = 1\n[[rule]]\nid = 'a'\nlevel = 'hihg'\nmatch = { a = { re = 'x(y' } }\n\n[[rule]]\nid = 'b'\n",
        r#"
x.toml:4:9: error: unknown level `hihg`
  |
4 | level = 'hihg'
  |         ^^^^^^ did you mean `high`?
x.toml:5:24: error: regular expression: unclosed group
  |
5 | match = { a = { re = 'x(y' } }
  |                        ^
x.toml:7:1: error: rule `b` lacks `match`
  |
7 | [[rule]]
  | ^^^^^^^^ like `match = { "http.response.status_code" = 404 }`"#,
    );
}

#[test]
fn faults_of_all_files_are_told() {
    let files = [("a.toml", rule("lvel = 1\n")), ("b.toml", rule("colour = 1\n"))];
    let files = files.map(|(name, text)| (name.to_owned(), text));
    let (set, faults) = RuleSet::parse(&files);
    assert!(set.is_none());
    let places: Vec<_> = faults.iter().map(|f| (&*f.file, f.line)).collect();
    assert_eq!(places, [("a.toml", 5), ("b.toml", 5)]);
}

#[test]
fn a_tab_and_a_wide_line_keep_the_caret_in_place() {
    check(
        "version = 1\n[[rule]]\n\tid = 'ä ö'\nmatch = { a = 1 }\n",
        "
x.toml:3:7: error: `id` must be 1 to 128 of a-z, 0-9, `-`, `_`, `.`
  |
3 | \tid = 'ä ö'
  | \t     ^^^^^",
    );
    let long = format!("match = {{ a = [{}], b = {{ gte = 'x' }} }}\n", "'word', ".repeat(30));
    let (_, faults) =
        RuleSet::parse(&[("x.toml".into(), format!("version = 1\n[[rule]]\nid = 'a'\n{long}"))]);
    let told = faults[0].to_string();
    let [_, _, excerpt, caret] = told.lines().collect::<Vec<_>>()[..] else { panic!("{told}") };
    assert!(excerpt.starts_with("4 | …"), "{told}");
    let at = caret.chars().position(|c| c == '^').unwrap();
    assert_eq!(excerpt.chars().skip(at).take(3).collect::<String>(), "'x'", "{told}");
}

#[test]
fn keys_in_the_wrong_place_are_told_where_they_belong() {
    let belongs = "below a header, keys belong to that header";
    faults(
        &correlation("cooldown = '5m'"),
        &[&format!("6:1 `cooldown` belongs to the rule: move it above line 5 ({belongs})")],
    );
    faults(
        "version = 1\n[[rule]]\nid = 'a'\n[rule.match]\na = 1\ncooldown = '5m'\n",
        &[&format!("6:1 `cooldown` belongs to the rule: move it above line 4 ({belongs})")],
    );
    faults(
        &rule("timespan = '5m'\n"),
        &[
            "5:1 `timespan` belongs to the correlation of rule `a` (move it below [rule.correlation])",
        ],
    );
    faults(
        &rule(
            "group_by = ['x']\n[rule.correlation]\ntype = 'event_count'\ntimespan = '1m'\ngte = 2\n",
        ),
        &[
            "5:12 `group_by` of a rule with a correlation belongs to the correlation (move it below line 6)",
        ],
    );
    faults(
        "id = 'a'\nversion = 1\n",
        &["1:1 `id` belongs to a rule (write [[rule]] on a line above it)"],
    );
    faults(
        "[[rule]]\nid = 'a'\nmatch = { a = 1 }\nversion = 1\n",
        &[
            "1:1 this file lacks `version` (the first line of a rule file is `version = 1`)",
            &format!(
                "4:1 `version` belongs to the file: move it above the first header ({belongs})"
            ),
        ],
    );
    // A log may well have such a field: it is only said, and not where it is quoted.
    let log = |key| format!("version = 1\n[[rule]]\nid = 'a'\n[rule.match]\na = 1\n{key} = 'x'\n");
    faults(
        &log("message"),
        &[
            "6:1 `message` is taken for a field of the log here (the rule's own belongs above line 4; write \"message\" for the field)",
        ],
    );
    faults(&log("\"message\""), &[]);
    faults(
        &rule("[rule.labels]\ntitle = 'x'\n"),
        &[
            "6:1 `title` is one of the labels here (the rule's own belongs above line 5; write \"title\" to mean it)",
        ],
    );
}

#[test]
fn brackets_are_told() {
    faults(
        "version = 1\n[rule]\nid = 'a'\n",
        &["2:1 `rule` must be a list of tables (there may be several: write [[rule]])"],
    );
    faults(
        &rule("[rule.except]\nb = 1\n"),
        &[
            "5:1 `rule.except` must be a list of tables (there may be several: write [[rule.except]])",
        ],
    );
    faults(
        "version = 1\n[[rules]]\n",
        &["2:3 unknown key `rules` in a rule file (did you mean `rule`?)"],
    );
}

#[test]
fn a_dotted_name_must_be_quoted() {
    let named = |text: &str| format!("version = 1\n[[rule]]\nid = 'a'\n{text}\n");
    for (text, at, name) in [
        ("match = { url.path = '/x' }", "4:11", "url.path"),
        (
            "match = { http.response.status_code = { gte = 4 } }",
            "4:11",
            "http.response.status_code",
        ),
        ("[rule.match]\nurl.path = '/x'", "5:1", "url.path"),
        ("[rule.match.url]\npath = '/x'", "4:13", "url.path"),
        ("match.url.path.re = 'abc'", "4:7", "url.path"),
    ] {
        let expected = format!(
            "{at} `{name}` without quotes is a table in a table in TOML (write \"{name}\")"
        );
        faults(&named(text), &[&expected]);
    }
    faults(&named("match.\"url.path\".startswith = 'abc'"), &[]);
    faults(&named("[rule.match.\"url.path\"]\nstartswith = 'abc'"), &[]);
}

#[test]
fn keys_and_words_are_suggested() {
    for (added, told) in [
        ("titel = 'x'", "5:1 unknown key `titel` in rule `a` (did you mean `title`?)"),
        ("groupby = 'x'", "5:1 unknown key `groupby` in rule `a` (did you mean `group_by`?)"),
        ("severity = 'x'", "5:1 unknown key `severity` in rule `a` (did you mean `level`?)"),
        ("colour = 'x'", "5:1 unknown key `colour` in rule `a`"),
        (
            "level = 'warn'",
            "5:9 unknown level `warn` (one of informational, low, medium, high, critical)",
        ),
    ] {
        faults(&rule(added), &[told]);
    }
    for (line, told) in [
        (
            "type = 'event_cuont'",
            "6:8 unknown correlation `event_cuont` (did you mean `event_count`?)",
        ),
        ("type = 'spike'", "6:8 unknown correlation `spike` (one of event_count, value_count)"),
        ("window = '5m'", "6:1 unknown key `window` in a correlation (did you mean `timespan`?)"),
    ] {
        faults(&correlation(line), &[told]);
    }
}

#[test]
fn values_have_types_and_bounds() {
    for (added, told) in [
        ("level = 3", "5:9 `level` must be text, found a number"),
        ("tags = [1]", "5:9 `tags` must be text or a list of texts, found a number"),
        ("labels = 'x'", "5:10 `labels` must be a table, found text"),
        ("labels = { a = 1 }", "5:16 `a` must be text, found a number"),
        (
            "source = []",
            "5:10 a rule for no source sees no line (leave `source` out for every source)",
        ),
        ("cooldown = 5", "5:12 `cooldown` must be a duration, found a number"),
        (
            "cooldown = '5 m'",
            "5:12 `cooldown` is no duration (a duration is text like \"90s\", \"5m\" or \"1h30m\")",
        ),
        ("cooldown = '31d'", "5:12 `cooldown` must be from 0s to 30d"),
        ("ipv6_prefix = 0", "5:15 `ipv6_prefix` must be from 1 to 128"),
        ("ipv6_prefix = 64.0", "5:15 `ipv6_prefix` must be a whole number, found a number"),
        ("group_by = ['x', 'x']", "5:18 `x` is named twice"),
        ("group_by = ['']", "5:13 no field has an empty name"),
        (
            "group_by = ['a','b','c','d','e','f','g','h','i']",
            "5:12 `group_by` names more than 8 fields",
        ),
        ("message = '{'", "5:12 message: `{` is not closed: write `{{` for a brace"),
        ("message = '{timespan}'", "5:12 a rule without correlation has no timespan"),
        ("correlation = 3", "5:15 `correlation` must be a table, found a number"),
    ] {
        faults(&rule(added), &[told]);
    }
    for (line, told) in [
        ("gte = 0", "6:7 `gte` must be from 1 to 10000"),
        ("gte = 10_001", "6:7 `gte` must be from 1 to 10000"),
        ("timespan = '0s'", "6:12 `timespan` must be from 1ms to 30d"),
        ("timespan = '721h'", "6:12 `timespan` must be from 1ms to 30d"),
        (
            "field = 'x'",
            "6:9 `event_count` counts matches, not a field (`value_count` counts the distinct values of a field)",
        ),
        (
            "type = 'value_count'",
            "5:1 this correlation lacks `field` (whose distinct values are counted, like `field = \"url.path\"`)",
        ),
    ] {
        faults(&correlation(line), &[told]);
    }
    faults(
        &rule("[rule.correlation]\n"),
        &[
            "5:1 this correlation lacks `type` (like `type = \"event_count\"`)",
            "5:1 this correlation lacks `timespan` (like `timespan = \"5m\"`)",
            "5:1 this correlation lacks `gte` (like `gte = 10`)",
        ],
    );
}

#[test]
fn the_bounds_themselves_are_allowed() {
    for added in [
        "cooldown = '0s'",
        "cooldown = '30d'",
        "ipv6_prefix = 1",
        "ipv6_prefix = 128",
        "group_by = []",
    ] {
        faults(&rule(added), &[]);
    }
    for line in ["gte = 1", "gte = 10_000", "timespan = '1ms'", "timespan = '30d'"] {
        faults(&correlation(line), &[]);
    }
}

#[test]
fn conditions_are_checked() {
    let condition =
        |value: &str| format!("version = 1\n[[rule]]\nid = 'a'\nmatch = {{ f = {value} }}\n");
    for (value, told) in [
        ("[]", "4:15 `f`: nothing is in an empty list"),
        (
            "2020-01-01",
            "4:15 `f` must be text, a number, true, false or a list of them, found a date",
        ),
        ("[[1]]", "4:16 `f` must be text, a number, true, false or a list of them, found a list"),
        (
            "{}",
            "4:15 no operator in this condition of rule `a` (one of contains, startswith, endswith, re, cidr, gt, gte, lt, lte, exists)",
        ),
        (
            "{ cased = true }",
            "4:15 no operator in this condition of rule `a` (one of contains, startswith, endswith, re, cidr, gt, gte, lt, lte, exists)",
        ),
        (
            "{ contain = 'x' }",
            "4:17 unknown operator `contain` in rule `a` (did you mean `contains`?)",
        ),
        (
            "{ starts_with = 'x' }",
            "4:17 unknown operator `starts_with` in rule `a` (did you mean `startswith`?)",
        ),
        (
            "{ equals = 'x' }",
            "4:17 unknown operator `equals` in rule `a` (for equality write the value itself)",
        ),
        (
            "{ contains = '' }",
            "4:28 every text contains the empty text (`exists = true` asks for any value)",
        ),
        ("{ contains = 4 }", "4:28 `contains` must be text or a list of texts, found a number"),
        ("{ contains = [] }", "4:28 `contains`: nothing is in an empty list"),
        (
            "{ cidr = '10.0.0/8' }",
            "4:24 this is no network (like \"10.0.0.0/8\", \"2001:db8::/32\" or one address)",
        ),
        ("{ gte = 'x' }", "4:23 `gte` must be a number, found text"),
        ("{ gte = nan }", "4:23 `gte` must be a number, found a number"),
        ("{ exists = 1 }", "4:26 `exists` must be true or false, found a number"),
        (
            "{ exists = false, gt = 1 }",
            "4:15 this never matches (a field that is absent passes no other operator)",
        ),
        ("{ re = 'abc', decode = 'base64' }", "4:38 unknown decoding (the only one is \"url\")"),
        ("{ re = 'a(b' }", "4:24 regular expression: unclosed group"),
        ("{ re = \"ab)\" }", "4:25 regular expression: unopened group"),
        (
            "{ re = ['abc', '[z-a]'] }",
            "4:32 regular expression: invalid character class range, the start must be <= the end",
        ),
        (r"{ re = '\p{Klingon}' }", "4:23 regular expression: Unicode property not found"),
        (r"{ re = '(a)\1' }", "4:26 regular expression: backreferences are not supported"),
        (
            r"{ re = '\w{1,900}{1,900}' }",
            "4:23 regular expression: needs more than 1048576 bytes compiled",
        ),
    ] {
        faults(&condition(value), &[told]);
    }
    faults(
        "version = 1\n[[rule]]\nid = 'a'\nmatch = {}\n",
        &["4:9 no condition in rule `a` (`line = { exists = true }` matches every line)"],
    );
}

#[test]
fn ids_are_unique_and_not_sentinels_own() {
    let rule =
        |id: &str, match_: &str| format!("[[rule]]\nid = '{id}'\nmatch = {{ a = {match_} }}\n");
    let two = |a: String, b: String| format!("version = 1\n{a}{b}");
    faults(
        &two(rule("a", "1"), rule("a", "2")),
        &["6:6 rule id `a` is taken: x.toml:2 (each rule has an id of its own)"],
    );
    faults(
        &two(rule("a", "1"), rule("b", "1")),
        &["6:6 rule `b` does what `a` (x.toml:2) does (both raise an alert each time)"],
    );
    faults(
        &two(rule("a", "1"), rule("sentinel.gap", "2")),
        &["6:6 ids that begin with `sentinel.` are sentinel's own"],
    );
    let files = ["one.toml", "two.toml"];
    let files = files.map(|name| (name.to_owned(), format!("version = 1\n{}", rule("a", "1"))));
    let (_, told) = RuleSet::parse(&files);
    assert_eq!(
        (&*told[0].file, &*told[0].message),
        ("two.toml", "rule id `a` is taken: one.toml:2")
    );
}

#[test]
fn sources_are_checked() {
    let source = |text: &str| {
        format!("version = 1\n[[source]]\n{text}\n[[rule]]\nid = 'a'\nmatch = {{ a = 1 }}\n")
    };
    for (text, told) in [
        ("name = 'x'", "2:1 this source lacks `path`"),
        ("path = 'x'", "2:1 this source lacks `name`"),
        ("name = 'X'\npath = 'x'", "3:8 `name` must be 1 to 128 of a-z, 0-9, `-`, `_`, `.`"),
        ("name = 'x'\npath = []", "4:8 a source without a path has no lines"),
        ("name = 'x'\npath = 'a[.log'", "4:10 glob: invalid range pattern"),
        (
            "name = 'x'\npath = 'x'\nformat = 'jsn'",
            "5:10 unknown format `jsn` (did you mean `json`?)",
        ),
        (
            "name = 'x'\npath = 'x'\nformat = 'xml'",
            "5:10 unknown format `xml` (one of auto, json, combined, common, text)",
        ),
        (
            "name = 'x'\npath = 'x'\nformat = 'common'\ntimestamp = 't'",
            "6:13 lines of format common carry their own time (leave `timestamp` out)",
        ),
        (
            "name = 'x'\npath = 'x'\nformat = 'text'\ntimestamp = 't'",
            "6:13 the time of text lines is told by a pattern (like \"%Y-%m-%d %H:%M:%S\")",
        ),
        (
            "name = 'x'\npath = 'x'\nformat = 'json'\ntimestamp = '%Y'",
            "6:13 the time of JSON lines is in a field (name the field)",
        ),
        ("name = 'x'\npath = 'x'\ncolour = 'x'", "5:1 unknown key `colour` in a source"),
    ] {
        faults(&source(text), &[told]);
    }
    let named = "version = 1\n[[source]]\nname = 'nginx'\npath = 'x'\n[[rule]]\nid = 'a'\nsource = 'ngnix'\nmatch = { a = 1 }\n";
    faults(named, &["7:10 no source is named `ngnix` (did you mean `nginx`?)"]);
    let twice = "[[source]]\nname = 'x'\npath = 'x'\n";
    faults(
        &format!("version = 1\n{twice}{twice}[[rule]]\nid = 'a'\nmatch = {{ a = 1 }}\n"),
        &["5:1 source `x` is declared at x.toml:2 (one source may have several paths)"],
    );
}

#[test]
fn what_is_no_toml_is_told_once_a_line() {
    faults(
        "version = 1\n[[rule]]\nid = 'a'\nmatch = { a = { re = \"\\d+\\w\" } }\nlevel = \nlvel = 'x'\n",
        &[
            "4:24 missing escaped value, expected `b`, `e`, `f`, `n`, `r`, `\\`, `\"`, `x`, `u`, `U` (in double quotes a backslash begins an escape: write '...' for a regular expression)",
            "5:9 string values must be quoted, expected literal string",
            "6:1 unknown key `lvel` in rule `a` (did you mean `level`?)",
        ],
    );
}

#[test]
fn a_file_without_rules_is_no_rule_set() {
    faults("version = 1\n", &["1:1 no rule: a rule begins with [[rule]]"]);
    faults("", &["1:1 this file lacks `version` (the first line of a rule file is `version = 1`)"]);
    faults("version = 2\n", &["1:11 `version` must be 1, the only one there is"]);
}

#[test]
fn warnings_leave_the_set_in_use() {
    for (added, told) in [
        (
            "message = '{clint.ip}'",
            "5:12 nothing is known to fill `{clint.ip}` (did you mean `client.ip`?)",
        ),
        (
            "message = '{colour}'",
            "5:12 nothing is known to fill `{colour}` (it becomes `-` where a line has no such field)",
        ),
        (
            "group_by = 'user_agent.original'",
            "5:12 groups by `user_agent.original` may never fill (a client can make every request a group of its own)",
        ),
    ] {
        faults(&rule(added), &[told]);
        let (set, _) = RuleSet::parse(&[("x.toml".into(), rule(added))]);
        assert!(set.is_some());
    }
    faults(
        "version = 1\n[[rule]]\nid = 'a'\nmatch = { line = { re = '^\\d+$' } }\n",
        &[
            "4:9 every line must be tried against `^\\d+$` (no literal of three letters or more is sure to stand in every match)",
        ],
    );
    faults(
        &rule(
            "[rule.correlation]\ntype = 'value_count'\nfield = 'x'\ngroup_by = 'x'\ntimespan = '1m'\ngte = 2\n",
        ),
        &[
            "7:9 this can never count beyond 1 (each group has one value of the field it is grouped by)",
        ],
    );
    // What a rule itself names may stand in its message.
    let named = "version = 1\n[[rule]]\nid = 'a'\nmatch = { colour = 1, line = { re = 'size=(?<size>\\d+)' } }\ngroup_by = 'shape'\nmessage = '{colour} {size} {shape} {count} {{x}}'\n";
    faults(named, &[]);
}

#[test]
fn a_digest_is_of_what_a_rule_does() {
    let digest = |text: &str| {
        let (set, _) = RuleSet::parse(&[("x.toml".into(), text.into())]);
        set.unwrap().rules[0].digest
    };
    let base = rule("");
    let same = [
        "# a comment\nversion = 1\n\n[[rule]]\nmatch = { a = 1 }\nid = \"a\"\n".to_owned(),
        "version = 1\n[[rule]]\nid = 'a'\n[rule.match]\na = 0x1\n".to_owned(),
        rule("cooldown = '5m'\nipv6_prefix = 64\n"),
        rule("cooldown = '300s'\n"),
        rule("title = 'x'\nlevel = 'low'\ntags = ['x']\nmessage = 'x'\nlabels = { a = 'x' }\n"),
    ];
    for text in same {
        assert_eq!(digest(&text), digest(&base), "{text}");
    }
    let other = [
        base.replace("'a'", "'b'"),
        base.replace("a = 1", "a = 2"),
        base.replace("a = 1", "b = 1"),
        base.replace("a = 1", "a = { gte = 1 }"),
        base.replace("a = 1", "a = '1'"),
        rule("cooldown = '4m'\n"),
        rule("group_by = []\n"),
        rule("group_by = ['client.ip']\n"),
        rule("ipv6_prefix = 128\n"),
        rule("source = 'x'\n"),
        rule("except = [{ b = 1 }]\n"),
        correlation("gte = 2"),
        correlation("gte = 3"),
        correlation("timespan = '4m'"),
        correlation("group_by = ['x']"),
    ];
    let mut digests: Vec<_> = other.iter().map(|text| digest(text)).collect();
    digests.push(digest(&base));
    digests.sort_unstable();
    digests.dedup();
    assert_eq!(digests.len(), other.len() + 1);
}

#[test]
fn the_digest_of_a_set_is_of_its_text() {
    let digest = |files: &[(&str, String)]| {
        let files: Vec<_> =
            files.iter().map(|(name, text)| ((*name).to_owned(), text.clone())).collect();
        RuleSet::parse(&files).0.unwrap().digest
    };
    let one = digest(&[("a.toml", rule(""))]);
    assert_eq!(one.len(), 64);
    assert_eq!(one, digest(&[("b.toml", rule(""))]));
    assert_ne!(one, digest(&[("a.toml", rule("# new\n"))]));
}

proptest! {
    #[test]
    fn whatever_is_written_nothing_panics(text in "(version = 1\n)?(\\[+(rule|source)(\\.match|\\.except|\\.correlation)?\\]+\n|(id|match|message|re|gte|type|path|a\\.b|\"a.b\") ?= ?('[a(){}ä]*'?|\\{ ?(re|gte|a)? ?=? ?[0-9']*\\}?|[0-9]+|\\[.{0,3}\\])\n){0,12}") {
        let (set, faults) = RuleSet::parse(&[("x.toml".into(), text)]);
        let errors = faults.iter().any(|fault| fault.severity == Severity::Error);
        prop_assert_eq!(set.is_none(), errors);
        for fault in faults {
            prop_assert!(fault.to_string().starts_with("x.toml:"));
        }
    }

}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn a_file_torn_anywhere_is_told_and_never_panics(cut in 0_usize..20_000) {
        let text = include_str!("../../rules/default.toml");
        let torn = text.get(..cut.min(text.len())).unwrap_or_default();
        let (set, faults) = RuleSet::parse(&[("x.toml".into(), torn.into())]);
        let errors = faults.iter().any(|fault| fault.severity == Severity::Error);
        prop_assert_eq!(set.is_none(), errors);
    }
}
