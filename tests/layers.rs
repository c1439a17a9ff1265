//! The arrows of the architecture: facade to runtime to the pure part, never back.

use std::fs;
use std::path::{Path, PathBuf};

/// What the files below a path may name of the crate. Tests inside them are read as well: they have no other rights.
const LAYERS: [(&str, &[&str]); 3] = [
    ("src/wire", &["ident", "wire"]),
    ("src/coordinator", &["ident", "wire", "coordinator"]),
    ("src/runtime", &["ident", "wire", "coordinator", "runtime", "entry", "error", "event", "PortReason"]),
];

/// What the pure part may not name of the standard library and beyond.
const IMPURE: [&str; 9] = [
    "std::net",
    "std::thread",
    "std::sync",
    "std::fs",
    "std::process",
    "Instant::now",
    "SystemTime",
    "socket2",
    "crossbeam",
];

fn sources(below: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(below).expect("the folder of the layer") {
        let path = entry.expect("a readable folder").path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

fn files(layer: &str) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join(layer), &mut found);
    assert!(found.len() > 2, "{layer} has its files");
    found.into_iter().map(|path| (path.clone(), fs::read_to_string(path).expect("a source file"))).collect()
}

/// The lines without comments.
fn code(text: &str) -> impl Iterator<Item = &str> {
    text.lines().map(|line| line.split("//").next().unwrap_or_default())
}

#[test]
fn no_layer_names_a_layer_above_it() {
    let mut named = 0;
    for (layer, allowed) in LAYERS {
        for (path, text) in files(layer) {
            for line in code(&text) {
                for rest in line.split("crate::").skip(1) {
                    let module: String = rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
                    named += 1;
                    // `crate::{…}` lists would hide names from this test.
                    assert!(allowed.contains(&module.as_str()), "{}: {}", path.display(), line.trim());
                }
            }
        }
    }
    assert!(named > 50, "the test has read the imports");
}

#[test]
fn the_pure_part_has_no_socket_thread_lock_clock_or_randomness() {
    for layer in ["src/wire", "src/coordinator"] {
        for (path, text) in files(layer) {
            // What only tests compile may use what it needs.
            let part_of = |name: &str| path.components().any(|part| part.as_os_str().to_string_lossy().contains(name));
            if part_of("simulation") || part_of("tests") {
                continue;
            }
            let shipped = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
            for line in code(shipped) {
                // Bytes that are shared and never change are a value like any other.
                let line = line.replace("std::sync::Arc", "");
                for impure in IMPURE {
                    assert!(!line.contains(impure), "{}: {}", path.display(), line.trim());
                }
            }
        }
    }
}
