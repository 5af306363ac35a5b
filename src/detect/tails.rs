//! Tail probabilities as severities, -log10 p, which stay exact where p itself underflows.
//!
//! Counts of 0 to 20 in a window are where a z-score lies most: these are the distributions themselves. Each is one of the two
//! incomplete functions, computed in logarithms by series and continued fractions (modified Lentz; Numerical Recipes 6.2 and 6.4; Abramowitz
//! and Stegun 6.5.29, 6.5.31, 26.5.8).

use super::math::{LN_10, exp, ln, ln_1p, ln_gamma, ln_one_minus_exp};

const ITERATIONS_MAX: u32 = 3_000;
const CLOSE_ENOUGH: f64 = 1e-15;
/// Keeps Lentz's fractions from dividing by zero.
const TINY: f64 = 1e-300;

/// Which side of the expected a count is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// So few or fewer.
    Lower,
    /// So many or more.
    Upper,
}

/// Of a standard normal z, both sides: -log10 erfc(|z| / sqrt 2).
pub fn normal(z: f64) -> f64 {
    let x = z.abs() / std::f64::consts::SQRT_2;
    if x < 20.0 {
        return -ln(libm::erfc(x)) / LN_10;
    }
    // Abramowitz and Stegun 7.1.23, to four terms: from x = 20 on they are exact to 1e-11 of p, which erfc cannot hold much longer.
    let over = 1.0 / (2.0 * x * x);
    let series = 1.0 - over * (1.0 - 3.0 * over * (1.0 - 5.0 * over * (1.0 - 7.0 * over)));
    (x * x + ln(x) + 0.5 * ln(std::f64::consts::PI) - ln(series)) / LN_10
}

/// The |z| that has this severity: Newton's steps on `normal`, from what Abramowitz and Stegun 26.2.23 say to within 4.5e-4.
pub fn normal_quantile(severity: f64) -> f64 {
    const STEPS_MAX: u32 = 8;
    if severity <= 0.0 {
        return 0.0;
    }
    let t = (2.0 * (LN_10 * severity + std::f64::consts::LN_2)).sqrt();
    let above = 2.515_517 + t * (0.802_853 + t * 0.010_328);
    let below = 1.0 + t * (1.432_788 + t * (0.189_269 + t * 0.001_308));
    let mut z = (t - above / below).max(0.0);
    for _ in 0..STEPS_MAX {
        let found = normal(z);
        let ln_density = -0.5 * z * z + 0.5 * ln(2.0 / std::f64::consts::PI);
        let slope = exp(ln_density + LN_10 * found) / LN_10;
        let step = (found - severity) / slope;
        z = (z - step).max(0.0);
        // Its square is what is left of it.
        if step.abs() < 1e-6 * (1.0 + z) {
            break;
        }
    }
    z
}

/// Of a Poisson count with this mean: P(X <= k) = Q(k + 1, mean), P(X >= k) = P(k, mean).
pub fn poisson(count: u64, mean: f64, side: Side) -> f64 {
    let k = count as f64;
    if mean <= 0.0 {
        let impossible = side == Side::Upper && 0 < count;
        return if impossible { f64::INFINITY } else { 0.0 };
    }
    if let Some(it) = by_terms(count, side, exp(-mean), |at| mean / (at + 1.0)) {
        return severity(ln(it));
    }
    let ln_p = match side {
        Side::Lower => ln_gamma_upper(k + 1.0, mean),
        Side::Upper if count == 0 => 0.0,
        Side::Upper => ln_gamma_lower(k, mean),
    };
    severity(ln_p)
}

/// Of a negative binomial count with this mean and variance mean + dispersion * mean^2; Poisson where the dispersion is none.
/// With r = 1 / dispersion and p = r / (r + mean): P(X <= k) = I_p(r, k + 1).
pub fn negative_binomial(count: u64, mean: f64, dispersion: f64, side: Side) -> f64 {
    const AS_GOOD_AS_POISSON: f64 = 1e-6;
    if dispersion < AS_GOOD_AS_POISSON || mean <= 0.0 {
        return poisson(count, mean, side);
    }
    let (k, r) = (count as f64, 1.0 / dispersion);
    let p = r / (r + mean);
    let next = |at: f64| (at + r) / (at + 1.0) * (1.0 - p);
    if let Some(it) = by_terms(count, side, exp(r * ln(p)), next) {
        return severity(ln(it));
    }
    let ln_p = match side {
        Side::Lower => ln_beta_lower(r, k + 1.0, p),
        Side::Upper if count == 0 => 0.0,
        Side::Upper => ln_beta_lower(k, r, 1.0 - p),
    };
    severity(ln_p)
}

/// The probability of a small count by its terms, from that of zero on, each so many times the one before. None where it is far out, and a sum from zero on would not tell it.
fn by_terms(count: u64, side: Side, of_zero: f64, next: impl Fn(f64) -> f64) -> Option<f64> {
    const TERMS_MAX: u64 = 24;
    const FAR: f64 = 1e-2;
    let terms = match side {
        Side::Lower => count.saturating_add(1),
        Side::Upper => count,
    };
    if TERMS_MAX < terms {
        return None;
    }
    let (mut term, mut sum) = (of_zero, 0.0);
    for at in 0..terms {
        sum += term;
        term *= next(at as f64);
    }
    let probability = match side {
        Side::Lower => sum,
        Side::Upper => 1.0 - sum,
    };
    (FAR <= probability).then_some(probability.min(1.0))
}

/// Of k out of n with this probability: P(X >= k) = I_p(k, n - k + 1), P(X <= k) = I_1-p(n - k, k + 1).
pub fn binomial(k: u64, n: u64, probability: f64, side: Side) -> f64 {
    let (k_of, n_of) = (k as f64, n as f64);
    let certain = match side {
        Side::Lower => n <= k,
        Side::Upper => k == 0,
    };
    if certain {
        return 0.0;
    }
    let ln_p = match side {
        Side::Lower => ln_beta_lower(n_of - k_of, k_of + 1.0, 1.0 - probability),
        Side::Upper => ln_beta_lower(k_of, n_of - k_of + 1.0, probability),
    };
    severity(ln_p)
}

/// ln P(X >= sum) for the sum of so many independent exponential variables of mean one, as -ln p are: Q(count, sum).
pub fn ln_sum_of_exponentials(count: f64, sum: f64) -> f64 {
    if sum <= 0.0 {
        return 0.0;
    }
    ln_gamma_upper(count, sum).min(0.0)
}

fn severity(ln_p: f64) -> f64 {
    (-ln_p / LN_10).max(0.0)
}

/// ln P(a, x), the lower incomplete gamma function over the whole.
fn ln_gamma_lower(a: f64, x: f64) -> f64 {
    if x < a + 1.0 {
        ln_gamma_series(a, x)
    } else {
        ln_one_minus_exp(ln_gamma_fraction(a, x).min(0.0))
    }
}

/// ln Q(a, x), the rest of it.
fn ln_gamma_upper(a: f64, x: f64) -> f64 {
    if x < a + 1.0 {
        ln_one_minus_exp(ln_gamma_series(a, x).min(0.0))
    } else {
        ln_gamma_fraction(a, x)
    }
}

fn ln_gamma_front(a: f64, x: f64) -> f64 {
    a * ln(x) - x - ln_gamma(a)
}

fn ln_gamma_series(a: f64, x: f64) -> f64 {
    let mut term = 1.0 / a;
    let mut sum = term;
    for n in 1..ITERATIONS_MAX {
        term *= x / (a + f64::from(n));
        sum += term;
        if term < sum * CLOSE_ENOUGH {
            break;
        }
    }
    ln_gamma_front(a, x) + ln(sum)
}

fn ln_gamma_fraction(a: f64, x: f64) -> f64 {
    let mut b = x + 1.0 - a;
    let mut c = 1.0 / TINY;
    let mut d = 1.0 / b;
    let mut h = d;
    for i in 1..ITERATIONS_MAX {
        let i = f64::from(i);
        let an = -i * (i - a);
        b += 2.0;
        d = 1.0 / kept_from_zero(an * d + b);
        c = kept_from_zero(b + an / c);
        let factor = d * c;
        h *= factor;
        if (factor - 1.0).abs() < CLOSE_ENOUGH {
            break;
        }
    }
    ln_gamma_front(a, x) + ln(h)
}

/// ln I_x(a, b), the incomplete beta function over the whole.
fn ln_beta_lower(a: f64, b: f64, x: f64) -> f64 {
    if x <= 0.0 {
        return f64::NEG_INFINITY;
    }
    if 1.0 <= x {
        return 0.0;
    }
    let ln_front = ln_gamma(a + b) - ln_gamma(a) - ln_gamma(b) + a * ln(x) + b * ln_1p(-x);
    if x < (a + 1.0) / (a + b + 2.0) {
        ln_front + ln(beta_fraction(a, b, x)) - ln(a)
    } else {
        let rest = ln_front + ln(beta_fraction(b, a, 1.0 - x)) - ln(b);
        ln_one_minus_exp(rest.min(0.0))
    }
}

fn beta_fraction(a: f64, b: f64, x: f64) -> f64 {
    let mut c = 1.0;
    let mut d = 1.0 / kept_from_zero(1.0 - (a + b) * x / (a + 1.0));
    let mut h = d;
    for m in 1..ITERATIONS_MAX {
        let m = f64::from(m);
        let even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        d = 1.0 / kept_from_zero(1.0 + even * d);
        c = kept_from_zero(1.0 + even / c);
        h *= d * c;
        let odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        d = 1.0 / kept_from_zero(1.0 + odd * d);
        c = kept_from_zero(1.0 + odd / c);
        let factor = d * c;
        h *= factor;
        if (factor - 1.0).abs() < CLOSE_ENOUGH {
            break;
        }
    }
    h
}

fn kept_from_zero(x: f64) -> f64 {
    if x.abs() < TINY { TINY } else { x }
}

#[cfg(test)]
mod tests {
    use super::Side::{Lower, Upper};
    use super::*;

    fn is_close(found: f64, golden: f64) {
        let error = (found - golden).abs() / golden.abs().max(1e-3);
        assert!(error < 1e-9, "{found} is not {golden}");
    }

    /// Computed by mpmath with 60 digits, the normal ones by scipy 1.17.
    #[test]
    fn tails_are_exact_also_where_the_probability_underflows() {
        is_close(normal(0.1), 0.03604966106264229);
        is_close(normal(1.0), 0.4985155458279891);
        is_close(normal(1.96), 1.30106656222387);
        is_close(normal(3.0), 2.568669040265388);
        is_close(normal(6.0), 8.704834331812725);
        is_close(normal(7.2), 12.220312910639825);
        is_close(normal(12.0), 32.44940916552788);
        is_close(normal(30.0), 197.00817926599697);
        is_close(normal(50.0), 544.6653058663327);
        is_close(poisson(0, 3.5, Lower), 1.5200306866613813);
        is_close(poisson(2, 9.0, Lower), 2.205358959010605);
        is_close(poisson(9, 2.5, Upper), 2.9429988402158433);
        is_close(poisson(40, 10.0, Upper), 12.134207133110648);
        is_close(poisson(5, 5.0, Upper), 0.25219469690752616);
        is_close(poisson(5, 5.0, Lower), 0.21044702798917284);
        is_close(poisson(0, 1000.0, Lower), 434.29448190325184);
        is_close(poisson(2000, 1000.0, Upper), 169.51453524072303);
        is_close(negative_binomial(0, 4.0, 0.5, Lower), 0.9542425094393249);
        is_close(negative_binomial(1, 15.0, 0.2, Lower), 2.3336063470149453);
        is_close(negative_binomial(40, 8.0, 0.3, Upper), 3.8955513208579244);
        is_close(negative_binomial(3, 8.0, 2.0, Lower), 0.3006617783294);
        is_close(negative_binomial(100, 5.0, 0.05, Upper), 50.02632073536714);
        is_close(binomial(5, 20, 0.05, Upper), 2.589401524499077);
        is_close(binomial(30, 200, 0.05, Upper), 7.060018198408928);
        is_close(binomial(0, 100, 0.1, Lower), 4.5757490560675125);
        is_close(binomial(100, 1000, 0.2, Lower), 17.058925739689926);
        is_close(binomial(50, 60, 0.01, Upper), 89.16545029817871);
    }

    /// Of small counts both ways of a tail are one.
    #[test]
    fn terms_add_up_to_the_incomplete_functions() {
        let mean = 6.5;
        for count in 0..20_u64 {
            let k = count as f64;
            let terms = |side| by_terms(count, side, exp(-mean), |at| mean / (at + 1.0));
            if let Some(it) = terms(Lower) {
                is_close(ln(it), ln_gamma_upper(k + 1.0, mean));
            }
            if let Some(it) = terms(Upper).filter(|_| 0 < count) {
                is_close(ln(it), ln_gamma_lower(k, mean));
            }
        }
        assert_eq!(
            by_terms(20, Upper, exp(-mean), |at| mean / (at + 1.0)),
            None
        );
    }

    #[test]
    fn what_is_certain_has_no_severity_and_what_cannot_be_has_no_end() {
        assert_eq!(poisson(0, 3.0, Upper), 0.0);
        assert_eq!(poisson(0, 0.0, Lower), 0.0);
        assert_eq!(poisson(1, 0.0, Upper), f64::INFINITY);
        assert_eq!(binomial(0, 0, 0.5, Upper), 0.0);
        assert_eq!(binomial(7, 7, 0.5, Lower), 0.0);
        assert_eq!(normal(0.0), 0.0);
    }

    /// Q(3, x) = e^-x (1 + x + x²/2).
    #[test]
    fn a_sum_of_exponentials_has_a_gamma_tail() {
        for x in [0.1, 2.0, 9.0, 400.0] {
            let expected = -x + ln(1.0 + x + x * x / 2.0);
            is_close(ln_sum_of_exponentials(3.0, x), expected);
        }
        assert_eq!(ln_sum_of_exponentials(3.0, 0.0), 0.0);
    }

    #[test]
    fn a_quantile_has_its_severity() {
        for z in [0.01, 0.5, 1.0, 3.0, 7.0, 7.2, 20.0, 60.0] {
            is_close(normal_quantile(normal(z)), z);
        }
    }
}
