//! Lines of access logs: whole, short, long and broken.

use super::AccessLog;
use super::check;

const LINE: &str = r#"ip text, ident text, user text, timestamp timestamp, method text, path text, query text, protocol text, status int32, bytes int64, referer text, user_agent text, response_time float64"#;

/// Cut from the logs of callumrollo/erddaplogs (MIT) and of elastic/examples (Apache-2.0).
#[test]
fn lines_of_real_logs() {
    check(
        AccessLog,
        LINE,
        r#"171.177.25.126 - - [12/May/2024:00:00:17 +0000] "GET /erddap/tabledap/allDatasets.csv HTTP/1.1" 200 594982 "-" "python-requests/2.28.1""#,
        "171.177.25.126 | null | null | 2024-05-12T00:00:17Z | GET | /erddap/tabledap/allDatasets.csv | null | HTTP/1.1 | 200 | 594982 | null | python-requests/2.28.1 | null",
    );
    check(
        AccessLog,
        "path text, query text",
        r#"237.85.78.47 - - [12/May/2024:14:02:35 +0000] "GET /erddap/tabledap/allDatasets.json?maxTime&datasetID=%22x%22&distinct() HTTP/1.1" 404 114 "-" "curl/7.54.0""#,
        "/erddap/tabledap/allDatasets.json | maxTime&datasetID=%22x%22&distinct()",
    );
    check(
        AccessLog,
        LINE,
        "\"curl/7.54.0\"",
        "dead: the line has no client address at byte 0",
    );
    check(
        AccessLog,
        LINE,
        r#"91.89.115.105 - - [14/May/2024:12:59:31 +0000] "GET / HTTP/1.1" 301 178 "-" "-" "kmdjdheyytgebfghehhenegsdfsdf""#,
        "dead: the line has no list of addresses as the only quoted field after the user agent at byte 80",
    );
    check(
        AccessLog,
        LINE,
        r#"46.118.127.106 - - [20/May/2015:12:05:17 +0000] "GET /scripts/grok-py-test/configlib.py HTTP/1.1" 200 235 "-" "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html"#,
        "dead: the line has no user agent in quotes at byte 110",
    );
}

#[test]
fn lines_end_in_several_ways() {
    let start = r#"::1 - alice [01/Jan/2024:01:00:00 +0100] "POST /a HTTP/2.0" 204 -"#;
    let columns = "ip text, user_id text, timestamp timestamp, endpoint text, status_code int32, bytes_sent int64, referer text, user_agent text, x_forwarded_for text, response_time float64";
    let first = "::1 | alice | 2024-01-01T00:00:00Z | /a | 204 | null";
    let ends = [
        ("", "null | null | null | null"),
        ("\r\n", "null | null | null | null"),
        (" 0.153", "null | null | null | 153.0"),
        (r#" "" "-""#, " | null | null | null"),
        (r#" "r" "u" "#, "r | u | null | null"),
        (
            r#" "r" "a \"b\" \x16 \\""#,
            r#"r | a \"b\" \x16 \\ | null | null"#,
        ),
        (r#" "r" "u" "-""#, "r | u | null | null"),
        (
            r#" "r" "u" "10.0.0.1, ::1""#,
            "r | u | 10.0.0.1, ::1 | null",
        ),
        (r#" "r" "u" "10.0.0.1" 1.001"#, "r | u | 10.0.0.1 | 1001.0"),
        (r#" "r" "u" 0.007 0.006 ."#, "r | u | null | 7.0"),
        (
            r#" "r" "u" 412 0.057 [up] 10.0.0.1:80 0.05"#,
            "r | u | null | 57.0",
        ),
        (r#" "r" "u" 3"#, "r | u | null | null"),
        (r#" "r" "u" - rt=0.5"#, "r | u | null | null"),
    ];
    for (end, expect) in ends {
        check(
            AccessLog,
            columns,
            format!("{start}{end}"),
            &format!("{first} | {expect}"),
        );
    }
    let broken = [
        (r#" "r""#, "space after the referer at byte 69"),
        (r#" "r" "#, "user agent in quotes at byte 70"),
        (r#" "r" u"#, "user agent in quotes at byte 70"),
        (r#" "r" "u\""#, "user agent in quotes at byte 70"),
        (r#" "r" "u"0.5"#, "space after the user agent at byte 73"),
        (
            r#" "r" "u" a="b""#,
            "end, or field without quotes, at byte 76",
        ),
    ];
    for (end, expect) in broken {
        check(
            AccessLog,
            columns,
            format!("{start}{end}"),
            &format!("dead: the line has no {expect}"),
        );
    }
}

#[test]
fn a_line_says_where_it_breaks_off() {
    let broken = [
        (" ip - -", "client address at byte 0"),
        ("ip", "ident at byte 2"),
        ("ip - ", "user at byte 5"),
        ("ip - -", "time in brackets at byte 6"),
        ("ip - - 2024", "time in brackets at byte 7"),
        (
            "ip - - [32/May/2024:00:00:17 +0000] \"",
            "time in brackets at byte 7",
        ),
        (
            "ip - - [12/Mai/2024:00:00:17 +0000] \"",
            "time in brackets at byte 7",
        ),
        (
            "ip - - [12/May/2024:00:00:17] \"",
            "time in brackets at byte 7",
        ),
        (
            "ip - - [12/May/2024:00:00:17 +0000",
            "time in brackets at byte 7",
        ),
        (
            "ip - - [12/May/2024:00:00:17 +0000] GET",
            "request line in quotes at byte 36",
        ),
        (
            "ip - - [12/May/2024:00:00:17 +0000] \"GET /",
            "request line in quotes at byte 36",
        ),
        (
            "ip - - [12/May/2024:00:00:17 +0000] \"-\"",
            "space after the request line at byte 39",
        ),
        (
            "ip - - [12/May/2024:00:00:17 +0000] \"-\" 200",
            "byte count at byte 43",
        ),
        (
            "ip - - [12/May/2024:00:00:17 +0000] \"-\" 2000 1",
            "status at byte 40",
        ),
        (
            "ip - - [12/May/2024:00:00:17 +0000] \"-\" 200 x",
            "byte count at byte 44",
        ),
        (
            "ip - - [12/May/2024:00:00:17 +0000] \"-\" 200 ",
            "byte count at byte 44",
        ),
    ];
    for (line, expect) in broken {
        check(
            AccessLog,
            "ip text",
            line,
            &format!("dead: the line has no {expect}"),
        );
    }
    check(AccessLog, "ip text", "", "dead: empty record");
    check(
        AccessLog,
        "ip text",
        b"ip - - \xff",
        "dead: the record is not valid UTF-8",
    );
    let columns = "ip text, bytes int32";
    let line = "ip - - [12/May/2024:00:00:17 +0000] \"-\" 200 3000000000";
    let reason = "dead: field \"bytes\" is out of range for a 32-bit integer: \"3000000000\"";
    check(AccessLog, columns, line, reason);
    let line = "ip - - [12/May/2024:00:00:17 +0000] \"-\" - -";
    check(AccessLog, columns, line, "ip | null");
    let reason = "dead: field \"bytes\" is missing or null, but is declared NOT NULL";
    check(AccessLog, "bytes int64 not null", line, reason);
}

#[test]
fn a_broken_request_line_still_is_a_record() {
    let columns = "method text, path text, query text, protocol text, request text, status int32";
    let requests = [
        ("GET /a?b=c?d HTTP/1.1", "GET | /a | b=c?d | HTTP/1.1"),
        ("GET /a? HTTP/1.1", "GET | /a |  | HTTP/1.1"),
        ("GET /a b HTTP/1.1", "GET | /a b | null | HTTP/1.1"),
        ("OPTIONS * HTTP/1.0", "OPTIONS | * | null | HTTP/1.0"),
        (
            "GET http://example.com/a HTTP/1.1",
            "GET | http://example.com/a | null | HTTP/1.1",
        ),
        ("GET /a", "GET | /a | null | null"),
        ("M-SEARCH /a HTTP/1.1", "M-SEARCH | /a | null | HTTP/1.1"),
        ("GET HTTP/1.1", "null | null | null | null"),
        ("GET", "null | null | null | null"),
        ("get /a HTTP/1.1", "null | null | null | null"),
        (r"\x16\x03\x01\x00\xEE /", "null | null | null | null"),
        (r#"\"GET / HTTP/1.1"#, "null | null | null | null"),
        ("", "null | null | null | null"),
    ];
    for (request, expect) in requests {
        let line = format!("ip - - [12/May/2024:00:00:17 +0000] \"{request}\" 400 0 \"-\" \"-\"");
        check(
            AccessLog,
            columns,
            line,
            &format!("{expect} | {request} | 400"),
        );
    }
    let line = "ip - - [12/May/2024:00:00:17 +0000] \"-\" 400 0";
    check(
        AccessLog,
        columns,
        line,
        "null | null | null | null | null | 400",
    );
}

#[test]
fn lines_are_read_as_other_types_too() {
    let line = r#"10.0.0.1 - 42 [12/May/2024:23:30:00 -0100] "GET / HTTP/1.1" 200 5 "-" "-" 0.250"#;
    check(
        AccessLog,
        "timestamp text",
        line,
        "12/May/2024:23:30:00 -0100",
    );
    check(AccessLog, "timestamp date", line, "2024-05-13");
    check(
        AccessLog,
        "timestamp timestamp event time",
        line,
        "2024-05-13T00:30:00Z",
    );
    check(
        AccessLog,
        "user int64, status text, bytes float64",
        line,
        "42 | 200 | 5.0",
    );
    check(AccessLog, "response_time int32", line, "250");
    check(AccessLog, "response_time text", line, "250");
}
