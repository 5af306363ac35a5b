//! What `score(…)` is bound to, and what is refused with which words.

use super::super::plan_text_with;
use super::Models;
use crate::lake::Store;
use crate::learn::testing::forest;
use crate::plan::Dataflow;

const SOURCE: &str =
    "CREATE SOURCE s (k TEXT, a BIGINT, b DOUBLE, ok BOOLEAN) WITH (connector = 'files', path = 'x') FORMAT JSON;
CREATE TABLE raw AS SELECT * FROM s;
";

/// A lake, and what is planned with its models.
struct Fixture(tempfile::TempDir);

impl Fixture {
    fn new() -> Self {
        Fixture(tempfile::tempdir().expect("a folder"))
    }

    fn lake(&self) -> String {
        self.0.path().display().to_string()
    }

    /// Publishes a model of two features, `a` and `b`; its id.
    fn publish(&self, name: &str, seed: u64) -> String {
        let store = Store::open(&self.lake()).expect("a lake");
        let model = forest(name, seed);
        block_on(store.models().publish(&model)).expect("it is published");
        model.id().to_owned()
    }

    fn planned(&self, view: &str) -> Result<Dataflow, String> {
        planned(view, &Models::Current(self.lake()))
    }

    fn refusal(&self, expression: &str) -> String {
        let view = format!("CREATE MATERIALIZED VIEW v AS\n SELECT {expression} AS it FROM raw");
        let refused = self.planned(&view).expect_err(expression);
        assert!(refused.starts_with("line 3: "), "{refused}");
        refused
    }
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(work)
}

fn planned(view: &str, models: &Models) -> Result<Dataflow, String> {
    let text = format!("{SOURCE}{view};");
    let planned = block_on(plan_text_with("test", &text, |_| None, models));
    planned.map_err(|it| format!("{:#}", anyhow::Error::from(it)))
}

const VIEW: &str = "CREATE MATERIALIZED VIEW v AS SELECT score('odd', a, b) AS it FROM raw";

#[test]
fn a_name_is_bound_to_the_current_model() {
    let lake = Fixture::new();
    let first = lake.publish("odd", 1);
    let dataflow = lake.planned(VIEW).unwrap();
    let view = dataflow.view("v").unwrap();
    assert!(view.sql.contains(&format!("'odd@{first}'")), "{}", view.sql);
    assert!(view.canonical.contains(&format!("score('odd@{first}'")));
    assert_eq!(dataflow.definitions.models["odd"], first);
    let again = lake.planned(VIEW).unwrap();
    assert_eq!(again.definitions, dataflow.definitions);
    let second = lake.publish("odd", 2);
    let newer = lake.planned(VIEW).unwrap();
    assert_eq!(newer.definitions.models["odd"], second);
    let meaning = |it: &Dataflow| it.definitions.views["v"].meaning.clone();
    assert_ne!(meaning(&newer), meaning(&dataflow));
    // The same as when the id is written.
    for digits in [8, 20, 64] {
        let pinned = VIEW.replace("odd", &format!("odd@{}", &first[..digits]));
        let pinned = lake.planned(&pinned).unwrap();
        assert_eq!(meaning(&pinned), meaning(&dataflow));
        assert!(pinned.definitions.models.is_empty());
    }
    let definitions = |it: &Dataflow| serde_json::to_string(&it.definitions).unwrap();
    let without = lake.planned("CREATE VIEW w AS SELECT a FROM raw").unwrap();
    assert!(!definitions(&without).contains("models"));
}

#[test]
fn it_stands_wherever_an_expression_can() {
    let lake = Fixture::new();
    let id = lake.publish("odd", 1);
    for view in [
        "CREATE MATERIALIZED VIEW v AS SELECT k, SCORE('odd', count(*), avg(b)) AS it FROM raw GROUP BY k",
        "CREATE MATERIALIZED VIEW v AS SELECT score('odd', a, b) > 0.5 AS odd, count(*) AS c FROM raw GROUP BY score('odd', a, b) > 0.5",
        "CREATE MATERIALIZED VIEW v AS SELECT k, max(score('odd', a, ok)) AS it FROM raw GROUP BY k HAVING max(score('odd', 1, NULL)) IS NULL",
        "CREATE VIEW p AS SELECT k, score('odd', a, b) AS it FROM raw; CREATE MATERIALIZED VIEW v AS SELECT * FROM p WHERE it > 0.5",
        "CREATE FUNCTION of(x, y) AS score('odd', x, y); CREATE MATERIALIZED VIEW v AS SELECT of(a, b) AS it FROM raw",
        "CREATE MATERIALIZED VIEW v AS WITH n AS (SELECT k, score('odd', a, b) AS it FROM raw) SELECT k, max(it) AS m FROM n GROUP BY k",
    ] {
        let dataflow = lake
            .planned(view)
            .unwrap_or_else(|it| panic!("{view}: {it}"));
        assert_eq!(dataflow.definitions.models["odd"], id, "{view}");
    }
    let table = lake
        .planned("CREATE TABLE t AS SELECT k, score('odd', a, b) AS it FROM s")
        .unwrap();
    let columns = &table.definitions.tables["t"].columns;
    assert_eq!(columns[1].sql, "score_in_force('odd', _epoch, a, b)");
    assert!(table.models.is_empty());
}

#[test]
fn a_table_asks_for_what_is_in_force_and_a_view_for_one_model() {
    let lake = Fixture::new();
    let asks =
        "model('odd') AS id, model_version('odd') AS version, threshold('odd') AS from_score";
    let table = format!("CREATE TABLE t AS SELECT k, score('odd', a, b) AS it, {asks} FROM s");
    // Nobody needs a model to plan it, nor a lake.
    let planned_alone = planned(&table, &Models::Unknown).unwrap();
    let features = &planned_alone.live_models.features["odd"];
    assert!(features.iter().eq(&[2]), "{features:?}");
    let id = lake.publish("odd", 1);
    let view = format!("CREATE MATERIALIZED VIEW v AS SELECT k, {asks} FROM raw");
    let view = lake.planned(&view).unwrap();
    let sql = &view.view("v").unwrap().sql;
    assert!(
        sql.contains(&format!("'{id}' AS id, 1 AS version")),
        "{sql}"
    );
    assert!(view.live_models.features.is_empty());
    let pinned = format!(
        "CREATE TABLE t AS SELECT score('odd@{}', a, b) AS it FROM s",
        &id[..8]
    );
    assert!(
        lake.planned(&pinned)
            .unwrap()
            .live_models
            .features
            .is_empty()
    );
    for (text, refusal) in [
        (
            "CREATE TABLE t AS SELECT score('odd', k) AS it FROM s",
            "feature 1 of model odd is a number or a boolean",
        ),
        (
            "CREATE TABLE t AS SELECT model('odd', a) AS it FROM s",
            "model has the form model('NAME')",
        ),
        (
            "CREATE TABLE t AS SELECT score('Odd', a) AS it FROM s",
            "is no name of a model",
        ),
        (
            "CREATE TABLE t AS SELECT score_in_force('odd', _epoch, a) AS it FROM s",
            "write score('NAME', …) in a table",
        ),
    ] {
        let refused = lake.planned(text).unwrap_err();
        assert!(refused.contains(refusal), "{text}: {refused}");
    }
}

#[test]
fn what_has_no_model_is_refused() {
    let lake = Fixture::new();
    let refused = planned(VIEW, &Models::Unknown).unwrap_err();
    assert_eq!(
        refused,
        "line 3: model odd cannot be looked up without a lake; say which with --lake"
    );
    let nowhere = format!("{}/nowhere", lake.lake());
    let refused = planned(VIEW, &Models::Current(nowhere)).unwrap_err();
    assert!(refused.contains("there is no such folder"), "{refused}");
    let none = lake.refusal("score('odd', a, b)");
    assert!(
        none.contains(
            "there is no model odd in the lake, nor another one; `tidelake train odd --from"
        ),
        "{none}"
    );
    let id = lake.publish("odd", 1);
    lake.publish("even", 1);
    for (expression, text) in [
        (
            "score('old', a, b)",
            "there is no model old in the lake; there are even, odd",
        ),
        (
            "score('odd', a)",
            "model odd takes 2 features (a, b), and score gives it 1",
        ),
        ("score('odd')", "gives it 0"),
        ("score('odd', a, b, b)", "gives it 3"),
        (
            "score('odd', a, k)",
            "feature b of model odd is a number or a boolean, and score gives it ",
        ),
        (
            "score(k, a, b)",
            "score has the form score('NAME', a, b, …)",
        ),
        ("score('o' || 'dd', a, b)", "score has the form"),
        ("score()", "score has the form"),
        ("score('odd', *)", "score has the form"),
        ("score(1, a, b)", "score has the form"),
        ("score('Odd', a, b)", "is no name of a model"),
        ("score('odd@12', a, b)", "behind @ stand at least 8 digits"),
        (
            "score('odd@hexadecimal', a, b)",
            "behind @ stand at least 8 digits",
        ),
        (
            "score('odd@00000000', a, b)",
            "no version of model odd has an id that begins with 00000000; there are versions 1 (",
        ),
        (
            "score('old@00000000', a, b)",
            "there is no model old in the lake",
        ),
    ] {
        let refused = lake.refusal(expression);
        assert!(refused.contains(text), "{expression}: {refused}");
    }
    let other = lake.refusal(&format!("score('even@{id}', a, b)"));
    assert!(
        other.contains("there is no model \"even\" with id"),
        "{other}"
    );
}

#[test]
fn a_model_whose_file_is_damaged_is_refused() {
    let lake = Fixture::new();
    let id = lake.publish("odd", 7);
    let file = lake
        .0
        .path()
        .join(format!("_tidelake/models/odd/{id}.json"));
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replace("\"a\"", "\"c\"")).unwrap();
    let committed = Models::Committed(lake.lake());
    let refused = planned(VIEW, &committed).unwrap_err();
    assert!(refused.starts_with("line 3: "), "{refused}");
    assert!(refused.contains("does not have the hash"), "{refused}");
    // What a process has loaded once it scores with; a proof looks at the file.
    std::fs::write(&file, &text).unwrap();
    planned(VIEW, &committed).unwrap();
    std::fs::remove_file(&file).unwrap();
    assert!(lake.planned(VIEW).is_ok());
    let pinned = VIEW.replace("odd", &format!("odd@{id}"));
    for view in [VIEW, pinned.as_str()] {
        let refused = planned(view, &committed).unwrap_err();
        assert!(
            refused.contains("there is no model \"odd\" with id"),
            "{refused}"
        );
    }
}
