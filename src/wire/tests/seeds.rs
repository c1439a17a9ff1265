//! The committed seeds of the fuzz targets: one real encoding of every sample.

use std::collections::BTreeMap;
use std::path::Path;
use std::{env, fs};

use super::{frame, samples};
use crate::wire::fuzzing;
use crate::wire::message::ToSupervisor;

/// Fails when the format has changed and the seeds have not. `SEEDS=write cargo test seeds` writes them.
#[test]
fn committed_seeds_are_the_encodings_of_every_kind() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    let write = env::var_os("SEEDS").is_some_and(|word| word == "write");
    if !write && !corpus.exists() {
        // The published crate comes without the fuzz targets.
        return;
    }
    for (target, check, seeds) in [
        ("round_trip", fuzzing::round_trip as fn(&[u8]), round_trip_seeds()),
        ("chunking", fuzzing::chunking, chunking_seeds()),
    ] {
        let folder = corpus.join(target);
        if write {
            fs::create_dir_all(&folder).expect("the corpus is writable");
        }
        for (name, seed) in seeds {
            check(&seed);
            let path = folder.join(name);
            if write {
                fs::write(&path, &seed).expect("the corpus is writable");
            }
            assert_eq!(fs::read(&path).ok().as_ref(), Some(&seed), "{}", path.display());
        }
    }
}

fn frames() -> (Vec<Vec<u8>>, Vec<Vec<u8>>) {
    (samples::to_supervisor().iter().map(frame).collect(), samples::to_member().iter().map(frame).collect())
}

/// Kind and body of each sample.
fn round_trip_seeds() -> BTreeMap<String, Vec<u8>> {
    let (to_supervisor, to_member) = frames();
    let mut seeds = BTreeMap::new();
    for frame in to_supervisor.iter().chain(&to_member) {
        let same_kind =
            seeds.keys().filter(|name: &&String| name.starts_with(&format!("seed-{:02}", frame[4]))).count();
        seeds.insert(format!("seed-{:02}-{same_kind}", frame[4]), frame[4..].to_vec());
    }
    seeds
}

/// Whole streams behind a few cuts: a handshake, all that a member can say, all that a supervisor can say, each also
/// broken off.
fn chunking_seeds() -> BTreeMap<String, Vec<u8>> {
    let (to_supervisor, to_member) = frames();
    let streams = [
        ("handshake", [frame(&ToSupervisor::Hello(samples::hello())), frame(&ToSupervisor::ClaimsEnd)].concat()),
        ("to-supervisor", to_supervisor.concat()),
        ("to-member", to_member.concat()),
    ];
    let mut seeds = BTreeMap::new();
    for (name, stream) in streams {
        for (cutting, cuts) in [("whole", &[][..]), ("bytes", &[1]), ("pieces", &[5, 1, 90])] {
            seeds.insert(format!("seed-{name}-{cutting}"), [&[cuts.len() as u8], cuts, &stream].concat());
        }
        let cut_off = [&[1, 3], &stream[..stream.len() - 3]].concat();
        seeds.insert(format!("seed-{name}-cut-off"), cut_off);
    }
    seeds
}
