//! Which dimension explains an anomaly: from what was observed and what was forecast, for each element of each dimension or pair of dimensions.
//!
//! - Explanatory power `EP = (A_ij - F_ij) / (A - F)` and surprise, the Jensen-Shannon term of the shares `p = F_ij / F` and `q = A_ij / A`: Adtributor (Bhagwan et al., NSDI 2014). Elements with an EP of at least
//!   10 % are taken, the most surprising first, until they explain 67 %; dimensions are in the order of their surprise.
//! - Chance: of n elements the largest deviation that is none but chance is about `sqrt(2 ln n)` standard deviations, the universal threshold of Donoho and Johnstone (1994, "Ideal spatial adaptation by wavelet
//!   shrinkage"). An element within it explains nothing: of a column with a thousand clients some have changed by chance alone.
//! - Risk ratio of an element in outliers against the rest: MacroBase (Bailis et al., SIGMOD 2017).
//! - Ripple fit: a cause scales its leaves alike, so `f A_S / F_S` should be what is observed in each leaf, and the rest as forecast: the generalised potential score of Squeeze (Li et al., ISSRE 2019).
//!
//! An element of order 2 is one of a dimension made of pairs: nothing else is different.

use super::math::ln;

/// Elements of less explanatory power are left out.
const POWER_MIN: f64 = 0.1;
/// So much is an explanation.
const POWER_ENOUGH: f64 = 0.67;
/// Of few elements, too, so many standard deviations are chance.
const CHANCE_MIN: f64 = 3.0;

/// An element of a dimension.
#[derive(Clone, Debug, PartialEq)]
pub struct Element {
    pub name: String,
    pub observed: f64,
    pub forecast: f64,
    /// The standard deviation of what is observed, if nothing but chance is at work; 0 where it is not known.
    pub deviation: f64,
}

/// What a dimension says about an anomaly.
#[derive(Clone, Debug, PartialEq)]
pub struct Explanation {
    /// The number of the dimension.
    pub dimension: usize,
    /// Names of elements, the most surprising first.
    pub elements: Vec<String>,
    /// What they explain together, of the whole change.
    pub power: f64,
    pub surprise: f64,
}

/// Explanations by dimension, the most surprising first; a dimension without enough power has none. Elements of each add up to the same sums.
pub fn explanations(dimensions: &[Vec<Element>]) -> Vec<Explanation> {
    let mut found: Vec<Explanation> = dimensions
        .iter()
        .enumerate()
        .filter_map(|(number, elements)| explanation(number, elements))
        .collect();
    found.sort_by(|a, b| {
        let order = b.surprise.total_cmp(&a.surprise);
        order.then(a.dimension.cmp(&b.dimension))
    });
    found
}

fn explanation(dimension: usize, elements: &[Element]) -> Option<Explanation> {
    let observed: f64 = elements.iter().map(|it| it.observed).sum();
    let forecast: f64 = elements.iter().map(|it| it.forecast).sum();
    let change = observed - forecast;
    if change == 0.0 || observed <= 0.0 || forecast <= 0.0 {
        return None;
    }
    let of = |it: &Element| surprise(it.forecast / forecast, it.observed / observed);
    let mut ordered: Vec<(&Element, f64)> = elements.iter().map(|it| (it, of(it))).collect();
    ordered.sort_by(|a, b| b.1.total_cmp(&a.1).then_with(|| a.0.name.cmp(&b.0.name)));
    let mut explanation = Explanation {
        dimension,
        elements: Vec::new(),
        power: 0.0,
        surprise: 0.0,
    };
    let chance = (2.0 * ln(elements.len() as f64)).sqrt().max(CHANCE_MIN);
    for (element, surprise) in ordered {
        let off = element.observed - element.forecast;
        let power = off / change;
        if power < POWER_MIN || off.abs() < chance * element.deviation {
            continue;
        }
        explanation.elements.push(element.name.clone());
        explanation.power += power;
        explanation.surprise += surprise;
        if POWER_ENOUGH < explanation.power {
            return Some(explanation);
        }
    }
    None
}

/// The term of one element in the Jensen-Shannon divergence of two distributions.
pub fn surprise(p: f64, q: f64) -> f64 {
    let term = |share: f64| match 0.0 < share {
        true => share * ln(2.0 * share / (p + q)),
        false => 0.0,
    };
    0.5 * (term(p) + term(q))
}

/// How much more likely an outlier is with an attribute than without: of so many outliers and so many others with it, and without it. Infinite if there is none without; none if nothing has it.
pub fn risk_ratio(with: (u64, u64), without: (u64, u64)) -> Option<f64> {
    let rate = |(outliers, others): (u64, u64)| match outliers + others {
        0 => None,
        all => Some(outliers as f64 / all as f64),
    };
    let with = rate(with)?;
    match rate(without) {
        Some(without) if 0.0 < without => Some(with / without),
        Some(_) | None if with == 0.0 => None,
        Some(_) | None => Some(f64::INFINITY),
    }
}

/// How well leaves of a cause, and the rest, follow the ripple effect: 1 if the cause scales all of its leaves alike and the rest is as forecast, 0 if the cause explains nothing. Each leaf is (observed, forecast).
pub fn ripple_fit(cause: &[(f64, f64)], rest: &[(f64, f64)]) -> f64 {
    let sums = cause
        .iter()
        .fold((0.0, 0.0), |sum, it| (sum.0 + it.0, sum.1 + it.1));
    let scale = if sums.1 == 0.0 { 1.0 } else { sums.0 / sums.1 };
    let mean = |leaves: &[(f64, f64)], scale: f64| {
        let off: f64 = leaves.iter().map(|it| (it.0 - scale * it.1).abs()).sum();
        off / leaves.len().max(1) as f64
    };
    let beside = mean(rest, 1.0);
    let whole = mean(cause, 1.0) + beside;
    if whole == 0.0 {
        return 0.0;
    }
    (1.0 - (mean(cause, scale) + beside) / whole).max(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn elements(of: &[(&str, f64, f64)]) -> Vec<Element> {
        let element = |it: &(&str, f64, f64)| Element {
            name: it.0.to_owned(),
            observed: it.1,
            forecast: it.2,
            deviation: 0.0,
        };
        of.iter().map(element).collect()
    }

    /// One data centre loses half of its traffic; devices all lose alike.
    #[test]
    fn the_dimension_whose_shares_changed_comes_first() {
        let centres = elements(&[("x", 94.0, 94.0), ("y", 5.0, 10.0), ("z", 47.0, 48.0)]);
        let devices = elements(&[("pc", 48.0, 50.0), ("mobile", 98.0, 102.0)]);
        let found = explanations(&[devices, centres]);
        assert_eq!(found[0].dimension, 1);
        assert_eq!(found[0].elements, ["y"]);
        assert!((found[0].power - 5.0 / 6.0).abs() < 1e-12);
        assert!(found[1].surprise < found[0].surprise);
    }

    #[test]
    fn surprise_is_the_term_of_jensen_and_shannon() {
        assert_eq!(surprise(0.3, 0.3), 0.0);
        assert!((surprise(0.0, 1.0) - 0.5 * std::f64::consts::LN_2).abs() < 1e-15);
        assert!((surprise(0.2, 0.6) - surprise(0.6, 0.2)).abs() < 1e-15);
    }

    #[test]
    fn what_chance_can_do_explains_nothing() {
        let mut centres = elements(&[("x", 100.0, 100.0), ("y", 20.0, 10.0)]);
        assert_eq!(explanations(&[centres.clone()])[0].elements, ["y"]);
        centres[1].deviation = 10.0 / 2.9;
        assert_eq!(explanations(&[centres.clone()]), []);
        // Among a thousand, more than three standard deviations are nothing special either.
        centres[1].deviation = 10.0 / 3.5;
        assert_eq!(explanations(&[centres.clone()])[0].elements, ["y"]);
        centres.resize(1_000, centres[0].clone());
        assert_eq!(explanations(&[centres]), []);
    }

    #[test]
    fn no_change_and_no_traffic_have_no_explanation() {
        assert_eq!(
            explanations(&[elements(&[("a", 5.0, 5.0)]), Vec::new()]),
            []
        );
        assert_eq!(explanations(&[elements(&[("a", 0.0, 0.0)])]), []);
    }

    #[test]
    fn risks_are_compared_by_rate() {
        assert_eq!(risk_ratio((30, 10), (10, 90)), Some(7.5));
        assert_eq!(risk_ratio((3, 0), (0, 9)), Some(f64::INFINITY));
        assert_eq!(risk_ratio((0, 0), (1, 1)), None);
    }

    #[test]
    fn a_cause_that_scales_its_leaves_fits_and_any_other_does_not() {
        let rest = [(10.0, 10.0), (20.0, 20.0)];
        assert_eq!(ripple_fit(&[(5.0, 10.0), (15.0, 30.0)], &rest), 1.0);
        assert!(ripple_fit(&[(0.0, 10.0), (30.0, 30.0)], &rest) < 0.6);
        assert_eq!(ripple_fit(&[(1.0, 1.0)], &[(1.0, 1.0)]), 0.0);
    }
}
