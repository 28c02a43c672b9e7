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
    let args = ["--from", "middle", "--watch", "hard", "--poll-interval", "1h", "--sync", "never"];
    let said = [
        "SENTINEL_RULES",
        "SENTINEL_FROM",
        "`middle`",
        "SENTINEL_WATCH",
        "`hard`",
        "SENTINEL_POLL_INTERVAL",
        "`1h`",
        "SENTINEL_SYNC",
        "`never`",
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
fn files_of_another_kind_are_neither_removed_nor_written_to() {
    let sandbox = Sandbox::new(RULES);
    fs::write(sandbox.path("precious"), "keep me\n").unwrap();
    let run = |flag| ["--rules", "rules.toml", flag, "precious"];
    check(&sandbox, &run("--socket"), 3, &["precious", "no socket", "--socket"]);
    check(&sandbox, &run("--alerts"), 3, &["precious", "something else than alerts", "--alerts"]);
    assert_eq!(fs::read_to_string(sandbox.path("precious")).unwrap(), "keep me\n");
}

#[test]
fn a_pipe_or_a_device_among_the_rules_blocks_nothing() {
    let sandbox = Sandbox::new(RULES);
    fs::create_dir(sandbox.path("rules")).unwrap();
    fs::copy(sandbox.path("rules.toml"), sandbox.path("rules/a.toml")).unwrap();
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    let pipe = sandbox.path("rules/pipe.toml");
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    check(&sandbox, &["--rules", "rules"], 2, &["pipe.toml", "not a regular file"]);
    check(&sandbox, &["--rules", "/dev/zero"], 2, &["/dev/zero", "not a regular file"]);
    fs::remove_file(&pipe).unwrap();
    let huge = fs::File::create(sandbox.path("rules/huge.toml")).unwrap();
    huge.set_len(5 << 20).unwrap();
    check(&sandbox, &["--rules", "rules"], 2, &["huge.toml", "more than"]);
}

#[test]
fn alerts_that_replay_cannot_write_are_not_passed_over() {
    let sandbox = Sandbox::new(RULES);
    sandbox.log("a.log", &["a".to_owned()]);
    let full = fs::File::options().write(true).open("/dev/full").unwrap();
    let mut replay = sandbox.command(&["replay", "--rules", "rules.toml", "logs/a.log"]);
    let output = replay.stdout(full).output().unwrap();
    assert_eq!(output.status.code(), Some(3), "{output:?}");
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
