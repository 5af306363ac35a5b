//! Texts that differ only in numbers, addresses and names of single things, brought to one pattern.

/// Longer patterns are cut.
const CHARACTERS_MAX: usize = 400;
/// A run of hexadecimal digits from this length on is one thing's name.
const HEX_LEAST: usize = 8;
/// The same for one of letters and digits.
const NAME_LEAST: usize = 16;
const NAME_DIGITS_LEAST: usize = 3;
/// Longest text within quotes that is taken for one.
const QUOTED_MAX: usize = 120;

/// A text with its variable parts taken out.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Masked {
    /// To be read: `took <n> ms`.
    pub pattern: String,
    /// The same as a pattern of LIKE: `took % ms`.
    pub like: String,
}

/// Masks times, UUIDs, addresses, hexadecimal numbers, quoted texts, numbers, and long names with digits in them. A path keeps its
/// words, so that `/users/17` is `/users/<n>`.
pub fn masked(text: &str) -> Masked {
    let all: Vec<char> = text.chars().take(CHARACTERS_MAX + 1).collect();
    let is_cut = CHARACTERS_MAX < all.len();
    let characters = &all[..all.len().min(CHARACTERS_MAX)];
    let mut out = Masked {
        pattern: String::with_capacity(text.len()),
        like: String::with_capacity(text.len()),
    };
    let mut at = 0;
    while let Some(first) = characters.get(at) {
        let rest = &characters[at..];
        let before = at.checked_sub(1).and_then(|it| characters.get(it));
        let is_start = !before.is_some_and(|it| it.is_alphanumeric());
        if let Some((length, word)) = is_start.then(|| whole(rest)).flatten() {
            out.variable(word);
            at += length;
        } else if first.is_ascii_alphanumeric() {
            let length = run(rest, |it| it.is_ascii_alphanumeric());
            out.token(&rest[..length], rest.get(length..).unwrap_or_default());
            at += length + out.swallowed(&rest[length..], rest[length - 1].is_ascii_digit());
        } else {
            out.literal(*first);
            at += 1;
        }
    }
    if is_cut {
        out.pattern.push('…');
        out.any();
    }
    out
}

impl Masked {
    fn literal(&mut self, it: char) {
        self.pattern.push(it);
        if matches!(it, '%' | '_' | '\\') {
            self.like.push('\\');
        }
        self.like.push(it);
    }

    fn variable(&mut self, word: &str) {
        self.pattern.push_str(word);
        self.any();
    }

    fn any(&mut self) {
        // Two beside each other are one; one that is escaped is not one.
        let escapes = self
            .like
            .strip_suffix('%')
            .map(|it| it.chars().rev().take_while(|it| *it == '\\').count());
        if escapes.is_none_or(|it| it % 2 == 1) {
            self.like.push('%');
        }
    }

    /// A run of letters and digits.
    fn token(&mut self, run: &[char], _rest: &[char]) {
        let digits = run.iter().filter(|it| it.is_ascii_digit()).count();
        let is_hex = run.iter().all(char::is_ascii_hexdigit);
        let is_mixed = digits != 0 && digits != run.len();
        if HEX_LEAST <= run.len() && is_hex && is_mixed {
            return self.variable("<hex>");
        }
        if NAME_LEAST <= run.len() && NAME_DIGITS_LEAST <= digits && is_mixed {
            return self.variable("<id>");
        }
        let mut is_number = false;
        for it in run {
            match (it.is_ascii_digit(), is_number) {
                (true, false) => self.variable("<n>"),
                (true, true) => {}
                (false, _) => self.literal(*it),
            }
            is_number = it.is_ascii_digit();
        }
    }

    /// After a number: `.5` and `,000` belong to it. How many characters that is.
    fn swallowed(&mut self, rest: &[char], is_number: bool) -> usize {
        let mut at = 0;
        while is_number
            && matches!(rest.get(at), Some('.' | ','))
            && rest.get(at + 1).is_some_and(char::is_ascii_digit)
        {
            at += 1 + run(&rest[at + 1..], |it| it.is_ascii_digit());
        }
        at
    }
}

fn run(characters: &[char], is: impl Fn(&char) -> bool) -> usize {
    characters.iter().take_while(|it| is(it)).count()
}

/// A form that begins here: its length, and what it is called.
fn whole(rest: &[char]) -> Option<(usize, &'static str)> {
    time(rest)
        .or_else(|| uuid(rest))
        .or_else(|| address(rest))
        .or_else(|| prefixed_hex(rest))
        .or_else(|| quoted_text(rest))
}

/// Whether characters are of a form: `9` a digit, `h` a hexadecimal one, all else itself.
fn has_form(rest: &[char], form: &str) -> bool {
    form.chars()
        .enumerate()
        .all(|(at, wanted)| match (wanted, rest.get(at)) {
            ('9', Some(it)) => it.is_ascii_digit(),
            ('h', Some(it)) => it.is_ascii_hexdigit(),
            (wanted, Some(it)) => wanted == *it,
            (_, None) => false,
        })
}

fn ends_at(rest: &[char], length: usize) -> bool {
    !rest.get(length).is_some_and(|it| it.is_alphanumeric())
}

/// `2026-01-31`, with a time of day and a zone behind it.
fn time(rest: &[char]) -> Option<(usize, &'static str)> {
    if !has_form(rest, "9999-99-99") {
        return None;
    }
    let clock = matches!(rest.get(10), Some('T' | ' ')) && has_form(&rest[11..], "99:99");
    let mut length = if clock { 16 } else { 10 };
    if clock {
        length += run(&rest[length..], |it| {
            it.is_ascii_digit() || matches!(it, ':' | '.' | ',')
        });
        if rest.get(length) == Some(&'Z') {
            length += 1;
        } else if matches!(rest.get(length), Some('+' | '-')) && has_form(&rest[length + 1..], "99")
        {
            length += 1 + run(&rest[length + 1..], |it| it.is_ascii_digit() || *it == ':');
        }
    }
    ends_at(rest, length).then_some((length, "<time>"))
}

fn uuid(rest: &[char]) -> Option<(usize, &'static str)> {
    let is = has_form(rest, "hhhhhhhh-hhhh-hhhh-hhhh-hhhhhhhhhhhh") && ends_at(rest, 36);
    is.then_some((36, "<uuid>"))
}

/// An address of IPv4, or of IPv6 with at least three colons.
fn address(rest: &[char]) -> Option<(usize, &'static str)> {
    let length = run(rest, |it| it.is_ascii_digit() || *it == '.');
    let text: String = rest.get(..length)?.iter().collect();
    let text = text.trim_end_matches('.');
    if text.parse::<std::net::Ipv4Addr>().is_ok() {
        let mut length = text.len();
        if rest.get(length) == Some(&':') && rest.get(length + 1).is_some_and(char::is_ascii_digit)
        {
            length += 1 + run(&rest[length + 1..], |it| it.is_ascii_digit());
        }
        return Some((length, "<ip>"));
    }
    let length = run(rest, |it| it.is_ascii_hexdigit() || *it == ':');
    let text: String = rest.get(..length)?.iter().collect();
    let is_long = 3 <= text.matches(':').count() && 6 <= text.len();
    (is_long && text.parse::<std::net::Ipv6Addr>().is_ok()).then_some((length, "<ip>"))
}

fn prefixed_hex(rest: &[char]) -> Option<(usize, &'static str)> {
    let is = has_form(rest, "0xh") || has_form(rest, "0Xh");
    let length = 2 + run(rest.get(2..)?, char::is_ascii_hexdigit);
    (is && ends_at(rest, length)).then_some((length, "<hex>"))
}

/// The quotes stay, what they hold goes.
fn quoted_text(rest: &[char]) -> Option<(usize, &'static str)> {
    let quote = *rest.first()?;
    let word = match quote {
        '"' => "\"<text>\"",
        '\'' => "'<text>'",
        _ => return None,
    };
    let end = rest
        .iter()
        .skip(1)
        .take(QUOTED_MAX)
        .position(|it| *it == quote)?
        + 1;
    (1 < end && ends_at(rest, end + 1)).then_some((end + 1, word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variable_parts_are_masked_and_words_stay() {
        for (text, pattern, like) in [
            ("took 12.5 ms", "took <n> ms", "took % ms"),
            (
                "GET /users/17/orders?page=2 - 200 (13ms)",
                "GET /users/<n>/orders?page=<n> - <n> (<n>ms)",
                "GET /users/%/orders?page=% - % (%ms)",
            ),
            ("at 2026-01-31T12:00:00.5Z: no", "at <time>: no", "at %: no"),
            ("2026-01-31 12:00:00,123 x", "<time> x", "% x"),
            ("on 2026-01-31", "on <time>", "on %"),
            (
                "id 6f1c0d3e-0b1a-4c55-9d3e-0123456789ab.",
                "id <uuid>.",
                "id %.",
            ),
            (
                "from 10.0.0.1:8080 and fe80::1:2:3",
                "from <ip> and <ip>",
                "from % and %",
            ),
            (
                "commit 9fceb02d0ae598e9 at 0xdeadBEEF",
                "commit <hex> at <hex>",
                "commit % at %",
            ),
            (
                "user 'bob o' said \"hi\" to it's",
                "user '<text>' said \"<text>\" to it's",
                "user % said % to it's",
            ),
            ("token abcdefghij1234567890xyz", "token <id>", "token %"),
            (
                "Mozilla/5.0 (X11; rv:109.0)",
                "Mozilla/<n> (X<n>; rv:<n>)",
                "Mozilla/% (X%; rv:%)",
            ),
            ("100% of a_b\\c", "<n>% of a_b\\c", "%\\% of a\\_b\\\\c"),
            ("deadbeef 12345678", "deadbeef <n>", "deadbeef %"),
            ("", "", ""),
            ("1 234,567.89 é2", "<n> <n> é<n>", "% % é%"),
        ] {
            let masked = masked(text);
            assert_eq!(masked.pattern, pattern, "{text}");
            assert_eq!(masked.like, like, "{text}");
        }
    }

    #[test]
    fn a_long_text_is_cut_and_its_pattern_goes_on() {
        let masked = masked(&"é".repeat(3 * CHARACTERS_MAX));
        assert_eq!(masked.pattern.chars().count(), CHARACTERS_MAX + 1);
        assert!(masked.like.ends_with("é%"));
    }
}
