//! alerts.log rotated by sentinel itself at its size, and by others, while it runs, while it is down,
//! and with a kill at any moment of it: no alert is missing and none stands twice.

mod support;

use std::{
    fs::{self, File},
    path::PathBuf,
};

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use sentinel::sink::alerts_log::{ALERTS_BYTES_MAX, ALERTS_FILES_KEPT};
use support::{ADMIN, Sandbox, admin, seed, wait};

/// When sentinel is killed.
#[derive(Debug, Clone, Copy)]
enum Kill {
    /// The alert that rotates is on its way.
    AtOnce,
    /// The old file has its new name.
    Renamed,
    /// The new one is there.
    Made,
    /// The alert stands in it.
    Appended,
    /// Not at all.
    Never,
}

const KILLS: [Kill; 5] = [Kill::AtOnce, Kill::Renamed, Kill::Made, Kill::Appended, Kill::Never];

fn alerts(sandbox: &Sandbox) -> PathBuf {
    sandbox.path("logs/alerts.log")
}

/// The numbers that stand there, in that order.
fn numbers(path: &PathBuf) -> Vec<u64> {
    let text = fs::read_to_string(path).unwrap_or_default();
    let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
    let alert = |line| serde_json::from_str::<shared::Alert>(line).unwrap();
    whole.lines().map(|line| alert(line).seq).collect()
}

#[test]
fn sentinel_rotates_at_its_size_and_keeps_five_whenever_it_is_killed() {
    let seed = seed();
    let mut random = StdRng::seed_from_u64(seed);
    let sandbox = Sandbox::new(ADMIN);
    let path = alerts(&sandbox);
    let numbered = |number: u32| sandbox.path(&format!("logs/alerts.log.{number}"));
    let mut sentinel = sandbox.start();
    sandbox.log("a.log", &[admin(1)]);
    let mut written = 1;
    for _ in 0..20 {
        let stands = |number| {
            let what = format!("alert {number} (seed {seed})");
            wait(&what, || sandbox.explain(), || numbers(&path).last() == Some(&number));
        };
        stands(written);
        // As large as it must be, and holding what it holds.
        let file = File::options().append(true).open(&path).unwrap();
        let len = file.metadata().unwrap().len();
        file.set_len(ALERTS_BYTES_MAX).unwrap();
        written += 1;
        sandbox.log("a.log", &[admin(u32::try_from(written).unwrap())]);
        let kill = KILLS[random.random_range(0..KILLS.len())];
        let ino = |path: &PathBuf| {
            fs::metadata(path).map(|found| std::os::unix::fs::MetadataExt::ino(&found)).ok()
        };
        let old = std::os::unix::fs::MetadataExt::ino(&file.metadata().unwrap());
        let come = |what: &str, is_so: &dyn Fn() -> bool| {
            wait(&format!("{what} (seed {seed})"), || sandbox.explain(), is_so);
        };
        match kill {
            Kill::AtOnce => {}
            Kill::Renamed => come("the new name", &|| ino(&numbered(1)) == Some(old)),
            Kill::Made => come("the new file", &|| ino(&path).is_some_and(|new| new != old)),
            Kill::Appended | Kill::Never => stands(written),
        }
        if !matches!(kill, Kill::Never) {
            sentinel.kill();
            sentinel = sandbox.start();
        }
        stands(written);
        assert_eq!(ino(&numbered(1)), Some(old), "seed {seed}: {}", sandbox.explain());
        file.set_len(len).unwrap();
        assert_eq!(numbers(&numbered(1)), [written - 1], "seed {seed}: {}", sandbox.explain());
    }
    let kept: Vec<u64> = (1..=ALERTS_FILES_KEPT).flat_map(|n| numbers(&numbered(n))).collect();
    let expected: Vec<u64> = (written - u64::from(ALERTS_FILES_KEPT)..written).rev().collect();
    assert_eq!(kept, expected, "seed {seed}: {}", sandbox.explain());
    assert!(!numbered(ALERTS_FILES_KEPT + 1).exists());
    assert_eq!(sentinel.terminate(), 0);
}

#[test]
fn a_kill_between_the_new_name_and_the_new_file_costs_nothing() {
    let sandbox = Sandbox::new(ADMIN);
    let mut sentinel = sandbox.start();
    sandbox.log("a.log", &[admin(1)]);
    sandbox.expect_alerts(1);
    sentinel.kill();
    fs::rename(alerts(&sandbox), sandbox.path("logs/alerts.log.1")).unwrap();
    sandbox.log("a.log", &[admin(2)]);
    let _sentinel = sandbox.start();
    sandbox.expect_alerts(2);
    assert_eq!(numbers(&alerts(&sandbox)), [2]);
    assert_eq!(numbers(&sandbox.path("logs/alerts.log.1")), [1]);
}

#[test]
fn a_line_torn_by_a_kill_is_completed_where_others_have_put_it() {
    for left in [0, 1, 200] {
        let sandbox = Sandbox::new(ADMIN);
        let mut sentinel = sandbox.start();
        sandbox.log("a.log", &[admin(1)]);
        sandbox.expect_alerts(1);
        sandbox.log("a.log", &[admin(2)]);
        sandbox.expect_alerts(2);
        sentinel.kill();
        let text = fs::read_to_string(alerts(&sandbox)).unwrap();
        let torn = text.find('\n').unwrap() as u64 + 1 + left;
        File::options().write(true).open(alerts(&sandbox)).unwrap().set_len(torn).unwrap();
        let archived = sandbox.path("logs/archived-alerts");
        fs::rename(alerts(&sandbox), &archived).unwrap();
        fs::write(alerts(&sandbox), "").unwrap();
        sandbox.log("a.log", &[admin(3)]);
        let _sentinel = sandbox.start();
        sandbox.expect_alerts(1);
        assert_eq!(fs::read_to_string(&archived).unwrap(), text);
        assert_eq!(numbers(&alerts(&sandbox)), [3]);
    }
}
