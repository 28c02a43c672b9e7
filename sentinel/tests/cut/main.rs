//! What a loss of power may leave of the state directory and of alerts.log, given back to a real
//! daemon in this process: an older snapshot with every journal since, and less of alerts.log than
//! was appended, or less of the journal. And what a disk does that takes no snapshot for a while.

#[path = "../support/mod.rs"]
mod support;
mod world;

use std::{collections::BTreeSet, fs::File, path::Path};

use proptest::{collection::vec, prelude::*, sample::Index};

use world::{Failing, Op, World, op};

fn cut(path: &Path, from: u64, left: Index) {
    let file = File::options().write(true).open(path).unwrap();
    let len = file.metadata().unwrap().len();
    let cut = from + left.index(usize::try_from(len - from).unwrap() + 1) as u64;
    file.set_len(cut).unwrap();
}

/// In the end every alert stands once.
#[track_caller]
fn check_exact(world: &mut World) {
    let alerts = world.finish();
    world.written.check(&alerts, "");
}

fn failing() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => op(),
        1 => Just(Op::Fail(Failing::Snapshot)),
        1 => Just(Op::Fail(Failing::Journal)),
        1 => Just(Op::Mend),
        3 => Just(Op::Wait),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// `--sync always`, or a kill while a snapshot was written: the journals are whole.
    #[test]
    fn whole_journals_bring_alerts_log_back_exactly(
        ops in vec(op(), 1..25),
        base in any::<Index>(),
        left in any::<Index>(),
        always in any::<bool>(),
    ) {
        let mut world = World::new(if always { "always" } else { "second" }, true);
        for op in &ops {
            world.apply(op);
        }
        let (generation, (inode, len)) =
            world.marks.iter().map(|(generation, mark)| (*generation, *mark)).nth(base.index(world.marks.len())).unwrap();
        world.put_back(generation);
        let now = world.alerts_end();
        if now.0 != 0 {
            cut(&world.path("alerts.log"), if now.0 == inode { len } else { 0 }, left);
        }
        check_exact(&mut world);
    }

    /// `--sync second`: alerts.log may have come further than the journal.
    #[test]
    fn a_journal_cut_off_loses_nothing_and_gives_no_number_twice(
        mut ops in vec(op(), 1..25),
        base in any::<Index>(),
        which in any::<Index>(),
        left in any::<Index>(),
        rename in any::<bool>(),
    ) {
        // Of a file that began and was renamed since the journal was last made durable, nothing tells.
        ops.retain(|op| !matches!(op, Op::Rename));
        let mut world = World::new("second", true);
        for op in &ops {
            world.apply(op);
        }
        let generations: Vec<u64> = world.marks.keys().copied().collect();
        let base = base.index(generations.len());
        world.put_back(generations[base]);
        let which = generations[base + which.index(generations.len() - base)];
        cut(&world.path("state").join(format!("journal.{which}")), 0, left);
        if rename {
            world.apply(&Op::Rename);
        }
        let alerts = world.finish();
        let numbers: Vec<u64> = alerts.iter().map(|alert| alert.seq).collect();
        prop_assert!(numbers.is_sorted_by(|a, b| a < b), "{numbers:?}");
        let told = alerts.iter().filter(|alert| alert.rule.id == "marked");
        let told: BTreeSet<String> = told.map(|alert| alert.message.clone()).collect();
        prop_assert_eq!(&told, &world.written.marked);
        let five = alerts.iter().filter(|alert| alert.rule.id == "five").count();
        prop_assert!(five >= world.written.lines / 5);
        // Frames behind a torn one tell of lines that are evaluated again: they are not repeated.
        prop_assert!(alerts.iter().all(|alert| ["marked", "five"].contains(&alert.rule.id.as_str())));
    }

    /// Evaluation stops and goes on, and nothing piles up meanwhile.
    #[test]
    fn a_disk_that_takes_no_snapshot_costs_nothing(ops in vec(failing(), 1..40)) {
        let mut world = World::new("second", false);
        for op in &ops {
            world.apply(op);
            prop_assert!(world.journals() <= 4);
        }
        world.apply(&Op::Restart);
        check_exact(&mut world);
    }
}

#[test]
fn a_disk_that_takes_no_snapshot_is_told_and_waited_for() {
    let mut world = World::new("second", false);
    world.apply(&Op::Write(false, vec![true]));
    world.apply(&Op::Fail(Failing::Snapshot));
    world.apply(&Op::Age);
    support::wait("the failure", String::new, || {
        world.apply(&Op::Wait);
        world.stopped_by().is_some()
    });
    let newest = world.newest();
    for _ in 0..5 {
        world.apply(&Op::Write(false, vec![true]));
        world.apply(&Op::Wait);
    }
    assert!(world.stopped_by().is_some() && world.newest() <= newest + 1);
    assert_eq!(world.alerts().len(), 1, "nothing is evaluated");
    world.apply(&Op::Mend);
    world.apply(&Op::Wait);
    assert_eq!((world.stopped_by(), world.journals(), world.alerts().len()), (None, 1, 7));
    check_exact(&mut world);
}
