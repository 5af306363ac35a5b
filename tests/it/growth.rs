//! The law of a changed dataflow: whatever views come, change and go between runs, every view is what DataFusion computes in batch from
//! the archived records, at the commit where the change takes effect and at every one after it.
//!
//! The runs are those of `oracle`: random cuts, jumping clocks, crashes, clusters. Between them the dataflow becomes another one, made of a
//! random part of the statements of `tests/dataflows/everything`, some of them in another form.

use super::oracle::{
    Lake, Random, START_MS, Scenario, Subject, clock_settings, compare_tables, memory,
    oracle_records, records, runs, runtime, small_record,
};
use arrow::array::{ArrayRef, RecordBatch, new_null_array};
use arrow::datatypes::{Schema, SchemaRef};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use tidelake::coordinator::{fill, growth};
use tidelake::engine::stored_watermark;
use tidelake::model::{Row, batch_of_rows};
use tidelake::plan::{Dataflow, Definitions, LATE_COLUMN, ViewKind, marked};
use tidelake::sql;

/// Other forms of statements: what stands there, and what may stand there instead.
const CHANGES: &[(&str, &str)] = &[
    ("count(x) AS xs", "count(n) AS xs"),
    (
        "TUMBLE(raw, at, INTERVAL '10' SECOND)",
        "TUMBLE(raw, at, INTERVAL '20' SECOND)",
    ),
    (
        "max(n) AS n_max, count(DISTINCT j)",
        "min(n) AS n_max, count(DISTINCT d)",
    ),
    (
        "INTERVAL '30' SECOND AND x > 5",
        "INTERVAL '45' SECOND AND x > 4",
    ),
    ("LIMIT 3 OFFSET 1", "LIMIT 2 OFFSET 2"),
    ("WHERE x >= 0", "WHERE x >= 10"),
    ("FROM s WHERE b", "FROM s WHERE NOT b"),
    ("HAVING sum(records) > 1", "HAVING sum(records) > 2"),
    (
        "INTERVAL '1' MINUTE) WHERE x < 90",
        "INTERVAL '30' SECOND) WHERE x < 80",
    ),
    (
        "SELECT j, count(*) AS groups, min(records)",
        "SELECT j, count(j) AS groups, min(xs)",
    ),
    ("a.n = c.n AND a.at <= c.at", "a.n = c.n AND a.at > c.at"),
    (
        "PARTITION BY k ORDER BY at DESC",
        "PARTITION BY j ORDER BY at",
    ),
    ("FROM positive WHERE x > 50", "FROM positive WHERE x > 20"),
    ("season = '5 seconds'", "season = 'none'"),
];

/// Statements that need the column that comes.
const OF_NEW_COLUMN: &str = "
CREATE MATERIALIZED VIEW of_e AS
SELECT e, count(*) AS records, count(DISTINCT k) AS ks, max(x) AS x_max FROM raw GROUP BY e;
CREATE MATERIALIZED VIEW e_per_10s AS
SELECT window_start, count(e) AS es, sum(e) AS e_sum FROM TUMBLE(raw, at, INTERVAL '10' SECOND) GROUP BY window_start;
";

fn record(random: &mut Random, at: i64) -> String {
    let record = small_record(random, at);
    let e = match random.below(4) {
        0 => "null".to_owned(),
        more => more.to_string(),
    };
    format!("{},\"e\":{e}}}", record.trim_end_matches('}'))
}

fn everything() -> String {
    let path = "tests/dataflows/everything/dataflow.sql";
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// A random part of everything, in random forms.
fn variant(random: &mut Random, new_column: bool) -> String {
    let mut text = everything();
    for (from, to) in CHANGES {
        assert!(text.contains(from), "{from} is in the dataflow");
        if random.chance(35) {
            text = text.replace(from, to);
        }
    }
    if new_column {
        text = text.replace("  d  DATE,", "  e  BIGINT,\n  d  DATE,") + OF_NEW_COLUMN;
    }
    let statements: Vec<&str> = text.split_inclusive(";\n").collect();
    let mut kept = String::new();
    let mut gone: Vec<String> = Vec::new();
    for statement in statements {
        let plain: String = statement
            .lines()
            .filter(|it| !it.starts_with("--"))
            .collect::<Vec<_>>()
            .join("\n");
        let words: Vec<&str> = plain.split_whitespace().collect();
        let view = match words.as_slice() {
            ["CREATE", "MATERIALIZED", "VIEW", name, ..] | ["CREATE", "DETECTOR", name, ..] => {
                Some((*name).to_owned())
            }
            _ => None,
        };
        let reads_gone = gone
            .iter()
            .any(|it| words.iter().any(|word| word.trim_end_matches(';') == it));
        match view {
            Some(name) if reads_gone || random.chance(25) => gone.push(name),
            _ => kept.push_str(statement),
        }
    }
    kept
}

fn dataflow(text: &str) -> Arc<Dataflow> {
    let planned = runtime().block_on(sql::plan_text("everything", text, |_| None));
    Arc::new(planned.unwrap_or_else(|it| panic!("{it}\n{text}")))
}

/// The lake as another dataflow goes on with it: what the coordinator does, in memory.
fn grown(
    lake: Lake,
    from: &Dataflow,
    to: &Arc<Dataflow>,
    definitions: &mut Definitions,
    partitions: &[Arc<Vec<Vec<u8>>>],
    workers: usize,
) -> Lake {
    let offsets = BTreeMap::from([("s".to_owned(), lake.offsets.clone())]);
    let growth = growth::between(definitions, &to.definitions, &offsets).unwrap();
    *definitions = growth.definitions.clone();
    let mut next = Lake::of(to);
    next.epoch = lake.epoch;
    next.offsets = lake.offsets.clone();
    next.clocks = lake.clocks.clone();
    next.event_times = lake.event_times.clone();
    for (number, table) in to.tables.iter().enumerate() {
        let was = from.tables.iter().position(|it| it.name == table.name);
        let batches = &lake.archive[was.expect("tables do not come")];
        next.archive[number] = batches
            .iter()
            .map(|it| widened(it, &table.stored_schema()))
            .collect();
    }
    let views: BTreeSet<String> = growth.views.keys().cloned().collect();
    let mut records = oracle_records(to, partitions, &next);
    records
        .relations
        .insert("s".to_owned(), source_from_archive(to, &next));
    for (number, view) in to.views.iter().enumerate() {
        if views.contains(&view.name) {
            continue;
        }
        let was = from.views.iter().position(|it| it.name == view.name);
        let was = was.expect("a view that is not filled was there");
        next.sealed[number].clone_from(&lake.sealed[was]);
        next.open[number].clone_from(&lake.open[was]);
        let rows = lake.sealed[was]
            .iter()
            .chain(lake.open[was].values().flatten());
        let schema = nullable(&view.plan.schema());
        let batch = batch_of_rows(&schema, rows).unwrap();
        let table = memory(schema, &[batch]);
        records.relations.insert(view.name.clone(), table);
    }
    let kept = lake.state.iter().filter(|it| {
        let view = it.operator.rsplit_once('.').unwrap().0;
        !views.contains(view) && !growth.removed_views.contains(view)
    });
    next.state = kept.cloned().collect();
    let filled = runtime()
        .block_on(fill(to, &views, &records, workers))
        .unwrap();
    next.state.extend(filled.state);
    for (name, rows) in filled.rows {
        let number = to.views.iter().position(|it| it.name == name).unwrap();
        let view = &to.views[number];
        let settings = to.sources.iter();
        let settings = settings.map(|it| (it.name.clone(), clock_settings(it)));
        let watermark = stored_watermark(
            &view.clocks,
            &next.clocks,
            &settings.collect(),
            next.epoch.0 + 1,
        );
        let is_closed = |row: &Row| match (view.kind, watermark) {
            (ViewKind::Records, _) => true,
            (ViewKind::Windowed { column, add_us }, Some(watermark)) => row.0[column]
                .as_i64()
                .is_some_and(|it| it + add_us <= watermark),
            _ => false,
        };
        let (sealed, open) = rows.into_iter().partition(is_closed);
        next.sealed[number] = sealed;
        next.open[number] = BTreeMap::from([(0, open)]);
    }
    next
}

fn nullable(schema: &SchemaRef) -> SchemaRef {
    let fields = schema.fields().iter();
    let fields: Vec<_> = fields
        .map(|it| it.as_ref().clone().with_nullable(true))
        .collect();
    Arc::new(Schema::new(fields))
}

/// A batch in the columns of a schema; those it lacks are null.
fn widened(batch: &RecordBatch, schema: &SchemaRef) -> RecordBatch {
    let columns: Vec<ArrayRef> = schema
        .fields()
        .iter()
        .map(|it| match batch.column_by_name(it.name()) {
            Some(column) => Arc::clone(column),
            None => new_null_array(it.data_type(), batch.num_rows()),
        })
        .collect();
    RecordBatch::try_new(nullable(schema), columns).unwrap()
}

/// The source as the table `raw` keeps it.
fn source_from_archive(
    dataflow: &Dataflow,
    lake: &Lake,
) -> Arc<dyn datafusion::catalog::TableProvider> {
    let raw = dataflow.tables.iter().position(|it| it.name == "raw");
    let schema = marked(&dataflow.sources[0].schema());
    assert!(schema.field_with_name(LATE_COLUMN).is_ok());
    let batches: Vec<RecordBatch> = lake.archive[raw.unwrap()]
        .iter()
        .map(|it| widened(it, &schema))
        .collect();
    memory(schema, &batches)
}

fn check(scenario: &Scenario) {
    let mut random = Random(scenario.seed ^ 0x6120);
    let subject = Subject {
        dataflow: dataflow(&everything()),
        record,
    };
    let partitions = records(&subject, scenario);
    let upto = |phase: usize, phases: usize| -> Vec<Arc<Vec<Vec<u8>>>> {
        let part = |it: &Arc<Vec<Vec<u8>>>| {
            let count = it.len() * (phase + 1) / phases;
            Arc::new(it[..count].to_vec())
        };
        partitions.iter().map(part).collect()
    };
    let wall = Arc::new(AtomicU64::new(START_MS));
    let phases = 2 + random.below(2) as usize;
    let mut has_new_column = random.chance(20);
    let mut current = dataflow(&variant(&mut random, has_new_column));
    let mut definitions = current.definitions.clone();
    let mut lake = Lake::of(&current);
    for phase in 0..phases {
        if phase != 0 {
            has_new_column |= random.chance(60);
            let next = dataflow(&variant(&mut random, has_new_column));
            let read = upto(phase - 1, phases);
            let workers = 1 + random.below(3) as usize;
            lake = grown(lake, &current, &next, &mut definitions, &read, workers);
            current = next;
            compare_tables(&current, &read, &lake);
        }
        runs(
            &current,
            &upto(phase, phases),
            &scenario.runs,
            &mut lake,
            &wall,
            &mut random,
        );
    }
}

fn scenario() -> impl Strategy<Value = Scenario> {
    (
        any::<u64>(),
        0..500usize,
        1..4usize,
        prop::collection::vec((1..3usize, 1..4usize), 1..3),
    )
        .prop_map(|(seed, records, partitions, runs)| Scenario {
            seed,
            records,
            partitions,
            // Clusters of one worker per process: several of each take long.
            runs: runs
                .into_iter()
                .map(|(processes, workers)| match processes {
                    1 => (1, workers),
                    more => (more, 1),
                })
                .collect(),
        })
}

#[test]
fn oracle_of_changed_dataflows() {
    let config = ProptestConfig {
        cases: 12,
        max_shrink_iters: 30,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    proptest!(config, |(scenario in scenario())| check(&scenario));
}

/// A view over `HOP` that is filled while a window of it is open: the seed was found by the law above.
#[test]
fn open_windows_of_a_filled_view_count_each_record_once() {
    check(&Scenario {
        seed: 4_767_307_908_494_586_055,
        records: 406,
        partitions: 3,
        runs: vec![(2, 1)],
    });
}
