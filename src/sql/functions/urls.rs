//! Parts of addresses of the web, and texts as they stand in them.
//!
//! Parts are cut out as RFC 3986 (appendix B) divides an address, and stay as they are written. Of a text without a scheme there are none.

use super::rowwise::Takes::Text;
use super::rowwise::{Given, Gives, Rowwise};
use datafusion::common::Result;

/// All of them.
pub(super) fn all() -> Vec<Rowwise> {
    let mut all = vec![
        Rowwise::of_text("url_extract_protocol", "url_extract_protocol(url)", |it| {
            text(part_of(it[0].text(), "PROTOCOL"))
        }),
        Rowwise::of_text("url_extract_host", "url_extract_host(url)", |it| {
            text(part_of(it[0].text(), "HOST"))
        }),
        Rowwise::of_text("url_extract_path", "url_extract_path(url)", |it| {
            text(part_of(it[0].text(), "PATH"))
        }),
        Rowwise::of_text("url_extract_query", "url_extract_query(url)", |it| {
            text(part_of(it[0].text(), "QUERY"))
        }),
        Rowwise::of_text("url_extract_fragment", "url_extract_fragment(url)", |it| {
            text(part_of(it[0].text(), "REF"))
        }),
        Rowwise::of_text("url_encode", "url_encode(text)", |it| {
            text(Some(encoded(it[0].text())))
        }),
        Rowwise::of_text("url_decode", "url_decode(text)", |it| {
            text(decoded(it[0].text()))
        }),
    ];
    all.push(Rowwise {
        name: "url_extract_port",
        usage: "url_extract_port(url)",
        ways: &[(&[Text], Gives::Int)],
        of: |it| {
            let parts = Parts::of(it[0].text());
            let port = parts.and_then(|it| it.host_and_port()?.1?.parse().ok());
            Ok(port.map(Given::Int))
        },
        check: None,
    });
    all.push(Rowwise {
        name: "url_extract_parameter",
        usage: "url_extract_parameter(url, name)",
        ways: &[(&[Text, Text], Gives::Text)],
        of: |it| text(parameter(it[0].text(), it[1].text())),
        check: None,
    });
    all.push(Rowwise {
        name: "parse_url",
        usage: "parse_url(url, 'HOST'), with PATH, QUERY, REF, PROTOCOL, AUTHORITY, FILE or USERINFO, or parse_url(url, 'QUERY', name)",
        ways: &[
            (&[Text, Text], Gives::Text),
            (&[Text, Text, Text], Gives::Text),
        ],
        of: |it| {
            text(match it {
                [url, part] => part_of(url.text(), part.text()),
                [url, part, name] if part.text() == "QUERY" => {
                    raw_parameter(url.text(), name.text()).map(str::to_owned)
                }
                _ => None,
            })
        },
        check: Some(|it| match it.get(1).copied().flatten() {
            Some(part) if !PARTS.contains(&part) => Err(format!(
                "parse_url knows no part '{part}'; possible are {}",
                PARTS.join(", ")
            )),
            Some(part) if part != "QUERY" && 2 < it.len() => Err(
                "parse_url takes the name of a parameter only for 'QUERY'".to_owned(),
            ),
            Some(_) | None => Ok(()),
        }),
    });
    all
}

fn text(it: Option<String>) -> Result<Option<Given>> {
    Ok(it.map(Given::Text))
}

const PARTS: [&str; 8] = [
    "HOST",
    "PATH",
    "QUERY",
    "REF",
    "PROTOCOL",
    "AUTHORITY",
    "FILE",
    "USERINFO",
];

/// An address, divided.
struct Parts<'a> {
    scheme: &'a str,
    authority: Option<&'a str>,
    path: &'a str,
    query: Option<&'a str>,
    fragment: Option<&'a str>,
}

impl<'a> Parts<'a> {
    fn of(url: &'a str) -> Option<Self> {
        let (scheme, rest) = url.trim().split_once(':')?;
        let is_scheme = scheme.starts_with(|it: char| it.is_ascii_alphabetic())
            && scheme
                .chars()
                .all(|it| it.is_ascii_alphanumeric() || "+-.".contains(it));
        if !is_scheme || rest.contains(char::is_whitespace) {
            return None;
        }
        let (rest, fragment) = cut(rest, '#');
        let (rest, query) = cut(rest, '?');
        let (authority, path) = match rest.strip_prefix("//") {
            Some(it) => {
                let (authority, path) = it.split_at(it.find('/').unwrap_or(it.len()));
                (Some(authority), path)
            }
            None => (None, rest),
        };
        Some(Parts {
            scheme,
            authority,
            path,
            query,
            fragment,
        })
    }

    fn user_info(&self) -> Option<&'a str> {
        self.authority?.rsplit_once('@').map(|it| it.0)
    }

    /// An address of version 6 stays in its brackets.
    fn host_and_port(&self) -> Option<(&'a str, Option<&'a str>)> {
        let authority = self.authority?;
        let place = authority.rsplit_once('@').map_or(authority, |it| it.1);
        let (host, port) = match place.rsplit_once(':') {
            Some((host, port)) if !port.contains(']') => (host, Some(port)),
            Some(_) | None => (place, None),
        };
        (!host.is_empty()).then_some((host, port))
    }
}

/// What is before a sign and what is behind it, if it is there.
fn cut(text: &str, at: char) -> (&str, Option<&str>) {
    match text.split_once(at) {
        Some((before, behind)) => (before, Some(behind)),
        None => (text, None),
    }
}

fn part_of(url: &str, part: &str) -> Option<String> {
    let parts = Parts::of(url)?;
    let found = match part {
        "PROTOCOL" => parts.scheme,
        "HOST" => parts.host_and_port()?.0,
        "PATH" => parts.path,
        "QUERY" => parts.query?,
        "REF" => parts.fragment?,
        "AUTHORITY" => parts.authority?,
        "USERINFO" => parts.user_info()?,
        "FILE" => {
            return Some(match parts.query {
                Some(query) => format!("{}?{query}", parts.path),
                None => parts.path.to_owned(),
            });
        }
        _ => return None,
    };
    Some(found.to_owned())
}

/// The value of a parameter as it is written.
fn raw_parameter<'a>(url: &'a str, name: &str) -> Option<&'a str> {
    let query = Parts::of(url)?.query?;
    let mut pairs = query.split('&').filter_map(|it| it.split_once('='));
    pairs.find(|it| it.0 == name).map(|it| it.1)
}

/// The value of a parameter; its name and value are decoded.
fn parameter(url: &str, name: &str) -> Option<String> {
    let query = Parts::of(url)?.query?;
    let mut pairs = query.split('&').filter_map(|it| it.split_once('='));
    let found = pairs.find(|it| decoded(it.0).as_deref() == Some(name))?;
    decoded(found.1)
}

/// A text as forms of HTML encode it (application/x-www-form-urlencoded).
fn encoded(text: &str) -> String {
    use std::fmt::Write;
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'-' | b'*' | b'_' => {
                encoded.push(byte.into());
            }
            b' ' => encoded.push('+'),
            other => {
                let _ = write!(encoded, "%{other:02X}");
            }
        }
    }
    encoded
}

/// The text that is encoded so; of what is no such text nothing.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, behind @ ..] = rest {
        rest = behind;
        match (first, behind) {
            (b'%', [high, low, behind @ ..]) => {
                let digit = |it: u8| char::from(it).to_digit(16);
                let byte = 16 * digit(*high)? + digit(*low)?;
                bytes.push(u8::try_from(byte).ok()?);
                rest = behind;
            }
            (b'%', _) => return None,
            (b'+', _) => bytes.push(b' '),
            (other, _) => bytes.push(*other),
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::super::rowwise::Arg;
    use super::*;
    use crate::sql::functions::rowwise::computed;

    #[test]
    fn addresses_have_parts() {
        let url = "https://me:pw@[::1]:8443/a%20b/c.php?k1=v1&k%202=v+2&k1=3#top";
        for (part, expected) in [
            ("PROTOCOL", Some("https")),
            ("HOST", Some("[::1]")),
            ("PATH", Some("/a%20b/c.php")),
            ("QUERY", Some("k1=v1&k%202=v+2&k1=3")),
            ("REF", Some("top")),
            ("AUTHORITY", Some("me:pw@[::1]:8443")),
            ("USERINFO", Some("me:pw")),
            ("FILE", Some("/a%20b/c.php?k1=v1&k%202=v+2&k1=3")),
            ("host", None),
        ] {
            assert_eq!(part_of(url, part).as_deref(), expected, "{part}");
        }
        assert_eq!(raw_parameter(url, "k1"), Some("v1"));
        assert_eq!(raw_parameter(url, "k 2"), None);
        assert_eq!(parameter(url, "k 2").as_deref(), Some("v 2"));
        assert_eq!(part_of("http://example.org", "PATH").as_deref(), Some(""));
        assert_eq!(part_of("http://example.org", "QUERY"), None);
        assert_eq!(part_of("mailto:a@b.org", "HOST"), None);
        assert_eq!(part_of("example.org/a", "PATH"), None);
        assert_eq!(part_of("http://a b/", "HOST"), None);
        let all = all();
        let port = all.iter().find(|it| it.name == "url_extract_port").unwrap();
        assert_eq!(computed(port, &[Arg::Text(url)]), Some(Given::Int(8443)));
        assert_eq!(computed(port, &[Arg::Text("http://a/")]), None);
    }

    #[test]
    fn texts_are_encoded_for_addresses() {
        for (text, url) in [("a b&ü*", "a+b%26%C3%BC*"), ("", ""), ("~/", "%7E%2F")] {
            assert_eq!(encoded(text), url);
            assert_eq!(decoded(url).as_deref(), Some(text));
        }
        for none in ["%", "%2", "%zz", "%ff"] {
            assert_eq!(decoded(none), None, "{none}");
        }
    }
}
