//! Which module may use which: the table of the architecture, held against every path in the source.

use std::path::{Path, PathBuf};

/// Of a module that may name all others.
const EVERYTHING: &[&str] = &["*"];

/// Module, and the modules of this crate it may name.
const MAY_USE: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("memory", &[]),
    ("supervise", &[]),
    ("trace", &["model", "supervise"]),
    ("plan", &["model", "detect"]),
    ("view", &["model"]),
    ("generator", &["model"]),
    ("detect", &["model"]),
    ("eval", &["model", "detect"]),
    ("learn", &["model", "detect", "eval"]),
    ("engine", &["model", "supervise", "plan", "detect"]),
    ("repeats", &[]),
    ("source", &["model", "supervise", "repeats"]),
    ("lake", &["model", "supervise", "learn"]),
    ("auth", &["model"]),
    ("cluster", &["model", "supervise", "auth"]),
    // Options of a source are checked while it is planned.
    (
        "sql",
        &[
            "model",
            "supervise",
            "trace",
            "plan",
            "detect",
            "learn",
            "view",
            "lake",
            "source",
        ],
    ),
    (
        "coordinator",
        &[
            "memory",
            "model",
            "supervise",
            "trace",
            "plan",
            "view",
            "engine",
            "learn",
            "source",
            "lake",
            "sql",
            "cluster",
        ],
    ),
    (
        "verify",
        &[
            "model",
            "supervise",
            "plan",
            "source",
            "lake",
            "sql",
            "coordinator",
        ],
    ),
    (
        "notify",
        &[
            "model",
            "supervise",
            "plan",
            "view",
            "lake",
            "sql",
            "coordinator",
        ],
    ),
    ("report", &["model", "plan", "lake", "sql"]),
    (
        "http",
        &[
            "auth",
            "memory",
            "detect",
            "model",
            "supervise",
            "trace",
            "plan",
            "view",
            "engine",
            "source",
            "lake",
            "sql",
            "coordinator",
            "report",
        ],
    ),
    // The commands bring everything together, and nobody leans on them; nor on what tries each reader with random bytes.
    ("cli", EVERYTHING),
    ("fuzz", EVERYTHING),
];

#[test]
fn modules_use_only_what_lies_below_them() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    collect(&source, &mut files);
    assert!(20 < files.len(), "the source was found");
    let mut wrong = Vec::new();
    for file in files {
        let inside = file.strip_prefix(&source).expect("files lie in src");
        let module = inside
            .components()
            .next()
            .map(|it| it.as_os_str().to_string_lossy().into_owned())
            .unwrap_or_default();
        let Some((_, allowed)) = MAY_USE.iter().find(|it| it.0 == module) else {
            continue; // lib.rs and main.rs may use everything
        };
        let is_test = inside.components().any(|it| {
            let name = it.as_os_str().to_string_lossy();
            name == "tests.rs" || name == "tests"
        });
        if is_test {
            continue;
        }
        let text = std::fs::read_to_string(&file).expect("source files can be read");
        for name in names_used(&text) {
            let known = MAY_USE.iter().any(|it| it.0 == name);
            if known && name != module && !allowed.contains(&name) && *allowed != EVERYTHING {
                wrong.push(format!("{}: {module} uses {name}", inside.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What may stand before `spawn` outside of `supervise`, and where: children of this process, scoped threads that are joined, tasks
/// of a set that is awaited, and work whose panic the handler of a request passes on.
const SPAWNS: &[(&str, &str)] = &[
    ("http/work.rs", "spawn_blocking(work).await"),
    ("http/connections.rs", "tasks.spawn("),
    ("cli/up.rs", ".spawn()"),
    ("cli/detach.rs", ".spawn()"),
    ("sql/query/pool.rs", ".spawn()"),
    ("coordinator/lease.rs", ".spawn()"),
    ("engine/mod.rs", "scope.spawn("),
    ("cluster/links.rs", "tasks.spawn("),
    ("cluster/join.rs", "hearing.spawn("),
    ("http/apart.rs", "command.spawn()"),
];

#[test]
fn every_thread_and_task_is_supervised() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    collect(&source, &mut files);
    let mut wrong = Vec::new();
    for file in files {
        let inside = file.strip_prefix(&source).expect("files lie in src");
        let name = inside.to_string_lossy();
        if name == "supervise.rs" || name.ends_with("tests.rs") || name.ends_with("testing.rs") {
            continue;
        }
        let text = std::fs::read_to_string(&file).expect("source files can be read");
        for (number, line) in text.lines().enumerate() {
            let spawns = [
                "spawn(",
                "spawn_blocking(",
                "spawn_local(",
                "thread::Builder",
            ];
            let allowed = |it: &&(&str, &str)| name == it.0 && line.contains(it.1);
            if spawns.iter().any(|it| line.contains(it)) && !SPAWNS.iter().any(|it| allowed(&it)) {
                wrong.push(format!("{name}:{}: {}", number + 1, line.trim()));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "a thread or task that nobody watches can die unnoticed; start it with `supervise`:\n{}",
        wrong.join("\n")
    );
}

/// What follows each `crate::`: one name, or those of a group in braces.
fn names_used(text: &str) -> Vec<&str> {
    let mut names = Vec::new();
    for after in text.split("crate::").skip(1) {
        let mut depth = 0;
        let mut expected = true;
        let mut rest = after;
        while let Some(next) = rest.chars().next() {
            if next.is_alphanumeric() || next == '_' {
                let end = rest.find(|it: char| !it.is_alphanumeric() && it != '_');
                let (word, behind) = rest.split_at(end.unwrap_or(rest.len()));
                if expected {
                    names.push(word);
                }
                expected = false;
                rest = behind;
                if depth == 0 {
                    break;
                }
                continue;
            }
            match next {
                '{' => depth += 1,
                '}' => depth -= 1,
                // Of a group each member counts, but not what is named within a member.
                ',' if depth == 1 => expected = true,
                _ => {}
            }
            rest = &rest[next.len_utf8()..];
            if depth == 0 {
                break;
            }
        }
    }
    names
}

#[test]
fn names_are_found_alone_and_in_groups() {
    let text = "use crate::model::{Row, Value};\nuse crate::{plan::{Plan, passes}, cli, lake as l};\nlet it = crate::sql::query();";
    assert_eq!(names_used(text), ["model", "plan", "cli", "lake", "sql"]);
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("folders of the source can be listed") {
        let path = entry.expect("entries can be read").path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|it| it == "rs") {
            files.push(path);
        }
    }
}
