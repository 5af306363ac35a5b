//! Appending, rotation, compression and restarts: every line once, in order, at growing offsets.

use super::folder::number_in;
use super::*;
use crate::model::Offset;
use crate::model::csv::Csv;
use std::fs::File;
use std::io::Write;
use std::path::Path;

/// How long anything may take.
const LIMIT: Duration = Duration::from_secs(300);

/// What a commit would have kept.
#[derive(Clone, Default)]
struct Kept {
    offsets: Offsets,
    origins: Vec<(Partition, String)>,
}

/// One run of a reader over all partitions.
struct Run {
    folder: Arc<Folder>,
    status: SharedStatus,
    stop: Arc<AtomicBool>,
    chunks: crossbeam_channel::Receiver<Chunk>,
    thread: std::thread::JoinHandle<()>,
    lines: Vec<(i32, String)>,
    at: Vec<i64>,
    gaps: Vec<Gap>,
    kept: Kept,
}

impl Run {
    fn start(path: &Path, kept: &Kept) -> Self {
        Run::start_as(&Framing::Lines, path, kept)
    }

    fn start_as(framing: &Framing, path: &Path, kept: &Kept) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (sender, chunks) = crossbeam_channel::bounded(4);
        let former = kept.origins.iter().map(|it| (it.0, it.1.as_str()));
        let location = Location::all_of(path.to_owned());
        let location = location.of_parquet(*framing == Framing::Rows);
        let folder = Folder::open(location, &kept.offsets, former).unwrap();
        let status = SharedStatus::default();
        let reader = Reader {
            folder: Arc::clone(&folder),
            framing: framing.clone(),
            worker: 0,
            workers: 1,
            stored: kept.offsets.clone(),
            status: status.clone(),
            look_again: LookAgain::default(),
            live: Arc::default(),
            stop: Arc::clone(&stop),
        };
        let thread = std::thread::spawn(move || reader.run(&sender));
        Run {
            folder,
            status,
            stop,
            chunks,
            thread,
            lines: Vec::new(),
            at: Vec::new(),
            gaps: Vec::new(),
            kept: kept.clone(),
        }
    }

    /// Takes chunks until something is so.
    fn until(&mut self, what: &str, so: impl Fn(&Run) -> bool) -> &mut Self {
        let deadline = Instant::now() + LIMIT;
        while !so(self) {
            assert!(Instant::now() < deadline, "{what}: {:?}", self.lines);
            if let Ok(chunk) = self.chunks.recv_timeout(Duration::from_millis(20)) {
                self.take(chunk);
            }
        }
        self
    }

    fn take(&mut self, chunk: Chunk) {
        let partition = chunk.records.partition;
        let mut start = 0;
        for (end, at) in chunk.records.ends.iter().zip(&chunk.records.offsets) {
            let line = &chunk.records.data[start..*end as usize];
            let line = chunk.records.letter(line);
            let text = String::from_utf8_lossy(&line).trim_end().to_owned();
            self.lines.push((partition.0, text));
            self.at.push(*at);
            start = *end as usize;
        }
        self.gaps.extend(chunk.gap);
        let origin = (partition, chunk.next.origin.clone());
        if self.kept.origins.last() != Some(&origin) {
            self.kept.origins.push(origin);
        }
        self.kept.offsets.advance(partition, chunk.next);
    }

    fn until_lines(&mut self, count: usize) -> &mut Self {
        self.until("lines are there", |it| count <= it.lines.len())
    }

    /// Until the folder was looked through some times more, and nothing is left to read.
    fn until_quiet(&mut self) -> &mut Self {
        let listed = self.folder.look().unwrap().number;
        self.until("nothing more comes", |it| {
            listed + 3 <= it.folder.look().unwrap().number && it.status.get().lag() == 0
        })
    }

    fn notes(&self) -> Vec<(String, Trouble)> {
        let status = self.status.get();
        let notes = status.file_notes().into_iter();
        notes.map(|it| (it.name.clone(), it.trouble)).collect()
    }

    fn texts(&self) -> Vec<&str> {
        texts(&self.lines)
    }

    /// Lines of all partitions, in order of their text.
    fn sorted(&self) -> Vec<&str> {
        let mut all = self.texts();
        all.sort_unstable();
        all
    }

    fn end(self) -> Kept {
        self.stop.store(true, Ordering::Release);
        drop(self.chunks);
        self.thread.join().unwrap();
        self.kept
    }
}

/// Reads until `count` lines have come; returns them with their partitions, and what to go on from.
fn read(path: &Path, kept: &Kept, count: usize) -> (Vec<(i32, String)>, Kept) {
    let mut run = Run::start(path, kept);
    run.until_lines(count);
    let lines = run.lines.clone();
    (lines, run.end())
}

fn pack(path: &Path, text: &[u8]) {
    let mut packed =
        flate2::write::GzEncoder::new(File::create(path).unwrap(), flate2::Compression::fast());
    packed.write_all(text).unwrap();
    packed.finish().unwrap();
}

fn append(path: &Path, text: &str) {
    let mut file = std::fs::OpenOptions::new()
        .append(true)
        .create(true)
        .open(path)
        .unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

fn texts(lines: &[(i32, String)]) -> Vec<&str> {
    lines.iter().map(|it| it.1.as_str()).collect()
}

#[test]
fn appended_lines_come_once_and_an_unfinished_one_waits() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("part-3.jsonl");
    append(&file, "a\nb\nhalf");
    let (lines, offsets) = read(folder.path(), &Kept::default(), 2);
    assert_eq!(lines, vec![(3, "a".to_owned()), (3, "b".to_owned())]);
    assert_eq!(offsets.offsets.get(Partition(3)).unwrap().offset, Offset(4));
    append(&file, " done\nc\n");
    let (lines, _) = read(folder.path(), &offsets, 2);
    assert_eq!(texts(&lines), ["half done", "c"]);
}

#[test]
fn a_log_rotated_and_compressed_while_we_were_away_goes_on_without_gap() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("access.log");
    append(&log, "1\n2\n");
    let (_, offsets) = read(folder.path(), &Kept::default(), 2);
    append(&log, "3\n4");
    pack(
        &folder.path().join("access.log.1.gz"),
        &std::fs::read(&log).unwrap(),
    );
    std::fs::remove_file(&log).unwrap();
    append(&log, "5\n6\n");
    let (lines, offsets) = read(folder.path(), &offsets, 4);
    assert_eq!(texts(&lines), ["3", "4", "5", "6"]);
    assert!(
        lines.iter().all(|it| it.0 == 0),
        "all of it is one partition"
    );
    assert_eq!(
        offsets.offsets.get(Partition(0)).unwrap().offset,
        Offset(7 + 4)
    );
}

#[test]
fn a_rotation_while_reading_is_followed_once_the_old_file_is_quiet() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("access.log");
    append(&log, "1\n");
    let mut run = Run::start(folder.path(), &Kept::default());
    run.until_lines(1);
    let old = folder.path().join("access.log.1");
    std::fs::rename(&log, &old).unwrap();
    append(&log, "4\n");
    // Its writer has not been told yet.
    append(&old, "2\n");
    run.until_lines(2);
    append(&old, "3");
    run.until_lines(4).until_quiet();
    assert_eq!(run.texts(), ["1", "2", "3", "4"]);
    assert_eq!(run.at, [0, 2, 4, 5]);
    // Neither now nor after a restart are they read under other names.
    let kept = run.end();
    std::fs::rename(&old, folder.path().join("access.log.2")).unwrap();
    std::fs::rename(&log, &old).unwrap();
    append(&log, "5\n");
    let mut run = Run::start(folder.path(), &kept);
    run.until_lines(1).until_quiet();
    assert_eq!(run.texts(), ["5"]);
    assert!(run.notes().is_empty(), "{:?}", run.notes());
    let kept = run.end();
    pack(&folder.path().join("access.log.2.gz"), b"1\n2\n3");
    std::fs::remove_file(folder.path().join("access.log.2")).unwrap();
    let mut run = Run::start(folder.path(), &kept);
    append(&log, "6\n");
    run.until_lines(1).until_quiet();
    assert_eq!(run.texts(), ["6"]);
    assert!(run.notes().is_empty(), "{:?}", run.notes());
}

#[test]
fn compressed_files_are_partitions_too() {
    let folder = tempfile::tempdir().unwrap();
    pack(&folder.path().join("old.log.gz"), b"x\ny");
    let (lines, _) = read(folder.path(), &Kept::default(), 2);
    assert_eq!(texts(&lines), ["x", "y"]);
}

#[test]
fn the_number_of_a_partition_is_found_in_any_name() {
    for (name, number) in [
        ("part-0003.jsonl", Some(3)),
        ("part-12.log.gz", Some(12)),
        ("café.jsonl", None),
        ("café-7.jsonl", Some(7)),
        ("日本-٣.log", None),
        ("é", None),
        ("-5", Some(5)),
        ("part-", None),
        ("7.log", None),
        ("part-123456.log", None),
    ] {
        assert_eq!(number_in(name), number, "{name}");
    }
}

#[test]
fn files_that_begin_alike_are_all_read() {
    let folder = tempfile::tempdir().unwrap();
    let head = "the same first line, longer than what used to be looked at: ".repeat(40);
    for number in 0..3 {
        let rest = format!("{head}\nof {number}\n");
        append(&folder.path().join(format!("part-{number}.log")), &rest);
    }
    append(&folder.path().join("x.log"), "x\na\n");
    append(&folder.path().join("y.log"), "x\nb\n");
    let mut run = Run::start(folder.path(), &Kept::default());
    run.until_lines(10).until_quiet();
    let short: Vec<&str> = run.sorted().into_iter().filter(|it| it.len() < 9).collect();
    assert_eq!(short, ["a", "b", "of 0", "of 1", "of 2", "x", "x"]);
    assert_eq!(run.lines.len(), 10);
    assert!(run.notes().is_empty(), "{:?}", run.notes());
}

#[test]
fn a_copy_is_told_and_read_once_it_differs() {
    let folder = tempfile::tempdir().unwrap();
    let (first, second) = (folder.path().join("a.log"), folder.path().join("b.log"));
    append(&first, "1\n2\n");
    append(&second, "1\n2\n");
    let mut run = Run::start(folder.path(), &Kept::default());
    let told = vec![("b.log".to_owned(), Trouble::Alike)];
    run.until("the copy is told", |it| it.notes() == told);
    assert_eq!(run.texts(), ["1", "2"]);
    append(&first, "3\n");
    append(&second, "4\n");
    run.until_lines(6).until_quiet();
    assert_eq!(run.sorted(), ["1", "1", "2", "2", "3", "4"]);
    assert!(run.notes().is_empty(), "{:?}", run.notes());
}

#[test]
fn a_link_is_followed_and_a_second_name_is_no_second_file() {
    let folder = tempfile::tempdir().unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    append(&elsewhere.path().join("app"), "1\n");
    append(&folder.path().join("b.log"), "2\n");
    let link = |from: &Path, name: &str| {
        std::os::unix::fs::symlink(from, folder.path().join(name)).unwrap();
    };
    link(&elsewhere.path().join("app"), "app.log");
    link(&folder.path().join("b.log"), "current.log");
    link(&elsewhere.path().join("nothing"), "broken.log");
    std::fs::hard_link(folder.path().join("b.log"), folder.path().join("c.log")).unwrap();
    let mut run = Run::start(folder.path(), &Kept::default());
    run.until_lines(2).until_quiet();
    assert_eq!(run.sorted(), ["1", "2"]);
    assert_eq!(
        run.notes(),
        [("broken.log".to_owned(), Trouble::Unreadable)]
    );
}

#[test]
fn odd_names_are_read_and_broken_files_told() {
    use std::os::unix::ffi::OsStrExt;
    let folder = tempfile::tempdir().unwrap();
    append(&folder.path().join("café.jsonl"), "1\n");
    append(&folder.path().join("日本-7.jsonl"), "2\n");
    let odd = std::ffi::OsStr::from_bytes(b"caf\xe9 \\x.jsonl");
    append(&folder.path().join(odd), "3\n");
    std::fs::write(folder.path().join("broken.log.gz"), b"no gzip at all").unwrap();
    pack(&folder.path().join("whole.gz"), &b"4\n".repeat(100_000));
    let whole = std::fs::read(folder.path().join("whole.gz")).unwrap();
    std::fs::write(folder.path().join("cut.gz"), &whole[..whole.len() / 2]).unwrap();
    std::fs::remove_file(folder.path().join("whole.gz")).unwrap();
    let mut run = Run::start(folder.path(), &Kept::default());
    run.until("all is read or told", |it| {
        let lines = it.lines.iter().filter(|it| it.1 != "4").count();
        let broken = ("broken.log.gz".to_owned(), Trouble::Unreadable);
        let problem = it.status.get().problem().cloned();
        lines == 3 && it.notes() == [broken] && problem.is_some_and(|it| it.starts_with("cut.gz"))
    });
    let kept = run.end();
    append(&folder.path().join(odd), "5\n");
    let (lines, _) = read(folder.path(), &kept, 1);
    assert_eq!(texts(&lines), ["5"]);
}

#[test]
fn a_log_that_is_copied_and_cut_goes_on_in_its_copy() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("a.log");
    append(&log, "1\n2\n");
    let mut run = Run::start(folder.path(), &Kept::default());
    run.until_lines(2);
    for (number, line) in ["3\n", "4\n", "5\n"].iter().enumerate() {
        append(&log, &format!("last of {number}\n"));
        std::fs::copy(&log, folder.path().join(format!("a.log.{number}"))).unwrap();
        File::create(&log).unwrap(); // cut to nothing
        append(&log, line);
        run.until_lines(4 + 2 * number).until_quiet();
    }
    assert_eq!(
        run.texts(),
        [
            "1",
            "2",
            "last of 0",
            "3",
            "last of 1",
            "4",
            "last of 2",
            "5"
        ]
    );
    assert!(run.gaps.is_empty(), "{:?}", run.gaps);
    assert!(run.lines.iter().all(|it| it.0 == 0), "one partition");
    // And while nobody reads.
    let kept = run.end();
    append(&log, "6\n");
    std::fs::copy(&log, folder.path().join("a.log.9")).unwrap();
    std::fs::write(&log, "7, and longer than what was there before\n").unwrap();
    let mut run = Run::start(folder.path(), &kept);
    run.until_lines(2).until_quiet();
    assert_eq!(
        run.texts(),
        ["6", "7, and longer than what was there before"]
    );
    assert!(run.gaps.is_empty(), "{:?}", run.gaps);
    assert!(run.notes().is_empty(), "{:?}", run.notes());
}

#[test]
fn a_folder_that_is_not_there_is_told_with_where_it_would_be() {
    let opened = Folder::open(
        Location::all_of("./no-such-folder".into()),
        &Offsets::default(),
        std::iter::empty(),
    );
    let said = opened.err().unwrap().to_string();
    let here = std::env::current_dir().unwrap().join("no-such-folder");
    assert!(said.contains(&here.display().to_string()), "{said}");
    assert!(said.contains("--input"), "{said}");
}

#[test]
fn a_copy_that_was_listed_before_the_cut_was_seen_is_read_on() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("a.log");
    append(&log, "1\n");
    let found = Folder::open(
        Location::all_of(folder.path().to_owned()),
        &Offsets::default(),
        std::iter::empty(),
    )
    .unwrap();
    let listing = found.look_now().unwrap();
    let mut tail = Tail::resume("a.log", 0, None, &listing, &Framing::Lines)
        .unwrap()
        .unwrap();
    let mut lines = String::new();
    let mut step = |tail: &mut Tail| {
        if let Step::Chunk { chunk, lost } = tail.read(&found).unwrap() {
            assert!(lost.is_none(), "{lost:?}");
            found.note(0, &chunk.next);
            lines.push_str(&String::from_utf8_lossy(&chunk.records.data));
        }
        lines.clone()
    };
    assert_eq!(step(&mut tail), "1\n");
    append(&log, "2\n");
    std::fs::copy(&log, folder.path().join("a.log.0")).unwrap();
    File::create(&log).unwrap();
    // The folder is listed while the log is empty, and the log is read after that.
    tail.look_through(&found.look_now().unwrap());
    append(&log, "3");
    tail.look_through(&found.look_now().unwrap());
    let deadline = Instant::now() + LIMIT;
    while step(&mut tail) != "1\n2\n" {
        assert!(Instant::now() < deadline, "{}", step(&mut tail));
    }
}

#[test]
fn what_is_overwritten_without_a_copy_is_a_gap_and_the_new_is_read_once() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("a.log");
    append(&log, "1\n2\nunfini");
    let mut run = Run::start(folder.path(), &Kept::default());
    run.until_lines(2)
        .until("all bytes are seen", |it| it.status.get().lag() == 6);
    // Shorter, then as long as before, then longer.
    for (number, text) in ["a\nb\n", "c\nd\n", "e\nf\ng\nh\n"].iter().enumerate() {
        std::fs::write(&log, text).unwrap();
        run.until("the gap is told", |it| it.gaps.len() == number + 1);
        run.until_lines(5 + 2 * number).until_quiet();
    }
    run.until_lines(11).until_quiet();
    let all = "1 2 unfini a b c d e f g h";
    assert_eq!(run.texts().join(" "), all);
    assert!(run.at.is_sorted_by(|a, b| a < b), "{:?}", run.at);
    for gap in &run.gaps {
        assert!(
            gap.from < gap.to && gap.reason.contains("not known"),
            "{gap:?}"
        );
        assert!(
            !run.at.contains(&gap.from),
            "a dead letter has its own offset"
        );
    }
    assert_eq!(run.status.get().lost_records as usize, run.gaps.len());
    // While nobody reads.
    let kept = run.end();
    std::fs::write(&log, "i\nj\nk\nl\nm\n").unwrap();
    let mut run = Run::start(folder.path(), &kept);
    run.until_lines(5).until_quiet();
    assert_eq!(run.texts().join(""), "ijklm");
    assert_eq!(run.gaps.len(), 1);
    assert!(run.gaps[0].reason.contains("while nobody read it"));
}

#[test]
fn what_is_left_of_a_file_that_was_cut_is_not_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("a.log");
    append(&log, "1\n2\n3\n4\n");
    let mut run = Run::start(folder.path(), &Kept::default());
    run.until_lines(4);
    let file = std::fs::OpenOptions::new().write(true).open(&log).unwrap();
    file.set_len(4).unwrap();
    run.until("the gap is told", |it| it.gaps.len() == 1);
    append(&log, "5\n");
    run.until_lines(5).until_quiet();
    assert_eq!(run.texts(), ["1", "2", "3", "4", "5"]);
    assert_eq!(run.gaps.len(), 1, "{:?}", run.gaps);
    let kept = run.end();
    append(&log, "6\n");
    let (lines, _) = read(folder.path(), &kept, 1);
    assert_eq!(texts(&lines), ["6"]);
}

#[test]
fn a_file_restored_from_a_backup_is_read_on() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("a.log");
    append(&log, "1\n2\n");
    let (_, kept) = read(folder.path(), &Kept::default(), 2);
    // Another file takes its inode, as may be.
    std::fs::remove_file(&log).unwrap();
    append(&folder.path().join("z.log"), "9\n");
    append(&log, "1\n2\n3\n");
    let mut run = Run::start(folder.path(), &kept);
    run.until_lines(2).until_quiet();
    assert_eq!(run.sorted(), ["3", "9"]);
    assert!(run.gaps.is_empty());
}

#[test]
fn positions_of_older_versions_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("a.log");
    append(&log, "1\n2\n");
    append(&folder.path().join("b.log"), "1\n8\n");
    let hash = twox_hash::XxHash3_64::oneshot(b"1\n");
    let mut kept = Kept::default();
    let older = crate::model::Position {
        offset: Offset(102),
        origin: format!("a.log|{hash:x}|100"),
        mark: String::new(),
    };
    kept.offsets.advance(Partition(5), older);
    let mut run = Run::start(folder.path(), &kept);
    run.until_lines(3).until_quiet();
    let mut lines = run.lines.clone();
    lines.sort();
    let text = |number: i32, text: &str| (number, text.to_owned());
    assert_eq!(lines, [text(0, "1"), text(0, "8"), text(5, "2")]);
    assert!(run.at.contains(&102));
}

#[test]
fn an_unfinished_line_is_told_until_its_end_comes() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("a.log");
    append(&log, "1\nhalf");
    let mut run = Run::start(folder.path(), &Kept::default());
    let told = vec![("a.log".to_owned(), Trouble::Unfinished)];
    run.until("it is told", |it| it.notes() == told);
    let status = run.status.get();
    assert_eq!(status.file_notes()[0].bytes, 4);
    append(&log, " and half\n");
    run.until_lines(2)
        .until("it is no more", |it| it.notes().is_empty());
    assert_eq!(run.texts(), ["1", "half and half"]);
}

#[test]
fn many_files_are_read_with_few_open() {
    let folder = tempfile::tempdir().unwrap();
    let files = 4 * OPEN_FILES_MAX;
    for number in 0..files {
        append(
            &folder.path().join(format!("part-{number}.log")),
            &format!("{number} a\n"),
        );
    }
    let open = |path: &Path| {
        let links = std::fs::read_dir("/proc/self/fd").unwrap();
        let targets = links.filter_map(|it| std::fs::read_link(it.ok()?.path()).ok());
        targets.filter(|it| it.starts_with(path)).count()
    };
    let mut run = Run::start(folder.path(), &Kept::default());
    run.until_lines(files);
    for number in 0..files {
        append(
            &folder.path().join(format!("part-{number}.log")),
            &format!("{number} b\n"),
        );
    }
    run.until_lines(2 * files).until_quiet();
    assert_eq!(run.lines.len(), 2 * files, "each once");
    let count = open(&folder.path().canonicalize().unwrap());
    assert!(count <= OPEN_FILES_MAX, "{count} are open");
}

#[test]
fn different_names_are_different_texts() {
    use std::os::unix::ffi::OsStrExt;
    let mut texts = std::collections::BTreeSet::new();
    let names = [
        &b"plain.log"[..],
        b"caf\xe9",
        "café".as_bytes(),
        b"a\\x41",
        b"\\x",
        b"\xff\\xff",
        b"\\xff\xff",
    ];
    for name in names {
        let name = std::ffi::OsStr::from_bytes(name);
        texts.insert(print::text_of(name));
    }
    assert_eq!(texts.len(), names.len(), "{texts:?}");
    assert!(
        texts.contains("café") && texts.contains("caf\\xe9"),
        "{texts:?}"
    );
    let origin = print::Origin {
        name: "a|b".to_owned(),
        inode: Some(77),
        head: Some(print::Head::of(b"x")),
        base: 12,
        skip: 3,
    };
    assert_eq!(print::Origin::parse(&origin.text()), Some(origin));
}

/// Each file has a header of its own, with its own columns; wherever a run ends, and whatever the files are called since.
#[test]
fn the_header_of_each_file_is_no_record_and_goes_with_them() {
    let place = tempfile::tempdir().unwrap();
    let log = place.path().join("log.csv");
    let csv = Framing::Csv(Csv::default());
    let mut kept = Kept::default();
    let mut lines = Vec::new();
    let mut at = Vec::new();
    let mut run_until = |count: usize| {
        let mut run = Run::start_as(&csv, place.path(), &kept);
        run.until_lines(count);
        if count == 0 {
            run.until_quiet();
        }
        lines.append(&mut run.lines);
        at.append(&mut run.at);
        kept = run.end();
    };
    append(&log, "id,na");
    append(&log, "me\n");
    run_until(0);
    append(&log, "1,\"a\nb\"\n2,");
    run_until(1);
    append(&log, "c\n");
    run_until(1);
    std::fs::rename(&log, place.path().join("log.csv.1")).unwrap();
    append(&log, "name,id\nd,3\n");
    run_until(1);
    pack(
        &place.path().join("log.csv.2.gz"),
        &std::fs::read(place.path().join("log.csv.1")).unwrap(),
    );
    std::fs::remove_file(place.path().join("log.csv.1")).unwrap();
    append(&log, "e,4\n");
    run_until(1);
    assert_eq!(
        texts(&lines),
        [
            "id,name\n1,\"a\nb\"",
            "id,name\n2,c",
            "name,id\nd,3",
            "name,id\ne,4"
        ]
    );
    assert_eq!(at, [8, 16, 28, 32]);

    // Read again, whole and from between the records of each file.
    let origins = kept.origins.iter().map(|it| it.1.clone());
    let mut origins: Vec<String> = origins.collect();
    origins.dedup_by_key(|it| it.rsplit_once('|').map(|it| it.1.to_owned()));
    for from in [0, 8, 16, 20, 28, 32] {
        let mut again = Vec::new();
        let span = Span {
            partition: Partition(0),
            from: Offset(from),
            until: Offset(36),
            origins: origins.clone(),
            framing: csv.clone(),
        };
        let missing = read_again(place.path(), &span, &mut |it| again.extend(it.offsets)).unwrap();
        assert!(missing.is_empty(), "{missing:?}");
        let expected: Vec<i64> = at.iter().copied().filter(|it| from <= *it).collect();
        assert_eq!(again, expected, "from {from}");
    }
}

/// What is left of a file that was cut is not read again, its header still names the fields of what comes.
#[test]
fn the_header_of_a_file_that_was_cut_stays() {
    let place = tempfile::tempdir().unwrap();
    let log = place.path().join("log.csv");
    append(&log, "id,name\n1,a\n2,b\n");
    let csv = Framing::Csv(Csv::default());
    let mut run = Run::start_as(&csv, place.path(), &Kept::default());
    run.until_lines(2);
    for length in [12, 3] {
        File::options()
            .write(true)
            .open(&log)
            .unwrap()
            .set_len(length)
            .unwrap();
        run.until("the cut is seen", |it| !it.gaps.is_empty());
        run.gaps.clear();
        let count = run.lines.len();
        append(&log, if length == 3 { "name\n4,d\n" } else { "3,c\n" });
        run.until_lines(count + 1);
    }
    assert_eq!(run.texts()[2..], ["id,name\n3,c", "id,name\n4,d"]);
    run.end();
}

/// Rows `from..until` of a Parquet file, in groups of ten.
fn parquet_rows(from: i64, until: i64) -> Vec<u8> {
    use ::parquet::arrow::ArrowWriter;
    use ::parquet::file::properties::WriterProperties;
    use arrow::array::{ArrayRef, Int64Array, RecordBatch};
    let column: ArrayRef = Arc::new(Int64Array::from_iter_values(from..until));
    let batch = RecordBatch::try_from_iter([("n", column)]).unwrap();
    let groups = WriterProperties::builder().set_max_row_group_row_count(Some(10));
    let mut writer =
        ArrowWriter::try_new(Vec::new(), batch.schema(), Some(groups.build())).unwrap();
    writer.write(&batch).unwrap();
    writer.into_inner().unwrap()
}

/// Each file is taken once it is whole; a run goes on within a file, where the one before ended.
#[test]
fn parquet_files_are_read_row_by_row_once_they_are_whole() {
    let place = tempfile::tempdir().unwrap();
    let path = |name: &str| place.path().join(name);
    std::fs::write(path("a-0.parquet"), parquet_rows(0, 95)).unwrap();
    let half = parquet_rows(200, 230);
    std::fs::write(path("b-1.parquet"), &half[..half.len() / 2]).unwrap();
    std::fs::write(path("c.json"), "{}\n").unwrap();
    let mut run = Run::start_as(&Framing::Rows, place.path(), &Kept::default());
    run.until_lines(95).until_quiet();
    assert_eq!(
        run.notes(),
        [
            ("b-1.parquet".to_owned(), Trouble::Unreadable),
            ("c.json".to_owned(), Trouble::Unreadable)
        ]
    );
    let mut kept = run.kept.clone();
    let lines: Vec<String> = (0..95).map(|it| format!("{{\"n\":{it}}}")).collect();
    assert_eq!(run.texts(), lines);
    let offsets = run.at.clone();
    run.end();

    // As if the run had ended after the fortieth row.
    let mut first = kept.offsets.get(Partition(0)).unwrap().clone();
    let read: String = lines[..40].iter().map(|it| format!("{it}\n")).collect();
    first.offset = Offset(offsets[40]);
    first.mark = print::Mark::of(read.as_bytes()).text();
    kept.offsets = Offsets::default();
    kept.offsets.advance(Partition(0), first);
    std::fs::write(path("b-1.parquet"), &half).unwrap();
    let mut run = Run::start_as(&Framing::Rows, place.path(), &kept);
    run.until_lines(55 + 30).until_quiet();
    let rest = |partition: i32| run.lines.iter().filter(move |it| it.0 == partition);
    assert!(rest(0).map(|it| &it.1).eq(&lines[40..]));
    assert_eq!(rest(1).count(), 30);
    assert!(
        run.notes().iter().all(|it| it.0 == "c.json"),
        "{:?}",
        run.notes()
    );
    let kept = run.end();

    let mut again = Vec::new();
    let span = Span {
        partition: Partition(0),
        from: Offset(0),
        until: kept.offsets.get(Partition(0)).unwrap().offset,
        origins: kept
            .origins
            .iter()
            .filter(|it| it.0 == Partition(0))
            .map(|it| it.1.clone())
            .take(1)
            .collect(),
        framing: Framing::Rows,
    };
    let missing = read_again(place.path(), &span, &mut |it| again.extend(it.offsets)).unwrap();
    assert!(missing.is_empty(), "{missing:?}");
    assert_eq!(again, offsets);
}

#[test]
fn a_parquet_file_is_no_text() {
    let place = tempfile::tempdir().unwrap();
    std::fs::write(place.path().join("a.parquet"), parquet_rows(0, 3)).unwrap();
    append(&place.path().join("b.jsonl"), "1\n");
    let mut run = Run::start(place.path(), &Kept::default());
    run.until_lines(1).until_quiet();
    assert_eq!(run.notes(), [("a.parquet".to_owned(), Trouble::Unreadable)]);
    run.end();
}
