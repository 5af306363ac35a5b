//! What commands print: texts from elsewhere that cannot steer a terminal, values of rows as people read them, and a quiet end when the
//! reader closes the pipe.

use crate::model::{Epoch, wall_ms};
use serde::de::{Deserializer, MapAccess, Visitor};
use serde::{Deserialize, de};
use serde_json::value::RawValue;
use std::fmt;
use std::io::Write;
use std::time::Duration;

/// Standard output. A closed pipe is no failure: the program ends as it would by SIGPIPE.
pub struct Out(std::io::StdoutLock<'static>);

impl Out {
    pub fn new() -> Self {
        Out(std::io::stdout().lock())
    }
}

fn while_read<T>(result: std::io::Result<T>) -> std::io::Result<T> {
    match &result {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => {
            std::process::exit(super::exit::PIPE_CLOSED)
        }
        Ok(_) | Err(_) => result,
    }
}

impl Write for Out {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        while_read(self.0.write(bytes))
    }

    fn flush(&mut self) -> std::io::Result<()> {
        while_read(self.0.flush())
    }
}

/// A count with its noun: 1 row, 2 rows.
pub fn count(number: usize, noun: &str) -> String {
    match number {
        1 => format!("1 {noun}"),
        _ => format!("{number} {noun}s"),
    }
}

/// A time of day to a tenth of a second, as long as epochs are.
pub fn clock(epoch: Epoch) -> String {
    let iso = epoch.iso();
    let time = iso.split_once('T').map_or(iso.as_str(), |it| it.1);
    let (seconds, fraction) = time
        .trim_end_matches('Z')
        .split_once('.')
        .unwrap_or((time.trim_end_matches('Z'), "0"));
    format!("{seconds}.{}", fraction.get(..1).unwrap_or("0"))
}

/// The same with its date, unless that is today's. Both are of UTC.
pub fn moment(epoch: Epoch) -> String {
    let day = |it: Epoch| it.iso().split('T').next().map(str::to_owned);
    match day(epoch) {
        Some(day_of) if day(Epoch(wall_ms())).as_deref() != Some(day_of.as_str()) => {
            format!("{day_of} {}", clock(epoch))
        }
        _ => clock(epoch),
    }
}

/// How long something took: 48 ms, 3.2 s, 4 min 12 s.
pub fn took(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0 => format!("{} ms", time.as_millis()),
        1..60 => format!("{:.1} s", time.as_secs_f64()),
        _ => format!("{} min {} s", seconds / 60, seconds % 60),
    }
}

/// A value of a row, as the text that stands for it. Numbers keep the digits they came with: parsed and written again, a double could
/// be another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cell {
    pub text: String,
    pub is_number: bool,
    pub is_null: bool,
}

impl Cell {
    /// A text that is ours.
    pub fn text(text: impl Into<String>) -> Cell {
        Cell {
            text: text.into(),
            is_number: false,
            is_null: false,
        }
    }

    /// From JSON. A null is not the text of that name.
    ///
    /// # Errors
    /// If it is no JSON.
    pub fn of_json(json: &str) -> serde_json::Result<Cell> {
        let text = match json.as_bytes().first() {
            Some(b'n') => "NULL".to_owned(),
            Some(b'"') => match serde_json::from_str::<String>(json)? {
                it if it == "NULL" => "\"NULL\"".to_owned(),
                it => printable(&it),
            },
            Some(_) | None => printable(json),
        };
        Ok(Cell {
            text,
            is_number: json.starts_with(|it: char| it == '-' || it.is_ascii_digit()),
            is_null: json.starts_with('n'),
        })
    }
}

impl<'de> Deserialize<'de> for Cell {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let json = Box::<RawValue>::deserialize(from)?;
        Cell::of_json(json.get()).map_err(de::Error::custom)
    }
}

/// A row with the names of its columns, in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NamedRow(pub Vec<(String, Cell)>);

impl<'de> Deserialize<'de> for NamedRow {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = NamedRow;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a row")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<NamedRow, A::Error> {
                let mut row = Vec::new();
                while let Some((name, cell)) = map.next_entry::<String, Cell>()? {
                    row.push((printable(&name), cell));
                }
                Ok(NamedRow(row))
            }
        }
        from.deserialize_map(InOrder)
    }
}

/// Text from elsewhere, so that it can neither steer a terminal nor break a line or its order: `\n`, `\u{1b}`.
pub fn printable(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        match is_steering(character) {
            true => safe.extend(character.escape_default()),
            false => safe.push(character),
        }
    }
    safe
}

/// JSON whose texts cannot steer a terminal either, and which means the same.
pub fn printable_json(json: &str) -> String {
    let mut safe = String::with_capacity(json.len());
    for character in json.chars() {
        match is_steering(character) {
            true => safe.push_str(&format!("\\u{:04x}", u32::from(character))),
            false => safe.push(character),
        }
    }
    safe
}

/// Controls, and what turns the direction of writing around or cannot be seen.
fn is_steering(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell(json: &str) -> String {
        Cell::of_json(json).expect("it is JSON").text
    }

    #[test]
    fn a_null_is_neither_an_empty_text_nor_its_own_name() {
        let cells = ["null", "\"\"", "\"NULL\"", "\"null\""].map(cell);
        assert_eq!(cells, ["NULL", "", "\"NULL\"", "null"]);
    }

    #[test]
    fn numbers_keep_their_digits() {
        for digits in [
            "0.1",
            "1.7976931348623157e308",
            "9223372036854775807",
            "-0.0",
            "5e-324",
        ] {
            let number = Cell::of_json(digits).expect("it is JSON");
            assert_eq!((number.text.as_str(), number.is_number), (digits, true));
        }
        let row: NamedRow = serde_json::from_str("{\"z\":1.50,\"a\":null,\"m\":\"x\"}").unwrap();
        let texts: Vec<(&str, &str)> = row
            .0
            .iter()
            .map(|it| (it.0.as_str(), it.1.text.as_str()))
            .collect();
        assert_eq!(texts, [("z", "1.50"), ("a", "NULL"), ("m", "x")]);
    }

    #[test]
    fn a_text_cannot_steer_the_terminal() {
        let hostile = "\u{1b}]0;owned\u{7}\u{1b}[31m\rx\n\u{9b}2J\u{202e}\u{7f}";
        let json = serde_json::json!(hostile).to_string();
        assert_eq!(
            cell(&json),
            "\\u{1b}]0;owned\\u{7}\\u{1b}[31m\\rx\\n\\u{9b}2J\\u{202e}\\u{7f}"
        );
        assert_eq!(cell("\"Zürich ✓ 東京\""), "Zürich ✓ 東京");
        let safe = printable_json(&json);
        assert!(!safe.contains(is_steering), "{safe}");
        assert_eq!(serde_json::from_str::<String>(&safe).unwrap(), hostile);
    }

    #[test]
    fn times_have_a_date_unless_it_is_today() {
        assert_eq!(clock(Epoch(1_795_736_409_100)), "23:40:09.1");
        assert_eq!(moment(Epoch(1_704_067_200_000)), "2024-01-01 00:00:00.0");
        assert!(!moment(Epoch(wall_ms())).contains('-'));
        let times = [12, 3_240, 252_000].map(|it| took(Duration::from_millis(it)));
        assert_eq!(times, ["12 ms", "3.2 s", "4 min 12 s"]);
    }

    #[test]
    fn one_row_is_not_rows() {
        assert_eq!(
            [0, 1, 2].map(|it| count(it, "row")),
            ["0 rows", "1 row", "2 rows"]
        );
    }
}
