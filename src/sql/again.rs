//! Views planned once more, over archived records: for views that are filled again because they are new or have changed.
//!
//! The plan of a running view takes every record of its relation, and admission decides by the clock which are late. Archived records
//! carry that decision, so here it stands in the query, as in `recompute`: a window takes the records that were on time for it. Everything above is planned
//! as for the running view, and keeps the same state: what the one has taken in, the other can go on from.

use super::recompute::{windows, windows_of_view};
use super::{Planner, bounds, detectors, emitted, plain, syntax};
use crate::plan::{
    Dataflow, LATE_RELATION, Properties, SourceSpec, TableSpec, ViewSpec, late_schema, properties,
    state_shape,
};
use arrow::datatypes::SchemaRef;
use datafusion::catalog::MemTable;
use datafusion::common::TableReference;
use datafusion::datasource::ViewTable;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// These views of a dataflow, planned over relations of these columns. Windows of relations with a mark of late rows heed it.
///
/// # Errors
/// If a view keeps something else over archived records than over the source: it says which.
pub async fn over_archive(
    dataflow: &Dataflow,
    views: &BTreeSet<String>,
    relations: &BTreeMap<String, SchemaRef>,
) -> Result<Vec<ViewSpec>, String> {
    bounds::with_room(planned(dataflow, views, relations)).await
}

async fn planned(
    dataflow: &Dataflow,
    views: &BTreeSet<String>,
    relations: &BTreeMap<String, SchemaRef>,
) -> Result<Vec<ViewSpec>, String> {
    let mut planner = Planner::new(&dataflow.name);
    planner.dataflow.sources.clone_from(&dataflow.sources);
    planner.dataflow.tables.clone_from(&dataflow.tables);
    for (name, schema) in relations {
        planner.replace(name, schema.clone())?;
    }
    planner.replace(LATE_RELATION, late_schema())?;
    let mut planned = Vec::new();
    let mut aliases: Vec<&(String, String)> = dataflow.aliases.iter().collect();
    for view in &dataflow.views {
        let mut later = Vec::new();
        for alias in aliases {
            // A plain view over views that come later is not needed yet.
            if !planner.alias(&alias.0, &alias.1).await? {
                later.push(alias);
            }
        }
        aliases = later;
        if views.contains(&view.name) {
            let mut query = windows_of_view(&planner.context, dataflow, &view.sql)?;
            syntax::rewrite_now(&mut query);
            let plan = planner.lowered(&view.name, &query).await?;
            let plan = detectors::over(plan, view);
            let plan = match view.emitted {
                Some(end) => emitted::at_close(plan, &view.name, end, view.clocks.clone()),
                None => plan,
            };
            if state_shape(&plan) != state_shape(&view.plan) || !same_columns(&plan.schema(), view)
            {
                return Err(format!(
                    "view {:?} cannot be filled from the archive; name the columns it reads instead of writing *",
                    view.name
                ));
            }
            planned.push(ViewSpec {
                plan,
                ..view.clone()
            });
        }
        planner.replace(&view.name, view.plan.schema())?;
        planner.dataflow.views.push(view.clone());
    }
    Ok(planned)
}

/// Which column of a table is each column of its source, unchanged.
pub fn kept_columns(source: &SourceSpec, table: &TableSpec) -> Vec<Option<usize>> {
    let none = |_: &str| Properties::default();
    let unchanged = properties(&table.plan, &none).unchanged;
    let columns = 0..source.schema().fields().len();
    columns
        .map(|wanted| unchanged.iter().position(|it| *it == Some(wanted)))
        .collect()
}

fn same_columns(schema: &SchemaRef, view: &ViewSpec) -> bool {
    let wanted = view.plan.schema();
    let pairs = schema.fields().iter().zip(wanted.fields());
    schema.fields().len() == wanted.fields().len()
        && pairs
            .into_iter()
            .all(|(a, b)| (a.name(), a.data_type()) == (b.name(), b.data_type()))
}

impl Planner {
    /// Registers a relation of these columns, in the place of one of its name.
    fn replace(&self, name: &str, schema: SchemaRef) -> Result<(), String> {
        let text = |it: datafusion::error::DataFusionError| it.strip_backtrace();
        let empty = MemTable::try_new(schema, vec![vec![]]).map_err(text)?;
        let reference = TableReference::bare(name);
        self.context
            .deregister_table(reference.clone())
            .map_err(text)?;
        self.context
            .register_table(reference, Arc::new(empty))
            .map_err(text)?;
        Ok(())
    }

    /// Registers a plain view, if all it reads is there.
    async fn alias(&self, name: &str, text: &str) -> Result<bool, String> {
        let mut is_known = false;
        for (name, query) in plain::forms(
            &self.context,
            name,
            windows(&self.context, &self.dataflow, text)?,
        ) {
            let Ok(plan) = self.logical(&query).await else {
                break;
            };
            self.context
                .register_table(
                    TableReference::bare(name),
                    Arc::new(ViewTable::new(plan, None)),
                )
                .map_err(|it| it.strip_backtrace())?;
            is_known = true;
        }
        Ok(is_known)
    }
}
