//! What may be meant by a name that is not there: a slip of the pen, or a part of a name.

/// At most so many are offered.
const OFFERED_MAX: usize = 3;
/// Shorter names are part of almost any.
const PART_CHARACTERS_MIN: usize = 3;

/// Known names near to a written one, nearest first, at most three. Upper and lower case are alike.
pub fn nearest<'a>(written: &str, known: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let written = written.to_lowercase();
    let slips_max = written.chars().count() / 3;
    let distance_of = |it: &'a str| {
        let known = it.to_lowercase();
        let distance = strsim::damerau_levenshtein(&written, &known);
        let is_part = |part: &str, whole: &str| {
            PART_CHARACTERS_MIN <= part.chars().count() && whole.contains(part)
        };
        let is_near =
            distance <= slips_max || is_part(&written, &known) || is_part(&known, &written);
        is_near.then_some((distance, it))
    };
    let mut near: Vec<(usize, &str)> = known.into_iter().filter_map(distance_of).collect();
    near.sort_by_key(|it| it.0);
    let mut offered = Vec::new();
    for (_, name) in near {
        if !offered.contains(&name) && offered.len() < OFFERED_MAX {
            offered.push(name);
        }
    }
    offered
}

/// `did you mean a, b or c?`
pub fn did_you_mean<Name: AsRef<str>>(offered: &[Name]) -> Option<String> {
    let quoted: Vec<String> = offered
        .iter()
        .map(|it| format!("`{}`", it.as_ref()))
        .collect();
    let (last, others) = quoted.split_last()?;
    Some(match others.is_empty() {
        true => format!("did you mean {last}?"),
        false => format!("did you mean {} or {last}?", others.join(", ")),
    })
}

/// A name as SQL takes it.
pub fn as_sql(name: &str) -> String {
    let begins = name.starts_with(|it: char| it.is_ascii_lowercase() || it == '_');
    let goes_on = |it: char| it.is_ascii_lowercase() || it.is_ascii_digit() || it == '_';
    match begins && name.chars().all(goes_on) {
        true => name.to_owned(),
        false => format!("\"{}\"", name.replace('"', "\"\"")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_and_parts_are_near_and_nothing_else() {
        let known = ["status_code", "status", "endpoint", "n", "state"];
        for (written, offered) in [
            ("statsu", vec!["status", "state"]),
            ("status_", vec!["status", "status_code"]),
            ("Endpoint", vec!["endpoint"]),
            ("point", vec!["endpoint"]),
            ("m", vec![]),
            ("nope", vec![]),
            ("", vec![]),
        ] {
            assert_eq!(nearest(written, known), offered, "{written}");
        }
        let alike = ["name_a", "name_b", "name_c", "name_d", "name_a"];
        assert_eq!(nearest("name_", alike), ["name_a", "name_b", "name_c"]);
    }

    #[test]
    fn what_is_offered_is_one_sentence() {
        assert_eq!(did_you_mean::<&str>(&[]), None);
        assert_eq!(did_you_mean(&["a"]).as_deref(), Some("did you mean `a`?"));
        let many = did_you_mean(&["a", "b", "c"]);
        assert_eq!(many.as_deref(), Some("did you mean `a`, `b` or `c`?"));
    }

    #[test]
    fn a_name_that_sql_would_fold_is_quoted() {
        assert_eq!(as_sql("status_code2"), "status_code2");
        assert_eq!(as_sql("2xx"), "\"2xx\"");
        assert_eq!(as_sql("Total \"net\""), "\"Total \"\"net\"\"\"");
    }
}
