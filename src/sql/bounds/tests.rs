//! Statements that are as deep as they may be are planned on the stack of any thread, and deeper ones are refused.

use crate::sql::{Error, plan_text};

const SOURCE: &str = "CREATE SOURCE s (a BIGINT, at TIMESTAMP NOT NULL, WATERMARK FOR at AS at - INTERVAL '10' SECOND)
WITH (connector = 'files', path = 'x') FORMAT JSON;\n";

/// On a stack as small as that of a thread of the runtime.
fn planned(statements: String) -> Result<(), String> {
    let plan = move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        let text = format!("{SOURCE}{statements}");
        let planned = runtime.block_on(plan_text("test", &text, |_| None));
        planned.map(drop).map_err(|error| match error {
            Error::Statement { text, .. } => text,
            other => other.to_string(),
        })
    };
    let thread = std::thread::Builder::new().stack_size(2 << 20);
    thread.spawn(plan).unwrap().join().unwrap()
}

fn table(expression: &str) -> String {
    format!("CREATE TABLE t AS SELECT {expression} AS b FROM s;")
}

fn chains(links: usize) -> [String; 6] {
    let select = "SELECT a, count(*) AS n FROM s GROUP BY a";
    let union = format!(" UNION ALL {select}").repeat(links);
    [
        table(&format!("a{}", " + a".repeat(links))),
        table(&format!("a{}", "::BIGINT".repeat(links))),
        table(&format!(
            "CASE WHEN a = 1 THEN 1 END{}",
            " + CASE WHEN a = 1 THEN 1 END".repeat(links)
        )),
        table(&format!(
            "({0}) + ({0})",
            format!("a{}", " + a".repeat(links))
        )),
        format!(
            "CREATE TABLE t AS SELECT * FROM s WHERE a = 1{};",
            " OR a = 2".repeat(links)
        ),
        format!("CREATE MATERIALIZED VIEW t AS {select}{union};"),
    ]
}

/// Each is read once: if every level doubled the work, thirty would take hours.
#[test]
fn functions_within_each_other_are_read_once() {
    for function in ["abs(", "coalesce(", "nullif(a, "] {
        let nested = format!("{}a{}", function.repeat(30), ")".repeat(30));
        assert_eq!(planned(table(&nested)), Ok(()), "{function}");
    }
}

#[test]
fn a_chain_is_planned_or_refused_and_never_uses_up_the_stack() {
    for statement in chains(400) {
        assert_eq!(planned(statement.clone()), Ok(()), "{statement:.100}");
    }
    for links in [600, 30_000] {
        for statement in chains(links) {
            let refused = planned(statement.clone()).unwrap_err();
            assert!(
                refused.contains("within each other"),
                "{statement:.100}: {refused}"
            );
        }
    }
}

#[test]
fn functions_views_and_names_of_with_cannot_multiply_without_end() {
    let functions = |body: &dyn Fn(usize) -> String, count: usize| -> String {
        let all = (1..count).map(|it| {
            format!(
                "CREATE FUNCTION f{it}(x BIGINT) RETURNS BIGINT RETURN {};\n",
                body(it - 1)
            )
        });
        let first = "CREATE FUNCTION f0(x BIGINT) RETURNS BIGINT RETURN x + 1;\n".to_owned();
        std::iter::once(first).chain(all).collect()
    };
    let last = |count: usize| table(&format!("f{}(a)", count - 1));
    let views = |query: &dyn Fn(String) -> String, count: usize| -> String {
        let name = |it: usize| match it {
            0 => "s".to_owned(),
            it => format!("v{}", it - 1),
        };
        let all = (0..count).map(|it| format!("CREATE VIEW v{it} AS {};\n", query(name(it))));
        let last = format!(
            "CREATE MATERIALIZED VIEW t AS SELECT a, count(*) AS n FROM v{} GROUP BY a;",
            count - 1
        );
        all.chain([last]).collect()
    };
    let twice = |it: String| format!("SELECT x.a FROM {it} x JOIN {it} y ON x.a = y.a");
    let more = |it: String| format!("SELECT a + 1 AS a FROM {it}");
    let named: Vec<String> = (1..30)
        .map(|it| format!("c{it} AS ({})", twice(format!("c{}", it - 1))))
        .collect();
    let named = format!(
        "CREATE MATERIALIZED VIEW t AS WITH c0 AS (SELECT a FROM s), {} SELECT a, count(*) AS n FROM c29 GROUP BY a;",
        named.join(", ")
    );
    let of_itself = "CREATE FUNCTION f(x BIGINT) RETURNS BIGINT RETURN x + x;\n";
    for (statements, reason) in [
        (
            functions(&|it| format!("f{it}(x) + f{it}(x)"), 40) + &last(40),
            "functions",
        ),
        (
            functions(&|it| format!("f{it}(x) + 1"), 2_000) + &last(2_000),
            "within each other",
        ),
        (
            of_itself.to_owned() + &table(&format!("{}a{}", "f(".repeat(16), ")".repeat(16))),
            "functions",
        ),
        (views(&twice, 40), "relations"),
        (views(&more, 1_000), "within each other"),
        (named, "relations"),
    ] {
        let refused = planned(statements.clone()).unwrap_err();
        assert!(refused.contains(reason), "{statements:.200}: {refused}");
    }
    for statements in [
        functions(&|it| format!("f{it}(x) + f{it}(x)"), 6) + &last(6),
        functions(&|it| format!("f{it}(x) + 1"), 60) + &last(60),
        views(&twice, 5),
        views(&more, 100),
    ] {
        assert_eq!(planned(statements.clone()), Ok(()), "{statements:.200}");
    }
}
