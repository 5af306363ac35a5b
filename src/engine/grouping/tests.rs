//! One pass for several aggregations gives what each gives alone, however epochs and batches fall.

use super::*;
use crate::plan::{Aggregate, Function, Plan};
use arrow::array::{
    BooleanArray, Float64Array, Int64Array, StringArray, TimestampMicrosecondArray,
};
use arrow::datatypes::{Field, Schema, TimeUnit};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

const SECOND: i64 = 1_000_000;
/// Columns: minute and hour the record is in, its time, a text, a flag, a number.
const MINUTE: usize = 0;
const HOUR: usize = 1;
const TIME: usize = 2;
const TEXT: usize = 3;
const FLAG: usize = 4;
const NUMBER: usize = 5;

fn schema() -> SchemaRef {
    let time = || DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    Arc::new(Schema::new(vec![
        Field::new("minute", time(), true),
        Field::new("hour", time(), true),
        Field::new("time", time(), true),
        Field::new("text", DataType::Utf8, true),
        Field::new("flag", DataType::Boolean, true),
        Field::new("number", DataType::Float64, true),
    ]))
}

type Record = (i64, Option<u8>, Option<bool>, Option<i32>);

fn batch(records: &[Record]) -> RecordBatch {
    let times = |size: i64| {
        let times = records.iter().map(|it| it.0 - it.0.rem_euclid(size));
        Arc::new(TimestampMicrosecondArray::from_iter_values(times).with_timezone("UTC"))
            as ArrayRef
    };
    let texts = records.iter().map(|it| it.1.map(|it| format!("t{it}")));
    let numbers = records.iter().map(|it| it.3.map(|it| f64::from(it) / 4.0));
    let columns: Vec<ArrayRef> = vec![
        times(60 * SECOND),
        times(3600 * SECOND),
        times(1),
        Arc::new(StringArray::from_iter(texts)),
        Arc::new(BooleanArray::from_iter(records.iter().map(|it| it.2))),
        Arc::new(Float64Array::from_iter(numbers)),
    ];
    RecordBatch::try_new(schema(), columns).expect("columns of the schema")
}

fn aggregate(function: Function, argument: Option<usize>, filter: Option<usize>) -> Aggregate {
    Aggregate {
        function,
        argument,
        filter,
        argument_type: DataType::Float64,
        result_type: DataType::Float64,
    }
}

fn aggregation(
    id: &str,
    keys: &[usize],
    window: Window,
    aggregates: Vec<Aggregate>,
    append_only: bool,
) -> Arc<Aggregation> {
    Arc::new(Aggregation {
        id: id.to_owned(),
        keys: keys.to_vec(),
        window,
        window_ends: vec![None; keys.len()],
        clocks: BTreeSet::new(),
        append_only,
        aggregates,
        hops: None,
    })
}

fn aggregations(append_only: bool) -> Vec<Arc<Aggregation>> {
    let tumble = |key, size_us| Window::Tumble {
        key,
        add_us: size_us,
        size_us,
    };
    let count = || aggregate(Function::Count, None, None);
    let last = Window::Last {
        time: TIME,
        size_us: 60 * SECOND,
        step_us: 2 * SECOND,
    };
    let of = |function| aggregate(function, Some(NUMBER), None);
    vec![
        aggregation(
            "by nothing",
            &[],
            Window::None,
            vec![count(), of(Function::Min)],
            append_only,
        ),
        aggregation(
            "by minute",
            &[MINUTE],
            tumble(0, 60 * SECOND),
            vec![
                of(Function::Sum),
                of(Function::Percentile(0.5)),
                aggregate(Function::CountDistinct, Some(TEXT), Some(FLAG)),
            ],
            append_only,
        ),
        aggregation(
            "by text, flag and minute",
            &[TEXT, FLAG, MINUTE],
            tumble(2, 60 * SECOND),
            vec![
                count(),
                aggregate(Function::Count, None, Some(FLAG)),
                of(Function::CountDistinct),
            ],
            append_only,
        ),
        aggregation(
            "by hour",
            &[HOUR],
            tumble(0, 3600 * SECOND),
            vec![
                of(Function::Stddev { sample: true }),
                of(Function::Max),
                aggregate(Function::CountDistinct, Some(TEXT), None),
            ],
            append_only,
        ),
        aggregation(
            "by text",
            &[TEXT],
            Window::None,
            vec![of(Function::Avg), of(Function::Max)],
            append_only,
        ),
        aggregation(
            "last",
            &[FLAG],
            last,
            vec![count(), of(Function::CountDistinct)],
            append_only,
        ),
    ]
}

fn pass(aggregations: Vec<Arc<Aggregation>>) -> Pass {
    let bound = |size_us| {
        Some(Bound {
            time: TIME,
            size_us,
            add_us: 0,
            offset_us: 0,
        })
    };
    let schema = schema();
    Pass {
        input: Plan::Relation {
            name: "records".to_owned(),
            columns: (0..schema.fields().len()).collect(),
            schema,
        },
        aggregations,
        bounds: vec![
            bound(60 * SECOND),
            bound(3600 * SECOND),
            None,
            None,
            None,
            None,
        ],
    }
}

/// Groups as they are however they were found: members of sets counted, groups that brought nothing left out.
type Found = BTreeMap<(String, i64), (Accumulator, BTreeMap<(u8, u128), i64>)>;

fn found(partials: Vec<Partial>) -> Found {
    let mut found = Found::new();
    for partial in partials {
        let mut members = BTreeMap::new();
        for it in &partial.members {
            *members.entry((it.aggregate, it.identity())).or_insert(0) += it.diff;
        }
        let key = (format!("{:?}", partial.key), partial.bucket);
        let before = found.insert(key, (partial.accumulator, members));
        assert!(before.is_none(), "a group is told of once");
    }
    found
}

/// The groups of each epoch, for each aggregation. All epochs are open at once, as they may be.
fn group(pass: &Pass, epochs: &[Vec<Vec<Record>>], append_only: bool) -> Vec<Vec<Found>> {
    let mut grouper = Grouper::new(pass);
    let mut all = Vec::new();
    for two in epochs.chunks(2) {
        let mut open: Vec<Groups> = two.iter().map(|_| grouper.open()).collect();
        let batches = two.iter().map(Vec::len).max().unwrap_or(0);
        for at in 0..batches {
            for (groups, epoch) in open.iter_mut().zip(two) {
                let Some(records) = epoch.get(at) else {
                    continue;
                };
                let batch = batch(records);
                let changes = match append_only {
                    true => Changes::records(batch),
                    false => {
                        let signs =
                            (0..batch.num_rows()).map(|it| if it % 3 == 2 { -1 } else { 1 });
                        let signs: Vec<i64> = signs.collect();
                        Changes::signed(batch, signs)
                    }
                };
                grouper.add(groups, &changes);
            }
        }
        for groups in open {
            all.push(grouper.close(groups).into_iter().map(found).collect());
        }
    }
    all
}

fn made_from_finer(grouper: &Grouper) -> Vec<Option<usize>> {
    let finer = grouper.groupings.iter().map(|it| it.finer.as_ref());
    finer.map(|it| it.map(|it| it.number)).collect()
}

fn records() -> impl Strategy<Value = Vec<Vec<Vec<Record>>>> {
    let record = (
        (0..3 * 3600i64).prop_map(|it| it * SECOND + 7),
        proptest::option::weighted(0.9, 0..4u8),
        proptest::option::weighted(0.9, any::<bool>()),
        proptest::option::weighted(0.9, -40..40i32),
    );
    let minute = (0..60i64).prop_map(|it| it * SECOND);
    let dense = (
        minute,
        Just(Some(1)),
        Just(Some(true)),
        proptest::option::weighted(0.9, -40..40i32),
    );
    let batch = prop_oneof![
        proptest::collection::vec(record, 0..30),
        proptest::collection::vec(dense, 20..60)
    ];
    proptest::collection::vec(proptest::collection::vec(batch, 0..4), 1..6)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn one_pass_gives_what_passes_of_their_own_give(epochs in records(), append_only in any::<bool>()) {
        let all = aggregations(append_only);
        let together = group(&pass(all.clone()), &epochs, append_only);
        for (at, aggregation) in all.into_iter().enumerate() {
            let alone = group(&pass(vec![aggregation]), &epochs, append_only);
            for (together, alone) in together.iter().zip(&alone) {
                prop_assert_eq!(&together[at], &alone[0]);
            }
        }
    }
}

#[test]
fn coarser_groupings_are_made_from_the_finest() {
    let grouper = Grouper::new(&pass(aggregations(true)));
    let from = Some(2);
    assert_eq!(
        made_from_finer(&grouper),
        [from, from, None, from, from, None]
    );
}

#[test]
fn records_are_grouped_again_where_finer_groups_are_hardly_fewer() {
    let mut grouper = Grouper::new(&pass(aggregations(true)));
    let every_minute: Vec<Record> = (0..60)
        .map(|it| (it * 60 * SECOND, Some(1), None, Some(1)))
        .collect();
    let one_minute: Vec<Record> = (0..60)
        .map(|it| (it * SECOND, Some(1), None, Some(1)))
        .collect();
    let mut is_made = |records: &[Record]| {
        let mut groups = grouper.open();
        grouper.add(&mut groups, &Changes::records(batch(records)));
        let is_made = groups.0[0].of_finer.is_some();
        grouper.close(groups);
        is_made
    };
    assert!(is_made(&every_minute));
    assert!(!is_made(&one_minute));
    assert!(is_made(&one_minute));
}

#[test]
fn texts_of_open_epochs_are_their_own() {
    let mut grouper = Grouper::new(&pass(aggregations(true)));
    let (mut first, mut second) = (grouper.open(), grouper.open());
    let text = |it| Changes::records(batch(&[(0, Some(it), Some(true), Some(1))]));
    grouper.add(&mut first, &text(1));
    grouper.add(&mut second, &text(2));
    let keys = |partials: Vec<Vec<Partial>>| {
        partials[4]
            .iter()
            .map(|it| it.key.clone())
            .collect::<Vec<_>>()
    };
    let key = |it: &str| vec![crate::model::Row([Value::Text(it.into())].into())];
    assert_eq!(keys(grouper.close(first)), key("t1"));
    assert_eq!(keys(grouper.close(second)), key("t2"));
}

#[test]
fn int_values_are_known_by_their_bytes() {
    let ints: ArrayRef = Arc::new(Int64Array::from(vec![1, 2, 1]));
    let identities = identities_of(&ints);
    assert_eq!(identities[0], identities[2]);
    assert_ne!(identities[0], identities[1]);
}

/// A sliding range holds what is newer than `now() - size`, where `now()` counts in steps.
#[test]
fn records_leave_a_sliding_range_when_their_time_is_up() {
    for size_us in [60 * SECOND, 45 * SECOND, 60 * SECOND + 1, 1_234_567, 7] {
        let leaving = Leaving {
            time: TIME,
            size_us,
            step_us: 100_000,
        };
        for at in 0..20_000 {
            let time_us = -300_000 + at * 37;
            let now_us = time_us + size_us - 150_000 + (at * 7_919) % 300_000;
            let counted_us = now_us - now_us.rem_euclid(100_000);
            assert_eq!(
                leaving.at(time_us) <= now_us,
                time_us <= counted_us - size_us,
                "{time_us} at {now_us} in a range of {size_us}"
            );
        }
    }
}
