//! Functions of numbers that other systems have: angles in degrees, the gamma function, digits behind the point; and times made of numbers.

use super::rowwise::Takes::{Float, Int};
use super::rowwise::{Arg, Given, Gives, Rowwise};
use datafusion::common::{Result, exec_err};

/// All of them.
pub(super) fn all() -> Vec<Rowwise> {
    vec![
        of_number("sind", "sind(degrees)", |it| {
            finite("sind", it[0].float(), sind)
        }),
        of_number("cosd", "cosd(degrees)", |it| {
            finite("cosd", it[0].float(), cosd)
        }),
        of_number("tand", "tand(degrees)", |it| {
            finite("tand", it[0].float(), |it| sind(it) / cosd(it))
        }),
        of_number("cotd", "cotd(degrees)", |it| {
            finite("cotd", it[0].float(), |it| cosd(it) / sind(it))
        }),
        of_number("gamma", "gamma(number)", |it| gamma(it[0].float())),
        of_times(
            "make_timestamp",
            "make_timestamp(year, month, day, hour, minute, seconds)",
        ),
        of_times(
            "make_timestamptz",
            "make_timestamptz(year, month, day, hour, minute, seconds)",
        ),
    ]
}

fn of_number(
    name: &'static str,
    usage: &'static str,
    of: fn(&[Arg]) -> Result<Option<Given>>,
) -> Rowwise {
    Rowwise {
        name,
        usage,
        ways: &[(&[Float], Gives::Float)],
        of,
        check: None,
    }
}

fn of_times(name: &'static str, usage: &'static str) -> Rowwise {
    Rowwise {
        name,
        usage,
        ways: &[(&[Int, Int, Int, Int, Int, Float], Gives::Time)],
        of: |it| match it {
            [year, month, day, hour, minute, second] => {
                let parts = [year, month, day, hour, minute].map(Arg::int);
                match time_of(parts, second.float()) {
                    Some(us) => Ok(Some(Given::Time(us))),
                    None => exec_err!(
                        "there is no time {}-{}-{} {}:{}:{}",
                        parts[0],
                        parts[1],
                        parts[2],
                        parts[3],
                        parts[4],
                        second.float()
                    ),
                }
            }
            _ => Ok(None),
        },
        check: None,
    }
}

fn finite(name: &str, degrees: f64, of: impl Fn(f64) -> f64) -> Result<Option<Given>> {
    if degrees.is_infinite() {
        return exec_err!("{name} takes no infinite angle");
    }
    // Without the sign of a zero.
    Ok(Some(Given::Float(of(degrees) + 0.0)))
}

/// The sine of an angle of 0 to 90 degrees: exact at 0, 30 and 90, as in Postgres.
fn sine(degrees: f64) -> f64 {
    match degrees <= 30.0 {
        true => libm::sin(degrees.to_radians()) / libm::sin(30_f64.to_radians()) / 2.0,
        false => cosine(90.0 - degrees),
    }
}

/// The cosine of an angle of 0 to 90 degrees: exact at 0, 60 and 90.
fn cosine(degrees: f64) -> f64 {
    match degrees <= 60.0 {
        true => {
            let versed = |degrees: f64| 1.0 - libm::cos(degrees.to_radians());
            1.0 - versed(degrees) / versed(60.0) / 2.0
        }
        false => sine(90.0 - degrees),
    }
}

fn sind(degrees: f64) -> f64 {
    let sign = if degrees < 0.0 { -1.0 } else { 1.0 };
    let degrees = degrees.abs() % 360.0;
    let (sign, degrees) = match degrees <= 180.0 {
        true => (sign, degrees),
        false => (-sign, 360.0 - degrees),
    };
    match degrees <= 90.0 {
        true => sign * sine(degrees),
        false => sign * sine(180.0 - degrees),
    }
}

fn cosd(degrees: f64) -> f64 {
    let degrees = degrees.abs() % 360.0;
    let degrees = degrees.min(360.0 - degrees);
    match degrees <= 90.0 {
        true => cosine(degrees),
        false => -cosine(180.0 - degrees),
    }
}

/// The gamma function, which the factorial of n - 1 is for a whole n.
fn gamma(of: f64) -> Result<Option<Given>> {
    let is_pole = of <= 0.0 && of.fract() == 0.0;
    let found = libm::tgamma(of);
    if is_pole || (found.is_infinite() && of.is_finite()) || of == f64::NEG_INFINITY {
        return exec_err!("gamma({of}) is no number");
    }
    Ok(Some(Given::Float(found)))
}

/// The instant of a date and time of day of UTC, in microseconds since 1970; seconds are 0 to below 60, or 60 in Postgres for the next minute.
fn time_of([year, month, day, hour, minute]: [i64; 5], second: f64) -> Option<i64> {
    const MINUTE_US: i64 = 60_000_000;
    let year = i32::try_from(year).ok()?;
    let [month, day] = [month, day].map(|it| u32::try_from(it).unwrap_or(u32::MAX));
    let date = chrono::NaiveDate::from_ymd_opt(year, month, day)?;
    let is_time =
        (0..24).contains(&hour) && (0..60).contains(&minute) && (0.0..=60.0).contains(&second);
    if !is_time {
        return None;
    }
    let start = date.and_hms_opt(0, 0, 0)?.and_utc().timestamp();
    let us = start.checked_mul(1_000_000)?;
    us.checked_add((60 * hour + minute) * MINUTE_US + (second * 1e6).round() as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn angles_in_degrees_are_exact_where_they_can_be() {
        for (degrees, sine, cosine) in [
            (0.0, 0.0, 1.0),
            (30.0, 0.5, 0.866_025_403_784_438_6),
            (60.0, 0.866_025_403_784_438_6, 0.5),
            (90.0, 1.0, 0.0),
            (180.0, 0.0, -1.0),
            (210.0, -0.5, -0.866_025_403_784_438_6),
            (270.0, -1.0, 0.0),
            (-30.0, -0.5, 0.866_025_403_784_438_6),
            (750.0, 0.5, 0.866_025_403_784_438_6),
        ] {
            assert!((sind(degrees) - sine).abs() < 1e-15, "sind({degrees})");
            assert!((cosd(degrees) - cosine).abs() < 1e-15, "cosd({degrees})");
        }
        for (degrees, sine) in [(30.0, 0.5), (150.0, 0.5), (90.0, 1.0), (180.0, 0.0)] {
            assert_eq!(sind(degrees), sine);
            assert_eq!(cosd(90.0 - degrees), sine);
        }
        assert!(finite("sind", f64::INFINITY, sind).is_err());
    }

    #[test]
    fn times_are_made_of_numbers() {
        let leap = time_of([2024, 2, 29, 12, 34], 56.789);
        assert_eq!(leap, Some(1_709_210_096_789_000));
        assert_eq!(time_of([1969, 12, 31, 23, 59], 60.0), Some(0));
        for none in [[2023, 2, 29, 0, 0], [2024, 1, 1, 24, 0], [1, -1, 1, 0, 0]] {
            assert_eq!(time_of(none, 0.0), None, "{none:?}");
        }
        assert_eq!(time_of([2024, 1, 1, 0, 0], f64::NAN), None);
        assert!(gamma(0.0).is_err() && gamma(200.0).is_err());
        assert_eq!(gamma(5.0).unwrap(), Some(Given::Float(24.0)));
    }
}
