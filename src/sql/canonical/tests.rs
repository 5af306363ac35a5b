//! The canonical text, held for ever: a change of what stands here refuses every lake, or fills all its views again.

use super::*;
use crate::sql::syntax;

fn canonical(text: &str) -> Result<String, String> {
    query(&syntax::parse_query(text).expect(text))
}

/// What is written, and what it is taken for.
const GOLDEN: &[(&str, &str)] = &[
    ("SELECT a FROM t", "select a from t"),
    (
        "select A , \"B\" As x From T as U WHERE (a) != 1 AND b::int > 2",
        "select a, \"B\" as x from t as u where ((a <> 1) and (cast(b as int) > 2))",
    ),
    (
        "SELECT count(*) FILTER (WHERE x >= 0.5) AS c, count(DISTINCT k), -n FROM s GROUP BY 1, date_trunc('minute', at) HAVING count(*) > 2",
        "select count(*) filter (where (x >= 0.5)) as c, count(distinct k), (- n) from s group by 1, date_trunc('minute', at) having (count(*) > 2)",
    ),
    (
        "SELECT window_start FROM TUMBLE(s, at, INTERVAL '1' MINUTE) AS w",
        "select window_start from tumble(s, at, interval 60000000 us) as w",
    ),
    (
        "SELECT a FROM s WHERE at > now() - INTERVAL '60 seconds' AND t LIKE 'x''%' ESCAPE '!' AND b NOT BETWEEN 1 AND 2",
        "select a from s where (((at > (now() - interval 60000000 us)) and (t like 'x''%' escape '!')) and (b not between 1 and 2))",
    ),
    (
        "SELECT CASE WHEN a IN (1, 2) THEN 'x' ELSE NULL END, EXTRACT(HOUR FROM at), SUBSTRING(t FROM 2 FOR 3), TRIM(LEADING 'x' FROM t) FROM s",
        "select case when (a in (1, 2)) then 'x' else null end, date_part('hour', at), substr(t, 2, 3), ltrim(t, 'x') from s",
    ),
    (
        "SELECT s.* FROM s UNION ALL (SELECT DISTINCT b FROM u) ORDER BY 1 DESC NULLS LAST, x LIMIT 5 OFFSET 1",
        "select s.* from s union all (select distinct b from u) order by 1 desc nulls last, x limit 5 offset 1",
    ),
    (
        "WITH w AS (SELECT at AT TIME ZONE 'UTC' AS l, a IS NOT DISTINCT FROM b FROM s) SELECT w.l, TRY_CAST(x AS DECIMAL(10,2)), DATE '2026-01-01' FROM w",
        "with w as (select (at at time zone 'UTC') as l, (a is not distinct from b) from s) select w.l, try_cast(x as decimal(10, 2)), cast('2026-01-01' as date) from w",
    ),
    (
        "SELECT m['k'], l[1], [1, 2], NOT b IS NULL, a || b ~ 'x' FROM s",
        "select m['k'], l[1], [1, 2], (not (b is null)), ((a || b) ~ 'x') from s",
    ),
    (
        "SELECT a FROM t, (u NATURAL JOIN v) INNER JOIN w USING (b) LEFT OUTER JOIN x AS y ON t.a = y.a FULL JOIN z ON true CROSS JOIN q",
        "select a from t, (u natural join v) join w using (b) left join x as y on (t.a = y.a) full join z on true cross join q",
    ),
    (
        "SELECT a FROM t LEFT SEMI JOIN u ON t.a = u.a RIGHT JOIN LATERAL (SELECT b FROM v) AS w ON true LEFT ANTI JOIN x ON t.a = x.a",
        "select a from t left semi join u on (t.a = u.a) right join lateral (select b from v) as w on true left anti join x on (t.a = x.a)",
    ),
    (
        "SELECT (SELECT max(b) FROM u) FROM t WHERE a IN (SELECT b FROM u) AND NOT EXISTS (SELECT 1 FROM v) AND c NOT IN (SELECT d FROM v)",
        "select (select max(b) from u) from t where (((a in (select b from u)) and (not exists (select 1 from v))) and (c not in (select d from v)))",
    ),
    (
        "SELECT a FROM t WHERE a > ALL (SELECT b FROM u) OR a < SOME (SELECT b FROM u)",
        "select a from t where ((a > all (select b from u)) or (a < any (select b from u)))",
    ),
    (
        "SELECT x FROM (VALUES (1, 'a'), (2, NULL)) AS v(x, y), generate_series(1, 5, 2) AS g(i)",
        "select x from (values (1, 'a'), (2, null)) as v (x, y), generate_series(1, 5, 2) as g (i)",
    ),
    (
        "SELECT DISTINCT ON (a, b) a, first_value(b ORDER BY c) IGNORE NULLS, percentile_cont(0.5) WITHIN GROUP (ORDER BY a DESC) FILTER (WHERE b) FROM t",
        "select distinct on (a, b) a, first_value(b order by c) ignore nulls, percentile_cont(0.5) within group (order by a desc) filter (where b) from t",
    ),
    (
        "SELECT a, rank() OVER (PARTITION BY b ORDER BY c DESC ROWS 2 PRECEDING) AS r, sum(d) OVER w FROM t WINDOW w AS (ORDER BY c RANGE BETWEEN UNBOUNDED PRECEDING AND 1 FOLLOWING) QUALIFY r = 1",
        "select a, rank() over (partition by b order by c desc rows between 2 preceding and current row) as r, sum(d) over w from t window w as (order by c range between unbounded preceding and 1 following) qualify (r = 1)",
    ),
    (
        "SELECT a, b, grouping(a) FROM t GROUP BY ROLLUP (a, b), CUBE ((a, b), c), GROUPING SETS ((a), (a, b), ())",
        "select a, b, grouping(a) from t group by rollup ((a), (b)), cube ((a, b), (c)), grouping sets ((a), (a, b), ())",
    ),
    (
        "SELECT a FROM HOP(t, at, INTERVAL '1' MINUTE, INTERVAL '1 hour') AS h, Cumulate(u, at, INTERVAL '1' HOUR, INTERVAL '1' DAY)",
        "select a from hop(t, at, interval 60000000 us, interval 3600000000 us) as h, cumulate(u, at, interval 3600000000 us, interval 86400000000 us)",
    ),
    (
        "SELECT a FROM t EXCEPT ALL (SELECT a FROM u INTERSECT SELECT a FROM v)",
        "select a from t except all (select a from u intersect select a from v)",
    ),
];

#[test]
fn queries_have_one_text_for_ever() {
    for (written, golden) in GOLDEN {
        assert_eq!(canonical(written).as_deref(), Ok(*golden), "{written}");
    }
}

#[test]
fn what_is_canonical_stays_as_it_is() {
    for (_, golden) in GOLDEN {
        // Lengths of time are not SQL.
        if !golden.contains(" us") && !golden.contains('[') {
            assert_eq!(canonical(golden).as_deref(), Ok(*golden));
        }
    }
}

#[test]
fn clauses_that_the_planner_passes_over_are_refused() {
    for (written, said) in [
        ("SELECT a FROM t TABLESAMPLE SYSTEM (10)", "TABLESAMPLE"),
        (
            "SELECT a FROM (SELECT a FROM t TABLESAMPLE BERNOULLI (1)) AS i",
            "TABLESAMPLE",
        ),
        ("SELECT a FROM t FETCH FIRST 5 ROWS ONLY", "write LIMIT"),
        ("SELECT a FROM t FOR UPDATE", "lock"),
        ("SELECT a INTO u FROM t", "CREATE TABLE"),
        (
            "SELECT a FROM t ASOF JOIN u MATCH_CONDITION (t.a >= u.a) ON t.b = u.b",
            "ASOF JOIN",
        ),
        ("SELECT a FROM t CROSS APPLY u", "APPLY"),
        (
            "WITH RECURSIVE w AS (SELECT 1) SELECT * FROM w",
            "RECURSIVE",
        ),
        ("SELECT a FROM no_series(1, 2)", "no table function"),
        ("SELECT a FROM t WHERE a = $1", "parameters"),
        ("SELECT a COLLATE \"de\" FROM t", "not maintained"),
    ] {
        let error = canonical(written).expect_err(written);
        assert!(error.contains(said), "{written}\n  said: {error}");
    }
}

#[test]
fn definitions_of_the_first_form_are_read() {
    let text = r#"{"sources": {}, "views": {}, "tables": {"raw": {"source": "s", "selection": "SELECT FROM positive WHERE x > 0\npositive: SELECT * FROM s WHERE k != 'a\nb'",
        "columns": [{"name": "Key", "type": "TEXT", "sql": "Key"}, {"name": "d", "type": "DATE", "sql": "CAST(at AS DATE)"}], "partition_by": [], "event_time": null}}}"#;
    let text = text.replace("'a\nb'", "'a\\nb'");
    let read =
        in_this_form(serde_json::from_str(&text).expect("definitions")).expect("they are read");
    let table = &read.tables["raw"];
    let columns: Vec<&str> = table.columns.iter().map(|it| it.sql.as_str()).collect();
    assert_eq!(columns, ["\"Key\"", "cast(at as date)"]);
    assert_eq!(
        table.selection,
        "select from positive where (x > 0)\npositive: select * from s where (k <> 'a\nb')"
    );
}

#[test]
fn definitions_of_the_second_form_are_read() {
    let keyed = "select from s where (n > 0)\\npositive: select * from s\\ns: select k from (select 'a: b\\nc') where (d <> 'x')\\nother: select 1";
    let text = format!(
        r#"{{"form": 2, "sources": {{}}, "views": {{}}, "tables": {{"raw": {{"source": "s", "selection": "{keyed}", "columns": [], "partition_by": [], "event_time": null}}}}}}"#
    );
    let read =
        in_this_form(serde_json::from_str(&text).expect("definitions")).expect("they are read");
    assert_eq!(
        read.tables["raw"].selection,
        "select from s where (n > 0)\npositive: select * from s\nother: select 1"
    );
}
