//! Scalar functions that are computed row by row, each by one plain function of ours.
//!
//! Where an argument is NULL the result is NULL. A row that a function fails for fails alone.

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, BooleanArray, Float64Array, Int64Array, ListBuilder,
    StringArray, StringBuilder, TimestampMicrosecondArray,
};
use arrow::compute::cast;
use arrow::datatypes::{DataType, FieldRef, Float64Type, Int64Type, TimeUnit};
use datafusion::common::{DataFusionError, Result, exec_err, plan_err};
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Volatility,
};
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// How many bytes a function may make of one row where its result can be much longer than its arguments.
pub(super) const RESULT_BYTES_MAX: usize = 16 << 20;

/// What an argument is.
#[derive(Clone, Copy, Debug)]
pub(super) enum Takes {
    Text,
    Int,
    /// As 0 or 1.
    Bool,
    /// Any number, as a double.
    Float,
    Bytes,
    Texts,
}

impl Takes {
    fn fits(self, given: &DataType) -> bool {
        let is_text = |it: &DataType| {
            matches!(
                it,
                DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Null
            )
        };
        if *given == DataType::Null {
            return true;
        }
        match self {
            Takes::Text => is_text(given),
            Takes::Int => given.is_integer(),
            Takes::Bool => *given == DataType::Boolean,
            Takes::Float => given.is_numeric(),
            Takes::Bytes => matches!(
                given,
                DataType::Binary | DataType::LargeBinary | DataType::BinaryView
            ),
            Takes::Texts => match given {
                DataType::List(it) | DataType::LargeList(it) => is_text(it.data_type()),
                _ => false,
            },
        }
    }

    fn data_type(self) -> DataType {
        match self {
            Takes::Text => DataType::Utf8,
            Takes::Int => DataType::Int64,
            Takes::Bool => DataType::Boolean,
            Takes::Float => DataType::Float64,
            Takes::Bytes => DataType::Binary,
            Takes::Texts => texts_type(),
        }
    }
}

/// What a function gives.
#[derive(Clone, Copy, Debug)]
pub(super) enum Gives {
    Text,
    Int,
    Float,
    Bool,
    Bytes,
    Texts,
    Time,
}

impl Gives {
    fn data_type(self) -> DataType {
        match self {
            Gives::Text => DataType::Utf8,
            Gives::Int => DataType::Int64,
            Gives::Float => DataType::Float64,
            Gives::Bool => DataType::Boolean,
            Gives::Bytes => DataType::Binary,
            Gives::Texts => texts_type(),
            Gives::Time => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        }
    }
}

fn texts_type() -> DataType {
    DataType::new_list(DataType::Utf8, true)
}

/// One result.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Given {
    Text(String),
    Int(i64),
    Float(f64),
    Bool(bool),
    Bytes(Vec<u8>),
    Texts(Vec<String>),
    /// Microseconds since 1970 in UTC.
    Time(i64),
}

/// One argument that is not NULL.
#[derive(Clone, Debug)]
pub(super) enum Arg<'a> {
    Text(&'a str),
    Int(i64),
    Float(f64),
    Bytes(&'a [u8]),
    /// Without those that are NULL.
    Texts(Vec<String>),
}

impl Arg<'_> {
    /// The text, or nothing of what is none.
    pub fn text(&self) -> &str {
        match self {
            Arg::Text(it) => it,
            Arg::Int(_) | Arg::Float(_) | Arg::Bytes(_) | Arg::Texts(_) => "",
        }
    }

    pub fn int(&self) -> i64 {
        match self {
            Arg::Int(it) => *it,
            Arg::Text(_) | Arg::Float(_) | Arg::Bytes(_) | Arg::Texts(_) => 0,
        }
    }

    pub fn float(&self) -> f64 {
        match self {
            Arg::Float(it) => *it,
            Arg::Text(_) | Arg::Int(_) | Arg::Bytes(_) | Arg::Texts(_) => f64::NAN,
        }
    }

    /// The bytes of a text or of bytes.
    pub fn bytes(&self) -> &[u8] {
        match self {
            Arg::Text(it) => it.as_bytes(),
            Arg::Bytes(it) => it,
            Arg::Int(_) | Arg::Float(_) | Arg::Texts(_) => &[],
        }
    }
}

/// A function: what it is called, the arguments that it takes, in each of its ways, what it gives of them, and what computes it.
pub(super) struct Rowwise {
    pub name: &'static str,
    /// How it is called, as a hint says it.
    pub usage: &'static str,
    pub ways: &'static [(&'static [Takes], Gives)],
    pub of: fn(&[Arg]) -> Result<Option<Given>>,
    /// Refuses constant arguments for which no row could be computed.
    pub check: Option<fn(&[Option<&str>]) -> Result<(), String>>,
}

impl Rowwise {
    /// A function of one text that gives a text.
    pub fn of_text(
        name: &'static str,
        usage: &'static str,
        of: fn(&[Arg]) -> Result<Option<Given>>,
    ) -> Self {
        Rowwise {
            name,
            usage,
            ways: &[(&[Takes::Text], Gives::Text)],
            of,
            check: None,
        }
    }

    pub fn function(self) -> Arc<ScalarUDF> {
        Arc::new(ScalarUDF::from(Function {
            signature: Signature::variadic_any(Volatility::Immutable),
            rowwise: self,
        }))
    }
}

struct Function {
    rowwise: Rowwise,
    signature: Signature,
}

impl std::fmt::Debug for Function {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.rowwise.name)
    }
}

// A function is what its name says.
impl PartialEq for Function {
    fn eq(&self, other: &Self) -> bool {
        self.rowwise.name == other.rowwise.name
    }
}

impl Eq for Function {}

impl Hash for Function {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.rowwise.name.hash(state);
    }
}

impl Function {
    fn way(&self, given: &[DataType]) -> Result<&'static (&'static [Takes], Gives)> {
        let fits = |it: &&(&[Takes], Gives)| {
            let mut pairs = it.0.iter().zip(given);
            it.0.len() == given.len() && pairs.all(|(takes, given)| takes.fits(given))
        };
        match self.rowwise.ways.iter().find(fits) {
            Some(way) => Ok(way),
            None => plan_err!("write {}", self.rowwise.usage),
        }
    }
}

impl ScalarUDFImpl for Function {
    fn name(&self) -> &str {
        self.rowwise.name
    }
    fn signature(&self) -> &Signature {
        &self.signature
    }
    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        Ok(self.way(types)?.1.data_type())
    }
    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        let types = args.arg_fields.iter().map(|it| it.data_type().clone());
        let data_type = self.return_type(&types.collect::<Vec<_>>())?;
        if let Some(check) = self.rowwise.check {
            let constants = args.scalar_arguments.iter();
            let texts = constants.map(|it| it.and_then(|it| it.try_as_str().flatten()));
            check(&texts.collect::<Vec<_>>()).map_err(DataFusionError::Plan)?;
        }
        Ok(Arc::new(arrow::datatypes::Field::new(
            self.rowwise.name,
            data_type,
            true,
        )))
    }
    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let rows = args.number_rows;
        let types = args.args.iter().map(ColumnarValue::data_type);
        let (takes, gives) = self.way(&types.collect::<Vec<_>>())?;
        let columns = args
            .args
            .iter()
            .zip(*takes)
            .map(|(it, takes)| Ok(cast(&it.to_array(rows)?, &takes.data_type())?));
        let columns = columns.collect::<Result<Vec<ArrayRef>>>()?;
        let one = |row: usize| {
            let given = columns.iter().zip(*takes);
            let given = given.map(|(column, takes)| argument(column, *takes, row));
            match given.collect::<Option<Vec<Arg>>>() {
                Some(args) => (self.rowwise.of)(&args),
                None => Ok(None),
            }
        };
        let all = (0..rows).map(one).collect::<Result<Vec<Option<Given>>>>()?;
        Ok(ColumnarValue::Array(column(
            self.rowwise.name,
            *gives,
            all,
        )?))
    }
}

fn argument(column: &ArrayRef, takes: Takes, row: usize) -> Option<Arg<'_>> {
    if column.is_null(row) {
        return None;
    }
    Some(match takes {
        Takes::Text => Arg::Text(column.as_string::<i32>().value(row)),
        Takes::Int => Arg::Int(column.as_primitive::<Int64Type>().value(row)),
        Takes::Bool => Arg::Int(column.as_boolean().value(row).into()),
        Takes::Float => Arg::Float(column.as_primitive::<Float64Type>().value(row)),
        Takes::Bytes => Arg::Bytes(column.as_binary::<i32>().value(row)),
        Takes::Texts => {
            let texts = column.as_list::<i32>().value(row);
            let texts = texts.as_string::<i32>().iter().flatten();
            Arg::Texts(texts.map(str::to_owned).collect())
        }
    })
}

/// Results as a column.
fn column(name: &str, gives: Gives, all: Vec<Option<Given>>) -> Result<ArrayRef> {
    macro_rules! each {
        ($given:ident) => {
            all.into_iter().map(|it| match it {
                Some(Given::$given(it)) => Ok(Some(it)),
                None => Ok(None),
                Some(other) => exec_err!("{name} gives {other:?}"),
            })
        };
    }
    Ok(match gives {
        Gives::Text => Arc::new(each!(Text).collect::<Result<StringArray>>()?),
        Gives::Int => Arc::new(each!(Int).collect::<Result<Int64Array>>()?),
        Gives::Float => Arc::new(each!(Float).collect::<Result<Float64Array>>()?),
        Gives::Bool => Arc::new(each!(Bool).collect::<Result<BooleanArray>>()?),
        Gives::Bytes => Arc::new(each!(Bytes).collect::<Result<BinaryArray>>()?),
        Gives::Time => {
            let times = each!(Time).collect::<Result<TimestampMicrosecondArray>>()?;
            Arc::new(times.with_timezone("UTC"))
        }
        Gives::Texts => {
            let mut lists = ListBuilder::new(StringBuilder::new());
            for list in each!(Texts) {
                lists.append_option(list?.map(|it| it.into_iter().map(Some)));
            }
            Arc::new(lists.finish())
        }
    })
}

#[cfg(test)]
pub(super) fn computed(function: &Rowwise, args: &[Arg]) -> Option<Given> {
    (function.of)(args).unwrap()
}
