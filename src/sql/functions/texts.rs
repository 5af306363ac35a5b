//! Functions of texts that other systems have: how words sound, what stands between matches of a pattern, how a text is quoted, and checksums.

use super::rowwise::Takes::{Bytes, Int, Text};
use super::rowwise::{Arg, Given, Gives, RESULT_BYTES_MAX, Rowwise};
use datafusion::common::{Result, exec_datafusion_err, exec_err};
use regex::Regex;
use std::cell::RefCell;
use std::fmt::Write;
use std::io::Read;

/// All of them.
pub(super) fn all() -> Vec<Rowwise> {
    vec![
        Rowwise::of_text("soundex", "soundex(text)", |it| text(soundex(it[0].text()))),
        Rowwise::of_text("mask", "mask(text)", |it| text(masked(it[0].text()))),
        Rowwise::of_text("initcap_spaces", "initcap_spaces(text)", |it| {
            text(capitals_behind_blanks(it[0].text()))
        }),
        Rowwise::of_text("quote_literal", "quote_literal(text)", |it| {
            text(quoted(it[0].text()))
        }),
        Rowwise {
            name: "bin",
            usage: "bin(integer)",
            ways: &[(&[Int], Gives::Text)],
            of: |it| text(format!("{:b}", it[0].int())),
            check: None,
        },
        Rowwise {
            name: "hex",
            usage: "hex(integer), hex(text) or hex(bytes)",
            ways: &[
                (&[Int], Gives::Text),
                (&[Text], Gives::Text),
                (&[Bytes], Gives::Text),
            ],
            of: |it| {
                text(match it[0] {
                    Arg::Int(number) => format!("{number:X}"),
                    _ => hexadecimal(it[0].bytes()).to_uppercase(),
                })
            },
            check: None,
        },
        Rowwise {
            name: "gunzip",
            usage: "gunzip(bytes)",
            ways: &[(&[Bytes], Gives::Text)],
            of: |it| text(unpacked(it[0].bytes())?),
            check: None,
        },
        Rowwise {
            name: "sha1",
            usage: "sha1(text), which is in hexadecimal digits, or sha1(bytes), which is bytes",
            ways: &[(&[Text], Gives::Text), (&[Bytes], Gives::Bytes)],
            of: |it| {
                let hash = sha1(it[0].bytes());
                Ok(Some(match it[0] {
                    Arg::Text(_) => Given::Text(hexadecimal(&hash)),
                    _ => Given::Bytes(hash.to_vec()),
                }))
            },
            check: None,
        },
        Rowwise {
            name: "hmac_sha256",
            usage: "hmac_sha256(key, data), each a text or bytes",
            ways: &[
                (&[Text, Text], Gives::Bytes),
                (&[Text, Bytes], Gives::Bytes),
                (&[Bytes, Text], Gives::Bytes),
                (&[Bytes, Bytes], Gives::Bytes),
            ],
            of: |it| {
                let code = signed(it[0].bytes(), it[1].bytes())?;
                Ok(Some(Given::Bytes(code)))
            },
            check: None,
        },
        Rowwise {
            name: "crc32",
            usage: "crc32(text) or crc32(bytes)",
            ways: &[(&[Text], Gives::Int), (&[Bytes], Gives::Int)],
            of: |it| {
                let mut sum = flate2::Crc::new();
                sum.update(it[0].bytes());
                Ok(Some(Given::Int(sum.sum().into())))
            },
            check: None,
        },
        Rowwise {
            name: "regexp_split_to_array",
            usage: "regexp_split_to_array(text, pattern)",
            ways: &[(&[Text, Text], Gives::Texts)],
            of: |it| {
                let parts =
                    with_pattern(it[1].text(), |pattern| parts_between(pattern, it[0].text()));
                Ok(Some(Given::Texts(parts?)))
            },
            check: Some(|it| pattern_of(it.get(1))),
        },
        Rowwise {
            name: "regexp_extract_all",
            usage: "regexp_extract_all(text, pattern, group), in which group 0 is the whole match; without a group the pattern is first in some systems",
            ways: &[(&[Text, Text, Int], Gives::Texts)],
            of: |it| {
                let group = it[2].int();
                let all = with_pattern(it[1].text(), |pattern| {
                    let group = usize::try_from(group).ok();
                    let group = group.filter(|it| *it < pattern.captures_len())?;
                    let all = pattern.captures_iter(it[0].text());
                    let all = all.map(|it| it.get(group).map_or("", |it| it.as_str()).to_owned());
                    Some(all.collect())
                })?;
                match all {
                    Some(all) => Ok(Some(Given::Texts(all))),
                    None => exec_err!("regexp_extract_all: the pattern has no group {group}"),
                }
            },
            check: Some(|it| pattern_of(it.get(1))),
        },
    ]
}

fn text(it: String) -> Result<Option<Given>> {
    Ok(Some(Given::Text(it)))
}

/// A letter and three digits that say how an English word sounds (American Soundex, as Postgres' fuzzystrmatch and Calcite compute it); of a text
/// without letters nothing.
fn soundex(text: &str) -> String {
    const CODES: &[u8; 26] = b"01230120022455012623010202";
    let code = |it: char| char::from(CODES[usize::from(it as u8 - b'A')]);
    let mut letters = text
        .chars()
        .filter(char::is_ascii_alphabetic)
        .map(|it| it.to_ascii_uppercase());
    let Some(first) = letters.next() else {
        return String::new();
    };
    let mut sound = String::from(first);
    let mut last = code(first);
    for letter in letters {
        let next = code(letter);
        if next != '0' && next != last {
            sound.push(next);
        }
        // H and W between two letters of one code do not part them.
        if !matches!(letter, 'H' | 'W') {
            last = next;
        }
        if sound.len() == 4 {
            break;
        }
    }
    format!("{sound:0<4}")
}

/// Capital letters as `X`, small ones as `x`, digits as `n`, and all else as `-`.
fn masked(text: &str) -> String {
    let one = |it: char| {
        if it.is_uppercase() {
            'X'
        } else if it.is_lowercase() {
            'x'
        } else if it.is_numeric() {
            'n'
        } else {
            '-'
        }
    };
    text.chars().map(one).collect()
}

/// Words between blanks with a capital letter first and small ones behind it.
fn capitals_behind_blanks(text: &str) -> String {
    let mut words = String::with_capacity(text.len());
    let mut is_first = true;
    for it in text.chars() {
        match is_first {
            true => words.extend(it.to_uppercase()),
            false => words.extend(it.to_lowercase()),
        }
        is_first = it.is_whitespace();
    }
    words
}

/// A text as it stands in a statement, as Postgres quotes it.
fn quoted(text: &str) -> String {
    let doubled = text.replace('\'', "''");
    match text.contains('\\') {
        true => format!("E'{}'", doubled.replace('\\', "\\\\")),
        false => format!("'{doubled}'"),
    }
}

/// The text that is packed in the format of gzip.
fn unpacked(bytes: &[u8]) -> Result<String> {
    let mut unpacked = String::new();
    let most = RESULT_BYTES_MAX as u64 + 1;
    let read = flate2::read::MultiGzDecoder::new(bytes)
        .take(most)
        .read_to_string(&mut unpacked);
    match read {
        Ok(_) if unpacked.len() <= RESULT_BYTES_MAX => Ok(unpacked),
        Ok(_) => exec_err!("gunzip makes at most {} MiB", RESULT_BYTES_MAX >> 20),
        Err(error) => exec_err!("gunzip: {error}"),
    }
}

/// The HMAC of data by SHA-256 (RFC 2104).
fn signed(key: &[u8], data: &[u8]) -> Result<Vec<u8>> {
    use hmac::{Hmac, KeyInit, Mac};
    let Ok(mut mac) = Hmac::<sha2::Sha256>::new_from_slice(key) else {
        return exec_err!("hmac_sha256: the key cannot be used");
    };
    mac.update(data);
    Ok(mac.finalize().into_bytes().to_vec())
}

/// Two digits for each byte.
pub(super) fn hexadecimal(bytes: &[u8]) -> String {
    let mut digits = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        let _ = write!(digits, "{byte:02x}");
    }
    digits
}

/// SHA-1 of bytes (FIPS 180-4, section 6.1).
fn sha1(bytes: &[u8]) -> [u8; 20] {
    let mut state: [u32; 5] = [
        0x6745_2301,
        0xefcd_ab89,
        0x98ba_dcfe,
        0x1032_5476,
        0xc3d2_e1f0,
    ];
    let bits = 8 * bytes.len() as u64;
    let mut padded = bytes.to_vec();
    padded.push(0x80);
    padded.resize(padded.len().next_multiple_of(64), 0);
    if padded.len() - bytes.len() < 9 {
        padded.resize(padded.len() + 64, 0);
    }
    let end = padded.len() - 8;
    padded[end..].copy_from_slice(&bits.to_be_bytes());
    for block in padded.chunks_exact(64) {
        let mut words = [0_u32; 80];
        for (word, bytes) in words.iter_mut().zip(block.chunks_exact(4)) {
            *word = bytes.iter().fold(0, |word, it| word << 8 | u32::from(*it));
        }
        for at in 16..80 {
            let mixed = words[at - 3] ^ words[at - 8] ^ words[at - 14] ^ words[at - 16];
            words[at] = mixed.rotate_left(1);
        }
        let [mut a, mut b, mut c, mut d, mut e] = state;
        for (at, word) in words.iter().enumerate() {
            let (mixed, constant) = match at {
                0..20 => ((b & c) | (!b & d), 0x5a82_7999),
                20..40 => (b ^ c ^ d, 0x6ed9_eba1),
                40..60 => ((b & c) | (b & d) | (c & d), 0x8f1b_bcdc),
                _ => (b ^ c ^ d, 0xca62_c1d6_u32),
            };
            let next = a
                .rotate_left(5)
                .wrapping_add(mixed)
                .wrapping_add(e)
                .wrapping_add(constant)
                .wrapping_add(*word);
            (e, d, c, b, a) = (d, c, b.rotate_left(30), a, next);
        }
        for (state, word) in state.iter_mut().zip([a, b, c, d, e]) {
            *state = state.wrapping_add(word);
        }
    }
    let mut hash = [0; 20];
    for (part, word) in hash.chunks_exact_mut(4).zip(state) {
        part.copy_from_slice(&word.to_be_bytes());
    }
    hash
}

/// What stands between the matches of a pattern. As in Postgres, a match of nothing at the end of the text, or where the last match ended, is none.
fn parts_between(pattern: &Regex, text: &str) -> Vec<String> {
    let mut parts = Vec::new();
    let mut from = 0;
    for it in pattern.find_iter(text) {
        if it.is_empty() && (it.start() == text.len() || it.start() == from) {
            continue;
        }
        parts.push(text[from..it.start()].to_owned());
        from = it.end();
    }
    parts.push(text[from..].to_owned());
    parts
}

thread_local! {
    /// The pattern that was used last: most functions have the same one for all rows.
    static LAST: RefCell<Option<Regex>> = const { RefCell::new(None) };
}

fn with_pattern<T>(pattern: &str, compute: impl FnOnce(&Regex) -> T) -> Result<T> {
    LAST.with_borrow_mut(|last| {
        if let Some(known) = last.as_ref().filter(|it| it.as_str() == pattern) {
            return Ok(compute(known));
        }
        let new = Regex::new(pattern)
            .map_err(|it| exec_datafusion_err!("'{pattern}' is no pattern: {it}"))?;
        Ok(compute(last.insert(new)))
    })
}

/// Whether a constant is a pattern.
fn pattern_of(constant: Option<&Option<&str>>) -> Result<(), String> {
    let Some(pattern) = constant.copied().flatten() else {
        return Ok(());
    };
    let parsed = with_pattern(pattern, |_| ());
    parsed.map_err(|it| it.strip_backtrace())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_sound() {
        for (word, sound) in [
            ("Robert", "R163"),
            ("Rupert", "R163"),
            ("Ashcraft", "A261"),
            ("Tymczak", "T522"),
            ("Pfister", "P236"),
            ("Honeyman", "H555"),
            ("a", "A000"),
            ("Bück", "B200"),
            ("1", ""),
        ] {
            assert_eq!(soundex(word), sound, "{word}");
        }
    }

    #[test]
    fn texts_are_masked_and_quoted() {
        assert_eq!(masked("Ab-1 ü"), "Xx-n-x");
        assert_eq!(capitals_behind_blanks("a-b cD\tß1x"), "A-b Cd\tSS1x");
        assert_eq!(quoted("it's"), "'it''s'");
        assert_eq!(quoted(r"a\b"), r"E'a\\b'");
    }

    #[test]
    fn hashes_are_those_of_the_standard() {
        for (text, hash) in [
            ("", "da39a3ee5e6b4b0d3255bfef95601890afd80709"),
            ("abc", "a9993e364706816aba3e25717850c26c9cd0d89d"),
            (
                "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
                "84983e441c3bd26ebaae4aa1f95129e5e54670f1",
            ),
        ] {
            assert_eq!(hexadecimal(&sha1(text.as_bytes())), hash, "{text}");
        }
        // RFC 4231, test case 2.
        let code = signed(b"Jefe", b"what do ya want for nothing?").unwrap();
        assert_eq!(
            hexadecimal(&code),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
        let million = "a".repeat(1_000_000);
        assert_eq!(
            hexadecimal(&sha1(million.as_bytes())),
            "34aa973cd4c4daa4f61eeb2bdbad27316534016f"
        );
    }

    #[test]
    fn packed_texts_are_unpacked_as_far_as_they_may_be() {
        use std::io::Write;
        let packed = |size: usize| {
            let level = flate2::Compression::fast();
            let mut packed = flate2::write::GzEncoder::new(Vec::new(), level);
            packed.write_all(&vec![b'a'; size]).unwrap();
            packed.finish().unwrap()
        };
        assert_eq!(unpacked(&packed(3)).unwrap(), "aaa");
        assert!(unpacked(&packed(RESULT_BYTES_MAX)).is_ok());
        let error = unpacked(&packed(RESULT_BYTES_MAX + 1)).unwrap_err();
        assert!(error.to_string().contains("at most 16 MiB"), "{error}");
        assert!(unpacked(&packed(3)[..8]).is_err());
    }

    #[test]
    fn texts_are_split_at_patterns() {
        let split = |text: &str, pattern: &str| parts_between(&Regex::new(pattern).unwrap(), text);
        assert_eq!(split("a1b22c", "[0-9]+"), ["a", "b", "c"]);
        assert_eq!(split("1a1", "1"), ["", "a", ""]);
        assert_eq!(split("abc", ""), ["a", "b", "c"]);
        assert_eq!(split("", "x"), [""]);
        assert_eq!(split("the fox", r"\s*"), ["t", "h", "e", "f", "o", "x"]);
        assert!(pattern_of(Some(&Some("("))).is_err());
    }
}
