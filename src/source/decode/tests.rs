//! What each record becomes: a row, shown as its values, or a dead letter, shown as its reason.

mod access_log;
mod csv;
mod debezium;
mod timestamp;

use arrow::array::{ArrayRef, AsArray, Int32Array, Int64Array};
use arrow::datatypes::{Field, TimestampMicrosecondType};
use arrow::util::display::{ArrayFormatter, FormatOptions};

use super::Format::{AccessLog, Json};
use super::{
    Column, DataType, DecodeOptions, Decoded, Decoder, Format, Partition, RawRecords, TimeUnit,
    Versions, Zone,
};
use std::sync::Arc;

const PARTITION: Partition = Partition(3);
const FIRST_OFFSET: i64 = 1_000;

/// Decodes one record with `columns` written as in `"status int32, at timestamp not null"`.
///
/// A column named with `event time` is that; `zone +01:00` after all columns sets the zone.
fn check(format: Format, columns: &str, record: impl AsRef<[u8]>, expect: &str) {
    let record = record.as_ref();
    let decoded = decode(format, columns, &[record]).expect("the columns can be decoded");
    assert_eq!(
        outcomes(&decoded),
        [expect],
        "of {:?} as {columns}",
        String::from_utf8_lossy(record)
    );
}

fn decode(format: Format, columns: &str, records: &[&[u8]]) -> Result<Decoded, String> {
    let (columns, options) = declared(columns);
    Ok(Decoder::new(format, &columns, options)?.decode(&raw(records)))
}

fn declared(text: &str) -> (Vec<Column>, DecodeOptions) {
    let mut options = DecodeOptions::default();
    let mut columns = Vec::new();
    for part in text.split(", ") {
        let (name, data_type) = part
            .split_once(' ')
            .expect("a column has a name and a type");
        if name == "zone" {
            options.zone = Zone::parse(data_type).expect("a zone");
            continue;
        }
        if data_type.ends_with("event time") {
            options.event_time = Some(columns.len());
        }
        columns.push(Column {
            name: name.to_lowercase(),
            written: name.to_owned(),
            data_type: match data_type.split(' ').next() {
                Some("boolean") => DataType::Boolean,
                Some("int32") => DataType::Int32,
                Some("int64") => DataType::Int64,
                Some("float64") => DataType::Float64,
                Some("text" | "json") => DataType::Utf8,
                Some("bytes") => DataType::Binary,
                Some("decimal") => DataType::Decimal128(20, 2),
                Some("ints") => list(DataType::Int32),
                Some("points") => list(DataType::Struct(
                    vec![
                        Field::new("x", DataType::Decimal128(4, 1), true),
                        Field::new("tags", list(DataType::Utf8), true),
                    ]
                    .into(),
                )),
                Some("date") => DataType::Date32,
                Some("timestamp") => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
                _ => DataType::UInt8,
            },
            nullable: !data_type.ends_with("not null"),
            is_json: data_type.starts_with("json"),
        });
    }
    (columns, options)
}

fn raw(records: &[&[u8]]) -> RawRecords {
    let mut raw = RawRecords {
        partition: PARTITION,
        data: Vec::new(),
        ends: Vec::new(),
        offsets: Vec::new(),
        header: None,
    };
    for (record, offset) in records.iter().zip(FIRST_OFFSET..) {
        raw.data.extend_from_slice(record);
        raw.ends.push(raw.data.len() as u32);
        raw.offsets.push(offset);
    }
    raw
}

/// Each record's outcome in order of offsets.
fn outcomes(decoded: &Decoded) -> Vec<String> {
    let batch = &decoded.batch;
    let declared = batch.num_columns() - 2;
    let partitions = batch
        .column(declared)
        .as_any()
        .downcast_ref::<Int32Array>()
        .unwrap();
    let offsets = batch
        .column(declared + 1)
        .as_any()
        .downcast_ref::<Int64Array>()
        .unwrap();
    assert!(
        partitions
            .iter()
            .all(|partition| partition == Some(PARTITION.0))
    );
    let options = FormatOptions::new().with_null("null");
    // Arrow formats the zone "UTC" only with a feature that nothing here needs.
    let shown = |column: &ArrayRef| match column.as_primitive_opt::<TimestampMicrosecondType>() {
        Some(instants) => Arc::new(instants.clone().with_timezone("+00:00")),
        None => column.clone(),
    };
    let columns: Vec<ArrayRef> = batch.columns()[..declared].iter().map(shown).collect();
    let formatters: Vec<_> = columns
        .iter()
        .map(|column| ArrayFormatter::try_new(column.as_ref(), &options).unwrap())
        .collect();
    let row = |row: usize| {
        formatters
            .iter()
            .map(|column| column.value(row).to_string())
            .collect::<Vec<_>>()
    };
    let rows = (0..batch.num_rows()).map(|at| (offsets.value(at), row(at).join(" | ")));
    let dead = decoded.dead_letters.iter().map(|dead| {
        assert_eq!(dead.partition, PARTITION);
        (dead.offset, format!("dead: {}", dead.reason))
    });
    let mut all: Vec<(i64, String)> = rows.chain(dead).collect();
    all.sort();
    all.into_iter().map(|(_, outcome)| outcome).collect()
}

#[test]
fn values_are_read_as_their_declared_type() {
    let reads = [
        ("decimal", "12.5", "12.50"),
        ("decimal", "-7", "-7.00"),
        ("decimal", "\"0.005\"", "0.01"),
        ("decimal", "123456789012345678.91", "123456789012345678.91"),
        (
            "decimal",
            "18446744073709551615",
            "dead: field \"v\" is out of range for a decimal number: 18446744073709551615",
        ),
        (
            "decimal",
            "1e18",
            "dead: field \"v\" is out of range for a decimal number: 1000000000000000000",
        ),
        (
            "decimal",
            "\"1,5\"",
            "dead: field \"v\" is not a decimal number: \"1,5\"",
        ),
        (
            "decimal",
            "true",
            "dead: field \"v\" is not a decimal number: true",
        ),
        ("bytes", "\"ab\"", "6162"),
        ("bytes", "\"\\\\x00fF\"", "00ff"),
        (
            "bytes",
            "\"\\\\x+f\"",
            "dead: field \"v\" is not bytes: \"\\\\x+f\"",
        ),
        (
            "bytes",
            "\"\\\\x0\"",
            "dead: field \"v\" is not bytes: \"\\\\x0\"",
        ),
        ("json", "{\"a\": [1, {\"b\":2}]}", "{\"a\": [1, {\"b\":2}]}"),
        ("json", "[1.50]", "[1.50]"),
        ("json", "\"{}\"", "{}"),
        ("json", "1.50", "1.50"),
        ("ints", "[1, null, \"3\"]", "[1, null, 3]"),
        ("ints", "[]", "[]"),
        ("ints", "null", "null"),
        (
            "ints",
            "[1, \"x\"]",
            "dead: field \"v\" is not an array or object of the declared type: an array",
        ),
        (
            "ints",
            "[4294967296]",
            "dead: field \"v\" is out of range for an array or object of the declared type: an array",
        ),
        (
            "ints",
            "1",
            "dead: field \"v\" is not an array or object of the declared type: 1",
        ),
        (
            "points",
            "[{\"tags\": [\"a\", \"b\"], \"more\": {}, \"x\": 1.25}, {}, null]",
            "[{x: 1.3, tags: [a, b]}, {x: null, tags: null}, null]",
        ),
        ("int32", "2147483647", "2147483647"),
        ("int32", "-2147483648", "-2147483648"),
        (
            "int32",
            "2147483648",
            "dead: field \"v\" is out of range for a 32-bit integer: 2147483648",
        ),
        ("int32", "200.0", "200"),
        ("int32", "2e2", "200"),
        (
            "int32",
            "1e10",
            "dead: field \"v\" is out of range for a 32-bit integer: 10000000000",
        ),
        (
            "int32",
            "200.5",
            "dead: field \"v\" is not a 32-bit integer: 200.5",
        ),
        ("int32", "\"200\"", "200"),
        ("int32", "\"-7\"", "-7"),
        ("int32", "\"200.0\"", "200"),
        (
            "int32",
            "\"\"",
            "dead: field \"v\" is not a 32-bit integer: \"\"",
        ),
        (
            "int32",
            "\"abc\"",
            "dead: field \"v\" is not a 32-bit integer: \"abc\"",
        ),
        (
            "int32",
            "\"inf\"",
            "dead: field \"v\" is not a 32-bit integer: \"inf\"",
        ),
        (
            "int32",
            "true",
            "dead: field \"v\" is not a 32-bit integer: true",
        ),
        (
            "int32",
            "[1]",
            "dead: field \"v\" is not a 32-bit integer: an array",
        ),
        (
            "int32",
            "{\"v\":1}",
            "dead: field \"v\" is not a 32-bit integer: an object",
        ),
        ("int64", "9223372036854775807", "9223372036854775807"),
        ("int64", "-9223372036854775808", "-9223372036854775808"),
        ("int64", "\"9223372036854775807\"", "9223372036854775807"),
        (
            "int64",
            "9223372036854775808",
            "dead: field \"v\" is out of range for a 64-bit integer: 9223372036854775808",
        ),
        (
            "int64",
            "9223372036854775808.0",
            "dead: field \"v\" is out of range for a 64-bit integer: 9223372036854776000",
        ),
        ("float64", "1", "1.0"),
        ("float64", "-0.5", "-0.5"),
        ("float64", "18446744073709551615", "1.8446744073709552e19"),
        ("float64", "\"1.5e3\"", "1500.0"),
        (
            "float64",
            "\"nan\"",
            "dead: field \"v\" is not a number: \"nan\"",
        ),
        (
            "float64",
            "\"1e999\"",
            "dead: field \"v\" is not a number: \"1e999\"",
        ),
        ("boolean", "true", "true"),
        ("boolean", "\"false\"", "false"),
        ("boolean", "1", "dead: field \"v\" is not a boolean: 1"),
        ("text", "\"\"", ""),
        ("text", "\"a\\\"b\\u00e9\\n\"", "a\"bé\n"),
        ("text", "7", "7"),
        ("text", "-7", "-7"),
        ("text", "1.50", "1.50"),
        ("text", "1e3 ", "1e3"),
        ("text", "18446744073709551615", "18446744073709551615"),
        ("text", "true", "true"),
        ("text", "{}", "dead: field \"v\" is not text: an object"),
        ("date", "\"2024-02-29\"", "2024-02-29"),
        ("date", "\"2024-05-12T23:30:00-02:00\"", "2024-05-13"),
        ("date", "1715472000000", "2024-05-12"),
        (
            "date",
            "\"2023-02-29\"",
            "dead: field \"v\" is not a date: \"2023-02-29\"",
        ),
        (
            "timestamp",
            "\"2024-05-12T10:15:30.5\"",
            "2024-05-12T10:15:30.500Z",
        ),
        ("timestamp", "1715508930500", "2024-05-12T10:15:30.500Z"),
        ("timestamp", "1715508930", "2024-05-12T10:15:30Z"),
        ("timestamp", "1715508930.25", "2024-05-12T10:15:30.250Z"),
        (
            "timestamp",
            "1715508930500000",
            "dead: field \"v\" is out of range for a timestamp: 1715508930500000",
        ),
        (
            "timestamp",
            "false",
            "dead: field \"v\" is not a timestamp: false",
        ),
    ];
    for (data_type, value, expect) in reads {
        check(
            Json,
            &format!("v {data_type}"),
            format!("{{\"v\":{value}}}"),
            expect,
        );
    }
    let long = "x".repeat(100);
    let cut = format!("dead: field \"v\" is not a boolean: \"{}…", "x".repeat(79));
    check(Json, "v boolean", format!("{{\"v\":\"{long}\"}}"), &cut);
}

#[test]
fn null_and_missing_need_a_nullable_column() {
    for record in ["{\"v\":null}", "{}", "{\"other\":1}"] {
        check(Json, "v int32", record, "null");
        check(
            Json,
            "v int32 not null",
            record,
            "dead: field \"v\" is missing or null, but is declared NOT NULL",
        );
        check(
            Json,
            "v timestamp event time",
            record,
            "dead: field \"v\" is missing or null, but is the event time",
        );
    }
}

#[test]
fn names_match_in_both_cases_and_as_synonyms() {
    check(Json, "status_code int32", r#"{"status_code":1}"#, "1");
    check(Json, "status_code int32", r#"{"statusCode":1}"#, "1");
    check(Json, "status_code int32", r#"{"status":1}"#, "1");
    check(Json, "status int32", r#"{"status_code":1}"#, "1");
    check(Json, "status int32", r#"{"statusCode":1}"#, "1");
    check(Json, "statusCode int32", r#"{"status_code":1}"#, "1");
    check(Json, "response_time int32", r#"{"responseTime":1}"#, "1");
    check(Json, "responseTime int32", r#"{"response_time":1}"#, "1");
    check(Json, "a_b_c int32", r#"{"aBC":1}"#, "1");
    // Declared without quotes: SQL knows it in small letters, and the record may have either.
    check(Json, "UserID int32", r#"{"UserID":1}"#, "1");
    check(Json, "UserID int32", r#"{"userid":1}"#, "1");
    check(
        Json,
        "response_time int32",
        r#"{"ResponseTime":1,"RESPONSE_TIME":2}"#,
        "null",
    );
    // A declared name belongs to its own column alone.
    check(
        Json,
        "status int32, status_code int32",
        r#"{"status":1,"status_code":2}"#,
        "1 | 2",
    );
    check(
        Json,
        "status int32, status_code int32",
        r#"{"status":1}"#,
        "1 | null",
    );
    check(
        Json,
        "userId text, user_id text",
        r#"{"user_id":"a","userId":"b"}"#,
        "b | a",
    );
    // An escape in a name is the letter that it stands for.
    check(Json, "status_code int32", r#"{"status\u005fcode":1}"#, "1");
}

#[test]
fn the_last_of_a_doubled_name_wins_and_unknown_members_are_passed_over() {
    check(Json, "v int32", r#"{"v":1,"v":2}"#, "2");
    check(Json, "v int32", r#"{"v":"unreadable","v":2}"#, "2");
    check(Json, "v int32", r#"{"v":1,"v":null}"#, "null");
    check(
        Json,
        "status_code int32",
        r#"{"status":1,"statusCode":2}"#,
        "2",
    );
    check(
        Json,
        "v int32",
        r#"{"a":{"v":5,"w":[1,{"v":6}]},"b":[[]],"v":7,"c":{}}"#,
        "7",
    );
    check(
        Json,
        "v text",
        r#"{"a":{"v":5,"w":[1,{"v":"}],"}]},"b\"":"{,","v": 7.50 ,"c":1.5}"#,
        "7.50",
    );
    check(
        Json,
        "v text, w text",
        r#"{"w":1.0,"x":[2.0,3.0],"v":4.0}"#,
        "4.0 | 1.0",
    );
}

#[test]
fn what_is_no_json_object_is_a_dead_letter() {
    check(Json, "v int32", "", "dead: empty record");
    check(Json, "v int32", " \r\n\t", "dead: empty record");
    check(
        Json,
        "v int32",
        b"{\"v\":\"\xff\"}",
        "dead: the record is not valid UTF-8",
    );
    check(
        Json,
        "v int32",
        b"{\"v\":1}\xc3",
        "dead: the record is not valid UTF-8",
    );
    check(
        Json,
        "v int32",
        "[1]",
        "dead: the record is an array, not a JSON object",
    );
    check(
        Json,
        "v int32",
        "\"v\"",
        "dead: the record is a string, not a JSON object",
    );
    check(
        Json,
        "v int32",
        "12",
        "dead: the record is a number, not a JSON object",
    );
    check(
        Json,
        "v int32",
        "null",
        "dead: the record is null, not a JSON object",
    );
    check(Json, "v int32", "  {\"v\":1}\r\n", "1");
    let not_json = [
        ("{\"v\":1", "EOF while parsing an object at line 1 column 6"),
        ("{\"v\":", "EOF while parsing a value at line 1 column 5"),
        (
            "{\"v\":\"abc",
            "EOF while parsing a string at line 1 column 9",
        ),
        (
            "{\"v\":1}{\"v\":2}",
            "trailing characters at line 1 column 8",
        ),
        ("{\"v\":NaN}", "expected value at line 1 column 6"),
        ("{v:1}", "key must be a string at line 1 column 2"),
        ("{\"v\":01}", "invalid number at line 1 column 7"),
        ("{\"v\":1,}", "trailing comma at line 1 column 8"),
        ("{\"v\":1e999}", "number out of range at line 1 column 10"),
        (
            "{\"v\":\"a\nb\"}",
            "control character (\\u0000-\\u001F) found while parsing a string at line 2 column 0",
        ),
    ];
    for (record, why) in not_json {
        check(
            Json,
            "v text",
            record,
            &format!("dead: the record is not valid JSON: {why}"),
        );
    }
}

#[test]
fn a_bad_record_leaves_its_neighbours_whole_and_its_bytes_untouched() {
    let records: [&[u8]; 6] = [
        br#"{"a":"x\ny","b":1}"#,
        br#"{"a":"half\ta row","b":"none"}"#,
        b"",
        br#"{"b":2,"a":null}"#,
        br#"{"b":3"#,
        br#"{"b":4,"c":0}"#,
    ];
    let expect = [
        "x\ny | 1",
        "dead: field \"b\" is not a 64-bit integer: \"none\"",
        "dead: empty record",
        "null | 2",
        "dead: the record is not valid JSON: EOF while parsing an object at line 1 column 6",
        "null | 4",
    ];
    let (columns, options) = declared("a text, b int64");
    let mut decoder = Decoder::new(Json, &columns, options).unwrap();
    for _ in 0..2 {
        let decoded = decoder.decode(&raw(&records));
        assert_eq!(outcomes(&decoded), expect);
        let kept: Vec<&[u8]> = decoded
            .dead_letters
            .iter()
            .map(|dead| dead.raw.as_slice())
            .collect();
        assert_eq!(kept, [records[1], records[2], records[4]]);
    }
    let decoded = decoder.decode(&raw(&[]));
    assert_eq!(
        (decoded.batch.num_rows(), decoded.dead_letters.len()),
        (0, 0)
    );
    assert_eq!(decoded.batch.schema(), decoder.schema());
}

#[test]
fn the_order_of_members_may_change_from_record_to_record() {
    let records = [
        r#"{"a":1,"x":0,"b":2,"c":3}"#,
        r#"{"a":1,"b":2,"c":3}"#,
        r#"{"c":3,"b":2,"a":1}"#,
        r#"{"b":2}"#,
        r#"{"x":0,"y":0,"z":0,"a":1,"c":3}"#,
        r#"{"a":1,"x":0,"b":2,"c":3}"#,
        r#"{}"#,
    ];
    let wide = format!(
        r#"{{{}"c":3}}"#,
        (0..400)
            .map(|n| format!("\"n{n}\":{n},"))
            .collect::<String>()
    );
    let records: Vec<&[u8]> = records
        .iter()
        .map(|text| text.as_bytes())
        .chain([wide.as_bytes()])
        .collect();
    let both: Vec<&[u8]> = records
        .iter()
        .chain(records.iter().rev())
        .copied()
        .collect();
    let expect = [
        "1 | 2 | 3",
        "1 | 2 | 3",
        "1 | 2 | 3",
        "null | 2 | null",
        "1 | null | 3",
        "1 | 2 | 3",
        "null | null | null",
        "null | null | 3",
    ];
    let decoded = decode(Json, "a int32, b int32, c int32", &both).unwrap();
    let both: Vec<&str> = expect.iter().chain(expect.iter().rev()).copied().collect();
    assert_eq!(outcomes(&decoded), both);
}

#[test]
fn the_latest_event_time_is_that_of_the_rows_alone() {
    let records: [&[u8]; 4] = [
        br#"{"at":1715508930500,"v":1}"#,
        br#"{"at":"2024-05-12T10:15:31Z","v":1}"#,
        br#"{"at":"2024-05-12T10:15:29Z","v":1}"#,
        br#"{"at":"2030-01-01T00:00:00Z","v":"unreadable"}"#,
    ];
    let decoded = decode(Json, "v int32, at timestamp event time", &records).unwrap();
    assert_eq!(decoded.max_event_time, Some(1_715_508_931_000_000));
    assert_eq!(
        decode(Json, "v int32, at timestamp", &records)
            .unwrap()
            .max_event_time,
        None
    );
    let none = decode(Json, "v int32, at timestamp event time", &records[3..]).unwrap();
    assert_eq!(none.max_event_time, None);
}

#[test]
fn columns_that_cannot_be_decoded_are_refused_at_once() {
    let refuses = [
        (
            Json,
            "a uint8",
            "column \"a\" has type UInt8, which records cannot be decoded to; use Boolean, Int32, Int64, Float64, Decimal128, Utf8, Binary, Date32, Timestamp(µs, \"UTC\"), or a list or struct of these",
        ),
        (Json, "a text, a int32", "column \"a\" is declared twice"),
        (
            Json,
            "_offset int64",
            "column name \"_offset\" is reserved for where a record was read",
        ),
        (
            Json,
            "a int64 event time",
            "event-time column \"a\" has type Int64, not a timestamp",
        ),
        (
            AccessLog,
            "ip text, country text",
            "an access log has no field \"country\"; it offers ip, ident, user, user_id, timestamp, request, method, path, endpoint, query, protocol, status, status_code, bytes, bytes_sent, referer, user_agent, x_forwarded_for, response_time",
        ),
        (
            AccessLog,
            "timestamp int64",
            "an access log's timestamp cannot be read as Int64",
        ),
    ];
    for (format, columns, expect) in refuses {
        let (columns, options) = declared(columns);
        assert_eq!(
            Decoder::new(format, &columns, options).err().as_deref(),
            Some(expect)
        );
    }
    let options = DecodeOptions {
        event_time: Some(1),
        ..DecodeOptions::default()
    };
    let refused = Decoder::new(Json, &declared("a text").0, options).err();
    assert_eq!(
        refused.as_deref(),
        Some("the event-time column is number 1 of only 1 columns")
    );
}

#[test]
fn a_record_can_remove_the_row_of_its_key() {
    let decoded = |columns: &str, key: &[usize], records: &[Result<&str, &str>]| {
        let (columns, mut options) = declared(columns);
        options.versions = Some(Versions {
            key: key.to_vec(),
            always: key.to_vec(),
            deleted: columns.len() - 1,
        });
        let mut raw = RawRecords::empty(PARTITION);
        for (record, offset) in records.iter().zip(FIRST_OFFSET..) {
            match record {
                Ok(value) => raw.push(offset, value.as_bytes()),
                Err(key) => raw.push_tombstone(offset, key.as_bytes()),
            }
        }
        outcomes(&Decoder::new(Json, &columns, options).unwrap().decode(&raw))
    };
    let of_one = "id int64 not null, name text not null, at timestamp event time, _deleted boolean";
    let records = [
        Ok(r#"{"id":1,"name":"x","at":7}"#),
        Ok(r#"{"id":1,"at":7}"#),
        Ok(r#"{"id":1,"_deleted":true}"#),
        Ok(r#"{"id":1,"name":"y","at":"now","_deleted":"true"}"#),
        Ok(r#"{"name":"x","_deleted":true}"#),
        Ok(r#"{"id":1,"name":"x","at":7,"_deleted":false}"#),
        Err("2"),
        Err(r#"{"id":"3","more":1}"#),
        Err("x"),
        Err(""),
    ];
    let expect = [
        "1 | x | 1970-01-01T00:00:07Z | null",
        "dead: field \"name\" is missing or null, but is declared NOT NULL",
        "1 | null | null | true",
        "dead: field \"at\" is not a timestamp: \"now\"",
        "dead: field \"id\" is missing or null, but is of the primary key",
        "1 | x | 1970-01-01T00:00:07Z | false",
        "2 | null | null | true",
        "3 | null | null | true",
        "dead: field \"id\" is not a 64-bit integer: \"x\"",
        "dead: field \"id\" is not a 64-bit integer: \"\"",
    ];
    assert_eq!(decoded(of_one, &[0], &records), expect);
    let of_two = "a text not null, b int64 not null, _deleted boolean";
    let records = [Err(r#"{"b":1,"a":"x"}"#), Err(r#"{"b":1}"#), Err("x")];
    let expect = [
        "x | 1 | true",
        "dead: field \"a\" is missing or null, but is of the primary key",
        "dead: a message without a value has the key \"x\", which is no JSON object with a, b",
    ];
    assert_eq!(decoded(of_two, &[0, 1], &records), expect);
    // Without a key it says nothing.
    let (columns, options) = declared("a text");
    let mut raw = RawRecords::empty(PARTITION);
    raw.push_tombstone(1, b"x");
    let decoded = Decoder::new(Json, &columns, options).unwrap().decode(&raw);
    assert_eq!(outcomes(&decoded), ["dead: empty record"]);
    assert!(decoded.dead_letters[0].raw.is_empty());
    let mut empty = RawRecords::empty(PARTITION);
    empty.push(1, b"");
    assert_eq!(raw.checksum(), empty.checksum());
}

#[test]
fn a_decoder_can_move_to_another_thread() {
    fn moves<T: Send>() {}
    moves::<Decoder>();
}

fn list(of: DataType) -> DataType {
    DataType::List(std::sync::Arc::new(Field::new_list_field(of, true)))
}
