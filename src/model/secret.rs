//! Passwords do not leave the process: one place knows them, and one function takes them out of whatever is shown.
//!
//! A value becomes known when it is read ([`conceal`], [`conceal_all`]): options of a source, variables of a dataflow and of the environment, the address of the lake. From then on
//! [`redact`] replaces it wherever it stands, however it is quoted, also in what libraries say; the log, errors, answers and the health pass through it. What
//! was never read as a setting is found by its form: the password in `scheme://user:password@host`, and the value after a name such as `password`.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::{PoisonError, RwLock};

/// What is shown instead.
pub const REDACTED: &str = "***";
/// Shorter values are only found by their form: they would be parts of other words.
const VALUE_BYTES_MIN: usize = 4;
/// From this length on a value is a secret also as part of a word.
const LONG_BYTES: usize = 8;
/// What every token of a user begins with, so that one is known wherever it lies.
pub const TOKEN_PREFIX: &str = "tl_";
/// A part of a token that is so long is as good as the whole to someone who guesses the rest.
const TOKEN_DIGITS_MIN: usize = 24;
/// What is in the name of a setting whose value is a secret.
const NAMES: [&str; 7] = [
    "password",
    "passwd",
    "secret",
    "jaas.config",
    "private_key",
    "session_token",
    "key.pem",
];

/// Longest first, since one may be part of another.
static KNOWN: RwLock<Vec<String>> = RwLock::new(Vec::new());

/// Whether the value of a setting of this name is a secret.
pub fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    NAMES.iter().any(|it| name.contains(it))
}

/// Takes a value for a secret from now on, in each way of writing it.
pub fn conceal(value: &str) {
    if value.len() < VALUE_BYTES_MIN {
        return;
    }
    let percent: String = url::form_urlencoded::byte_serialize(value.as_bytes()).collect();
    let inside = |quoted: &str| quoted[1..quoted.len() - 1].to_owned();
    let ways = [
        value.to_owned(),
        value.replace('\'', "''"),
        inside(&format!("{value:?}")),
        inside(&serde_json::Value::from(value).to_string()),
        percent.replace('+', "%20"),
        percent,
    ];
    let mut known = KNOWN.write().unwrap_or_else(PoisonError::into_inner);
    let all: BTreeSet<String> = known.drain(..).chain(ways).collect();
    known.extend(all);
    known.sort_by_key(|it| std::cmp::Reverse(it.len()));
}

/// Takes the value of a setting for a secret if its name says so.
pub fn conceal_if_secret(name: &str, value: &str) {
    if is_secret(name) {
        conceal(value);
    }
}

/// Takes for secrets what an SQL text assigns to names that say so.
pub fn conceal_all(text: &str) {
    for (start, end) in values_of_names(text, false) {
        let value = &text[start..end];
        conceal(value);
        conceal(&value.replace("''", "'"));
    }
}

/// Writes a field as it may be shown.
///
/// # Errors
/// As the serializer has it.
pub fn serialize<S: serde::Serializer>(text: &str, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&redact(text))
}

/// A text as it may be shown.
pub fn redact(text: &str) -> Cow<'_, str> {
    let mut shown = Cow::Borrowed(text);
    for value in KNOWN.read().unwrap_or_else(PoisonError::into_inner).iter() {
        let spans = places_of(&shown, value);
        // From the last to the first, so that places stay right.
        for (start, end) in spans.into_iter().rev() {
            shown.to_mut().replace_range(start..end, REDACTED);
        }
    }
    for find in [passwords_of_addresses, values_escaped, tokens] {
        for (start, end) in find(&shown).into_iter().rev() {
            shown.to_mut().replace_range(start..end, REDACTED);
        }
    }
    shown
}

/// Where a known value stands; a short one only where it is not part of a longer word.
fn places_of(text: &str, value: &str) -> Vec<(usize, usize)> {
    let is_apart = |start: usize, end: usize| {
        let before = text[..start].chars().next_back();
        let after = text[end..].chars().next();
        ![before, after]
            .into_iter()
            .flatten()
            .any(char::is_alphanumeric)
    };
    text.match_indices(value)
        .map(|(at, _)| (at, at + value.len()))
        .filter(|(start, end)| LONG_BYTES <= value.len() || is_apart(*start, *end))
        .collect()
}

/// `password` in `scheme://user:password@host`, or all before the `@` if there is no user.
fn passwords_of_addresses(text: &str) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    let mut from = 0;
    while let Some(at) = text[from..].find("://") {
        let start = from + at + 3;
        let rest = &text[start..];
        let is_end = |it: char| it.is_whitespace() || "/?#\"'`<>".contains(it);
        let authority = &rest[..rest.find(is_end).unwrap_or(rest.len())];
        if let Some(user_end) = authority.rfind('@') {
            let user = &authority[..user_end];
            let password = user.find(':').map_or(0, |it| it + 1);
            if password < user_end {
                found.push((start + password, start + user_end));
            }
        }
        from = start;
    }
    found
}

/// Tokens of our own, wherever they stand and whether or not anybody has them.
fn tokens(text: &str) -> Vec<(usize, usize)> {
    let places = text.match_indices(TOKEN_PREFIX).map(|(at, _)| at);
    let digits = |at: usize| {
        let rest = &text.as_bytes()[at + TOKEN_PREFIX.len()..];
        rest.iter().take_while(|it| it.is_ascii_hexdigit()).count()
    };
    places
        .map(|at| (at, digits(at)))
        .filter(|it| TOKEN_DIGITS_MIN <= it.1)
        .map(|(at, digits)| (at, at + TOKEN_PREFIX.len() + digits))
        .collect()
}

fn values_escaped(text: &str) -> Vec<(usize, usize)> {
    values_of_names(text, true)
}

/// The value in `password = 'value'`, `"sasl.password": "value"`, `password=value` and the like. With `escapes`, a backslash hides a quote.
fn values_of_names(text: &str, escapes: bool) -> Vec<(usize, usize)> {
    let lower = text.to_ascii_lowercase();
    let mut found: Vec<(usize, usize)> = Vec::new();
    for name in NAMES {
        let mut from = 0;
        while let Some(at) = lower[from..].find(name) {
            from += at + name.len();
            if let Some(span) = value_after(text, from, escapes) {
                found.push(span);
            }
        }
    }
    found.sort_unstable();
    found.dedup();
    // One inside of another goes with it.
    let mut last_end = 0;
    found.retain(|(start, end)| {
        let is_apart = last_end <= *start;
        if is_apart {
            last_end = *end;
        }
        is_apart
    });
    found
}

/// The value that is assigned to the name that ends here.
fn value_after(text: &str, end_of_name: usize, escapes: bool) -> Option<(usize, usize)> {
    let rest = &text[end_of_name..];
    let is_name = |it: char| it.is_ascii_alphanumeric() || "_.-".contains(it);
    let after = rest
        .trim_start_matches(is_name)
        .trim_start_matches(['"', '\'', '\\', ' ']);
    let after = after
        .strip_prefix("=>")
        .or_else(|| after.strip_prefix(['=', ':']))?;
    let value = after.trim_start_matches([' ', '\\']);
    let start = text.len() - value.len();
    let quote = value.chars().next().filter(|it| *it == '"' || *it == '\'');
    let (start, value) = match quote {
        Some(_) => (start + 1, &value[1..]),
        None => (start, value),
    };
    let length = match quote {
        Some(quote) => end_of_quoted(value, quote, escapes),
        None => value
            .find(|it: char| it.is_whitespace() || ",;&)}]\"'".contains(it))
            .unwrap_or(value.len()),
    };
    (length != 0 && &value[..length] != REDACTED).then_some((start, start + length))
}

/// Where a quoted text ends: at its quote, unless that is doubled, or hidden by a backslash.
fn end_of_quoted(text: &str, quote: char, escapes: bool) -> usize {
    let mut letters = text.char_indices().peekable();
    while let Some((at, letter)) = letters.next() {
        let next = letters.peek().map(|it| it.1);
        match letter {
            '\\' if escapes && next.is_some() => {
                letters.next();
            }
            it if it == quote && next == Some(quote) => {
                letters.next();
            }
            it if it == quote => return at,
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn passwords_are_found_by_their_form() {
        for (text, shown) in [
            ("s3://key:s3cret@bucket/lake", "s3://key:***@bucket/lake"),
            (
                "at https://token@host:1/x, then",
                "at https://***@host:1/x, then",
            ),
            (
                "http://u:p@ss@h and http://v:q@h",
                "http://u:***@h and http://v:***@h",
            ),
            ("see https://host/a@b:c", "see https://host/a@b:c"),
            (
                "'kafka.sasl.password' = 'it''s'",
                "'kafka.sasl.password' = '***'",
            ),
            (
                r#"{"sasl.password": "a\"b", "n": 1}"#,
                r#"{"sasl.password": "***", "n": 1}"#,
            ),
            (
                "AWS_SECRET_ACCESS_KEY=abc/d+e x",
                "AWS_SECRET_ACCESS_KEY=*** x",
            ),
            ("ssl.key.password: hunter2", "ssl.key.password: ***"),
            (
                "no field `tl_0123456789abcdef0123456789abcdef` here",
                "no field `***` here",
            ),
            ("a table tl_2026 and tl_", "a table tl_2026 and tl_"),
            ("a password is missing", "a password is missing"),
            ("the secret: ", "the secret: "),
            ("password='offen", "password='***"),
            ("é://ü:ö@ä password=ß", "é://ü:***@ä password=***"),
        ] {
            assert_eq!(redact(text), shown);
            assert_eq!(redact(shown), shown, "twice is as good as once");
        }
    }

    #[test]
    fn what_was_read_as_a_secret_is_never_shown_however_it_is_written() {
        let secret = "p\"a's\\ ä/9Z";
        conceal_if_secret("group.id", "tidelake-group");
        conceal_if_secret("sasl.password", secret);
        for text in [
            format!("it is {secret}"),
            format!("{:?}", [secret]),
            serde_json::json!({ "x": secret }).to_string(),
            format!("'{}'", secret.replace('\'', "''")),
            url::form_urlencoded::byte_serialize(secret.as_bytes()).collect(),
        ] {
            let shown = redact(&text);
            assert!(shown.contains(REDACTED), "{text}: {shown}");
            assert!(!shown.contains("9Z"), "{text}: {shown}");
        }
        assert_eq!(redact("the tidelake-group"), "the tidelake-group");
        conceal_all(r#""kafka.sasl.password" = 'it''s-7Qy\', topic = 'logs-of-7Q'"#);
        assert_eq!(
            redact(r#"Quoted("it's-7Qy\\") of logs-of-7Q"#),
            "Quoted(\"***\") of logs-of-7Q"
        );
    }

    proptest! {
        /// Any text may be shown, whatever stands where a password might.
        #[test]
        fn no_text_is_too_odd(text in r#"(password|://|@|:|=|'|"|\\| |\PC){0,40}"#) {
            let _ = redact(&text);
        }
    }
}
