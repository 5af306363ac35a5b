//! Whole commits, from rows to tables, in an object store that fails below its own interface, with processes that end anywhere.

use super::*;
use crate::lake::{Stager, TableLayout};
use arrow::array::{AsArray, Int64Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Int64Type, Schema};
use async_trait::async_trait;
use futures::StreamExt;
use futures::stream::BoxStream;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use tokio::sync::Notify;

const TABLE: &str = "numbers";
const PROCESSES: usize = 8;
const COMMITS: usize = 4;
const ROWS: i64 = 10;

/// Refuses a part of all requests, and carries another part out and says that it did not.
#[derive(Debug)]
struct Faulty {
    objects: Arc<dyn ObjectStore>,
    random: Random,
    /// Requests until the process ends that makes them.
    life: AtomicUsize,
    ended: Notify,
    /// Requests refused, answers lost.
    counts: [AtomicUsize; 2],
}

#[derive(Debug)]
struct Random(Mutex<u64>);

impl Random {
    fn below(&self, limit: u64) -> u64 {
        let mut state = self.0.lock().expect("no test panics while it draws");
        *state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (*state >> 33) % limit
    }
}

impl Faulty {
    async fn answer<T>(&self, request: impl Future<Output = Result<T>>) -> Result<T> {
        let living = |it: usize| it.checked_sub(1);
        let last = self
            .life
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, living);
        if last.is_err() {
            self.ended.notify_one();
            std::future::pending::<()>().await;
        }
        match self.random.below(8) {
            0 => Err(self.fault(0)),
            1 => {
                // Also the answer that it was there before is lost.
                let _ = request.await;
                Err(self.fault(1))
            }
            _ => request.await,
        }
    }

    fn fault(&self, kind: usize) -> object_store::Error {
        self.counts[kind].fetch_add(1, Ordering::Relaxed);
        object_store::Error::Generic {
            store: "faulty",
            source: "no answer".into(),
        }
    }
}

impl std::fmt::Display for Faulty {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "faulty {}", self.objects)
    }
}

#[async_trait]
impl ObjectStore for Faulty {
    async fn put_opts(&self, at: &Path, bytes: PutPayload, how: PutOptions) -> Result<PutResult> {
        self.answer(self.objects.put_opts(at, bytes, how)).await
    }

    async fn put_multipart_opts(
        &self,
        at: &Path,
        how: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.objects.put_multipart_opts(at, how).await
    }

    async fn get_opts(&self, at: &Path, how: GetOptions) -> Result<GetResult> {
        self.answer(self.objects.get_opts(at, how)).await
    }

    fn delete_stream(
        &self,
        paths: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        self.objects.delete_stream(paths)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        match self.random.below(8) {
            0 => futures::stream::iter([Err(self.fault(0))]).boxed(),
            _ => self.objects.list(prefix),
        }
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.objects.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, how: CopyOptions) -> Result<()> {
        self.objects.copy_opts(from, to, how).await
    }
}

fn layout() -> TableLayout {
    let number = Field::new("number", DataType::Int64, true);
    TableLayout {
        name: TABLE.to_owned(),
        schema: Arc::new(Schema::new(vec![number])),
        partition_by: Vec::new(),
    }
}

/// Takes the lake over and commits the numbers that come next, until it is done or ends on the way.
async fn process(store: &Store, number: usize, counts: &Arc<CommitCounts>) {
    let told = Teller {
        committed: watch::channel(Committed::default()).0,
        counts: Arc::clone(counts),
    };
    let writer = format!("process-{number}");
    let mut claim = loop {
        let Ok(newest) = store.newest_manifest("d").await else {
            continue;
        };
        let newest = newest.unwrap_or_else(|| Manifest::empty("d"));
        let mut claim = Commit::claim(newest, &writer, 0);
        if carry_through(store, &mut claim, "claim", Some(&told))
            .await
            .expect("no other claims")
        {
            break claim;
        }
    };
    let runtime = tokio::runtime::Handle::current();
    let uploads = Arc::default();
    let mut stager =
        Stager::new(store.clone(), runtime, writer, uploads).telling(tell_of_uploads(told.clone()));
    for _ in 0..COMMITS {
        let (last, versions) = claim.into_parts();
        let state = match last.tables.get(TABLE) {
            Some(entry) => TableState::from_entry(entry, versions[TABLE]),
            None => TableState::default(),
        };
        let first = last.totals.as_i64().unwrap_or(0);
        let mut next = last.clone();
        next.number += 1;
        next.epoch = Epoch(last.epoch.0 + 1);
        next.totals = (first + ROWS).into();
        let numbers = Int64Array::from_iter_values(first..first + ROWS);
        let rows = RecordBatch::try_new(layout().schema, vec![Arc::new(numbers)]).expect("rows");
        stager
            .append(&layout(), next.epoch, &rows)
            .expect("rows are encoded");
        let mut change = Change::default();
        for staged in stager.finish(next.epoch, false).expect("files are closed") {
            let (_, add, _, open) = staged
                .durable()
                .await
                .expect("it is tried until it is there");
            change.adds.push((add, open));
        }
        let entry = state.entry(&next, &app_id("d", TABLE), change, None);
        next.tables.insert(TABLE.to_owned(), entry);
        claim = Commit::new(next);
        let settled = carry_through(store, &mut claim, "manifest", Some(&told)).await;
        assert!(settled.expect("no other claims"));
    }
}

#[tokio::test]
async fn rows_come_once_through_an_object_store_that_fails() {
    for seed in 1..=5 {
        check(seed).await;
    }
}

async fn check(seed: u64) {
    let clean = Store::open("memory:///lake").expect("a lake");
    let created = clean.create_table(&layout(), "d", 0).await;
    created.expect("a table");
    let faulty = Arc::new(Faulty {
        objects: Arc::clone(&clean.objects),
        random: Random(Mutex::new(seed)),
        life: AtomicUsize::new(0),
        ended: Notify::new(),
        counts: Default::default(),
    });
    let mut store = clean.clone();
    store.objects = Arc::clone(&faulty) as Arc<dyn ObjectStore>;
    let failing = Arc::default();
    for number in 0..PROCESSES {
        let life = 5 + faulty.random.below(60) as usize;
        faulty.life.store(life, Ordering::Relaxed);
        tokio::select! {
            () = process(&store, number, &failing) => {}
            () = faulty.ended.notified() => {}
        }
    }
    let well = Arc::default();
    process(&clean, PROCESSES, &well).await;
    assert!(well.failures().all(|it| it.1 == 0), "{well:?}");
    for (stage, failures) in failing.failures() {
        // These commits have no state.
        assert_eq!(failures == 0, stage == CommitStage::State, "{failing:?}");
    }
    let newest = clean.newest_manifest("d").await.expect("it is read");
    let newest = newest.expect("it is there");
    let committed = newest.totals.as_i64().expect("a number");
    let delta = clean.open_delta(TABLE).await.expect("a table");
    let rows = crate::sql::table_rows(&delta, &layout().schema).await;
    let rows = rows.expect("rows");
    let numbers = rows
        .iter()
        .flat_map(|it| it.column(0).as_primitive::<Int64Type>().values());
    let mut numbers: Vec<i64> = numbers.copied().collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (0..committed).collect::<Vec<_>>(), "seed {seed}");
    let counts = faulty
        .counts
        .each_ref()
        .map(|it| it.load(Ordering::Relaxed));
    assert!(
        counts.iter().all(|it| 5 < *it),
        "too few faults: {counts:?}"
    );
    assert!(
        ROWS * COMMITS as i64 * 2 < committed,
        "processes ended too soon"
    );
}
