//! Late records as rows of the relation that counts them.

use crate::engine::changes::Changes;
use crate::plan::late_schema;
use arrow::array::{Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use std::sync::Arc;

/// What a view left out in an epoch: starts of windows, if there were any, and how many records came too late for each.
pub(super) fn late_rows(view: &str, epoch: u64, refused: &[(Option<i64>, i64)]) -> Changes {
    let starts = refused.iter().map(|it| it.0);
    let starts = TimestampMicrosecondArray::from_iter(starts).with_timezone("UTC");
    let records = refused.iter().map(|it| it.1);
    let batch = RecordBatch::try_new(
        late_schema(),
        vec![
            Arc::new(StringArray::from_iter_values(refused.iter().map(|_| view))),
            Arc::new(starts),
            Arc::new(Int64Array::from_iter_values(records)),
            Arc::new(Int64Array::from_value(epoch as i64, refused.len())),
        ],
    );
    Changes::records(batch.expect("late counts have their own schema"))
}
