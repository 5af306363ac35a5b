//! Queries that nobody wrote: joins, sets, groups, windows, ranks and sub-queries put within each other at random, each held against DataFusion
//! in batch. What is refused has to say so with its line; whatever is planned has to be right.

use super::oracle::{Random, Scenario, Subject, check, runtime, small_record};
use super::queries::sources;
use std::sync::Arc;
use tidelake::plan::Dataflow;
use tidelake::sql;

/// Views of one dataflow.
const VIEWS: usize = 5;
/// Dataflows of a run; `TIDELAKE_RANDOM_DATAFLOWS` says another number.
const DATAFLOWS: u64 = 16;
/// So many steps a query has at most between what is stored and its rows, where no two are joined.
const DEPTH: u64 = 3;

/// What stands at the bottom. As all that is made of them, they have a text `k` and the whole numbers `n` and `c`.
const STORED: &[&str] = &[
    "SELECT k, n, j AS c FROM raw_s",
    "SELECT k, n, j AS c FROM raw_o",
    "SELECT k, j AS n, n AS c FROM raw_o WHERE b",
    "SELECT k, n, c FROM of_s",
    "SELECT k, j AS n, c FROM of_o",
    "SELECT k, n, c FROM windows_s",
    "SELECT k, n, c FROM windows_o WHERE 1 < c",
    "SELECT k, n, j AS c FROM TUMBLE(raw_s, at, INTERVAL '10' SECOND) WHERE b",
    "SELECT k, sum(n) AS n, count(*) AS c FROM HOP(raw_o, at, INTERVAL '5' SECOND, INTERVAL '10' SECOND) GROUP BY window_start, k",
    "SELECT k, max(n) AS n, count(*) AS c FROM SESSION(raw_s PARTITION BY k, at, INTERVAL '2' SECOND) GROUP BY k, window_start, window_end",
    "SELECT l.k, l.n, r.j AS c FROM raw_s l JOIN raw_o r ON l.k = r.k AND r.at BETWEEN l.at - INTERVAL '3' SECOND AND l.at + INTERVAL '5' SECOND",
    "SELECT l.k, l.n, r.j AS c FROM raw_s l ASOF LEFT JOIN raw_o r ON l.k = r.k AND l.at >= r.at",
    "SELECT k, n, j AS c FROM raw_s WHERE at > now() - INTERVAL '20' SECOND",
    "SELECT l.k, r.n, l.j AS c FROM raw_o l JOIN raw_s r ON l.n = r.j WHERE r.at > now() - INTERVAL '30' SECOND",
];

fn number(random: &mut Random) -> &'static str {
    random.of::<&str>(&["n", "c"])
}

/// A condition on the columns of one relation.
fn condition(random: &mut Random, name: &str) -> String {
    let one = number(random);
    let inner = *random.of(STORED);
    match random.below(9) {
        0 => format!("{name}.{one} > {}", random.below(6) as i64 - 2),
        1 => format!("{name}.{one} IS NOT NULL"),
        2 => format!("{name}.k <> 'b'"),
        3 => format!("{name}.n IS DISTINCT FROM {name}.c"),
        4 => {
            let not = if random.chance(40) { "NOT " } else { "" };
            let other = number(random);
            format!("{name}.{one} {not}IN (SELECT {other} FROM ({inner}) i)")
        }
        5 => {
            let not = if random.chance(50) { "NOT " } else { "" };
            format!(
                "{not}EXISTS (SELECT 1 FROM ({inner}) i WHERE i.k = {name}.k AND i.c = {name}.{one})"
            )
        }
        6 => {
            let comparison = random.of(&[">=", "<", "="]);
            let quantifier = random.of(&["ANY", "ALL"]);
            format!(
                "{name}.{one} {comparison} {quantifier} (SELECT c FROM ({inner}) i WHERE i.k = {name}.k)"
            )
        }
        7 => format!("{name}.{one} >= (SELECT max(c) FROM ({inner}) i WHERE i.k = {name}.k)"),
        _ => {
            let (a, b) = (condition(random, name), condition(random, name));
            let a = if random.chance(30) {
                format!("NOT ({a})")
            } else {
                a
            };
            format!("({a} OR {b})")
        }
    }
}

fn filter(random: &mut Random, percent: u64, name: &str) -> String {
    match random.chance(percent) {
        true => format!(" WHERE {}", condition(random, name)),
        false => String::new(),
    }
}

/// A query without a meaning, with the columns `k`, `n` and `c`.
fn relation(random: &mut Random, depth: u64) -> String {
    if depth == 0 {
        return (*random.of(STORED)).to_owned();
    }
    let below = depth - 1;
    match random.below(14) {
        0 | 1 => joined(random, below),
        2 => {
            let set = random.of(&[
                "UNION ALL",
                "UNION",
                "INTERSECT",
                "EXCEPT",
                "INTERSECT ALL",
                "EXCEPT ALL",
            ]);
            let (a, b) = (relation(random, below), relation(random, below / 2));
            format!("SELECT k, n, c FROM ({a}) a {set} SELECT k, n, c FROM ({b}) b")
        }
        other => {
            let inner = relation(random, below);
            let from = format!("({inner}) l{}", filter(random, 35, "l"));
            let (a, b) = (number(random), number(random));
            match other {
                3 | 4 => {
                    let aggregate = random.of(&[
                        "count(*)",
                        "count(DISTINCT l.c)",
                        "max(l.c)",
                        "min(l.n)",
                        "sum(l.c) FILTER (WHERE l.n > 0)",
                        "count(DISTINCT l.n) FILTER (WHERE l.c > 1)",
                        "median(l.n % 100)",
                        "mode(l.c)",
                        "(array_agg(l.n ORDER BY l.c, l.n))[1]",
                        "bit_xor(l.c)",
                    ]);
                    let having = if random.chance(25) {
                        " HAVING count(*) > 1"
                    } else {
                        ""
                    };
                    format!(
                        "SELECT l.k, l.{a} % 7 AS n, CAST({aggregate} AS BIGINT) AS c FROM {from} GROUP BY l.k, l.{a} % 7{having}"
                    )
                }
                5 => {
                    let grouping = random.of(&[
                        "ROLLUP (l.k, l.c % 3)",
                        "CUBE (l.k, l.c % 3)",
                        "GROUPING SETS ((l.k), (l.c % 3), ())",
                    ]);
                    format!(
                        "SELECT l.k, l.c % 3 AS n, count(*) + GROUPING(l.k) AS c FROM {from} GROUP BY {grouping}"
                    )
                }
                6 => {
                    let rank = random.of(&["row_number", "rank", "dense_rank"]);
                    format!(
                        "SELECT l.k, l.n, l.c FROM {from} QUALIFY {rank}() OVER (PARTITION BY l.k ORDER BY l.{a} DESC, l.{b}) <= 2"
                    )
                }
                7 | 8 => {
                    let function = random.of(&[
                        "lag(l.c) OVER (PARTITION BY l.k ORDER BY l.n, l.c)",
                        "lead(l.n, 2, 0) OVER (PARTITION BY l.k ORDER BY l.c DESC NULLS LAST, l.n)",
                        "sum(l.c) OVER (PARTITION BY l.k ORDER BY l.n, l.c ROWS BETWEEN 2 PRECEDING AND CURRENT ROW)",
                        "count(*) OVER (PARTITION BY l.k ORDER BY l.c)",
                        "max(l.n) OVER (PARTITION BY l.c ORDER BY l.k ROWS BETWEEN 1 FOLLOWING AND 3 FOLLOWING)",
                        "first_value(l.c) IGNORE NULLS OVER (PARTITION BY l.k ORDER BY l.n, l.c)",
                        "rank() OVER (ORDER BY l.n DESC, l.k)",
                        "count(*) OVER ()",
                        "ntile(3) OVER (PARTITION BY l.k ORDER BY l.n, l.c)",
                    ]);
                    format!("SELECT l.k, l.n, CAST({function} AS BIGINT) AS c FROM {from}")
                }
                9 => format!("SELECT DISTINCT l.k, l.n % 3 AS n, l.c FROM {from}"),
                10 => format!(
                    "SELECT DISTINCT ON (l.k) l.k, l.n, l.c FROM {from} ORDER BY l.k, l.{a} DESC, l.n, l.c"
                ),
                11 => format!(
                    "SELECT l.k, l.n, l.c FROM {from} ORDER BY l.{a} DESC, l.k, l.{b} LIMIT 4{}",
                    random.of(&["", " OFFSET 1"])
                ),
                12 => {
                    let value = *random.of(STORED);
                    let of = random.of(&["max(i.c)", "count(*)", "min(i.n)"]);
                    format!(
                        "SELECT l.k, l.n, (SELECT {of} FROM ({value}) i WHERE i.k = l.k) AS c FROM {from}"
                    )
                }
                _ => {
                    let spread = random.of(&[
                        "unnest(make_array(l.n, l.c)) AS n",
                        "CASE WHEN l.n > l.c THEN l.n % 10 WHEN l.c IS NULL THEN -1 END AS n",
                        "coalesce(nullif(l.n, 1), l.c, 0) AS n",
                    ]);
                    format!("SELECT l.k, {spread}, l.c FROM {from}")
                }
            }
        }
    }
}

fn joined(random: &mut Random, below: u64) -> String {
    let (left, right) = (relation(random, below), relation(random, below / 2));
    let kind = random.of(&[
        "JOIN",
        "JOIN",
        "LEFT JOIN",
        "RIGHT JOIN",
        "FULL JOIN",
        "ASOF JOIN",
        "ASOF LEFT JOIN",
    ]);
    let mut on = vec!["l.k = r.k".to_owned()];
    match kind.starts_with("ASOF") {
        true => on.push("l.n >= r.n".to_owned()),
        false => {
            if random.chance(70) {
                on.push(format!("l.{} = r.{}", number(random), number(random)));
            }
            if random.chance(30) {
                on.push(format!("l.{} <= r.{}", number(random), number(random)));
            }
        }
    }
    let side = random.of(&["l", "r"]);
    let filter = filter(random, 30, side);
    let key = random.of(&["l.k", "r.k", "coalesce(l.k, r.k)"]);
    format!(
        "SELECT {key} AS k, l.{} AS n, r.{} AS c FROM ({left}) l {kind} ({right}) r ON {}{filter}",
        number(random),
        number(random),
        on.join(" AND ")
    )
}

fn planned(text: &str) -> Result<Dataflow, String> {
    let planned = runtime().block_on(sql::plan_text("random", text, |_| None));
    planned.map_err(|it| it.to_string())
}

#[test]
fn oracle_of_random_queries() {
    let number = |name: &str| std::env::var(name).ok().and_then(|it| it.parse().ok());
    let first = number("TIDELAKE_RANDOM_SEED").unwrap_or(1);
    let dataflows = number("TIDELAKE_RANDOM_DATAFLOWS").unwrap_or(DATAFLOWS);
    let (mut taken, mut refused) = (0, Vec::new());
    for seed in first..first + dataflows {
        let mut random = Random(seed);
        let given = sources();
        let mut text = given.clone();
        let mut views = 0;
        while views < VIEWS {
            let depth = 1 + random.below(DEPTH);
            let query = relation(&mut random, depth);
            let with = format!("{text}CREATE MATERIALIZED VIEW v{views} AS {query};\n");
            match planned(&with) {
                Ok(_) => {
                    text = with;
                    views += 1;
                    taken += 1;
                }
                Err(reason) => refused.push(format!("{query}\n  {reason}")),
            }
        }
        let subject = Subject {
            dataflow: Arc::new(planned(&text).unwrap()),
            record: small_record,
        };
        let scenario = Scenario {
            seed,
            records: 60 + random.below(120) as usize,
            partitions: 2 + random.below(3) as usize,
            runs: vec![
                (1, 1 + random.below(3) as usize),
                (1 + random.below(2) as usize, 1),
                (1, 2),
            ],
        };
        println!("seed {seed}:\n{}", text.trim_start_matches(&given));
        check(&subject, &scenario);
    }
    let refused_of = refused.len() * 100 / (refused.len() + taken);
    assert!(
        refused_of <= 10,
        "{refused_of} % were refused:\n{}",
        refused.join("\n")
    );
}
