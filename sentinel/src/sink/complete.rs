//! After a restart: what was to be appended in, each line of it in `alerts.log` once.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::{self, BufRead as _, BufReader, Read as _, Seek as _, SeekFrom, Write as _},
    os::unix::fs::{FileExt as _, MetadataExt as _},
    path::Path,
};

use shared::Alert;

use super::alerts_log::Mark;
use crate::tail::{search, siblings::directory};

/// Longest line that is looked for among lines of others, in bytes. Longer ones are passed over in
/// pieces.
const LINE_BYTES_MAX: usize = 1 << 20;

/// Lines as they were to be appended.
#[derive(Debug, Clone, Copy)]
pub struct Appended<'a> {
    /// Where.
    pub mark: Mark,
    /// Whole ones.
    pub lines: &'a str,
    /// `seq` of the last of them.
    pub seq: u64,
}

/// What the files hold now.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Completed {
    /// The highest `seq` that was found: a loss of power may leave more in `alerts.log` than the
    /// journal knows.
    pub seq: u64,
    /// `seq` of the last alert whose file was cut or deleted by others: nothing is written again.
    pub gone: Option<u64>,
}

/// Sees to it that what was appended, in that order, stands there once: a line that is torn is
/// completed, one that is missing is appended. Files are found by their inodes, under whatever names
/// they have now. Done again, it changes nothing.
///
/// # Errors
/// Those of the disk.
pub fn complete<'a>(
    path: &Path,
    appended: impl IntoIterator<Item = Appended<'a>>,
) -> io::Result<Completed> {
    let mut completed = Completed::default();
    for stretch in stretches(appended) {
        let file = match find(path, stretch.mark)? {
            Some(file) if stretch.stands_in(&file)? => Some(file),
            _ => None,
        };
        match file {
            Some(file) => completed.seq = completed.seq.max(stretch.complete(&file)?),
            None if stretch.lines.is_empty() => {}
            None => completed.gone = completed.gone.max(Some(stretch.seq)),
        }
    }
    Ok(completed)
}

/// What was appended to one file since it was last cut.
#[derive(Debug)]
struct Stretch<'a> {
    mark: Mark,
    end: u64,
    lines: Vec<&'a str>,
    seq: u64,
}

fn stretches<'a>(appended: impl IntoIterator<Item = Appended<'a>>) -> Vec<Stretch<'a>> {
    let mut stretches: Vec<Stretch<'a>> = Vec::new();
    for Appended { mark, lines, seq } in appended {
        let end = mark.len + lines.len() as u64;
        let lines = lines.split_inclusive('\n');
        let known = stretches.iter_mut().find(|stretch| stretch.mark.inode == mark.inode);
        match known {
            // What others had written in between is passed over.
            Some(stretch) if mark.len >= stretch.end => {
                stretch.lines.extend(lines);
                (stretch.end, stretch.seq) = (end, seq);
            }
            // Others had cut it: what stood there before had been delivered.
            Some(stretch) => *stretch = Stretch { mark, end, lines: lines.collect(), seq },
            None => stretches.push(Stretch { mark, end, lines: lines.collect(), seq }),
        }
    }
    stretches
}

impl Stretch<'_> {
    /// Whether it is a file of alerts that was not cut: a log may have the inode of one that was
    /// deleted.
    fn stands_in(&self, file: &File) -> io::Result<bool> {
        let len = file.metadata()?.len();
        if len < self.mark.len {
            return Ok(false);
        }
        let first = self.lines.first().filter(|_| self.mark.len == 0).map_or(0, |line| line.len());
        let mut head = vec![0; first.min(usize::try_from(len).unwrap_or(usize::MAX))];
        file.read_exact_at(&mut head, 0)?;
        let is_begun = self.lines.first().is_some_and(|line| line.as_bytes().starts_with(&head));
        Ok(len == 0
            || (self.mark.len == 0 && is_begun)
            || search::holds_alerts(&mut file.try_clone()?.into())?)
    }

    /// Appends what is missing. Gives the highest `seq` that nobody had asked for.
    fn complete(&self, file: &File) -> io::Result<u64> {
        let mut missing: BTreeSet<&[u8]> = self.lines.iter().map(|line| line.as_bytes()).collect();
        let longest = missing.iter().map(|line| line.len()).max().unwrap_or(0);
        let mut seq = 0;
        let end = each_line(file, self.mark.len, longest.max(LINE_BYTES_MAX), |line| {
            // By what it says and not by its place: others may have written before it.
            if !missing.remove(line)
                && let Ok(alert) = serde_json::from_slice::<Alert>(line)
            {
                seq = seq.max(alert.seq);
            }
        })?;
        let lines = self.lines.iter().map(|line| line.as_bytes());
        let rest = lines.filter(|line| missing.contains(line)).collect::<Vec<_>>().concat();
        if rest.is_empty() {
            return Ok(seq);
        }
        let torn = end.torn.as_slice();
        let rest = match rest.strip_prefix(torn) {
            Some(untorn) if !torn.is_empty() => untorn.to_vec(),
            _ if end.is_line_end => rest,
            _ => [b"\n", rest.as_slice()].concat(),
        };
        (&*file).write_all(&rest)?;
        Ok(seq)
    }
}

/// How a file ends.
#[derive(Debug)]
struct End {
    /// What follows the last line feed; of a very long line a part.
    torn: Vec<u8>,
    is_line_end: bool,
}

fn each_line(
    file: &File,
    from: u64,
    line_bytes_max: usize,
    mut each: impl FnMut(&[u8]),
) -> io::Result<End> {
    let mut reader = BufReader::new(file);
    reader.seek(SeekFrom::Start(from))?;
    let mut line = Vec::new();
    let mut is_line_end = true;
    loop {
        line.clear();
        let most = line_bytes_max as u64;
        let read = reader.by_ref().take(most).read_until(b'\n', &mut line)? as u64;
        if read == 0 {
            return Ok(End { torn: line, is_line_end });
        }
        is_line_end = line.ends_with(b"\n");
        if !is_line_end && read < most {
            return Ok(End { torn: line, is_line_end });
        }
        each(&line);
    }
}

fn find(path: &Path, mark: Mark) -> io::Result<Option<File>> {
    let siblings = match fs::read_dir(directory(path)) {
        Ok(siblings) => Some(siblings),
        // Whoever opens the file for appending says so better.
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    let siblings = siblings.into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()));
    for candidate in std::iter::once(path.to_owned()).chain(siblings) {
        match fs::metadata(&candidate) {
            // One directory is on one device, whose number may be another since the machine started.
            Ok(found) if found.is_file() && found.ino() == mark.inode.ino() => {
                return File::options().read(true).append(true).open(&candidate).map(Some);
            }
            _ => {}
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use std::{fs, path::PathBuf};

    use proptest::{prelude::*, sample::Index};

    use super::*;
    use crate::sink::alerts_log::AlertsLog;

    struct Dir {
        dir: tempfile::TempDir,
        log: AlertsLog,
    }

    impl Dir {
        /// An alerts.log with an alert in it.
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let log = AlertsLog::open(&dir.path().join("alerts.log")).unwrap();
            let mut dir = Self { dir, log };
            dir.append(&alert(1));
            dir
        }

        fn path(&self, name: &str) -> PathBuf {
            self.dir.path().join(name)
        }

        fn read(&self, name: &str) -> String {
            fs::read_to_string(self.path(name)).unwrap()
        }

        /// As the daemon does. Gives where.
        fn append(&mut self, lines: &str) -> Mark {
            let mark = self.log.ready().unwrap();
            self.log.append(lines.as_bytes()).unwrap();
            mark
        }

        /// What is said of these lines; said and done again, it is the same.
        #[track_caller]
        fn complete(&self, appended: &[(Mark, &str)]) -> Completed {
            let appended = appended.iter().zip(2..).map(|((mark, lines), seq)| Appended {
                mark: *mark,
                lines,
                seq,
            });
            let path = self.path("alerts.log");
            let completed = complete(&path, appended.clone()).unwrap();
            let then = fs::read(&path).ok();
            assert_eq!(complete(&path, appended).unwrap(), completed);
            assert_eq!(fs::read(&path).ok(), then);
            completed
        }
    }

    fn alert(seq: u64) -> String {
        let mut alert = crate::alert::golden();
        alert.seq = seq;
        crate::alert::line(&alert)
    }

    const WHOLE: Completed = Completed { seq: 0, gone: None };

    /// What stands behind the first alert after `there` of `aa\nbb\n` had been appended.
    #[track_caller]
    fn check(there: &str, expected: &str) {
        let mut dir = Dir::new();
        let first = dir.read("alerts.log");
        let mark = dir.append(there);
        assert_eq!(dir.complete(&[(mark, "aa\nbb\n")]), WHOLE);
        assert_eq!(dir.read("alerts.log").strip_prefix(&first).unwrap(), expected);
    }

    #[test]
    fn what_a_crash_left_out_is_appended_once() {
        check("", "aa\nbb\n");
        check("a", "aa\nbb\n");
        check("aa\nb", "aa\nbb\n");
        check("aa\nbb\n", "aa\nbb\n");
    }

    #[test]
    fn what_others_wrote_stays() {
        check("xx\n", "xx\naa\nbb\n");
        check("xx", "xx\naa\nbb\n");
        check("aa\nxx\nb", "aa\nxx\nbb\n");
        check("axx\n", "axx\naa\nbb\n");
        check("aa\nbb\nxx", "aa\nbb\nxx");
        // A loss of power may leave zeros where bytes were to be.
        check("aa\nb\0\0\0", "aa\nb\0\0\0\nbb\n");
        let zeros = "\0".repeat(LINE_BYTES_MAX);
        check(&zeros, &format!("{zeros}\naa\nbb\n"));
        check(&format!("{zeros}{zeros}0"), &format!("{zeros}{zeros}0\naa\nbb\n"));
    }

    #[test]
    fn a_file_renamed_by_others_is_completed_where_it_is() {
        let mut dir = Dir::new();
        let first = dir.read("alerts.log");
        let (a, b) = (dir.append("aa\n"), dir.append(""));
        fs::rename(dir.path("alerts.log"), dir.path("taken")).unwrap();
        let c = dir.append("c");
        assert_eq!(dir.complete(&[(a, "aa\n"), (b, "bb\n"), (c, "cc\n")]), WHOLE);
        assert_eq!(dir.read("taken"), format!("{first}aa\nbb\n"));
        assert_eq!(dir.read("alerts.log"), "cc\n");
    }

    #[test]
    fn a_file_cut_or_deleted_by_others_is_not_written_again() {
        let mut dir = Dir::new();
        let path = dir.path("alerts.log");
        let mark = dir.append("aa\n");
        let appended = [(mark, "aa\n"), (mark, "bb\n")];
        fs::write(&path, "").unwrap();
        assert_eq!(dir.complete(&appended), Completed { seq: 0, gone: Some(3) });
        assert_eq!(dir.read("alerts.log"), "");
        fs::remove_file(&path).unwrap();
        assert_eq!(dir.complete(&appended), Completed { seq: 0, gone: Some(3) });
        assert!(!path.exists());
    }

    #[test]
    fn a_file_cut_by_others_is_completed_behind_the_cut() {
        let mut dir = Dir::new();
        let before = dir.append("aa\n");
        fs::write(dir.path("alerts.log"), "").unwrap();
        let after = dir.append("");
        fs::write(dir.path("alerts.log"), "b").unwrap();
        assert_eq!(dir.complete(&[(before, "aa\n"), (after, "bb\n")]), WHOLE);
        assert_eq!(dir.read("alerts.log"), "bb\n");
    }

    #[test]
    fn a_log_that_has_the_inode_of_a_deleted_file_is_left_alone() {
        let mut dir = Dir::new();
        let mark = dir.append("");
        fs::rename(dir.path("alerts.log"), dir.path("a.log")).unwrap();
        let text = "somebody's line\n".repeat(100);
        fs::write(dir.path("a.log"), &text).unwrap();
        assert_eq!(dir.complete(&[(mark, "aa\n")]), Completed { seq: 0, gone: Some(2) });
        assert_eq!(dir.read("a.log"), text);
    }

    #[test]
    fn alerts_that_the_journal_has_lost_are_found() {
        let mut dir = Dir::new();
        let mark = dir.append(&[alert(7), alert(8), "{torn".into()].concat());
        assert_eq!(dir.complete(&[(mark, "")]), Completed { seq: 8, gone: None });
        assert_eq!(dir.complete(&[(mark, &alert(7))]), Completed { seq: 8, gone: None });
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn after_a_loss_of_power_each_line_stands_once(
            turns in proptest::collection::vec((1_u64..4, any::<bool>()), 1..12),
            left in any::<Index>(),
        ) {
            let mut dir = Dir::new();
            let mut seq = 1;
            let mut appended = Vec::new();
            for (alerts, is_renamed) in turns {
                if is_renamed {
                    fs::rename(dir.path("alerts.log"), dir.path(&format!("alerts.log.{seq}"))).unwrap();
                }
                let lines: String = (seq + 1..=seq + alerts).map(alert).collect();
                seq += alerts;
                appended.push((dir.append(&lines), lines));
            }
            // Of the last file a beginning is left, but no less than the first mark.
            let path = dir.path("alerts.log");
            let whole = fs::read(&path).unwrap();
            let last = appended.last().unwrap().0.inode;
            let from = appended.iter().find(|(mark, _)| mark.inode == last).unwrap().0.len;
            let from = usize::try_from(from).unwrap();
            let cut = from + left.index(whole.len() - from + 1);
            File::options().write(true).open(&path).unwrap().set_len(cut as u64).unwrap();
            let appended: Vec<_> = appended.iter().map(|(mark, lines)| (*mark, lines.as_str())).collect();
            prop_assert_eq!(dir.complete(&appended), WHOLE);
            prop_assert_eq!(fs::read(&path).unwrap(), whole);
        }
    }
}
