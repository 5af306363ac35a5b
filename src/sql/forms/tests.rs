//! What is written, and what it is taken for.

use super::rewrite;
use crate::sql::syntax::parse_query;

fn taken_for(text: &str) -> Result<String, String> {
    let mut query = parse_query(text)?;
    rewrite(&mut query)?;
    // As it is stored: it means the same when it is read again.
    let mut again = parse_query(&query.to_string())?;
    rewrite(&mut again)?;
    assert_eq!(again.to_string(), query.to_string());
    Ok(query.to_string())
}

#[test]
fn forms_of_others_have_one_form() {
    for (text, expected) in [
        (
            "SELECT a FROM t ORDER BY a FETCH FIRST 3 ROWS ONLY",
            "SELECT a FROM t ORDER BY a LIMIT 3",
        ),
        (
            "SELECT a FROM t WHERE a = SOME (SELECT b FROM u) AND c <> ALL (SELECT d FROM u)",
            "SELECT a FROM t WHERE (a) IN (SELECT b FROM u) AND (c) NOT IN (SELECT d FROM u)",
        ),
        // The value is not of the rows it is compared with, whatever these are called.
        (
            "SELECT a FROM t WHERE a >= ALL (SELECT a FROM t) OR b <> SOME (SELECT b FROM t WHERE b > ANY (SELECT a FROM t))",
            "SELECT a FROM t WHERE a >= ALL(SELECT __compared1.v FROM (SELECT a FROM t) AS __compared1 (v)) OR b <> SOME(SELECT __compared3.v FROM (SELECT b FROM t WHERE b > ANY(SELECT __compared2.v FROM (SELECT a FROM t) AS __compared2 (v))) AS __compared3 (v))",
        ),
        (
            "SELECT a FROM t WHERE (a, b) NOT IN (SELECT c, d FROM u) OR NOT ((a, b) = ANY (SELECT c, d FROM u))",
            "SELECT a FROM t WHERE NOT EXISTS (SELECT 1 FROM (SELECT c, d FROM u) AS __row (__v1, __v2) WHERE (__row.__v1 = (a) AND __row.__v2 = (b)) IS NOT FALSE) OR NOT EXISTS (SELECT 1 FROM (SELECT c, d FROM u) AS __row (__v1, __v2) WHERE (__row.__v1 = (a) AND __row.__v2 = (b)) IS NOT FALSE)",
        ),
        (
            "SELECT a, ARRAY(SELECT b AS x FROM u WHERE u.a = t.a ORDER BY c DESC, x), ARRAY(SELECT DISTINCT b FROM u ORDER BY 1 DESC), array(SELECT b FROM u) FROM t",
            "SELECT a, coalesce((SELECT array_agg(b ORDER BY c DESC, b) FROM u WHERE u.a = t.a), []), coalesce((SELECT array_agg(__list1.v ORDER BY __list1.v DESC) FROM (SELECT DISTINCT b FROM u ORDER BY 1 DESC) AS __list1 (v)), []), coalesce((SELECT array_agg(__list2.v ORDER BY __list2.v) FROM (SELECT b FROM u) AS __list2 (v)), []) FROM t",
        ),
        (
            "SELECT a FROM t WHERE (a, b) = (SELECT c, d FROM u ORDER BY d LIMIT 1) AND (SELECT max(c), min(d) FROM u) = (a, b)",
            "SELECT a FROM t WHERE EXISTS (SELECT 1 FROM (SELECT c, d FROM u ORDER BY d LIMIT 1) AS __row (__v1, __v2) WHERE __row.__v1 = (a) AND __row.__v2 = (b)) AND EXISTS (SELECT 1 FROM (SELECT max(c), min(d) FROM u) AS __row (__v1, __v2) WHERE __row.__v1 = (a) AND __row.__v2 = (b))",
        ),
        // What is grouped by whether a value is in others is computed beside each row.
        (
            "SELECT CASE WHEN t.a IN (SELECT b FROM u) THEN 1 ELSE 0 END AS x, sum(CASE WHEN a NOT IN (SELECT c FROM u) THEN 1 END) AS y, count(*) FILTER (WHERE a IN (SELECT b FROM u)) AS z FROM t GROUP BY x",
            "SELECT CASE WHEN __in1 THEN 1 ELSE 0 END AS x, sum(CASE WHEN __in2 THEN 1 END) AS y, count(*) FILTER (WHERE a IN (SELECT b FROM u)) AS z FROM (SELECT *, CASE WHEN (SELECT count(*) FROM (SELECT b FROM u) AS __in (__of) WHERE __in.__of = (t.a)) > 0 THEN true WHEN (t.a) IS NULL AND (SELECT count(*) FROM (SELECT b FROM u) AS __in (__of)) > 0 THEN NULL WHEN (SELECT count(*) FROM (SELECT b FROM u) AS __in (__of) WHERE __in.__of IS NULL) > 0 THEN NULL ELSE false END AS __in1, CASE WHEN (SELECT count(*) FROM (SELECT c FROM u) AS __in (__of) WHERE __in.__of = (a)) > 0 THEN false WHEN (a) IS NULL AND (SELECT count(*) FROM (SELECT c FROM u) AS __in (__of)) > 0 THEN NULL WHEN (SELECT count(*) FROM (SELECT c FROM u) AS __in (__of) WHERE __in.__of IS NULL) > 0 THEN NULL ELSE true END AS __in2 FROM t) AS t GROUP BY x",
        ),
        (
            "SELECT a IN (SELECT b FROM u) AS x, count(*) FROM t GROUP BY a",
            "SELECT CASE WHEN (SELECT count(*) FROM (SELECT b FROM u) AS __in (__of) WHERE __in.__of = (a)) > 0 THEN true WHEN (a) IS NULL AND (SELECT count(*) FROM (SELECT b FROM u) AS __in (__of)) > 0 THEN NULL WHEN (SELECT count(*) FROM (SELECT b FROM u) AS __in (__of) WHERE __in.__of IS NULL) > 0 THEN NULL ELSE false END AS x, count(*) FROM t GROUP BY a",
        ),
        // All rows are one group, and something has to be computed of it.
        (
            "SELECT 1 FROM t GROUP BY ()",
            "SELECT 1 FROM t HAVING count(*) >= 0",
        ),
        (
            "SELECT max(a) FROM t GROUP BY () HAVING max(b) > 1",
            "SELECT max(a) FROM t HAVING (max(b) > 1) AND count(*) >= 0",
        ),
        (
            "SELECT a, b, count(*) FROM t GROUP BY GROUPING SETS (ROLLUP (a, b), (c), CUBE ((a, b), c))",
            "SELECT a, b, count(*) FROM t GROUP BY GROUPING SETS ((a, b), (a), (), (c), (a, b, c), (c), (a, b), ())",
        ),
        (
            "SELECT a, b, count(*) FROM t GROUP BY a, b WITH ROLLUP",
            "SELECT a, b, count(*) FROM t GROUP BY ROLLUP (a, b)",
        ),
        (
            "SELECT a, b, c, GROUP_ID() AS g FROM t GROUP BY ROLLUP (a, (b, c)), d HAVING group_id() = 0",
            "SELECT a, b, c, CAST(0 AS BIGINT) AS g FROM t GROUP BY GROUPING SETS ((a, b, c), (a), ()), d HAVING CAST(0 AS BIGINT) = 0",
        ),
        (
            "SELECT a, b, c FROM t GROUP BY CUBE ((a, b), c)",
            "SELECT a, b, c FROM t GROUP BY GROUPING SETS ((a, b, c), (c), (a, b), ())",
        ),
        (
            "SELECT a FROM t MINUS SELECT b FROM u",
            "SELECT a FROM t EXCEPT SELECT b FROM u",
        ),
        (
            "SELECT a, b AS c FROM t ORDER BY c DESC, 1 FETCH FIRST 3 ROWS WITH TIES",
            "SELECT a, b AS c FROM t QUALIFY rank() OVER (ORDER BY b DESC, a) <= 3",
        ),
        // Only where both values would have one name.
        (
            "SELECT a FROM t GROUP BY a HAVING max(b) = (SELECT max(b) FROM t) AND min(b) > (SELECT min(b) FROM u) AND sum(b) > (SELECT avg(b) FROM t)",
            "SELECT a FROM t GROUP BY a HAVING max(b) = (SELECT max(b) AS __value FROM t) AND min(b) > (SELECT min(b) FROM u) AND sum(b) > (SELECT avg(b) FROM t)",
        ),
        (
            "SELECT a FROM t WHERE (a, b) <= (1, 2)",
            "SELECT a FROM t WHERE ((a) < (1) OR ((a) = (1) AND ((b) <= (2))))",
        ),
        (
            "SELECT a FROM t WHERE (a, b) NOT IN ((1, 2), (3, 4))",
            "SELECT a FROM t WHERE NOT (((a) = (1) AND (b) = (2)) OR ((a) = (3) AND (b) = (4)))",
        ),
        (
            "SELECT a FROM t WHERE EXISTS (SELECT b FROM u WHERE u.a = t.a ORDER BY b LIMIT 1) AND a IN (SELECT b FROM u ORDER BY b)",
            "SELECT a FROM t WHERE EXISTS (SELECT b FROM u WHERE u.a = t.a) AND a IN (SELECT b FROM u)",
        ),
        (
            "SELECT a FROM t WHERE NOT EXISTS (SELECT 1 FROM u WHERE u.a = t.a UNION ALL SELECT 1 FROM v WHERE v.a = t.a)",
            "SELECT a FROM t WHERE (NOT EXISTS (SELECT 1 FROM u WHERE u.a = t.a) AND NOT EXISTS (SELECT 1 FROM v WHERE v.a = t.a))",
        ),
        (
            "SELECT a[2:3], a[:2], t.a[2:], b[1][2:3] FROM t WHERE a && ARRAY[1]",
            "SELECT array_slice(a, 2, 3), array_slice(a, 1, 2), array_slice(t.a, 2, 2147483647), array_slice(b[1], 2, 3) FROM t WHERE array_has_any(array_compact(a), ARRAY[1])",
        ),
        (
            "SELECT format('%s of %s: 100%%', a, t.b) FROM t",
            "SELECT concat('', CAST((a) AS TEXT), ' of ', CAST((t.b) AS TEXT), ': 100%') FROM t",
        ),
        (
            "SELECT a @> ARRAY[1], ARRAY[1] <@ a, a @> '{}', a <=> b, s ^@ 'x', X'0aff' FROM t",
            "SELECT (array_has_all(a, ARRAY[1]) AND array_position(ARRAY[1], NULL) IS NULL), (array_has_all(a, ARRAY[1]) AND array_position(ARRAY[1], NULL) IS NULL), json_contains(a, '{}'), ((a) IS NOT DISTINCT FROM (b)), starts_with(s, 'x'), decode('0aff', 'hex') FROM t",
        ),
        (
            "SELECT a FROM t WHERE a BETWEEN SYMMETRIC b AND c + 1 AND d NOT BETWEEN ASYMMETRIC 1 AND 2",
            "SELECT a FROM t WHERE (a BETWEEN b AND c + 1 OR a BETWEEN c + 1 AND b) AND d NOT BETWEEN 1 AND 2",
        ),
        (
            "SELECT a FROM t WHERE a NOT BETWEEN SYMMETRIC b AND c OR d",
            "SELECT a FROM t WHERE NOT (a BETWEEN b AND c OR a BETWEEN c AND b) OR d",
        ),
        (
            "SELECT listagg(DISTINCT a), group_concat(a, '; ' ORDER BY b), count_distinct(a) FILTER (WHERE b) FROM t",
            "SELECT string_agg(DISTINCT a, ','), string_agg(a, '; ' ORDER BY b), count(DISTINCT a) FILTER (WHERE b) FROM t",
        ),
        (
            "SELECT sha2(a, 512), sort_array(b, false), split(a, '-') FROM t",
            "SELECT encode(sha512(a), 'hex'), array_sort(b, 'DESC', 'NULLS LAST'), CASE WHEN (a) = '' THEN make_array('') ELSE string_to_array(a, '-') END FROM t",
        ),
        // A relation's column is no field of one.
        (
            "SELECT t.a['x'], t.a[1], (t.a).b, t.a['x'].b FROM t",
            "SELECT t.a['x'], t.a[1], (t.a)['b'] AS b, t.a['x']['b'] AS b FROM t",
        ),
        // A field's name, unless a relation is of that name, here or around.
        (
            "SELECT bid.price, n.bid.channel, n.id, u.a, lake.u.b, (row(1, a)).f2, w.x FROM n, lake.u, TUMBLE(w, at, INTERVAL '1' HOUR) WHERE EXISTS (SELECT n.id, w.x.y FROM v)",
            "SELECT bid.price AS price, n.bid.channel AS channel, n.id, u.a, lake.u.b, (a) AS f2, w.x FROM n, lake.u, TUMBLE(w, at, INTERVAL '1' HOUR) WHERE EXISTS (SELECT n.id, w.x.y AS y FROM v)",
        ),
        (
            "SELECT a FROM t WHERE EXISTS (SELECT b FROM u LIMIT 0)",
            "SELECT a FROM t WHERE EXISTS (SELECT b FROM u LIMIT 0)",
        ),
        (
            "SELECT a FROM t ANTI JOIN u ON t.a = u.a",
            "SELECT a FROM t LEFT ANTI JOIN u ON t.a = u.a",
        ),
        (
            "SELECT every(b) FILTER (WHERE a > 1), if(a > 1, 'x', 'y'), count_if(b) FROM t",
            "SELECT bool_and(b) FILTER (WHERE a > 1), CASE WHEN (a > 1) THEN ('x') ELSE ('y') END, count(*) FILTER (WHERE b) FROM t",
        ),
        (
            "SELECT to_date(s, 'YYYY-MM-DD'), to_timestamp(s, 'yyyy-MM-dd HH:mm:ss'), to_date(s, '%d') FROM t",
            "SELECT to_date(s, '%Y-%m-%d'), to_timestamp(s, '%Y-%m-%d %H:%M:%S'), to_date(s, '%d') FROM t",
        ),
        (
            "SELECT mode() WITHIN GROUP (ORDER BY a) FILTER (WHERE b), sum(a ORDER BY b), last(a ORDER BY b) FROM t",
            "SELECT mode(a) FILTER (WHERE b), sum(a), last_value(a ORDER BY b) FROM t",
        ),
        (
            "SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY a DESC) FROM t",
            "SELECT array_element(array_agg(a ORDER BY a DESC) FILTER (WHERE (a) IS NOT NULL), greatest(1, CAST(CEIL(CAST(0.5 AS DOUBLE) * count(a)) AS BIGINT))) FROM t",
        ),
        // At no rank there is no value.
        (
            "SELECT percentile_cont(NULL) WITHIN GROUP (ORDER BY a), percentile_cont(0.3 + NULL::float) WITHIN GROUP (ORDER BY a DESC) FILTER (WHERE b) FROM t",
            "SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY a) FILTER (WHERE false), percentile_cont(0.5) WITHIN GROUP (ORDER BY a DESC) FILTER (WHERE false) FROM t",
        ),
        (
            "SELECT percentile_disc(NULL) WITHIN GROUP (ORDER BY a) FROM t",
            "SELECT array_element(array_agg(a ORDER BY a) FILTER (WHERE false), greatest(1, CAST(CEIL(CAST(NULL AS DOUBLE) * count(a)) AS BIGINT))) FROM t",
        ),
        (
            "SELECT approx_percentile(0.25, 0.01) WITHIN GROUP (ORDER BY a DESC), approx_quantile(a, 0.9), approx_median(a) FROM t",
            "SELECT approx_percentile_cont(a, 0.75), approx_percentile_cont(a, 0.9), approx_percentile_cont(a, 0.5) FROM t",
        ),
        (
            "SELECT a, TUMBLE_START(at, INTERVAL '1' HOUR) AS s, count(*) FROM t AS x GROUP BY a, TUMBLE(x.at, INTERVAL '1' HOUR)",
            "SELECT a, window_start AS s, count(*) FROM tumble(t, at, INTERVAL '1' HOUR) AS x GROUP BY a, window_start, window_end",
        ),
        // Sessions are those of the other keys.
        (
            "SELECT a, lower(x.b) AS l, SESSION_START(at, INTERVAL '1' HOUR) AS s FROM t AS x GROUP BY x.a, SESSION(at, INTERVAL '1' HOUR), l, x.c + 1",
            "SELECT a, lower(x.b) AS l, window_start AS s FROM session(t, a, lower(b), c + 1, at, INTERVAL '1' HOUR) AS x GROUP BY x.a, window_start, window_end, l, x.c + 1",
        ),
        (
            "SELECT window.start, window.end AS e, a, count(*) FROM t GROUP BY window(at, '10 minutes', '5 minutes'), a HAVING window.end > b",
            "SELECT window_start AS start, window_end AS e, a, count(*) FROM hop(t, at, INTERVAL '5 minutes', INTERVAL '10 minutes') AS t GROUP BY window_start, window_end, a HAVING window_end > b",
        ),
        (
            "SELECT window(at, '1 hour'), count(*) FROM t GROUP BY 1",
            "SELECT named_struct('start', window_start, 'end', window_end) AS \"window\", count(*) FROM tumble(t, at, INTERVAL '1 hour') AS t GROUP BY window_start, window_end",
        ),
        (
            "SELECT a, window(at, '1 hour') AS w FROM t GROUP BY a, w",
            "SELECT a, named_struct('start', window_start, 'end', window_end) AS w FROM tumble(t, at, INTERVAL '1 hour') AS t GROUP BY a, window_start, window_end",
        ),
        (
            "SELECT session_window.start AS s, session_window, a FROM t GROUP BY session_window(at, '5 minutes'), a",
            "SELECT window_start AS s, named_struct('start', window_start, 'end', window_end) AS \"session_window\", a FROM session(t, a, at, INTERVAL '5 minutes') AS t GROUP BY window_start, window_end, a",
        ),
        // Elements of lists in one order stay what they were.
        (
            "SELECT (array_agg(a ORDER BY b))[1], (array_agg(c ORDER BY b))[2] FROM t",
            "SELECT (array_agg(a ORDER BY b))[1], (array_agg(c ORDER BY b))[2] FROM t",
        ),
        (
            "SELECT (array_agg(a ORDER BY b))[1] AS x FROM t HAVING (array_agg(a ORDER BY b DESC) FILTER (WHERE c))[2] > (SELECT (array_agg(d))[1] FROM u)",
            "SELECT array_element(array_agg(a ORDER BY b), 1) AS x FROM t HAVING array_element(array_agg(a ORDER BY b DESC) FILTER (WHERE c), 2) > (SELECT (array_agg(d))[1] FROM u)",
        ),
        (
            "SELECT e.x, e.n FROM t, jsonb_array_elements(t.j -> 'items') WITH ORDINALITY AS e(x, n)",
            "SELECT x, n FROM (SELECT *, unnest(json_elements_of(json_get(t.j, 'items'))) AS x, unnest(generate_series(1, CAST(cardinality(json_elements_of(json_get(t.j, 'items'))) AS BIGINT))) AS n FROM t) AS t",
        ),
        (
            "SELECT e.x, n FROM UNNEST(ARRAY['a', 'b']) WITH ORDINALITY AS e(x, n)",
            "SELECT e.x, n FROM (SELECT unnest(ARRAY['a', 'b']) AS x, unnest(generate_series(1, CAST(cardinality(ARRAY['a', 'b']) AS BIGINT))) AS n) AS e",
        ),
        (
            "SELECT a, unnest(regexp_matches(b, '#\\w+', 'g')) AS tag, unnest(regexp_matches(b, 'k=(\\w+)', 'gi')) AS v FROM t",
            "SELECT a, unnest(regexp_extract_all(b, '#\\w+', 0)) AS tag, unnest(regexp_extract_all(b, '(?i)k=(\\w+)', 1)) AS v FROM t",
        ),
        (
            "SELECT a, generate_series(a, b, 2) * 2 AS x, (jsonb_array_elements(c) ->> 'd')::INT AS y, cardinality(generate_series(1, a)) AS n FROM t",
            "SELECT a, unnest(generate_series(a, b, 2)) * 2 AS x, (json_get_text(unnest(json_elements_of(c)), 'd'))::INT AS y, cardinality(generate_series(1, a)) AS n FROM t",
        ),
        (
            "SELECT b.k, count(*) AS n, TUMBLE_START(b.p, INTERVAL '10' SECOND) AS s FROM (SELECT *, PROCTIME() AS p FROM t) AS b GROUP BY b.k, TUMBLE(b.p, INTERVAL '10' SECOND)",
            "SELECT b.k, count(*) AS n, window_start AS s FROM tumble(t, PROCTIME(), INTERVAL '10' SECOND) AS b GROUP BY b.k, window_start, window_end",
        ),
        (
            "SELECT b.k, d.v FROM (SELECT *, PROCTIME() AS p FROM t) b JOIN d FOR SYSTEM_TIME AS OF b.p ON b.k = d.k",
            "SELECT b.k, d.v FROM t AS b JOIN d FOR SYSTEM_TIME AS OF PROCTIME() ON b.k = d.k",
        ),
        (
            "SELECT max_by(ROW(a, b), c) AS x, ARG_MIN(ROW(a, b), ROW(c)) AS y FROM t",
            "SELECT first_value(struct(a, b) ORDER BY c DESC NULLS LAST) FILTER (WHERE (c) IS NOT NULL) AS x, first_value(struct(a, b) ORDER BY struct(c) ASC NULLS LAST) FILTER (WHERE (struct(c)) IS NOT NULL) AS y FROM t",
        ),
        (
            "WITH b AS (SELECT * FROM t) SELECT x.a, HOP_ROWTIME(x.p, INTERVAL '1' HOUR, INTERVAL '2' HOUR) AS r FROM (SELECT *, at AS p FROM b) AS x GROUP BY x.a, HOP(x.p, INTERVAL '1' HOUR, INTERVAL '2' HOUR)",
            "WITH b AS (SELECT * FROM t), __windowed1 AS (SELECT *, at AS p FROM b) SELECT x.a, (window_end - INTERVAL '1 millisecond') AS r FROM hop(__windowed1, p, INTERVAL '1' HOUR, INTERVAL '2' HOUR) AS x GROUP BY x.a, window_start, window_end",
        ),
        (
            "SELECT * FROM TABLE(HOP(DATA => t, SIZE => INTERVAL '2' HOUR, TIMECOL => DESCRIPTOR(at), SLIDE => INTERVAL '1' HOUR)), SESSION(DATA => u, a, TIMECOL => at, GAP => INTERVAL '1' HOUR)",
            "SELECT * FROM HOP(t, (at), INTERVAL '1' HOUR, INTERVAL '2' HOUR), SESSION(u, a, at, INTERVAL '1' HOUR)",
        ),
        (
            "SELECT * FROM SESSION(u, (a, b), (at), INTERVAL '1' HOUR)",
            "SELECT * FROM SESSION(u, a, b, (at), INTERVAL '1' HOUR)",
        ),
        // A path that is an array may be computed.
        (
            "SELECT p #> ARRAY['a', b], p #>> (ARRAY['a']::text[]), p #> '{a}' FROM t",
            "SELECT json_extract_path(p, 'a', b), json_extract_path_text(p, 'a'), json_at(p, '{a}') FROM t",
        ),
        // Those that another sub-query of windows reads come before it.
        (
            "WITH b AS (SELECT * FROM TUMBLE((SELECT * FROM t), at, INTERVAL '1' HOUR)) SELECT * FROM HOP((SELECT a, p FROM TUMBLE((SELECT * FROM b), p, INTERVAL '1' HOUR)), p, INTERVAL '1' HOUR, INTERVAL '2' HOUR)",
            "WITH __windowed1 AS (SELECT * FROM t), b AS (SELECT * FROM TUMBLE(__windowed1, at, INTERVAL '1' HOUR)), __windowed2 AS (SELECT * FROM b), __windowed3 AS (SELECT a, p FROM TUMBLE(__windowed2, p, INTERVAL '1' HOUR)) SELECT * FROM HOP(__windowed3, p, INTERVAL '1' HOUR, INTERVAL '2' HOUR)",
        ),
        (
            "SELECT t.a, x.b FROM t, LATERAL (SELECT b, c AS d FROM u WHERE u.a = t.a AND c > 1 ORDER BY d DESC LIMIT 3) AS x",
            "SELECT t.a, x.b FROM t INNER JOIN (SELECT b, c AS d, u.a AS __key1 FROM u WHERE c > 1 QUALIFY row_number() OVER (PARTITION BY u.a ORDER BY c DESC) <= 3) AS x ON x.__key1 = (t.a)",
        ),
        (
            "SELECT a, (SELECT b FROM u WHERE u.a = t.a ORDER BY c LIMIT 1) AS b FROM t",
            "SELECT a, __first1.__value AS b FROM t LEFT JOIN (SELECT b AS __value, u.a AS __key1 FROM u QUALIFY row_number() OVER (PARTITION BY u.a ORDER BY c) <= 1) AS __first1 ON __first1.__key1 = (t.a)",
        ),
        (
            "SELECT NOT EXISTS (SELECT 1 FROM u WHERE u.a = t.a) AS e FROM t",
            "SELECT ((SELECT count(*) FROM u WHERE u.a = t.a) = 0) AS e FROM t",
        ),
        (
            "SELECT a FROM t WHERE a SIMILAR TO '(x|y)%' AND a NOT SIMILAR TO 'z!_' ESCAPE '!'",
            "SELECT a FROM t WHERE ((a) ~ '(?s)^(?:(?:x|y).*)$') AND ((a) !~ '(?s)^(?:z_)$')",
        ),
        (
            "SELECT to_timestamp(s, 'YYYY/MM/DD HH12:MI:SS'), to_timestamp(s, 'YYYY/MM/DD HH24'), to_timestamp(s, '%Y-%m %Z'), to_date(s, 'IYYY-IW') FROM t",
            "SELECT to_timestamp('AM ' || (s), '%p %Y/%m/%d %I:%M:%S'), to_timestamp('00 ' || (s), '%M %Y/%m/%d %H'), to_timestamp('01 ' || (s), '%d %Y-%m %Z'), to_date('1 ' || (s), '%u %G-%V') FROM t",
        ),
        (
            "SELECT to_date(s, 'yyyy-mm-dd'), to_timestamp(s, 'yyyymmdd hh24:mi'), to_timestamp(s, '%Y%m%d', '%Y %j') FROM t",
            "SELECT to_date(s, '%Y-%m-%d'), to_timestamp(s, '%Y%m%d %H:%M'), to_timestamp(s, '%Y%m%d', '%Y %j') FROM t",
        ),
        (
            "SELECT DISTINCT ON (2, b) a AS x, c FROM t ORDER BY b, c DESC, d",
            "SELECT DISTINCT ON (b, c) a AS x, c FROM t ORDER BY b, c DESC, d",
        ),
        (
            "SELECT DISTINCT ON (x, c) a AS x, c FROM t ORDER BY c",
            "SELECT DISTINCT ON (c, x) a AS x, c FROM t ORDER BY c, x",
        ),
        (
            "SELECT generate_series(1, a), generate_series(1, b) AS i, cardinality(generate_series(1, 2)) FROM t",
            "SELECT unnest(generate_series(1, a)) AS generate_series, unnest(generate_series(1, b)) AS i, cardinality(generate_series(1, 2)) FROM t",
        ),
        (
            "SELECT jsonb_array_elements(p), rank() OVER (PARTITION BY (a, b) ORDER BY c) AS r FROM t",
            "SELECT unnest(json_elements_of(p)) AS jsonb_array_elements, rank() OVER (PARTITION BY a, b ORDER BY c) AS r FROM t",
        ),
        (
            "SELECT a, value, e.k FROM t, jsonb_array_elements_text(t.p), json_object_keys(p) AS e(k)",
            "SELECT a, value, k FROM (SELECT *, unnest(json_keys_of(p)) AS k FROM (SELECT *, unnest(json_element_texts_of(t.p)) AS value FROM t) AS t) AS t",
        ),
        (
            "SELECT count(a, b), count(a, b) FILTER (WHERE c) FROM t",
            "SELECT count(CASE WHEN (a) IS NOT NULL AND (b) IS NOT NULL THEN 1 END), count(CASE WHEN (a) IS NOT NULL AND (b) IS NOT NULL THEN 1 END) FILTER (WHERE c) FROM t",
        ),
        (
            "SELECT at - INTERVAL 1 DAY, at + INTERVAL -2 HOUR, sum(a) OVER (ORDER BY at RANGE INTERVAL 3 HOUR PRECEDING) FROM t",
            "SELECT at - INTERVAL '1' DAY, at + INTERVAL '-2' HOUR, sum(a) OVER (ORDER BY at RANGE INTERVAL '3' HOUR PRECEDING) FROM t",
        ),
        (
            "SELECT (s).a, (t.s).b.C, DATE ' 2024-01-02', ' 2024-01-02 03:04 '::TIMESTAMP FROM t GROUP BY (a, b), c",
            "SELECT (s)['a'] AS a, (t.s)['b']['c'] AS C, DATE '2024-01-02', CAST('2024-01-02 03:04:00' AS TIMESTAMP) FROM t GROUP BY a, b, c",
        ),
        (
            "SELECT '\\x0aFF'::bytea, CAST('x0a' AS bytea) FROM t",
            "SELECT decode('0aFF', 'hex'), CAST('x0a' AS BYTEA) FROM t",
        ),
        // Of lists that may have NULLs.
        (
            "SELECT a FROM t WHERE NOT 2 = ANY(l) OR a < ANY(ARRAY[b, 1]) OR a = ANY(ARRAY[1, 2]) OR a = ANY($1)",
            "SELECT a FROM t WHERE NOT (NOT (2) <> ALL(l)) OR (NOT (a) >= ALL(ARRAY[b, 1])) OR a = ANY(ARRAY[1, 2]) OR a = ANY($1)",
        ),
        (
            "SELECT array_remove(a, 5), array_replace(a, 1, 2) FROM t",
            "SELECT array_remove_all((a), (5)), array_replace_all((a), (1), (2)) FROM t",
        ),
        // A length is compared by its hours; a time some days later is another day.
        (
            "SELECT b - a > INTERVAL '1 day', b - a BETWEEN INTERVAL 1 HOUR AND '1 month 2 hours'::interval, at > b - INTERVAL '1' DAY FROM t",
            "SELECT b - a > INTERVAL '24' HOUR, b - a BETWEEN INTERVAL '1' HOUR AND INTERVAL '722' HOUR, at > b - INTERVAL '1' DAY FROM t",
        ),
        (
            "SELECT greatest(b - a, INTERVAL '90 minutes'), b - a IN (INTERVAL '1 week', -INTERVAL '1' DAY), coalesce(b - a, INTERVAL '1' DAY) = CASE WHEN k THEN INTERVAL '1' DAY ELSE c - b END FROM t",
            "SELECT greatest(b - a, INTERVAL '90' MINUTE), b - a IN (INTERVAL '168' HOUR, -INTERVAL '24' HOUR), coalesce(b - a, INTERVAL '24' HOUR) = CASE WHEN k THEN INTERVAL '24' HOUR ELSE c - b END FROM t",
        ),
        (
            "SELECT at + INTERVAL '1 hour' * 3, at - 365 * INTERVAL '1 day', at + INTERVAL '1 hour' / 2, at + (INTERVAL '1' MINUTE) * -1.5 FROM t",
            "SELECT at + INTERVAL '3' HOUR, at - INTERVAL '365' DAY, at + INTERVAL '30' MINUTE, at + INTERVAL '-90' SECOND FROM t",
        ),
        (
            "SELECT last_day(at), dow(at), convert_tz(at, 'UTC', b), parse_date('%Y', s), format_date('%F', at), time_bucket(INTERVAL '5 minutes', at) FROM t",
            "SELECT CAST(date_trunc('month', (at)) + INTERVAL '1 month' - INTERVAL '1 day' AS DATE), date_part('dow', (at)), local_time(instant_of((at), ('UTC')), (b)), to_date('01 01 ' || (s), '%m %d %Y'), to_char(at, '%F'), date_bin(INTERVAL '5 minutes', at) FROM t",
        ),
        (
            "SELECT extract(decade FROM at), extract(century FROM at), extract(isoyear FROM at) FROM t",
            "SELECT CAST(FLOOR(date_part('year', at) / 10.0) AS INT), CASE WHEN date_part('year', at) > 0 THEN (date_part('year', at) + 99) / 100 ELSE (date_part('year', at) - 100) / 100 END, EXTRACT(ISOYEAR FROM at) FROM t",
        ),
        (
            "SELECT at + INTERVAL '1 hour' * n, INTERVAL '1 day' / n FROM t",
            "SELECT at + arrow_cast(CAST(round(3600000000 * CAST(n AS DOUBLE)) AS BIGINT), 'Duration(Microsecond)'), arrow_cast(CAST(round(86400000000 / CAST(n AS DOUBLE)) AS BIGINT), 'Duration(Microsecond)') FROM t",
        ),
        (
            "SELECT at AT TIME ZONE 'UTC', (at AT TIME ZONE 'utc') AT TIME ZONE 'Europe/Berlin', at::timestamptz AT TIME ZONE b, (at::timestamptz AT TIME ZONE 'UTC') AT TIME ZONE b FROM t",
            "SELECT at AT TIME ZONE 'UTC', local_time(((at) AT TIME ZONE 'UTC'), 'Europe/Berlin'), local_time(at::TIMESTAMPTZ, b), instant_of((at::TIMESTAMPTZ AT TIME ZONE 'UTC'), b) FROM t",
        ),
        (
            "SELECT at::timestamp AT TIME ZONE 'Asia/Tokyo', timezone('Asia/Tokyo', now() - INTERVAL '1' DAY), date_trunc('DAY', at, 'Asia/Tokyo') FROM t",
            "SELECT instant_of(at::TIMESTAMP, 'Asia/Tokyo'), local_time(now() - INTERVAL '1' DAY, 'Asia/Tokyo'), instant_of(date_trunc('day', local_time(at, 'Asia/Tokyo')), 'Asia/Tokyo') FROM t",
        ),
        (
            "SELECT count(*) FROM (SELECT sum(a), sum(a), sum(a) FROM t) AS x",
            "SELECT count(*) FROM (SELECT sum(a), sum(a) AS \"sum(a)_1\", sum(a) AS \"sum(a)_2\" FROM t) AS x",
        ),
    ] {
        assert_eq!(taken_for(text).as_deref(), Ok(expected), "{text}");
    }
}

#[test]
fn what_means_different_things_elsewhere_is_refused() {
    for (text, part) in [
        (
            "SELECT a FROM t WHERE (a, b) = (1, 2, 3)",
            "both need as many",
        ),
        (
            "SELECT regexp_extract(s, 'x') FROM t",
            "the first group in others",
        ),
        ("SELECT datediff('day', a, b) FROM t", "crossed boundaries"),
        ("SELECT format('%d', a) FROM t", "takes %s for the text"),
        ("SELECT format('%s %s', a) FROM t", "more %s than values"),
        ("SELECT format('a', a) FROM t", "more values than %s"),
        ("SELECT a[0:2] FROM t", "write array_slice(a, from, to)"),
        (
            "SELECT * FROM TUMBLE(DATA => t, TIMECOL => at)",
            "TUMBLE(relation, time_column",
        ),
        (
            "SELECT a FROM t WHERE (a, b) = (SELECT c, d FROM u)",
            "write (a, b) IN (SELECT …)",
        ),
        (
            "SELECT timestampdiff(fortnight, a, b) FROM t",
            "knows no unit fortnight",
        ),
        ("SELECT to_date(s, 'YYYY-QQ') FROM t", "does not know `QQ`"),
        (
            "SELECT count(*) FROM t JOIN u ON t.a = u.a GROUP BY TUMBLE(t.at, INTERVAL '1' HOUR)",
            "one source, table, view or sub-query",
        ),
        (
            "SELECT a FROM t GROUP BY window(at, a)",
            "window(time, '10 minutes')",
        ),
        (
            "SELECT count(*) FROM t GROUP BY ROLLUP (a), SESSION(at, INTERVAL '1' HOUR)",
            "PARTITION BY key, time",
        ),
        ("SELECT a FROM t JOIN u WHERE t.a = u.a", "CROSS JOIN u"),
        ("SELECT a FROM t LEFT JOIN u AS v", "ON true for all pairs"),
        (
            "SELECT tumble_proctime(at, INTERVAL '1' HOUR) FROM t GROUP BY TUMBLE(at, INTERVAL '1' HOUR)",
            "TUMBLE_START, TUMBLE_END and TUMBLE_ROWTIME",
        ),
        (
            "SELECT count(*) FROM (WITH b AS (SELECT * FROM t) SELECT * FROM TUMBLE((SELECT * FROM b), at, INTERVAL '1' HOUR)) AS c",
            "write that WITH at the beginning",
        ),
        (
            "SELECT approx_percentile(0.5, 0.001) WITHIN GROUP (ORDER BY a) FROM t",
            "write percentile_cont",
        ),
        (
            "SELECT a FROM t WHERE a SIMILAR TO b",
            "takes a constant pattern",
        ),
        (
            "SELECT to_timestamp(s, 'YYYY-MM', 'YYYY') FROM t",
            "with several patterns",
        ),
        (
            "SELECT to_timestamp(s, 'HH24:mm') FROM t",
            "does not know `mm`",
        ),
        (
            "SELECT DISTINCT ON (a) a, b FROM t ORDER BY b",
            "ORDER BY a, b",
        ),
        ("SELECT DISTINCT ON (2) *, b FROM t", "name the column"),
        (
            "SELECT at + INTERVAL a DAY FROM t",
            "timestampadd(DAY, number, time)",
        ),
        ("SELECT at + INTERVAL 3 FROM t", "has no unit"),
        (
            "SELECT at + INTERVAL '1 month' * n FROM t",
            "months differ in length",
        ),
        (
            "SELECT time_bucket(INTERVAL '7 days', at) FROM t",
            "date_trunc('week', at)",
        ),
        ("SELECT at + INTERVAL '1 day' / 0 FROM t", "is no interval"),
        (
            "SELECT at AT TIME ZONE 'Europe/Berlin' FROM t",
            "write (at AT TIME ZONE 'UTC') AT TIME ZONE 'Europe/Berlin' for the local time",
        ),
        (
            "SELECT date_trunc('hour', at, 'Europe/Berlin') FROM t",
            "leave out the zone",
        ),
    ] {
        let error = taken_for(text).expect_err(text);
        assert!(error.contains(part), "{text}: {error}");
    }
}

/// A query that calls functions, with their bodies in the place of the calls.
fn with_functions(text: &str) -> Result<String, String> {
    let statements = crate::sql::syntax::parse(text).map_err(|it| it.to_string())?;
    let mut queries = statements.into_iter().map(|it| match it.kind {
        crate::sql::syntax::ParsedKind::Alias { query, .. } => query.to_string(),
        other => panic!("{other:?}"),
    });
    Ok(queries.next().expect("a view"))
}

#[test]
fn a_function_stands_for_its_body() {
    for (text, expected) in [
        (
            "CREATE FUNCTION f(x INT NOT NULL) RETURNS BIGINT NOT NULL AS x + 1; CREATE VIEW v AS SELECT f(a) FROM t",
            "SELECT CAST((CAST(a AS INT) + 1) AS BIGINT) FROM t",
        ),
        (
            "CREATE OR REPLACE FUNCTION f(x, y) AS 'x || y'; CREATE VIEW v AS SELECT f(a, f(b, c)) FROM t",
            "SELECT (((a) || ((((b) || (c)))))) FROM t",
        ),
        (
            "CREATE FUNCTION f(INT, date) RETURNS INT LANGUAGE SQL IMMUTABLE AS $$ SELECT $1 + day($2); $$; CREATE VIEW v AS SELECT F(a, b) FROM t",
            "SELECT CAST((CAST(a AS INT) + day(CAST(b AS DATE))) AS INT) FROM t",
        ),
        (
            "CREATE FUNCTION f(x VARCHAR(3)) RETURNS TEXT STRICT RETURN coalesce(x, 'none'); CREATE FUNCTION g(x TEXT) AS f(f.x || g.x); CREATE VIEW v AS SELECT f(a) FROM t",
            "there is no parameter `f.x`",
        ),
        (
            "CREATE FUNCTION f(x VARCHAR(3)) RETURNS TEXT RETURNS NULL ON NULL INPUT RETURN coalesce(x, 'none'); CREATE VIEW v AS SELECT f(a) FROM t",
            "SELECT CAST(CASE WHEN CAST(a AS TEXT) IS NULL THEN NULL ELSE (coalesce(CAST(a AS TEXT), 'none')) END AS TEXT) FROM t",
        ),
        (
            "CREATE FUNCTION most(k TEXT) AS 'SELECT max(n) FROM u WHERE u.k = most.k'; CREATE VIEW v AS SELECT most(t.k) FROM t",
            "SELECT ((SELECT max(n) FROM u WHERE u.k = CAST(t.k AS TEXT))) FROM t",
        ),
    ] {
        let taken = with_functions(text).unwrap_or_else(|it| it);
        assert!(taken.ends_with(expected), "{text}\n  {taken}");
    }
}

#[test]
fn functions_that_are_no_expression_are_refused() {
    let refused = [
        ("f(x INT) RETURNS INT", "no body here"),
        (
            "f(x INT) RETURNS INT LANGUAGE python AS 'x'",
            "code in python is not called",
        ),
        ("f(x INT) RETURNS INT AS f(x - 1)", "it calls itself"),
        ("f(x INT) RETURNS INT AS y", "there is no parameter `y`"),
        (
            "f(x INT) RETURNS INT AS '$2 + 1'",
            "$2 is no parameter: there are 1",
        ),
        ("f(x INT, x INT) AS x", "two parameters are named `x`"),
        ("f(x INT) AS sum(x)", "sum needs rows"),
        ("f(x INT DEFAULT 1) AS x", "a call gives every argument"),
        (
            "f(x INT) RETURNS TABLE (y INT) AS 'SELECT x'",
            "for rows write a view",
        ),
        ("f(x INT) AS 'SELECT x, x'", "it selects one value"),
        (
            "f(k TEXT) AS 'SELECT max(n) FROM u WHERE u.k = k'",
            "write the parameter as f.k",
        ),
        (
            "f(x INT) AS x + 1; CREATE FUNCTION f(x INT) AS x",
            "defined already",
        ),
        (
            "f(x INT) AS x + 1; CREATE VIEW v AS SELECT f(a, b) FROM t",
            "takes 1 arguments",
        ),
        (
            "f(x INT) AS x + 1; CREATE VIEW v AS SELECT f(DISTINCT a) FROM t",
            "plain arguments",
        ),
        (
            "f(k TEXT) AS 'SELECT max(n) FROM u WHERE u.k = $1'; CREATE VIEW v AS SELECT f(k) FROM t",
            "write f(relation.k)",
        ),
        (
            "f(k TEXT) AS 'SELECT max(n) FROM u WHERE u.k = $1'; CREATE VIEW v AS SELECT f(u.k) FROM t AS u",
            "a relation named `u` too",
        ),
    ];
    for (text, part) in refused {
        let error = with_functions(&format!("CREATE FUNCTION {text}")).expect_err(text);
        assert!(error.contains(part), "{text}: {error}");
    }
}

#[test]
fn windows_made_from_named_ones_are_written_out() {
    for (text, expected) in [
        (
            "SELECT sum(a) OVER (w ROWS 2 PRECEDING), sum(a) OVER w FROM t WINDOW w AS (PARTITION BY k ORDER BY b)",
            "SELECT sum(a) OVER (PARTITION BY k ORDER BY b ROWS 2 PRECEDING), sum(a) OVER w FROM t WINDOW w AS (PARTITION BY k ORDER BY b)",
        ),
        (
            "SELECT sum(a) OVER (W) FROM t WINDOW w AS (PARTITION BY k), v AS (w ORDER BY b)",
            "SELECT sum(a) OVER (PARTITION BY k) FROM t WINDOW w AS (PARTITION BY k), v AS (PARTITION BY k ORDER BY b)",
        ),
        (
            "SELECT a FROM t WINDOW w AS (PARTITION BY k) QUALIFY rank() OVER w = 1 ORDER BY sum(a) OVER w",
            "SELECT a FROM t WINDOW w AS (PARTITION BY k) QUALIFY rank() OVER (PARTITION BY k) = 1 ORDER BY sum(a) OVER (PARTITION BY k)",
        ),
        // Each SELECT has its own.
        (
            "SELECT sum(a) OVER (w) FROM (SELECT max(a) OVER (w) AS a FROM t WINDOW w AS (ORDER BY b)) AS u WINDOW w AS (PARTITION BY a)",
            "SELECT sum(a) OVER (PARTITION BY a) FROM (SELECT max(a) OVER (ORDER BY b) AS a FROM t WINDOW w AS (ORDER BY b)) AS u WINDOW w AS (PARTITION BY a)",
        ),
        (
            "SELECT last_value(a IGNORE NULLS) OVER (ORDER BY b), first(a RESPECT NULLS ORDER BY b) FROM t",
            "SELECT last_value(a) IGNORE NULLS OVER (ORDER BY b), first_value(a ORDER BY b) RESPECT NULLS FROM t",
        ),
        (
            "SELECT arg_max(a, b) OVER (PARTITION BY k), min_by(a, b) OVER () FROM t",
            "SELECT CASE WHEN 0 < count(b) OVER (PARTITION BY k) THEN first_value(a) OVER (PARTITION BY k ORDER BY b DESC NULLS LAST ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING) END, CASE WHEN 0 < count(b) OVER () THEN first_value(a) OVER (ORDER BY b ASC NULLS LAST ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING) END FROM t",
        ),
        (
            "SELECT string_agg(a, ',') OVER (ORDER BY b ROWS 1 PRECEDING), string_agg(a, ',') OVER (ORDER BY b) FROM t",
            "SELECT CASE WHEN 0 < count(a) OVER (ORDER BY b ROWS 1 PRECEDING) THEN array_to_string(array_agg(a) OVER (ORDER BY b ROWS 1 PRECEDING), ',') END, string_agg(a, ',') OVER (ORDER BY b) FROM t",
        ),
    ] {
        assert_eq!(taken_for(text).as_deref(), Ok(expected), "{text}");
    }
    for (over, part) in [
        (
            "(w PARTITION BY b) FROM t WINDOW w AS (ORDER BY a)",
            "has the PARTITION BY of `w`",
        ),
        (
            "(w ORDER BY b) FROM t WINDOW w AS (ORDER BY a)",
            "`w` has an ORDER BY already",
        ),
        (
            "(w) FROM t WINDOW w AS (ORDER BY a ROWS 2 PRECEDING)",
            "write OVER w",
        ),
        ("(w) FROM t", "there is no window `w`"),
        (
            "v FROM t WINDOW v AS (w), w AS (ORDER BY a)",
            "above those that are made from it",
        ),
    ] {
        let reason = taken_for(&format!("SELECT sum(a) OVER {over}")).expect_err(over);
        assert!(reason.contains(part), "{over}: {reason}");
    }
}

#[test]
fn rows_are_compared_value_by_value() {
    for (text, expected) in [
        (
            "ROW(a, b) < ROW(8, 0)",
            "((a) < (8) OR ((a) = (8) AND ((b) < (0))))",
        ),
        ("row(a, b) = (8, 0)", "((a) = (8) AND (b) = (0))"),
        ("(row(a, b)) <> row(8, 0)", "((a) <> (8) OR (b) <> (0))"),
        (
            "row(a, b) IN (row(1, 2), (3, 4))",
            "(((a) = (1) AND (b) = (2)) OR ((a) = (3) AND (b) = (4)))",
        ),
        (
            "row(a, b) IN (SELECT c, d FROM u)",
            "EXISTS (SELECT 1 FROM (SELECT c, d FROM u) AS __row (__v1, __v2) WHERE __row.__v1 = (a) AND __row.__v2 = (b))",
        ),
        (
            "(a, b) BETWEEN (1, 2) AND (3, 4)",
            "(((a) > (1) OR ((a) = (1) AND ((b) >= (2)))) AND ((a) < (3) OR ((a) = (3) AND ((b) <= (4)))))",
        ),
    ] {
        let query = |condition: &str| format!("SELECT a FROM t WHERE {condition}");
        assert_eq!(taken_for(&query(text)), Ok(query(expected)), "{text}");
    }
    let reason = taken_for("SELECT row(a, b) = row(1, 2, 3) FROM t").expect_err("of two lengths");
    assert!(reason.contains("rows of 2 and 3 values"), "{reason}");
}

#[test]
fn columns_and_relations_of_functions_have_names() {
    for (text, expected) in [
        (
            "SELECT array_agg(ROW(i, t)), count(row(i)), row(i) FROM v",
            "SELECT array_agg(struct(i, t)), count(struct(i)), row(i) FROM v",
        ),
        (
            "SELECT trim(t), btrim(t), ceil(f), ceiling(f), mean(f), avg(f) FROM v",
            r#"SELECT TRIM(t), btrim(t) AS "btrim(t)_1", CEIL(f), CEIL((f)) AS "ceil(f)_1", mean(f), avg(f) AS "avg(f)_1" FROM v"#,
        ),
        (
            "SELECT count(NULL) FROM t",
            "SELECT count(CAST(NULL AS TEXT)) FROM t",
        ),
        (
            "SELECT generate_series FROM generate_series(1, 3)",
            "SELECT generate_series FROM generate_series(1, 3) AS generate_series (generate_series)",
        ),
        (
            "SELECT g.g FROM unnest(ARRAY[1, 2]) AS g WHERE g > 1",
            "SELECT g.g FROM UNNEST(ARRAY[1, 2]) AS g (g) WHERE g > 1",
        ),
        // The planner's own name stays where it is read.
        (
            "SELECT value FROM generate_series(1, 3) AS g",
            "SELECT value FROM generate_series(1, 3) AS g",
        ),
        (
            "SELECT value FROM jsonb_array_elements('[1]')",
            "SELECT value FROM (SELECT unnest(json_elements_of('[1]')) AS value) AS jsonb_array_elements",
        ),
        (
            "SELECT e FROM jsonb_array_elements_text('[1]') AS e",
            "SELECT e FROM (SELECT unnest(json_element_texts_of('[1]')) AS value) AS e (e)",
        ),
        (
            "SELECT id FROM d WHERE EXISTS (SELECT 1 FROM jsonb_array_elements(js) AS e WHERE e = '2')",
            "SELECT id FROM d WHERE EXISTS (SELECT 1 FROM (SELECT unnest(json_elements_of(js)) AS value) AS e (e) WHERE e = '2')",
        ),
        (
            "SELECT a, e.key, value FROM t, jsonb_each(t.js) AS e",
            "SELECT a, key, value FROM (SELECT *, unnest(json_keys_of(t.js)) AS key, unnest(json_values_of(t.js)) AS value FROM t) AS t",
        ),
        (
            "SELECT a, z.n, w FROM t CROSS JOIN LATERAL (VALUES (t.b + 1, 'x'), (t.c, 'y')) AS z(n, w)",
            "SELECT a, n, w FROM (SELECT *, unnest(ARRAY[t.b + 1, t.c]) AS n, unnest(ARRAY['x', 'y']) AS w FROM t) AS t",
        ),
        (
            "SELECT d.id, (SELECT max(x) FROM UNNEST(d.arr) AS u(x) WHERE u.x < 9) AS m FROM docs AS d WHERE EXISTS (SELECT 1 FROM UNNEST(arr) AS x WHERE x = 5)",
            "SELECT d.id, (SELECT max(x) FROM (SELECT unnest(d.arr) AS x) AS u WHERE u.x < 9) AS m FROM docs AS d WHERE EXISTS (SELECT 1 FROM (SELECT unnest(arr) AS x) AS x WHERE x = 5)",
        ),
        (
            "SELECT a, e.s, u, n FROM (SELECT a, b FROM t WHERE a < 3) AS d, UNNEST(d.b) WITH ORDINALITY AS e(s, u, n)",
            "SELECT a, s, u, n FROM (SELECT * EXCEPT (__element, n), struct_value_of(__element, 0, 2) AS s, struct_value_of(__element, 1, 2) AS u, n FROM (SELECT *, unnest(d.b) AS __element, unnest(generate_series(1, CAST(cardinality(d.b) AS BIGINT))) AS n FROM (SELECT a, b FROM t WHERE a < 3) AS d) AS d) AS d",
        ),
        (
            "SELECT d.id, x FROM docs AS d CROSS JOIN LATERAL unnest(d.arr) AS u(x) WHERE EXISTS (SELECT 1 FROM LATERAL TABLE(unnest(d.b)) AS e(y), v)",
            "SELECT d.id, x FROM (SELECT *, unnest(d.arr) AS x FROM docs AS d) AS d WHERE EXISTS (SELECT 1 FROM UNNEST(d.b) AS e (y), v)",
        ),
        (
            "SELECT z.* FROM t JOIN u ON t.a = u.a CROSS JOIN LATERAL (VALUES (t.b, 'x'), (u.c, 'y')) AS z(n, w)",
            "SELECT z.* FROM t JOIN u ON t.a = u.a CROSS JOIN LATERAL (SELECT t.b AS n, 'x' AS w UNION ALL SELECT u.c AS n, 'y' AS w) AS z",
        ),
        // Both have their own columns alone.
        (
            "SELECT z.*, t.*, x.* FROM t CROSS JOIN LATERAL (VALUES (t.b, 'x'), (t.c, 'y')) AS z(n, w)",
            "SELECT n, w, t.* EXCLUDE (n, w), x.* FROM (SELECT *, unnest(ARRAY[t.b, t.c]) AS n, unnest(ARRAY['x', 'y']) AS w FROM t) AS t",
        ),
        (
            "SELECT a, k, v FROM t, json_each_text(js) AS kv(k, v)",
            "SELECT a, k, v FROM (SELECT *, unnest(json_keys_of(js)) AS k, unnest(json_value_texts_of(js)) AS v FROM t) AS t",
        ),
    ] {
        assert_eq!(taken_for(text).as_deref(), Ok(expected), "{text}");
    }
}

/// How long ago a time is, compared: what a view keeps exact is a time compared with now().
#[test]
fn ages_are_compared_as_times() {
    for (condition, expected) in [
        (
            "extract(epoch FROM now() - at) < 3600",
            "at > now() - INTERVAL '3600 seconds'",
        ),
        (
            "3600 >= EXTRACT(EPOCH FROM (NOW() - t.at))",
            "t.at >= NOW() - INTERVAL '3600 seconds'",
        ),
        (
            "date_part('epoch', at - now()) <= 1.5",
            "at <= now() + INTERVAL '1500000 microseconds'",
        ),
        (
            "extract(epoch FROM at) * 1000 > extract(epoch FROM now()) * 1000 - 60000",
            "at > now() - INTERVAL '60 seconds'",
        ),
        (
            "extract(epoch FROM now()) - extract(epoch FROM at) > 60",
            "at < now() - INTERVAL '60 seconds'",
        ),
        (
            "extract(epoch FROM now() - at) / 60 < 5",
            "at > now() - INTERVAL '300 seconds'",
        ),
        (
            "extract(epoch FROM now() - INTERVAL '1 minute') < extract(epoch FROM coalesce(at, b))",
            "(coalesce(at, b)) > now() - INTERVAL '60 seconds'",
        ),
        (
            "timestampdiff(SECOND, at, now()) < 60",
            "at > now() - INTERVAL '60 seconds'",
        ),
        (
            "timestampdiff(MINUTE, at, now()) <= 1",
            "at > now() - INTERVAL '120 seconds'",
        ),
        (
            "2 < timestampdiff(HOUR, now(), at)",
            "at >= now() + INTERVAL '10800 seconds'",
        ),
        (
            "age(now(), at) < INTERVAL '1 hour'",
            "at > now() - INTERVAL '3600 seconds'",
        ),
        (
            "NOT (at < now() - INTERVAL '1 hour')",
            "at >= now() - INTERVAL '1 hour'",
        ),
        (
            "NOT extract(epoch FROM now() - at) < 60",
            "at <= now() - INTERVAL '60 seconds'",
        ),
        // These are something else.
        (
            "timestampdiff(SECOND, at, now()) < 0",
            "timestampdiff(SECOND, at, now()) < 0",
        ),
        ("NOT (a < b)", "NOT (a < b)"),
        (
            "at > now() - INTERVAL '1 hour'",
            "at > now() - INTERVAL '1 hour'",
        ),
    ] {
        let taken =
            super::ages::compared(&crate::sql::syntax::parse_expression(condition).unwrap());
        let taken = taken.unwrap_or_else(|| condition.to_owned());
        assert_eq!(taken, expected, "{condition}");
    }
}

#[test]
fn names_of_others_stand_for_something() {
    let names = super::names_of_others();
    assert!(40 < names.len());
    for (theirs, _) in names {
        let theirs = theirs.replace('…', "a");
        let text = format!("SELECT {theirs} AS x FROM t");
        let taken = taken_for(&text).unwrap();
        assert_ne!(taken, parse_query(&text).unwrap().to_string(), "{theirs}");
    }
}

/// Names by which systems mean different things are refused, with what to write.
#[test]
fn names_that_systems_disagree_about_are_refused() {
    for (call, instead) in [
        (
            "collect_list(a)",
            "array_agg(a) FILTER (WHERE a IS NOT NULL)",
        ),
        ("collect(a)", "array_agg(a) FILTER (WHERE a IS NOT NULL)"),
        ("latest_by_offset(a)", "max_by(a, time)"),
        ("regexp_matches(a, 'b')", "regexp_match(a, pattern)"),
        ("unnest(regexp_matches(a, '(b)|c', 'g'))", "an optional one"),
        ("unnest(regexp_matches(a, 'b', 'gx'))", "flags g and i"),
        ("from_base64(a)", "decode(a, 'base64pad')"),
        ("split(a, '')", "split(text, ',')"),
        ("sha2(a, 1)", "224, 256, 384 or 512"),
    ] {
        let refused = taken_for(&format!("SELECT {call} AS x FROM t")).unwrap_err();
        assert!(refused.contains(instead), "{call}: {refused}");
    }
}

#[test]
fn a_minus_binds_to_what_is_raised_to_a_power() {
    assert_eq!(
        taken_for("SELECT -2 ^ 2, -a ^ 2 ^ b, 2 * -a ^ 2, 2 - a ^ 2, -(a ^ 2), -a, -a * b FROM t")
            .as_deref(),
        Ok(
            "SELECT power(-2, 2), power(power(-a, 2), b), 2 * power(-a, 2), 2 - power(a, 2), -(power(a, 2)), -a, -a * b FROM t"
        )
    );
    // From left to right, with a minus behind the sign of a power.
    assert_eq!(
        taken_for(
            "SELECT 2 ^ -3 ^ 2, 2 ^ -a ^ -b ^ 1, -2 ^ -3, 2 ^ (-3 ^ 2), 2 ^ - -3 ^ 2, - -a FROM t"
        )
        .as_deref(),
        Ok(
            "SELECT power(power(2, -3), 2), power(power(power(2, -a), -b), 1), power(-2, -3), power(2, (power(-3, 2))), power(power(2, -(-3)), 2), -(-a) FROM t"
        )
    );
}

#[test]
fn seconds_are_printed_by_a_pattern() {
    let text = "SELECT from_unixtime(a), from_unixtime(a, 'yyyy-MM-dd'), from_unixtime(a, 'Europe/Berlin'), from_unixtime(a, '+02:00'), from_unixtime(a, b) FROM t";
    assert_eq!(
        taken_for(text).as_deref(),
        Ok(
            "SELECT from_unixtime(a), date_format(from_unixtime(a), 'yyyy-MM-dd'), from_unixtime(a, 'Europe/Berlin'), from_unixtime(a, '+02:00'), from_unixtime(a, b) FROM t"
        )
    );
}

#[test]
fn patterns_of_like_have_an_escape_character_of_their_own() {
    for (condition, expected) in [
        (r"a LIKE '10!%' ESCAPE '!'", r"((a) LIKE '10\%')"),
        (
            r"a NOT ILIKE 'x\_|||%%' ESCAPE '|'",
            r"((a) NOT ILIKE 'x\\_\|\%%')",
        ),
        (r"a LIKE '\%' ESCAPE ''", r"((a) LIKE '\\%')"),
        (r"a LIKE '10\%' ESCAPE '\'", r"a LIKE '10\%' ESCAPE '\'"),
    ] {
        let taken = taken_for(&format!("SELECT a FROM t WHERE {condition}"));
        assert_eq!(
            taken,
            Ok(format!("SELECT a FROM t WHERE {expected}")),
            "{condition}"
        );
    }
    for (condition, instead) in [
        ("a LIKE b ESCAPE '!'", "a constant pattern"),
        ("a LIKE 'x!' ESCAPE '!'", "write it twice"),
        ("a LIKE 'x' ESCAPE '!!'", "one character"),
    ] {
        let refused = taken_for(&format!("SELECT a FROM t WHERE {condition}")).unwrap_err();
        assert!(refused.contains(instead), "{condition}: {refused}");
    }
}

#[test]
fn a_constant_series_beside_relations_has_a_column_of_its_name() {
    for (text, expected) in [
        (
            "SELECT a, g FROM t, generate_series(1, 2) AS g",
            "SELECT a, g FROM t, generate_series(1, 2) AS g (g)",
        ),
        (
            "SELECT d.d, t.a FROM range(3) AS d LEFT JOIN t ON t.a = d",
            "SELECT d.d, t.a FROM range(3) AS d (d) LEFT JOIN t ON t.a = d",
        ),
        (
            "SELECT a, generate_series FROM generate_series(1, 2) CROSS JOIN t",
            "SELECT a, generate_series FROM generate_series(1, 2) AS generate_series (generate_series) CROSS JOIN t",
        ),
        (
            "SELECT a, g.value FROM t, generate_series(1, 2) AS g",
            "SELECT a, g.value FROM t, generate_series(1, 2) AS g",
        ),
    ] {
        assert_eq!(taken_for(text).as_deref(), Ok(expected), "{text}");
    }
}

#[test]
fn parts_of_texts_and_rows_are_found_as_in_postgres() {
    assert_eq!(
        taken_for("SELECT substring(a FROM '[0-9]+'), substring(a, 'x(.)'), substring(a FROM 2) FROM t WHERE (a, b) IS NOT DISTINCT FROM (1, NULL) OR (a, b) IS DISTINCT FROM ROW(c, d)")
            .as_deref(),
        Ok(
            "SELECT (regexp_match(a, '[0-9]+'))[1], (regexp_match(a, 'x(.)'))[1], SUBSTRING(a FROM 2) FROM t WHERE ((a) IS NOT DISTINCT FROM (1) AND (b) IS NOT DISTINCT FROM (NULL)) OR (NOT ((a) IS NOT DISTINCT FROM (c) AND (b) IS NOT DISTINCT FROM (d)))"
        )
    );
    let refused = taken_for("SELECT a FROM t WHERE (a, b) IS DISTINCT FROM (1, 2, 3)").unwrap_err();
    assert!(refused.contains("both need as many"), "{refused}");
}

#[test]
fn elements_of_each_list_stand_beside_those_of_every_other_one() {
    for (text, expected) in [
        (
            "SELECT a, x, y FROM t, unnest(t.l) AS x, unnest(t.m) AS e(y)",
            "SELECT a, x, y FROM (SELECT *, unnest(t.m) AS y FROM (SELECT *, unnest(t.l) AS x FROM t) AS t) AS t",
        ),
        // Those of one UNNEST go in step.
        (
            "SELECT x, y FROM t, unnest(l, m) AS e(x, y)",
            "SELECT x, y FROM (SELECT *, unnest(l) AS x, unnest(m) AS y FROM t) AS t",
        ),
        // Rows without elements stay.
        (
            "SELECT a, e.x FROM t LEFT JOIN UNNEST(l) AS e(x) ON true",
            "SELECT a, x FROM (SELECT *, unnest(CASE WHEN cardinality(l) > 0 THEN l ELSE [NULL] END) AS x FROM t) AS t",
        ),
        // What is joined with an element.
        (
            "SELECT a, u.b FROM t CROSS JOIN unnest(l) AS e(x) LEFT JOIN u ON u.b = e.x",
            "SELECT a, u.b FROM (SELECT *, unnest(l) AS x FROM t) AS t LEFT JOIN u ON u.b = x",
        ),
        (
            "SELECT a, u.b FROM t, unnest(l) AS e(x) JOIN u ON u.b = e.x",
            "SELECT a, u.b FROM (SELECT *, unnest(l) AS x FROM t) AS t JOIN u ON u.b = x",
        ),
        (
            "SELECT a, e.x FROM t CROSS JOIN LATERAL (SELECT unnest(ARRAY[t.a, t.b]) AS x) AS e",
            "SELECT a, x FROM (SELECT *, unnest(ARRAY[t.a, t.b]) AS x FROM t) AS t",
        ),
    ] {
        assert_eq!(taken_for(text).as_deref(), Ok(expected), "{text}");
    }
}

#[test]
fn values_of_a_row_around_are_a_union() {
    assert_eq!(
        taken_for("SELECT (SELECT max(v) FROM (VALUES (t.a), (t.b)) AS g(v)), x FROM t, (VALUES (1)) AS c(x)").as_deref(),
        Ok("SELECT (SELECT max(v) FROM (SELECT t.a AS v UNION ALL SELECT t.b AS v) AS g), x FROM t, (VALUES (1)) AS c (x)")
    );
}

/// Constants that are texts mean what they mean to Postgres.
#[test]
fn constant_texts_are_read_as_postgres_reads_them() {
    for (text, expected) in [
        (
            "INTERVAL '6' + '-1.5'::INTERVAL + INTERVAL ' 7 ' + INTERVAL '6 days'",
            "INTERVAL '6' SECOND + INTERVAL '-1.5' SECOND + INTERVAL '7' SECOND + INTERVAL '6 days'",
        ),
        (
            "'{1, 2,NULL}'::INT[], CAST('{}' AS TEXT[])",
            "CAST(ARRAY['1', '2', NULL] AS INT[]), CAST(make_array() AS TEXT[])",
        ),
        (
            r#"'{"a, b", "NULL", c d ,"\"e\""}'::TEXT[]"#,
            r#"CAST(ARRAY['a, b', 'NULL', 'c d', '"e"'] AS TEXT[])"#,
        ),
        (
            "TRY_CAST('{{1},{2}}' AS INT[][])",
            "TRY_CAST(ARRAY[ARRAY['1'], ARRAY['2']] AS INT[][])",
        ),
        (
            "TIMESTAMP '2026-01-05 09:30', ' 2026-01-05T09:30'::TIMESTAMP, TIMESTAMP '2026-01-05'",
            "TIMESTAMP '2026-01-05 09:30:00', CAST('2026-01-05T09:30:00' AS TIMESTAMP), TIMESTAMP '2026-01-05'",
        ),
    ] {
        let query = |values: &str| format!("SELECT {values} FROM t");
        assert_eq!(taken_for(&query(text)), Ok(query(expected)), "{text}");
    }
    for text in [
        "5",
        "",
        "{1",
        "{1}}",
        "{1,}",
        "{a\"b\"}",
        "{{1},2} x",
        "{{{{{{{1}}}}}}}",
    ] {
        let reason = taken_for(&format!("SELECT '{text}'::INT[] FROM t")).expect_err(text);
        assert!(reason.contains("is no array"), "{text}: {reason}");
    }
}
