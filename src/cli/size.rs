//! Amounts of memory on the command line: `4GiB`, `512MB`, `1.5 GiB`, or a number of bytes.

use crate::coordinator::Budget;

/// Names of units, in any case, and their bytes.
const UNITS: [(&str, u64); 14] = [
    ("kib", 1 << 10),
    ("mib", 1 << 20),
    ("gib", 1 << 30),
    ("tib", 1 << 40),
    ("kb", 1_000),
    ("mb", 1_000_000),
    ("gb", 1_000_000_000),
    ("tb", 1_000_000_000_000),
    ("k", 1 << 10),
    ("m", 1 << 20),
    ("g", 1 << 30),
    ("t", 1 << 40),
    ("bytes", 1),
    ("b", 1),
];

/// The bytes of a budget for a process.
///
/// # Errors
/// With what is possible, if it is none, or leaves no room for rows.
pub fn memory_max(text: &str) -> Result<u64, String> {
    let least = Budget::LEAST_BYTES;
    let bytes = bytes(text)
        .ok_or("it must be an amount of memory, such as 4GiB, 512MB or a number of bytes")?;
    match least <= bytes {
        true => Ok(bytes),
        false => Err(format!("it must be {} MiB or more", least >> 20)),
    }
}

fn bytes(text: &str) -> Option<u64> {
    let text = text.trim().to_ascii_lowercase();
    let unit = UNITS.iter().find_map(|(name, bytes)| {
        let number = text.strip_suffix(name)?;
        Some((number, *bytes))
    });
    let (number, unit) = unit.unwrap_or((&text, 1));
    let number: f64 = number.trim().parse().ok()?;
    let bytes = number * unit as f64;
    (0.0 <= bytes && bytes < u64::MAX as f64).then_some(bytes as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units() {
        let sizes = [
            ("4GiB", 4 << 30),
            ("512MB", 512_000_000),
            (" 1.5 gib ", 3 << 29),
            ("300m", 300 << 20),
            ("1073741824", 1 << 30),
            ("2147483648 bytes", 2 << 30),
        ];
        for (text, bytes) in sizes {
            assert_eq!(memory_max(text), Ok(bytes), "{text}");
        }
    }

    #[test]
    fn what_nobody_means_is_refused() {
        for text in [
            "", "GiB", "4 gigs", "-1GiB", "nan", "inf", "1e30GiB", "much",
        ] {
            let refused = memory_max(text);
            assert!(refused.is_err_and(|it| it.contains("4GiB")), "{text}");
        }
        assert_eq!(
            memory_max("4"),
            Err("it must be 256 MiB or more".to_owned())
        );
    }
}
