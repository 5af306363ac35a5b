//! Of many keys and metrics at one window, those that are remarkable: false discoveries are held to a share.
//!
//! Benjamini and Hochberg (1995): of m p-values in order, all up to the largest i with `p_i <= q i / m`. It is a pure function of the window's severities, so it can be computed again when one of them changes.

use super::math::{LN_10, ln};

/// The least severity that is a discovery, if a share of q of discoveries may be false; none if there is no discovery.
pub fn least_discovered(severities: &[f64], q: f64) -> Option<f64> {
    let mut ordered: Vec<f64> = severities
        .iter()
        .copied()
        .filter(|it| !it.is_nan())
        .collect();
    ordered.sort_unstable_by(|a, b| b.total_cmp(a));
    let count = ordered.len() as f64;
    let is_discovery = |it: &(usize, &f64)| {
        let share = q * (it.0 + 1) as f64 / count;
        -ln(share) / LN_10 <= *it.1
    };
    let last = ordered.iter().enumerate().rev().find(is_discovery)?;
    Some(*last.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the paper, section 3.2: fifteen p-values, of which four are discoveries at q = 0.05.
    #[test]
    fn the_example_of_the_paper() {
        let p = [
            0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459, 0.3240, 0.4262,
            0.5719, 0.6528, 0.7590, 1.0,
        ];
        let severities = p.map(|it| -ln(it) / LN_10);
        let least = least_discovered(&severities, 0.05).unwrap();
        assert_eq!(severities.iter().filter(|it| least <= **it).count(), 4);
        let mut shuffled = severities;
        shuffled.reverse();
        assert_eq!(least_discovered(&shuffled, 0.05), Some(least));
    }

    #[test]
    fn nothing_remarkable_is_no_discovery() {
        assert_eq!(least_discovered(&[], 0.05), None);
        assert_eq!(least_discovered(&[0.1, 0.5, 1.0, f64::NAN], 0.05), None);
        assert_eq!(
            least_discovered(&[f64::INFINITY, 0.0], 0.05),
            Some(f64::INFINITY)
        );
    }
}
