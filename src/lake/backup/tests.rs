//! Backups of small lakes: what is copied, forgotten and restored, and what is damaged is told.

use super::*;
use crate::lake::stage::TableLayout;
use crate::lake::{Change, Commit, Next, TableState};
use arrow::datatypes::{DataType, Field, Schema};
use std::sync::Arc;

fn file(number: u64) -> (String, Bytes) {
    let bytes = Bytes::from(format!("rows of {number}"));
    (
        super::super::parquet_file::name_of(&format!("e{number:016}-w0"), &bytes),
        bytes,
    )
}

/// A lake whose commits replace one file each, with a piece of state.
struct Lake {
    store: Store,
    last: Manifest,
    table: TableState,
}

impl Lake {
    async fn new(place: &str) -> Self {
        let store = Store::open(place).unwrap();
        let layout = TableLayout {
            name: "t".to_owned(),
            schema: Arc::new(Schema::new(vec![Field::new("a", DataType::Int64, true)])),
            partition_by: Vec::new(),
        };
        store.create_table(&layout, "d", 1).await.unwrap();
        let last = Manifest {
            writer: "w".to_owned(),
            ..Manifest::empty("d")
        };
        Lake {
            store,
            last,
            table: TableState::made_at(0),
        }
    }

    async fn commit(&mut self) {
        let mut next = self.last.after();
        next.epoch = Epoch(next.number * 1000);
        let (name, bytes) = file(next.number);
        self.store
            .put(&Path::from(format!("t/{name}")), bytes.clone())
            .await
            .unwrap();
        let name_of_state = format!("{:020}-w-difference", next.number);
        let state = self
            .store
            .put_state("d", &name_of_state, Bytes::from_static(b"state"));
        next.state_full = Some(state.await.unwrap());
        let add = json!({"add": {"path": name, "partitionValues": {}, "size": bytes.len(), "modificationTime": 1, "dataChange": true}});
        let change = Change {
            adds: vec![(add, Some(0))],
            replaced: crate::lake::Replaced::All,
            ..Change::default()
        };
        let entry = self.table.entry(&next, &app_id("d", "t"), change, None);
        next.tables.insert("t".to_owned(), entry);
        let mut commit = Commit::new(next);
        while let Next::Do(action) = commit.next() {
            let seen = self.store.perform("d", &action).await.unwrap();
            commit.observe(seen);
        }
        let (manifest, versions) = commit.into_parts();
        self.table.follow(&manifest.tables["t"], versions["t"]);
        self.last = manifest;
    }
}

async fn paths(store: &Store) -> Vec<String> {
    let all = store.objects_in(&Path::default()).await.unwrap();
    all.into_iter().map(|it| it.location.to_string()).collect()
}

#[tokio::test]
async fn a_lake_made_of_a_backup_has_one_version_and_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).display().to_string();
    let mut lake = Lake::new(&at("lake")).await;
    let place = Store::open(&at("place")).unwrap();
    assert!(matches!(
        lake.store.back_up("d", &place, None).await,
        Err(Error::Nothing { .. })
    ));
    for _ in 0..3 {
        lake.commit().await;
    }
    let first = lake.store.back_up("d", &place, None).await.unwrap();
    lake.commit().await;
    let second = lake.store.back_up("d", &place, None).await.unwrap();
    assert_eq!((first.point.number, second.point.number), (3, 4));
    // A manifest, a log entry, a data file, and state.
    assert_eq!(second.copied, 4);
    let again = lake.store.back_up("d", &place, None).await.unwrap();
    assert_eq!(again.copied, 0);

    let copy = Store::open(&at("copy")).unwrap();
    let point = place
        .restore(AsOf::Epoch(Epoch(3500)), &copy)
        .await
        .unwrap();
    assert_eq!(point.number, 3);
    let newest = copy.newest_manifest("d").await.unwrap().unwrap();
    assert_eq!((newest.number, first.point.versions["t"]), (3, 3));
    assert_eq!(copy.log_versions("t", None).await.unwrap(), [0, 3]);
    let files = copy.files_at("t", 3).await.unwrap();
    assert_eq!(files.len(), 1);
    assert_eq!(files[0]["add"]["path"], file(3).0.as_str());
    assert_eq!(
        copy.data_files("t").await.unwrap().len(),
        1,
        "no files of other versions"
    );
    assert!(
        copy.get_state(newest.state_full.as_ref().unwrap())
            .await
            .is_ok()
    );
    let refused = place
        .restore(AsOf::Newest, &copy)
        .await
        .unwrap_err()
        .to_string();
    assert!(refused.contains("in an empty place"), "{refused}");
    let refused = place
        .restore(AsOf::Commit(2), &copy)
        .await
        .unwrap_err()
        .to_string();
    assert!(
        refused.contains("commits 3 of 1970-01-01T00:00:03Z, 4 of"),
        "{refused}"
    );

    // One that was interrupted is gone on with, and only its newest manifest makes it a lake.
    let half = Store::open(&at("half")).unwrap();
    place.restore(AsOf::Newest, &half).await.unwrap();
    half.delete(&path_of("d", 4)).await.unwrap();
    half.delete(&Path::from(format!("t/{}", file(4).0)))
        .await
        .unwrap();
    place.restore(AsOf::Newest, &half).await.unwrap();
    assert_eq!(half.files_at("t", 4).await.unwrap().len(), 1);
    assert!(half.newest_manifest("d").await.unwrap().is_some());

    // A copy that went on is another lake.
    let mut forked = Lake {
        store: copy,
        last: Manifest {
            writer: "another".to_owned(),
            ..newest
        },
        table: lake.table.clone(),
    };
    forked.table = TableState::from_entry(&forked.last.tables["t"], 3);
    forked.commit().await;
    let refused = forked
        .store
        .back_up("d", &place, None)
        .await
        .unwrap_err()
        .to_string();
    assert!(refused.contains("went on differently"), "{refused}");

    let kept = lake.store.back_up("d", &place, Some(1)).await.unwrap();
    assert!(0 < kept.deleted);
    assert_eq!(place.backups().await.unwrap().len(), 1);
    let left = paths(&place).await;
    assert!(!left.iter().any(|it| it.contains(&file(3).0)), "{left:?}");
    let last = Store::open(&at("last")).unwrap();
    place.restore(AsOf::Newest, &last).await.unwrap();
    assert_eq!(last.files_at("t", 4).await.unwrap().len(), 1);
}

#[tokio::test]
async fn what_is_damaged_is_no_backup() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).display().to_string();
    let mut lake = Lake::new(&at("lake")).await;
    lake.commit().await;
    let (name, bytes) = file(1);
    let path = Path::from(format!("t/{name}"));
    let mut wrong = bytes.to_vec();
    wrong[0] ^= 1;
    lake.store.put(&path, Bytes::from(wrong)).await.unwrap();
    let place = Store::open(&at("place")).unwrap();
    let refused = lake
        .store
        .back_up("d", &place, None)
        .await
        .unwrap_err()
        .to_string();
    assert!(
        refused.contains("other bytes than those that were written"),
        "{refused}"
    );
    assert!(place.backups().await.unwrap().is_empty());
    lake.store.put(&path, bytes).await.unwrap();
    lake.store.back_up("d", &place, None).await.unwrap();
    // And a place that was damaged makes no lake.
    let kept = kept_path(path.as_ref());
    place
        .put(&kept, Bytes::from_static(b"rows of 2"))
        .await
        .unwrap();
    let copy = Store::open(&at("copy")).unwrap();
    let refused = place
        .restore(AsOf::Newest, &copy)
        .await
        .unwrap_err()
        .to_string();
    assert!(refused.contains("other bytes"), "{refused}");
    assert!(
        copy.newest_manifest("d").await.unwrap().is_none(),
        "nothing starts from it"
    );
    let newer = json!({"format": FORMAT + 1, "dataflow": []}).to_string();
    place.put(&point_path(9), Bytes::from(newer)).await.unwrap();
    let refused = place
        .restore(AsOf::Newest, &copy)
        .await
        .unwrap_err()
        .to_string();
    assert!(
        refused.contains("use the version that made it"),
        "{refused}"
    );
}
