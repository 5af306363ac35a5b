//! Files that are written anew: which ones, in which order, and with the same rows.

use super::*;
use crate::lake::inspect::FileFacts;
use crate::lake::{Manifest, app_id};
use arrow::array::{Array, AsArray, Int64Array, StringArray};
use arrow::datatypes::{Field, Int64Type, Schema, TimeUnit};
use proptest::prelude::*;

fn layout() -> TableLayout {
    let time = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    let item = DataType::List(Arc::new(Field::new_list_field(DataType::Int64, true)));
    TableLayout {
        name: "t".to_owned(),
        schema: Arc::new(Schema::new(vec![
            Field::new("day", DataType::Utf8, true),
            Field::new("a", DataType::Int64, true),
            Field::new("b", DataType::Utf8, true),
            Field::new("at", time, true),
            Field::new("list", item, true),
        ])),
        partition_by: vec!["day".to_owned()],
    }
}

fn file(path: &str, size: u64) -> Value {
    let day = path.split_once('/').map_or("", |it| &it.0[4..]);
    serde_json::json!({"add": {"path": path, "partitionValues": {"day": day}, "size": size}})
}

#[test]
fn a_schema_is_read_back_from_the_log() {
    let schema = layout().schema;
    let text = log::schema_string(&schema).unwrap();
    assert_eq!(log::schema_of(&text).unwrap(), *schema);
    assert!(log::schema_of("{\"fields\":[{\"name\":\"x\",\"type\":\"variant\"}]}").is_err());
}

#[test]
fn small_files_of_a_folder_are_put_together_and_large_ones_left_alone() {
    let wanted = Wanted::default();
    let files = || {
        vec![
            file("day=1/e1-a.zstd.parquet", 10),
            file("day=1/e2-a.zstd.parquet", LARGE_BYTES),
            file("day=1/e3-a.zstd.parquet", WHOLE_BYTES / 3),
            file("day=1/e4-a.zstd.parquet", WHOLE_BYTES / 3),
            file("day=1/e5-a.zstd.parquet", WHOLE_BYTES / 3),
            file("day=2/e1-a.zstd.parquet", 10),
            file("day=3/e1-a.zstd.parquet", 10),
            file("day=3/m1-z0123456789abcdef-a.zstd.parquet", 10),
        ]
    };
    let paths = |groups: &[Vec<Value>]| -> Vec<Vec<String>> {
        let of = |it: &Vec<Value>| it.iter().map(|it| path_of(it).to_owned()).collect();
        groups.iter().map(of).collect()
    };
    assert_eq!(
        paths(&wanted.groups(files())),
        [[
            "day=1/e1-a.zstd.parquet",
            "day=1/e3-a.zstd.parquet",
            "day=1/e4-a.zstd.parquet"
        ]],
        "a group is no larger than a whole file, and one file alone stays"
    );
    let ordered = Wanted {
        order: vec!["a".to_owned()],
        only: BTreeMap::from([("day".to_owned(), "3".to_owned())]),
    };
    assert_eq!(
        paths(&ordered.groups(files()))[0].len(),
        2,
        "another order is no order"
    );
    let done = format!("day=3/m1-{}x.zstd.parquet", ordered.mark());
    assert!(ordered.groups(vec![file(&done, 10)]).is_empty());
}

#[test]
fn what_cannot_be_done_is_said() {
    let objection = |order: &[&str], only: &[(&str, &str)]| {
        let own = |it: &&str| (*it).to_owned();
        let only = only.iter().map(|it| (it.0.to_owned(), it.1.to_owned()));
        let wanted = Wanted {
            order: order.iter().map(own).collect(),
            only: only.collect(),
        };
        wanted.objection(&layout()).unwrap_or_default()
    };
    assert_eq!(objection(&["a", "b"], &[("day", "1")]), "");
    assert!(objection(&["x"], &[]).contains("has no column x; it has day, a, b, at, list"));
    assert!(objection(&["day"], &[]).contains("a partition column"));
    assert!(objection(&["list"], &[]).contains("not ordered"));
    assert!(objection(&[], &[("a", "1")]).contains("no partition column of table t; it has day"));
}

#[test]
fn bits_are_taken_in_turn() {
    assert_eq!(interleaved(&[u32::MAX]), u128::from(u32::MAX));
    assert_eq!(interleaved(&[1, 0]), 2);
    assert_eq!(interleaved(&[0b10, 0b11]), 0b1101);
    assert_eq!(interleaved(&[u32::MAX; 4]), u128::MAX);
}

/// Files with these values, encoded as a worker does.
fn encoded(parts: &[Vec<(i64, i64)>]) -> Vec<(String, Bytes)> {
    let schema = file_schema(&layout().schema, &layout().partition_by);
    let mut files = Vec::new();
    for (at, rows) in parts.iter().enumerate() {
        let a = Int64Array::from_iter_values(rows.iter().map(|it| it.0));
        let b = StringArray::from_iter(rows.iter().map(|it| (it.1 != 3).then(|| it.1.to_string())));
        let null = |at: usize| new_null_array(schema.field(at).data_type(), rows.len());
        let columns = vec![Arc::new(a) as _, Arc::new(b) as _, null(2), null(3)];
        let batch = RecordBatch::try_new(schema.clone(), columns).unwrap();
        let mut file = ParquetFile::new("t", schema.clone(), batch.columns()).unwrap();
        file.write("t", &batch).unwrap();
        let (bytes, _) = file.finish("t").unwrap();
        files.push((format!("{at}"), Bytes::from(bytes)));
    }
    files
}

fn rows_of(bytes: Vec<u8>) -> Vec<(i64, Option<String>)> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(Bytes::from(bytes)).unwrap();
    let mut rows = Vec::new();
    for batch in reader.build().unwrap() {
        let batch = batch.unwrap();
        let (a, b) = (batch.column(0).as_primitive::<Int64Type>(), batch.column(1));
        let b = b.as_string::<i32>();
        rows.extend((0..batch.num_rows()).map(|at| {
            let text = (!b.is_null(at)).then(|| b.value(at).to_owned());
            (a.value(at), text)
        }));
    }
    rows
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn rows_are_the_same_in_any_order(parts in prop::collection::vec(prop::collection::vec((-5..5i64, 0..5i64), 0..40), 1..5)) {
        let mut before: Vec<_> = encoded(&parts).into_iter().flat_map(|it| rows_of(it.1.to_vec())).collect();
        before.sort();
        for order in [vec![], vec!["a".to_owned()], vec!["a".to_owned(), "b".to_owned()]] {
            let files = encode(&layout(), &order, encoded(&parts)).unwrap();
            let mut after: Vec<_> = files.into_iter().flat_map(|it| rows_of(it.0)).collect();
            if order.len() == 1 {
                prop_assert!(after.is_sorted_by_key(|it| it.0));
            }
            after.sort();
            prop_assert_eq!(&after, &before);
        }
    }
}

/// Sixteen values of each of two columns, shuffled: in Z-order each quarter of the rows has a quarter of the pairs.
#[test]
fn rows_that_are_alike_in_all_columns_lie_together() {
    let mut rows: Vec<(i64, i64)> = (0..16)
        .flat_map(|a| (10..26).map(move |b| (a, b)))
        .collect();
    rows.sort_by_key(|it| XxHash3_64::oneshot(format!("{it:?}").as_bytes()));
    let order = ["a".to_owned(), "b".to_owned()];
    let files = encode(&layout(), &order, encoded(&[rows])).unwrap();
    let rows: Vec<(i64, i64)> = files
        .into_iter()
        .flat_map(|it| rows_of(it.0))
        .map(|it| (it.0, it.1.unwrap().parse().unwrap()))
        .collect();
    for quarter in rows.chunks(64) {
        let spread = |of: fn(&(i64, i64)) -> i64| {
            let values = quarter.iter().map(of);
            values.clone().max().unwrap() - values.min().unwrap()
        };
        assert_eq!(
            (spread(|it| it.0), spread(|it| it.1)),
            (7, 7),
            "{quarter:?}"
        );
    }
}

#[tokio::test]
async fn a_commit_shows_the_new_files_in_the_place_of_the_old_ones() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().display().to_string()).unwrap();
    let layout = layout();
    store.create_table(&layout, "d", 1).await.unwrap();
    let mut state = TableState::made_at(0);
    let put = async |state: &mut TableState, change: super::super::Change<'_>| {
        let entry = state.entry(
            &Manifest::empty("d").after(),
            &app_id("d", "t"),
            change,
            None,
        );
        let path = Path::from(format!("t/{}", log::entry_path(entry.version)));
        let bytes = Bytes::from(log::entry_bytes(&entry.actions));
        assert!(store.create(&path, bytes).await.unwrap());
        state.follow(&entry, entry.version);
    };
    let mut adds = Vec::new();
    for (at, (_, bytes)) in encoded(&[vec![(1, 1), (2, 2)], vec![(3, 3)], vec![(4, 4)]])
        .into_iter()
        .enumerate()
    {
        let name = name_of(&format!("e{:016}-w0", at + 1), &bytes);
        let path = format!("day=1/{name}");
        store
            .put(&Path::from(format!("t/{path}")), bytes.clone())
            .await
            .unwrap();
        // The last one has rows that the next commit may replace.
        let add = serde_json::json!({"add": {"path": path, "partitionValues": {"day": "1"}, "size": bytes.len(),
            "modificationTime": 1, "dataChange": true, "stats": "{\"numRecords\":1}"}});
        adds.push((add, (at == 2).then_some(0)));
    }
    let change = super::super::Change {
        adds,
        ..Default::default()
    };
    put(&mut state, change).await;
    let by_log = store.layout_of("t", state.version).await.unwrap();
    assert_eq!(
        (&by_log.schema, &by_log.partition_by),
        (&layout.schema, &layout.partition_by)
    );

    let wanted = Wanted {
        order: vec!["b".to_owned()],
        ..Wanted::default()
    };
    let groups = store
        .groups_to_rewrite("t", &state, &wanted, None)
        .await
        .unwrap();
    let young = store.groups_to_rewrite("t", &state, &wanted, Some(Epoch(1)));
    assert_eq!(young.await.unwrap()[0].len(), 1, "the second is younger");
    assert_eq!(
        (groups.len(), groups[0].len()),
        (1, 2),
        "open rows are the next commit's"
    );
    let rewritten = store
        .rewrite(&by_log, groups[0].clone(), &wanted)
        .await
        .unwrap();
    let change = super::super::Change {
        merged: vec![&rewritten],
        ..Default::default()
    };
    put(&mut state, change).await;
    let files = store.files_at("t", state.version).await.unwrap();
    assert_eq!(files.len(), 2);
    assert!(
        files
            .iter()
            .all(|it| it["add"]["partitionValues"]["day"] == "1")
    );
    assert!(
        store
            .groups_to_rewrite("t", &state, &wanted, None)
            .await
            .unwrap()
            .is_empty()
    );
    // What a proof asks of every file: bytes as named, rows and statistics as the log tells.
    let path = rewritten.merged[0]["add"]["path"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(path.starts_with("day=1/m0000000000000002-z"), "{path}");
    let facts = store
        .file_facts("t", vec![Path::from(path.clone())])
        .await
        .unwrap();
    let FileFacts {
        is_as_named,
        content,
        ..
    } = facts[&Path::from(path)].clone().unwrap();
    let said: Value =
        serde_json::from_str(rewritten.merged[0]["add"]["stats"].as_str().unwrap()).unwrap();
    assert_eq!((is_as_named, content.unwrap()), (true, (3, said)));
    let removes = store.log_entry("t", state.version).await.unwrap().unwrap();
    let kind = &removes[0]["commitInfo"]["operation"];
    assert_eq!(kind, "OPTIMIZE");
    assert!(
        removes
            .iter()
            .all(|it| it["remove"].is_null() || it["remove"]["dataChange"] == false)
    );
}
