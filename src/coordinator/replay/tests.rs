//! Which letters a request is about.

use super::*;

#[test]
fn reasons_of_one_cause_are_of_one_kind() {
    let check = |reason: &str, kind: &str| assert_eq!(kind_of_reason(reason), kind);
    check(
        "the line has no client address at byte 120",
        "the line has no client address at byte #",
    );
    check(
        "field \"n2\" is not an integer: 7: x",
        "field \"n#\" is not an integer",
    );
    check("field \"#12\" is missing", "field \"#\" is missing");
    check("", "");
}

/// The page groups by the one and a replay selects by the other.
#[tokio::test]
async fn a_kind_is_the_same_in_sql() {
    let reasons = [
        "the line has no client address at byte 120",
        "field \"n2\" is not an integer: 7: x",
        "field \"#12\" is missing",
        "a #1#22 b 3#",
        "the record is not valid JSON: expected `,` at line 1 column 5",
        "x:y 12: z\nmore",
        "",
    ];
    let texts = reasons.map(|it| format!("('{it}')")).join(", ");
    let sql = format!(
        "SELECT reason, {KIND_OF_REASON_SQL} AS kind FROM (VALUES {texts}) AS letters(reason)"
    );
    let context = datafusion::prelude::SessionContext::new();
    let found = context.sql(&sql).await.unwrap().collect().await.unwrap();
    let mut rows = 0;
    for batch in &found {
        let text = |at: usize| cast(batch.column(at), &DataType::Utf8).unwrap();
        let (reasons, kinds) = (text(0), text(1));
        for at in 0..batch.num_rows() {
            let (reason, kind) = (reasons.as_string::<i32>(), kinds.as_string::<i32>());
            assert_eq!(kind_of_reason(reason.value(at)), kind.value(at));
            rows += 1;
        }
    }
    assert_eq!(rows, reasons.len());
}

#[test]
fn a_request_is_about_letters_that_meet_all_it_says() {
    let mut request = Request::default();
    assert!(request.is_about("s", "no n at 7"));
    request.kind = Some("no n at #".to_owned());
    assert!(request.is_about("s", "no n at 7") && !request.is_about("s", "no k at 7"));
    request.source = Some("t".to_owned());
    assert!(!request.is_about("s", "no n at 7"));
    // One of an older version says nothing of kinds.
    let old: Request =
        serde_json::from_str("{\"source\": null, \"reason\": \"n at\", \"asked_ms\": 7}").unwrap();
    assert!(old.kind.is_none() && old.is_about("s", "no n at 7") && !old.is_about("s", "no"));
}
