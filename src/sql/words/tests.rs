//! What is said of a column that is not there, and of what the parser does not take.

use super::*;
use crate::sql::dialect::Tidelake;
use datafusion::sql::sqlparser::parser::Parser;

fn said(written: &str, known: &[&str]) -> (String, Vec<String>) {
    let known: Vec<Column> = known.iter().map(|it| Column::from_name(*it)).collect();
    let (message, (_, candidates)) = no_column(&Column::from_name(written), &known);
    (message, candidates)
}

#[test]
fn few_columns_are_listed_none_of_the_engine_s_own() {
    let known = ["path", "n", "at", "took", "_partition", "_offset", "_epoch"];
    let (message, candidates) = said("xyz", &known);
    assert_eq!(
        message,
        "there is no column `xyz`; possible are path, n, at, took"
    );
    assert!(candidates.is_empty());
    assert_eq!(
        said("xyz", &["path", "n", "at", "took", "left"]).0,
        "there is no column `xyz`; possible are path, n, at and 2 more"
    );
    assert_eq!(
        said("xyz", &["path", "_epoch"]).0,
        "there is no column `xyz`; possible are path"
    );
    // One that is written is meant.
    assert_eq!(said("_epoc", &known).1, ["_epoch"]);
    assert_eq!(said("epoch", &["a", "_epoch"]).1, Vec::<String>::new());
    let many = ["path_a", "path_b", "path_c", "path_d"];
    assert_eq!(said("path", &many).1, ["path_a", "path_b", "path_c"]);
}

#[test]
fn a_name_is_not_offered_for_itself() {
    let (message, candidates) = said("path", &["path", "_epoch"]);
    assert_eq!(message, "there is no column `path`");
    assert!(candidates.is_empty());
}

#[test]
fn a_text_in_double_quotes_is_told_from_a_name() {
    assert_eq!(
        said("O'Hara", &["path"]).0,
        "there is no column `O'Hara`; a text stands in single quotes: 'O''Hara'"
    );
    // Two letters changed places.
    assert_eq!(
        said("Paht", &["path"]).0,
        "there is no column `Paht`; did you mean `path`?"
    );
}

#[test]
fn types_are_named_as_in_sql() {
    let said = "Cannot cast string '5x' to value of Decimal128(38, 10) type";
    assert_eq!(
        computing(said),
        "the text '5x' cannot be read as DECIMAL(38, 10)"
    );
}

#[test]
fn a_relation_that_is_not_there_may_be_misspelled() {
    let said = "table 'datafusion.public.order_log' not found";
    let of = |known: &[&'static str]| no_relation(said, known.iter().copied()).unwrap();
    assert_eq!(
        of(&["orders", "orders_log", "payments"]),
        "there is no source, table or view `order_log`; did you mean `orders_log`?"
    );
    assert_eq!(
        of(&["payments"]),
        "there is no source, table or view `order_log`; each is defined above those that read it"
    );
    assert_eq!(no_relation("Invalid function 'f'", []), None);
}

#[test]
fn a_frame_has_no_exclude() {
    let query = "SELECT sum(a) OVER (ORDER BY b ROWS 1 PRECEDING EXCLUDE CURRENT ROW) FROM t";
    let mut parser = Parser::new(&Tidelake)
        .try_with_sql(query)
        .expect("tokens are read");
    let error = super::parser(&parser.parse_query().expect_err("it is refused"));
    assert!(error.contains("take the row itself off"), "{error}");
}

#[test]
fn a_function_that_stands_for_another_form_is_not_offered() {
    let offered = |known: &str| {
        let found = no_function("Invalid function 'json_keys'.", &[known.to_owned()]);
        found.map(|(message, _)| message)
    };
    assert_eq!(offered("json_keys_of"), None);
    assert!(offered("json_keyz").is_some());
    let planner = "Invalid function 'json_keys'.\nDid you mean 'json_keys_of'?";
    assert_eq!(plan(planner), "there is no function `json_keys`");
}
