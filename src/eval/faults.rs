//! Faults put into real rates, so that it is known what there is to find.
//!
//! Each kind changes the counts of its minutes by a factor. Where they lie is drawn from a seed: apart from each other, behind the first week, as many of each
//! kind. The traffic around them is as it was, with all that is unusual in it; a detector that finds that is wrong here.

use crate::model::Random;
use std::ops::Range;

/// What is done to the traffic.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Kind {
    pub name: &'static str,
    pub minutes: usize,
    /// The factor at the end. A leak gets there step by step; all others have it from their first minute on.
    pub factor: f64,
    pub creeps: bool,
}

pub const KINDS: [Kind; 6] = [
    kind("drop 50 % 30 min", 30, 0.5, false),
    kind("drop 80 % 10 min", 10, 0.2, false),
    kind("x2 30 min", 30, 2.0, false),
    kind("x1.3 2 h", 120, 1.3, false),
    kind("-20 % 4 h", 240, 0.8, false),
    kind("leak -40 % 6 h", 360, 0.6, true),
];

const fn kind(name: &'static str, minutes: usize, factor: f64, creeps: bool) -> Kind {
    Kind {
        name,
        minutes,
        factor,
        creeps,
    }
}

/// One fault: its kind by number, and the minutes it changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    pub kind: usize,
    pub minutes: Range<usize>,
}

/// Between two faults there are so many minutes at least.
const APART_MINUTES: usize = 120;

/// Changes the counts per minute, and says where. Faults begin at a multiple of `align` minutes, behind `skip` minutes; there are `each`
/// of each kind, or as many as find room.
pub fn inject(counts: &mut [f64], seed: u64, skip: usize, align: usize, each: usize) -> Vec<Fault> {
    let mut random = Random::new(seed);
    let mut kinds: Vec<usize> = (0..each * KINDS.len()).map(|it| it % KINDS.len()).collect();
    shuffle(&mut kinds, &mut random);
    let room = counts.len().saturating_sub(skip);
    let mut needed = 0;
    kinds.retain(|it| {
        needed += KINDS[*it].minutes + APART_MINUTES + align;
        needed <= room
    });
    place(counts, &kinds, skip, align, &mut random)
}

/// The room that no fault needs is shared out at random: what lies before each is the gap between two of so many sorted draws.
fn place(
    counts: &mut [f64],
    kinds: &[usize],
    skip: usize,
    align: usize,
    random: &mut Random,
) -> Vec<Fault> {
    let needed = |it: &usize| KINDS[*it].minutes + APART_MINUTES + align;
    let all: usize = kinds.iter().map(needed).sum();
    let spare = counts.len().saturating_sub(skip + all);
    let mut cuts: Vec<usize> = kinds
        .iter()
        .map(|_| random.below_u64(spare as u64 + 1) as usize)
        .collect();
    cuts.sort_unstable();
    let mut faults = Vec::new();
    let mut used = skip;
    for (kind, cut) in kinds.iter().zip(cuts) {
        let start = (used + cut).div_ceil(align) * align;
        let minutes = start..start + KINDS[*kind].minutes;
        used += needed(kind);
        if counts.len() < minutes.end {
            break;
        }
        change(&mut counts[minutes.clone()], &KINDS[*kind], random);
        faults.push(Fault {
            kind: *kind,
            minutes,
        });
    }
    faults
}

fn change(counts: &mut [f64], kind: &Kind, random: &mut Random) {
    let last = counts.len().max(2) as f64 - 1.0;
    for (at, count) in counts.iter_mut().enumerate() {
        let factor = match kind.creeps {
            true => 1.0 + (kind.factor - 1.0) * at as f64 / last,
            false => kind.factor,
        };
        // Whole counts whose expectation is exact.
        *count = (*count * factor + random.unit()).floor();
    }
}

fn shuffle(items: &mut [usize], random: &mut Random) {
    for at in (1..items.len()).rev() {
        items.swap(at, random.below_u64(at as u64 + 1) as usize);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_apart_behind_the_warm_up_and_the_same_for_a_seed() {
        let before = vec![1_000.0; 60 * 1_440];
        let mut counts = before.clone();
        let faults = inject(&mut counts, 3, 10_080, 5, 12);
        assert_eq!(faults.len(), 72);
        assert!(10_080 <= faults[0].minutes.start);
        for pair in faults.windows(2) {
            assert!(pair[0].minutes.end + APART_MINUTES <= pair[1].minutes.start);
        }
        let changed = |it: &usize| counts[*it] != before[*it];
        let inside = |it: &usize| faults.iter().any(|fault| fault.minutes.contains(it));
        assert!((0..counts.len()).filter(changed).all(|it| inside(&it)));
        let mut again = before.clone();
        assert_eq!(inject(&mut again, 3, 10_080, 5, 12), faults);
        assert_eq!(again, counts);
        let mut few = vec![1.0; 12_000];
        assert!(inject(&mut few, 3, 10_080, 5, 12).len() < 12);
    }
}
