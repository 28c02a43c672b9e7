//! Bad input to sentinel: each ends with one message that says what is wrong, where, and what to
//! do, the right exit code, and nothing left behind.

mod support;

use std::fs;

use support::Sandbox;

const RULES: &str = "[[rule]]\nid = 'a'\ntitle = 'A'\nlevel = 'low'\nmatch = { line = 'a' }\n";

#[track_caller]
fn check(sandbox: &Sandbox, args: &[&str], code: i32, said: &[&str]) {
    let output = sandbox.output(args);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(code), "{args:?}: {stderr}");
    for words in said {
        assert!(stderr.contains(words), "{args:?} does not say `{words}`: {stderr}");
    }
    assert!(!stderr.contains("panicked") && output.stdout.is_empty(), "{stderr}");
}

#[test]
fn rules_that_are_not_there_or_not_valid() {
    let sandbox = Sandbox::new(RULES);
    fs::write(sandbox.path("empty.toml"), "").unwrap();
    fs::create_dir(sandbox.path("none")).unwrap();
    fs::write(sandbox.path("bad.toml"), "version = 1\n[[rule]]\nid = 'a'\nlvel = 'low'\n").unwrap();
    check(&sandbox, &[], 2, &["--rules (SENTINEL_RULES) is missing"]);
    check(&sandbox, &["--rules", "missing.toml"], 2, &["missing.toml", "no such file"]);
    check(&sandbox, &["--rules", "empty.toml"], 2, &["empty.toml"]);
    check(&sandbox, &["--rules", "none"], 2, &["none", "*.toml"]);
    check(
        &sandbox,
        &["--rules", "bad.toml"],
        2,
        &["bad.toml:4:1", "unknown key `lvel`", "`level`"],
    );
    check(&sandbox, &["replay", "--rules", "bad.toml", "x"], 2, &["bad.toml:4:1"]);
    assert!(!sandbox.path("logs/.sentinel").exists(), "{}", sandbox.explain());
}

#[test]
fn settings_that_are_malformed_are_all_named_at_once() {
    let sandbox = Sandbox::new(RULES);
    let args = ["--from", "middle", "--watch", "hard", "--poll-interval", "1h"];
    let said = [
        "SENTINEL_RULES",
        "SENTINEL_FROM",
        "`middle`",
        "SENTINEL_WATCH",
        "`hard`",
        "SENTINEL_POLL_INTERVAL",
        "`1h`",
    ];
    check(&sandbox, &args, 2, &said);
    check(&sandbox, &["--nonsense"], 2, &["--nonsense"]);
}

#[test]
fn directories_and_files_that_cannot_be_used() {
    let sandbox = Sandbox::new(RULES);
    let run = |more: &[&'static str]| [&["--rules", "rules.toml"][..], more].concat();
    check(&sandbox, &run(&["--log-dir", "nowhere"]), 3, &["nowhere", "--log-dir"]);
    fs::write(sandbox.path("file"), "").unwrap();
    check(&sandbox, &run(&["--log-dir", "file"]), 3, &["file"]);
    check(&sandbox, &run(&["--state-dir", "file/state"]), 3, &["file/state", "--state-dir"]);
    check(&sandbox, &run(&["--alerts", "nowhere/alerts.log"]), 3, &["nowhere/alerts.log"]);
    let long = format!("--socket={}", "s".repeat(120));
    check(&sandbox, &["--rules", "rules.toml", &long], 3, &["120 bytes", "--socket"]);
    check(&sandbox, &["replay", "--rules", "rules.toml", "nowhere.log"], 3, &["nowhere.log"]);
    check(&sandbox, &["healthcheck"], 1, &["no healthy sentinel", "sentinel.sock"]);
    assert!(!sandbox.path("logs/.sentinel/sentinel.sock").exists());
}

#[test]
fn a_second_sentinel_on_the_same_state_or_socket() {
    let sandbox = Sandbox::new(RULES);
    let _sentinel = sandbox.start();
    check(
        &sandbox,
        &["--rules", "rules.toml"],
        3,
        &["another sentinel", ".sentinel", "--state-dir"],
    );
    let socket = sandbox.path("logs/.sentinel/sentinel.sock");
    let socket = socket.to_str().unwrap();
    let args = ["--rules", "rules.toml", "--state-dir", "other", "--socket", socket];
    check(&sandbox, &args, 3, &["somebody answers", "--socket"]);
    assert!(sandbox.get("/v1/alerts")["alerts"].is_array(), "the first one still answers");
}

#[test]
fn a_socket_that_was_left_behind_is_no_obstacle() {
    let sandbox = Sandbox::new(RULES);
    let mut sentinel = sandbox.start();
    sentinel.kill();
    assert!(sandbox.path("logs/.sentinel/sentinel.sock").exists());
    let _sentinel = sandbox.start();
}
