//! Formats of sources, and their options.

use crate::model::stated::{StatedOption, is_option, option};
use crate::plan::{ColumnSpec, Csv, Format};
use crate::source::place::{is_delta, is_pushed};
use arrow::datatypes::DataType;

/// Options of `FORMAT CSV`.
const DELIMITER_OPTION: &str = "delimiter";
const HEADER_OPTION: &str = "header";
const WITHOUT_HEADER_OPTION: &str = "without_header";
const NULL_OPTION: &str = "null";

/// The same, described.
pub(super) const CSV_OPTIONS: [StatedOption; 4] = [
    option(
        DELIMITER_OPTION,
        "one ASCII character",
        "`,`",
        "What separates fields; a tab is `\\t`.",
    ),
    option(
        HEADER_OPTION,
        "`true`, `false`",
        "`true` for files",
        "Whether each file begins with the names of its columns. Messages of a topic have no header.",
    ),
    option(
        WITHOUT_HEADER_OPTION,
        "`true`, `false`",
        "`false` for files",
        "The opposite of `header`; state one of them.",
    ),
    option(
        NULL_OPTION,
        "a text",
        "none",
        "A text without quotes that stands for NULL, besides the empty field.",
    ),
];

/// The format of a source by its name; its options are taken out of those of the source.
pub(super) fn of(
    name: &str,
    options: &mut Vec<(String, String)>,
    has_key: bool,
) -> Result<Format, String> {
    let name = name.to_ascii_uppercase();
    let format = match (name.as_str(), is_delta(options)) {
        ("DELTA", true) => Format::Delta,
        ("DELTA", false) => {
            return Err("a Delta table is a source without FORMAT: WITH (connector = 'delta', path = 'FOLDER')".to_owned());
        }
        (other, true) => {
            return Err(format!(
                "a Delta table tells itself how its rows are stored; leave FORMAT {other} out"
            ));
        }
        (other, false) => of_records(other, options, has_key)?,
    };
    match options.iter().find(|it| is_option(&CSV_OPTIONS, &it.0)) {
        None => Ok(format),
        Some((option, _)) => Err(format!(
            "option '{option}' is of FORMAT CSV; FORMAT {name} has no such option, leave it out"
        )),
    }
}

fn of_records(
    name: &str,
    options: &mut Vec<(String, String)>,
    has_key: bool,
) -> Result<Format, String> {
    if is_pushed(options) && name != "JSON" {
        return Err(format!(
            "clients push objects of JSON; write FORMAT JSON instead of {name}"
        ));
    }
    Ok(match name {
        "JSON" => Format::Json,
        "ACCESS_LOG" => Format::AccessLog,
        "DEBEZIUM_JSON" | "DEBEZIUM-JSON" if has_key => Format::Debezium,
        "DEBEZIUM_JSON" | "DEBEZIUM-JSON" => {
            return Err("Debezium tells what has become of rows; declare the columns that tell one from others, as they are the key of the table: PRIMARY KEY (id)".to_owned());
        }
        "DEBEZIUM" => {
            return Err(
                "write how the envelopes are encoded: FORMAT DEBEZIUM ENCODE JSON".to_owned(),
            );
        }
        "PARQUET" if is_topic(options) => {
            return Err("FORMAT PARQUET is of files, not of messages; write connector = 'files', path = 'FOLDER'".to_owned());
        }
        "PARQUET" => Format::Parquet,
        "CSV" => return csv(options).map(Format::Csv),
        other => {
            return Err(format!(
                "FORMAT {other} is unknown; possible are JSON, CSV, PARQUET, DEBEZIUM_JSON and ACCESS_LOG"
            ));
        }
    })
}

/// Files have a header unless it is said that they have none, messages of a topic have none.
fn csv(options: &mut Vec<(String, String)>) -> Result<Csv, String> {
    let mut option = |name: &str| {
        let at = options.iter().position(|it| it.0 == name)?;
        Some(options.remove(at).1)
    };
    let mut csv = Csv::default();
    if let Some(text) = option(DELIMITER_OPTION) {
        csv.delimiter = match text.as_bytes() {
            b"\\t" => b'\t',
            [it] if it.is_ascii() && !b"\"\r\n".contains(it) => *it,
            _ => {
                return Err(format!(
                    "{DELIMITER_OPTION} '{text}' must be one ASCII character, neither a quote nor a line end; a tab is '\\t'"
                ));
            }
        };
    }
    let mut flag = |name: &str| match option(name).as_deref() {
        None => Ok(None),
        Some("true") => Ok(Some(true)),
        Some("false") => Ok(Some(false)),
        Some(other) => Err(format!("{name} '{other}' must be 'true' or 'false'")),
    };
    let stated = match (flag(HEADER_OPTION)?, flag(WITHOUT_HEADER_OPTION)?) {
        (Some(_), Some(_)) => {
            return Err(format!(
                "{HEADER_OPTION} and {WITHOUT_HEADER_OPTION} say the same; state one of them"
            ));
        }
        (header, without) => header.or(without.map(|it| !it)),
    };
    csv.null = option(NULL_OPTION).filter(|it| !it.is_empty());
    csv.header = match (stated, is_topic(options)) {
        (Some(true), true) => {
            return Err(format!(
                "messages of a topic have no header: their fields are the declared columns in order; leave {HEADER_OPTION} out"
            ));
        }
        (stated, is_topic) => stated.unwrap_or(!is_topic),
    };
    Ok(csv)
}

fn is_topic(options: &[(String, String)]) -> bool {
    options
        .iter()
        .any(|it| it.0 == "connector" && it.1 == "kafka")
}

/// Whether records of a format can have these columns.
pub(super) fn check_columns(format: &Format, columns: &[ColumnSpec]) -> Result<(), String> {
    let is_nested = |it: &&ColumnSpec| {
        it.generated.is_none() && matches!(it.data_type, DataType::List(_) | DataType::Struct(_))
    };
    if let (Format::Csv(_), Some(column)) = (format, columns.iter().find(is_nested)) {
        return Err(format!(
            "column `{}`: a field of CSV is no array and no STRUCT; declare it as JSON, of which views take the parts",
            column.name
        ));
    }
    match (format, columns.iter().find(|it| it.default.is_some())) {
        (Format::Json | Format::Debezium | Format::Csv(_), _) | (_, None) => Ok(()),
        (Format::AccessLog | Format::Parquet | Format::Delta, Some(column)) => Err(format!(
            "column `{0}`: a DEFAULT is what a record of JSON or CSV has that lacks the field; write coalesce({0}, …) where it is read",
            column.name
        )),
    }
}
