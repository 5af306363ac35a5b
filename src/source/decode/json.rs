//! Records that are JSON objects.
//!
//! A record is parsed in place to a tape, its members are matched to columns, their values are read into
//! slots, and only then is a row appended. A member's name matches a column in snake or camel case, and
//! `status` and `status_code` stand for each other, unless the very name is itself a declared column. Members
//! that no column asked for are passed over; of a name that comes twice, or in two spellings, the last wins.
//!
//! Producers write their members in the same order again and again, so the order of the record before is
//! remembered and tried first.

use std::collections::HashMap;
use std::fmt::{self, Display};
use std::mem;

use simd_json::{Buffers, ErrorType, INPUT_PADDING, Node, StaticNode, Tape};

use arrow::datatypes::DataType;

use super::columns::{self, Kind, Rows, Slot, Target, Unreadable, recycle};
use super::timestamp::{self, Zone};
use super::{Column, Versions};
use crate::model::Value;

/// Names that mean the same thing to the programs that write logs.
const SYNONYMS: [(&str, &str); 1] = [("status", "status_code")];
/// How many members' names are remembered from the record before.
const REMEMBERED_MAX: usize = 256;
/// A longer name is looked up each time.
const REMEMBERED_BYTES_MAX: usize = 64;

pub(super) struct Reader {
    names: Names,
    /// A record's bytes, to be parsed in place, and the padding that the parser may read beyond them. One
    /// record at a time, so that it stays in the nearest cache.
    scratch: Vec<u8>,
    buffers: Buffers,
    tape: Tape<'static>,
    slots: Vec<Slot<'static>>,
    /// Lists and structs of the record.
    nested: Vec<Value>,
    /// Where on the tape each column's value is; 0, the object itself, where there is none.
    values: Vec<usize>,
    versions: Option<Versions>,
    /// Numbers in dates and timestamps are those of Debezium.
    is_debezium: bool,
}

impl Reader {
    pub(super) fn new(columns: &[Column], versions: Option<&Versions>) -> Self {
        Self {
            versions: versions.cloned(),
            is_debezium: false,
            names: Names::new(columns),
            scratch: Vec::new(),
            buffers: Buffers::default(),
            tape: Tape(Vec::new()),
            slots: Vec::with_capacity(columns.len()),
            nested: Vec::new(),
            values: vec![0; columns.len()],
        }
    }

    pub(super) fn of_debezium(columns: &[Column], versions: Option<&Versions>) -> Self {
        Self {
            is_debezium: true,
            ..Self::new(columns, versions)
        }
    }

    /// Appends the record as a row, or says why it is none.
    pub(super) fn read(
        &mut self,
        raw: &[u8],
        targets: &[Target],
        zone: Zone,
        rows: &mut Rows,
    ) -> Result<(), String> {
        let mut tape = mem::replace(&mut self.tape, Tape(Vec::new())).reset();
        let mut slots = recycle(mem::take(&mut self.slots));
        self.nested.clear();
        self.scratch.clear();
        self.scratch.extend_from_slice(raw);
        self.scratch.extend_from_slice(&[b' '; INPUT_PADDING]);
        let parsed =
            simd_json::fill_tape_padded(&mut self.scratch, raw.len(), &mut self.buffers, &mut tape);
        let outcome = parsed
            .map_err(|error| not_json(raw, &error))
            .and_then(|()| find(&tape.0, &mut self.names, &mut self.values))
            .and_then(|()| {
                let removes = self.versions.as_ref();
                let removes = removes.filter(|it| is_true(&tape.0, self.values[it.deleted]));
                for (column, (target, &at)) in targets.iter().zip(&self.values).enumerate() {
                    let slot = match removes {
                        Some(it) if is_null(&tape.0, at) && !it.always.contains(&column) => {
                            Slot::Null
                        }
                        Some(_) | None => match debezium_time(&tape.0, at, target) {
                            Some(slot) if self.is_debezium => slot?,
                            _ => value(&tape.0, at, raw, target, zone, &mut self.nested)?,
                        },
                    };
                    slots.push(slot);
                }
                rows.append(&slots, &mut self.nested);
                Ok(())
            });
        self.slots = recycle(slots);
        self.tape = tape.reset();
        outcome
    }
}

/// Notes where on the tape the value of each column is.
fn find(tape: &[Node<'_>], names: &mut Names, values: &mut [usize]) -> Result<(), String> {
    let Some(Node::Object { len, .. }) = tape.first() else {
        let found = tape.first().map_or("nothing", described);
        return Err(format!("the record is {found}, not a JSON object"));
    };
    values.fill(0);
    names.next = 0;
    let mut at = 1;
    for _ in 0..*len {
        let Node::String(name) = tape[at] else {
            unreachable!("a member of an object starts with its name");
        };
        if let Some(column) = names.column(name) {
            values[column] = at + 1;
        }
        at += 1 + size(&tape[at + 1]);
    }
    Ok(())
}

/// A date or a timestamp that is a number, as Debezium writes it.
fn debezium_time<'a>(
    tape: &[Node<'_>],
    at: usize,
    target: &Target,
) -> Option<Result<Slot<'a>, String>> {
    let Node::Static(StaticNode::I64(value)) = tape[at] else {
        return match tape[at] {
            Node::Static(StaticNode::U64(value)) => {
                let value = i64::try_from(value).ok()?;
                debezium_number(value, target)
            }
            _ => None,
        };
    };
    debezium_number(value, target)
}

fn debezium_number<'a>(value: i64, target: &Target) -> Option<Result<Slot<'a>, String>> {
    let read = match target.kind {
        Kind::Date => i32::try_from(value).ok().map(i64::from),
        Kind::Timestamp => timestamp::from_debezium(value),
        _ => return None,
    };
    let refused = || target.refuse(value, Unreadable::OutOfRange);
    Some(read.map(Slot::Integer).ok_or_else(refused))
}

fn is_null(tape: &[Node<'_>], at: usize) -> bool {
    at == 0 || matches!(tape[at], Node::Static(StaticNode::Null))
}

fn is_true(tape: &[Node<'_>], at: usize) -> bool {
    at != 0
        && match tape[at] {
            Node::Static(StaticNode::Bool(it)) => it,
            Node::String(it) => it == "true",
            _ => false,
        }
}

/// How many nodes of the tape a value takes.
fn size(node: &Node<'_>) -> usize {
    match node {
        Node::Object { count, .. } | Node::Array { count, .. } => count + 1,
        Node::String(_) | Node::Static(_) => 1,
    }
}

fn value<'a>(
    tape: &[Node<'a>],
    at: usize,
    raw: &'a [u8],
    target: &'a Target,
    zone: Zone,
    nested: &mut Vec<Value>,
) -> Result<Slot<'a>, String> {
    let node = tape[at];
    let kind = target.kind;
    let slot = match node {
        _ if at == 0 => return target.missing(zone),
        Node::Static(StaticNode::Null) => return target.null(),
        Node::String(text) => columns::text(kind, text, zone),
        Node::Static(StaticNode::I64(value)) => columns::integer(kind, value),
        Node::Static(StaticNode::U64(value)) => match i64::try_from(value) {
            Ok(value) => columns::integer(kind, value),
            Err(_) if matches!(kind, Kind::Text | Kind::Json) => {
                Ok(Slot::Text(written(tape, at, raw)))
            }
            Err(_) if matches!(kind, Kind::Decimal { .. }) => {
                columns::text(kind, written(tape, at, raw), zone)
            }
            Err(_) if kind == Kind::Float64 => Ok(Slot::Float(value as f64)),
            Err(_) => Err(Unreadable::OutOfRange),
        },
        Node::Static(StaticNode::F64(_)) if matches!(kind, Kind::Text | Kind::Json) => {
            Ok(Slot::Text(written(tape, at, raw)))
        }
        // A float would not keep all digits.
        Node::Static(StaticNode::F64(_)) if matches!(kind, Kind::Decimal { .. }) => {
            columns::text(kind, written(tape, at, raw), zone)
        }
        Node::Static(StaticNode::F64(value)) => columns::float(kind, value),
        Node::Static(StaticNode::Bool(value)) => match kind {
            Kind::Boolean => Ok(Slot::Boolean(value)),
            Kind::Text | Kind::Json => Ok(Slot::Text(if value { "true" } else { "false" })),
            _ => Err(Unreadable::WrongType),
        },
        Node::Object { .. } | Node::Array { .. } if kind == Kind::Json => {
            Ok(Slot::Text(written(tape, at, raw)))
        }
        Node::Object { .. } | Node::Array { .. } => nested_value(tape, at, &target.data_type, zone)
            .map(|it| {
                nested.push(it);
                Slot::Nested(nested.len() - 1)
            }),
    };
    slot.map_err(|why| target.refuse(Shown(&node), why))
}

/// The value at `at`, and all below it, as a declared type. A struct takes what its fields name; what is missing is null.
fn nested_value(
    tape: &[Node<'_>],
    at: usize,
    data_type: &DataType,
    zone: Zone,
) -> Result<Value, Unreadable> {
    let kind = Kind::of(data_type).ok_or(Unreadable::WrongType)?;
    let slot = match (tape[at], data_type) {
        (Node::Static(StaticNode::Null), _) => return Ok(Value::Null),
        (Node::Array { len, .. }, DataType::List(item)) => {
            let mut items = Vec::with_capacity(len);
            let mut next = at + 1;
            for _ in 0..len {
                items.push(nested_value(tape, next, item.data_type(), zone)?);
                next += size(&tape[next]);
            }
            return Ok(Value::List(items.into()));
        }
        (Node::Object { len, .. }, DataType::Struct(fields)) => {
            let names = fields.iter().map(|it| it.name().as_str().into());
            let mut values: Vec<(Box<str>, Value)> = names.map(|it| (it, Value::Null)).collect();
            let mut next = at + 1;
            for _ in 0..len {
                let Node::String(name) = tape[next] else {
                    unreachable!("a member of an object starts with its name");
                };
                let field = fields.iter().position(|it| it.name() == name);
                if let Some(field) = field {
                    values[field].1 =
                        nested_value(tape, next + 1, fields[field].data_type(), zone)?;
                }
                next += 1 + size(&tape[next + 1]);
            }
            return Ok(Value::Struct(values.into()));
        }
        (Node::String(text), _) => columns::text(kind, text, zone)?,
        (Node::Static(StaticNode::I64(value)), _) => columns::integer(kind, value)?,
        (Node::Static(StaticNode::U64(value)), _) => match i64::try_from(value) {
            Ok(value) => columns::integer(kind, value)?,
            Err(_) => return Err(Unreadable::OutOfRange),
        },
        (Node::Static(StaticNode::F64(value)), _) => columns::float(kind, value)?,
        (Node::Static(StaticNode::Bool(value)), _) if kind == Kind::Boolean => Slot::Boolean(value),
        (Node::Static(StaticNode::Bool(_)) | Node::Array { .. } | Node::Object { .. }, _) => {
            return Err(Unreadable::WrongType);
        }
    };
    Ok(columns::value_of(kind, slot))
}

/// The text of the value at `at` as the record has it, which the tape does not keep: `1.50` stays `1.50`.
#[cold]
fn written<'a>(tape: &[Node<'_>], at: usize, raw: &'a [u8]) -> &'a str {
    let (mut member, mut name) = (0, 1);
    while name + 1 < at {
        name += 1 + size(&tape[name + 1]);
        member += 1;
    }
    let (mut depth, mut commas, mut start, mut quoted, mut escaped) = (0, 0, 0, false, false);
    for (position, &byte) in raw.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => quoted = !quoted,
            _ if quoted => {}
            b'{' | b'[' => depth += 1,
            b':' if depth == 1 && commas == member => start = position + 1,
            b',' | b'}' if depth == 1 && commas == member => {
                let text = raw[start..position].trim_ascii();
                return str::from_utf8(text).expect("a parsed record is UTF-8");
            }
            b',' if depth == 1 => commas += 1,
            b'}' | b']' => depth -= 1,
            _ => {}
        }
    }
    unreachable!("the tape has this member, so the record has it too")
}

/// The parser's own words are terse, so the sentence comes from a second, slower one where that agrees.
#[cold]
fn not_json(raw: &[u8], error: &simd_json::Error) -> String {
    if *error.error() == ErrorType::InvalidUtf8 || str::from_utf8(raw).is_err() {
        return "the record is not valid UTF-8".to_owned();
    }
    match serde_json::from_slice::<serde_json::Value>(raw) {
        Err(error) => format!("the record is not valid JSON: {error}"),
        Ok(_) => format!("the record holds JSON that is not supported: {error}"),
    }
}

fn described(node: &Node<'_>) -> &'static str {
    match node {
        Node::Object { .. } => "an object",
        Node::Array { .. } => "an array",
        Node::String(_) => "a string",
        Node::Static(StaticNode::Null) => "null",
        Node::Static(StaticNode::Bool(_)) => "a boolean",
        Node::Static(_) => "a number",
    }
}

/// A value as a reason shows it.
struct Shown<'a>(&'a Node<'a>);

impl Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Node::String(text) => write!(f, "{text:?}"),
            Node::Static(value) => write!(f, "{value}"),
            nested => f.write_str(described(nested)),
        }
    }
}

/// Which column a member's name stands for.
pub(super) struct Names {
    columns: HashMap<String, usize>,
    /// The names of earlier records in the order in which they came, wanted or not.
    order: Vec<(String, Option<usize>)>,
    /// Where in `order` the next name is expected.
    next: usize,
}

impl Names {
    pub(super) fn new(columns: &[Column]) -> Self {
        let mut names = HashMap::new();
        let forms: [fn(&Column) -> Vec<String>; 3] = [exact, cases, synonyms];
        for form in forms {
            for (index, column) in columns.iter().enumerate() {
                for name in form(column) {
                    names.entry(name).or_insert(index);
                }
            }
        }
        Self {
            columns: names,
            order: Vec::new(),
            next: 0,
        }
    }

    /// The column that `name` stands for. Tries the expected name first, then the one after it, since the
    /// likeliest change from record to record is that one optional member is missing.
    pub(super) fn column(&mut self, name: &str) -> Option<usize> {
        for at in [self.next, self.next + 1] {
            if let Some((expected, column)) = self.order.get(at)
                && expected == name
            {
                self.next = at + 1;
                return *column;
            }
        }
        let column = self.columns.get(name).copied();
        if name.len() <= REMEMBERED_BYTES_MAX && self.next < REMEMBERED_MAX {
            match self.order.get_mut(self.next) {
                Some(known) => {
                    known.0.clear();
                    known.0.push_str(name);
                    known.1 = column;
                }
                None => self.order.push((name.to_owned(), column)),
            }
            self.next += 1;
        }
        column
    }
}

fn exact(column: &Column) -> Vec<String> {
    vec![column.written.clone()]
}

fn cases(column: &Column) -> Vec<String> {
    let mut cases = vec![column.name.clone()];
    cases.extend(cases_of(&column.written));
    cases
}

fn synonyms(column: &Column) -> Vec<String> {
    let snake = snake_case(&column.written);
    let other = |(one, two): &(&str, &str)| match snake.as_str() {
        name if name == *one => Some(two.to_string()),
        name if name == *two => Some(one.to_string()),
        _ => None,
    };
    let others: Vec<String> = SYNONYMS.iter().filter_map(other).collect();
    others.iter().flat_map(|other| cases_of(other)).collect()
}

fn cases_of(name: &str) -> [String; 2] {
    [snake_case(name), camel_case(name)]
}

fn snake_case(name: &str) -> String {
    let mut snake = String::with_capacity(name.len() + 4);
    for letter in name.chars() {
        if letter.is_ascii_uppercase() && !snake.is_empty() && !snake.ends_with('_') {
            snake.push('_');
        }
        snake.push(letter.to_ascii_lowercase());
    }
    snake
}

/// `response_time` becomes `responseTime`. An underscore that leads or trails stays where it is.
fn camel_case(name: &str) -> String {
    let mut camel = String::with_capacity(name.len());
    let mut letters = name.chars().peekable();
    while let Some(letter) = letters.next() {
        match letters.peek() {
            Some(&next) if letter == '_' && !camel.is_empty() && next != '_' => {
                camel.push(next.to_ascii_uppercase());
                letters.next();
            }
            _ => camel.push(letter),
        }
    }
    camel
}
