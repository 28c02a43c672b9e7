//! A number in; the line of that number as webapp would log it out. Some are probes, which a rule
//! makes an alert of.

use std::{fmt::Write as _, time::Duration};

/// What stands before a probe's number, in its line and in what is made of it.
const MARK: &str = "probe=";

/// A rule that makes an alert of each probe, at once.
pub(crate) const RULE: &str = r#"
version = 1
[[rule]]
id       = "latency-probe"
title    = "A line whose way is measured"
level    = "low"
match    = { "url.path" = "/latency-probe" }
message  = "{url.query}"
cooldown = "0s"
"#;

/// Appends line `n`, logged `since` the beginning; probe number `probe` if there is one.
pub(crate) fn append(to: &mut String, n: u64, since: Duration, probe: Option<usize>) {
    let (seconds, millis) = (since.as_secs(), since.subsec_millis());
    let (minute, second) = (seconds / 60 % 60, seconds % 60);
    let (path, query) = match probe {
        Some(probe) => ("/latency-probe", format!("{MARK}{probe}")),
        None => ("/", format!("id={n}")),
    };
    writeln!(
        to,
        r#"{{"@timestamp":"2026-01-20T10:{minute:02}:{second:02}.{millis:03}Z","log.level":"info","message":"request","event.dataset":"webapp.requests","event.action":"request","event.outcome":"success","event.sequence":{n},"event.duration":148650,"service.name":"webapp","service.version":"0.1.0","http.request.id":"{n:032x}","http.request.method":"GET","http.request.body.bytes":0,"http.version":"1.1","url.path":"{path}","url.query":"{query}","client.ip":"10.0.{}.{}","network.peer.address":"127.0.0.1","user_agent.original":"Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0","trace.id":"{n:032x}","http.response.status_code":200,"http.response.body.bytes":1021}}"#,
        n / 250 % 250,
        n % 250,
    )
    .expect("a string takes what it is given");
}

/// The number of the probe that a line tells of.
pub(crate) fn probe(line: &[u8]) -> Option<usize> {
    let at = memchr::memmem::find(line, MARK.as_bytes())? + MARK.len();
    let digits = line.get(at..)?.iter().take_while(|byte| byte.is_ascii_digit());
    let digits: Vec<u8> = digits.copied().collect();
    std::str::from_utf8(&digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_probe_is_known_by_its_number() {
        let mut text = String::new();
        append(&mut text, 7, Duration::from_millis(61_005), Some(42));
        append(&mut text, 8, Duration::from_millis(61_005), None);
        assert!(text.contains("2026-01-20T10:01:01.005Z"), "{text}");
        let found: Vec<_> = text.lines().map(|line| probe(line.as_bytes())).collect();
        assert_eq!(found, [Some(42), None]);
    }
}
