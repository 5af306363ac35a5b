//! A Delta table as queries read it, behind one rule about its filters.
//!
//! deltalake takes a filter over its partition columns upon itself, as it can tell from the log alone which files such a filter keeps.
//! One without any column, such as the `NULL` that a condition like `NULL <> a` is simplified to, counts as one of these, but it skips
//! no file: nothing would apply it, and rows would be given that no condition holds for. Filters without columns are therefore applied
//! by DataFusion. So are those over floating-point numbers, which are not all in the statistics that files are skipped by ([`not_a_number`]).

mod not_a_number;
#[cfg(test)]
mod tests;

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::error::Result;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::ExecutionPlan;
use std::sync::Arc;

/// A table of the lake that leaves filters without columns, and those over floating-point numbers, to whoever reads it.
#[derive(Debug)]
pub struct StoredTable {
    delta: Arc<dyn TableProvider>,
}

impl StoredTable {
    pub fn new(delta: Arc<dyn TableProvider>) -> Self {
        StoredTable { delta }
    }
}

#[async_trait]
impl TableProvider for StoredTable {
    fn schema(&self) -> SchemaRef {
        self.delta.schema()
    }

    fn table_type(&self) -> TableType {
        self.delta.table_type()
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let scan = self.delta.scan(state, projection, filters, limit).await?;
        Ok(not_a_number::with_all_numbers(scan))
    }

    fn supports_filters_pushdown(
        &self,
        filters: &[&Expr],
    ) -> Result<Vec<TableProviderFilterPushDown>> {
        let mut answers = self.delta.supports_filters_pushdown(filters)?;
        let schema = self.delta.schema();
        for (answer, filter) in answers.iter_mut().zip(filters) {
            if filter.column_refs().is_empty() || not_a_number::reads_floating(filter, &schema) {
                *answer = TableProviderFilterPushDown::Unsupported;
            }
        }
        Ok(answers)
    }
}
