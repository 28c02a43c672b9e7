//! Files that are full, moved, removed, torn; disks that are full.

use std::os::unix::fs::{PermissionsExt, symlink};

use super::*;
use crate::clock;

struct Bench {
    dir: tempfile::TempDir,
    tally: Arc<Tally>,
    now: Instant,
}

impl Bench {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self { dir, tally: Arc::default(), now: clock::now() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn open(&self, bytes_max: u64) -> LogFile {
        let path = self.path("x.log");
        LogFile::open(&path, bytes_max, Arc::clone(&self.tally), self.now).unwrap()
    }

    fn later(&mut self, seconds: u64) -> Instant {
        self.now += Duration::from_secs(seconds);
        self.now
    }

    #[track_caller]
    fn check(&self, name: &str, content: &str) {
        assert_eq!(fs::read_to_string(self.path(name)).unwrap(), content);
    }
}

#[test]
fn lines_are_appended_and_the_file_is_no_strangers() {
    let bench = Bench::new();
    fs::write(bench.path("x.log"), "old\n").unwrap();
    let mut file = bench.open(1_000);
    file.append(b"one\ntwo\n", bench.now);
    bench.check("x.log", "old\none\ntwo\n");
    assert_eq!(bench.tally.written(), 2);
    fs::remove_file(bench.path("x.log")).unwrap();
    let _new = bench.open(1_000);
    let mode = fs::metadata(bench.path("x.log")).unwrap().permissions().mode();
    assert_eq!(mode & 0o137, 0);
}

#[test]
fn a_full_file_is_rotated_and_five_are_kept() {
    let bench = Bench::new();
    let mut file = bench.open(8);
    for n in 0..8 {
        file.append(format!("line {n}\n").as_bytes(), bench.now);
    }
    bench.check("x.log", "line 7\n");
    bench.check("x.log.1", "line 6\n");
    bench.check("x.log.5", "line 2\n");
    assert!(!bench.path("x.log.6").exists());
}

#[test]
fn a_file_that_was_moved_or_removed_is_made_anew() {
    let mut bench = Bench::new();
    let mut file = bench.open(1_000);
    fs::rename(bench.path("x.log"), bench.path("moved")).unwrap();
    file.append(b"one\n", bench.now);
    file.append(b"two\n", bench.later(1));
    bench.check("moved", "one\n");
    bench.check("x.log", "two\n");
    fs::remove_file(bench.path("x.log")).unwrap();
    file.look_after(bench.later(1));
    bench.check("x.log", "");
}

#[test]
fn reopening_follows_the_path_at_once() {
    let bench = Bench::new();
    let mut file = bench.open(1_000);
    fs::rename(bench.path("x.log"), bench.path("moved")).unwrap();
    file.reopen(bench.now);
    file.append(b"one\n", bench.now);
    bench.check("moved", "");
    bench.check("x.log", "one\n");
}

#[test]
fn a_full_disk_loses_nothing_that_fits_into_the_backlog() {
    let mut bench = Bench::new();
    symlink("/dev/full", bench.path("x.log")).unwrap();
    let mut file = bench.open(1_000);
    file.append(b"one\n", bench.now);
    file.append(b"two\n", bench.later(1));
    assert_eq!((bench.tally.written(), bench.tally.dropped()), (0, 0));
    assert!(matches!(bench.tally.cause(), Some(Loss::Write(_))));

    fs::remove_file(bench.path("x.log")).unwrap();
    file.append(b"three\n", bench.later(10));
    bench.check("x.log", "one\ntwo\nthree\n");
    assert_eq!((bench.tally.written(), bench.tally.dropped()), (3, 0));
}

#[test]
fn what_does_not_fit_is_counted() {
    let mut bench = Bench::new();
    symlink("/dev/full", bench.path("x.log")).unwrap();
    let mut file = bench.open(u64::MAX);
    let line = [vec![b'x'; 999], vec![b'\n']].concat();
    for _ in 0..1_100 {
        file.append(&line, bench.now);
    }
    assert_eq!(bench.tally.dropped(), 1_100 - 1_048);
    fs::remove_file(bench.path("x.log")).unwrap();
    file.look_after(bench.later(10));
    assert_eq!(bench.tally.written(), 1_048);
}

#[test]
fn a_torn_line_never_swallows_the_next() {
    let bench = Bench::new();
    // As a full disk or a kill would leave it.
    fs::write(bench.path("x.log"), "one\ntw").unwrap();
    let mut file = bench.open(1_000);
    file.append(b"two\n", bench.now);
    bench.check("x.log", "one\ntw\ntwo\n");
}

#[test]
fn a_missing_directory_is_waited_for() {
    let mut bench = Bench::new();
    fs::create_dir(bench.path("d")).unwrap();
    let path = bench.path("d/x.log");
    let mut file = LogFile::open(&path, 1_000, Arc::clone(&bench.tally), bench.now).unwrap();
    fs::remove_dir_all(bench.path("d")).unwrap();
    file.append(b"one\n", bench.later(1));
    fs::create_dir(bench.path("d")).unwrap();
    file.append(b"two\n", bench.later(10));
    bench.check("d/x.log", "one\ntwo\n");
}

#[test]
fn nothing_is_written_to_a_file_that_was_removed() {
    let mut bench = Bench::new();
    fs::create_dir(bench.path("d")).unwrap();
    let path = bench.path("d/x.log");
    let mut file = LogFile::open(&path, 1_000, Arc::clone(&bench.tally), bench.now).unwrap();
    fs::remove_file(&path).unwrap();
    file.append(b"one\n", bench.now);
    bench.check("d/x.log", "one\n");
    fs::remove_dir_all(bench.path("d")).unwrap();
    file.append(b"two\n", bench.later(1));
    // The pause is over, and the path was looked at less than a second ago.
    bench.now += PAUSE_MIN * 2;
    file.append(b"three\n", bench.now);
    assert_eq!(bench.tally.written(), 1);
    fs::create_dir(bench.path("d")).unwrap();
    file.look_after(bench.later(1));
    bench.check("d/x.log", "two\nthree\n");
    assert_eq!((bench.tally.written(), bench.tally.dropped()), (3, 0));
}

#[test]
fn at_the_end_what_waits_is_tried_once_more() {
    let bench = Bench::new();
    symlink("/dev/full", bench.path("x.log")).unwrap();
    let mut file = bench.open(1_000);
    file.append(b"one\n", bench.now);
    fs::remove_file(bench.path("x.log")).unwrap();
    file.finish(bench.now);
    bench.check("x.log", "one\n");
}
