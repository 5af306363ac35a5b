//! Records that are lines of a web server's access log.
//!
//! ```text
//! ip ident user [12/May/2024:00:00:17 +0000] "METHOD path?query PROTOCOL" status bytes          common
//! … "referer" "user agent"                                                                      combined
//! … "x-forwarded-for"                                                                           nginx's main
//! … 0.153 anything else                                                                         further fields
//! ```
//! A lone `-` is null. What is escaped inside quotes is kept as written. The request line is the client's to
//! write, so a broken one leaves a row whose method and path are null; everything else is the server's, and
//! must be whole. Of further fields only the first number with a decimal point is read: nginx's request time
//! in seconds, which becomes `response_time` in milliseconds. A whole number is not taken for one, since Apache
//! may mean seconds, microseconds or bytes by it. Further fields have no quotes: a quoted field that is not a
//! list of addresses means that the line does not have the form it seems to have.

use std::mem;

use super::Column;
use super::columns::{self, Kind, Rows, Slot, Target, Unreadable, recycle};
use super::timestamp::{self, Zone};

/// What a line offers to the declared columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    Ip,
    Ident,
    User,
    Timestamp,
    Request,
    Method,
    Path,
    Query,
    Protocol,
    Status,
    Bytes,
    Referer,
    UserAgent,
    ForwardedFor,
    ResponseTime,
}

const OFFERED: [(&str, Field); 19] = [
    ("ip", Field::Ip),
    ("ident", Field::Ident),
    ("user", Field::User),
    ("user_id", Field::User),
    ("timestamp", Field::Timestamp),
    ("request", Field::Request),
    ("method", Field::Method),
    ("path", Field::Path),
    ("endpoint", Field::Path),
    ("query", Field::Query),
    ("protocol", Field::Protocol),
    ("status", Field::Status),
    ("status_code", Field::Status),
    ("bytes", Field::Bytes),
    ("bytes_sent", Field::Bytes),
    ("referer", Field::Referer),
    ("user_agent", Field::UserAgent),
    ("x_forwarded_for", Field::ForwardedFor),
    ("response_time", Field::ResponseTime),
];

pub(super) struct Reader {
    /// The field of each declared column.
    fields: Vec<Field>,
    slots: Vec<Slot<'static>>,
}

impl Reader {
    /// Fails when a column asks for a field that a line does not have.
    pub(super) fn new(columns: &[Column]) -> Result<Self, String> {
        let fields = columns.iter().map(field).collect::<Result<Vec<_>, _>>()?;
        let slots = Vec::with_capacity(fields.len());
        Ok(Self { fields, slots })
    }

    /// Appends one line as a row, or says why it is none. A line end is not part of the line.
    pub(super) fn read(
        &mut self,
        raw: &[u8],
        targets: &[Target],
        zone: Zone,
        rows: &mut Rows,
    ) -> Result<(), String> {
        let text = str::from_utf8(raw).map_err(|_| "the record is not valid UTF-8".to_owned())?;
        let text = text.trim_end_matches(['\r', '\n']);
        let line = split(text).map_err(|Stop { rest_bytes, wanted }| {
            format!(
                "the line has no {wanted} at byte {}",
                text.len() - rest_bytes
            )
        })?;
        let mut slots = recycle(mem::take(&mut self.slots));
        let outcome = self
            .fields
            .iter()
            .zip(targets)
            .try_for_each(|(field, target)| {
                slots.push(value(&line, *field, target, zone)?);
                Ok(())
            });
        if outcome.is_ok() {
            rows.append(&slots, &mut []);
        }
        self.slots = recycle(slots);
        outcome
    }
}

fn field(column: &Column) -> Result<Field, String> {
    let name = &column.name;
    let Some((_, field)) = OFFERED.iter().find(|(offered, _)| offered == name) else {
        let offered: Vec<&str> = OFFERED.iter().map(|(offered, _)| *offered).collect();
        let offered = offered.join(", ");
        return Err(format!(
            "an access log has no field {name:?}; it offers {offered}"
        ));
    };
    let kind = Kind::of(&column.data_type);
    if *field == Field::Timestamp
        && !matches!(kind, Some(Kind::Timestamp | Kind::Date | Kind::Text))
    {
        let data_type = &column.data_type;
        return Err(format!(
            "an access log's timestamp cannot be read as {data_type}"
        ));
    }
    Ok(*field)
}

/// A line cut into its fields; what is `-` in the line is none here.
struct Line<'a> {
    ip: Option<&'a str>,
    ident: Option<&'a str>,
    user: Option<&'a str>,
    timestamp: &'a str,
    time_us: i64,
    request: Option<&'a str>,
    /// The parts of the request line, if it is well formed.
    parts: Option<Request<'a>>,
    status: Option<&'a str>,
    bytes: Option<&'a str>,
    referer: Option<&'a str>,
    user_agent: Option<&'a str>,
    forwarded_for: Option<&'a str>,
    further: &'a str,
}

/// What a line should have had where it could not be read on, and how much of it was left there.
struct Stop {
    rest_bytes: usize,
    wanted: &'static str,
}

fn split(line: &str) -> Result<Line<'_>, Stop> {
    let mut rest = line;
    let ip = word(&mut rest, "client address", |_| true)?;
    let ident = word(&mut rest, "ident", |_| true)?;
    let user = word(&mut rest, "user", |_| true)?;
    let (timestamp, time_us) = time(&mut rest)?;
    let request = quoted(&mut rest, "request line in quotes")?;
    space(&mut rest, "space after the request line")?;
    let status = word(&mut rest, "status", |text| {
        text.len() == 3 && is_digits(text)
    })?;
    let bytes = word(&mut rest, "byte count", is_digits)?;
    let mut line = Line {
        ip,
        ident,
        user,
        timestamp,
        time_us,
        request,
        parts: request.and_then(parts),
        status,
        bytes,
        referer: None,
        user_agent: None,
        forwarded_for: None,
        further: "",
    };
    if rest.starts_with('"') {
        line.referer = quoted(&mut rest, "referer in quotes")?;
        space(&mut rest, "space after the referer")?;
        line.user_agent = quoted(&mut rest, "user agent in quotes")?;
        if !rest.is_empty() {
            space(&mut rest, "space after the user agent")?;
        }
        if rest.starts_with('"') {
            let before = rest.len();
            let wanted = "list of addresses as the only quoted field after the user agent";
            line.forwarded_for = quoted(&mut rest, wanted)?;
            if !line.forwarded_for.is_none_or(is_addresses)
                || !(rest.is_empty() || rest.starts_with(' '))
            {
                let rest_bytes = before;
                return Err(Stop { rest_bytes, wanted });
            }
        }
    }
    if let Some(quote) = rest.find('"') {
        let rest_bytes = rest.len() - quote;
        let wanted = "end, or field without quotes,";
        return Err(Stop { rest_bytes, wanted });
    }
    line.further = rest;
    Ok(line)
}

/// Takes a field that ends with a space or with the line.
fn word<'a>(
    rest: &mut &'a str,
    wanted: &'static str,
    valid: fn(&str) -> bool,
) -> Result<Option<&'a str>, Stop> {
    let (taken, after) = rest.split_once(' ').unwrap_or((*rest, ""));
    if taken.is_empty() || taken.starts_with(['"', '[']) || !(taken == "-" || valid(taken)) {
        let rest_bytes = rest.len();
        return Err(Stop { rest_bytes, wanted });
    }
    *rest = after;
    Ok(unless_dash(taken))
}

/// Takes the time in its brackets and the space after it.
fn time<'a>(rest: &mut &'a str) -> Result<(&'a str, i64), Stop> {
    let stop = Stop {
        rest_bytes: rest.len(),
        wanted: "time in brackets",
    };
    let Some((text, after)) = rest
        .strip_prefix('[')
        .and_then(|rest| rest.split_once("] "))
    else {
        return Err(stop);
    };
    let Some(time_us) = timestamp::parse_access_log(text) else {
        return Err(stop);
    };
    *rest = after;
    Ok((text, time_us))
}

/// Takes a field in quotes. A quote behind a backslash does not end it.
fn quoted<'a>(rest: &mut &'a str, wanted: &'static str) -> Result<Option<&'a str>, Stop> {
    let bytes = rest.as_bytes();
    let mut at = 1;
    while bytes.first() == Some(&b'"') && at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 2,
            b'"' => {
                let taken = &rest[1..at];
                *rest = &rest[at + 1..];
                return Ok(unless_dash(taken));
            }
            _ => at += 1,
        }
    }
    let rest_bytes = rest.len();
    Err(Stop { rest_bytes, wanted })
}

fn space(rest: &mut &str, wanted: &'static str) -> Result<(), Stop> {
    match rest.strip_prefix(' ') {
        Some(after) => *rest = after,
        None => {
            let rest_bytes = rest.len();
            return Err(Stop { rest_bytes, wanted });
        }
    }
    Ok(())
}

fn unless_dash(text: &str) -> Option<&str> {
    (text != "-").then_some(text)
}

fn is_digits(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Whether a text could be the value of `X-Forwarded-For`: addresses, parted by commas.
fn is_addresses(text: &str) -> bool {
    let is_address = |text: &str| {
        let host = text.trim_matches(['[', ']']);
        host == "unknown"
            || host.contains(['.', ':'])
                && host
                    .bytes()
                    .all(|byte| byte.is_ascii_hexdigit() || matches!(byte, b'.' | b':'))
    };
    text.split(',').map(str::trim).all(is_address)
}

fn value<'a>(
    line: &Line<'a>,
    field: Field,
    target: &Target,
    zone: Zone,
) -> Result<Slot<'a>, String> {
    let text = match field {
        Field::Ip => line.ip,
        Field::Ident => line.ident,
        Field::User => line.user,
        Field::Timestamp => return Ok(instant(line, target.kind)),
        Field::Request => line.request,
        Field::Method => line.parts.map(|request| request.method),
        Field::Path => line.parts.map(|request| request.path),
        Field::Query => line.parts.and_then(|request| request.query),
        Field::Protocol => line.parts.and_then(|request| request.protocol),
        Field::Status => line.status,
        Field::Bytes => line.bytes,
        Field::Referer => line.referer,
        Field::UserAgent => line.user_agent,
        Field::ForwardedFor => line.forwarded_for,
        Field::ResponseTime => {
            return match response_time_ms(line.further) {
                None => target.null(),
                Some(value_ms) => columns::float(target.kind, value_ms)
                    .map_err(|why: Unreadable| target.refuse(value_ms, why)),
            };
        }
    };
    let Some(text) = text else {
        return target.null();
    };
    columns::text(target.kind, text, zone)
        .map_err(|why| target.refuse(format_args!("{text:?}"), why))
}

fn instant<'a>(line: &Line<'a>, kind: Kind) -> Slot<'a> {
    match kind {
        Kind::Text => Slot::Text(line.timestamp),
        Kind::Date => Slot::Integer(timestamp::day_of(line.time_us).into()),
        _ => Slot::Integer(line.time_us),
    }
}

#[derive(Clone, Copy)]
struct Request<'a> {
    method: &'a str,
    path: &'a str,
    query: Option<&'a str>,
    protocol: Option<&'a str>,
}

/// The parts of a request line, unless it is malformed. HTTP/0.9 has no protocol, and some clients leave spaces
/// in the path.
fn parts(request: &str) -> Option<Request<'_>> {
    let (method, rest) = request.split_once(' ')?;
    let is_method = |byte: u8| byte.is_ascii_uppercase() || matches!(byte, b'-' | b'_');
    if method.is_empty() || !method.bytes().all(is_method) {
        return None;
    }
    let (target, protocol) = match rest.rsplit_once(' ') {
        Some((target, protocol)) if protocol.starts_with("HTTP/") => (target, Some(protocol)),
        _ => (rest, None),
    };
    if target.is_empty() || target.starts_with("HTTP/") {
        return None;
    }
    let (path, query) = match target.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (target, None),
    };
    Some(Request {
        method,
        path,
        query,
        protocol,
    })
}

/// nginx's request time, to the microsecond, so that its decimal fraction of a second leaves no binary dust.
fn response_time_ms(further: &str) -> Option<f64> {
    let is_seconds = |text: &&str| {
        text.split_once('.').is_some_and(|(whole, part)| {
            !whole.is_empty() && !part.is_empty() && is_digits(whole) && is_digits(part)
        })
    };
    let seconds: f64 = further.split(' ').find(is_seconds)?.parse().ok()?;
    let value_ms = (seconds * 1e6).round() / 1e3;
    value_ms.is_finite().then_some(value_ms)
}
