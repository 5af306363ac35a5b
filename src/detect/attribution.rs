//! Which values carry an incident: each value of each column, and each pair of values, in the windows of the incident beside the hour's worth of windows before.
//!
//! What a value would have had, if all values had grown or shrunk alike, is its forecast; `explain` ranks columns by what was observed instead. This module makes forecasts of sums, and says which value, and which pair,
//! is worth a sentence. Where the sums come from is not known here.

use super::explain::{Element, Explanation, explanations};
use super::metric::Kind;
use super::ratio::{PRIOR_FAILURES, PRIOR_REST};
use std::collections::BTreeMap;

/// Windows before an incident that it is compared with, and of the incident that are looked at.
pub const WINDOWS: i64 = 60;
/// A value carries an incident if it has so many times more of the change than it had of all, or if it grew so many times more than the rest did: the risk ratio of MacroBase (Bailis et al., SIGMOD 2017), and its
/// default. A value that most records have cannot have much more of the change than it has of all.
const LIFT_MIN: f64 = 1.5;
/// So many standard deviations of what the rest should have had are chance.
const CHANCE: f64 = 3.0;
/// And so much of the change.
const CARRIES: f64 = 0.5;
/// Of columns, the most surprising is told that has nearly as much of the change as any other has; and a pair says more than its column if it has nearly as much. Surprise is summed over the values of a column
/// (Adtributor), so it prefers columns of which it takes several values to say what one value of another says; the one is what a person looks for (the succinctness of HotSpot, Sun et al., IEEE Access 2018).
const KEEPS: f64 = 0.8;

/// The sums of a cell: of a rate how much, of a ratio failures and all, of anything else the values weighted by records, and records.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Sums {
    pub a: f64,
    pub b: f64,
}

/// Before and in the incident.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Cell {
    pub before: Sums,
    pub now: Sums,
}

/// Each of so many columns alone, then each pair.
pub fn sets(columns: usize) -> Vec<Vec<usize>> {
    let singles = (0..columns).map(|it| vec![it]);
    let pairs = (0..columns).flat_map(|a| (a + 1..columns).map(move |b| vec![a, b]));
    singles.chain(pairs).collect()
}

/// What a column, or a pair, says about an incident.
#[derive(Clone, Debug, PartialEq)]
pub struct Explained<V> {
    /// The number of the set of columns.
    pub set: usize,
    /// How much its shares have moved; it orders columns.
    pub surprise: f64,
    /// The most surprising first.
    pub values: Vec<ValueExplained<V>>,
}

/// A value of a column, or of two.
#[derive(Clone, Debug, PartialEq)]
pub struct ValueExplained<V> {
    pub value: V,
    /// Of a rate how much, of a ratio failures, of anything else the mean of the windows.
    pub observed: f64,
    pub expected: f64,
    /// Of the whole change; more than one if others moved the other way.
    pub share_of_change: f64,
    /// Of all that was expected.
    pub share_of_expected: f64,
    /// Whether it grew (or fell) so many times more than all others together that it carries what is unusual, though it was most of all before. Only counts of events can tell.
    pub outgrew_rest: bool,
}

/// Explanations by the cells of each of the `sets`: columns before pairs, each in the order of how much they say. `scale` is how many times more windows the incident has than those before.
pub fn explained<V: Ord + Clone>(
    cells: &[BTreeMap<V, Cell>],
    sets: &[Vec<usize>],
    kind: Kind,
    scale: f64,
) -> Vec<Explained<V>> {
    // All sets have the same sums.
    let any = cells.iter().find(|it| !it.is_empty());
    let all = any.into_iter().flat_map(BTreeMap::values);
    let before = all.fold(Sums::default(), |sum, it| Sums {
        a: sum.a + it.before.a,
        b: sum.b + it.before.b,
    });
    let now: f64 = any
        .into_iter()
        .flat_map(BTreeMap::values)
        .map(|it| it.now.b)
        .sum();
    let growth = if 0.0 < before.b { now / before.b } else { 0.0 };
    let usual = match kind {
        // Where nothing ever failed, what fails now has a forecast, too: that of the ratio test.
        Kind::Ratio => (before.a + PRIOR_FAILURES) / (before.b + PRIOR_FAILURES + PRIOR_REST),
        _ if before.b <= 0.0 => 0.0,
        _ => before.a / before.b,
    };
    // The mean of a value, of few records that of all.
    let own = |it: &Cell| (it.before.a + usual) / (it.before.b + 1.0);
    let forecast = |it: &Cell| match kind {
        Kind::Rate => it.before.a * scale,
        // Where nothing ever failed, no value is known to fail more than another.
        Kind::Ratio if before.a <= 0.0 => it.now.b * usual,
        // What its share of records would have had, of few before what all had. Where it has more than its share, as a flood has that began before it was an incident, these would have had what all had.
        Kind::Ratio => {
            let more = (it.now.b - growth * it.before.b).max(0.0);
            (it.now.b - more) * own(it) + more * usual
        }
        // What as many records would have had.
        _ => it.now.b * own(it),
    };
    // Counts of events, as of Poisson: those now, and those before from which the forecast is made. One is added, since of few events none can be told from some.
    let deviation = |it: &Cell| match kind {
        Kind::Rate => (1.0 + forecast(it) * (1.0 + scale)).sqrt(),
        // What a value that is new should have is known from all others.
        Kind::Ratio => {
            let known = it.before.b / (it.before.b + 1.0);
            (1.0 + forecast(it) * (1.0 + known * it.now.b / (it.before.b + 1.0))).sqrt()
        }
        _ => 0.0,
    };
    let of_set = |of_set: &BTreeMap<V, Cell>| {
        if kind == Kind::Ratio && restates(of_set) {
            return Vec::new();
        }
        let elements = of_set.values().enumerate().map(|(place, cell)| Element {
            name: place.to_string(),
            observed: cell.now.a,
            forecast: forecast(cell),
            deviation: deviation(cell),
        });
        elements.collect()
    };
    let elements: Vec<Vec<Element>> = cells.iter().map(of_set).collect();
    let mut found = explanations(&elements);
    found.sort_by_key(|it| sets[it.dimension].len());
    let told = found
        .into_iter()
        .map(|it| of_values(it, &elements, cells, kind));
    told.collect()
}

/// Whether values say themselves what is a failure, as a status does of a share of errors: each has nothing but failures, or none. What it then says of an incident is what was measured, and no cause.
fn restates<V>(cells: &BTreeMap<V, Cell>) -> bool {
    let is_pure = |it: &Cell| {
        let (failures, all) = (it.before.a + it.now.a, it.before.b + it.now.b);
        failures <= 0.0 || all <= failures
    };
    let fails = |it: &&Cell| 0.0 < it.before.a + it.now.a;
    cells.values().all(is_pure) && cells.values().any(|it| !fails(&it))
}

fn of_values<V: Clone>(
    explanation: Explanation,
    elements: &[Vec<Element>],
    cells: &[BTreeMap<V, Cell>],
    kind: Kind,
) -> Explained<V> {
    let set = explanation.dimension;
    let all = &elements[set];
    let observed: f64 = all.iter().map(|it| it.observed).sum();
    let expected: f64 = all.iter().map(|it| it.forecast).sum();
    let places: Vec<(&V, &Cell)> = cells[set].iter().collect();
    let values = explanation.elements.iter().filter_map(|name| {
        let place: usize = name.parse().ok()?;
        let element = all.get(place)?;
        let (value, cell) = places.get(place)?;
        let records = match kind {
            Kind::Rate | Kind::Ratio => 1.0,
            _ => cell.now.b.max(1.0),
        };
        Some(ValueExplained {
            value: (*value).clone(),
            observed: element.observed / records,
            expected: element.forecast / records,
            share_of_change: (element.observed - element.forecast) / (observed - expected),
            share_of_expected: element.forecast / expected,
            outgrew_rest: element.deviation > 0.0 && outgrew_rest(element, observed, expected),
        })
    });
    Explained {
        set,
        surprise: explanation.surprise,
        values: values.collect(),
    }
}

/// Of all that was observed and expected.
fn outgrew_rest(element: &Element, observed: f64, expected: f64) -> bool {
    let rest = (observed - element.observed, expected - element.forecast);
    if element.forecast <= 0.0 || rest.1 <= 0.0 {
        return false;
    }
    // What the rest would have had, had it grown alike.
    let alike = rest.1 * element.observed / element.forecast;
    let is_chance = (alike - rest.0).abs() < CHANCE * (1.0 + alike).sqrt();
    let is_more = match expected < observed {
        true => LIFT_MIN * rest.0 <= alike,
        false => LIFT_MIN * alike <= rest.0,
    };
    is_more && !is_chance
}

/// What is worth a sentence.
#[derive(Clone, Debug, PartialEq)]
pub struct Carriers<V> {
    /// The set and the value that carry an incident, if one value does.
    pub one: Option<Carrier<V>>,
    /// The pair that does so more closely, or alone.
    pub pair: Option<Carrier<V>>,
}

/// A value of a set, and its share of the change.
#[derive(Clone, Debug, PartialEq)]
pub struct Carrier<V> {
    pub set: usize,
    pub value: V,
    pub share_of_change: f64,
}

/// The value that carries an incident, and the pair, if one does.
pub fn carriers<V: Clone>(explained: &[Explained<V>], sets: &[Vec<usize>]) -> Carriers<V> {
    let carrier = |it: &Explained<V>| {
        let first = it.values.first()?;
        let has_more = LIFT_MIN * first.share_of_expected <= first.share_of_change;
        let carries = CARRIES <= first.share_of_change && (has_more || first.outgrew_rest);
        carries.then(|| Carrier {
            set: it.set,
            value: first.value.clone(),
            share_of_change: first.share_of_change,
        })
    };
    let keeps = |it: &Carrier<V>, most: f64| KEEPS * most.min(1.0) <= it.share_of_change;
    let of_size = |size: usize| {
        let of_size = explained.iter().filter(|it| sets[it.set].len() == size);
        let mut found: Vec<Carrier<V>> = of_size.filter_map(carrier).collect();
        let most = found
            .iter()
            .map(|it| it.share_of_change)
            .fold(0.0, f64::max);
        found.retain(|it| keeps(it, most));
        found.into_iter().next()
    };
    let one = of_size(1);
    let pair = of_size(2).filter(|pair| match &one {
        Some(one) => keeps(pair, one.share_of_change),
        None => true,
    });
    Carriers { one, pair }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell(before: (f64, f64), now: (f64, f64)) -> Cell {
        let sums = |(a, b): (f64, f64)| Sums { a, b };
        Cell {
            before: sums(before),
            now: sums(now),
        }
    }

    fn alone(cells: &[(&'static str, Cell)]) -> Vec<BTreeMap<&'static str, Cell>> {
        vec![cells.iter().copied().collect()]
    }

    #[test]
    fn a_value_carries_what_it_has_more_of_than_its_share() {
        let grown = alone(&[
            ("/a", cell((600.0, 600.0), (10.0, 10.0))),
            ("/b", cell((600.0, 600.0), (90.0, 90.0))),
        ]);
        let sets = sets(1);
        let found = explained(&grown, &sets, Kind::Rate, 1.0 / 60.0);
        let carriers = carriers(&found, &sets);
        assert_eq!(carriers.one.map(|it| it.value), Some("/b"));
        assert_eq!(carriers.pair, None);
        let first = &found[0].values[0];
        assert_eq!((first.observed, first.expected), (90.0, 10.0));
    }

    /// A client with two agents: neither says as much as the client.
    #[test]
    fn one_value_is_told_rather_than_several() {
        let of = |cells: &[(&'static str, f64, f64)]| {
            let cell = |it: &(&'static str, f64, f64)| (it.0, cell((it.1, it.1), (it.2, it.2)));
            cells.iter().map(cell).collect()
        };
        let cells = [
            of(&[("other", 9_000.0, 150.0), ("client", 600.0, 1_010.0)]),
            of(&[
                ("none", 9_000.0, 150.0),
                ("one", 300.0, 600.0),
                ("two", 300.0, 410.0),
            ]),
        ];
        let sets = vec![vec![0], vec![1]];
        let mut found = explained(&cells, &sets, Kind::Rate, 1.0 / 60.0);
        // Whichever is the more surprising column.
        for _ in 0..2 {
            found.reverse();
            assert_eq!(
                carriers(&found, &sets).one.map(|it| it.value),
                Some("client")
            );
        }
    }

    /// Four times the usual requests, of which more fail: no value can have much more of that than its share of what is expected.
    #[test]
    fn a_value_that_is_new_and_most_of_all_carries_what_it_does() {
        let failing = alone(&[
            ("usual", cell((1_200.0, 60_000.0), (20.0, 1_000.0))),
            ("new", cell((0.0, 0.0), (600.0, 3_000.0))),
        ]);
        let sets = sets(1);
        let found = explained(&failing, &sets, Kind::Ratio, 1.0 / 60.0);
        let first = &found[0].values[0];
        assert!(first.share_of_change < LIFT_MIN * first.share_of_expected);
        assert_eq!(carriers(&found, &sets).one.map(|it| it.value), Some("new"));
    }

    /// A flood is found some minutes after it began, so that the hour before has some of it. It fails as it did from the first.
    #[test]
    fn a_flood_that_began_before_its_incident_carries_it() {
        let failing = alone(&[
            ("usual", cell((5_000.0, 60_000.0), (1_250.0, 15_000.0))),
            ("flood", cell((600.0, 3_000.0), (1_000.0, 5_000.0))),
        ]);
        let sets = sets(1);
        let found = explained(&failing, &sets, Kind::Ratio, 0.25);
        let one = carriers(&found, &sets).one;
        assert_eq!(one.map(|it| it.value), Some("flood"));
    }

    #[test]
    fn what_never_failed_has_an_explanation_and_a_status_is_none() {
        let endpoints = [
            ("/a", cell((0.0, 6_000.0), (0.0, 100.0))),
            ("/b", cell((0.0, 6_000.0), (90.0, 100.0))),
        ];
        let statuses = [
            ("200", cell((0.0, 12_000.0), (0.0, 110.0))),
            ("503", cell((0.0, 0.0), (90.0, 90.0))),
        ];
        let cells = [endpoints, statuses].map(|it| it.into_iter().collect());
        let sets = vec![vec![0], vec![1]];
        let found = explained(&cells, &sets, Kind::Ratio, 1.0 / 60.0);
        assert_eq!(found.len(), 1);
        assert_eq!(carriers(&found, &sets).one.map(|it| it.value), Some("/b"));
        // Nor is what nearly all have.
        let methods = alone(&[
            ("GET", cell((0.0, 11_800.0), (6.0, 196.0))),
            ("HEAD", cell((0.0, 200.0), (0.0, 4.0))),
        ]);
        let found = explained(&methods, &sets[..1], Kind::Ratio, 1.0 / 60.0);
        assert_eq!(carriers(&found, &sets[..1]).one, None);
    }

    #[test]
    fn what_grows_alike_is_carried_by_nothing() {
        let grown = alone(&[
            ("/a", cell((600.0, 600.0), (50.0, 50.0))),
            ("/b", cell((600.0, 600.0), (50.0, 50.0))),
        ]);
        let sets = sets(1);
        let found = explained(&grown, &sets, Kind::Rate, 1.0 / 60.0);
        assert_eq!(carriers(&found, &sets).one, None);
    }
}
