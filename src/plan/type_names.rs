//! Arrow's names of types in texts that people read, as those of SQL.

/// Each before those it begins with.
const NAMES: &[(&str, &str)] = &[
    ("Timestamp(Microsecond, Some(\"UTC\"))", "TIMESTAMP"),
    ("Timestamp(Nanosecond, None)", "TIMESTAMP"),
    ("Timestamp(µs, \"UTC\")", "TIMESTAMP"),
    ("Timestamp(ns, \"UTC\")", "TIMESTAMP"),
    ("Timestamp(µs)", "TIMESTAMP"),
    ("Timestamp(ns)", "TIMESTAMP"),
    ("LargeUtf8", "TEXT"),
    ("Utf8View", "TEXT"),
    ("Utf8", "TEXT"),
    ("Decimal128(", "DECIMAL("),
    ("Decimal256(", "DECIMAL("),
    ("Float64", "DOUBLE"),
    ("Float32", "REAL"),
    ("UInt64", "BIGINT UNSIGNED"),
    ("UInt32", "INT UNSIGNED"),
    ("UInt16", "SMALLINT UNSIGNED"),
    ("UInt8", "TINYINT UNSIGNED"),
    ("Int64", "BIGINT"),
    ("Int32", "INT"),
    ("Int16", "SMALLINT"),
    ("Int8", "TINYINT"),
    ("Date32", "DATE"),
    ("Time64(ns)", "TIME"),
    ("Time64(µs)", "TIME"),
    ("Interval(MonthDayNano)", "INTERVAL"),
    ("LargeBinary", "BYTES"),
    ("BinaryView", "BYTES"),
    ("Binary", "BYTES"),
    ("Boolean", "BOOLEAN"),
];

/// A text with SQL's names of types where it has those of Arrow.
pub fn with_sql_types(text: &str) -> String {
    let mut named = NAMES.iter().fold(text.to_owned(), |text, (arrow, sql)| {
        with_word(&text, arrow, sql)
    });
    while let Some((before, behind)) = named.split_once("List(")
        && let Some((of, behind)) = behind.split_once(')')
        && !of.contains('(')
    {
        named = format!("{before}{of}[]{behind}");
    }
    named
}

/// A text with another word in each place of one that stands alone.
fn with_word(text: &str, word: &str, other: &str) -> String {
    let of_word = |it: char| it.is_alphanumeric() || it == '_';
    let mut parts = text.split(word);
    let mut changed = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let is_part =
            changed.ends_with(of_word) || word.ends_with(of_word) && part.starts_with(of_word);
        changed.push_str(if is_part { word } else { other });
        changed.push_str(part);
    }
    changed
}

#[cfg(test)]
mod tests {
    use super::with_sql_types;

    #[test]
    fn types_have_their_names_of_sql() {
        for (said, expected) in [
            (
                "CAST(CAST(x@1 AS UInt64) AS Int64)",
                "CAST(CAST(x@1 AS BIGINT UNSIGNED) AS BIGINT)",
            ),
            ("TRY_CAST(k AS Int32) = 3", "TRY_CAST(k AS INT) = 3"),
            (
                "CAST(x AS Decimal128(30, 15)) < CAST(y AS Float64)",
                "CAST(x AS DECIMAL(30, 15)) < CAST(y AS DOUBLE)",
            ),
            ("CAST(t AS Timestamp(ns))", "CAST(t AS TIMESTAMP)"),
            ("CAST(l AS List(Int32))", "CAST(l AS INT[])"),
            ("List(Utf8), List(Int64)", "TEXT[], BIGINT[]"),
            ("MyInt64 + Int64_of + Utf8s", "MyInt64 + Int64_of + Utf8s"),
        ] {
            assert_eq!(with_sql_types(said), expected);
        }
    }
}
