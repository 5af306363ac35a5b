//! `local_time` and `instant_of`: what `AT TIME ZONE` stands for, in one direction and in the other.
//!
//! Rows carry one type of time, so both give it: a local time is the one that a clock in UTC shows where it says the same.

use super::{SECOND_US, STRICT, utc_micros};
use arrow::array::{AsArray, TimestampMicrosecondArray};
use arrow::compute::cast_with_options;
use arrow::datatypes::{DataType, Field, FieldRef, TimestampMicrosecondType};
use chrono::{Offset, TimeZone};
use chrono_tz::Tz;
use datafusion::common::{Result, exec_datafusion_err, exec_err, plan_datafusion_err, plan_err};
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Volatility,
};
use std::sync::Arc;

/// The function that gives the local time of an instant in a zone.
pub const LOCAL_TIME: &str = "local_time";
/// The function that gives the instant of a local time in a zone.
pub const INSTANT_OF: &str = "instant_of";

/// Both functions.
pub(super) fn all() -> Vec<Arc<ScalarUDF>> {
    let both = [Way::Local, Way::Instant].map(|way| Zoned {
        way,
        signature: Signature::any(2, Volatility::Immutable),
    });
    both.map(|it| Arc::new(ScalarUDF::from(it))).to_vec()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Way {
    /// From an instant to local time.
    Local,
    /// From local time to an instant.
    Instant,
}

impl Way {
    /// A time in microseconds on the other side. A local time that comes twice, when clocks are put back, is the second of the two; one that is left out, when
    /// they are put forward, is read by the clock as it was before. Postgres has the same rule.
    fn moved(self, us: i64, zone: Tz) -> Result<i64> {
        let moved = || {
            let time = chrono::DateTime::from_timestamp_micros(us)?.naive_utc();
            let (offset, sign) = match self {
                Way::Local => (zone.offset_from_utc_datetime(&time), 1),
                Way::Instant => {
                    let offset = match zone.offset_from_local_datetime(&time).latest() {
                        Some(it) => it,
                        None => {
                            let before = time.checked_sub_signed(chrono::TimeDelta::days(1))?;
                            zone.offset_from_utc_datetime(&before)
                        }
                    };
                    (offset, -1)
                }
            };
            us.checked_add(sign * i64::from(offset.fix().local_minus_utc()) * SECOND_US)
        };
        moved()
            .ok_or_else(|| exec_datafusion_err!("{us} µs from 1970 is no time that a calendar has"))
    }
}

/// The zone of a name.
fn zone(name: &str) -> Result<Tz> {
    name.parse().map_err(|_| {
        plan_datafusion_err!(
            "AT TIME ZONE knows no zone '{name}'; write a name such as 'Europe/Berlin', and for a fixed difference to UTC + INTERVAL '2 hours'"
        )
    })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Zoned {
    way: Way,
    signature: Signature,
}

impl ScalarUDFImpl for Zoned {
    fn name(&self) -> &str {
        match self.way {
            Way::Local => LOCAL_TIME,
            Way::Instant => INSTANT_OF,
        }
    }
    fn signature(&self) -> &Signature {
        &self.signature
    }
    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        Ok(utc_micros())
    }
    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        let of = args.arg_fields[0].data_type();
        if !matches!(
            of,
            DataType::Timestamp(..) | DataType::Date32 | DataType::Date64 | DataType::Null
        ) {
            return plan_err!(
                "AT TIME ZONE takes a TIMESTAMP; CAST the value to TIMESTAMP, or to TIMESTAMPTZ if it is an instant"
            );
        }
        let of_zone = args.arg_fields[1].data_type();
        if !matches!(
            of_zone,
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Null
        ) {
            return plan_err!("AT TIME ZONE takes the name of a zone, such as 'Europe/Berlin'");
        }
        let constant = args.scalar_arguments[1];
        if let Some(name) = constant.and_then(|it| it.try_as_str().flatten()) {
            zone(name)?;
        }
        Ok(Arc::new(Field::new(self.name(), utc_micros(), true)))
    }
    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [times, zones] = args.args.as_slice() else {
            return exec_err!("{} takes a time and a zone", self.name());
        };
        let times = cast_with_options(&times.to_array(args.number_rows)?, &utc_micros(), &STRICT)?;
        let times = times.as_primitive::<TimestampMicrosecondType>();
        let constant = match zones {
            ColumnarValue::Scalar(it) => it.try_as_str().flatten(),
            ColumnarValue::Array(_) => None,
        };
        let moved: TimestampMicrosecondArray = match constant {
            Some(name) => {
                let zone = zone(name)?;
                times.try_unary(|us| self.way.moved(us, zone))?
            }
            None => {
                let zones = zones.to_array(args.number_rows)?;
                let zones = cast_with_options(&zones, &DataType::Utf8, &STRICT)?;
                let each = times.iter().zip(zones.as_string::<i32>());
                let each = each.map(|(us, name)| match (us, name) {
                    (Some(us), Some(name)) => self.way.moved(us, zone(name)?).map(Some),
                    _ => Ok(None),
                });
                each.collect::<Result<_>>()?
            }
        };
        Ok(ColumnarValue::Array(Arc::new(moved.with_timezone("UTC"))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn us(text: &str) -> i64 {
        let time = text.parse::<chrono::NaiveDateTime>().expect("a time");
        time.and_utc().timestamp_micros()
    }

    #[test]
    fn times_move_as_in_postgres() {
        for (way, place, from, to) in [
            (
                Way::Instant,
                "Europe/Berlin",
                "2024-02-29T23:59:59.999999",
                "2024-02-29T22:59:59.999999",
            ),
            (
                Way::Local,
                "Europe/Berlin",
                "2024-02-29T23:59:59.999999",
                "2024-03-01T00:59:59.999999",
            ),
            (
                Way::Local,
                "Asia/Tokyo",
                "2024-02-29T23:59:59.999999",
                "2024-03-01T08:59:59.999999",
            ),
            // Left out, and its neighbours.
            (
                Way::Instant,
                "Europe/Berlin",
                "2024-03-31T01:59:59",
                "2024-03-31T00:59:59",
            ),
            (
                Way::Instant,
                "Europe/Berlin",
                "2024-03-31T02:30:00",
                "2024-03-31T01:30:00",
            ),
            (
                Way::Instant,
                "Europe/Berlin",
                "2024-03-31T03:00:00",
                "2024-03-31T01:00:00",
            ),
            // There twice.
            (
                Way::Instant,
                "Europe/Berlin",
                "2024-10-27T02:30:00",
                "2024-10-27T01:30:00",
            ),
            (
                Way::Local,
                "Europe/Berlin",
                "2024-10-27T00:30:00",
                "2024-10-27T02:30:00",
            ),
            // A day that Samoa left out.
            (
                Way::Instant,
                "Pacific/Apia",
                "2011-12-30T12:00:00",
                "2011-12-30T22:00:00",
            ),
        ] {
            let moved = way.moved(us(from), zone(place).expect("it is known"));
            assert_eq!(moved.expect("it is near"), us(to), "{way:?} {place} {from}");
        }
        assert!(zone("+02").is_err());
        assert!(Way::Local.moved(i64::MAX, Tz::UTC).is_err());
    }
}
