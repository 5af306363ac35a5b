//! Guesses from a name and a type: the words that people call such columns by.

use super::{Meaning, Role};
use arrow::datatypes::{DataType, Field};

/// Units that are part of names, with how they are written.
const DURATIONS: [(&str, &str); 14] = [
    ("ns", "ns"),
    ("nanos", "ns"),
    ("us", "µs"),
    ("micros", "µs"),
    ("ms", "ms"),
    ("millis", "ms"),
    ("milliseconds", "ms"),
    ("s", "s"),
    ("sec", "s"),
    ("secs", "s"),
    ("seconds", "s"),
    ("minutes", "min"),
    ("hours", "h"),
    ("days", "d"),
];
const CURRENCIES: [&str; 8] = ["eur", "usd", "gbp", "chf", "jpy", "sek", "cny", "inr"];
const DURATION_WORDS: [&str; 8] = [
    "duration", "latency", "elapsed", "took", "ttfb", "rtt", "delay", "uptime",
];
const MONEY_WORDS: [&str; 9] = [
    "amount", "price", "revenue", "cost", "fee", "turnover", "balance", "discount", "paid",
];
const COUNT_WORDS: [&str; 9] = [
    "count", "cnt", "requests", "errors", "events", "records", "hits", "visits", "rows",
];
const SHARE_WORDS: [&str; 4] = ["rate", "ratio", "share", "fraction"];
const PERCENT_WORDS: [&str; 3] = ["pct", "percent", "percentage"];
const ID_WORDS: [&str; 7] = ["id", "uuid", "guid", "ip", "email", "mac", "hash"];
const TEXT_WORDS: [&str; 13] = [
    "message",
    "msg",
    "text",
    "body",
    "raw",
    "description",
    "comment",
    "stack",
    "stacktrace",
    "trace",
    "query",
    "params",
    "payload",
];
const LEVEL_WORDS: [&str; 4] = ["level", "severity", "loglevel", "priority"];
/// Of what a `size` is one of bytes.
const SIZED: [&str; 6] = ["request", "response", "file", "body", "content", "payload"];

/// What a column of this name and type probably is.
pub fn guess(field: &Field) -> Meaning {
    let words = words(field.name());
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    // Tidelake's own.
    if field.name().starts_with('_') {
        return Meaning::of_role(Role::Other, None);
    }
    match field.data_type() {
        DataType::Timestamp(..) | DataType::Date32 | DataType::Date64 => {
            Meaning::of_role(Role::Time, None)
        }
        DataType::Boolean => Meaning::of_role(Role::Flag, None),
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => of_text(&words),
        it if it.is_numeric() => of_number(&words),
        _ => Meaning::of_role(Role::Other, None),
    }
}

/// What is known of where a column comes from, where that is more than its type; else what its name says.
pub fn settled(known: Meaning, field: &Field) -> Meaning {
    if known.is_certain {
        return known;
    }
    let guessed = guess(field);
    match guessed.is_certain {
        true => Meaning {
            statistic: known.statistic,
            comment: known.comment,
            ..guessed
        },
        false => known,
    }
}

fn of_number(words: &[&str]) -> Meaning {
    let Some(last) = words.last() else {
        return Meaning::uncertain(Role::Measure);
    };
    let has = |all: &[&str]| words.iter().any(|it| all.contains(it));
    let ends = |all: &[&str]| all.contains(last);
    if has(&PERCENT_WORDS) {
        return Meaning::of_role(Role::Share, Some("%"));
    }
    if ends(&SHARE_WORDS) {
        return Meaning::of_role(Role::Share, None);
    }
    if ends(&["id"]) {
        return Meaning::of_role(Role::Id, None);
    }
    if has(&["status", "statuscode"]) && !ends(&COUNT_WORDS) {
        return Meaning::of_role(Role::Status, None);
    }
    if ends(&COUNT_WORDS) {
        return Meaning::of_role(Role::Count, None);
    }
    let in_bytes = has(&["bytes"]) || ends(&["size"]) && has(&SIZED);
    if in_bytes {
        return Meaning::of_role(Role::Bytes, Some("bytes"));
    }
    if let Some(it) = words.iter().find(|it| CURRENCIES.contains(it)) {
        return Meaning::of_role(Role::Money, Some(it.to_uppercase().as_str()));
    }
    if has(&MONEY_WORDS) {
        return Meaning::of_role(Role::Money, None);
    }
    let unit = DURATIONS.iter().find(|it| it.0 == *last);
    if let (Some((_, unit)), true) = (unit, 1 < words.len()) {
        return Meaning::of_role(Role::Duration, Some(unit));
    }
    // A number called a time is one that something took.
    if has(&DURATION_WORDS) || has(&["time"]) {
        return Meaning::of_role(Role::Duration, None);
    }
    Meaning::uncertain(Role::Measure)
}

fn of_text(words: &[&str]) -> Meaning {
    let Some(last) = words.last() else {
        return Meaning::uncertain(Role::Key);
    };
    if LEVEL_WORDS.contains(last) {
        return Meaning::of_role(Role::Level, None);
    }
    if ID_WORDS.contains(last) {
        return Meaning::of_role(Role::Id, None);
    }
    if TEXT_WORDS.contains(last) {
        return Meaning::of_role(Role::Text, None);
    }
    Meaning::uncertain(Role::Key)
}

/// The words of a name, in lower case: `responseTime_ms` is `response`, `time`, `ms`.
fn words(name: &str) -> Vec<String> {
    let mut all = vec![String::new()];
    let mut before = '_';
    for it in name.chars() {
        let begins = it.is_uppercase() && before.is_lowercase();
        if !it.is_alphanumeric() || begins {
            all.push(String::new());
        }
        if it.is_alphanumeric() {
            let word = all.last_mut().expect("there is one");
            word.extend(it.to_lowercase());
        }
        before = it;
    }
    all.retain(|it| !it.is_empty());
    all
}
