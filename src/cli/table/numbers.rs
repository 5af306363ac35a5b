//! Doubles with as many digits as one reads: three behind the point, more where the number is small. Times to the microsecond, which is what
//! sources have.

use crate::cli::print::Cell;

/// Digits behind the point of numbers that are not small, and digits that count of those that are.
const DIGITS: usize = 3;
/// From here on, and down from its like, the digits stay as they came: with an exponent.
const LARGE: f64 = 1e15;
const SMALL: f64 = 1e-6;

/// Shortens the numbers of one column, which then all have as many digits behind the point, unless some are small.
pub fn shorten(cells: &mut [&mut Cell]) {
    let numbers = cells.iter_mut().filter(|it| it.is_number);
    let mut short: Vec<(&mut &mut Cell, f64, usize)> = Vec::new();
    for cell in numbers {
        let Ok(number) = cell.text.parse::<f64>() else {
            continue;
        };
        let size = number.abs();
        if LARGE <= size || (size < SMALL && number != 0.0) {
            continue;
        }
        let digits = digits_of(number);
        short.push((cell, number, digits));
    }
    let most = short.iter().map(|it| it.2).max().unwrap_or(0);
    for (cell, number, digits) in short {
        let digits = if most <= DIGITS { most } else { digits };
        cell.text = format!("{number:.digits$}");
    }
}

/// How many digits behind the point it needs: at least one, so that it is seen to be no integer.
fn digits_of(number: f64) -> usize {
    let size = number.abs();
    let most = match size {
        _ if size == 0.0 || 1.0 <= size => DIGITS,
        // How many zeros stand before its first digit.
        _ => DIGITS + (-size.log10()).ceil() as usize - 1,
    };
    let text = format!("{number:.most$}");
    let needed = text.trim_end_matches('0').rsplit_once('.');
    needed.map_or(1, |it| it.1.len().max(1))
}

/// `now()` has nanoseconds.
pub fn shorten_time(cell: &mut Cell) {
    const DIGITS: usize = 6;
    let Some((seconds, rest)) = cell.text.split_once('.') else {
        return;
    };
    let digits = rest.find(|it: char| !it.is_ascii_digit());
    let (digits, zone) = rest.split_at(digits.unwrap_or(rest.len()));
    if DIGITS < digits.len() {
        cell.text = format!("{seconds}.{}{zone}", &digits[..DIGITS]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shortened(column: &[&str]) -> Vec<String> {
        let mut cells: Vec<Cell> = column
            .iter()
            .map(|it| Cell::of_json(it).expect("it is JSON"))
            .collect();
        shorten(&mut cells.iter_mut().collect::<Vec<_>>());
        cells.into_iter().map(|it| it.text).collect()
    }

    #[test]
    fn times_end_with_microseconds() {
        for (time, expect) in [
            (
                "2026-11-29T14:35:41.693252635Z",
                "2026-11-29T14:35:41.693252Z",
            ),
            ("2026-11-29T14:35:41.5Z", "2026-11-29T14:35:41.5Z"),
            ("2026-11-29", "2026-11-29"),
            ("12:00:00.123456789", "12:00:00.123456"),
        ] {
            let mut cell = Cell::text(time);
            shorten_time(&mut cell);
            assert_eq!(cell.text, expect);
        }
    }

    #[test]
    fn doubles_have_as_many_digits_as_one_reads() {
        for (column, expect) in [
            (
                vec!["210.97435897435895", "431.0", "null"],
                vec!["210.974", "431.000", "NULL"],
            ),
            (vec!["0.25", "0.5", "-3.0"], vec!["0.25", "0.50", "-3.00"]),
            (vec!["12.0", "7.0"], vec!["12.0", "7.0"]),
            (vec!["0.0012345678", "100.5"], vec!["0.00123", "100.5"]),
            (vec!["0.1234567", "0.9996"], vec!["0.123", "1.000"]),
            (
                vec!["1.7976931348623157e308", "5e-324", "1.5"],
                vec!["1.7976931348623157e308", "5e-324", "1.5"],
            ),
            (
                vec!["-0.0", "1000000.123456"],
                vec!["-0.000", "1000000.123"],
            ),
            (vec!["\"NaN\"", "1.25"], vec!["NaN", "1.25"]),
        ] {
            assert_eq!(shortened(&column), expect, "{column:?}");
        }
    }
}
