//! Requests that a shipped rule must see, and how long their alerts take.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use crate::http::Answer;
use crate::wait::{self, Stopwatch};

/// The promise: an alert is there within a second.
const ALERT_MAX: Duration = Duration::from_secs(1);

/// Longest wait, so that a late alert is told from none.
const PATIENCE: Duration = Duration::from_secs(10);

/// A request target, and the part of it that its alert's evidence shows.
pub(super) struct Attack {
    pub(super) target: &'static str,
    pub(super) mark: &'static str,
}

/// SQL in a parameter, percent-encoded as a browser sends it.
pub(super) const SQL: Attack = Attack { target: "/?q=1%27%20OR%201=1--", mark: "OR%201=1--" };

/// A script in a parameter, raw, as curl sends it: hyper refuses such a head, the record stays.
pub(super) const SCRIPT: Attack =
    Attack { target: "/?q=<script>alert(1)</script>", mark: "<script>alert(1)" };

/// A way out of the directory.
pub(super) const TRAVERSAL: Attack =
    Attack { target: "/?file=../../../../etc/passwd", mark: "etc/passwd" };

/// How often an alerts.log says that the attack was seen: by each rule that knows it, once.
pub(super) fn firings(alerts_log: &str, attack: &Attack) -> usize {
    let firing = |line: &&str| line.contains(r#""status":"firing""#) && line.contains(attack.mark);
    alerts_log.lines().filter(firing).count()
}

/// Sends the attack; answers when its alert is in `/alerts` and in alerts.log.
pub(super) fn alert_after(
    attack: &Attack,
    send: impl Fn(&str) -> Result<Answer>,
    alerts_log: impl Fn() -> Result<String>,
) -> Result<String> {
    let target = attack.target;
    let watch = Stopwatch::start();
    send(target)?;
    let seen = |text: &str| text.contains(attack.mark).then_some(());
    let shown = wait::until(PATIENCE, || Ok(seen(&send("/alerts")?.body)))?;
    let after = watch.elapsed();
    shown.with_context(|| format!("{target}: no alert in /alerts"))?;
    // It was written before it was shown. Looked for afterwards, as it may take a while to look.
    ensure!(alerts_log()?.contains(attack.mark), "{target}: in /alerts, but not in alerts.log");
    ensure!(after <= ALERT_MAX, "{target}: alert only after {} ms", after.as_millis());
    Ok(format!("alert after {} ms", after.as_millis()))
}
