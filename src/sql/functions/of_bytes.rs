//! `octet_length` and `to_hex` of bytes, too: DataFusion's take texts and integers alone.

use super::texts::hexadecimal;
use arrow::array::{ArrayRef, AsArray, BinaryArray, Int32Array, StringArray, new_null_array};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use datafusion::common::{Result, exec_err, plan_err};
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use std::sync::Arc;

/// All of them.
pub(super) fn all() -> Vec<Arc<ScalarUDF>> {
    let of = |native, what| {
        Arc::new(ScalarUDF::from(OfBytes {
            native,
            what,
            signature: Signature::any(1, Volatility::Immutable),
        }))
    };
    vec![
        of(datafusion::functions::string::octet_length(), What::Length),
        of(datafusion::functions::string::to_hex(), What::Digits),
    ]
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum What {
    Length,
    Digits,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct OfBytes {
    native: Arc<ScalarUDF>,
    what: What,
    signature: Signature,
}

/// Whether an argument is bytes, or NULL, which is of any type.
fn is_bytes(data_type: &DataType) -> bool {
    matches!(
        data_type,
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::Null
    )
}

impl OfBytes {
    fn of(&self, bytes: &BinaryArray) -> Result<ArrayRef> {
        Ok(match self.what {
            What::Length => {
                let lengths = bytes.iter().map(|it| match it.map(|it| it.len()) {
                    Some(length) => match i32::try_from(length) {
                        Ok(it) => Ok(Some(it)),
                        Err(_) => exec_err!("{length} bytes are more than an INT holds"),
                    },
                    None => Ok(None),
                });
                Arc::new(lengths.collect::<Result<Int32Array>>()?)
            }
            What::Digits => {
                let digits = bytes.iter().map(|it| it.map(hexadecimal));
                Arc::new(digits.collect::<StringArray>())
            }
        })
    }
}

impl ScalarUDFImpl for OfBytes {
    fn name(&self) -> &str {
        self.native.name()
    }
    fn aliases(&self) -> &[String] {
        self.native.aliases()
    }
    fn signature(&self) -> &Signature {
        &self.signature
    }
    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        match (self.what, types) {
            (What::Length, [it]) if is_bytes(it) => Ok(DataType::Int32),
            (What::Digits, [it]) if is_bytes(it) => Ok(DataType::Utf8),
            (What::Length, [DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View]) => {
                self.native.return_type(types)
            }
            (What::Length, _) => plan_err!("octet_length takes a text or bytes"),
            (What::Digits, [it]) if it.is_integer() => self.native.return_type(types),
            (What::Digits, _) => plan_err!("to_hex takes an integer or bytes"),
        }
    }
    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let given = args.args[0].data_type();
        if given == DataType::Null {
            let none = new_null_array(args.return_field.data_type(), args.number_rows);
            return Ok(ColumnarValue::Array(none));
        }
        if !is_bytes(&given) {
            return self.native.invoke_with_args(args);
        }
        let bytes = args.args[0].to_array(args.number_rows)?;
        let bytes = cast(&bytes, &DataType::Binary)?;
        Ok(ColumnarValue::Array(self.of(bytes.as_binary::<i32>())?))
    }
}
