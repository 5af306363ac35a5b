//! Who gets a name and a lake, what is found of instances that are gone, and that nobody is taken for another process.

use super::*;

fn wanted(name: Option<&str>, dataflow: &str, lake: &str) -> Wanted {
    Wanted {
        name: name.map(str::to_owned),
        base: dataflow.to_owned(),
        command: "run",
        dataflow: dataflow.to_owned(),
        is_named: true,
        lake: lake.to_owned(),
        shares_lake: false,
        has_log: false,
    }
}

fn roots(folder: &tempfile::TempDir) -> Vec<PathBuf> {
    vec![folder.path().join("instances")]
}

fn refused(result: Result<Registered>) -> (u8, String) {
    let error = result.map(|it| it.name()).expect_err("it is refused");
    (exit::code(&error), format!("{error:#}"))
}

#[test]
fn a_name_and_a_lake_are_given_once() {
    let folder = tempfile::tempdir().unwrap();
    let roots = roots(&folder);
    let register = |it: &Wanted| register_in(&roots, it);
    let first = register(&wanted(None, "logs", "file:///a/")).unwrap();
    assert_eq!(first.name(), "logs");
    let pid = std::process::id();
    let (code, said) = refused(register(&wanted(None, "logs", "file:///a/")));
    assert_eq!(code, exit::HELD);
    assert!(
        said.contains(&format!("process {pid} of this machine, instance logs")),
        "{said}"
    );
    assert!(said.contains("--take-over"), "{said}");
    // Without a name of its own in the lake it is the lake's only one.
    let unnamed = Wanted {
        is_named: false,
        ..wanted(None, "other", "file:///a/")
    };
    assert_eq!(refused(register(&unnamed)).0, exit::HELD);
    let other = register(&wanted(None, "other", "file:///a/")).unwrap();
    assert_eq!(other.name(), "other", "another dataflow of the lake");
    let second = register(&wanted(None, "logs", "file:///b/")).unwrap();
    assert_eq!(second.name(), "logs-2", "another lake");
    let (code, said) = refused(register(&wanted(Some("logs"), "logs", "file:///c/")));
    assert_eq!(code, exit::HELD);
    assert!(
        said.contains("runs already") && said.contains("tidelake stop logs"),
        "{said}"
    );
    let taking_over = Wanted {
        shares_lake: true,
        ..wanted(None, "logs", "file:///a/")
    };
    let taker = register(&taking_over).unwrap();
    assert_eq!(taker.name(), "logs-3");
    taker.ended(&Ok(()));

    // Who ended in order leaves nothing, and the name is free.
    first.update(|it| it.processes = vec![child(0, pid, "http://127.0.0.1:1/".to_owned())]);
    let place = first.folder().to_owned();
    assert!(place.join(RECORD).exists());
    first.ended(&Ok(()));
    assert!(!place.exists());
    let again = register(&wanted(Some("logs"), "logs", "file:///a/")).unwrap();
    again.update(|it| it.processes = vec![child(0, pid, "http://127.0.0.1:1/".to_owned())]);
    again.ended(&Err(exit::coded(exit::UNCOMMITTED, "without a commit")));
    let left = Found::at(place).record.unwrap().ended.unwrap();
    assert_eq!(
        (left.code, left.reason.as_str()),
        (exit::UNCOMMITTED, "without a commit")
    );
}

#[test]
fn a_process_that_restarts_in_place_keeps_its_name_and_gets_its_lake_again() {
    let folder = tempfile::tempdir().unwrap();
    let roots = roots(&folder);
    let place = roots[0].join("logs-2");
    let other = register_in(&roots, &wanted(None, "logs", "file:///b/")).unwrap();
    let first = register_in(&roots, &wanted(None, "logs", "file:///a/")).unwrap();
    assert_eq!(first.name(), "logs-2");
    first.update(|it| {
        it.processes = vec![child(
            0,
            std::process::id(),
            "http://127.0.0.1:1/".to_owned(),
        )];
        it.began_ms = 7;
        it.state = State::Restarting;
    });
    // Its program is replaced: the lock goes, the record stays.
    drop(first);
    drop(other);
    let again = register_in(&roots, &wanted(None, "logs", "file:///a/")).unwrap();
    assert_eq!(again.folder(), place);
    let record = Found::at(place.clone()).record.unwrap();
    assert_eq!((record.began_ms, record.state), (7, State::Starting));

    // Meanwhile no other process gets the name: here that of a process that lives and is not this one.
    let mut sleeper = std::process::Command::new("sleep")
        .arg("600")
        .spawn()
        .unwrap();
    again.update(|it| {
        it.state = State::Restarting;
        it.holder.pid = sleeper.id();
        it.holder.started = started(sleeper.id()).unwrap();
        it.processes = vec![child(0, sleeper.id(), "http://127.0.0.1:1/".to_owned())];
    });
    drop(again);
    let (code, said) = refused(register_in(
        &roots,
        &wanted(Some("logs-2"), "x", "file:///x/"),
    ));
    assert_eq!(code, exit::HELD);
    assert!(said.contains("instance logs-2 runs already"), "{said}");
    sleeper.kill().unwrap();
    sleeper.wait().unwrap();
    let free = register_in(&roots, &wanted(Some("logs-2"), "x", "file:///x/")).unwrap();
    assert_eq!(free.folder(), place);
}

#[test]
fn what_a_killed_process_left_is_taken_over() {
    let folder = tempfile::tempdir().unwrap();
    let roots = roots(&folder);
    let killed = register_in(&roots, &wanted(None, "logs", "file:///a/")).unwrap();
    // Another process has its number now.
    killed.update(|it| it.holder.started += 1);
    let place = killed.folder().to_owned();
    drop(killed);
    let found = Found::at(place.clone());
    assert_eq!(found.record.as_ref().unwrap().life(), Life::Gone);
    assert!(!found.lives());
    let holder = found.record.unwrap().holder;
    assert!(
        identify(holder.pid, holder.started).is_none(),
        "a number that was used again is not that process"
    );
    let again = register_in(&roots, &wanted(None, "logs", "file:///a/")).unwrap();
    assert_eq!(again.name(), "logs");
    assert!(Found::at(place).lives());
}

#[test]
fn one_elsewhere_is_not_taken_for_gone() {
    let folder = tempfile::tempdir().unwrap();
    let one = register_in(&roots(&folder), &wanted(None, "logs", "file:///a/")).unwrap();
    let record = |machine: &str, host: &str| {
        one.update(|it| {
            it.holder.machine = machine.to_owned();
            it.holder.host = host.to_owned();
        });
        Found::at(one.folder().to_owned()).record.unwrap()
    };
    let here = this_process();
    assert_eq!(record("other pid:[1]", "far").life(), Life::Elsewhere);
    assert_eq!(
        record("other pid:[1]", &here.host).life(),
        Life::Gone,
        "before the last boot"
    );
    let boot = here.machine.split(' ').next().unwrap();
    let container = record(&format!("{boot} pid:[1]"), "box");
    assert_eq!(container.life(), Life::Elsewhere, "in another container");
    assert!(container.living().is_empty());
}

#[test]
fn folders_are_private_and_old_ones_go() {
    let folder = tempfile::tempdir().unwrap();
    let roots = roots(&folder);
    let old = register_in(&roots, &wanted(None, "old", "file:///a/")).unwrap();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().mode() & 0o777;
    assert_eq!(mode(&roots[0]), 0o700);
    assert_eq!(mode(old.folder()), 0o700);
    assert_eq!(mode(&old.folder().join(RECORD)), 0o600);
    let place = old.folder().to_owned();
    let long_ago = SystemTime::now() - FORGOTTEN_AFTER - Duration::from_secs(60);
    let file = File::open(place.join(RECORD)).unwrap();
    file.set_modified(long_ago).unwrap();
    let other = register_in(&roots, &wanted(None, "b", "file:///b/")).unwrap();
    assert!(place.exists(), "it is held");
    drop(old);
    drop(register_in(&roots, &wanted(None, "c", "file:///c/")).unwrap());
    assert!(!place.exists(), "it is not, and is old");
    assert!(other.folder().exists());
    // A folder that others may write is no place for it.
    let open = folder.path().join("open");
    std::fs::create_dir(&open).unwrap();
    let everybody = std::os::unix::fs::PermissionsExt::from_mode(0o777);
    std::fs::set_permissions(&open, everybody).unwrap();
    let (code, said) = refused(register_in(&[open], &wanted(None, "d", "file:///d/")));
    assert_eq!(code, 1);
    assert!(said.contains(STATE_VARIABLE), "{said}");
}

#[test]
fn names_are_those_of_folders() {
    for name in ["web_logs", "a", "_x", "A-1.b"] {
        assert_eq!(check_name(name), Ok(()), "{name}");
    }
    let long = "a".repeat(65);
    for name in ["", ".", "..", "../x", "a/b", "-x", "a b", "ä", &long] {
        assert!(check_name(name).is_err(), "{name}");
    }
    for (dataflow, expect) in [("web logs", "web_logs"), ("-a", "_-a"), ("größe", "gr__e")] {
        assert_eq!(name_of(dataflow), expect);
        assert_eq!(check_name(&name_of(dataflow)), Ok(()));
    }
    let folder = tempfile::tempdir().unwrap();
    let wrong = wanted(Some("../x"), "logs", "file:///a/");
    assert_eq!(refused(register_in(&roots(&folder), &wrong)).0, exit::USAGE);
}

#[test]
fn the_only_one_is_meant_unless_there_are_several() {
    let folder = tempfile::tempdir().unwrap();
    let roots = roots(&folder);
    let name = |it: Result<Option<Found>>| it.unwrap().map(|it| it.name);
    assert_eq!(name(choose(all_in(&roots), None)), None);
    let a = register_in(&roots, &wanted(None, "a", "file:///a/")).unwrap();
    let b = register_in(&roots, &wanted(None, "b", "file:///b/")).unwrap();
    let several = choose(all_in(&roots), None).expect_err("which?");
    assert_eq!(exit::code(&several), exit::USAGE);
    assert!(several.to_string().contains("a, b"), "{several}");
    assert_eq!(
        name(choose(all_in(&roots), Some("b"))),
        Some("b".to_owned())
    );
    assert_eq!(name(choose(all_in(&roots), Some("c"))), None);
    a.update(|it| it.holder.started += 1);
    assert_eq!(name(choose(all_in(&roots), None)), Some("b".to_owned()));
    drop(b);
    std::fs::write(roots[0].join("b").join(RECORD), "{\"format\": 99}").unwrap();
    let found = all_in(&roots);
    let of_b = found.iter().find(|it| it.name == "b").unwrap();
    let said = of_b.record.as_ref().expect_err("of another version");
    assert!(said.contains("another version"), "{said}");
}

#[test]
fn a_signal_reaches_only_who_was_identified() {
    let mut child = std::process::Command::new("sleep")
        .arg("600")
        .spawn()
        .unwrap();
    let begun = started(child.id()).unwrap();
    assert!(identify(child.id(), begun + 1).is_none());
    let identified = identify(child.id(), begun).unwrap();
    assert!(identified.lives());
    identified.signal(libc::SIGTERM).unwrap();
    let status = child.wait().unwrap();
    let signal = std::os::unix::process::ExitStatusExt::signal(&status);
    assert_eq!(signal, Some(libc::SIGTERM));
    assert!(!identified.lives());
    // It has ended: that is no error.
    identified.signal(libc::SIGTERM).unwrap();
}
