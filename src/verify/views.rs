//! View tables against the same views computed in batch from the archive.

use super::records::Known;
use super::report::{Check, FINDINGS_MAX, Findings, Report, count};
use crate::coordinator::stored;
use crate::lake::Manifest;
use crate::model::{Row, Value, rows_of_batch};
use crate::plan::{DEAD_LETTER_RELATION, Dataflow, LATE_RELATION, ViewKind, ViewSpec};
use crate::sql::{Records, delta_provider, recompute, table_rows};
use arrow::datatypes::SchemaRef;
use deltalake::DeltaTable;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Rows of one group that are matched by trying all; more are matched in order.
const MATCHED_BY_TRYING: usize = 1000;
/// Rows looked through for one that resembles another.
const RESEMBLING_MAX: usize = 1000;

/// Rows that only one side has.
#[derive(Debug, Default)]
pub struct Difference {
    pub only_found: Vec<Row>,
    pub only_expected: Vec<Row>,
}

/// Compares rows in any order; nothing if they are the same, each as often. Floats may differ by the rounding of a sum in another order.
pub fn difference(found: &[Row], expected: &[Row]) -> Option<Difference> {
    let mut groups: HashMap<Vec<&Value>, (Vec<&Row>, Vec<&Row>)> = HashMap::new();
    for row in found {
        groups.entry(exact(row)).or_default().0.push(row);
    }
    for row in expected {
        groups.entry(exact(row)).or_default().1.push(row);
    }
    let mut difference = Difference::default();
    for (mut found, mut expected) in groups.into_values() {
        found.sort_unstable();
        expected.sort_unstable();
        let in_order =
            found.len() == expected.len() && found.iter().zip(&expected).all(|(a, b)| same(a, b));
        if in_order {
            continue;
        }
        if found.len().max(expected.len()) <= MATCHED_BY_TRYING {
            found.retain(|row| match expected.iter().position(|it| same(row, it)) {
                Some(at) => {
                    expected.swap_remove(at);
                    false
                }
                None => true,
            });
        }
        difference.only_found.extend(found.into_iter().cloned());
        difference
            .only_expected
            .extend(expected.into_iter().cloned());
    }
    let nothing = difference.only_found.is_empty() && difference.only_expected.is_empty();
    (!nothing).then_some(difference)
}

/// The values that must be the same to the last bit.
fn exact(row: &Row) -> Vec<&Value> {
    let values = row.0.iter();
    values
        .map(|it| {
            if matches!(it, Value::Float(_)) {
                &Value::Null
            } else {
                it
            }
        })
        .collect()
}

fn same(a: &Row, b: &Row) -> bool {
    a.0.iter().zip(b.0.iter()).all(|(a, b)| same_value(a, b))
}

fn same_value(a: &Value, b: &Value) -> bool {
    let (Value::Float(a), Value::Float(b)) = (a, b) else {
        return a == b;
    };
    let (a, b) = (a.get(), b.get());
    a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() <= 1e-7 * a.abs().max(b.abs()).max(1e-3)
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
    let times = stored::event_times(manifest).map_err(|it| it.to_string())?;
    let times = times.into_iter().map(|(source, it)| (source, it.now_us));
    records.now_us = times.collect();
    Ok(records)
}

/// Views that read, through whatever other views, a source of which not everything is known.
fn doubtful(dataflow: &Dataflow, incomplete: &BTreeSet<String>) -> BTreeSet<String> {
    let mut doubtful = incomplete.clone();
    for view in &dataflow.views {
        let reads = view.plan.relations();
        let late = reads.contains(&LATE_RELATION.to_owned())
            && dataflow.views.iter().any(|it| {
                doubtful.contains(&it.name) && matches!(it.kind, ViewKind::Windowed { .. })
            });
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
            pairs.filter(|(a, b)| same_value(a, b)).count()
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
        match same_value(a, b) {
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
