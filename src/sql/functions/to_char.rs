//! `to_char` and `date_format`: DataFusion's formatter, which knows strftime alone (`%Y-%m-%d`) and takes anything else for text, taught the
//! patterns people bring along: those of Postgres for `to_char`, those of Java and Spark for `date_format`.
//!
//! A pattern without `%` is read in these; a letter that stands for nothing in them is refused, since printing the pattern
//! itself for every row would be a silent answer to another question.

use arrow::array::{Array, AsArray, StringArray};
use arrow::datatypes::DataType;
use datafusion::common::{DataFusionError, Result, ScalarValue, plan_err};
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
};
use std::sync::Arc;

pub(super) fn to_char() -> impl ScalarUDFImpl {
    Format::new("to_char", Pattern::Postgres)
}

pub(super) fn date_format() -> impl ScalarUDFImpl {
    Format::new("date_format", Pattern::Java)
}

/// Whose patterns of times are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Pattern {
    Postgres,
    Java,
}

/// What a pattern stands for, longer ones before those they begin with.
const POSTGRES: &[(&str, &str)] = &[
    ("FMMonth", "%B"),
    ("FMDay", "%A"),
    ("IYYY", "%G"),
    ("iyyy", "%G"),
    ("YYYY", "%Y"),
    ("yyyy", "%Y"),
    ("HH24", "%H"),
    ("hh24", "%H"),
    ("HH12", "%I"),
    ("hh12", "%I"),
    ("DDD", "%j"),
    ("ddd", "%j"),
    ("Mon", "%b"),
    ("DD", "%d"),
    ("dd", "%d"),
    ("Dy", "%a"),
    ("YY", "%y"),
    ("yy", "%y"),
    ("MM", "%m"),
    ("mm", "%m"),
    ("MI", "%M"),
    ("mi", "%M"),
    ("MS", "%3f"),
    ("ms", "%3f"),
    ("US", "%6f"),
    ("us", "%6f"),
    ("SS", "%S"),
    ("ss", "%S"),
    ("HH", "%I"),
    ("hh", "%I"),
    ("IW", "%V"),
    ("iw", "%V"),
    ("ID", "%u"),
    ("id", "%u"),
    ("AM", "%p"),
    ("PM", "%p"),
    ("am", "%P"),
    ("pm", "%P"),
    ("Q", "%q"),
    ("q", "%q"),
];

/// Patterns of Postgres for the zone of a time that is shown: it is UTC.
const UTC: &[(&str, &str)] = &[
    ("TZH", "+00"),
    ("tzh", "+00"),
    ("TZM", "00"),
    ("tzm", "00"),
    ("OF", "+00"),
];

/// Patterns of Postgres that have no counterpart, and what is written instead.
const INSTEAD: &[(&str, &str)] = &[
    ("mm", "minutes are MI there, and MM and mm are the month"),
    ("Day", "for the name without blanks behind it write FMDay"),
    (
        "Month",
        "for the name without blanks behind it write FMMonth",
    ),
    (
        "D",
        "for the day of the week from Sunday, 1, write extract(dow FROM time) + 1",
    ),
    (
        "WW",
        "for weeks from 1 January write (extract(doy FROM time) - 1) / 7 + 1, for those of ISO IW",
    ),
    ("TZH", "times are in UTC; write \"+00\""),
    ("TZM", "times are in UTC; write \"00\""),
    ("TZ", "times are in UTC; write \"UTC\""),
    ("OF", "times are in UTC; write \"+00\""),
];

const JAVA: &[(&str, &str)] = &[
    ("SSSSSS", "%6f"),
    ("yyyy", "%Y"),
    ("MMMM", "%B"),
    ("EEEE", "%A"),
    ("MMM", "%b"),
    ("EEE", "%a"),
    ("SSS", "%3f"),
    ("yy", "%y"),
    ("MM", "%m"),
    ("dd", "%d"),
    ("HH", "%H"),
    ("hh", "%I"),
    ("mm", "%M"),
    ("ss", "%S"),
    ("M", "%-m"),
    ("d", "%-d"),
    ("H", "%-H"),
    ("h", "%-I"),
    ("m", "%-M"),
    ("s", "%-S"),
    ("E", "%a"),
    ("a", "%p"),
];

impl Pattern {
    fn known(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Pattern::Postgres => POSTGRES,
            Pattern::Java => JAVA,
        }
    }

    /// What encloses text that stands for itself.
    fn quote(self) -> char {
        match self {
            Pattern::Postgres => '"',
            Pattern::Java => '\'',
        }
    }

    /// Where a function takes both: Java's years, days and minutes are small letters, Postgres' are not.
    pub fn of(pattern: &str) -> Self {
        let has = |any: &[&str]| any.iter().any(|it| pattern.contains(it));
        let is_postgres = has(&["MI", "mi", "HH24", "hh24", "HH12", "hh12"])
            // A month of two small letters, where there is none of capital ones.
            || has(&["yyyy"]) && has(&["mm"]) && !has(&["MM", "mm:", ":mm"]);
        match !is_postgres && has(&["yyyy", "mm:", ":mm"]) {
            true => Pattern::Java,
            false => Pattern::Postgres,
        }
    }

    /// A pattern as strftime has it.
    ///
    /// # Errors
    /// Names what is no pattern.
    pub fn strftime(self, function: &str, pattern: &str) -> Result<String, String> {
        if pattern.contains('%') {
            return Ok(pattern.to_owned());
        }
        let mut format = String::new();
        let mut rest = pattern;
        while let Some(next) = rest.chars().next() {
            if next == self.quote() {
                let (text, after) = rest[1..].split_once(next).ok_or_else(|| {
                    format!("{function}: in '{pattern}' a text is not closed by {next}")
                })?;
                format.push_str(text);
                rest = after;
                continue;
            }
            // Many of the same letter are a pattern of their own; its beginning means something else.
            let run = |of: &str| of.chars().take_while(|it| *it == next).count();
            // Postgres' months have no small letters behind hours: that is a slip for minutes.
            let is_slip = self == Pattern::Postgres
                && rest.starts_with("mm")
                && (format.ends_with(':') || rest[2..].starts_with(':'));
            let known = self.known().iter().filter(|_| !is_slip).find(|it| {
                rest.starts_with(it.0) && (run(it.0) < it.0.len() || run(rest) == it.0.len())
            });
            let zone = UTC.iter().find(|it| rest.starts_with(it.0));
            let known =
                known.or(zone.filter(|_| self == Pattern::Postgres && function == "to_char"));
            match known {
                Some((pattern, strftime)) => {
                    format.push_str(strftime);
                    rest = &rest[pattern.len()..];
                }
                None if next.is_alphabetic() => {
                    let same: String = rest.chars().take_while(|it| it.is_alphabetic()).collect();
                    return Err(self.unknown(function, pattern, &same));
                }
                None => {
                    format.push(next);
                    rest = &rest[next.len_utf8()..];
                }
            }
        }
        Ok(format)
    }

    fn unknown(self, function: &str, pattern: &str, at: &str) -> String {
        let quote = self.quote();
        let meant = match self {
            Pattern::Postgres => {
                "YYYY, Q, MM, DD, HH24, HH12, MI, SS, MS, US, Mon, Dy, FMMonth, FMDay, DDD, ID, IYYY, IW and AM"
            }
            Pattern::Java => "yyyy, MM, MMM, dd, HH, hh, mm, ss, SSS, E, EEEE and a",
        };
        let instead = INSTEAD.iter().find(|it| it.0 == at);
        if let (Pattern::Postgres, Some((_, instead))) = (self, instead) {
            return format!(
                "{function} does not know `{at}` in '{pattern}' as Postgres has it: {instead}"
            );
        }
        format!(
            "{function} does not know `{at}` in '{pattern}'; possible are {meant}, text in {quote}…{quote}, or strftime such as '%Y-%m-%d %H:%M:%S'"
        )
    }
}

/// What a format of strftime leaves out of a time, with the formats of these: without minutes the parser of times would pass over the hour, and
/// without a half of the day over one of twelve hours. As in Postgres, what is left out is the first: the minute 0, the morning, the first day.
pub fn left_out(format: &str, with_time: bool) -> (String, String) {
    let mut parts = Vec::new();
    let mut rest = format.split('%').skip(1);
    while let Some(part) = rest.next() {
        match part
            .trim_start_matches(|it: char| "-_0#.:".contains(it) || it.is_ascii_digit())
            .chars()
            .next()
        {
            Some(it) => parts.push(it),
            // `%%`
            None => _ = rest.next(),
        }
    }
    let has = |any: &str| parts.iter().any(|it| any.contains(*it));
    if has("c+s") {
        return <_>::default();
    }
    let (hour, minute, second) = (has("HkTRX"), has("MTRXr"), has("STXrf"));
    let hour_of_12 = has("Il") && !has("Pp");
    let month = has("mbBhDFx");
    let missing = [
        (with_time && hour_of_12 && !hour, "AM", "%p"),
        (
            with_time && (minute || second) && !hour && !has("Ilr"),
            "00",
            "%H",
        ),
        (
            with_time && (hour || has("Il") || second) && !minute,
            "00",
            "%M",
        ),
        (has("Yy") && !month && !has("jUW"), "01", "%m"),
        (has("Yy") && !has("deDFxjUW"), "01", "%d"),
        (has("Gg") && has("V") && !has("uwaA"), "1", "%u"),
    ];
    let missing = missing.iter().filter(|it| it.0);
    let (texts, formats): (Vec<&str>, Vec<&str>) = missing.map(|it| (it.1, it.2)).unzip();
    (texts.join(" "), formats.join(" "))
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Format {
    name: &'static str,
    patterns: Pattern,
    native: Arc<ScalarUDF>,
}

impl Format {
    fn new(name: &'static str, patterns: Pattern) -> Self {
        Format {
            name,
            patterns,
            native: datafusion::functions::datetime::to_char(),
        }
    }

    fn strftime(&self, pattern: &str) -> Result<String> {
        let format = self.patterns.strftime(self.name, pattern);
        format.map_err(DataFusionError::Plan)
    }
}

impl ScalarUDFImpl for Format {
    fn name(&self) -> &str {
        self.name
    }
    fn signature(&self) -> &Signature {
        self.native.signature()
    }
    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        self.native.return_type(types)
    }
    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<arrow::datatypes::FieldRef> {
        if matches!(args.arg_fields[0].data_type(), DataType::Duration(_)) {
            return plan_err!(
                "{0} takes a time, not the length of one; write {0}(TIMESTAMP '1970-01-01' + length, pattern) for one of less than a day, or its parts: extract(day FROM length)",
                self.name
            );
        }
        let constant = args.scalar_arguments.get(1).copied().flatten();
        if let Some(pattern) = constant.and_then(|it| it.try_as_str().flatten()) {
            self.strftime(pattern)?;
        }
        self.native.return_field_from_args(args)
    }
    fn invoke_with_args(&self, mut args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let format = match &args.args[1] {
            ColumnarValue::Scalar(it) => match it.try_as_str().flatten() {
                Some(pattern) => Some(ColumnarValue::from(ScalarValue::from(
                    self.strftime(pattern)?,
                ))),
                None => None,
            },
            ColumnarValue::Array(patterns) => {
                let patterns = patterns.as_string::<i32>();
                let formats = (0..patterns.len()).map(|row| {
                    let pattern = patterns.is_valid(row).then(|| patterns.value(row));
                    pattern.map(|it| self.strftime(it)).transpose()
                });
                let formats = formats.collect::<Result<StringArray>>()?;
                Some(ColumnarValue::Array(Arc::new(formats)))
            }
        };
        if let Some(format) = format {
            args.args[1] = format;
        }
        self.native.invoke_with_args(args)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_of_others_are_understood() {
        for (patterns, pattern, strftime) in [
            (Pattern::Postgres, "YYYY-MM-DD", "%Y-%m-%d"),
            (
                Pattern::Postgres,
                "yyyy-MM-dd hh24:mi:ss.MS",
                "%Y-%m-%d %H:%M:%S.%3f",
            ),
            (
                Pattern::Postgres,
                "YYYY-MM-DD\"T\"HH24:MI",
                "%Y-%m-%dT%H:%M",
            ),
            (
                Pattern::Postgres,
                "Dy DD. Mon YYYY, FMMonth",
                "%a %d. %b %Y, %B",
            ),
            (
                Pattern::Java,
                "yyyy-MM-dd'T'HH:mm:ss.SSS",
                "%Y-%m-%dT%H:%M:%S.%3f",
            ),
            (
                Pattern::Postgres,
                "yyyy-mm-dd hh:mi:ss.ms",
                "%Y-%m-%d %I:%M:%S.%3f",
            ),
            (Pattern::Postgres, "YYYY-\"Q\"Q", "%Y-Q%q"),
            (Pattern::Java, "d.M.yy h a", "%-d.%-m.%y %-I %p"),
            (Pattern::Java, "%d/%m", "%d/%m"),
            (Pattern::Postgres, "", ""),
        ] {
            assert_eq!(
                patterns.strftime("f", pattern).as_deref(),
                Ok(strftime),
                "{pattern}"
            );
        }
    }

    #[test]
    fn patterns_that_are_not_are_refused_with_those_that_are() {
        for (patterns, pattern, at) in [
            (Pattern::Postgres, "HH24:mm", "`mm`"),
            (Pattern::Postgres, "DDTHH24", "`THH`"),
            (Pattern::Postgres, "QQ", "`QQ`"),
            (Pattern::Postgres, "HH:mm", "minutes are MI"),
            (Pattern::Postgres, "Day", "write FMDay"),
            (Pattern::Postgres, "YYYY-WW", "those of ISO IW"),
            (Pattern::Postgres, "TZH", "write \"+00\""),
            (Pattern::Postgres, "YYYYY", "`YYYYY`"),
            (Pattern::Java, "YYYY-MM-dd", "`YYYY`"),
            (Pattern::Java, "yyyyMMddX", "`X`"),
            (Pattern::Java, "'T", "not closed"),
        ] {
            let error = patterns.strftime("f", pattern).expect_err(pattern);
            assert!(error.contains(at), "{pattern}: {error}");
        }
    }

    #[test]
    fn times_that_are_shown_are_of_utc() {
        let shown = Pattern::Postgres.strftime("to_char", "HH24:MI TZH:TZM");
        assert_eq!(shown.as_deref(), Ok("%H:%M +00:00"));
        let read = Pattern::Postgres.strftime("to_timestamp", "HH24:MI TZH");
        assert!(read.is_err_and(|it| it.contains("write \"+00\"")));
    }
}
