//! sentinel as a process: what it follows, what it answers, how it ends.

mod support;

use std::fs;

use support::{ADMIN, Sandbox, admin, wait};

/// The `n` of each alert, in the order they were raised.
#[track_caller]
fn expect(sandbox: &Sandbox, expected: &[&str]) {
    let alerts = sandbox.expect_alerts(expected.len());
    let raised: Vec<&str> = alerts.iter().map(|alert| alert.message.as_str()).collect();
    assert_eq!(raised, expected, "{}", sandbox.explain());
}

#[test]
fn lines_that_are_there_and_lines_that_come_raise_alerts() {
    let sandbox = Sandbox::new(ADMIN);
    sandbox.log("requests.log", &[admin(1)]);
    let mut sentinel = sandbox.start();
    expect(&sandbox, &["1"]);
    sandbox.log("requests.log", &[admin(2)]);
    expect(&sandbox, &["1", "2"]);
    sandbox.log("appears-later.log", &[admin(3)]);
    expect(&sandbox, &["1", "2", "3"]);
    let torn = admin(4);
    let (start, end) = torn.split_at(30);
    sandbox.append("requests.log", start);
    sandbox.append("requests.log", end);
    sandbox.append("requests.log", "\n");
    expect(&sandbox, &["1", "2", "3", "4"]);
    assert_eq!(sentinel.terminate(), 0);
    expect(&sandbox, &["1", "2", "3", "4"]);
    assert!(!sandbox.path("logs/.sentinel/sentinel.sock").exists());
}

#[test]
fn a_file_renamed_while_sentinel_was_down_is_found() {
    let sandbox = Sandbox::new(ADMIN);
    let logs = sandbox.path("logs");
    sandbox.log("requests.log", &[admin(1)]);
    let mut sentinel = sandbox.start();
    expect(&sandbox, &["1"]);
    sentinel.kill();
    sandbox.log("requests.log", &[admin(2)]);
    fs::rename(logs.join("requests.log"), logs.join("requests.log.1")).unwrap();
    sandbox.log("requests.log", &[admin(3)]);
    let _sentinel = sandbox.start();
    expect(&sandbox, &["1", "2", "3"]);
}

#[test]
fn a_log_directory_that_was_moved_goes_on_where_it_was() {
    let sandbox = Sandbox::new(ADMIN);
    sandbox.log("requests.log", &[admin(1)]);
    let mut sentinel = sandbox.start();
    expect(&sandbox, &["1"]);
    sentinel.kill();
    sandbox.log("requests.log", &[admin(2)]);
    fs::rename(sandbox.path("logs"), sandbox.path("moved")).unwrap();
    let output = sandbox.output(&["--rules", "rules.toml", "--log-dir", "moved", "--once"]);
    assert!(output.status.success(), "{output:?}");
    fs::rename(sandbox.path("moved"), sandbox.path("logs")).unwrap();
    expect(&sandbox, &["1", "2"]);
}

#[test]
fn a_truncated_file_is_told_and_read_from_its_start() {
    let sandbox = Sandbox::new(ADMIN);
    sandbox.log("requests.log", &[admin(1)]);
    let _sentinel = sandbox.start();
    expect(&sandbox, &["1"]);
    fs::write(sandbox.path("logs/requests.log"), format!("{}\n{}\n", admin(20), admin(30)))
        .unwrap();
    let alerts = sandbox.expect_alerts(4);
    let said: Vec<_> =
        alerts.iter().map(|alert| (alert.rule.id.as_str(), alert.message.as_str())).collect();
    assert_eq!(said[0], ("admin", "1"));
    assert_eq!(said[1].0, "sentinel.gap");
    assert!(said[1].1.starts_with("requests.log: what follows byte"), "{}", said[1].1);
    assert_eq!(alerts[1].group["reason"], "truncated");
    assert_eq!(said[2..], [("admin", "20"), ("admin", "30")]);
    wait("the count of gaps", || sandbox.explain(), || sandbox.get("/v1/status")["gaps"] == 1);
}

#[test]
fn a_file_written_anew_while_sentinel_was_down_is_told_and_read() {
    let sandbox = Sandbox::new(ADMIN);
    let mut sentinel = sandbox.start();
    sandbox.log("requests.log", &[admin(1)]);
    expect(&sandbox, &["1"]);
    sentinel.kill();
    fs::write(sandbox.path("logs/requests.log"), format!("{}\n{}\n", admin(20), admin(30)))
        .unwrap();
    let _sentinel = sandbox.start();
    let alerts = sandbox.expect_alerts(5);
    // What may have followed is lost, and what was counted of the line before.
    let reasons = [&alerts[1], &alerts[2]].map(|alert| alert.group["reason"].as_str());
    assert_eq!(reasons, ["truncated", "replay"]);
    assert_eq!([&alerts[3], &alerts[4]].map(|alert| alert.message.as_str()), ["20", "30"]);
}

#[test]
fn a_file_rotated_twice_while_sentinel_was_down_is_read_with_the_one_between() {
    let sandbox = Sandbox::new(ADMIN);
    let logs = sandbox.path("logs");
    let name = |number: u32| logs.join(format!("requests.log.{number}"));
    sandbox.log("requests.log.1", &[admin(100)]);
    sandbox.log("requests.log", &[admin(1)]);
    let mut sentinel = sandbox.start();
    expect(&sandbox, &["1"]);
    sentinel.kill();
    fs::rename(name(1), name(3)).unwrap();
    fs::rename(logs.join("requests.log"), name(2)).unwrap();
    sandbox.log("requests.log", &[admin(2)]);
    fs::rename(logs.join("requests.log"), name(1)).unwrap();
    sandbox.log("requests.log", &[admin(3)]);
    let _sentinel = sandbox.start();
    let mut said: Vec<_> =
        sandbox.expect_alerts(3).iter().map(|alert| alert.message.clone()).collect();
    said.sort();
    assert_eq!(said, ["1", "2", "3"]);
}

#[test]
fn a_file_that_was_away_goes_on_where_it_was() {
    let sandbox = Sandbox::new(ADMIN);
    let (here, away) = (sandbox.path("logs/requests.log"), sandbox.path("away"));
    sandbox.log("requests.log", &[admin(1)]);
    let mut sentinel = sandbox.start();
    expect(&sandbox, &["1"]);
    assert_eq!(sentinel.terminate(), 0);
    fs::rename(&here, &away).unwrap();
    for _ in 0..2 {
        let mut sentinel = sandbox.start();
        let told = sandbox.expect_alerts(2);
        assert_eq!(told[1].group["reason"], "rotated_away", "told once, at the first start alone");
        sentinel.kill();
    }
    let _sentinel = sandbox.start();
    fs::rename(&away, &here).unwrap();
    sandbox.log("requests.log", &[admin(2)]);
    assert_eq!(sandbox.expect_alerts(3)[2].message, "2");
}

#[test]
fn an_unfinished_line_that_was_cut_off_is_not_glued_to_what_follows() {
    let sandbox = Sandbox::new(ADMIN);
    sandbox.append("requests.log", &"x".repeat(200_000));
    let _sentinel = sandbox.start();
    sandbox.log("other.log", &[admin(1)]);
    expect(&sandbox, &["1"]);
    fs::write(sandbox.path("logs/requests.log"), format!("{}\n", admin(2))).unwrap();
    expect(&sandbox, &["1", "2"]);
}

#[test]
fn a_source_that_is_declared_later_takes_over_its_file() {
    let sandbox = Sandbox::new(ADMIN);
    sandbox.log("requests.log", &[admin(1)]);
    let _sentinel = sandbox.start();
    expect(&sandbox, &["1"]);
    let source = "[[source]]\nname = \"web\"\npath = [\"requests.log\"]\n";
    sandbox.rules(&format!("{source}{}", ADMIN.replace("id =", "source = [\"web\"]\nid =")));
    wait(
        "the new source",
        || sandbox.explain(),
        || sandbox.get("/v1/status")["files"][0]["source"] == "web",
    );
    sandbox.log("requests.log", &[admin(2)]);
    expect(&sandbox, &["1", "2"]);
    let output = sandbox.output(&["replay", "--rules", "rules.toml", "logs/requests.log"]);
    let replayed = String::from_utf8(output.stdout).unwrap();
    assert_eq!(replayed.lines().count(), 2, "replay knows the source too: {replayed}");
}

#[test]
fn two_sentinels_over_one_directory_do_not_feed_each_other() {
    let everything = ADMIN.replace(r#""url.path" = "/admin""#, r#"line = { contains = "admin" }"#);
    let sandbox = Sandbox::new(&everything);
    let _one = sandbox.start();
    let other = ["--rules", "rules.toml", "--state-dir", "other", "--alerts", "logs/other.log"];
    let _two = sandbox.start_with(&other);
    sandbox.log("requests.log", &[admin(1)]);
    wait(
        "the other's alert",
        || sandbox.explain(),
        || {
            fs::read_to_string(sandbox.path("logs/other.log"))
                .is_ok_and(|text| text.ends_with('\n'))
        },
    );
    sandbox.log("requests.log", &[admin(2)]);
    expect(&sandbox, &["1", "2"]);
}

#[test]
fn from_end_skips_what_is_there_at_the_first_start_alone() {
    let sandbox = Sandbox::new(ADMIN);
    sandbox.log("requests.log", &[admin(1)]);
    let args = ["--rules", "rules.toml", "--from", "end"];
    // Killed before anything happened: what was skipped stays skipped.
    sandbox.start_with(&args).kill();
    let mut sentinel = sandbox.start_with(&args);
    sandbox.log("requests.log", &[admin(2)]);
    sandbox.log("new.log", &[admin(3)]);
    let alerts = sandbox.expect_alerts(2);
    assert!(alerts.iter().all(|alert| alert.message != "1"));
    sentinel.kill();
    sandbox.log("requests.log", &[admin(4)]);
    let _sentinel = sandbox.start_with(&args);
    sandbox.expect_alerts(3);
}

#[test]
fn a_file_of_alerts_is_never_a_source() {
    let everything = ADMIN.replace(r#""url.path" = "/admin""#, r#"line = { contains = "admin" }"#);
    let sandbox = Sandbox::new(&everything);
    sandbox.log("requests.log", &[admin(1)]);
    let mut sentinel = sandbox.start();
    expect(&sandbox, &["1"]);
    sentinel.kill();
    let logs = sandbox.path("logs");
    fs::rename(logs.join("alerts.log"), logs.join("alerts-20260120.log")).unwrap();
    let _sentinel = sandbox.start();
    sandbox.log("requests.log", &[admin(2)]);
    wait(
        "the second alert",
        || sandbox.explain(),
        || fs::read_to_string(logs.join("alerts.log")).is_ok_and(|text| text.contains('\n')),
    );
    sandbox.expect_at_end();
    assert_eq!(fs::read_to_string(logs.join("alerts.log")).unwrap().lines().count(), 1);
    let status = sandbox.get("/v1/status");
    assert_eq!(status["files"].as_array().unwrap().len(), 1, "{status}");
}

#[test]
fn a_bad_rule_file_never_replaces_a_good_one() {
    let sandbox = Sandbox::new(ADMIN);
    let _sentinel = sandbox.start();
    sandbox.rules(&ADMIN.replace("title", "titel"));
    let told = sandbox.expect_alerts(1);
    assert_eq!(told[0].rule.id, "sentinel.reload_failed");
    assert!(told[0].message.contains("rules.toml:5:1: unknown key `titel`"), "{}", told[0].message);
    assert!(sandbox.get("/v1/status")["rules"]["last_reload_error"].is_string());
    sandbox.log("requests.log", &[admin(1)]);
    sandbox.expect_alerts(2);
    sandbox.rules(&ADMIN.replace("/admin", "/other"));
    wait(
        "the reload",
        || sandbox.explain(),
        || sandbox.get("/v1/status")["rules"]["last_reload_error"].is_null(),
    );
    sandbox.log("requests.log", &[admin(2), admin(3).replace("/admin", "/other")]);
    let alerts = sandbox.expect_alerts(3);
    assert_eq!(alerts[2].message, "3");
}

#[test]
fn once_reads_to_the_end_and_stops() {
    let sandbox = Sandbox::new(ADMIN);
    sandbox.log("requests.log", &[admin(1), admin(2)]);
    for _ in 0..2 {
        let output = sandbox.output(&["--rules", "rules.toml", "--once"]);
        assert!(output.status.success(), "{output:?}");
        expect(&sandbox, &["1", "2"]);
    }
}

#[test]
fn state_that_was_lost_is_told_and_numbers_go_on() {
    let sandbox = Sandbox::new(ADMIN);
    sandbox.log("requests.log", &[admin(1)]);
    let mut sentinel = sandbox.start();
    expect(&sandbox, &["1"]);
    assert_eq!(sentinel.terminate(), 0);
    fs::remove_dir_all(sandbox.path("logs/.sentinel")).unwrap();
    let _sentinel = sandbox.start();
    sandbox.log("requests.log", &[admin(2)]);
    let alerts = sandbox.expect_alerts(3);
    assert_eq!(alerts.iter().map(|alert| alert.seq).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(alerts[1].group["reason"], "state_lost");
    assert_eq!(alerts[2].message, "2");
}

#[test]
fn the_socket_answers_and_is_not_for_strangers() {
    use std::os::unix::fs::PermissionsExt as _;
    let sandbox = Sandbox::new(ADMIN);
    sandbox.log("requests.log", &[admin(1), admin(2)]);
    let _sentinel = sandbox.start();
    expect(&sandbox, &["1", "2"]);
    wait(
        "both alerts",
        || sandbox.explain(),
        || sandbox.get("/v1/alerts")["alerts"].as_array().unwrap().len() == 2,
    );
    let newest = sandbox.get("/v1/alerts?limit=1");
    assert_eq!(
        (newest["alerts"][0]["seq"].as_u64(), newest["next_after_seq"].as_u64()),
        (Some(2), Some(2))
    );
    let after = sandbox.get("/v1/alerts?after_seq=0&limit=1");
    assert_eq!(after["next_after_seq"].as_u64(), Some(1));
    let refused = sandbox.try_get("/v1/alerts?limit=x").unwrap();
    assert!(refused.starts_with("HTTP/1.1 400") && refused.contains("application/problem+json"));
    let mode =
        fs::metadata(sandbox.path("logs/.sentinel/sentinel.sock")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o660);
    let healthy = sandbox.output(&["healthcheck"]);
    assert!(healthy.status.success(), "{healthy:?}");
}

#[test]
fn a_combined_log_is_replayed_into_json_lines() {
    let sandbox =
        Sandbox::new(&ADMIN.replace(r#"group_by = ["n"]"#, "").replace("{n}", "{client.ip}"));
    let line = |ip: &str, path: &str| {
        format!(
            r#"{ip} - - [20/Jan/2026:10:05:00 +0000] "GET {path} HTTP/1.1" 200 512 "-" "curl/8""#
        )
    };
    let lines = [line("192.0.2.1", "/"), line("192.0.2.2", "/admin"), line("192.0.2.3", "/admin")];
    sandbox.log("access.log", &lines);
    let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut gz, line("192.0.2.4", "/admin").as_bytes()).unwrap();
    fs::write(sandbox.path("logs/access.log.1.gz"), gz.finish().unwrap()).unwrap();
    let files = ["logs/access.log", "logs/access.log.1.gz"];
    let output = sandbox.output(&["replay", "--rules", "rules.toml", files[0], files[1]]);
    assert!(output.status.success(), "{output:?}");
    let said: Vec<String> = String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str::<shared::Alert>(line).unwrap().message)
        .collect();
    assert_eq!(said, ["192.0.2.2", "192.0.2.3", "192.0.2.4"]);
    assert!(output.stderr.is_empty() && !sandbox.path("logs/.sentinel").exists());
}

#[test]
fn a_socket_that_somebody_removed_is_made_anew_and_nobody_elses_is_taken() {
    use std::os::unix::net::UnixListener;
    let sandbox = Sandbox::new(ADMIN);
    let socket = sandbox.path("logs/.sentinel/sentinel.sock");
    let mut sentinel = sandbox.start();
    let answers = || sandbox.try_get("/readyz").is_some_and(|answer| answer.contains(" 200 "));
    fs::remove_file(&socket).unwrap();
    wait("an answer on a new socket", || sandbox.explain(), answers);
    // One that nobody listens on any more.
    fs::remove_file(&socket).unwrap();
    drop(UnixListener::bind(&socket).unwrap());
    wait("an answer on another new socket", || sandbox.explain(), answers);
    fs::remove_file(&socket).unwrap();
    let other = UnixListener::bind(&socket).unwrap();
    let said = || fs::read_to_string(sandbox.path("stderr")).unwrap();
    wait("a word", || sandbox.explain(), || said().contains("nobody can ask: somebody answers on"));
    assert_eq!(sentinel.terminate(), 0);
    assert!(socket.exists(), "it is not sentinel's");
    drop(other);
}
