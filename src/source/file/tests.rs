//! Appending, rotation, compression and restarts: every line once, in order, at growing offsets.

use super::*;
use std::io::Write;

/// Reads until `count` lines have come; returns them with their partitions, and the offsets to go on from.
fn read(path: &Path, stored: &Offsets, count: usize) -> (Vec<(i32, String)>, Offsets) {
    let stop = Arc::new(AtomicBool::new(false));
    let (sender, receiver) = crossbeam_channel::bounded(4);
    let reader = Reader {
        folder: Folder::open(path, stored).unwrap(),
        worker: 0,
        workers: 1,
        stored: stored.clone(),
        status: SharedStatus::default(),
        stop: Arc::clone(&stop),
    };
    let thread = std::thread::spawn(move || reader.run(&sender));
    let (mut lines, mut offsets) = (Vec::new(), stored.clone());
    while lines.len() < count {
        let chunk = receiver
            .recv_timeout(Duration::from_secs(10))
            .expect("lines are there");
        let mut start = 0;
        for end in &chunk.records.ends {
            let text = String::from_utf8_lossy(&chunk.records.data[start..*end as usize])
                .trim_end()
                .to_owned();
            lines.push((chunk.records.partition.0, text));
            start = *end as usize;
        }
        offsets.advance(chunk.records.partition, chunk.next);
    }
    stop.store(true, Ordering::Release);
    drop(receiver);
    thread.join().unwrap();
    (lines, offsets)
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
    let (lines, offsets) = read(folder.path(), &Offsets::default(), 2);
    assert_eq!(lines, vec![(3, "a".to_owned()), (3, "b".to_owned())]);
    assert_eq!(offsets.get(Partition(3)).unwrap().offset, Offset(4));
    append(&file, " done\nc\n");
    let (lines, _) = read(folder.path(), &offsets, 2);
    assert_eq!(texts(&lines), ["half done", "c"]);
}

#[test]
fn a_log_rotated_and_compressed_while_we_were_away_goes_on_without_gap() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("access.log");
    append(&log, "1\n2\n");
    let (_, offsets) = read(folder.path(), &Offsets::default(), 2);
    append(&log, "3\n4");
    let mut packed = flate2::write::GzEncoder::new(
        File::create(folder.path().join("access.log.1.gz")).unwrap(),
        flate2::Compression::fast(),
    );
    packed.write_all(&std::fs::read(&log).unwrap()).unwrap();
    packed.finish().unwrap();
    std::fs::remove_file(&log).unwrap();
    append(&log, "5\n6\n");
    let (lines, offsets) = read(folder.path(), &offsets, 4);
    assert_eq!(texts(&lines), ["3", "4", "5", "6"]);
    assert!(
        lines.iter().all(|it| it.0 == 0),
        "all of it is one partition"
    );
    assert_eq!(offsets.get(Partition(0)).unwrap().offset, Offset(7 + 4));
}

#[test]
fn a_rotation_while_reading_is_followed() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("access.log");
    append(&log, "1\n");
    let path = folder.path().to_owned();
    let writer = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(100));
        std::fs::rename(&log, path.join("access.log.1")).unwrap();
        append(&path.join("access.log.1"), "2\n");
        append(&log, "3\n");
    });
    let (lines, _) = read(folder.path(), &Offsets::default(), 3);
    writer.join().unwrap();
    assert_eq!(texts(&lines), ["1", "2", "3"]);
}

#[test]
fn compressed_files_are_partitions_too() {
    let folder = tempfile::tempdir().unwrap();
    let mut packed = flate2::write::GzEncoder::new(
        File::create(folder.path().join("old.log.gz")).unwrap(),
        flate2::Compression::fast(),
    );
    packed.write_all(b"x\ny").unwrap();
    packed.finish().unwrap();
    let (lines, _) = read(folder.path(), &Offsets::default(), 2);
    assert_eq!(texts(&lines), ["x", "y"]);
}

#[test]
fn a_line_without_end_is_cut_at_the_same_places_however_it_is_read() {
    let mut line = vec![b'x'; 2 * LINE_MAX + 10];
    line.push(b'\n');
    let data = [b"a\n", line.as_slice(), b"b\n"].concat();
    let whole = line_ends(&data, false);
    let lengths: Vec<u32> = std::iter::once(whole[0])
        .chain(whole.windows(2).map(|it| it[1] - it[0]))
        .collect();
    assert_eq!(lengths, [2, LINE_MAX as u32, LINE_MAX as u32, 11, 2]);
    for block in [LINE_MAX / 2 + 1, LINE_MAX + 7, data.len()] {
        let (mut pieces, mut pending, mut at) = (Vec::new(), Vec::new(), 0);
        for part in data.chunks(block) {
            pending.extend_from_slice(part);
            let ends = line_ends(&pending, false);
            pieces.extend(ends.iter().map(|it| at + it));
            let taken = ends.last().copied().unwrap_or(0);
            at += taken;
            pending.drain(..taken as usize);
        }
        assert_eq!(pieces, whole, "in blocks of {block} bytes");
    }
}
