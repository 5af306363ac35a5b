//! One event: what its thirteen fields are drawn from, and how they are written.
//!
//! The JSON is written by hand, since no value here needs escaping. Each event draws the same fields in the
//! same order; an anomaly draws its replacement in addition, at the field that it changes. What belongs to the
//! visitor comes from `visitors`.

use super::Kind;
use super::scenario::{self, Scenario};
use super::visitors::{Visitor, suspicious_address};
use crate::model::Random;

const ENDPOINTS: [(u32, &str, &[Method]); 6] = [
    (
        30,
        "/api/users",
        &[Method::Get, Method::Post, Method::Put, Method::Delete],
    ),
    (
        25,
        "/api/products",
        &[Method::Get, Method::Post, Method::Put, Method::Delete],
    ),
    (20, "/api/orders", &[Method::Get, Method::Post, Method::Put]),
    (15, "/api/auth", &[Method::Post]),
    (
        5,
        "/api/admin",
        &[Method::Get, Method::Post, Method::Delete],
    ),
    (5, "/", &[Method::Get]),
];
const STATUSES: [(u32, u32); 7] = [
    (85, 200),
    (5, 201),
    (4, 400),
    (2, 401),
    (1, 403),
    (2, 404),
    (1, 500),
];
const SURGE_STATUSES: [u32; 5] = [400, 401, 403, 404, 500];
const USER_AGENTS: [&str; 5] = [
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36",
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) AppleWebKit/605.1.15",
    "Mozilla/5.0 (Android 14; Mobile; rv:120.0) Gecko/120.0",
];
const REFERERS: [Option<&str>; 4] = [
    Some("https://www.google.com"),
    Some("https://www.bing.com"),
    Some("https://example.com"),
    None,
];
const QUERIES: [&str; 4] = [
    "page=1&limit=10",
    "sort=date&order=desc",
    "filter=active",
    "",
];

#[derive(Debug, Clone, Copy)]
enum Method {
    Get,
    Post,
    Put,
    Delete,
}

impl Method {
    fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Delete => "DELETE",
        }
    }

    /// The shortest and longest ordinary response in milliseconds.
    fn response_ms(self) -> (u32, u32) {
        match self {
            Self::Get => (50, 300),
            Self::Post => (100, 500),
            Self::Put => (80, 400),
            Self::Delete => (60, 250),
        }
    }

    /// The shortest and longest slow response in milliseconds.
    fn slow_response_ms(self) -> (u32, u32) {
        match self {
            Self::Get => (800, 1_600),
            Self::Post => (1_200, 2_400),
            Self::Put => (1_000, 2_000),
            Self::Delete => (600, 1_200),
        }
    }
}

/// The address of one event, as text.
#[derive(Default)]
pub(super) struct Address(Vec<u8>);

impl Address {
    pub(super) fn text(&self) -> &str {
        str::from_utf8(&self.0).expect("an address is digits and dots")
    }

    fn set(&mut self, address: [u8; 4]) {
        self.0.clear();
        for (place, octet) in address.into_iter().enumerate() {
            if 0 < place {
                self.0.push(b'.');
            }
            append_number(&mut self.0, octet.into());
        }
    }
}

/// Who sends an event, and what is unusual about it.
pub(super) struct Origin {
    pub kind: Option<Kind>,
    pub scenario: Option<Scenario>,
    pub visitor: Visitor,
}

/// Writes one event and returns its endpoint. The address is left in `address`.
pub(super) fn write(
    out: &mut Vec<u8>,
    random: &mut Random,
    clock: &mut Clock,
    time_us: i64,
    origin: Origin,
    address: &mut Address,
) -> &'static str {
    let Origin {
        kind,
        scenario,
        visitor,
    } = origin;
    address.set(match kind {
        // Somebody else goes on with the visitor's session.
        Some(Kind::SuspiciousIp) => suspicious_address(random),
        _ => visitor.address,
    });
    let (endpoint, methods) = endpoint(random.percent());
    let method = random.pick(methods);
    let (mut status, unusual_ms) = match scenario {
        Some(it) => scenario::outcome(it, random, time_us, endpoint, visitor.browser),
        None => (status(random.percent()), None),
    };
    if kind == Some(Kind::ErrorSurge) {
        status = random.pick(&SURGE_STATUSES);
    }
    let (shortest_ms, longest_ms) = match (unusual_ms, kind) {
        (Some(it), _) => it,
        (None, Some(Kind::SlowResponse)) => method.slow_response_ms(),
        (None, _) => method.response_ms(),
    };
    out.reserve(512);
    out.extend_from_slice(b"{\"timestamp\":\"");
    clock.append(out, time_us);
    out.extend_from_slice(b"\",\"ip\":\"");
    out.extend_from_slice(&address.0);
    out.extend_from_slice(b"\",\"method\":\"");
    out.extend_from_slice(method.name().as_bytes());
    out.extend_from_slice(b"\",\"endpoint\":\"");
    out.extend_from_slice(endpoint.as_bytes());
    out.extend_from_slice(b"\",\"status_code\":");
    append_number(out, status);
    out.extend_from_slice(b",\"response_time\":");
    append_number(out, random.between(shortest_ms, longest_ms));
    out.extend_from_slice(b",\"user_agent\":\"");
    let script = scenario.and_then(|_| scenario::script(visitor.browser));
    let browser = USER_AGENTS[visitor.browser as usize % USER_AGENTS.len()];
    out.extend_from_slice(script.unwrap_or(browser).as_bytes());
    out.extend_from_slice(b"\",\"user_id\":");
    append_named(out, b"\"user_", visitor.user);
    out.extend_from_slice(b",\"session_id\":");
    append_named(out, b"\"session_", visitor.session);
    out.extend_from_slice(b",\"bytes_sent\":");
    append_number(out, random.between(100, 50_000));
    match random.pick(&REFERERS) {
        None => out.extend_from_slice(b",\"referer\":null,\"request_size\":"),
        Some(referer) => {
            out.extend_from_slice(b",\"referer\":\"");
            out.extend_from_slice(referer.as_bytes());
            out.extend_from_slice(b"\",\"request_size\":");
        }
    }
    append_number(out, random.between(50, 2_048));
    out.extend_from_slice(b",\"query_params\":\"");
    out.extend_from_slice(random.pick(&QUERIES).as_bytes());
    out.extend_from_slice(b"\"}");
    endpoint
}

fn endpoint(percent: u32) -> (&'static str, &'static [Method]) {
    let mut below = 0;
    for (weight, endpoint, methods) in ENDPOINTS {
        below += weight;
        if percent < below {
            return (endpoint, methods);
        }
    }
    unreachable!("the weights of the endpoints add up to 100")
}

fn status(percent: u32) -> u32 {
    let mut below = 0;
    for (weight, status) in STATUSES {
        below += weight;
        if percent < below {
            return status;
        }
    }
    unreachable!("the weights of the statuses add up to 100")
}

fn append_named(out: &mut Vec<u8>, quote_and_prefix: &[u8], number: Option<u32>) {
    let Some(number) = number else {
        out.extend_from_slice(b"null");
        return;
    };
    out.extend_from_slice(quote_and_prefix);
    append_number(out, number);
    out.push(b'"');
}

fn append_number(out: &mut Vec<u8>, mut number: u32) {
    let mut digits = [0; 10];
    let mut first = digits.len();
    loop {
        first -= 1;
        digits[first] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[first..]);
}

/// Writes event times as `2024-05-12T10:15:30.123456`, in UTC without saying so.
///
/// What stays the same for a whole second is kept from event to event.
pub(super) struct Clock {
    second: i64,
    text: [u8; 20],
}

impl Default for Clock {
    fn default() -> Self {
        Self {
            second: i64::MIN,
            text: *b"0000-00-00T00:00:00.",
        }
    }
}

impl Clock {
    pub(super) fn append(&mut self, out: &mut Vec<u8>, time_us: i64) {
        let second = time_us.div_euclid(1_000_000);
        if second != self.second {
            self.set(second);
        }
        out.extend_from_slice(&self.text);
        let mut digits = [0; 6];
        let mut rest = time_us.rem_euclid(1_000_000) as u32;
        for digit in digits.iter_mut().rev() {
            *digit = b'0' + (rest % 10) as u8;
            rest /= 10;
        }
        out.extend_from_slice(&digits);
    }

    fn set(&mut self, second: i64) {
        self.second = second;
        let (year, month, day) = date(second.div_euclid(86_400));
        let of_day = second.rem_euclid(86_400) as u32;
        let mut put = |at: usize, value: u32| {
            self.text[at] = b'0' + (value / 10) as u8;
            self.text[at + 1] = b'0' + (value % 10) as u8;
        };
        put(0, year / 100);
        put(2, year % 100);
        put(5, month);
        put(8, day);
        put(11, of_day / 3_600);
        put(14, of_day / 60 % 60);
        put(17, of_day % 60);
    }
}

/// The year, month and day of a day counted from the epoch: `civil_from_days` of Howard Hinnant's
/// "chrono-Compatible Low-Level Date Algorithms".
fn date(days: i64) -> (u32, u32, u32) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 {
        shifted_month + 3
    } else {
        shifted_month - 9
    };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    assert!(
        (0..=9_999).contains(&year),
        "event times are in years of four digits, not in {year}"
    );
    (year as u32, month as u32, day as u32)
}
