//! From what is on disk back to the one point where everything stood: the snapshot, the journalled
//! turns again in their own order and time, and the alerts they had raised, each once.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::Path,
    sync::Arc,
    time::Instant,
};

use shared::alert::Observer;

use super::{
    journal::{self, Frame},
    snapshot::{Missing, Snapshot},
};
use crate::{
    engine::{Engine, State},
    notice::{Notice, Reason},
    rule::RuleSet,
    sink::{
        complete::{Appended, complete},
        ring::Ring,
    },
    tail::{From, Tail, identity::FileRecord},
    turn::Input,
};

/// Where things are.
#[derive(Debug)]
pub struct Places<'a> {
    /// What is tailed.
    pub log_dir: &'a Path,
    /// What alerts are appended to.
    pub alerts: &'a Path,
    /// What is kept between runs.
    pub state_dir: &'a Path,
}

/// Where everything stands again.
#[derive(Debug)]
pub struct Recovered {
    /// The detector, as after the last turn that was shown to anyone.
    pub engine: Engine,
    /// The files, each where it was read up to then.
    pub tail: Tail,
    /// The recent alerts, every one that was raised among them.
    pub ring: Ring,
    /// The next snapshot and its journal.
    pub generation: u64,
    /// What has to be said, as an alert.
    pub notices: Vec<Notice>,
    /// What has to be said to whoever started sentinel.
    pub remarks: Vec<String>,
    /// Where files that are not known yet are begun.
    pub from: From,
}

/// Reads the state directory and repeats what was journalled.
///
/// # Errors
/// Those of the disk.
pub fn recover(
    places: &Places<'_>,
    rules: Arc<RuleSet>,
    observer: Observer,
    from: From,
    now: Instant,
) -> io::Result<Recovered> {
    match Snapshot::read(places.state_dir)? {
        Ok(snapshot) => resume(places, rules, observer, snapshot, now),
        Err(missing) => begin(places, rules, observer, from, &missing),
    }
}

/// Nothing is known of the past, except what alerts.log tells.
fn begin(
    places: &Places<'_>,
    rules: Arc<RuleSet>,
    observer: Observer,
    from: From,
    missing: &Missing,
) -> io::Result<Recovered> {
    let ring = Ring::warmed(places.alerts)?;
    let seq = ring.last_seq();
    let state = State::begin(rand::random(), seq);
    let lost = seq > 0 || matches!(missing, Missing::Broken);
    let mut recovered = Recovered {
        engine: Engine::new(rules, state, observer),
        tail: Tail::new(places.log_dir, places.alerts, 1, Vec::new()),
        ring,
        generation: 1,
        notices: Vec::new(),
        remarks: Vec::new(),
        from,
    };
    if lost {
        // What was read before nobody knows: reading it all again would repeat its alerts.
        recovered.from = From::End;
        recovered.remarks.push(format!(
            "{} has no usable snapshot though sentinel ran here before: alerts go on after \
             number {seq}, log files are read from their present end",
            places.state_dir.display()
        ));
        recovered.notices.push(Notice::Gap {
            source: String::new(),
            file: places.log_dir.display().to_string(),
            from: 0,
            to: None,
            reason: Reason::StateLost,
        });
    }
    Ok(recovered)
}

fn resume(
    places: &Places<'_>,
    rules: Arc<RuleSet>,
    observer: Observer,
    snapshot: Snapshot<State>,
    now: Instant,
) -> io::Result<Recovered> {
    let journal::Journalled { frames, generation } =
        journal::read(places.state_dir, snapshot.generation)?;
    let stood = Appended { mark: snapshot.mark, lines: "", seq: snapshot.state.seq };
    let appended = frames.iter().map(|frame| Appended {
        mark: frame.mark,
        lines: &frame.alerts,
        seq: frame.seq,
    });
    // All frames since the snapshot: a loss of power may take more from alerts.log than the last one
    // had brought.
    let completed = complete(places.alerts, [stood].into_iter().chain(appended))?;
    let mut ring = Ring::warmed(places.alerts)?;
    let last_seq = frames.last().map_or(snapshot.state.seq, |frame| frame.seq);
    // It may also leave more there than the journal holds: no number is given twice.
    let seq = last_seq.max(completed.seq).max(ring.last_seq());
    ring.numbered(seq);
    let mut recovered = Recovered {
        engine: Engine::new(rules, snapshot.state, observer),
        tail: Tail::new(places.log_dir, places.alerts, snapshot.next_file, snapshot.past),
        ring,
        generation,
        notices: frames.last().map_or(snapshot.notices, |frame| frame.notices.clone()),
        remarks: Vec::new(),
        from: From::Start,
    };
    Repetition::of(&mut recovered, &frames, now).run(snapshot.files, &frames);
    recovered.tail.replaced(&mut recovered.engine);
    recovered.engine.repeated(seq);
    if let Some(seq) = completed.gone {
        recovered.remarks.push(format!(
            "{} was cut or deleted by somebody else: alerts up to number {seq} are not written again",
            places.alerts.display()
        ));
    }
    Ok(recovered)
}

/// The turns of the past, run again.
struct Repetition<'r> {
    recovered: &'r mut Recovered,
    now: Instant,
    /// What was last known of each file: by this it is looked for.
    newest: BTreeMap<u32, FileRecord>,
    /// Files that were left later.
    left: BTreeSet<u32>,
    /// Bytes of each file that turns had read and that can no longer be read.
    unreadable: BTreeMap<u32, (u64, u64)>,
}

impl<'r> Repetition<'r> {
    fn of(recovered: &'r mut Recovered, frames: &[Frame], now: Instant) -> Self {
        let known = frames.iter().flat_map(|frame| frame.files.iter().chain(&frame.read));
        let newest = known.map(|record| (record.file, record.clone())).collect();
        let left = frames.iter().flat_map(|frame| &frame.left).copied().collect();
        Self { recovered, now, newest, left, unreadable: BTreeMap::new() }
    }

    fn run(mut self, files: Vec<FileRecord>, frames: &[Frame]) {
        for record in files {
            self.open(record);
        }
        for frame in frames {
            self.repeat(frame);
        }
        self.tell_unreadable();
    }

    fn open(&mut self, record: FileRecord) {
        let Recovered { engine, tail, notices, .. } = &mut *self.recovered;
        let newest = self.newest.get(&record.file).unwrap_or(&record).clone();
        let gap = tail.resume(record, &newest, engine, self.now);
        // Of a file that was left later it was told then, or there was nothing to tell.
        notices.extend(gap.filter(|_| !self.left.contains(&newest.file)));
    }

    fn repeat(&mut self, frame: &Frame) {
        for record in &frame.files {
            self.open(record.clone());
        }
        let Recovered { engine, tail, .. } = &mut *self.recovered;
        for turn in &frame.turns {
            for input in &turn.inputs {
                match input {
                    Input::Notice(notice) => engine.notice(notice, turn.now, &mut |_| {}),
                    Input::Lines { file, from, to } => {
                        if tail.repeat((*file, *from, *to), engine, turn.now).is_err() {
                            self.unreadable.entry(*file).or_insert((*from, *to)).1 = *to;
                        }
                    }
                }
            }
        }
        tail.leave(&frame.left);
    }

    /// The bytes of journalled turns are gone. Their alerts stand in the journal; what the windows
    /// lost is said once for each file.
    fn tell_unreadable(self) {
        let Recovered { engine, notices, .. } = self.recovered;
        for (file, (from, to)) in self.unreadable {
            let (source, file) = engine.name_of(file);
            let reason = Reason::Replay;
            notices.push(Notice::Gap { source, file, from, to: Some(to), reason });
        }
    }
}
