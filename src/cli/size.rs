//! Amounts of bytes: read from the command line as `4GiB`, `512MB`, `1.5 GiB`, or a number, and shown in the largest unit that fits.

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

/// Bytes as people read them.
pub fn shown(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    let mut value = bytes as f64;
    let mut unit = "B";
    for larger in UNITS {
        if value < 1024.0 {
            break;
        }
        value /= 1024.0;
        unit = larger;
    }
    match unit {
        "B" => format!("{bytes} B"),
        unit if value < 10.0 => format!("{value:.1} {unit}"),
        unit => format!("{value:.0} {unit}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_shown_in_the_unit_that_fits() {
        let texts = [0, 1023, 1024, 10 << 10, 5 << 20, 3 << 40, 5 << 50];
        let texts = texts.map(shown);
        assert_eq!(
            texts,
            [
                "0 B", "1023 B", "1.0 KiB", "10 KiB", "5.0 MiB", "3.0 TiB", "5120 TiB"
            ]
        );
    }

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
