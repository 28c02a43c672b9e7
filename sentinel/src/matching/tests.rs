//! What matches and what does not, and that the prefilter changes nothing of it.

use proptest::prelude::*;

use crate::rule::RuleSet;

fn set(rules: &str) -> RuleSet {
    let text = format!("version = 1\n{rules}");
    let (set, faults) = RuleSet::parse(&[("test.toml".into(), text)]);
    set.unwrap_or_else(|| panic!("{}", faults.iter().map(|f| format!("{f}\n")).collect::<String>()))
}

/// Whether a line matches these conditions; with and without the prefilter.
fn matched(conditions: &str, line: &[u8]) -> bool {
    let set = set(&format!("[[rule]]\nid = \"r\"\n{conditions}"));
    let view = set.view("any");
    let mut hits = 0;
    set.scan(&view, line, &mut |_, _| hits += 1);
    let mut all = 0;
    set.matching.evaluate(&set.names, view.applying.all(), view.format, line, &mut |_, _| all += 1);
    assert_eq!(hits, all, "the prefilter changed what matches");
    hits == 1
}

#[track_caller]
fn yes(conditions: &str, line: impl AsRef<[u8]>) {
    let text = String::from_utf8_lossy(line.as_ref()).into_owned();
    assert!(matched(conditions, line.as_ref()), "{conditions} should match {text}");
}

#[track_caller]
fn no(conditions: &str, line: impl AsRef<[u8]>) {
    let text = String::from_utf8_lossy(line.as_ref()).into_owned();
    assert!(!matched(conditions, line.as_ref()), "{conditions} should not match {text}");
}

#[test]
fn a_value_alone_asks_for_equality() {
    let rule = r#"match = { a = "Blocked" }"#;
    yes(rule, r#"{"a":"blocked"}"#);
    yes(rule, r#"{"a":"BLOCKED"}"#);
    yes(rule, r#"{"a":["x","blocked"]}"#);
    yes(rule, r#"{"a":"bl\u006fcked"}"#);
    no(rule, r#"{"a":"blocked "}"#);
    no(rule, r#"{"b":"blocked"}"#);
    no(rule, r#"{"a":null}"#);
    no(rule, "blocked");
    let rule = r#"match = { a = ["x", 404, true, 1.5] }"#;
    for value in ["\"X\"", "404", "404.0", "4.04e2", "\"404\"", "true", "\"true\"", "1.50"] {
        yes(rule, format!("{{\"a\":{value}}}"));
    }
    for value in ["405", "\"4 04\"", "false", "[]", "{}", "null", "14"] {
        no(rule, format!("{{\"a\":{value}}}"));
    }
    yes(r#"match = { a = "" }"#, r#"{"a":""}"#);
    no(r#"match = { a = "" }"#, "{}");
}

#[test]
fn operators_ask_for_parts() {
    let line = r#"{"a":"/admin/Login.php"}"#;
    yes(r#"match = { a = { contains = "ADMIN/" } }"#, line);
    yes(r#"match = { a = { contains = ["nope", "login"] } }"#, line);
    yes(r#"match = { a = { startswith = ["/x", "/Admin"] } }"#, line);
    yes(r#"match = { a = { endswith = ".PHP" } }"#, line);
    yes(r#"match = { a = { re = '^/\w+/login\.(php|asp)$' } }"#, line);
    yes(r#"match = { a = { re = ['nope', 'login'] } }"#, line);
    yes(r#"match = { a = { startswith = "/admin", endswith = "php" } }"#, line);
    no(r#"match = { a = { startswith = "/admin", endswith = "asp" } }"#, line);
    no(r#"match = { a = { startswith = "admin" } }"#, line);
    no(r#"match = { a = { endswith = "admin" } }"#, line);
}

#[test]
fn case_counts_only_where_it_is_told_to() {
    let line = r#"{"a":"Grün"}"#;
    yes(r#"match = { a = "grÜN" }"#, line);
    yes(r#"match = { a = { contains = "RÜ" } }"#, line);
    yes(r#"match = { a = { contains = "rü", cased = true } }"#, line);
    no(r#"match = { a = { contains = "RÜ", cased = true } }"#, line);
    yes(r#"match = { a = { re = 'GRÜN' } }"#, line);
    no(r#"match = { a = { re = 'GRÜN', cased = true } }"#, line);
    // The sign of the kelvin is a k to whoever ignores case.
    yes(r#"match = { a = { contains = "koala" } }"#, "{\"a\":\"\u{212a}oala\"}");
    yes(r#"match = { a = { re = 'koala' } }"#, "{\"a\":\"\u{212a}oala\"}");
    yes(r#"match = { a = { contains = "koala", decode = "url" } }"#, r#"{"a":"%E2%84%AAoala"}"#);
}

#[test]
fn numbers_compare_as_numbers() {
    let rule = r#"match = { a = { gte = 500 } }"#;
    for value in ["500", "500.5", "5e2", "\"503\"", "[1, 600]", "1e999"] {
        yes(rule, format!("{{\"a\":{value}}}"));
    }
    for value in ["499", "-500", "\"x\"", "null", "\"\"", "{\"b\":500}"] {
        no(rule, format!("{{\"a\":{value}}}"));
    }
    yes(rule, r#"{"b":1 , "a" : 500 }"#);
    yes(rule, r#"{"a":1,"a":500}"#);
    no(rule, r#"{"a":500,"a":1}"#);
    no(rule, r#"{"b":"a","c":500}"#);
    yes(r#"match = { "a.b" = { gt = 1, lt = 2.5 } }"#, r#"{"a":{"b":2}}"#);
    no(r#"match = { "a.b" = { gt = 2, lte = 3 } }"#, r#"{"a.b":2}"#);
    yes(r#"match = { "a.b" = { lte = 2 } }"#, r#"{"a.b":2}"#);
}

#[test]
fn addresses_match_networks() {
    let rule = r#"match = { ip = { cidr = ["10.0.0.0/8", "2001:db8::/32", "192.0.2.7"] } }"#;
    for ip in ["10.255.0.1", "2001:db8:1::1", "192.0.2.7", "::ffff:10.0.0.1"] {
        yes(rule, format!("{{\"ip\":\"{ip}\"}}"));
    }
    for ip in ["11.0.0.1", "2001:db9::1", "192.0.2.8", "10.0.0", "x", ""] {
        no(rule, format!("{{\"ip\":\"{ip}\"}}"));
    }
}

#[test]
fn a_field_is_there_or_not() {
    yes("match = { a = { exists = true } }", r#"{"a":""}"#);
    no("match = { a = { exists = true } }", r#"{"a":null}"#);
    yes("match = { a = { exists = false } }", "text");
    no("match = { a = { exists = false } }", r#"{"a":0}"#);
    yes("match = { line = { exists = true } }", "");
}

#[test]
fn every_condition_must_hold_and_no_exception() {
    let rule = r#"match = { a = "x", b = "y" }
        [[rule.except]]
        c = "1"
        d = "2"
        [[rule.except]]
        e = "3""#;
    yes(rule, r#"{"a":"x","b":"y"}"#);
    no(rule, r#"{"a":"x"}"#);
    yes(rule, r#"{"a":"x","b":"y","c":"1"}"#);
    no(rule, r#"{"a":"x","b":"y","c":"1","d":"2"}"#);
    no(rule, r#"{"a":"x","b":"y","e":"3"}"#);
}

#[test]
fn the_line_is_a_field() {
    yes(r#"match = { line = { contains = "needle" } }"#, "hay NEEDLE hay");
    yes(r#"match = { line = "exactly" }"#, "exactly");
    yes(r#"match = { line = { contains = '"a":' } }"#, r#"{"a":1}"#);
    no(r#"match = { line = "x" }"#, r#"{"line":"x"}"#);
}

#[test]
fn encoded_twice_is_still_found() {
    let rule = r#"match = { a = { contains = "../etc", decode = "url" } }"#;
    yes(rule, r#"{"a":"../etc"}"#);
    yes(rule, r#"{"a":"..%2Fetc"}"#);
    yes(rule, r#"{"a":"%252e%252e%252fetc"}"#);
    no(rule, r#"{"a":"%25252e%25252e%25252fetc"}"#);
    let rule = r#"match = { line = { re = 'union select', decode = "url" } }"#;
    yes(rule, "GET /?q=union+select");
    yes(rule, "GET /?q=%75nion%20s%65lect");
    no(rule, "GET /?q=union%0aselect");
    let rule = r#"match = { a = { startswith = "a+b", decode = "url" } }"#;
    yes(rule, r#"{"a":"a+b"}"#);
    yes(rule, r#"{"a":"a%2bb"}"#);
    no(rule, r#"{"a":"a b"}"#);
}

#[test]
fn broken_lines_are_matched_too() {
    let needle = r#"match = { line = { contains = "needle" } }"#;
    yes(needle, b"\xff\xfe needle \x00");
    yes(needle, r#"{"a": needle"#);
    yes(r#"match = { a = "x", parse_error = true }"#, r#"{"a":"x","b":"#);
    no(r#"match = { parse_error = true }"#, r#"{"a":"x"}"#);
    no(r#"match = { parse_error = true }"#, "text");
    yes(r#"match = { a = { startswith = "x" }, encoding_error = true }"#, b"{\"a\":\"x\xff\"}");
    no(r#"match = { encoding_error = true }"#, "é");
}

#[test]
fn an_access_log_has_the_same_fields() {
    let line =
        r#"192.0.2.1 - - [20/Jan/2026:10:05:00 +0000] "GET /a?q=1 HTTP/1.1" 404 153 "-" "curl/8""#;
    yes(r#"match = { "url.path" = "/a", "http.response.status_code" = { gte = 400 } }"#, line);
    yes(r#"match = { "@timestamp" = { startswith = "2026-01-20T10:05" } }"#, line);
    no(r#"match = { "url.query" = "q=2" }"#, line);
}

#[track_caller]
fn said(rule: &str, line: &str, expected: &str) {
    let set = set(&format!("[[rule]]\nid = \"r\"\n{rule}"));
    let mut said = None;
    set.scan(&set.view("any"), line.as_bytes(), &mut |index, fields| {
        said = Some(set.rules[index].message(fields, 3));
    });
    assert_eq!(said.as_deref(), Some(expected));
}

#[test]
fn captures_are_fields_of_the_rule() {
    let rule = r#"match = { line = { re = 'client=(?<client.ip>\S+)( as (?<user.name>\w+))?' } }
        message = "{count}: {client.ip} {user.name}""#;
    said(rule, "client=192.0.2.1 as bob", "3: 192.0.2.1 bob");
    said(rule, "client=192.0.2.1", "3: 192.0.2.1 -");
    said(rule, r#"{"user.name":"eve","m":"client=192.0.2.1 "}"#, "3: 192.0.2.1 eve");
    let decoded = r#"match = { a = { re = '<(?<tag>\w+)', decode = "url" } }
        message = "{tag} {a}""#;
    said(decoded, r#"{"a":"%3Cscript"}"#, "script %3Cscript");
    let excepted = r#"match = { line = { re = 'client=(?<client.ip>\S+)' } }
        [[rule.except]]
        "client.ip" = { cidr = "10.0.0.0/8" }"#;
    yes(excepted, "client=192.0.2.1");
    no(excepted, "client=10.0.0.1");
}

#[test]
fn without_a_message_the_title_speaks() {
    said("title = \"A {title}\"\nmatch = { a = 1 }", r#"{"a":1}"#, "A {title}");
    said("match = { a = 1 }", r#"{"a":1}"#, "r");
}

#[test]
fn a_rule_sees_its_sources_alone() {
    let set = set(
        "[[rule]]\nid = \"a\"\nsource = [\"one\"]\nmatch = { a = 1 }\n[[rule]]\nid = \"b\"\nmatch = { a = 1 }",
    );
    for (source, expected) in [("one", vec![0, 1]), ("two", vec![1])] {
        let mut hits = Vec::new();
        set.scan(&set.view(source), br#"{"a":1}"#, &mut |index, _| hits.push(index));
        assert_eq!(hits, expected, "{source}");
    }
}

#[test]
fn a_field_looked_at_serves_every_rule() {
    let rule = |id, condition| format!("[[rule]]\nid = \"{id}\"\nmatch = {{ {condition} }}\n");
    let text = [rule(1, "a = 1"), rule(2, "b = 2"), rule(3, "a = { lt = 2 }"), rule(4, "b = 3")];
    let set = set(&text.concat());
    let mut hits = Vec::new();
    set.scan(&set.view("any"), br#"{"a":1,"b":2}"#, &mut |index, _| hits.push(index));
    assert_eq!(hits, [0, 1, 2]);
}

/// Which of the shipped rules a line is read for.
fn read_for(line: &str) -> Vec<String> {
    let text = include_str!("../../../rules/default.toml");
    let (set, _) = RuleSet::parse(&[("default.toml".into(), text.into())]);
    let set = set.unwrap();
    let view = set.view("any");
    let candidates = set.matching.candidates(&view, line.as_bytes());
    candidates.into_iter().map(|rule| set.rules[rule].id.clone()).collect()
}

#[test]
fn a_quiet_line_is_not_read() {
    for agent in [
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36",
        "Mozilla/5.0 (Linux; Android 14; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Mobile Safari/537.36",
        "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5",
        "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
        "Mozilla/5.0 (Macintosh; Intel Mac OS X 10.15; rv:127.0) Gecko/20100101 Firefox/127.0",
        "Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) AppleWebKit/537.36 Chrome/126.0.0.0 Safari/537.36 Edg/126.0.0.0",
        "Mozilla/5.0 (Linux; U; Android 13; en-us; SM-S918B Build/TP1A) Mobile OPR/81.0",
        "curl/8.9.1",
    ] {
        let record = shared::Record {
            timestamp: "2026-01-20T10:05:00.120Z".into(),
            level: "info".into(),
            message: "request answered".into(),
            dataset: "webapp.requests".into(),
            action: "request".into(),
            outcome: Some("success".into()),
            sequence: 404,
            duration: Some(404_500),
            request_id: Some("404045008404504294295450b0a7f404".into()),
            method: Some("GET".into()),
            status_code: Some(200),
            path: Some("/caf\u{e9}/items/404".into()),
            query: Some("q=size%2040%2C5&page=2".into()),
            client_ip: Some("192.0.2.1".into()),
            user_agent: Some(agent.into()),
            trace_id: Some("0af7651916cd43dd8448eb211c80319c".into()),
            ..shared::Record::default()
        };
        let line = serde_json::to_string(&record).unwrap();
        assert_eq!(read_for(&line), Vec::<String>::new(), "{line}");
    }
}

#[test]
fn an_access_log_is_read_for_its_status() {
    let line = "192.0.2.1 - - [20/Jan/2026:10:05:00 +0000] \"GET /a?b=1%202 HTTP/1.1\" 200 5 \
                \"https://shop.example/\" \"Mozilla/5.0 (Linux; Android 14; K) Chrome/126.0\"";
    let status = [
        "rate-limit-storm",
        "path-scan",
        "login-failures",
        "malformed-requests",
        "slow-requests",
        "server-error-burst",
    ];
    assert_eq!(read_for(line), status);
}

/// Words that conditions look for and lines hold, so that they often meet.
const WORDS: [&str; 5] = ["abk", "Kabb", "ab ka", "a+bka", "k%ab"];

fn any_condition() -> impl Strategy<Value = String> {
    let field = prop_oneof![Just("a"), Just("\"b.c\""), Just("line"), Just("parse_error")];
    let word = prop::sample::select(&WORDS[..]);
    let number = 0..100_u8;
    let operator = prop_oneof![Just("contains"), Just("startswith"), Just("endswith"), Just("re")];
    let modifiers = prop_oneof![
        Just(""),
        Just(", decode = 'url'"),
        Just(", cased = true"),
        Just(", cased = true, decode = 'url'"),
    ];
    let wanted = prop_oneof![
        word.clone().prop_map(|word| format!("'{word}'")),
        number.clone().prop_map(|number| number.to_string()),
        Just("true".to_owned()),
        Just("{ exists = false }".to_owned()),
        (prop_oneof![Just("gte"), Just("lt")], number, modifiers.clone()).prop_map(
            |(operator, number, modifiers)| format!("{{ {operator} = {number}{modifiers} }}")
        ),
        (operator, prop::collection::vec(word.clone(), 1..3), modifiers.clone()).prop_map(
            |(operator, words, modifiers)| {
                let words =
                    words.join("', '").replace('+', if operator == "re" { "\\+" } else { "+" });
                format!("{{ {operator} = ['{words}']{modifiers} }}")
            }
        ),
        (word.clone(), "(b\\?|k\\*|[ab]| |\\.|\\\\s)", word, any::<bool>(), modifiers).prop_map(
            |(head, middle, tail, short, modifiers)| {
                let tail = if short { String::new() } else { format!("{tail}|{tail}") };
                let re = format!("{head}{middle}{tail}").replace('+', "\\+");
                format!("{{ re = '{re}'{modifiers} }}")
            }
        ),
    ];
    (field, wanted).prop_map(|(field, wanted)| format!("{field} = {wanted}"))
}

/// A word in one of the ways that lines hold it.
fn any_text() -> impl Strategy<Value = String> {
    let character = |character: char| {
        let code = u32::from(character);
        let special = match character {
            ' ' => vec!["+"],
            'k' => vec!["\u{212a}", "%E2%84%AA"],
            _ => vec![],
        };
        let encoded = vec![
            character.to_uppercase().to_string(),
            format!("%{code:02x}"),
            format!("%25{code:02X}"),
            format!("\\u{code:04x}"),
        ];
        let special: Vec<_> = special.into_iter().map(str::to_owned).collect();
        let common = [vec![character.to_string(); 5], special.clone(), special].concat();
        prop_oneof![
            8 => prop::sample::select(common),
            1 => prop::sample::select(encoded),
        ]
    };
    let word = prop::sample::select(&WORDS[..])
        .prop_flat_map(move |word| word.chars().map(character).collect::<Vec<_>>())
        .prop_map(|characters| characters.concat());
    ("(x|a|%|\\\\\\\\)?", word, "(b|k|%4| |\\\\n)?").prop_map(|(a, b, c)| format!("{a}{b}{c}"))
}

fn any_line() -> impl Strategy<Value = Vec<u8>> {
    let value = prop_oneof![
        6 => any_text().prop_map(|text| format!("\"{text}\"")),
        2 => "[1-9][0-9]?(\\.[05])?(e[01])?",
        1 => "\"%3[1-9]\"",
        1 => Just("true".to_owned()),
        1 => Just("[1,\"abk\",77]".to_owned()),
        1 => Just("{\"c\":42}".to_owned()),
        1 => Just("{\"c\":\"kabb\"}".to_owned()),
        1 => "(oops|[1-9](x|\"| 7|\\.|e)|truex|true false)",
    ];
    let member = ("a|b|b\\.c|line", value).prop_map(|(key, value)| format!("\"{key}\" :{value}"));
    let members = prop::collection::vec(member, 0..4);
    prop_oneof![
        4 => members.prop_map(|members| format!("{{{}}}", members.join(",")).into_bytes()),
        2 => any_text().prop_map(String::into_bytes),
        1 => prop::collection::vec(any::<u8>(), 0..16),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]
    #[test]
    fn the_prefilter_changes_nothing(
        conditions in prop::collection::vec(any_condition(), 1..6),
        lines in prop::collection::vec(any_line(), 1..8),
    ) {
        let rules = conditions
            .iter()
            .enumerate()
            .map(|(n, condition)| format!("[[rule]]\nid = \"{n}\"\nmatch = {{ {condition} }}\n"));
        let set = set(&rules.collect::<String>());
        let view = set.view("any");
        for line in lines {
            let mut filtered = Vec::new();
            set.scan(&view, &line, &mut |index, _| filtered.push(index));
            let mut all = Vec::new();
            let applying = view.applying.all();
            set.matching.evaluate(&set.names, applying, view.format, &line, &mut |index, _| {
                all.push(index);
            });
            prop_assert_eq!(&filtered, &all, "{}", String::from_utf8_lossy(&line));
        }
    }
}
