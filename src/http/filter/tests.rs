//! One text, two readings: over a live row, and as SQL. Random filters over random rows hold them against each other.

use super::{Filter, FilterError};
use crate::http::testing::app_of;
use crate::model::{Decimal, Float, Row, Value, rows_of_batch};
use crate::plan::Dataflow;
use arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use std::collections::BTreeSet;

fn fields() -> Vec<Field> {
    let time = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    vec![
        Field::new("id", DataType::Int64, false),
        Field::new("status", DataType::Int64, true),
        Field::new("took", DataType::Float64, true),
        Field::new("endpoint", DataType::Utf8, true),
        Field::new("user_agent", DataType::Utf8, true),
        Field::new("is_slow", DataType::Boolean, true),
        Field::new("at", time, true),
        Field::new("day", DataType::Date32, true),
        Field::new("price", DataType::Decimal128(38, 2), true),
        Field::new("tags", DataType::new_list(DataType::Utf8, true), true),
    ]
}

fn filter(text: &str) -> Result<Filter, FilterError> {
    Filter::parse(text, &Schema::new(fields()))
}

/// A row with this status, endpoint and user agent; the rest is null.
fn row(status: i64, endpoint: &str, agent: Option<&str>) -> Row {
    let agent = agent.map_or(Value::Null, |it| Value::Text(it.into()));
    let values = [
        Value::Int(0),
        Value::Int(status),
        Value::Null,
        Value::Text(endpoint.into()),
        agent,
        Value::Null,
        Value::Null,
        Value::Null,
        Value::Null,
        Value::Null,
    ];
    Row(values.into_iter().collect())
}

#[test]
fn keeps_what_sql_would_keep() {
    let bot = row(503, "/api/100%", Some("Googlebot/2"));
    let keeps = |text: &str| filter(text).expect(text).matches(&bot);
    for text in [
        "status >= 500",
        "status = 500 OR status = 503",
        "status IN (500, 503)",
        "status NOT IN (200, 404)",
        "status BETWEEN 500 AND 599",
        "NOT endpoint = '/api/users'",
        "(status = 500 OR status > 502) AND endpoint LIKE '/api/%'",
        r"endpoint LIKE '/api/100\%'",
        "endpoint ILIKE '/API/___%'",
        "user_agent ~ 'BOT' and not user_agent ~ 'curl'",
        "\"status\" <> 200",
        "* ~ 'google' AND status < 600",
        "took IS NULL AND status IS NOT NULL",
        "NOT (status < 500 OR endpoint !~ 'api')",
        "500 <= status AND STATUS IS NOT NULL",
        "status>-1 AND status=503 AND id<>-7 AND status!=-1 AND id>=-0",
        "(endpoint) LIKE '/%' AND id = +0",
        "is_slow IS NOT TRUE AND is_slow IS NOT FALSE",
        "at IS NULL OR at > TIMESTAMP '2026-01-31T12:00:00Z'",
    ] {
        assert!(keeps(text), "{text}");
    }
    for text in [
        "status NOT BETWEEN 500 AND 599",
        "endpoint NOT LIKE '%100%'",
        "endpoint LIKE '/API/%'",
        "endpoint LIKE '/api/'",
        "* !~ 'google'",
    ] {
        assert!(!keeps(text), "{text}");
    }
}

#[test]
fn a_comparison_with_a_null_is_unknown_and_so_is_its_opposite() {
    let null = row(200, "/", None);
    let keeps = |text: &str| filter(text).expect(text).matches(&null);
    for text in [
        "user_agent ~ 'x'",
        "user_agent !~ 'x'",
        "NOT user_agent = 'x'",
        "user_agent NOT IN ('x')",
        "is_slow",
        "NOT is_slow",
        "took > 1 AND status = 200",
    ] {
        assert!(!keeps(text), "{text}");
    }
    assert!(keeps("* !~ 'x'"));
    assert!(keeps("took > 1 OR status = 200"));
}

#[test]
fn what_is_wrong_is_said_with_what_to_write() {
    let told = |text: &str| filter(text).expect_err(text).text;
    for (text, cure) in [
        ("status:500", "write status = 500"),
        ("endpoint:/api/users", "write endpoint = '/api/users'"),
        ("endpoint = /api/users", "endpoint = '/api/users'"),
        ("endpoint ~ bot", "endpoint ~ 'bot'"),
        ("status = abc", "status = 500"),
        ("status ~ '5'", "status = 500"),
        ("stauts = 500", "did you mean status?"),
        ("agent = 'x'", "did you mean user_agent?"),
        ("nothing = 1", "there are: id, status"),
        ("status = NULL", "status IS NULL"),
        ("status IN 500", "status IN (500, 500)"),
        ("status BETWEEN 1", "BETWEEN 500 AND 500"),
        ("status", "status = 500"),
        ("at > 'yesterday'", "'2026-01-31T12:00:00Z'"),
        ("day = '2026-02-30'", "'2026-01-31'"),
        ("took > inf", "took = 500"),
        ("price > 1e3", "2 digits behind the point"),
        ("price > 1.005", "2 digits behind the point"),
        ("tags = 'a'", "write tags IS NULL"),
        ("(status = 1", "has no `)`"),
        ("status = 1)", "without its `(`"),
        ("status = 1 endpoint = '/'", "joined by AND or OR"),
        ("endpoint = 'x", "not closed"),
        ("AND status = 1", "where a column is expected"),
        ("status = 1 OR", "ends too early"),
        ("* = 'x'", "* ~ 'words'"),
    ] {
        assert!(told(text).contains(cure), "{text}: {}", told(text));
    }
    for text in [
        "",
        "status ~~ '5'",
        "status + 1 = 2",
        "lower(endpoint) = '/'",
        "endpoint = 'a' 'b'",
    ] {
        assert!(filter(text).is_err(), "{text}");
    }
    let deep = format!("{}status = 1{}", "(".repeat(200), ")".repeat(200));
    assert!(told(&deep).contains("within each other"));
    // As deep as may be: each is read once, or this would take minutes.
    let called = format!("{}status{} = 1", "abs(".repeat(24), ")".repeat(24));
    assert!(told(&called).contains("where a column is expected"));
    let broad = format!("status = 1{}", " OR status = 1".repeat(100));
    assert!(filter(&broad).is_ok());
}

/// A mistake has a place, and where it is likely what was meant, the whole filter is written out.
#[test]
fn what_is_wrong_has_a_place_and_a_fix() {
    for (text, place, fix) in [
        ("status:500", 0..10, "status = 500"),
        (
            "is_slow AND status:>=500",
            12..24,
            "is_slow AND status >= 500",
        ),
        (
            "NOT (endpoint:/api/*) AND id = 1",
            5..20,
            "NOT (endpoint LIKE '/api/%') AND id = 1",
        ),
        ("user_agent:\"my bot\"", 0..19, "user_agent = 'my bot'"),
        (
            "endpoint = 'a:b' AND id:7",
            21..25,
            "endpoint = 'a:b' AND id = 7",
        ),
        ("nothing:7", 0..7, ""),
        ("endpoint:*", 0..10, "endpoint IS NOT NULL"),
        ("endpoint:a_b*", 0..13, r"endpoint LIKE 'a\_b%'"),
        (
            "endpoint = /api/users OR id = 1",
            11..21,
            "endpoint = '/api/users' OR id = 1",
        ),
        (
            "id = 1 AND\nuser_agent ~ böt",
            24..27,
            "id = 1 AND\nuser_agent ~ 'böt'",
        ),
        ("endpoint = \"/a\"", 11..15, "endpoint = '/a'"),
        ("é = 1 OR stauts = 2", 0..1, ""),
        ("id = 1 OR stauts = 2", 10..16, "id = 1 OR status = 2"),
        ("(status = 1", 11..11, "(status = 1)"),
        ("status = 1)", 10..11, ""),
        ("status = abc", 9..12, ""),
    ] {
        let error = filter(text).expect_err(text);
        assert_eq!(error.place, Some(place), "{text}: {error}");
        assert_eq!(
            error.fix.as_deref().unwrap_or_default(),
            fix,
            "{text}: {error}"
        );
        if !fix.is_empty() {
            assert!(filter(fix).is_ok(), "{fix}");
        }
    }
}

/// Names that are words of SQL elsewhere are columns here if the table has them.
#[test]
fn columns_may_be_called_anything() {
    let names = [
        "timestamp",
        "user",
        "date",
        "end",
        "Order By",
        "group",
        "case",
    ];
    let fields = names.map(|it| Field::new(it, DataType::Utf8, true));
    let schema = Schema::new(fields.to_vec());
    let row = Row(names.map(|_| Value::Text("x".into())).into());
    for text in [
        "timestamp = 'x' AND user = 'x'",
        "date ~ 'X' AND NOT end = 'y'",
        "\"Order By\" IN ('x') AND group LIKE 'x'",
        "case BETWEEN 'a' AND 'z'",
    ] {
        let filter = Filter::parse(text, &schema).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert!(filter.matches(&row), "{text}");
    }
}

/// The same numbers every time.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).expect("31 bits") % end
    }

    fn of<'a, T: ?Sized>(&mut self, all: &[&'a T]) -> &'a T {
        all[self.below(all.len())]
    }
}

const TEXTS: [&str; 14] = [
    "", "a", "B", "ab", "a%b", "a_b", r"a\b", "it's", "Straße", "ÉCOLE", "école", "ſ", "\u{212a}",
    "a\nb",
];
const PATTERNS: [&str; 12] = [
    "%", "_", "a%", "%b", "%B%", "a_b", r"a\%b", r"a\_b", r"a\\b", "%é%", "", r"a\",
];
const NUMBERS: [&str; 9] = [
    "0",
    "1",
    "-1",
    "2.5",
    "1e300",
    "-0.0",
    "9007199254740993",
    "500",
    "0.1",
];
const TIMES: [&str; 3] = [
    "'2026-01-31T12:00:00Z'",
    "'2026-01-31T12:00:00.000001Z'",
    "'1769860800000'",
];
const DAYS: [&str; 3] = ["'2026-01-31'", "'1969-12-31'", "'2026-02-01'"];

const DECIMALS: [&str; 5] = [
    "0",
    "2.5",
    "2.50",
    "-0.01",
    "999999999999999999999999999999999999.99",
];

fn random_row(id: i64, random: &mut Random) -> Row {
    let floats = [
        0.0,
        -0.0,
        1.0,
        2.5,
        f64::NAN,
        f64::INFINITY,
        f64::NEG_INFINITY,
        1e300,
        0.1,
    ];
    let ints = [0, 1, -1, 500, 9_007_199_254_740_993, i64::MAX, i64::MIN];
    let time = 1_769_860_800_000_000;
    let mut values = vec![Value::Int(id)];
    let text = |random: &mut Random| Value::Text(random.of(&TEXTS).into());
    let others = [
        Value::Int(ints[random.below(ints.len())]),
        Value::Float(Float::new(floats[random.below(floats.len())])),
        text(random),
        text(random),
        Value::Bool(random.below(2) == 0),
        Value::Timestamp(time + i64::try_from(random.below(3)).expect("small") - 1),
        Value::Date([20_484, -1, 20_485][random.below(3)]),
        Value::Decimal(Box::new(Decimal::new(
            [0, 250, -1, 10_i128.pow(38) - 1][random.below(4)],
            2,
        ))),
        Value::List([text(random)].into()),
    ];
    values.extend(others.map(|it| match random.below(4) {
        0 => Value::Null,
        _ => it,
    }));
    Row(values.into())
}

fn random_test(random: &mut Random) -> String {
    let (column, literals): (&str, &[&str]) = match random.below(8) {
        0 => {
            return format!(
                "* {} '{}'",
                random.of(&["~", "!~"]),
                random.of(&["a", "é", "S", "k"])
            );
        }
        1 => ("status", &NUMBERS),
        2 => ("took", &NUMBERS),
        3 => ("at", &TIMES),
        4 => ("day", &DAYS),
        6 => ("price", &DECIMALS),
        5 => {
            return random
                .of(&["is_slow", "is_slow = false", "is_slow <> true"])
                .to_owned();
        }
        _ => {
            let column = random.of(&["endpoint", "user_agent"]);
            let text = |it: &str| format!("'{}'", it.replace('\'', "''"));
            let a = text(random.of(&TEXTS));
            let b = text(random.of(&TEXTS));
            let pattern = text(random.of(&PATTERNS));
            return match random.below(6) {
                0 => format!("{column} {} {a}", random.of(&["=", "!=", "<", ">="])),
                1 => format!("{column} {} {a}", random.of(&["~", "!~"])),
                2 => format!("{column} {} {pattern}", random.of(&["LIKE", "NOT LIKE"])),
                3 => format!("{column} {} {pattern}", random.of(&["ILIKE", "NOT ILIKE"])),
                4 => format!("{column} {} ({a}, {b})", random.of(&["IN", "NOT IN"])),
                _ => format!("{column} BETWEEN {a} AND {b}"),
            };
        }
    };
    let (a, b) = (random.of(literals), random.of(literals));
    match random.below(5) {
        0 => format!("{column} {} ({a}, {b})", random.of(&["IN", "NOT IN"])),
        1 => format!(
            "{column} {} {a} AND {b}",
            random.of(&["BETWEEN", "NOT BETWEEN"])
        ),
        2 => format!("{column} {}", random.of(&["IS NULL", "IS NOT NULL"])),
        _ => format!(
            "{column} {} {a}",
            random.of(&["=", "!=", "<", "<=", ">", ">="])
        ),
    }
}

fn random_filter(random: &mut Random, depth: usize) -> String {
    if depth == 0 || random.below(3) == 0 {
        return random_test(random);
    }
    let a = random_filter(random, depth - 1);
    match random.below(4) {
        0 => format!("NOT ({a})"),
        1 => format!("{a} AND {}", random_test(random)),
        2 => format!("({a} OR {})", random_filter(random, depth - 1)),
        _ => format!("({a}) AND NOT {}", random_test(random)),
    }
}

#[tokio::test]
async fn random_filters_mean_the_same_live_and_in_sql() {
    let mut random = Random(0x9E37_79B9_7F4A_7C15);
    let rows: Vec<Row> = (0..300).map(|it| random_row(it, &mut random)).collect();
    let app = app_of(vec![("r", fields(), rows.clone())], Dataflow::default());
    let mut kept = 0;
    for _ in 0..400 {
        let text = random_filter(&mut random, 3);
        let filter = filter(&text).unwrap_or_else(|error| panic!("{text}: {error}"));
        let live: BTreeSet<Row> = rows
            .iter()
            .filter(|it| filter.matches(it))
            .cloned()
            .collect();
        let sql = format!("SELECT * FROM r WHERE true AND {}", filter.to_sql());
        let answer = app.queries.run(&sql, None).await;
        let answer = answer.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
        let asked: BTreeSet<Row> = answer.batches.iter().flat_map(rows_of_batch).collect();
        let ids = |rows: &BTreeSet<Row>| rows.iter().map(|it| it.0[0].clone()).collect::<Vec<_>>();
        assert_eq!(ids(&live), ids(&asked), "{text}\n{sql}");
        kept += live.len();
    }
    assert!(1_000 < kept, "the filters keep records at all: {kept}");
}
