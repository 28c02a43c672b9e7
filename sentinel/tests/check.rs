//! `sentinel check` as a process: what it prints and the code it ends with.

use std::{fs, path::Path, process::Command};

const GOOD: &str = "version = 1\n[[rule]]\nid = \"down\"\nmatch = { \"http.response.status_code\" = { gte = 500 } }\n";

const LOG: &str = "{\"@timestamp\":\"2026-01-20T10:05:00.120Z\",\"http.response.status_code\":503}\r\n\
                   \n\
                   192.0.2.1 - - [20/Jan/2026:10:05:01 +0000] \"GET / HTTP/1.1\" 200 1 \"-\" \"-\"\n\
                   {\"http.response.status_code\":500,\n\
                   just text";

struct Checked {
    code: Option<i32>,
    out: String,
}

fn run(directory: &Path, arguments: &[&str]) -> Checked {
    let output = Command::new(env!("CARGO_BIN_EXE_sentinel"))
        .current_dir(directory)
        .env_remove("SENTINEL_RULES")
        .arg("check")
        .args(arguments)
        .output()
        .unwrap();
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    Checked { code: output.status.code(), out: String::from_utf8(output.stdout).unwrap() }
}

fn directory(files: &[(&str, &str)]) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = directory.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    directory
}

#[track_caller]
fn check(files: &[(&str, &str)], arguments: &[&str], code: i32, out: &str) {
    let directory = directory(files);
    let checked = run(directory.path(), arguments);
    assert_eq!((checked.code, &*checked.out), (Some(code), out.trim_start_matches('\n')));
}

#[test]
fn good_rules_end_with_0() {
    check(&[("r.toml", GOOD)], &["--rules", "r.toml"], 0, "r.toml: 1 rule, no warnings\n");
}

#[test]
fn a_directory_is_read_in_order_and_without_hidden_files() {
    let other = GOOD.replace("down", "other").replace("500", "501");
    let files = [
        ("rules/b.toml", GOOD),
        ("rules/a.toml", &*other),
        ("rules/.c.toml", "broken"),
        ("rules/README.md", "broken"),
    ];
    check(&files, &["--rules", "rules"], 0, "rules/a.toml, rules/b.toml: 2 rules, no warnings\n");
}

#[test]
fn warnings_end_with_0() {
    let text = format!("{GOOD}message = \"{{colour}}\"\n");
    let out = r#"
r.toml:5:12: warning: nothing is known to fill `{colour}`
  |
5 | message = "{colour}"
  |            ^^^^^^^^ it becomes `-` where a line has no such field

r.toml: 1 rule, 1 warning
"#;
    check(&[("r.toml", &text)], &["--rules", "r.toml"], 0, out);
}

#[test]
fn faults_end_with_2() {
    let text = format!("{GOOD}lvel = \"high\"\n");
    let out = r#"
r.toml:5:1: error: unknown key `lvel` in rule `down`
  |
5 | lvel = "high"
  | ^^^^ did you mean `level`?

r.toml: 1 error, no warnings
"#;
    check(&[("r.toml", &text)], &["--rules", "r.toml"], 2, out);
}

#[test]
fn rules_that_are_not_there_end_with_2() {
    let out = "nowhere.toml: no such file or directory: --rules takes a rule file or a directory of them\n";
    check(&[], &["--rules", "nowhere.toml"], 2, out);
    let out = "rules: no rule files: put at least one *.toml there\n";
    check(&[("rules/README.md", "")], &["--rules", "rules"], 2, out);
    let out = "\
r.toml:1:1: error: no rule: a rule begins with [[rule]]

r.toml: 1 error, no warnings
";
    check(&[("r.toml", "version = 1\n")], &["--rules", "r.toml"], 2, out);
}

#[test]
fn a_sample_shows_what_the_rules_make_of_it() {
    let out = "
r.toml: 1 rule, no warnings

app.log as source `app`:
   1  json      2026-01-20T10:05:00.120Z  down
   3  combined  2026-01-20T10:05:01.000Z  -
   4  json      no time                   down
   5  text      no time                   -
";
    let files = [("r.toml", GOOD), ("app.log", LOG)];
    check(&files, &["--rules", "r.toml", "--sample", "app.log"], 0, out);
}

#[test]
fn a_sample_belongs_to_the_source_that_names_it() {
    let text =
        format!("{GOOD}[[source]]\nname = \"web\"\npath = \"logs/app*.log\"\nformat = \"text\"\n");
    let out = "
r.toml: 1 rule, no warnings

app.log as source `web`:
   1  text      no time                   -
";
    let files = [("r.toml", &*text), ("app.log", "{\"http.response.status_code\":503}\n")];
    check(&files, &["--rules", "r.toml", "--sample", "app.log"], 0, out);
}

#[test]
fn a_sample_that_cannot_be_read_ends_with_3() {
    let directory = directory(&[("r.toml", GOOD)]);
    let checked = run(directory.path(), &["--rules", "r.toml", "--sample", "nowhere.log"]);
    assert_eq!(checked.code, Some(3));
    assert!(checked.out.starts_with("cannot read nowhere.log: "), "{}", checked.out);
}

#[test]
fn json_holds_the_same() {
    let text = format!("{GOOD}lvel = 1\n");
    let files = [("r.toml", &*text), ("good.toml", GOOD), ("app.log", LOG)];
    let directory = directory(&files);
    let faulty = run(directory.path(), &["--rules", "r.toml", "--json"]);
    assert_eq!(faulty.code, Some(2));
    let expected = serde_json::json!({
        "ok": false, "files": ["r.toml"], "rules": 0,
        "faults": [{
            "severity": "error", "file": "r.toml", "line": 5, "column": 1,
            "message": "unknown key `lvel` in rule `down`", "help": "did you mean `level`?",
        }],
    });
    assert_eq!(serde_json::from_str::<serde_json::Value>(&faulty.out).unwrap(), expected);
    let good = ["--rules", "good.toml", "--sample", "app.log", "--json"];
    let good = run(directory.path(), &good);
    let good: serde_json::Value = serde_json::from_str(&good.out).unwrap();
    assert_eq!(good["ok"], true);
    assert_eq!(
        good["sample"]["lines"][0],
        serde_json::json!({
            "line": 1, "format": "json", "time": "2026-01-20T10:05:00.120Z", "rules": ["down"],
        })
    );
    let missing = run(directory.path(), &["--rules", "nowhere", "--json"]);
    let missing: serde_json::Value = serde_json::from_str(&missing.out).unwrap();
    assert!(missing["error"].as_str().unwrap().starts_with("nowhere: no such file"));
}
