use std::process::Command;

use crate::sandbox::Sandbox;

#[track_caller]
fn check(variables: &[(&str, &str)]) {
    let sandbox = variables.iter().fold(Sandbox::new(), |s, (name, value)| s.env(name, value));
    let output = sandbox.output();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    for (name, _) in variables {
        assert!(said.contains(&format!("webapp: {name}: ")), "{name} is not named: {said}");
    }
    assert_eq!(said.lines().count(), variables.len(), "{said}");
    assert!(!sandbox.path("logs").exists(), "nothing is touched before the settings are right");
}

#[test]
fn a_malformed_variable_is_named() {
    for (name, value) in [
        ("PORT", "http"),
        ("HOST", "example.org"),
        ("MAX_CONTENT_LENGTH_BYTES", "1MB"),
        ("RATE_LIMIT_REQUESTS", "-1"),
        ("CSRF_COOKIE_SECURE", "2"),
        ("ALLOWED_CORS_ORIGINS", "https://app.example/"),
        ("TRUSTED_PROXIES", "all"),
        ("CSRF_SECRET_FILE", "/nonexistent"),
    ] {
        check(&[(name, value)]);
    }
}

#[test]
fn all_faults_are_reported_at_once() {
    check(&[
        ("PORT", "70000"),
        ("MAX_QUERY_PARAMS", "many"),
        ("MAX_QUERY_KEY_LENGTH", "0"),
        ("MAX_QUERY_VALUE_LENGTH", "-5"),
        ("RATE_LIMIT_WINDOW_SECONDS", "1.5"),
        ("RATE_LIMIT_BASE_BLOCK_SECONDS", "x"),
        ("ALLOWED_CORS_ORIGINS", "null"),
    ]);
}

#[test]
fn an_unknown_flag_is_bad_usage() {
    let output = Sandbox::new().command().arg("--no-such-flag").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn more_connections_than_the_system_allows_are_a_fault() {
    let sandbox = Sandbox::new();
    let webapp = sandbox.command();
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -n 256 && exec \"$0\""]).arg(webapp.get_program());
    command.envs(webapp.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let output = command.current_dir(sandbox.dir.path()).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.starts_with("webapp: MAX_CONNECTIONS: "), "{said}");
}

#[test]
fn dangerous_settings_are_told_at_the_start() {
    let webapp = Sandbox::new().env("HOST", "0.0.0.0").start();
    let warned = |word: &str| {
        webapp.record("errors", |r| {
            r.level == "warn" && r.reason.as_ref().is_some_and(|t| t.contains(word))
        })
    };
    warned("CSRF_SECRET_FILE");
    warned("ALERTS_TOKEN_FILE");
}
