//! Keeps the rooms of this program apart: who may know whom, read off the sources and the crates' manifests.

use std::fs;
use std::path::{Path, PathBuf};

/// A room: the folders (or files) right below `src/` that make it up, and what they may name beside themselves.
struct Room {
    folders: &'static [&'static str],
    knows: &'static [&'static str],
}

const fn room(folders: &'static [&'static str], knows: &'static [&'static str]) -> Room {
    Room { folders, knows }
}

/// From the bottom up: a room knows only rooms above it in this list, and of what is [outside](OUTSIDE), what it says.
const ROOMS: [Room; 10] = [
    room(&["vocabulary"], &["protocol"]),
    room(&["words"], &["vocabulary", "protocol"]),
    room(&["worker"], &["protocol", "engine"]),
    room(&["home"], &["worker", "protocol", "engine"]),
    room(&["net"], &["protocol", "wire", "network"]),
    // The air gap is drawn here: neither ledger nor network.
    room(&["vault"], &["worker", "home", "protocol", "engine"]),
    room(&["replica"], &["net", "protocol", "wire", "ledger", "network"]),
    room(&["studies"], &["home", "vault", "replica", "protocol", "wire", "ledger", "engine", "network"]),
    room(
        &["node"],
        &["worker", "home", "net", "vault", "replica", "studies", "protocol", "wire", "ledger", "engine", "network"],
    ),
    // A command starts the demo, and the demo runs commands.
    room(
        &["cli", "demo"],
        &[
            "vocabulary",
            "words",
            "worker",
            "home",
            "net",
            "vault",
            "studies",
            "node",
            "protocol",
            "wire",
            "ledger",
            "engine",
            "network",
        ],
    ),
];

/// What is not a room, and how it is named in code.
const OUTSIDE: [(&str, &[&str]); 5] = [
    ("protocol", &["consilium_protocol"]),
    // The generated clients and servers: who has these has the network.
    ("wire", &["consilium_protocol::wire"]),
    ("ledger", &["consilium_ledger"]),
    ("engine", &["consilium_engine"]),
    ("network", &["tonic", "axum", "hyper_util", "rustls", "tokio_rustls", "tokio::net"]),
];

/// Who of the crates below depends on whom of them.
const CRATES: [(&str, &[&str]); 3] = [("protocol", &[]), ("ledger", &["protocol"]), ("engine", &["protocol"])];

fn room_of(folder: &str) -> Option<&'static Room> {
    ROOMS.iter().find(|room| room.folders.contains(&folder))
}

/// Whether a path's last part stands for several.
fn many(part: &str) -> bool {
    part.starts_with(['{', '*'])
}

/// Everything that a file's code names of rooms and of what is outside, with the line. `depth` is how many modules the file
/// is below the crate's root.
fn named(text: &str, depth: usize) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let code = line.split("//").next().unwrap_or_default();
        let paths = code.split(|c: char| !(c.is_alphanumeric() || "_:{*".contains(c)));
        for path in paths.filter(|path| path.contains("::")) {
            let segments: Vec<&str> = path.split("::").collect();
            let ups = segments.iter().take_while(|segment| **segment == "super").count();
            let of_root = match segments[0] {
                "crate" => segments.get(1),
                // Within a module of the file itself it climbs less far, and names no room then.
                "super" if ups >= depth => segments.get(ups).filter(|next| !(line.starts_with(' ') && many(next))),
                _ => None,
            };
            // Several rooms in one `use` would hide all but the first from this reader.
            found.extend(of_root.filter(|next| many(next)).map(|_| (number + 1, "several rooms at once".to_string())));
            found.extend(of_root.filter(|next| room_of(next).is_some()).map(|room| (number + 1, (*room).to_string())));
            let starts =
                |name: &str| path == name || path.strip_prefix(name).is_some_and(|rest| rest.starts_with("::"));
            // The pipe to a process of one's own leads nowhere else.
            if path == "tokio::net::UnixStream" {
                continue;
            }
            let mut outside = OUTSIDE.iter().rev().filter(|(_, names)| names.iter().any(|name| starts(name)));
            // The more specific comes last in the table: `wire` is not `protocol`.
            found.extend(outside.next().map(|(what, _)| (number + 1, (*what).to_string())));
        }
    }
    found
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path()) {
        if entry.is_dir() {
            sources(&entry, found);
        } else if entry.extension().is_some_and(|extension| extension == "rs") {
            found.push(entry);
        }
    }
}

/// How many modules a file below `src/` is below the crate's root, and in which folder (or file) right below `src/`.
fn place(path: &Path) -> (usize, String) {
    let stem = path.with_extension("");
    let mut modules: Vec<_> = stem.iter().map(|part| part.to_string_lossy().into_owned()).collect();
    modules.pop_if(|last| last == "mod");
    (modules.len(), modules.first().cloned().unwrap_or_default())
}

#[test]
fn arrows_point_one_way() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&root, &mut files);
    assert!(files.len() > 60, "the sources are not where they were");
    let mut wrong = Vec::new();
    for file in files {
        let path = file.strip_prefix(&root).expect("below the root");
        let (depth, folder) = place(path);
        if ["lib", "main", "rooms"].contains(&folder.as_str()) {
            continue;
        }
        let Some(room) = room_of(&folder) else {
            wrong.push(format!("src/{}: no room of this test's table has it", path.display()));
            continue;
        };
        for (line, what) in named(&fs::read_to_string(&file).expect("a source file"), depth) {
            if !room.folders.contains(&what.as_str()) && !room.knows.contains(&what.as_str()) {
                wrong.push(format!("src/{}:{line}: {folder} does not know {what}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

#[test]
fn rooms_are_listed_from_the_bottom_up() {
    for (position, room) in ROOMS.iter().enumerate() {
        let below = |what: &str| ROOMS[..position].iter().any(|lower| lower.folders.contains(&what));
        for what in room.knows {
            assert!(below(what) || OUTSIDE.iter().any(|(name, _)| name == what), "{:?} knows {what}", room.folders);
        }
    }
}

#[test]
fn crates_depend_one_way() {
    for (name, knows) in CRATES {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name).join("Cargo.toml");
        let manifest: toml::Table = toml::from_str(&fs::read_to_string(path).expect("a manifest")).expect("TOML");
        for table in ["dependencies", "dev-dependencies", "build-dependencies"] {
            let dependencies = manifest.get(table).and_then(toml::Value::as_table).into_iter().flatten();
            for ours in dependencies.filter_map(|(key, _)| key.strip_prefix("consilium-")) {
                assert!(ours == name || knows.contains(&ours), "{name}/Cargo.toml: {name} does not know {ours}");
            }
        }
    }
}

#[test]
fn a_path_names_its_room_however_it_is_written() {
    let text = "\
use crate::node::start;
use super::super::replica::submit;
use super::error;
/// [`crate::cli`]
fn f(chain: &consilium_ledger::store::Chain) -> consilium_protocol::wire::Chunk { crate::home::files::read() }
use crate::{cli, demo};
use consilium_protocol::ids::StudyId;
use tokio::net::TcpStream; // crate::demo
use tokio::sync::Mutex;
";
    let found = |line, what: &str| (line, what.to_string());
    let all = [
        found(1, "node"),
        found(2, "replica"),
        found(5, "ledger"),
        found(5, "wire"),
        found(5, "home"),
        found(6, "several rooms at once"),
        found(7, "protocol"),
        found(8, "network"),
    ];
    assert_eq!(named(text, 2), all);
    assert_eq!(place(Path::new("vault/error.rs")), (2, "vault".to_string()));
    assert_eq!(place(Path::new("vault/mod.rs")), (1, "vault".to_string()));
    assert_eq!(named("use super::replica;", 1), [found(1, "replica")]);
    assert_eq!(named("use super::super::{replica, vault};", 2), [found(1, "several rooms at once")]);
    assert_eq!(named("    use super::*;", 1), []);
}
