//! `/metrics` of a running sentinel: what is counted moves when something happens.

mod support;

use std::{fs, io::Write as _};

use support::{ADMIN, Sandbox, admin, wait};

/// Waits until a series has that value.
#[track_caller]
fn expect(sandbox: &Sandbox, series: &str, value: u64) {
    let metrics = || sandbox.try_get("/metrics").unwrap_or_default();
    wait(
        &format!("{series} {value}"),
        || format!("{}\n{}", metrics(), sandbox.explain()),
        || {
            let told = |line: &str| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok();
            metrics().lines().find_map(told) == Some(value as f64)
        },
    );
}

#[test]
fn lines_matches_and_alerts_are_counted() {
    let sandbox = Sandbox::new(ADMIN);
    let broken = r#"{"url.path":"/admin","n":3"#.to_owned();
    let lines = [admin(1), admin(2), broken, "quiet".to_owned()];
    sandbox.log("requests.log", &lines);
    let _sentinel = sandbox.start();
    let path = sandbox.path("logs/requests.log");
    fs::File::options().append(true).open(&path).unwrap().write_all(b"/admin \xff\n").unwrap();
    let bytes = fs::metadata(&path).unwrap().len();
    for (series, value) in [
        ("sentinel_lines_total{source=\"requests\"}", 5),
        ("sentinel_bytes_total{source=\"requests\"}", bytes),
        ("sentinel_parse_errors_total{source=\"requests\"}", 1),
        ("sentinel_encoding_errors_total{source=\"requests\"}", 1),
        ("sentinel_long_lines_total{source=\"requests\"}", 0),
        ("sentinel_rule_matches_total{rule=\"admin\"}", 3),
        ("sentinel_alerts_total{rule=\"admin\",level=\"low\",status=\"firing\"}", 3),
        ("sentinel_files{state=\"reading\"}", 1),
        ("sentinel_gaps_total{reason=\"truncated\"}", 0),
        ("sentinel_reload_success", 1),
        ("sentinel_evaluation_stopped", 0),
        ("sentinel_stream_readers", 0),
    ] {
        expect(&sandbox, series, value);
    }
    let status = sandbox.get("/v1/status");
    let digest = status["rules"]["digest"].as_str().unwrap();
    expect(&sandbox, &format!("sentinel_rules_info{{digest=\"{digest}\"}}"), 1);
}

#[test]
fn what_waits_is_told_for_each_file() {
    let sandbox = Sandbox::new(ADMIN);
    sandbox.log("requests.log", &[admin(1)]);
    let _sentinel = sandbox.start();
    let lag = "sentinel_lag_bytes{source=\"requests\",file=\"logs/requests.log\"}";
    expect(&sandbox, lag, 0);
    sandbox.append("requests.log", "half a line");
    expect(&sandbox, lag, 11);
    wait(
        "a wait in the status",
        || sandbox.explain(),
        || {
            let file = &sandbox.get("/v1/status")["files"][0];
            file["lag_bytes"] == 11 && file["lag_seconds"].as_f64().unwrap() > 0.0
        },
    );
    sandbox.append("requests.log", ", and its end\n");
    expect(&sandbox, lag, 0);
    expect(&sandbox, &lag.replace("bytes", "seconds"), 0);
}

#[test]
fn losses_rotations_and_rules_that_are_refused_are_counted() {
    let sandbox = Sandbox::new(ADMIN);
    sandbox.log("requests.log", &[admin(1)]);
    let _sentinel = sandbox.start();
    sandbox.expect_alerts(1);
    fs::write(sandbox.path("logs/requests.log"), format!("{}\n{}\n", admin(20), admin(30)))
        .unwrap();
    expect(&sandbox, "sentinel_gaps_total{reason=\"truncated\"}", 1);
    expect(&sandbox, "sentinel_rotations_total{kind=\"truncate\"}", 1);
    fs::rename(sandbox.path("logs/requests.log"), sandbox.path("logs/requests.log.1")).unwrap();
    sandbox.log("requests.log", &[admin(4)]);
    expect(&sandbox, "sentinel_rotations_total{kind=\"rename\"}", 1);
    expect(&sandbox, "sentinel_rule_matches_total{rule=\"admin\"}", 4);
    sandbox.rules("broken");
    expect(&sandbox, "sentinel_reload_success", 0);
    let failed =
        "sentinel_alerts_total{rule=\"sentinel.reload_failed\",level=\"high\",status=\"firing\"}";
    expect(&sandbox, failed, 1);
    let gone = ADMIN.replace("id = \"admin\"", "id = \"other\"");
    sandbox.rules(&gone);
    expect(&sandbox, "sentinel_rule_matches_total{rule=\"other\"}", 0);
    let metrics = sandbox.try_get("/metrics").unwrap();
    assert!(!metrics.contains("rule=\"admin\""), "a rule that is gone is not told: {metrics}");
}

#[test]
fn counts_begin_anew_with_sentinel_and_repeat_nothing() {
    let sandbox = Sandbox::new(ADMIN);
    sandbox.log("requests.log", &[admin(1), admin(2)]);
    let mut sentinel = sandbox.start();
    sandbox.expect_alerts(2);
    sentinel.kill();
    sandbox.log("requests.log", &[admin(3)]);
    let _sentinel = sandbox.start();
    sandbox.expect_alerts(3);
    expect(&sandbox, "sentinel_lines_total{source=\"requests\"}", 1);
    let bytes = admin(3).len() as u64 + 1;
    expect(&sandbox, "sentinel_bytes_total{source=\"requests\"}", bytes);
    expect(&sandbox, "sentinel_rule_matches_total{rule=\"admin\"}", 1);
}
