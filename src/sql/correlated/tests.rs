//! Results worked out by hand: the batch that live views are held against reads these sub-queries the same way as the views do.

use crate::plan::nullable;
use crate::sql::recompute::{Records, recompute, table};
use crate::sql::{Error, plan_text};
use arrow::array::{ArrayRef, Int32Array, RecordBatch, new_null_array};
use arrow::util::display::array_value_to_string;
use std::collections::BTreeMap;
use std::sync::Arc;

const SOURCES: &str = "
CREATE SOURCE a (k INT, v INT) FORMAT JSON;
CREATE SOURCE b (k INT, v INT) FORMAT JSON;
CREATE SOURCE c (k INT, v INT) FORMAT JSON;
CREATE SOURCE named (id INT NOT NULL, v INT, PRIMARY KEY (id)) FORMAT JSON;
CREATE MATERIALIZED VIEW per_k AS SELECT k, count(*) AS n FROM b GROUP BY k;
";

const A: &[(Option<i32>, Option<i32>)] = &[
    (Some(1), Some(10)),
    (Some(2), Some(20)),
    (Some(2), None),
    (Some(3), Some(30)),
    (None, Some(40)),
];
const B: &[(Option<i32>, Option<i32>)] = &[
    (Some(1), Some(10)),
    (Some(1), Some(11)),
    (Some(2), Some(20)),
    (Some(2), None),
    (None, Some(40)),
];
const C: &[(Option<i32>, Option<i32>)] = &[(Some(2), Some(20)), (Some(2), Some(21))];

/// The rows of a view over these records, in order.
fn rows(query: &str) -> Result<String, Error> {
    let text = format!("{SOURCES}CREATE MATERIALIZED VIEW q AS {query};");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let dataflow = runtime.block_on(plan_text("t", &text, |_| None))?;
    let mut records = Records::default();
    for (name, rows) in [("a", A), ("b", B), ("c", C), ("named", &[])] {
        let schema = nullable(&dataflow.source(name).expect("a source").schema());
        let columns = schema.fields().iter().map(|it| -> ArrayRef {
            match it.name().as_str() {
                "k" => Arc::new(Int32Array::from_iter(rows.iter().map(|it| it.0))),
                "v" => Arc::new(Int32Array::from_iter(rows.iter().map(|it| it.1))),
                _ => new_null_array(it.data_type(), rows.len()),
            }
        });
        let columns = columns.collect();
        let batch = RecordBatch::try_new(schema.clone(), columns).expect("columns of the source");
        let rows = table(schema, vec![batch]).expect("a table");
        records.relations.insert(name.to_owned(), rows);
    }
    let views: BTreeMap<String, Vec<RecordBatch>> = runtime
        .block_on(recompute(&dataflow, &records))
        .expect("a batch");
    let mut all = Vec::new();
    for batch in &views["q"] {
        for row in 0..batch.num_rows() {
            let values = batch.columns().iter().map(|it| match it.is_null(row) {
                true => "-".to_owned(),
                false => array_value_to_string(it, row).expect("a value"),
            });
            all.push(values.collect::<Vec<_>>().join(" "));
        }
    }
    all.sort();
    Ok(all.join(", "))
}

#[test]
fn sub_queries_that_depend_on_outer_rows_have_the_rows_that_they_mean() {
    for (query, expected) in [
        // NULL is in no list, and a list with NULL leaves nothing out; an empty one leaves out nobody.
        (
            "SELECT k, v FROM a WHERE v NOT IN (SELECT v FROM b WHERE b.k = a.k)",
            "- 40, 3 30",
        ),
        (
            "SELECT k, v FROM a WHERE v IN (SELECT v FROM b WHERE b.k = a.k)",
            "1 10, 2 20",
        ),
        (
            "SELECT k, v FROM a WHERE v NOT IN (SELECT v FROM b) OR k = 3",
            "3 30",
        ),
        (
            "SELECT k, v, v IN (SELECT v FROM b WHERE b.k = a.k) AS t, v NOT IN (SELECT v FROM c WHERE c.k >= a.k) AS f FROM a",
            "- 40 false true, 1 10 true true, 2 - - -, 2 20 true false, 3 30 false true",
        ),
        // Windows over the rows of one outer row.
        (
            "SELECT a.k, a.v, l.n FROM a JOIN LATERAL (SELECT v, row_number() OVER (ORDER BY v) AS n FROM b WHERE b.k = a.k) l ON l.v = a.v",
            "1 10 1, 2 20 1",
        ),
        (
            "SELECT k, v FROM a WHERE v IN (SELECT max(v) OVER () FROM b WHERE b.k = a.k)",
            "2 20",
        ),
        // Rows without a match, where a side of the join depends on the outer row.
        (
            "SELECT k, v, (SELECT count(*) FROM b LEFT JOIN c ON b.k = c.k AND c.v = a.v) AS n FROM a",
            "- 40 5, 1 10 5, 2 - 5, 2 20 5, 3 30 5",
        ),
        (
            "SELECT k, v, (SELECT count(*) FROM b LEFT JOIN (SELECT k FROM c WHERE c.v = a.v) x ON b.k = x.k WHERE b.k = 1) AS n FROM a",
            "- 40 2, 1 10 2, 2 - 2, 2 20 2, 3 30 2",
        ),
        (
            "SELECT a.k, a.v, l.v AS w FROM a JOIN LATERAL (SELECT b.v FROM b FULL JOIN c ON b.k = c.k AND b.v = c.v WHERE coalesce(b.k, c.k) = a.k) l ON true",
            "1 10 10, 1 10 11, 2 - -, 2 - -, 2 - 20, 2 20 -, 2 20 -, 2 20 20",
        ),
        // An aggregate of no rows is a row.
        (
            "SELECT k, v FROM a WHERE NOT EXISTS (SELECT 1 FROM b WHERE b.k = a.k HAVING count(*) = 0)",
            "1 10, 2 -, 2 20",
        ),
        (
            "SELECT k, v FROM a WHERE 0 IN (SELECT count(*) FROM b WHERE b.k = a.k)",
            "- 40, 3 30",
        ),
        // Of the outer row, two queries up.
        (
            "SELECT k, v FROM a WHERE v IN (SELECT v FROM b WHERE k IN (SELECT k FROM c WHERE c.v = a.v))",
            "2 20",
        ),
        (
            "SELECT k, v FROM a WHERE v >= (SELECT min(v) FROM b WHERE b.k = (SELECT a.k))",
            "1 10, 2 20",
        ),
        (
            "SELECT k, v FROM a WHERE k IN (SELECT a.k FROM b WHERE b.v = a.v)",
            "1 10, 2 20",
        ),
        // In a join's ON.
        (
            "SELECT k, v FROM a WHERE EXISTS (SELECT 1 FROM b LEFT JOIN c ON b.k = c.k AND c.v = a.v WHERE b.v = a.v AND c.v IS NULL)",
            "- 40, 1 10",
        ),
        (
            "SELECT k, v, (SELECT count(*) FROM b FULL JOIN c ON b.k = c.k AND b.v = a.v) AS n FROM a",
            "- 40 7, 1 10 7, 2 - 7, 2 20 6, 3 30 7",
        ),
        // The first rows for each outer row.
        (
            "SELECT k, v FROM a WHERE v IN (SELECT v FROM b WHERE b.k = a.k ORDER BY v LIMIT 1)",
            "1 10, 2 20",
        ),
        (
            "SELECT k, v FROM a WHERE v + 1 IN (SELECT v FROM b WHERE b.k <= a.k ORDER BY v LIMIT 1 OFFSET 1)",
            "1 10",
        ),
        // Aggregates of no rows, and with something of the outer row inside.
        (
            "SELECT k, (SELECT count(*) FILTER (WHERE b.v <= a.v) FROM b WHERE b.k <= a.k) AS n, (SELECT sum(b.v - a.v) FROM b WHERE b.k = a.k) AS s FROM a",
            "- 0 -, 1 1 1, 2 0 -, 2 3 0, 3 3 -",
        ),
        (
            "SELECT k, v, (SELECT count(*) FROM b WHERE b.k = a.k HAVING count(*) < a.v) AS n FROM a",
            "- 40 0, 1 10 2, 2 - -, 2 20 2, 3 30 0",
        ),
        (
            "SELECT k, v FROM a WHERE v > ALL (SELECT v FROM b WHERE b.k < a.k) AND v <> ANY (SELECT v FROM c WHERE c.k <= a.k)",
            "2 20",
        ),
        // What is one value even of no rows, and told by nothing that is aggregated.
        (
            "SELECT k, (SELECT count(*) IS NULL FROM b WHERE b.k = a.k) AS n, (SELECT 7 FROM (SELECT max(v) FROM b WHERE b.k = a.k) AS m) AS s FROM a",
            "- false 7, 1 false 7, 2 false 7, 2 false 7, 3 false 7",
        ),
        // A set of no keys has a row even of no rows.
        (
            "SELECT a.k, l.v AS w, l.n, l.g FROM a JOIN LATERAL (SELECT v, count(*) AS n, grouping(v) AS g FROM b WHERE b.k = a.k GROUP BY ROLLUP (v)) l ON true WHERE a.v <> 20",
            "- - 0 1, 1 - 2 1, 1 10 1 0, 1 11 1 0, 3 - 0 1",
        ),
        (
            "SELECT a.k, l.v AS w, l.m FROM a LEFT JOIN LATERAL (SELECT v, max(v) AS m FROM b WHERE b.k = a.k GROUP BY GROUPING SETS ((v), (v, k)) HAVING max(v) > 10) l ON true WHERE a.v <> 20",
            "- - -, 1 11 11, 1 11 11, 3 - -",
        ),
        // Rows of the same relation.
        (
            "SELECT k, v FROM a WHERE v >= ALL (SELECT v FROM a WHERE v IS NOT NULL) OR v < ANY (SELECT v FROM a WHERE k = 2)",
            "- 40, 1 10",
        ),
        (
            "SELECT k, max(v) AS m FROM a WHERE k > 0 GROUP BY k HAVING max(v) >= ALL (SELECT max(v) FROM a WHERE k > 0 GROUP BY k)",
            "3 30",
        ),
        (
            "SELECT k, max(v) AS m FROM a WHERE k > 0 GROUP BY k HAVING max(v) = (SELECT max(v) FROM a WHERE k < 3)",
            "2 20",
        ),
        // A relation of the outer query, and no field of a column.
        (
            "SELECT k, v FROM a AS n WHERE k IN (SELECT k FROM per_k WHERE per_k.n * 5 >= n.v)",
            "1 10",
        ),
        // As often as they are there more often on the left.
        ("SELECT k FROM a EXCEPT ALL SELECT k FROM c", "-, 1, 3"),
        (
            "SELECT k FROM a INTERSECT ALL SELECT k FROM b",
            "-, 1, 2, 2",
        ),
        ("SELECT 1 AS one FROM a GROUP BY ()", "1"),
        // Either side of a UNION.
        (
            "SELECT k, (SELECT count(*) FROM (SELECT v FROM b WHERE b.k = a.k UNION ALL SELECT v FROM c WHERE c.v = a.v) AS u) AS n FROM a",
            "- 0, 1 2, 2 2, 2 3, 3 0",
        ),
        // Values of the outer row.
        (
            "SELECT k, (SELECT max(x) FROM (VALUES (a.k), (a.v)) AS g(x)) AS m FROM a WHERE k < 3",
            "1 10, 2 2, 2 20",
        ),
        // One row, by a key.
        (
            "SELECT k, (SELECT n FROM per_k WHERE per_k.k = a.k) AS n, (SELECT v FROM named WHERE id = a.k) AS v FROM a",
            "- - -, 1 2 -, 2 2 -, 2 2 -, 3 - -",
        ),
    ] {
        assert_eq!(rows(query).expect(query), expected, "{query}");
    }
}

/// Whether a value is NULL or not is told by what it is compared with, and no other equality of the join.
#[test]
fn only_what_is_not_distinct_is_equal_where_both_are_null() {
    for (query, expected) in [
        (
            "SELECT a.k, b.v FROM a JOIN b ON a.k IS NOT DISTINCT FROM b.k WHERE a.v = b.v",
            "- 40, 1 10, 2 20",
        ),
        (
            "SELECT a.k, b.v FROM a JOIN b ON a.k IS NOT DISTINCT FROM b.k JOIN c ON c.v = b.v",
            "2 20, 2 20",
        ),
        (
            "SELECT a.v, b.v AS w FROM a JOIN b ON a.v IS NOT DISTINCT FROM b.v",
            "- -, 10 10, 20 20, 40 40",
        ),
    ] {
        assert_eq!(rows(query).expect(query), expected, "{query}");
    }
}

#[test]
fn a_value_of_several_rows_is_refused() {
    for query in [
        "SELECT k, (SELECT v FROM b WHERE b.k = a.k) AS v FROM a",
        "SELECT k FROM a WHERE v = (SELECT v FROM b WHERE b.k = a.k)",
        "SELECT k, (SELECT n FROM per_k WHERE per_k.k > a.k) AS v FROM a",
    ] {
        let reason = rows(query).expect_err(query).to_string();
        assert!(reason.contains("write max(…) of the value"), "{reason}");
    }
}

/// By the names that are written, and not those that sub-queries have as joins.
#[test]
fn a_text_that_is_compared_with_a_number_is_refused_by_name() {
    const B: &str = "(SELECT CAST(v AS TEXT) AS t, k FROM b) AS b";
    for (query, expected) in [
        (
            format!("SELECT k FROM a WHERE v > (SELECT t FROM {B} WHERE b.k = a.k LIMIT 1)"),
            "`b.t` is TEXT and `a.v` is INT",
        ),
        (
            format!("SELECT k FROM a WHERE EXISTS (SELECT 1 FROM {B} WHERE b.t = a.v LIMIT 2)"),
            "`b.t` is TEXT and `a.v` is INT",
        ),
        (
            format!("SELECT k FROM a WHERE v = ALL (SELECT t FROM {B} WHERE b.k = a.k)"),
            "`b.t` is TEXT and `a.v` is INT",
        ),
        (
            format!("SELECT k FROM a WHERE v NOT IN (SELECT t FROM {B} WHERE b.k = a.k)"),
            "`b.t` is TEXT and `a.v` is INT",
        ),
    ] {
        let reason = rows(&query).expect_err(&query).to_string();
        assert!(reason.contains(expected), "{query}: {reason}");
    }
}
