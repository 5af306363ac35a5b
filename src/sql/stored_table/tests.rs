//! Stored tables are read as views are.

use crate::sql::delta_provider;
use arrow::array::{Float64Array, Int64Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema};
use arrow::util::display::array_value_to_string;
use datafusion::physical_plan::displayable;
use datafusion::prelude::SessionContext;
use std::sync::Arc;

/// Files of a table: numbers with a `NaN` among them, numbers alone, and `NaN` alone.
const FILES: [&[(i64, f64)]; 3] = [
    &[(1, 1.0), (2, f64::NAN), (3, 3.0)],
    &[(4, 4.0), (5, 5.0)],
    &[(6, f64::NAN)],
];

async fn numbers() -> (SessionContext, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let url = url::Url::from_directory_path(folder.path()).unwrap();
    let schema = Arc::new(Schema::new(vec![
        Field::new("n", DataType::Int64, true),
        Field::new("f", DataType::Float64, true),
    ]));
    let mut table = deltalake::DeltaTable::try_from_url(url).await.unwrap();
    for rows in FILES {
        let n = Int64Array::from_iter_values(rows.iter().map(|it| it.0));
        let f = Float64Array::from_iter_values(rows.iter().map(|it| it.1));
        let batch = RecordBatch::try_new(Arc::clone(&schema), vec![Arc::new(n), Arc::new(f)]);
        table = table.write([batch.unwrap()]).await.unwrap();
    }
    let context = SessionContext::new();
    let provider = delta_provider(&table).await.unwrap();
    context.register_table("s", provider).unwrap();
    (context, folder)
}

#[tokio::test]
async fn what_is_no_number_is_found() {
    let (context, _folder) = numbers().await;
    for (query, expected) in [
        ("SELECT n FROM s WHERE f = 'NaN'::double ORDER BY n", "2 6"),
        (
            "SELECT n FROM s WHERE f IN (4, 'NaN'::double) ORDER BY n",
            "2 4 6",
        ),
        ("SELECT n FROM s WHERE f > 3 ORDER BY n", "2 4 5 6"),
        ("SELECT n FROM s WHERE f > 3 AND n < 5 ORDER BY n", "2 4"),
        ("SELECT n FROM s WHERE NOT f <= 4 ORDER BY n", "2 5 6"),
        ("SELECT n FROM s WHERE f < 4 ORDER BY n", "1 3"),
        ("SELECT n FROM s ORDER BY f DESC, n LIMIT 2", "2 6"),
        (
            "SELECT n FROM (SELECT * FROM s ORDER BY f DESC, n LIMIT 3) q WHERE n <> 2",
            "6 5",
        ),
        ("SELECT max(f) FROM s", "NaN"),
        ("SELECT max(f) FROM s WHERE n < 6", "NaN"),
        (
            "SELECT a.n FROM s a JOIN s b ON a.f = b.f AND b.n = 6 ORDER BY a.n",
            "2 6",
        ),
    ] {
        let rows = context.sql(query).await.unwrap().collect().await.unwrap();
        let values = rows.iter().flat_map(|it| {
            (0..it.num_rows()).map(|row| array_value_to_string(it.column(0), row).unwrap())
        });
        let values: Vec<String> = values.collect();
        assert_eq!(values.join(" "), expected, "{query}");
    }
}

/// What a query says of other columns still skips files.
#[tokio::test]
async fn other_columns_skip_files() {
    let (context, _folder) = numbers().await;
    let query = context.sql("SELECT n FROM s WHERE f > 3 AND n = 5 ORDER BY n, f LIMIT 1");
    let plan = query.await.unwrap().create_physical_plan().await.unwrap();
    let plan = displayable(plan.as_ref()).indent(true).to_string();
    assert!(plan.contains("n_min@"), "{plan}");
    assert!(!plan.contains("f_max@"), "{plan}");
}
