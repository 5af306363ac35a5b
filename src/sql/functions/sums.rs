//! `sum`, `avg`, `stddev` and `var`, as maintained views compute them: in exact numbers, rounded once, at the end.
//!
//! So the order of rows cannot be seen in a result, a value that is huge spoils no other, and a query over the lake gives what
//! the live view gives. A sum of integers that 64 bits do not hold is NULL, and so is one of decimals with more than 38 digits. What these
//! numbers do not cover (unsigned integers, intervals, distinct integers and decimals) is left to DataFusion's own functions of the same name.

use crate::model::{Float, FloatSum, IntSum, Moments};
use arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, BooleanArray, Decimal128Array, Float64Array, Int64Array,
};
use arrow::datatypes::{
    DECIMAL128_MAX_PRECISION, DECIMAL128_MAX_SCALE, DataType, Decimal128Type, Field, FieldRef,
    Float64Type, Int64Type,
};
use datafusion::common::{DataFusionError, Result, ScalarValue};
use datafusion::functions_aggregate::{average, stddev, sum, variance};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::AggregateOrderSensitivity;
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, EmitTo, GroupsAccumulator, ReversedUDAF, Signature,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::sync::Arc;

/// All of them.
pub(super) fn all() -> Vec<Arc<AggregateUDF>> {
    let of = |native, what| Arc::new(AggregateUDF::from(Exact { native, what }));
    vec![
        of(sum::sum_udaf(), What::Sum),
        of(average::avg_udaf(), What::Mean),
        of(variance::var_samp_udaf(), What::Variance { sample: true }),
        of(variance::var_pop_udaf(), What::Variance { sample: false }),
        of(stddev::stddev_udaf(), What::Deviation { sample: true }),
        of(stddev::stddev_pop_udaf(), What::Deviation { sample: false }),
    ]
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum What {
    Sum,
    Mean,
    Variance { sample: bool },
    Deviation { sample: bool },
}

/// The function of that name, and ours in its place.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Exact {
    native: Arc<AggregateUDF>,
    what: What,
}

impl Exact {
    /// The numbers to add distinct floats up in; none if it is left to the function of that name.
    fn distinct(&self, argument: Option<&FieldRef>, is_distinct: bool) -> Option<Numbers> {
        match (is_distinct, argument?.data_type()) {
            (true, DataType::Float64) => self.numbers(argument, false),
            _ => None,
        }
    }

    /// The numbers to add up in; none if it is left to the function of that name.
    fn numbers(&self, argument: Option<&FieldRef>, is_distinct: bool) -> Option<Numbers> {
        match (self.what, argument?.data_type()) {
            _ if is_distinct => None,
            (What::Sum, DataType::Int64) => Some(Numbers::Integers(IntSum::default())),
            (What::Sum | What::Mean, DataType::Decimal128(precision, scale)) => Some(
                Numbers::Decimals(Digits::new(self.what, *precision, *scale)),
            ),
            (What::Sum | What::Mean, DataType::Float64) => {
                Some(Numbers::Floats(FloatSum::default()))
            }
            (What::Variance { .. } | What::Deviation { .. }, DataType::Float64) => {
                Some(Numbers::Moments(Box::default()))
            }
            _ => None,
        }
    }
}

impl AggregateUDFImpl for Exact {
    known_as_native!();

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        if self
            .distinct(args.input_fields.first(), args.is_distinct)
            .is_some()
        {
            let item = Arc::new(Field::new_list_field(DataType::Float64, true));
            let values = Field::new(args.name, DataType::List(item), true);
            return Ok(vec![Arc::new(values)]);
        }
        match self.numbers(args.input_fields.first(), args.is_distinct) {
            Some(_) => Ok(vec![Arc::new(Field::new(
                args.name,
                DataType::Binary,
                false,
            ))]),
            None => self.native.state_fields(args),
        }
    }
    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        let what = self.what;
        if let Some(none) = self.distinct(args.expr_fields.first(), args.is_distinct) {
            return Ok(Box::new(Distinct {
                what,
                none,
                values: BTreeSet::new(),
            }));
        }
        match self.numbers(args.expr_fields.first(), args.is_distinct) {
            Some(numbers) => Ok(Box::new(One { what, numbers })),
            None => self.native.accumulator(args),
        }
    }
    fn create_sliding_accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        let what = self.what;
        match self.numbers(args.expr_fields.first(), args.is_distinct) {
            Some(numbers) => Ok(Box::new(One { what, numbers })),
            None => self.native.create_sliding_accumulator(args),
        }
    }
    fn groups_accumulator_supported(&self, args: AccumulatorArgs) -> bool {
        let argument = args.expr_fields.first();
        match self.distinct(argument, args.is_distinct) {
            Some(_) => false,
            None => {
                self.numbers(argument, args.is_distinct).is_some()
                    || self.native.groups_accumulator_supported(args)
            }
        }
    }
    fn create_groups_accumulator(
        &self,
        args: AccumulatorArgs,
    ) -> Result<Box<dyn GroupsAccumulator>> {
        let what = self.what;
        match self.numbers(args.expr_fields.first(), args.is_distinct) {
            Some(none) => Ok(Box::new(Groups {
                what,
                none,
                groups: Vec::new(),
            })),
            None => self.native.create_groups_accumulator(args),
        }
    }
}

/// What has been added up.
#[derive(Clone, Debug, Serialize, Deserialize)]
enum Numbers {
    Integers(IntSum),
    Floats(FloatSum),
    Moments(Box<Moments>),
    Decimals(Digits),
}

/// A sum of decimals.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Digits {
    sum: IntSum,
    /// Of the result.
    precision: u8,
    scale: i8,
    /// How many digits the result has behind the point, more than the values.
    more: u8,
}

impl Digits {
    /// Results have ten digits more for a sum, and four more behind the point for a mean, as DataFusion's and Spark's do.
    fn new(what: What, precision: u8, scale: i8) -> Self {
        let (digits, more) = match what {
            What::Mean => (4, 4),
            What::Sum | What::Variance { .. } | What::Deviation { .. } => (10, 0),
        };
        let of_result = scale.saturating_add(more).min(DECIMAL128_MAX_SCALE);
        Digits {
            sum: IntSum::default(),
            precision: (precision + digits).min(DECIMAL128_MAX_PRECISION),
            scale: of_result,
            more: of_result.saturating_sub(scale).unsigned_abs(),
        }
    }

    fn result(&self, what: What) -> Option<i128> {
        match what {
            What::Mean => self.sum.decimal_mean(self.precision, self.more),
            _ => self.sum.decimal_sum(self.precision),
        }
    }

    fn data_type(&self) -> DataType {
        DataType::Decimal128(self.precision, self.scale)
    }
}

impl Numbers {
    /// Adds the value in a row of a column, or takes it away; a null is none.
    fn add(&mut self, column: &ArrayRef, row: usize, diff: i64) {
        if column.is_null(row) {
            return;
        }
        match self {
            Numbers::Integers(sum) => {
                sum.add(column.as_primitive::<Int64Type>().value(row), diff);
            }
            Numbers::Floats(sum) => {
                sum.add(column.as_primitive::<Float64Type>().value(row), diff);
            }
            Numbers::Moments(moments) => {
                moments.add(column.as_primitive::<Float64Type>().value(row), diff);
            }
            Numbers::Decimals(digits) => {
                let unscaled = column.as_primitive::<Decimal128Type>().value(row);
                digits.sum.add_decimal(unscaled, diff);
            }
        }
    }

    fn merge(&mut self, bytes: &[u8]) -> Result<()> {
        match (self, read(bytes)?) {
            (Numbers::Integers(sum), Numbers::Integers(more)) => sum.merge(&more),
            (Numbers::Floats(sum), Numbers::Floats(more)) => sum.merge(&more),
            (Numbers::Moments(moments), Numbers::Moments(more)) => moments.merge(&more),
            (Numbers::Decimals(digits), Numbers::Decimals(more)) => digits.sum.merge(&more.sum),
            (one, other) => panic!("sums of different kinds were added: {one:?} and {other:?}"),
        }
        Ok(())
    }

    fn bytes(&self) -> Result<Vec<u8>> {
        postcard::to_stdvec(self).map_err(|it| DataFusionError::External(it.into()))
    }

    fn result(&self, what: What) -> Number {
        match (self, what) {
            (Numbers::Integers(sum), _) => Number::Integer(sum.sum()),
            (Numbers::Decimals(digits), what) => Number::Decimal(digits.result(what)),
            (Numbers::Floats(sum), What::Mean) => Number::Float(sum.mean()),
            (Numbers::Floats(sum), _) => Number::Float(sum.sum()),
            (Numbers::Moments(it), What::Deviation { sample }) => Number::Float(it.stddev(sample)),
            (Numbers::Moments(it), What::Variance { sample }) => Number::Float(it.variance(sample)),
            (Numbers::Moments(_), What::Sum | What::Mean) => {
                panic!("sums and means need no squares")
            }
        }
    }
}

fn read(bytes: &[u8]) -> Result<Numbers> {
    postcard::from_bytes(bytes).map_err(|it| DataFusionError::External(it.into()))
}

enum Number {
    Integer(Option<i64>),
    Float(Option<f64>),
    Decimal(Option<i128>),
}

/// Results of many groups as a column.
fn column(results: impl Iterator<Item = Number>, none: &Numbers) -> ArrayRef {
    const ONE_TYPE: &str = "results of one function are of one type";
    match none {
        Numbers::Integers(_) => Arc::new(Int64Array::from_iter(results.map(|it| match it {
            Number::Integer(it) => it,
            Number::Float(_) | Number::Decimal(_) => panic!("{ONE_TYPE}"),
        }))),
        Numbers::Floats(_) | Numbers::Moments(_) => {
            Arc::new(Float64Array::from_iter(results.map(|it| match it {
                Number::Float(it) => it,
                Number::Integer(_) | Number::Decimal(_) => panic!("{ONE_TYPE}"),
            })))
        }
        Numbers::Decimals(digits) => {
            let decimals = Decimal128Array::from_iter(results.map(|it| match it {
                Number::Decimal(it) => it,
                Number::Integer(_) | Number::Float(_) => panic!("{ONE_TYPE}"),
            }));
            Arc::new(decimals.with_data_type(digits.data_type()))
        }
    }
}

/// One group.
#[derive(Debug)]
struct One {
    what: What,
    numbers: Numbers,
}

impl Accumulator for One {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        (0..values[0].len()).for_each(|row| self.numbers.add(&values[0], row, 1));
        Ok(())
    }
    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        (0..values[0].len()).for_each(|row| self.numbers.add(&values[0], row, -1));
        Ok(())
    }
    fn supports_retract_batch(&self) -> bool {
        true
    }
    fn evaluate(&mut self) -> Result<ScalarValue> {
        let result = self.numbers.result(self.what);
        let column = column(std::iter::once(result), &self.numbers);
        ScalarValue::try_from_array(&column, 0)
    }
    fn size(&self) -> usize {
        size_of_val(self)
    }
    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![ScalarValue::Binary(Some(self.numbers.bytes()?))])
    }
    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let states = states[0].as_binary::<i32>().iter().flatten();
        states.into_iter().try_for_each(|it| self.numbers.merge(it))
    }
}

/// One group of floats, of which each counts once.
#[derive(Debug)]
struct Distinct {
    what: What,
    /// What adding up begins with.
    none: Numbers,
    values: BTreeSet<Float>,
}

impl Distinct {
    fn insert(&mut self, values: &ArrayRef) {
        let values = values.as_primitive::<Float64Type>();
        self.values.extend(values.iter().flatten().map(Float::new));
    }

    fn column(&self) -> ArrayRef {
        let values = self.values.iter().map(|it| it.get());
        Arc::new(Float64Array::from_iter_values(values))
    }
}

impl Accumulator for Distinct {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.insert(&values[0]);
        Ok(())
    }
    fn evaluate(&mut self) -> Result<ScalarValue> {
        let mut numbers = self.none.clone();
        let values = self.column();
        (0..values.len()).for_each(|row| numbers.add(&values, row, 1));
        let result = column(std::iter::once(numbers.result(self.what)), &numbers);
        ScalarValue::try_from_array(&result, 0)
    }
    fn size(&self) -> usize {
        size_of_val(self) + self.values.len() * size_of::<Float>()
    }
    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let values = self.values.iter();
        let values: Vec<ScalarValue> = values
            .map(|it| ScalarValue::Float64(Some(it.get())))
            .collect();
        let list = ScalarValue::new_list_nullable(&values, &DataType::Float64);
        Ok(vec![ScalarValue::List(list)])
    }
    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let lists = states[0].as_list::<i32>().iter().flatten();
        lists.into_iter().for_each(|it| self.insert(&it));
        Ok(())
    }
}

/// Many groups.
struct Groups {
    what: What,
    /// What a group begins with.
    none: Numbers,
    groups: Vec<Numbers>,
}

impl GroupsAccumulator for Groups {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        filter: Option<&BooleanArray>,
        groups: usize,
    ) -> Result<()> {
        self.groups.resize(groups, self.none.clone());
        for (row, group) in group_indices.iter().enumerate() {
            if filter.is_none_or(|it| it.is_valid(row) && it.value(row)) {
                self.groups[*group].add(&values[0], row, 1);
            }
        }
        Ok(())
    }
    fn evaluate(&mut self, emit: EmitTo) -> Result<ArrayRef> {
        let groups = emit.take_needed(&mut self.groups);
        let results = groups.iter().map(|it| it.result(self.what));
        Ok(column(results, &self.none))
    }
    fn state(&mut self, emit: EmitTo) -> Result<Vec<ArrayRef>> {
        let groups = emit.take_needed(&mut self.groups);
        let states: Vec<Vec<u8>> = groups.iter().map(Numbers::bytes).collect::<Result<_>>()?;
        Ok(vec![Arc::new(BinaryArray::from_iter_values(states))])
    }
    fn merge_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        groups: usize,
    ) -> Result<()> {
        self.groups.resize(groups, self.none.clone());
        let states = values[0].as_binary::<i32>();
        for (row, group) in group_indices.iter().enumerate() {
            self.groups[*group].merge(states.value(row))?;
        }
        Ok(())
    }
    fn convert_to_state(
        &self,
        values: &[ArrayRef],
        filter: Option<&BooleanArray>,
    ) -> Result<Vec<ArrayRef>> {
        let states = (0..values[0].len()).map(|row| {
            let mut one = self.none.clone();
            if filter.is_none_or(|it| it.is_valid(row) && it.value(row)) {
                one.add(&values[0], row, 1);
            }
            one.bytes()
        });
        let states: Vec<Vec<u8>> = states.collect::<Result<_>>()?;
        Ok(vec![Arc::new(BinaryArray::from_iter_values(states))])
    }
    fn size(&self) -> usize {
        self.groups.capacity() * size_of::<Numbers>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::RecordBatch;
    use datafusion::execution::context::SessionContext;

    const QUERIES: [&str; 6] = [
        "sum(x)",
        "avg(x)",
        "var(x)",
        "var_pop(x)",
        "stddev(x)",
        "stddev_pop(x)",
    ];

    async fn answer(context: &SessionContext, query: &str) -> RecordBatch {
        let frame = context.sql(query).await.expect(query);
        let batches = frame.collect().await.expect(query);
        let schema = batches[0].schema();
        arrow::compute::concat_batches(&schema, &batches).expect("batches of one answer")
    }

    fn contexts(batch: &RecordBatch) -> [SessionContext; 2] {
        let (ours, theirs) = (SessionContext::new(), SessionContext::new());
        all()
            .iter()
            .for_each(|it| ours.register_udaf(it.as_ref().clone()));
        for context in [&ours, &theirs] {
            context.register_batch("t", batch.clone()).expect("a table");
        }
        [ours, theirs]
    }

    #[tokio::test]
    async fn for_plain_numbers_they_are_what_datafusion_computes() {
        let k = Int64Array::from_iter_values((0..1000).map(|it| it % 7));
        let n = Int64Array::from_iter((0..1000).map(|it| (it % 5 != 0).then_some(it * 31 - 900)));
        let x = Float64Array::from_iter(
            (0..1000).map(|it| (it % 11 != 0).then_some(f64::from(it) * 0.37 - 20.0)),
        );
        let columns: [(&str, ArrayRef); 3] =
            [("k", Arc::new(k)), ("n", Arc::new(n)), ("x", Arc::new(x))];
        let [ours, theirs] = contexts(&RecordBatch::try_from_iter(columns).expect("a batch"));
        for of in QUERIES {
            for query in [
                format!("SELECT {of} FROM t"),
                format!("SELECT {of} FROM t WHERE false"),
                format!("SELECT k, {of} FROM t GROUP BY k ORDER BY k"),
                format!("SELECT k, {of} FILTER (WHERE n > 100) FROM t GROUP BY k ORDER BY k"),
                format!(
                    "SELECT {of} OVER (ORDER BY n ROWS BETWEEN 3 PRECEDING AND CURRENT ROW) FROM t WHERE n IS NOT NULL ORDER BY n"
                ),
            ] {
                let (a, b) = (answer(&ours, &query).await, answer(&theirs, &query).await);
                let last = a.num_columns() - 1;
                let values = |it: &RecordBatch| {
                    it.column(last)
                        .as_primitive::<Float64Type>()
                        .iter()
                        .collect::<Vec<_>>()
                };
                for (a, b) in values(&a).into_iter().zip(values(&b)) {
                    match (a, b) {
                        (Some(a), Some(b)) => assert!(
                            (a - b).abs() <= 1e-6 * b.abs().max(1e-2),
                            "{query}: {a} {b}"
                        ),
                        (a, b) => assert_eq!(a, b, "{query}"),
                    }
                }
            }
        }
        for query in [
            "SELECT sum(n), sum(DISTINCT n), avg(n) FROM t",
            "SELECT k, sum(n) FROM t GROUP BY k ORDER BY k",
            "SELECT sum(CAST(n AS DECIMAL(20, 2))) FROM t",
        ] {
            assert_eq!(answer(&ours, query).await, answer(&theirs, query).await);
        }
    }

    #[tokio::test]
    async fn extremes_have_a_defined_result() {
        let n = Int64Array::from(vec![i64::MAX, i64::MAX, i64::MIN, -5]);
        let x = Float64Array::from(vec![1e308, 1e308, -1e308, 1e-3]);
        let columns: [(&str, ArrayRef); 2] = [("n", Arc::new(n)), ("x", Arc::new(x))];
        let [ours, _] = contexts(&RecordBatch::try_from_iter(columns).expect("a batch"));
        let query = "SELECT sum(n), sum(n) FILTER (WHERE n > 0), sum(x), avg(x), stddev_pop(x), var(x) FROM t";
        let answer = answer(&ours, query).await;
        assert_eq!(
            answer.column(0).as_primitive::<Int64Type>().value(0),
            i64::MAX - 6
        );
        assert!(answer.column(1).is_null(0));
        let float = |at: usize| answer.column(at).as_primitive::<Float64Type>().value(0);
        assert_eq!((float(2), float(3)), (1e308, 2.5e307));
        assert!(float(4).is_finite() && float(5) == f64::INFINITY);
    }
}
