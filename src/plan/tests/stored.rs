//! What stored rows and state mean, and what a table keeps of records.

use super::super::explain::span;
use super::*;
use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::Int64Type;

#[test]
fn state_of_another_shape_is_told_apart() {
    let plan = || counted(relation("s"), "v.0", vec![1], Window::None);
    let same = state_shape(&plan());
    assert_eq!(
        state_shape(&counted(relation("o"), "v.0", vec![1], Window::None)),
        same
    );
    let changed = |change: &dyn Fn(&mut Aggregation)| {
        let mut plan = plan();
        if let Plan::Aggregate { aggregation, .. } = &mut plan {
            change(Arc::make_mut(aggregation));
        }
        state_shape(&plan)
    };
    let shapes = [
        same,
        state_shape(&counted(relation("s"), "v.1", vec![1], Window::None)),
        changed(&|it| it.keys = vec![2]),
        changed(&|it| it.window = tumbling(0)),
        changed(&|it| {
            it.window = Window::Last {
                time: 0,
                size_us: MINUTE_US,
                step_us: 1,
            }
        }),
        changed(&|it| it.append_only = false),
        changed(&|it| it.aggregates.push(aggregate(Function::Min, Some(2)))),
        changed(&|it| it.aggregates[0].function = Function::Sum),
        changed(&|it| it.aggregates[0].function = Function::Stddev { sample: true }),
        changed(&|it| it.aggregates[0].function = Function::Stddev { sample: false }),
        changed(&|it| it.aggregates[0].function = Function::Percentile(0.5)),
        changed(&|it| it.aggregates[0].function = Function::Percentile(0.9)),
        changed(&|it| it.aggregates[0].filter = Some(2)),
        changed(&|it| it.aggregates[0].argument_type = DataType::Float64),
    ];
    let different: BTreeSet<&String> = shapes.iter().collect();
    assert_eq!(different.len(), shapes.len(), "{shapes:#?}");
}

#[test]
fn definitions_say_what_is_stored_and_nothing_else() {
    let windows = || view("w", counted(relation("s"), "w.0", vec![0], tumbling(0)));
    let of_late = || {
        view(
            "l",
            counted(relation(LATE_RELATION), "l.0", vec![1], Window::None),
        )
    };
    let of_view = || view("v", counted(relation("w"), "v.0", vec![1], Window::None));
    let all = dataflow(vec![windows(), of_view(), of_late()]);
    let before = Definitions::of(&all);
    let reads = |name: &str| before.views[name].reads.clone();
    assert_eq!((reads("w"), reads("v")), (vec![], vec!["w".to_owned()]));
    assert_eq!(reads("l"), ["w"], "its late records");
    let changed = |change: &dyn Fn(&mut Dataflow)| {
        let mut dataflow = all.clone();
        change(&mut dataflow);
        Definitions::of(&dataflow)
    };
    assert_eq!(changed(&|it| it.views[0].retention_us = 7), before);
    assert_eq!(
        changed(&|it| it.sources[0].event_time = Some(EventTime {
            column: 0,
            delay_us: 9,
            lead_us: 0,
            on_ahead: OnAhead::Hold,
        })),
        before
    );
    let option = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(
        changed(&|it| it.sources[0].options.push(option("brokers", "b:1"))),
        before
    );
    let of_zone = changed(&|it| {
        it.sources[0]
            .options
            .push(option("timezone", "Europe/Berlin"))
    });
    assert_eq!(
        of_zone.sources["s"].format,
        "JSON with times of Europe/Berlin"
    );
    assert_ne!(
        changed(&|it| it.sources[0].columns[1].nullable = false),
        before
    );
    let other = changed(&|it| it.views[0].canonical.push('!'));
    assert_ne!(other.views["w"].meaning, before.views["w"].meaning);
    assert_eq!(
        other.views["v"], before.views["v"],
        "apart from the views it reads"
    );
}

#[test]
fn records_go_through_filters_and_expressions_one_by_one() {
    let s = relation("s");
    let below: ArrayRef = Arc::new(Int64Array::from(vec![Some(1), None, Some(5), Some(2)]));
    let texts: ArrayRef = Arc::new(StringArray::from(vec!["a", "b", "c", "d"]));
    let times: ArrayRef = arrow::array::new_null_array(&time(), 4);
    let records = RecordBatch::try_new(s.schema(), vec![times, texts, below]).expect("records");
    let plan = mapped(
        s.clone(),
        Some(is_large(&s, 2)),
        vec![next(&s, 2), column(&s, 1)],
    );
    let kept = evaluate(&plan, &records).expect("it is computed");
    let numbers = kept.column(0).as_primitive::<Int64Type>().values().to_vec();
    assert_eq!(
        numbers,
        [6, 3],
        "neither what is not large nor what may not be"
    );
    let texts: Vec<_> = kept.column(1).as_string::<i32>().iter().collect();
    assert_eq!(texts, [Some("c"), Some("d")]);
    let divided = binary(lit(1i64), Operator::Divide, lit(0i64), &s.schema()).expect("a quotient");
    assert!(evaluate(&mapped(s.clone(), None, vec![divided]), &records).is_err());
    let grouped = counted(s, "v.0", vec![1], Window::None);
    assert!(evaluate(&grouped, &records).is_err_and(|it| it.contains("one by one")));
}

#[test]
fn a_table_with_a_filter_does_not_keep_all() {
    let s = relation("s");
    let table = |source: &str, filter, event_time| TableSpec {
        name: "t".to_owned(),
        source: source.to_owned(),
        plan: mapped(s.clone(), filter, vec![column(&s, 0)]),
        columns_sql: Vec::new(),
        selection: String::new(),
        partition_by: Vec::new(),
        event_time,
        retention: None,
    };
    assert!(table("s", None, None).keeps_all());
    assert!(!table("s", Some(is_large(&s, 2)), None).keeps_all());
    assert!(
        !table("", None, None).keeps_all(),
        "that of dead letters has no source"
    );
    // Late rows are marked where lateness can be told.
    let columns = |it: TableSpec| it.stored_schema().fields().len();
    assert_eq!(
        (
            columns(table("s", None, None)),
            columns(table("s", None, Some(0)))
        ),
        (1, 2)
    );
}

#[test]
fn views_that_count_late_records_are_read_with_them() {
    let counting = |counts| {
        let admitting = Plan::Admit {
            input: Box::new(relation("s")),
            window: Admitted {
                counts,
                ..Admitted::on_time(0)
            },
            clocks: names(&["s"]),
        };
        let late = counted(relation(LATE_RELATION), "l.0", vec![1], Window::None);
        let all = dataflow(vec![view("a", admitting), view("l", late)]);
        Definitions::of(&all).views["l"].reads.clone()
    };
    assert_eq!(counting(CountsLate::Together), ["a"]);
    assert_eq!(counting(CountsLate::ByWindow { size_us: 5 }), ["a"]);
    assert!(counting(CountsLate::Not).is_empty());
}

#[test]
fn views_before_the_first_that_reads_late_records_have_them() {
    let plain = |name: &str| view(name, counted(relation("s"), "x.0", vec![1], Window::None));
    let late = view(
        "l",
        counted(relation(LATE_RELATION), "l.0", vec![1], Window::None),
    );
    let named = |it: &Dataflow| -> Vec<String> {
        it.views_with_late()
            .iter()
            .map(|it| it.name.clone())
            .collect()
    };
    assert_eq!(
        named(&dataflow(vec![plain("a"), plain("b"), late, plain("c")])),
        ["a", "b"]
    );
    assert_eq!(named(&dataflow(vec![plain("a")])), ["a"]);
}

#[test]
fn lengths_of_time_are_told_in_the_largest_unit() {
    let spans = [
        0,
        1_500,
        1_000,
        90_000_000,
        120_000_000,
        7_200_000_000,
        172_800_000_000,
    ]
    .map(span);
    assert_eq!(
        spans,
        ["0 µs", "1500 µs", "1 ms", "90 s", "2 min", "2 h", "2 d"]
    );
}
