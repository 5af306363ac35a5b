//! Rows as bytes: what joins keep and compare.
//!
//! The bytes are Arrow's row format, which is made and read column by column, so rows travel, lie in arrangements and are stored as state without a
//! value of their own being touched. Equal rows have equal bytes: floats are brought into the one form that [`Float`](crate::model::Float) has. Bytes
//! sort as their rows do, column by column, and so do bytes put together. Arrow does not promise that the format stays: a test pins it.

use crate::model::{Float, Value, array_of_values, value_at};
use crate::plan::Order;
use arrow::array::{ArrayRef, AsArray, RecordBatch, RecordBatchOptions};
use arrow::compute::SortOptions;
use arrow::datatypes::{DataType, Float64Type, SchemaRef};
use arrow_row::{RowConverter, Rows, SortField};
use foldhash::fast::FixedState;
use std::hash::BuildHasher;
use std::sync::Arc;

/// The bytes of one row, or of the key of one.
pub(super) type Bytes = Vec<u8>;

/// The hash of a key or a row in bytes: the same in all processes.
pub(super) fn hash(bytes: &[u8]) -> u64 {
    FixedState::default().hash_one(bytes)
}

/// Rows of a batch as bytes; none if they have no columns.
pub(super) struct Encoded(Option<Rows>);

impl Encoded {
    pub fn row(&self, at: usize) -> &[u8] {
        self.0.as_ref().map_or(&[], |it| it.row(at).data())
    }
}

/// Between rows of some columns and their bytes.
pub(super) struct Encoder {
    schema: SchemaRef,
    /// None for rows without columns.
    converter: Option<RowConverter>,
}

impl Encoder {
    /// # Panics
    /// If rows cannot carry the type of a column: such plans are refused.
    pub fn new(schema: &SchemaRef) -> Self {
        let fields = schema.fields().iter();
        let fields = fields.map(|it| SortField::new(it.data_type().clone()));
        Self::of(Arc::clone(schema), fields.collect())
    }

    /// Of the columns that rows are ordered by, so that the bytes sort in this order.
    pub fn in_order(schema: &SchemaRef, order: &[Order]) -> Self {
        let columns: Vec<usize> = order.iter().map(|it| it.column).collect();
        let schema = schema.project(&columns).expect("the order is by columns");
        let fields = schema.fields().iter().zip(order).map(|(field, it)| {
            let options = SortOptions {
                descending: it.descending,
                nulls_first: it.nulls_first,
            };
            SortField::new_with_options(field.data_type().clone(), options)
        });
        let fields = fields.collect();
        Self::of(Arc::new(schema), fields)
    }

    fn of(schema: SchemaRef, fields: Vec<SortField>) -> Self {
        let converter = (!fields.is_empty())
            .then(|| RowConverter::new(fields).expect("rows carry no type without an order"));
        Encoder { schema, converter }
    }

    /// The bytes of each row of a batch, of which these columns are ours.
    pub fn encode(&self, columns: &[ArrayRef], rows: usize) -> Vec<Bytes> {
        let encoded = self.encoded(columns);
        (0..rows).map(|it| encoded.row(it).to_vec()).collect()
    }

    /// The same, together in one piece of memory.
    pub fn encoded(&self, columns: &[ArrayRef]) -> Encoded {
        let encode = |converter: &RowConverter| {
            let columns: Vec<ArrayRef> = columns.iter().map(in_one_form).collect();
            let encoded = converter.convert_columns(&columns);
            encoded.expect("columns are of the types of the plan")
        };
        Encoded(self.converter.as_ref().map(encode))
    }

    /// The bytes of a row in which everything is null.
    pub fn nothing(&self) -> Bytes {
        let nulls = RecordBatch::new_empty(Arc::clone(&self.schema));
        let columns = nulls.columns().iter();
        let columns: Vec<ArrayRef> = columns
            .map(|it| arrow::array::new_null_array(it.data_type(), 1))
            .collect();
        self.encode(&columns, 1).swap_remove(0)
    }

    /// The columns of these rows.
    pub fn decode<'a, B: AsRef<[u8]> + ?Sized + 'a>(
        &self,
        rows: impl Iterator<Item = &'a B>,
    ) -> Vec<ArrayRef> {
        let Some(converter) = &self.converter else {
            return Vec::new();
        };
        let parser = converter.parser();
        converter
            .convert_rows(rows.map(|it| parser.parse(it.as_ref())))
            .expect("the bytes were made by this converter")
    }

    /// These rows as a batch.
    pub fn batch<'a, B: AsRef<[u8]> + ?Sized + 'a>(
        &self,
        rows: impl ExactSizeIterator<Item = &'a B>,
    ) -> RecordBatch {
        let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
        let columns = self.decode(rows);
        RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)
            .expect("columns are of the schema")
    }
}

/// Floats that are equal for rows, as equal bits.
fn in_one_form(column: &ArrayRef) -> ArrayRef {
    match column.data_type() {
        DataType::Float64 => {
            let floats = column.as_primitive::<Float64Type>();
            Arc::new(floats.unary::<_, Float64Type>(|it| Float::new(it).get()))
        }
        DataType::List(_) | DataType::Struct(_) => {
            let values: Vec<Value> = (0..column.len())
                .map(|it| value_at(column.as_ref(), it))
                .collect();
            array_of_values(column.data_type(), values.iter()).expect("rows carry this type")
        }
        _ => Arc::clone(column),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Row, Value, batch_of_rows, rows_of_batch};
    use arrow::datatypes::{Field, Schema, TimeUnit};
    use proptest::prelude::*;

    fn schema() -> SchemaRef {
        let field = |name: &str, data_type| Field::new(name, data_type, true);
        let utc = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
        Arc::new(Schema::new(vec![
            field("text", DataType::Utf8),
            field("int", DataType::Int64),
            field("float", DataType::Float64),
            field("bool", DataType::Boolean),
            field("time", utc),
        ]))
    }

    fn row() -> impl Strategy<Value = Row> {
        let float = prop_oneof![Just(-0.0), Just(f64::NAN), -3.0..3.0, any::<f64>()];
        let values = (
            prop::option::of("[a-cä]{0,3}"),
            prop::option::of(any::<i64>()),
            prop::option::of(float),
            prop::option::of(any::<bool>()),
        );
        values.prop_map(|(text, int, float, flag)| {
            let or_null = |it: Option<Value>| it.unwrap_or(Value::Null);
            Row([
                or_null(text.map(|it| Value::Text(it.as_str().into()))),
                or_null(int.map(Value::Int)),
                or_null(float.map(|it| Value::Float(Float::new(it)))),
                or_null(flag.map(Value::Bool)),
                or_null(int.map(Value::Timestamp)),
            ]
            .into())
        })
    }

    impl Encoder {
        fn encode_rows(&self, rows: &[Row]) -> Vec<Bytes> {
            let batch = batch_of_rows(&self.schema, rows.iter()).unwrap();
            self.encode(batch.columns(), batch.num_rows())
        }
    }

    proptest! {
        #[test]
        fn rows_come_back_and_equal_ones_have_equal_bytes(rows in prop::collection::vec(row(), 0..20)) {
            let encoder = Encoder::new(&schema());
            let bytes = encoder.encode_rows(&rows);
            prop_assert_eq!(&rows_of_batch(&encoder.batch(bytes.iter())), &rows);
            for (a, of_a) in rows.iter().zip(&bytes) {
                for (b, of_b) in rows.iter().zip(&bytes) {
                    prop_assert_eq!(a == b, of_a == of_b);
                }
            }
        }
    }

    #[test]
    fn negative_zero_of_a_column_is_zero() {
        let schema = Arc::new(Schema::new(vec![Field::new("x", DataType::Float64, true)]));
        let encoder = Encoder::new(&schema);
        let floats = arrow::array::Float64Array::from(vec![-0.0, 0.0, -f64::NAN, f64::NAN]);
        let bytes = encoder.encode(&[Arc::new(floats)], 4);
        assert_eq!(bytes[0], bytes[1]);
        assert_eq!(bytes[2], bytes[3]);
        assert_eq!(encoder.nothing().len(), bytes[0].len());
    }

    #[test]
    fn bytes_in_stored_state_keep_their_form() {
        let row = Row([
            Value::Text("täxt".into()),
            Value::Int(-7),
            Value::Null,
            Value::Bool(true),
            Value::Timestamp(1),
        ]
        .into());
        let bytes = Encoder::new(&schema()).encode_rows(&[row]).swap_remove(0);
        // If another version of Arrow writes other bytes, STATE_VERSION has to rise.
        assert_eq!(
            bytes,
            [
                2, 116, 195, 164, 120, 116, 0, 0, 0, 5, 1, 127, 255, 255, 255, 255, 255, 255, 249,
                0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 128, 0, 0, 0, 0, 0, 0, 1
            ]
        );
    }

    #[test]
    fn bytes_in_an_order_sort_by_it() {
        let order = |column, descending, nulls_first| Order {
            column,
            descending,
            nulls_first,
        };
        let order = [order(1, true, false), order(0, false, true)];
        let row = |text: &str, int: Option<i64>| {
            let int = int.map_or(Value::Null, Value::Int);
            let text = Value::Text(text.into());
            Row([text, int, Value::Null, Value::Null, Value::Null].into())
        };
        let rows = [
            row("a", Some(9)),
            row("b", Some(9)),
            row("a", Some(-1)),
            row("", None),
        ];
        let batch = batch_of_rows(&schema(), rows.iter()).unwrap();
        let columns = [batch.column(1).clone(), batch.column(0).clone()];
        let bytes = Encoder::in_order(&schema(), &order).encode(&columns, 4);
        assert!(bytes.is_sorted(), "{bytes:?}");
    }

    #[test]
    fn rows_without_columns_are_counted() {
        let encoder = Encoder::new(&Arc::new(Schema::empty()));
        let bytes = encoder.encode(&[], 3);
        assert_eq!(encoder.batch(bytes.iter()).num_rows(), 3);
        assert!(encoder.nothing().is_empty());
    }
}
