//! Tables whose logs are written by hand: every version once, in order, at the same offsets whenever it is read.

use super::*;
use crate::source::file::Span;
use crate::source::framing::Framing;
use ::parquet::arrow::ArrowWriter;
use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// How long anything may take.
const LIMIT: Duration = Duration::from_secs(120);

/// A table of keys and values.
struct Written {
    place: tempfile::TempDir,
    version: u64,
}

impl Written {
    fn new() -> Self {
        let place = tempfile::tempdir().unwrap();
        std::fs::create_dir(place.path().join("_delta_log")).unwrap();
        let written = Written { place, version: 0 };
        written.entry(
            0,
            &[
                r#"{"protocol":{"minReaderVersion":1,"minWriterVersion":2}}"#.to_owned(),
                r#"{"metaData":{"id":"11111111-2222-3333-4444-555555555555","format":{"provider":"parquet","options":{}},"schemaString":"{\"type\":\"struct\",\"fields\":[{\"name\":\"k\",\"type\":\"long\",\"nullable\":true,\"metadata\":{}},{\"name\":\"v\",\"type\":\"string\",\"nullable\":true,\"metadata\":{}}]}","partitionColumns":[],"configuration":{},"createdTime":1}}"#.to_owned(),
            ],
        );
        written
    }

    fn path(&self) -> &Path {
        self.place.path()
    }

    fn log(&self, version: u64) -> PathBuf {
        self.path().join(format!("_delta_log/{version:020}.json"))
    }

    fn entry(&self, version: u64, actions: &[String]) {
        std::fs::write(self.log(version), actions.join("\n") + "\n").unwrap();
    }

    fn add(&self, name: &str, rows: &[(i64, &str)], changes: bool) -> String {
        let keys: ArrayRef = Arc::new(Int64Array::from_iter_values(rows.iter().map(|it| it.0)));
        let values: ArrayRef = Arc::new(StringArray::from_iter_values(rows.iter().map(|it| it.1)));
        let batch =
            RecordBatch::try_from_iter_with_nullable([("k", keys, true), ("v", values, true)])
                .unwrap();
        let file = std::fs::File::create(self.path().join(name)).unwrap();
        let mut writer = ArrowWriter::try_new(file, batch.schema(), None).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
        let size = std::fs::metadata(self.path().join(name)).unwrap().len();
        format!(
            "{{\"add\":{{\"path\":\"{name}\",\"partitionValues\":{{}},\"size\":{size},\"modificationTime\":1,\"dataChange\":{changes}}}}}"
        )
    }

    /// A version that removes files, and adds others.
    fn commit(&mut self, removed: &[&str], added: &[(&str, &[(i64, &str)])], changes: bool) {
        self.version += 1;
        let removed = removed.iter().map(|it| {
            format!("{{\"remove\":{{\"path\":\"{it}\",\"deletionTimestamp\":1,\"dataChange\":{changes}}}}}")
        });
        let added = added.iter().map(|it| self.add(it.0, it.1, changes));
        let actions: Vec<String> = removed.chain(added).collect();
        self.entry(self.version, &actions);
    }

    fn table(&self, has_key: bool) -> Table {
        Table {
            path: self.path().display().to_string(),
            has_key,
            columns: vec!["K".to_owned(), "_v".to_owned()],
            open: Arc::new(|path, version| {
                let url = url::Url::from_directory_path(path).unwrap();
                Box::pin(async move {
                    let builder = deltalake::DeltaTableBuilder::from_url(url);
                    let builder = builder.map_err(|it| it.to_string())?;
                    let builder = match version {
                        Some(version) => builder.with_version(version),
                        None => builder,
                    };
                    builder.load().await.map_err(|it| it.to_string())
                })
            }),
        }
    }
}

/// What was read of a table, in any number of runs.
#[derive(Default)]
struct Read {
    stored: Offsets,
    origins: Vec<String>,
    lines: Vec<(i64, String)>,
    /// How many lines came at once.
    chunks: Vec<usize>,
    gaps: Vec<Gap>,
    problem: Option<String>,
}

impl Read {
    /// One run, until what was read holds, and then the end is told.
    fn run(&mut self, table: &Table, until: impl Fn(&Read) -> bool) {
        let stop = Arc::new(AtomicBool::new(false));
        let (sender, chunks) = crossbeam_channel::bounded(4);
        let status = SharedStatus::default();
        let reader = Reader {
            table: table.clone(),
            worker: 0,
            stored: self.stored.clone(),
            status: status.clone(),
            look_again: LookAgain::default(),
            stop: Arc::clone(&stop),
        };
        let thread = std::thread::spawn(move || reader.run(&sender));
        let deadline = Instant::now() + LIMIT;
        loop {
            assert!(
                Instant::now() < deadline,
                "{:?} {:?}",
                self.lines,
                self.problem
            );
            self.problem = status.get().problem().cloned();
            if until(self) {
                break;
            }
            if let Ok(chunk) = chunks.recv_timeout(Duration::from_millis(20)) {
                self.take(chunk);
            }
        }
        stop.store(true, Ordering::Release);
        drop(chunks);
        thread.join().unwrap();
    }

    fn take(&mut self, chunk: Chunk) {
        let mut start = 0;
        for (end, at) in chunk.records.ends.iter().zip(&chunk.records.offsets) {
            let line = &chunk.records.data[start..*end as usize];
            self.lines
                .push((*at, String::from_utf8_lossy(line).trim_end().to_owned()));
            start = *end as usize;
        }
        if !chunk.records.ends.is_empty() {
            self.chunks.push(chunk.records.ends.len());
        }
        self.gaps.extend(chunk.gap);
        if self.origins.last() != Some(&chunk.next.origin) {
            self.origins.push(chunk.next.origin.clone());
        }
        self.stored.advance(PARTITION, chunk.next);
    }

    /// The latest value of each key.
    fn rows(&self) -> BTreeMap<i64, String> {
        let mut rows = BTreeMap::new();
        for (_, line) in &self.lines {
            let row: serde_json::Value = serde_json::from_str(line).unwrap();
            let key = row["k"].as_i64().unwrap();
            match row["_deleted"].as_bool() {
                Some(true) => rows.remove(&key),
                _ => rows.insert(key, row["v"].as_str().unwrap().to_owned()),
            };
        }
        rows
    }

    fn is_at(&self, version: u64) -> bool {
        let position = self.stored.get(PARTITION);
        position.is_some_and(|it| it.mark.starts_with(&format!("v{}|", version + 1)))
    }

    fn again(
        &self,
        table: &Table,
        from: i64,
    ) -> (Vec<(i64, String)>, Vec<crate::source::file::Missing>) {
        let span = Span {
            partition: PARTITION,
            from: Offset(from),
            until: self.stored.get(PARTITION).unwrap().offset,
            origins: self.origins.clone(),
            framing: Framing::Lines,
        };
        let mut read = Read::default();
        let missing = read_again(table, &span, &mut |records| {
            read.take(Chunk {
                records,
                ..Chunk::empty(PARTITION, Position::default(), None)
            });
        });
        (read.lines, missing.unwrap())
    }
}

fn rows(rows: &[(i64, &str)]) -> BTreeMap<i64, String> {
    rows.iter().map(|it| (it.0, it.1.to_owned())).collect()
}

#[test]
fn the_relation_is_the_table_at_each_version() {
    let mut written = Written::new();
    written.commit(
        &[],
        &[
            ("b.parquet", &[(1, "a"), (2, "b")]),
            ("a.parquet", &[(3, "c")]),
        ],
        true,
    );
    let table = written.table(true);
    let mut read = Read::default();
    read.run(&table, |it| it.is_at(1));
    assert_eq!(read.rows(), rows(&[(1, "a"), (2, "b"), (3, "c")]));
    assert_eq!(
        read.lines[0].1, r#"{"k":3,"v":"c"}"#,
        "files come in the order of their names"
    );
    // Appended, updated and deleted from, put together, all in one, and in runs of their own.
    let mut versions = vec![(1, 3)];
    written.commit(&[], &[("c.parquet", &[(4, "d")])], true);
    read.run(&table, |it| it.is_at(2));
    written.commit(
        &["b.parquet"],
        &[("e.parquet", &[(2, "b"), (1, "x")])],
        true,
    );
    versions.push((3, 6));
    read.run(&table, |it| it.is_at(3));
    assert_eq!(read.rows(), rows(&[(1, "x"), (2, "b"), (3, "c"), (4, "d")]));
    written.commit(
        &["a.parquet", "c.parquet", "e.parquet"],
        &[("f.parquet", &[(1, "x"), (2, "b"), (3, "c"), (4, "d")])],
        false,
    );
    written.commit(
        &["f.parquet"],
        &[("g.parquet", &[(2, "b"), (5, "e"), (4, "d")])],
        true,
    );
    read.run(&table, |it| it.is_at(5));
    assert_eq!(read.rows(), rows(&[(2, "b"), (4, "d"), (5, "e")]));
    assert_eq!(read.chunks, [3, 1, 2, 3], "all of a version comes at once");
    let offsets: Vec<i64> = read.lines.iter().map(|it| it.0).collect();
    assert_eq!(offsets, (0..9).collect::<Vec<_>>());
    for from in 0..9 {
        let (lines, missing) = read.again(&table, from);
        assert!(missing.is_empty(), "{missing:?}");
        assert_eq!(lines, read.lines[from as usize..]);
    }

    // A run that was stored within a version goes on there.
    let mut half = Read {
        stored: read.stored.clone(),
        ..Read::default()
    };
    let mut position = half.stored.get(PARTITION).unwrap().clone();
    (position.offset, position.mark) = (Offset(7), "v5|6".to_owned());
    half.stored = Offsets::default();
    half.stored.advance(PARTITION, position);
    half.run(&table, |it| it.is_at(5));
    assert_eq!(half.lines, read.lines[7..]);
}

#[test]
fn without_a_key_rows_are_only_added() {
    let mut written = Written::new();
    written.commit(&[], &[("a.parquet", &[(1, "a")])], true);
    let table = written.table(false);
    let mut read = Read::default();
    read.run(&table, |it| it.is_at(1));
    written.commit(&[], &[("b.parquet", &[(1, "b")])], true);
    written.commit(&["a.parquet"], &[("c.parquet", &[(1, "a")])], false);
    read.run(&table, |it| it.is_at(3));
    assert_eq!(read.lines.len(), 2);
    written.commit(&["b.parquet"], &[], true);
    read.run(&table, |it| it.problem.is_some());
    let problem = read.problem.clone().unwrap();
    assert!(problem.contains("version 4 removes or replaces rows, which a source without a key cannot follow; declare what tells a row from others, PRIMARY KEY (…)"), "{problem}");
    assert!(read.is_at(3));
    let (lines, missing) = read.again(&table, 0);
    assert!(missing.is_empty() && lines == read.lines);
}

/// What is gone before it was read is a gap that is told; with a key the newest version follows it.
#[test]
fn what_was_vacuumed_or_cleaned_up_is_a_gap() {
    for is_log in [false, true] {
        let mut written = Written::new();
        written.commit(&[], &[("a.parquet", &[(1, "a"), (2, "b")])], true);
        let table = written.table(true);
        let mut read = Read::default();
        read.run(&table, |it| it.is_at(1));
        written.commit(&["a.parquet"], &[("b.parquet", &[(2, "c")])], true);
        written.commit(&[], &[("d.parquet", &[(3, "d")])], true);
        let reason = match is_log {
            true => {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build()
                    .unwrap();
                runtime.block_on(async {
                    let newest = table.at(None).await.unwrap();
                    let made = deltalake::protocol::checkpoints::create_checkpoint(&newest, None);
                    made.await.unwrap();
                });
                (0..3).for_each(|it| std::fs::remove_file(written.log(it)).unwrap());
                "versions 2 to 2 are no longer in the log; all rows of version 3 follow"
            }
            false => {
                std::fs::remove_file(written.path().join("a.parquet")).unwrap();
                "its file a.parquet is gone (vacuumed); all rows of version 3 follow"
            }
        };
        read.run(&table, |it| it.is_at(3));
        let [gap] = read.gaps.as_slice() else {
            panic!("{:?}", read.gaps)
        };
        assert_eq!((gap.from, gap.to), (2, 3));
        assert!(gap.reason.contains(reason), "{}", gap.reason);
        assert_eq!(read.rows(), rows(&[(1, "a"), (2, "c"), (3, "d")]));
        let (lines, missing) = read.again(&table, 0);
        let missing: Vec<_> = missing.into_iter().map(|it| it.offsets).collect();
        assert_eq!(missing, std::slice::from_ref(&(0..3)));
        assert_eq!(lines, read.lines[2..]);
    }
}

#[test]
fn a_column_that_the_table_has_not_is_told() {
    let written = Written::new();
    let table = Table {
        columns: vec!["k".to_owned(), "value".to_owned()],
        ..written.table(true)
    };
    let mut read = Read::default();
    read.run(&table, |it| it.problem.is_some());
    let problem = read.problem.unwrap();
    assert!(
        problem.ends_with("it has no column value; it has k, v"),
        "{problem}"
    );
}

#[test]
fn another_table_at_the_same_place_is_told() {
    let mut written = Written::new();
    written.commit(&[], &[("a.parquet", &[(1, "a")])], true);
    let table = written.table(true);
    let mut read = Read::default();
    read.run(&table, |it| it.is_at(1));
    let first = std::fs::read_to_string(written.log(0)).unwrap();
    std::fs::write(written.log(0), first.replace("11111111", "99999999")).unwrap();
    read.run(&table, |it| it.problem.is_some());
    let problem = read.problem.clone().unwrap();
    assert!(problem.contains("there is another table now"), "{problem}");
    let (lines, missing) = read.again(&table, 0);
    assert!(lines.is_empty());
    let changed: Vec<_> = missing.into_iter().map(|it| it.changed).collect();
    assert_eq!(changed, [Some(table.path)]);
}
