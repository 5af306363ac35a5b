//! Queries that nobody wrote: joins, groups, windows over partitions and sub-queries put together at random, each held against DataFusion in
//! batch. What is refused has to say so with its line; whatever is planned has to be right.

use super::oracle::{Random, Scenario, Subject, check, runtime, small_record};
use super::queries::sources;
use std::sync::Arc;
use tidelake::plan::Dataflow;
use tidelake::sql;

/// Views of one dataflow.
const VIEWS: usize = 5;
/// Dataflows of a run; `TIDELAKE_RANDOM_DATAFLOWS` says another number.
const DATAFLOWS: u64 = 12;

/// What can stand in FROM, and its columns: text, whole numbers, one that is unique enough to order by.
struct Relation {
    from: &'static str,
    texts: &'static [&'static str],
    numbers: &'static [&'static str],
    flag: &'static str,
}

const RELATIONS: &[Relation] = &[
    Relation {
        from: "raw_s",
        texts: &["k"],
        numbers: &["j", "n"],
        flag: "b",
    },
    Relation {
        from: "raw_o",
        texts: &["k"],
        numbers: &["j", "n"],
        flag: "b",
    },
    Relation {
        from: "of_s",
        texts: &["k"],
        numbers: &["j", "c"],
        flag: "c > 3",
    },
    Relation {
        from: "of_o",
        texts: &["k"],
        numbers: &["j", "c"],
        flag: "n IS NULL",
    },
    Relation {
        from: "windows_s",
        texts: &["k"],
        numbers: &["c"],
        flag: "c > 1",
    },
    Relation {
        from: "(SELECT k, n % 7 AS n, count(*) AS c FROM raw_o GROUP BY k, n % 7)",
        texts: &["k"],
        numbers: &["n", "c"],
        flag: "c > 2",
    },
    Relation {
        from: "(SELECT window_start, k, n FROM TUMBLE(raw_s, at, INTERVAL '10' SECOND) WHERE b)",
        texts: &["k"],
        numbers: &["n"],
        flag: "k > 'a'",
    },
];

fn one<'a, T>(random: &mut Random, list: &'a [T]) -> &'a T {
    &list[random.below(list.len() as u64) as usize]
}

/// A condition on the columns of one relation.
fn condition(random: &mut Random, name: &str, of: &Relation) -> String {
    let number = one(random, of.numbers);
    match random.below(6) {
        0 => format!("{name}.{number} > {}", random.below(6) as i64 - 2),
        1 => format!("{name}.{number} IS NOT NULL"),
        2 => format!("{name}.{} <> 'b'", one(random, of.texts)),
        3 => match of.flag.contains(' ') {
            true => format!("{name}.{}", of.flag),
            false => format!("{name}.{} IS NOT FALSE", of.flag),
        },
        4 => format!(
            "{name}.{number} {}IN (SELECT {} FROM of_o)",
            if random.chance(30) { "NOT " } else { "" },
            one(random, &["j", "c"])
        ),
        _ => format!(
            "{}EXISTS (SELECT 1 FROM raw_o i WHERE i.k = {name}.k AND i.j = {name}.{number})",
            if random.chance(50) { "NOT " } else { "" }
        ),
    }
}

/// A query without a meaning.
fn query(random: &mut Random) -> String {
    let left = one(random, RELATIONS);
    let mut from = format!("{} l", left.from);
    let (mut keys, mut numbers) = (vec!["l.k".to_owned()], Vec::new());
    numbers.extend(left.numbers.iter().map(|it| format!("l.{it}")));
    let mut conditions = Vec::new();
    if random.chance(40) {
        conditions.push(condition(random, "l", left));
    }
    if random.chance(70) {
        let right = one(random, RELATIONS);
        let kind = *one(
            random,
            &["JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN", "JOIN"],
        );
        let mut on = vec![format!(
            "l.{} = r.{}",
            one(random, left.numbers),
            one(random, right.numbers)
        )];
        if random.chance(70) {
            on.push("l.k = r.k".to_owned());
        }
        if random.chance(30) {
            let (a, b) = (one(random, left.numbers), one(random, right.numbers));
            on.push(format!("l.{a} <= r.{b}"));
        }
        from += &format!(" {kind} {} r ON {}", right.from, on.join(" AND "));
        keys.push("r.k".to_owned());
        numbers.extend(right.numbers.iter().map(|it| format!("r.{it}")));
        if random.chance(20) {
            conditions.push(condition(random, "r", right));
        }
    }
    let filter = match conditions.is_empty() {
        true => String::new(),
        false => format!(" WHERE {}", conditions.join(" AND ")),
    };
    let key = one(random, &keys).clone();
    let (a, b) = (one(random, &numbers).clone(), one(random, &numbers).clone());
    match random.below(6) {
        0 => format!("SELECT {key} AS k, {a} AS a, {b} AS b FROM {from}{filter}"),
        1 => format!("SELECT DISTINCT {key} AS k, {a} % 3 AS a FROM {from}{filter}"),
        2 => format!(
            "SELECT {key} AS k, row_number() OVER (PARTITION BY {key} ORDER BY {a} DESC, {b}) AS r, {a} AS a FROM {from}{filter}"
        ),
        3 => {
            format!("SELECT {key} AS k, {a} AS a FROM {from}{filter} ORDER BY {a} DESC, 1 LIMIT 4")
        }
        _ => {
            let aggregates = [
                "count(*) AS c".to_owned(),
                format!("sum({a}) AS a"),
                format!("max({b}) AS b"),
                format!("count(DISTINCT {a}) AS d"),
                format!("median({a} % 100) AS m"),
                format!("bool_or({b} > 2) AS o"),
            ];
            let chosen: Vec<&str> = aggregates
                .iter()
                .filter(|_| random.chance(50))
                .map(String::as_str)
                .collect();
            let chosen = match chosen.is_empty() {
                true => "count(*) AS c".to_owned(),
                false => chosen.join(", "),
            };
            let having = match random.chance(20) {
                true => " HAVING count(*) > 1",
                false => "",
            };
            format!("SELECT {key} AS k, {chosen} FROM {from}{filter} GROUP BY {key}{having}")
        }
    }
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
            let query = query(&mut random);
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
