//! What names, types and comments say of columns; what follows from queries is tested in `sql`.

use super::{Comment, Role, Scale, Statistic, names};
use arrow::datatypes::{DataType, Field, TimeUnit};

fn guessed(name: &str, data_type: DataType) -> (Role, Option<String>) {
    let meaning = names::guess(&Field::new(name, data_type, true));
    (meaning.role, meaning.unit)
}

#[test]
fn names_and_types_tell_roles() {
    let number = |name: &str| guessed(name, DataType::Float64);
    let text = |name: &str| guessed(name, DataType::Utf8).0;
    let unit = |it: &str| Some(it.to_owned());
    assert_eq!(number("response_time"), (Role::Duration, None));
    assert_eq!(number("responseTimeMs"), (Role::Duration, unit("ms")));
    assert_eq!(number("wait_seconds"), (Role::Duration, unit("s")));
    // A letter alone is no unit.
    assert_eq!(number("s"), (Role::Measure, None));
    assert_eq!(number("total_eur"), (Role::Money, unit("EUR")));
    assert_eq!(number("price"), (Role::Money, None));
    assert_eq!(number("bytes_sent"), (Role::Bytes, unit("bytes")));
    assert_eq!(number("request_size"), (Role::Bytes, unit("bytes")));
    assert_eq!(number("order_size"), (Role::Measure, None));
    assert_eq!(number("error_rate"), (Role::Share, None));
    assert_eq!(number("cpu_percent"), (Role::Share, unit("%")));
    assert_eq!(number("status_code"), (Role::Status, None));
    assert_eq!(number("error_count"), (Role::Count, None));
    assert_eq!(number("customer_id"), (Role::Id, None));
    assert_eq!(number("temperature"), (Role::Measure, None));
    assert_eq!(number("_offset"), (Role::Other, None));
    assert_eq!(text("level"), Role::Level);
    assert_eq!(text("userId"), Role::Id);
    assert_eq!(text("message"), Role::Text);
    assert_eq!(text("country"), Role::Key);
    let time = DataType::Timestamp(TimeUnit::Microsecond, None);
    assert_eq!(guessed("placed", time).0, Role::Time);
    assert_eq!(guessed("is_error", DataType::Boolean).0, Role::Flag);
}

#[test]
fn a_comment_settles_role_unit_and_scale() {
    let comment =
        Comment::parse("[role = bin, unit = ms, scale = 2^(n/2)] How long").expect("it is one");
    let meaning = comment.over(names::guess(&Field::new("b", DataType::Int32, true)));
    assert_eq!(
        (meaning.role, meaning.unit.as_deref()),
        (Role::Bin, Some("ms"))
    );
    let scale = meaning.scale.expect("it has one");
    assert_eq!(scale.lower_bound(4).to_bits(), 4f64.to_bits());
    assert_eq!(meaning.comment.as_deref(), Some("How long"));
    let linear = Comment::parse("[role = bin, scale = 25 * n]").expect("it is one");
    let meaning = linear.over(names::guess(&Field::new("b", DataType::Int32, true)));
    assert_eq!(meaning.scale, Some(Scale::Linear { step: 25.0 }));
    // A role without a unit has none, whatever the name says.
    let plain = Comment::parse("[role = measure]").expect("it is one");
    let meaning = plain.over(names::guess(&Field::new("wait_ms", DataType::Int32, true)));
    assert_eq!((meaning.role, meaning.unit), (Role::Measure, None));
    let prose = Comment::parse(" What was paid ").expect("it is one");
    assert_eq!(prose.text.as_deref(), Some("What was paid"));
    let meaning = prose.over(names::guess(&Field::new("wait_ms", DataType::Int32, true)));
    assert_eq!(
        (meaning.role, meaning.unit.as_deref()),
        (Role::Duration, Some("ms"))
    );
}

#[test]
fn what_a_comment_cannot_settle_is_said() {
    for (text, said) in [
        ("[role = duratoin]", "there is no role `duratoin`"),
        ("[role = bin]", "a bin needs one"),
        ("[scale = 2^n]", "a scale belongs to role = bin"),
        ("[role = bin, scale = n^2]", "is no scale"),
        ("[role = bin, scale = 1^n]", "is no scale"),
        ("[unit = ]", "a unit has 1 to 12"),
        ("[colour = red]", "not `colour`"),
        ("[money]", "says nothing"),
        ("[role = money", "without its `]`"),
    ] {
        let refused = Comment::parse(text).expect_err(text);
        assert!(refused.contains(said), "{text}: {refused}");
    }
}

#[test]
fn statistics_have_the_names_people_use() {
    assert_eq!(Statistic::Quantile(0.95).name(), "p95");
    assert_eq!(Statistic::Quantile(0.999).name(), "p99.9");
    assert!(Statistic::CountIf.adds_up() && !Statistic::CountDistinct.adds_up());
}
