//! `SIMILAR TO`: the SQL standard's pattern of a whole text, as the regular expression that finds the same texts. And patterns of `LIKE` with an escape
//! character of their own, as those with a backslash.

/// A pattern of `SIMILAR TO` as a regular expression. Without an escape character it has none.
///
/// # Errors
/// If a bracket is not closed or the escape character ends the pattern.
pub fn similar_to(pattern: &str, escape: Option<char>) -> Result<String, String> {
    // A line break is a character as any other.
    let mut regex = "(?s)^(?:".to_owned();
    let mut rest = pattern.chars();
    while let Some(next) = rest.next() {
        match next {
            _ if Some(next) == escape => {
                let literal = rest.next().ok_or_else(|| {
                    format!("SIMILAR TO: '{pattern}' ends with its escape character; write it twice for the character itself")
                })?;
                push_literal(&mut regex, literal);
            }
            '%' => regex.push_str(".*"),
            '_' => regex.push('.'),
            // Groups are no part of what it finds.
            '(' => regex.push_str("(?:"),
            ')' | '|' | '*' | '+' | '?' | '{' | '}' => regex.push(next),
            '[' => characters(&mut regex, &mut rest, pattern, escape)?,
            literal => push_literal(&mut regex, literal),
        }
    }
    regex.push_str(")$");
    Ok(regex)
}

/// A pattern of `LIKE` as one whose escape character is the backslash. Without an escape character it has none.
///
/// # Errors
/// If the escape character ends the pattern.
pub fn like(pattern: &str, escape: Option<char>) -> Result<String, String> {
    let mut like = String::with_capacity(pattern.len());
    let mut rest = pattern.chars();
    while let Some(next) = rest.next() {
        let literal = match next {
            _ if Some(next) == escape => rest.next().ok_or_else(|| {
                format!("LIKE: '{pattern}' ends with its escape character; write it twice for the character itself")
            })?,
            '\\' => next,
            other => {
                like.push(other);
                continue;
            }
        };
        like.extend(['\\', literal]);
    }
    Ok(like)
}

/// `[a-z]`, `[^abc]` and `[[:alpha:]_]`, of which the opening bracket is taken.
fn characters(
    regex: &mut String,
    rest: &mut std::str::Chars,
    pattern: &str,
    escape: Option<char>,
) -> Result<(), String> {
    let open = || format!("SIMILAR TO: in '{pattern}' a `[` is not closed by `]`");
    regex.push('[');
    let mut is_first = true;
    loop {
        let next = rest.next().ok_or_else(open)?;
        match next {
            _ if Some(next) == escape => push_literal(regex, rest.next().ok_or_else(open)?),
            '^' if is_first => {
                regex.push('^');
                continue;
            }
            ']' if !is_first => break,
            '-' => regex.push('-'),
            '[' if rest.as_str().starts_with(':') => {
                let (class, behind) = rest.as_str().split_once(":]").ok_or_else(open)?;
                regex.push_str(&format!("[{class}:]"));
                *rest = behind.chars();
            }
            other => push_literal(regex, other),
        }
        is_first = false;
    }
    regex.push(']');
    Ok(())
}

fn push_literal(regex: &mut String, literal: char) {
    if r"\.+*?()|[]{}^$#&-~".contains(literal) {
        regex.push('\\');
    }
    regex.push(literal);
}

#[cfg(test)]
mod tests {
    use super::similar_to;

    #[test]
    fn a_pattern_is_of_the_whole_text() {
        for (pattern, escape, expected) in [
            ("a", Some('\\'), "(?s)^(?:a)$"),
            ("(a|b)%", Some('\\'), "(?s)^(?:(?:a|b).*)$"),
            ("%b_", Some('\\'), "(?s)^(?:.*b.)$"),
            ("a.b$^", Some('\\'), r"(?s)^(?:a\.b\$\^)$"),
            ("x{2,3}y?z+", Some('\\'), "(?s)^(?:x{2,3}y?z+)$"),
            (r"\%\_\\", Some('\\'), r"(?s)^(?:%_\\)$"),
            ("5!%", Some('!'), "(?s)^(?:5%)$"),
            (r"a\b", None, r"(?s)^(?:a\\b)$"),
            ("[^a-f0]+", Some('\\'), "(?s)^(?:[^a-f0]+)$"),
            ("[[:digit:]_%]", Some('\\'), "(?s)^(?:[[:digit:]_%])$"),
            ("[]&&x]", Some('\\'), r"(?s)^(?:[\]\&\&x])$"),
        ] {
            let regex = similar_to(pattern, escape);
            assert_eq!(regex.as_deref(), Ok(expected), "{pattern}");
        }
        for (pattern, part) in [("[a", "not closed"), ("a\\", "ends with its escape")] {
            let error = similar_to(pattern, Some('\\')).expect_err(pattern);
            assert!(error.contains(part), "{pattern}: {error}");
        }
    }
}
