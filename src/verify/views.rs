//! View tables against the same views computed in batch from the archive.

use super::records::Known;
use super::report::{Check, FINDINGS_MAX, Findings, Report, count};
use crate::coordinator::stored;
use crate::lake::Manifest;
use crate::model::{Row, rows_of_batch};
use crate::plan::{
    DEAD_LETTER_RELATION, Dataflow, LATE_RELATION, Plan, ViewKind, ViewSpec, Window,
};
use crate::sql::{Records, delta_provider, recompute, table_rows};
use arrow::datatypes::SchemaRef;
use deltalake::DeltaTable;
use std::collections::{BTreeMap, BTreeSet};

/// Rows looked through for one that resembles another.
const RESEMBLING_MAX: usize = 1000;

/// Rows that only one side has.
#[derive(Debug, Default)]
pub struct Difference {
    pub only_found: Vec<Row>,
    pub only_expected: Vec<Row>,
}

/// Compares rows in any order, each as often as it is there; nothing if they are the same. Doubles to the last bit: every sum, mean,
/// deviation and percentile comes from numbers that add up exactly, here as in the engine, and everything else is computed value by
/// value. Rows hold one NaN and no negative zero, on both sides.
pub fn difference(found: &[Row], expected: &[Row]) -> Option<Difference> {
    let mut balance: BTreeMap<&Row, i64> = BTreeMap::new();
    for (rows, sign) in [(found, 1), (expected, -1)] {
        for row in rows {
            *balance.entry(row).or_default() += sign;
        }
    }
    let mut difference = Difference::default();
    for (row, count) in balance {
        let side = match 0 < count {
            true => &mut difference.only_found,
            false => &mut difference.only_expected,
        };
        side.extend((0..count.unsigned_abs()).map(|_| row.clone()));
    }
    let nothing = difference.only_found.is_empty() && difference.only_expected.is_empty();
    (!nothing).then_some(difference)
}

/// Checks every view's table against the batch.
pub(super) async fn check(
    dataflow: &Dataflow,
    manifest: &Manifest,
    opened: &BTreeMap<String, DeltaTable>,
    known: Known,
    report: &mut Report,
) {
    let batch = match records(dataflow, manifest, opened, &known).await {
        Ok(records) => recompute(dataflow, &records).await,
        Err(reason) => Err(reason),
    };
    let batch = match batch {
        Ok(batch) => batch,
        Err(reason) => {
            report.add(Check::of(
                "views",
                "",
                "none could be computed from the archive",
                Findings::one(reason),
                "nothing tells whether the views are right.",
            ));
            return;
        }
    };
    let let_go = manifest.let_go.keys().cloned().collect();
    let lacking = Lacking {
        views: doubtful(dataflow, &let_go),
        newest_us: newest_gone(manifest),
    };
    let doubtful = doubtful(dataflow, &known.incomplete);
    for view in &dataflow.views {
        let schema = view.plan.schema();
        let found = match opened.get(&view.name) {
            Some(delta) => table_rows(delta, &schema).await,
            None => Err("its version cannot be opened".to_owned()),
        };
        let rows = |batches: &[arrow::array::RecordBatch]| -> Vec<Row> {
            batches.iter().flat_map(rows_of_batch).collect()
        };
        let expected = rows(&batch[&view.name]);
        report.add(match found {
            Ok(found) if lacking.views.contains(&view.name) => {
                lacking.compare(dataflow, view, &schema, rows(&found), expected)
            }
            Ok(found) => compare(view, &schema, &rows(&found), &expected, &doubtful),
            Err(reason) => Check::of(
                "view",
                view.name.as_str(),
                "its table cannot be read",
                Findings::one(reason),
                "readers of it get an error.",
            ),
        });
    }
}

/// Views that read, through whatever other views, a table that has let rows go.
struct Lacking {
    views: BTreeSet<String>,
    /// The newest event time of what was let go; none if that is not known of all of it.
    newest_us: Option<i64>,
}

impl Lacking {
    /// Holds what can still be computed against the batch: rows of windows that no record of which was let go. For other views nothing tells.
    fn compare(
        &self,
        dataflow: &Dataflow,
        view: &ViewSpec,
        schema: &SchemaRef,
        found: Vec<Row>,
        expected: Vec<Row>,
    ) -> Check {
        let windows = match view.kind {
            ViewKind::Windowed { column, add_us } => reach_us(dataflow, &view.plan)
                .zip(self.newest_us)
                .map(|(reach_us, newest_us)| (column, newest_us + reach_us - add_us)),
            ViewKind::Records | ViewKind::Open => None,
        };
        let name = view.name.as_str();
        let Some((column, until_us)) = windows else {
            let all = count(found.len() as u64, "row");
            let (compared, findings) = match difference(&found, &expected) {
                None => (format!("{all}: the same in batch"), Findings::default()),
                Some(it) => (
                    format!("{all}; in batch from what is left {}", expected.len()),
                    describe(&it, schema),
                ),
            };
            if findings.count == 0 {
                return Check::of("view", name, compared, findings, "");
            }
            return Check::unknown(
                "view",
                name,
                compared,
                findings,
                "the view was computed from records that its table has since let go, by its retention.",
            );
        };
        let is_whole = |it: &Row| it.0[column].as_i64().is_some_and(|it| until_us < it);
        let all = found.len();
        let found: Vec<Row> = found.into_iter().filter(is_whole).collect();
        let expected: Vec<Row> = expected.into_iter().filter(is_whole).collect();
        let gone = count((all - found.len()) as u64, "row");
        let check = compare(view, schema, &found, &expected, &BTreeSet::new());
        Check {
            compared: format!(
                "{}; {gone} of windows whose records were let go stay as they are",
                check.compared
            ),
            ..check
        }
    }
}

/// The newest event time of all records that were let go; none if a table does not say.
fn newest_gone(manifest: &Manifest) -> Option<i64> {
    let newest = manifest.let_go.values().map(|it| it.newest_us);
    newest.collect::<Option<Vec<i64>>>()?.into_iter().max()
}

/// How long before the end of its window a record may be that a row of a plan comes from; nothing if that cannot be told.
fn reach_us(dataflow: &Dataflow, plan: &Plan) -> Option<i64> {
    let (mut sum, mut is_known) = (0, true);
    plan.walk(&mut |node| match node {
        Plan::Aggregate { aggregation, .. } => match aggregation.window {
            Window::Tumble { size_us, .. } => sum += size_us,
            Window::None | Window::Last { .. } => is_known = false,
        },
        Plan::Relation { name, .. } => {
            if let Some(view) = dataflow.view(name) {
                match reach_us(dataflow, &view.plan) {
                    Some(more) => sum += more,
                    None => is_known = false,
                }
            }
            is_known &= name != LATE_RELATION;
        }
        Plan::Constant { .. } | Plan::Map { .. } | Plan::Union { .. } | Plan::Admit { .. } => {}
        Plan::Unnest { .. }
        | Plan::TopK { .. }
        | Plan::Join { .. }
        | Plan::AsOf { .. }
        | Plan::PerGroup { .. }
        | Plan::Temporal { .. }
        | Plan::Detect { .. }
        | Plan::Incidents { .. } => is_known = false,
    });
    is_known.then_some(sum)
}

fn compare(
    view: &ViewSpec,
    schema: &SchemaRef,
    found: &[Row],
    expected: &[Row],
    doubtful: &BTreeSet<String>,
) -> Check {
    let difference = difference(found, expected);
    let compared = match &difference {
        None => format!("{}: the same in batch", count(found.len() as u64, "row")),
        Some(it) => format!(
            "{}, in batch {}; {} differ",
            count(found.len() as u64, "row"),
            count(expected.len() as u64, "row"),
            it.only_found.len().max(it.only_expected.len())
        ),
    };
    let findings = difference.map_or_else(Findings::default, |it| describe(&it, schema));
    if findings.count != 0 && doubtful.contains(&view.name) {
        return Check::unknown(
            "view",
            view.name.as_str(),
            compared,
            findings,
            "the view reads a source itself, and not everything is known that the source gave: no table archives all of it, or it is gone.",
        );
    }
    Check::of(
        "view",
        view.name.as_str(),
        compared,
        findings,
        "the table is not what its query gives over the archive.",
    )
}

/// Archives, dead letters and sources, as views read them.
async fn records(
    dataflow: &Dataflow,
    manifest: &Manifest,
    opened: &BTreeMap<String, DeltaTable>,
    known: &Known,
) -> Result<Records, String> {
    let mut records = Records::default();
    for table in &dataflow.tables {
        let Some(delta) = opened.get(&table.name) else {
            return Err(format!("table {} cannot be read", table.name));
        };
        let name = match table.source.is_empty() {
            true => DEAD_LETTER_RELATION.to_owned(),
            false => table.name.clone(),
        };
        records.relations.insert(name, delta_provider(delta).await?);
    }
    for (name, source) in &known.relations {
        records.relations.insert(name.clone(), source.clone());
    }
    records.times = stored::event_times(manifest).map_err(|it| it.to_string())?;
    Ok(records)
}

/// Views that read, through whatever other views, a source of which not everything is known.
fn doubtful(dataflow: &Dataflow, incomplete: &BTreeSet<String>) -> BTreeSet<String> {
    let mut doubtful = incomplete.clone();
    for view in &dataflow.views {
        let reads = view.plan.relations();
        let late = reads.contains(&LATE_RELATION.to_owned())
            && dataflow
                .views
                .iter()
                .any(|it| doubtful.contains(&it.name) && it.plan.counts_late());
        if late || reads.iter().any(|it| doubtful.contains(it)) {
            doubtful.insert(view.name.clone());
        }
    }
    doubtful
}

fn describe(difference: &Difference, schema: &SchemaRef) -> Findings {
    let mut findings = Findings::default();
    let mut found: Vec<&Row> = difference.only_found.iter().collect();
    for expected in &difference.only_expected {
        let alike = |it: &Row| {
            let pairs = it.0.iter().zip(expected.0.iter());
            pairs.filter(|(a, b)| a == b).count()
        };
        let nearest = found
            .iter()
            .take(RESEMBLING_MAX)
            .enumerate()
            .max_by_key(|it| alike(it.1))
            .filter(|it| expected.0.len() <= 2 * alike(it.1))
            .map(|it| it.0);
        match nearest {
            Some(at) if findings.count < FINDINGS_MAX as u64 => {
                let row = found.swap_remove(at);
                findings.add(|| changed(row, expected, schema));
            }
            Some(at) => {
                found.swap_remove(at);
                findings.count += 1;
            }
            None => findings.add(|| format!("missing: {}", text(expected, schema))),
        }
    }
    for row in found {
        findings.add(|| format!("too much: {}", text(row, schema)));
    }
    findings
}

fn changed(found: &Row, expected: &Row, schema: &SchemaRef) -> String {
    let (mut alike, mut differ) = (Vec::new(), Vec::new());
    for ((field, a), b) in schema
        .fields()
        .iter()
        .zip(found.0.iter())
        .zip(expected.0.iter())
    {
        match a == b {
            true => alike.push(format!("{} = {}", field.name(), a.to_json())),
            false => differ.push(format!(
                "{} is {}, not {}",
                field.name(),
                a.to_json(),
                b.to_json()
            )),
        }
    }
    alike.truncate(FINDINGS_MAX);
    format!("{}: {}", alike.join(", "), differ.join("; "))
}

fn text(row: &Row, schema: &SchemaRef) -> String {
    let values = schema.fields().iter().zip(row.0.iter());
    let texts: Vec<String> = values
        .map(|(field, it)| format!("{} = {}", field.name(), it.to_json()))
        .collect();
    texts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Float, Value};

    fn row(key: &str, value: f64) -> Row {
        let values = [Value::Text(key.into()), Value::Float(Float::new(value))];
        Row(values.into())
    }

    #[test]
    fn a_double_differs_by_its_last_bit() {
        for value in [0.1, 1e-300, 1e300, -7.0, f64::MAX] {
            let next = f64::from_bits(value.to_bits() ^ 1);
            let difference = difference(&[row("a", value)], &[row("a", next)]);
            let difference = difference.expect("they differ");
            assert_eq!(difference.only_found, [row("a", value)]);
            assert_eq!(difference.only_expected, [row("a", next)]);
        }
        assert!(difference(&[row("a", f64::INFINITY)], &[row("a", f64::MAX)]).is_some());
    }

    #[test]
    fn rows_are_the_same_in_any_order_each_as_often() {
        let nan = f64::from_bits(f64::NAN.to_bits() | 1);
        let found = [row("a", nan), row("b", -0.0), row("b", -0.0), row("c", 1.5)];
        let expected = [
            row("b", 0.0),
            row("c", 1.5),
            row("a", -f64::NAN),
            row("b", 0.0),
        ];
        assert!(difference(&found, &expected).is_none());
        let difference = difference(&found, &expected[1..]).expect("one is missing");
        assert_eq!(difference.only_found, [row("b", 0.0)]);
        assert!(difference.only_expected.is_empty());
    }
}
