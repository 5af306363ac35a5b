//! Conditions on how long ago a time is, as a comparison of the time with `now()`, which a view keeps exact: `extract(epoch FROM now() - at) < 3600`,
//! `extract(epoch FROM at) > extract(epoch FROM now()) - 60`, `timestampdiff(SECOND, at, now()) < 60` and `age(now(), at) < INTERVAL '1 hour'`
//! are `at > now() - INTERVAL …`. `NOT (at < now())` is `at >= now()`.

use crate::sql::syntax;
use datafusion::sql::sqlparser::ast::{
    BinaryOperator, DateTimeField, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments,
    UnaryOperator, Value,
};

const SECOND_US: i128 = 1_000_000;
/// Up to so long, an age in months and days is the difference of both times.
const AGE_US_MAX: i64 = 28 * 86_400 * 1_000_000;

/// What a condition is written as instead, if it is one of these.
pub fn compared(condition: &Expr) -> Option<String> {
    if let Expr::UnaryOp {
        op: UnaryOperator::Not,
        expr,
    } = condition
    {
        return not(expr);
    }
    let Expr::BinaryOp { left, op, right } = condition else {
        return None;
    };
    let turned = turned(op)?;
    of_age(left, op, right)
        .or_else(|| of_age(right, &turned, left))
        .or_else(|| of_whole_units(left, op, right))
        .or_else(|| of_whole_units(right, &turned, left))
        .or_else(|| of_epochs(left, op, right))
}

/// `NOT (a < b)` is `a >= b`, NULL or not.
fn not(condition: &Expr) -> Option<String> {
    let (left, op, right) = match condition {
        Expr::Nested(inner) => return not(inner),
        Expr::BinaryOp { left, op, right } => (left, op, right),
        _ => return None,
    };
    use BinaryOperator::{Gt, GtEq, Lt, LtEq};
    let opposite = match op {
        Lt => GtEq,
        LtEq => Gt,
        Gt => LtEq,
        GtEq => Lt,
        _ => return None,
    };
    if !mentions_now(condition) {
        return None;
    }
    let plain = Expr::BinaryOp {
        left: left.clone(),
        op: opposite,
        right: right.clone(),
    };
    Some(compared(&plain).unwrap_or_else(|| plain.to_string()))
}

fn turned(op: &BinaryOperator) -> Option<BinaryOperator> {
    use BinaryOperator::{Gt, GtEq, Lt, LtEq};
    match op {
        Lt => Some(Gt),
        LtEq => Some(GtEq),
        Gt => Some(Lt),
        GtEq => Some(LtEq),
        _ => None,
    }
}

/// `age(now(), at) < INTERVAL '1 hour'`
fn of_age(age: &Expr, op: &BinaryOperator, length: &Expr) -> Option<String> {
    let (now, time) = match arguments(age, &["age"])?.as_slice() {
        [now, time] if is_now(now) && !mentions_now(time) => ((*now).clone(), (*time).clone()),
        _ => return None,
    };
    let length = syntax::interval_us(length).filter(|it| (0..=AGE_US_MAX).contains(it))?;
    since(&time, &turned(op)?, &now, length.into())
}

/// `timestampdiff(SECOND, at, now()) < 60`, which counts whole units, cut off towards 0.
fn of_whole_units(count: &Expr, op: &BinaryOperator, number: &Expr) -> Option<String> {
    let args = arguments(count, &["timestampdiff"])?;
    let [unit, from, to] = args.as_slice() else {
        return None;
    };
    let unit_us: i128 = match unit.to_string().to_lowercase().as_str() {
        "second" => SECOND_US,
        "minute" => 60 * SECOND_US,
        "hour" => 3_600 * SECOND_US,
        "day" => 86_400 * SECOND_US,
        "week" => 7 * 86_400 * SECOND_US,
        _ => return None,
    };
    let number: i128 = number.to_string().parse().ok()?;
    use BinaryOperator::{Gt, GtEq, Lt, LtEq};
    // At least one whole unit, so that what is cut off towards 0 is below it.
    let (op, units) = match op {
        Lt | GtEq => (op.clone(), number),
        LtEq => (Lt, number + 1),
        Gt => (GtEq, number + 1),
        _ => return None,
    };
    let length = unit_us.checked_mul(units).filter(|it| 0 < *it)?;
    match (is_now(from), is_now(to)) {
        (false, true) if !mentions_now(from) => since(from, &turned(&op)?, to, length),
        (true, false) if !mentions_now(to) => since(to, &op, from, -length),
        _ => None,
    }
}

/// Seconds since 1970 of `now()` and of a time, in sums that are compared.
fn of_epochs(left: &Expr, op: &BinaryOperator, right: &Expr) -> Option<String> {
    let sum = Sum::of(left)?.plus(Sum::of(right)?.times(-1)?)?;
    let Sum {
        now,
        time,
        constant_us,
        of: (now_text, time_text),
        ..
    } = sum;
    if now == 0 || now.checked_add(time)? != 0 || constant_us % time != 0 {
        return None;
    }
    // time · at + now · now() + constant, compared with 0
    let op = match time < 0 {
        true => turned(op)?,
        false => op.clone(),
    };
    since(&time_text?, &op, &now_text?, constant_us / time)
}

/// `time op now - length`
fn since(time: &Expr, op: &BinaryOperator, now: &Expr, length_us: i128) -> Option<String> {
    let length_us = i64::try_from(length_us).ok()?;
    let sign = if length_us < 0 { '+' } else { '-' };
    let length_us = length_us.checked_abs()?;
    let second_us = 1_000_000;
    let length = match length_us % second_us {
        0 => format!("{} seconds", length_us / second_us),
        _ => format!("{length_us} microseconds"),
    };
    let time = match time {
        Expr::Identifier(_) | Expr::CompoundIdentifier(_) | Expr::Nested(_) => time.to_string(),
        other => format!("({other})"),
    };
    Some(format!("{time} {op} {now} {sign} INTERVAL '{length}'"))
}

/// A sum of seconds since 1970 and of numbers, multiplied so that all are whole.
struct Sum {
    /// How often `now()` is in it, and a time.
    now: i128,
    time: i128,
    constant_us: i128,
    /// By how much all was multiplied.
    by: i128,
    of: (Option<Expr>, Option<Expr>),
}

impl Sum {
    fn of(expr: &Expr) -> Option<Self> {
        match expr {
            Expr::Nested(it) => Sum::of(it),
            Expr::Value(it) => match &it.value {
                Value::Number(text, _) => Some(Sum {
                    now: 0,
                    time: 0,
                    constant_us: micros(text)?,
                    by: 1,
                    of: (None, None),
                }),
                _ => None,
            },
            Expr::UnaryOp {
                op: UnaryOperator::Minus,
                expr,
            } => Sum::of(expr)?.times(-1),
            Expr::Extract {
                field: DateTimeField::Epoch,
                expr,
                ..
            } => Sum::of_moment(expr),
            Expr::Function(_) => {
                let args = arguments(expr, &["date_part"])?;
                let [part, moment] = args.as_slice() else {
                    return None;
                };
                let is_epoch = part.to_string().eq_ignore_ascii_case("'epoch'");
                is_epoch.then(|| Sum::of_moment(moment)).flatten()
            }
            Expr::BinaryOp { left, op, right } => match op {
                BinaryOperator::Plus => Sum::of(left)?.plus(Sum::of(right)?),
                BinaryOperator::Minus => Sum::of(left)?.plus(Sum::of(right)?.times(-1)?),
                BinaryOperator::Multiply => match (whole(left), whole(right)) {
                    (_, Some(by)) => Sum::of(left)?.times(by),
                    (Some(by), None) => Sum::of(right)?.times(by),
                    (None, None) => None,
                },
                BinaryOperator::Divide => {
                    let sum = Sum::of(left)?;
                    // A number divided by another may be a whole one.
                    let is_of_times = sum.now != 0 || sum.time != 0;
                    let by = whole(right).filter(|it| 0 < *it && is_of_times)?;
                    Some(Sum {
                        by: sum.by.checked_mul(by)?,
                        ..sum
                    })
                }
                _ => None,
            },
            _ => None,
        }
    }

    /// The seconds of a time since 1970, or between two.
    fn of_moment(expr: &Expr) -> Option<Self> {
        let none = Sum {
            now: 0,
            time: 0,
            constant_us: 0,
            by: 1,
            of: (None, None),
        };
        match expr {
            Expr::Nested(it) => Sum::of_moment(it),
            now if is_now(now) => Some(Sum {
                now: 1,
                of: (Some(now.clone()), None),
                ..none
            }),
            Expr::BinaryOp { left, op, right } if mentions_now(expr) => {
                let length = syntax::interval_us(right);
                let (left, right) = match (op, length) {
                    (BinaryOperator::Minus, None) => {
                        (Sum::of_moment(left)?, Sum::of_moment(right)?.times(-1)?)
                    }
                    (BinaryOperator::Minus | BinaryOperator::Plus, Some(length)) => {
                        let is_later = *op == BinaryOperator::Plus;
                        let length = i128::from(length);
                        let constant_us = if is_later { length } else { -length };
                        (
                            Sum::of_moment(left)?,
                            Sum {
                                constant_us,
                                ..none
                            },
                        )
                    }
                    _ => return None,
                };
                left.plus(right)
            }
            time if !mentions_now(time) => Some(Sum {
                time: 1,
                of: (None, Some(time.clone())),
                ..none
            }),
            _ => None,
        }
    }

    fn times(self, by: i128) -> Option<Self> {
        Some(Sum {
            now: self.now.checked_mul(by)?,
            time: self.time.checked_mul(by)?,
            constant_us: self.constant_us.checked_mul(by)?,
            ..self
        })
    }

    fn plus(self, other: Sum) -> Option<Self> {
        let (by, other_by) = (self.by, other.by);
        let (this, other) = (self.times(other_by)?, other.times(by)?);
        // Of one time alone it is known what is compared.
        let same = |one: Option<Expr>, other: Option<Expr>| match (one, other) {
            (Some(one), Some(other)) => (one == other).then_some(Some(one)),
            (one, other) => Some(one.or(other)),
        };
        Some(Sum {
            now: this.now.checked_add(other.now)?,
            time: this.time.checked_add(other.time)?,
            constant_us: this.constant_us.checked_add(other.constant_us)?,
            by: by.checked_mul(other_by)?,
            of: (same(this.of.0, other.of.0)?, same(this.of.1, other.of.1)?),
        })
    }
}

/// A number of seconds in microseconds, if these are whole.
fn micros(text: &str) -> Option<i128> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if 6 < fraction.len() || fraction.chars().any(|it| !it.is_ascii_digit()) {
        return None;
    }
    let whole: i128 = if whole.is_empty() {
        0
    } else {
        whole.parse().ok()?
    };
    let fraction: i128 = format!("{fraction:0<6}").parse().ok()?;
    whole.checked_mul(SECOND_US)?.checked_add(fraction)
}

fn whole(expr: &Expr) -> Option<i128> {
    match expr {
        Expr::Nested(it) => whole(it),
        Expr::Value(it) => match &it.value {
            Value::Number(text, _) => {
                let text = text.strip_suffix(".0").unwrap_or(text);
                text.parse().ok()
            }
            _ => None,
        },
        _ => None,
    }
}

const NOW: [&str; 6] = [
    "now()",
    "current_timestamp",
    "current_timestamp()",
    "localtimestamp",
    "localtimestamp()",
    "proctime()",
];

fn is_now(expr: &Expr) -> bool {
    match expr {
        Expr::Nested(it) => is_now(it),
        other => NOW.contains(&other.to_string().to_lowercase().as_str()),
    }
}

fn mentions_now(expr: &Expr) -> bool {
    const NAMES: [&str; 7] = [
        "now()",
        "now ()",
        "current_timestamp",
        "localtimestamp",
        "proctime",
        "current_date",
        "current_time",
    ];
    let text = expr.to_string().to_lowercase();
    NAMES.iter().any(|it| text.contains(it))
}

/// The arguments of a call of one of these functions.
fn arguments<'a>(expr: &'a Expr, names: &[&str]) -> Option<Vec<&'a Expr>> {
    let Expr::Function(Function {
        name,
        args: FunctionArguments::List(list),
        ..
    }) = expr
    else {
        return None;
    };
    let name = name.to_string().to_lowercase();
    let plain = |it: &'a FunctionArg| match it {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(it)) => Some(it),
        _ => None,
    };
    match names.contains(&name.as_str()) {
        true => list.args.iter().map(plain).collect(),
        false => None,
    }
}
