//! The arrows of the architecture: facade to runtime to the pure part, never back.

use std::fs;
use std::path::{Path, PathBuf};

/// What the files below a path may name of the crate. Tests inside them are read as well: they have no other rights.
const LAYERS: [(&str, &[&str]); 3] = [
    ("src/wire", &["ident", "text", "wire"]),
    ("src/coordinator", &["ident", "text", "wire", "coordinator"]),
    (
        "src/runtime",
        &["ident", "text", "wire", "coordinator", "runtime", "control", "entry", "error", "event", "PortReason"],
    ),
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

#[test]
fn no_log_line_is_made_of_a_derived_debug() {
    // A derived `Debug` shows every field, and so what the application has stored or sent.
    let mut lines = 0;
    for layer in ["src/coordinator", "src/runtime", "src/wire"] {
        for (path, text) in files(layer) {
            for call in text.split("log::").skip(1).chain(text.split(".note(log::").skip(1)) {
                let call = call.split(';').next().unwrap_or_default();
                lines += usize::from(call.contains('"'));
                assert!(!call.contains(":?}"), "{}: {}", path.display(), call.trim());
            }
        }
    }
    assert!(lines > 20, "the test has read the log calls");
}

#[test]
fn the_code_map_names_every_file_and_no_other() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(root.join("ARCHITECTURE.md")).expect("the page");
    let (_, map) = page.split_once("## Code map").expect("the code map");
    let rows = map.lines().skip_while(|line| !line.starts_with('|')).take_while(|line| line.starts_with('|'));
    let mut mapped = Vec::new();
    for row in rows {
        let quoted: Vec<_> = row.split('`').skip(1).step_by(2).collect();
        // What is not named with its whole path lies in a folder that the row names.
        let mut folders: Vec<PathBuf> = Vec::new();
        for name in quoted.iter().filter(|name| name.ends_with(".rs") || name.ends_with('/')) {
            let found = match name.starts_with("src/") {
                true => vec![root.join(name)],
                false => folders.iter().map(|folder| folder.join(name)).filter(|path| path.exists()).collect(),
            };
            assert!(!found.is_empty() && found[0].exists(), "{name} does not exist: {row}");
            let inner = found.iter().filter_map(|path| if path.is_dir() { Some(&**path) } else { path.parent() });
            folders.extend(inner.map(Path::to_path_buf).collect::<Vec<_>>());
            mapped.extend(found);
        }
    }
    // These are described as a whole, or by what they are part of.
    let whole = ["simulation", "tests", "tests.rs", "testing.rs", "mod.rs", "bin"];
    for (path, _) in files("src") {
        let inside = path.strip_prefix(root).expect("a file of this crate");
        let part_of = |name: &str| inside.components().any(|part| part.as_os_str() == name);
        assert!(whole.iter().any(|name| part_of(name)) || mapped.contains(&path), "{} is missing", path.display());
    }
}
