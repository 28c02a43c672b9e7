//! `sentinel check`: rule files in, their faults out, and on request what the rules make of a log.

use std::{
    fs::File,
    io::{self, Read as _, Write},
    path::Path,
    process::ExitCode,
};

use serde::Serialize;

use crate::{
    rule::{Fault, RuleSet, Severity, load},
    time::Timestamp,
};

/// Lines of a sample that are shown.
pub const SAMPLE_LINES_MAX: usize = 20;

/// Bytes of a sample that are read.
const SAMPLE_BYTES_MAX: u64 = 1 << 20;

/// What was found.
#[derive(Debug, Serialize)]
struct Findings {
    ok: bool,
    files: Vec<String>,
    rules: usize,
    /// Why there is nothing to check, or no sample.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    faults: Vec<Fault>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sample: Option<Sample>,
}

/// What the rules make of the first lines of a file.
#[derive(Debug, Serialize)]
struct Sample {
    file: String,
    source: String,
    lines: Vec<SampleLine>,
}

#[derive(Debug, Serialize)]
struct SampleLine {
    line: usize,
    format: &'static str,
    time: Option<String>,
    rules: Vec<String>,
}

/// Writes what is wrong with the rules at a path, and with `sample` how the first lines of that
/// file are read and which rules they match. Exit code 2 where the rules cannot be used, 3 where
/// the sample cannot be read or the findings cannot be written.
pub fn check(rules: &Path, sample: Option<&Path>, json: bool, out: &mut dyn Write) -> ExitCode {
    let (findings, code) = findings(rules, sample);
    let written = if json {
        serde_json::to_string(&findings)
            .map_err(io::Error::other)
            .and_then(|findings| writeln!(out, "{findings}"))
    } else {
        print(&findings, out)
    };
    match written.and_then(|()| out.flush()) {
        // Whoever reads may have seen enough.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => ExitCode::from(3),
        _ => ExitCode::from(code),
    }
}

fn findings(rules: &Path, sample: Option<&Path>) -> (Findings, u8) {
    let mut findings = Findings {
        ok: false,
        files: Vec::new(),
        rules: 0,
        error: None,
        faults: Vec::new(),
        sample: None,
    };
    let files = match load::read(rules) {
        Ok(files) => files,
        Err(unreadable) => {
            findings.error = Some(unreadable.to_string());
            return (findings, 2);
        }
    };
    let (set, faults) = RuleSet::parse(&files);
    findings.files = files.into_iter().map(|(path, _)| path).collect();
    findings.faults = faults;
    let Some(set) = set else { return (findings, 2) };
    findings.rules = set.rules.len();
    match sample.map(|path| (path, tried(&set, path))) {
        Some((_, Ok(sample))) => findings.sample = Some(sample),
        Some((path, Err(error))) => {
            findings.error = Some(format!("cannot read {}: {error}", path.display()));
            return (findings, 3);
        }
        None => {}
    }
    findings.ok = true;
    (findings, 0)
}

fn tried(set: &RuleSet, path: &Path) -> io::Result<Sample> {
    let mut bytes = Vec::new();
    File::open(path)?.take(SAMPLE_BYTES_MAX).read_to_end(&mut bytes)?;
    let source = source_of(set, path);
    let view = set.view(&source);
    let lines = bytes.split(|byte| *byte == b'\n');
    let lines = lines.map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let lines = (1..).zip(lines).filter(|(_, line)| !line.is_empty()).take(SAMPLE_LINES_MAX);
    let lines = lines.map(|(number, line)| {
        let mut matched = Vec::new();
        set.scan(&view, line, &mut |rule, _| {
            matched.extend(set.rules.get(rule).map(|rule| rule.id.clone()));
        });
        SampleLine {
            line: number,
            format: view.format(line).name(),
            time: set.time(&view, line).map(Timestamp::rfc3339),
            rules: matched,
        }
    });
    Ok(Sample { file: path.display().to_string(), lines: lines.collect(), source })
}

/// The source that a file of this name would belong to.
fn source_of(set: &RuleSet, path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let named = |glob: &String| {
        let last = glob.rsplit('/').next().unwrap_or(glob);
        glob::Pattern::new(last).is_ok_and(|pattern| pattern.matches(&name))
    };
    match set.sources.iter().find(|source| source.path.iter().any(named)) {
        Some(source) => source.name.clone(),
        // Of access.log.1 too the source is access.
        None => name.split_once(".log").map_or(&*name, |(stem, _)| stem).to_owned(),
    }
}

fn print(findings: &Findings, out: &mut dyn Write) -> io::Result<()> {
    for fault in &findings.faults {
        writeln!(out, "{fault}\n")?;
    }
    if let Some(error) = &findings.error {
        writeln!(out, "{error}")?;
    }
    if !findings.files.is_empty() {
        let of =
            |severity| findings.faults.iter().filter(|fault| fault.severity == severity).count();
        let files = findings.files.join(", ");
        let warnings = counted(of(Severity::Warning), "warning");
        match of(Severity::Error) {
            0 => writeln!(out, "{files}: {}, {warnings}", counted(findings.rules, "rule"))?,
            errors => writeln!(out, "{files}: {}, {warnings}", counted(errors, "error"))?,
        }
    }
    let Some(sample) = &findings.sample else { return Ok(()) };
    writeln!(out, "\n{} as source `{}`:", sample.file, sample.source)?;
    for SampleLine { line, format, time, rules } in &sample.lines {
        let time = time.as_deref().unwrap_or("no time");
        let rules = if rules.is_empty() { "-".to_owned() } else { rules.join(", ") };
        writeln!(out, "{line:>4}  {format:<8}  {time:<24}  {rules}")?;
    }
    Ok(())
}

fn counted(count: usize, noun: &str) -> String {
    match count {
        0 => format!("no {noun}s"),
        1 => format!("1 {noun}"),
        _ => format!("{count} {noun}s"),
    }
}
