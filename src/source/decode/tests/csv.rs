//! Records of CSV, by position and under a header.

use super::super::{Csv, Decoded, Decoder, Format, Versions};
use super::{declared, outcomes, raw};

fn csv(header: bool) -> Csv {
    Csv {
        header,
        ..Csv::default()
    }
}

fn decode(csv: &Csv, columns: &str, header: Option<&str>, records: &[&str]) -> Decoded {
    let (columns, options) = declared(columns);
    let mut decoder = Decoder::new(Format::Csv(csv.clone()), &columns, options).unwrap();
    let records: Vec<&[u8]> = records.iter().map(|it| it.as_bytes()).collect();
    let mut raw = raw(&records);
    raw.header = header.map(|it| it.as_bytes().into());
    decoder.decode(&raw)
}

fn check(csv: &Csv, columns: &str, header: Option<&str>, records: &[(&str, &str)]) {
    let (records, expected): (Vec<&str>, Vec<&str>) = records.iter().copied().unzip();
    let decoded = decode(csv, columns, header, &records);
    assert_eq!(outcomes(&decoded), expected, "under {header:?}");
}

#[test]
fn fields_are_the_declared_columns_in_order() {
    let columns = "id int64 not null, name text, price decimal, on boolean, at timestamp";
    check(
        &csv(false),
        columns,
        None,
        &[
            (
                "1,Anna,2.5,true,2026-01-02T00:00:00Z\r\n",
                "1 | Anna | 2.50 | true | 2026-01-02T00:00:00Z",
            ),
            ("2,,,,\n", "2 | null | null | null | null"),
            (" 3 , b , 1 ,false,", "3 |  b  | 1.00 | false | null"),
            ("\"4\",\"\",,,", "4 |  | null | null | null"),
            (
                "5,\"a \"\"b\"\", c\n d\",,,\n",
                "5 | a \"b\", c\n d | null | null | null",
            ),
            ("6,5\" pipe,,,", "6 | 5\" pipe | null | null | null"),
            (
                "7,a",
                "dead: the record has 2 fields, and 5 columns are declared",
            ),
            (
                "x",
                "dead: the record has 1 field, and 5 columns are declared",
            ),
            (
                "8,a,,,,",
                "dead: the record has 6 fields, and 5 columns are declared",
            ),
            (
                ",a,,,",
                "dead: field \"id\" is missing or null, but is declared NOT NULL",
            ),
            (
                "y,a,,,",
                "dead: field \"id\" is not a 64-bit integer: \"y\"",
            ),
            (
                "9,\"\",\"\",,",
                "dead: field \"price\" is not a decimal number: \"\"",
            ),
            (
                "9,\"a\"b,,,",
                "dead: field 2 goes on behind its closing quote; a quote within is doubled",
            ),
            ("9,\"a,,,\n", "dead: the quote of field 2 is never closed"),
            (
                "9,a,,,\n9,a,,,",
                "dead: the record ends in field 5, and there is more behind its line end; a field with line ends is in quotes",
            ),
            ("\n", "dead: empty record"),
        ],
    );
}

#[test]
fn delimiter_and_text_of_null_are_chosen() {
    let tabs = Csv {
        delimiter: b'\t',
        null: Some("NA".to_owned()),
        ..csv(false)
    };
    check(
        &tabs,
        "id int64, name text",
        None,
        &[
            ("1\ta,b", "1 | a,b"),
            ("NA\tNA", "null | null"),
            ("\t\"NA\"", "null | NA"),
            ("\t", "null | null"),
        ],
    );
}

#[test]
fn a_header_says_which_field_is_which_column() {
    let columns = "id int64 not null, firstName text, _more text";
    let check_under =
        |header, records: &[(&str, &str)]| check(&csv(true), columns, Some(header), records);
    check_under(
        "\u{feff}first_name,\"other\", id\r\n",
        &[
            ("a,b,1\n", "1 | a | null"),
            ("a,1\n", "dead: the record has 2 fields, the header has 3"),
        ],
    );
    check_under(
        "name,x\n",
        &[(
            "a,1\n",
            "dead: the header names none of the declared columns: \"name,x\"; write header = 'false' if the files have none",
        )],
    );
    check_under("id,id\n", &[("1,1\n", "dead: the header has \"id\" twice")]);
    check_under(
        "firstName\n",
        &[(
            "a\n",
            "dead: field \"id\" is missing or null, but is declared NOT NULL",
        )],
    );
}

/// A dead letter says by itself what its fields are.
#[test]
fn a_dead_letter_has_its_header_and_is_decoded_again_by_it() {
    let header = "name,\"i\nd\",id\n";
    let letters = decode(
        &csv(true),
        "id int32, name text",
        Some(header),
        &["a,b,x\n", "a,b,7\n"],
    )
    .dead_letters;
    let [letter] = letters.as_slice() else {
        panic!("{letters:?}")
    };
    assert_eq!(letter.raw, format!("{header}a,b,x").as_bytes());
    let letter = String::from_utf8(letter.raw.clone()).unwrap();
    check(
        &csv(true),
        "id text, name text",
        None,
        &[(&letter, "x | a"), ("a", "dead: the record has no header")],
    );
    let again = decode(&csv(true), "id int32, name text", None, &[&letter]).dead_letters;
    assert_eq!(again[0].raw, letter.as_bytes(), "it stays as it is");
}

#[test]
fn a_record_that_removes_a_row_has_only_its_key() {
    let (columns, mut options) =
        declared("id int64 not null, name text not null, _deleted boolean");
    options.versions = Some(Versions {
        key: vec![0],
        always: vec![0],
        deleted: 2,
    });
    let decoded = |header: Option<&str>, records: &[&str]| {
        let mut decoder = Decoder::new(
            Format::Csv(csv(header.is_some())),
            &columns,
            options.clone(),
        )
        .unwrap();
        let records: Vec<&[u8]> = records.iter().map(|it| it.as_bytes()).collect();
        let mut raw = raw(&records);
        raw.header = header.map(|it| it.as_bytes().into());
        outcomes(&decoder.decode(&raw))
    };
    assert_eq!(
        decoded(
            Some("id,name,_deleted\n"),
            &["1,a,\n", "1,,true\n", "1,,\n"]
        ),
        [
            "1 | a | null",
            "1 | null | true",
            "dead: field \"name\" is missing or null, but is declared NOT NULL"
        ]
    );
    assert_eq!(
        decoded(None, &["1,a", "\0tombstone\0 1", "\0tombstone\0{\"id\":2}"]),
        ["1 | a | null", "1 | null | true", "2 | null | true"]
    );
}
