//! What is decided about plans, on plans made by hand: here which types rows carry and what holds of them.

mod repeated;
mod shared;
mod stored;

use super::*;
use arrow::datatypes::IntervalUnit;
use datafusion::logical_expr::Operator;
use datafusion::physical_expr::expressions::{Column, binary, lit};
use std::collections::BTreeSet;

const MINUTE_US: i64 = 60_000_000;

fn time() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

fn schema(columns: &[(&str, DataType)]) -> SchemaRef {
    let fields = columns.iter();
    let fields = fields.map(|(name, data_type)| Field::new(*name, data_type.clone(), true));
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

/// `at`, `k`, `n` of a relation.
fn relation(name: &str) -> Plan {
    Plan::Relation {
        name: name.to_owned(),
        columns: vec![0, 1, 2],
        schema: schema(&[
            ("at", time()),
            ("k", DataType::Utf8),
            ("n", DataType::Int64),
        ]),
    }
}

fn column(of: &Plan, at: usize) -> Arc<dyn PhysicalExpr> {
    Arc::new(Column::new(of.schema().field(at).name(), at))
}

/// Expressions over a plan, each with the type it has.
fn mapped(
    input: Plan,
    filter: Option<Arc<dyn PhysicalExpr>>,
    columns: Vec<Arc<dyn PhysicalExpr>>,
) -> Plan {
    let below = input.schema();
    let fields = columns.iter().enumerate().map(|(at, it)| {
        let data_type = it.data_type(&below).expect("it has a type");
        Field::new(format!("c{at}"), data_type, true)
    });
    let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    Plan::Map {
        input: Box::new(input),
        filter,
        columns,
        schema,
    }
}

fn is_large(of: &Plan, at: usize) -> Arc<dyn PhysicalExpr> {
    binary(column(of, at), Operator::Gt, lit(1i64), &of.schema()).expect("a comparison")
}

fn next(of: &Plan, at: usize) -> Arc<dyn PhysicalExpr> {
    binary(column(of, at), Operator::Plus, lit(1i64), &of.schema()).expect("a sum")
}

fn counted(input: Plan, id: &str, keys: Vec<usize>, window: Window) -> Plan {
    let below = input.schema();
    let mut fields: Vec<Field> = keys.iter().map(|it| below.field(*it).clone()).collect();
    fields.push(Field::new("records", DataType::Int64, true));
    let window_ends = keys.iter().enumerate().map(|(at, _)| match window {
        Window::Tumble { key, add_us, .. } if key == at => Some(add_us),
        Window::Tumble { .. } | Window::None | Window::Last { .. } => None,
    });
    let aggregation = Aggregation {
        id: id.to_owned(),
        window_ends: window_ends.collect(),
        keys,
        window,
        hops: None,
        clocks: BTreeSet::new(),
        append_only: true,
        aggregates: vec![aggregate(Function::Count, None)],
    };
    Plan::Aggregate {
        input: Box::new(input),
        aggregation: Arc::new(aggregation),
        schema: Arc::new(Schema::new(fields)),
    }
}

fn aggregate(function: Function, argument: Option<usize>) -> Aggregate {
    Aggregate {
        function,
        argument,
        filter: None,
        argument_type: DataType::Int64,
        result_type: DataType::Int64,
    }
}

fn tumbling(key: usize) -> Window {
    Window::Tumble {
        key,
        add_us: MINUTE_US,
        size_us: MINUTE_US,
    }
}

fn source(name: &str, event_time: bool) -> SourceSpec {
    let column = |name: &str, data_type| ColumnSpec {
        name: name.to_owned(),
        written: name.to_owned(),
        data_type,
        nullable: true,
        is_json: false,
        default: None,
        generated: None,
    };
    SourceSpec {
        name: name.to_owned(),
        columns: vec![
            column("at", time()),
            column("k", DataType::Utf8),
            column("n", DataType::Int64),
        ],
        event_time: event_time.then_some(EventTime {
            column: 0,
            delay_us: 0,
            lead_us: 0,
            on_ahead: OnAhead::Hold,
        }),
        key: None,
        format: Format::Json,
        options: Vec::new(),
    }
}

fn view(name: &str, plan: Plan) -> ViewSpec {
    ViewSpec {
        emitted: None,
        name: name.to_owned(),
        sql: String::new(),
        canonical: format!("the query of {name}"),
        plan,
        kind: ViewKind::Open,
        retention_us: 0,
        clocks: BTreeSet::new(),
        order: Vec::new(),
        stored: true,
    }
}

/// Sources `s` (with an event time), `o` (another one), `u` (without), and these views.
fn dataflow(views: Vec<ViewSpec>) -> Dataflow {
    Dataflow {
        sources: vec![source("s", true), source("o", true), source("u", false)],
        views,
        ..Dataflow::default()
    }
}

fn of(plan: &Plan) -> Properties {
    let dataflow = dataflow(Vec::new());
    properties(plan, &|it: &str| dataflow.properties(it))
}

fn names(all: &[&str]) -> BTreeSet<String> {
    all.iter().map(|it| (*it).to_owned()).collect()
}

#[test]
fn rows_carry_what_fits_and_refuse_the_rest_with_advice() {
    let boxed = |it: DataType| Box::new(it);
    let list_of = |it: DataType, name: &str| DataType::List(Arc::new(Field::new(name, it, true)));
    for (of, expect) in [
        (DataType::Int8, Ok(DataType::Int32)),
        (DataType::UInt16, Ok(DataType::Int32)),
        (DataType::UInt32, Ok(DataType::Int64)),
        (DataType::UInt64, Ok(DataType::Int64)),
        (DataType::Float32, Ok(DataType::Float64)),
        (DataType::LargeUtf8, Ok(DataType::Utf8)),
        (DataType::Date64, Ok(DataType::Date32)),
        (DataType::Timestamp(TimeUnit::Second, None), Ok(time())),
        (
            DataType::Timestamp(TimeUnit::Nanosecond, Some("+02:00".into())),
            Ok(time()),
        ),
        (
            DataType::Dictionary(boxed(DataType::Int8), boxed(DataType::Utf8View)),
            Ok(DataType::Utf8),
        ),
        (
            DataType::Dictionary(boxed(DataType::Int8), boxed(DataType::Binary)),
            Ok(DataType::Binary),
        ),
        (DataType::Null, Err("CAST(NULL AS TEXT)")),
        (DataType::Decimal64(10, 2), Ok(DataType::Decimal128(10, 2))),
        (DataType::Decimal128(10, -2), Err("DECIMAL(38, 0)")),
        (DataType::Decimal256(50, 2), Err("38 digits")),
        (
            DataType::Time32(TimeUnit::Second),
            Ok(DataType::Time64(TimeUnit::Microsecond)),
        ),
        (
            DataType::Duration(TimeUnit::Second),
            Ok(DataType::Interval(IntervalUnit::MonthDayNano)),
        ),
        (
            list_of(DataType::LargeUtf8, "element"),
            Ok(list_of(DataType::Utf8, "item")),
        ),
        (list_of(DataType::Null, "item"), Err("CAST(NULL AS TEXT)")),
        (
            DataType::Union(
                arrow::datatypes::UnionFields::empty(),
                arrow::datatypes::UnionMode::Sparse,
            ),
            Err("single values"),
        ),
    ] {
        match (carried(&of), expect.clone()) {
            (Ok(found), Ok(expect)) => assert_eq!(found, expect, "{of}"),
            (Err(advice), Err(part)) => assert!(advice.contains(part), "{of}: {advice}"),
            (found, expect) => panic!("{of}: {found:?}, not {expect:?}"),
        }
        let kept = expect.unwrap_or_else(|_| of.clone());
        assert_eq!(carried_or_same(&of), kept);
    }
}

#[test]
fn a_type_is_refused_where_a_row_is_made_of_it_and_only_there() {
    let price = Plan::Relation {
        name: "s".to_owned(),
        columns: vec![0, 1],
        schema: schema(&[
            ("price", DataType::Decimal256(50, 2)),
            ("k", DataType::Utf8),
        ]),
    };
    let refused = |plan: &Plan| check_types(plan).expect_err("it is refused");
    // Batches may hold anything, also below an aggregate that does not read it.
    assert_eq!(check_types(&price), Ok(()));
    assert_eq!(
        check_types(&counted(price.clone(), "v.0", vec![1], Window::None)),
        Ok(())
    );
    let key = counted(price.clone(), "v.0", vec![0], Window::None);
    assert!(
        refused(&key).starts_with("`price` is of type DECIMAL"),
        "{}",
        refused(&key)
    );
    let with = |change: fn(&mut Aggregate)| {
        let mut plan = counted(price.clone(), "v.0", vec![1], Window::None);
        if let Plan::Aggregate { aggregation, .. } = &mut plan {
            change(&mut Arc::make_mut(aggregation).aggregates[0]);
        }
        plan
    };
    refused(&with(|it| it.argument = Some(0)));
    refused(&with(|it| it.filter = Some(0)));
    let top = Plan::TopK {
        input: Box::new(price.clone()),
        order: Vec::new(),
        skip: 0,
        limit: 1,
        append_only: false,
    };
    refused(&top);
    // However deep it lies.
    let columns = vec![column(&key, 1)];
    refused(&mapped(key, None, columns));
    assert!(check_rows(&price.schema()).is_err());
}

#[test]
#[should_panic(expected = "was not cast to the type that rows carry")]
fn a_type_that_should_have_been_cast_is_a_bug() {
    let _ = check_rows(&schema(&[("small", DataType::Int16)]));
}

#[test]
fn records_come_one_by_one_and_stay() {
    let records = of(&relation("s"));
    assert!(records.append_only && !records.aggregated && !records.windowed);
    assert_eq!(records.clocks, names(&["s"]));
    assert_eq!(records.unchanged, [Some(0), Some(1), Some(2)]);
    assert_eq!(of(&relation("u")).clocks, names(&[]));
    // Columns that are passed on are the same ones; computed ones are none.
    let relation = relation("s");
    let columns = vec![
        column(&relation, 2),
        next(&relation, 2),
        column(&relation, 0),
    ];
    let mapped = of(&mapped(relation, None, columns));
    assert_eq!(mapped.unchanged, [Some(2), None, Some(0)]);
    assert!(mapped.append_only);
}

#[test]
fn only_rows_of_windows_are_final_one_day() {
    let open = of(&counted(relation("s"), "v.0", vec![1], Window::None));
    assert!(!open.append_only && open.aggregated && !open.windowed);
    assert_eq!(
        (open.kind(), &open.clocks),
        (Some(ViewKind::Open), &names(&["s"]))
    );
    let last = Window::Last {
        time: 0,
        size_us: MINUTE_US,
        step_us: 1_000_000,
    };
    let last = of(&counted(relation("s"), "v.0", vec![1], last));
    assert_eq!((last.windowed, last.kind()), (false, Some(ViewKind::Open)));

    let windows = counted(relation("s"), "v.0", vec![1, 0], tumbling(1));
    let closing = of(&windows);
    assert!(closing.windowed && !closing.append_only);
    assert_eq!(closing.window_ends, [None, Some(MINUTE_US), None]);
    let kind = ViewKind::Windowed {
        column: 1,
        add_us: MINUTE_US,
    };
    assert_eq!(closing.kind(), Some(kind));
    // With the window taken out of the SELECT nothing tells when a row is final.
    let columns = vec![column(&windows, 0), column(&windows, 2)];
    let without = of(&mapped(windows.clone(), None, columns));
    assert!(without.kind().is_none());
    // Rows of closed windows compete with all others.
    let order = vec![Order {
        column: 2,
        descending: true,
        nulls_first: false,
    }];
    let top = of(&Plan::TopK {
        input: Box::new(windows),
        order: order.clone(),
        skip: 0,
        limit: 3,
        append_only: false,
    });
    assert_eq!(
        (top.windowed, top.kind(), top.order),
        (false, Some(ViewKind::Open), order)
    );
}

#[test]
fn a_union_is_what_all_of_its_sides_are() {
    let union = |inputs: Vec<Plan>| {
        let schema = inputs[0].schema();
        of(&Plan::Union { inputs, schema })
    };
    let records = union(vec![relation("s"), relation("o")]);
    assert!(records.append_only && !records.aggregated);
    assert_eq!(records.clocks, names(&["o", "s"]));
    assert_eq!(
        records.unchanged, [None; 3],
        "of which relation, nobody can say"
    );
    let windows = |key| counted(relation("s"), "v.0", vec![0, 1], tumbling(key));
    let mixed = union(vec![relation("s"), windows(0)]);
    assert!(!mixed.append_only && !mixed.aggregated && mixed.windowed);
    assert_eq!(
        union(vec![windows(0), windows(0)]).window_ends,
        [Some(MINUTE_US), None, None]
    );
    let differing = union(vec![windows(0), windows(1)]);
    assert_eq!(differing.window_ends, [None; 3]);
    assert!(
        differing.kind().is_none(),
        "a row of it does not say when it is final"
    );
}

#[test]
fn an_order_lasts_as_long_as_its_first_columns_do() {
    let by = |column| Order {
        column,
        descending: false,
        nulls_first: true,
    };
    let top = Plan::TopK {
        input: Box::new(counted(relation("s"), "v.0", vec![0, 1], Window::None)),
        order: vec![by(2), by(0)],
        skip: 0,
        limit: 9,
        append_only: false,
    };
    for (kept, order) in [
        (vec![0, 2], vec![by(1), by(0)]),
        (vec![1, 2], vec![by(1)]),
        (vec![0, 1], vec![]),
    ] {
        let columns = kept.iter().map(|it| column(&top, *it)).collect();
        assert_eq!(
            of(&mapped(top.clone(), None, columns)).order,
            order,
            "{kept:?}"
        );
    }
}

#[test]
fn groups_are_told_apart_by_their_keys_as_long_as_all_are_there() {
    let grouped = counted(relation("s"), "v.0", vec![1, 2], Window::None);
    assert_eq!(of(&grouped).key, Some(vec![0, 1]));
    for (kept, key) in [(vec![1, 2, 0], Some(vec![2, 0])), (vec![0, 2], None)] {
        let columns = kept.iter().map(|it| column(&grouped, *it)).collect();
        assert_eq!(of(&mapped(grouped.clone(), None, columns)).key, key);
    }
    let schema = grouped.schema();
    let both = Plan::Union {
        inputs: vec![grouped.clone(), grouped],
        schema,
    };
    assert_eq!((of(&both).key, of(&relation("s")).key), (None, None));
}

#[test]
fn who_reads_a_view_reads_rows_that_may_be_taken_back() {
    let windows = view("w", counted(relation("s"), "w.0", vec![0, 1], tumbling(0)));
    let dataflow = dataflow(vec![windows]);
    let read = dataflow.properties("w");
    assert!(!read.append_only && read.aggregated && !read.windowed);
    assert_eq!(
        (read.window_ends, read.clocks),
        (vec![Some(MINUTE_US), None, None], names(&["s"]))
    );
    let counts = dataflow.properties(LATE_RELATION);
    assert!(counts.append_only && counts.clocks.is_empty());
}
