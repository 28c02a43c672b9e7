//! Every kept input, and what lies near it, through the function it was kept for.

use std::{fs, path::Path};

use rand::{RngExt, SeedableRng, rngs::StdRng};

/// Inputs near each kept one.
const NEAR: usize = 40;

fn seeds(target: &str) -> Vec<Vec<u8>> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds").join(target);
    let entries =
        fs::read_dir(&directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(!paths.is_empty(), "{}: no seeds", directory.display());
    paths.iter().map(|path| fs::read(path).unwrap()).collect()
}

#[test]
fn every_target_has_seeds_and_every_directory_a_target() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds");
    let mut found: Vec<_> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    let mut known: Vec<_> = fuzz::TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    found.sort();
    known.sort();
    assert_eq!(found, known);
}

#[test]
fn kept_inputs_hold() {
    for (name, target) in fuzz::TARGETS {
        for seed in seeds(name) {
            target(&seed);
        }
    }
}

/// The same ones each time: a failure here can be had again.
#[test]
fn what_lies_near_them_holds() {
    for (name, target) in fuzz::TARGETS {
        let seeds = seeds(name);
        let mut random = StdRng::seed_from_u64(1);
        for seed in &seeds {
            for _ in 0..NEAR {
                let mut near = seed.clone();
                for _ in 0..random.random_range(1..5) {
                    mutate(&mut near, &seeds, &mut random);
                }
                target(&near);
            }
        }
    }
}

fn mutate(bytes: &mut Vec<u8>, seeds: &[Vec<u8>], random: &mut StdRng) {
    let at = random.random_range(0..=bytes.len());
    match random.random_range(0..5) {
        0 => bytes.insert(at, random.random()),
        1 if at < bytes.len() => bytes[at] ^= 1 << random.random_range(0..8),
        2 => bytes.truncate(at),
        3 => {
            let end = random.random_range(at..=bytes.len());
            bytes.drain(at..end);
        }
        _ => {
            let other = &seeds[random.random_range(0..seeds.len())];
            let from = random.random_range(0..=other.len());
            bytes.truncate(at);
            bytes.extend_from_slice(&other[from..]);
        }
    }
}
