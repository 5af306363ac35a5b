//! Functions that have the same bits on every machine: those of `libm`, under the names that formulas use.

/// Of a normal distribution, the standard deviation over the mean absolute deviation: sqrt(pi / 2).
pub const DEVIATION_PER_ABSOLUTE: f64 = 1.253_314_137_315_500_3;
pub const LN_10: f64 = std::f64::consts::LN_10;

pub fn ln(x: f64) -> f64 {
    libm::log(x)
}

pub fn ln_1p(x: f64) -> f64 {
    libm::log1p(x)
}

pub fn exp(x: f64) -> f64 {
    libm::exp(x)
}

pub fn exp_m1(x: f64) -> f64 {
    libm::expm1(x)
}

pub fn asinh(x: f64) -> f64 {
    libm::asinh(x)
}

pub fn sinh(x: f64) -> f64 {
    libm::sinh(x)
}

pub fn pow(x: f64, y: f64) -> f64 {
    libm::pow(x, y)
}

pub fn ln_gamma(x: f64) -> f64 {
    libm::lgamma(x)
}

/// ln(1 - e^x) for x below zero, exact at both ends (Mächler 2012, "Accurately computing log(1 - exp(-|a|))").
pub fn ln_one_minus_exp(x: f64) -> f64 {
    if x > -std::f64::consts::LN_2 {
        ln(-exp_m1(x))
    } else {
        ln_1p(-exp(x))
    }
}

/// The median of some values, which are put in order; nothing of none. Of an even number it is the mean of the two in the middle.
pub fn median(values: &mut [f64]) -> Option<f64> {
    values.sort_unstable_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => None,
        length if length % 2 == 1 => Some(values[middle]),
        _ => Some(f64::midpoint(values[middle - 1], values[middle])),
    }
}
