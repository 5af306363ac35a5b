//! What several windows show together: changes that are too small for any one of them, and last.
//!
//! ```text
//! windows     ▪▪▪▪ ▪▪▪▪ ▪▪▪▪ ▪▪▪▪ ▪▪▪▪ …        in blocks of four
//! spans       └ 4 ┘                             looked at behind each block
//!             └──────── 16 ─────┘               behind each block
//!             └─────────────────────── 64 …     behind each 4th
//! base        what was there before the span: a mean that forgets, of blocks that have left it
//! ```
//!
//! The mean of a span is compared with its base, in deviations that spans of this length had. How rare that is for the key says `Peaks`, and since a span is looked at now and then, its severity is of what is so
//! expected in a *window*: by the windows between two looks more often, and by the share of one kind of looks less. So the loudest of all, single windows among them, is again a severity.
//!
//! - **What is over is not told.** The mean of a span stays high behind an event. So the next shorter span has to bear it out, with half of its deviation, and neither its last window nor its last block may
//!   say that it is over: that its base is ten times likelier than its mean (Wald 1945, "Sequential tests of statistical hypotheses"). What is small and lasts hardly ever ends in such a window. Of a
//!   shorter span that is over longer ones say nothing either. The longest span is told once while it lasts.
//! - **What is told is not learned.** While a span is out of the band its base hardly moves and its deviation learns no more than the band; at last the new level is accepted.
//! - Blocks begin at multiples of four, so it does not matter when a key was first seen. Missing windows are left out of a mean; a span of which half is missing says nothing, nor does one whose last window is.
//!
//! A window costs an addition; all else is done behind a block.

use super::math::{DEVIATION_PER_ABSOLUTE, ln};
use super::peaks::Peaks;
use super::ratio::{PRIOR_FAILURES, PRIOR_REST, Share, deviance_root};
use super::tails::{self, Side};
use serde::{Deserialize, Serialize};

/// Windows of a block, as a power of two.
const BLOCK_BITS: u32 = 2;
const BLOCK: i64 = 1 << BLOCK_BITS;
/// Parts of the longer spans: blocks of the one, and fours of blocks of the other.
const PARTS: usize = 4;
/// How many spans are looked at: one block, four, and sixteen.
const SPANS: usize = 3;
/// After how many windows each is looked at, as a power of two.
const EVERY_BITS: [u32; SPANS] = [2, 2, 4];
const WINDOWS: [f64; SPANS] = [4.0, 16.0, 64.0];
/// Of a part that leaves, so much goes into the base.
const BASE_GAIN: [f64; SPANS] = [0.35, 0.2, 0.1];
/// A part deviates by so much more than its span.
const PART_DEVIATION: [f64; SPANS] = [1.0, 2.0, 2.0];
/// Of shares: what the base keeps with each part, so that it goes back for 720 windows, and 1,920 for the longest span.
const KEPT: [f64; SPANS] = [1.0 - 4.0 / 720.0, 1.0 - 4.0 / 720.0, 1.0 - 16.0 / 1_920.0];
/// The next shorter span has to be off by so much of what a span is.
const BORNE_OUT: f64 = 0.5;
/// ln 10: a span is over if its base is so much likelier than its mean for what it ends with.
const LN_OVER: f64 = std::f64::consts::LN_10;
/// The half width of the band, and what a spread learns of a look beyond it: what stays there is told less and less.
const CLIP: f64 = 4.0;
/// What a spread learns of a look, in deviations, once the span has been out of the band for long.
const SPREAD_CLIP: f64 = 8.0;
/// Of a base out of whose band the span is, so much of the gain.
const OUT_GAIN: f64 = 0.1;
/// Looks before a span says something.
const LOOKS_MIN: u32 = 16;
/// Looks out of the band until that is the new base.
const PATIENCE: u32 = 60;
/// Larger values are left out, since their sums could have no end.
const VALUE_MAX: f64 = 1e300;
/// The events that the base of a share, and a span of it, have to have.
const EVENTS_MIN: f64 = 200.0;
const EVENTS_OF_SPAN_MIN: u64 = 20;
const DISPERSION_GAIN: f64 = 0.01;
const DISPERSION_CLIP: f64 = 4.0;
const DISPERSION: std::ops::RangeInclusive<f64> = 1.0..=25.0;

/// What every kind of look loses since there are others: -log10 of its share. There are four kinds with that at single windows, and half of the budget is kept, since what several windows show comes back in the next ones.
pub const SHARED: f64 = 3.0 * std::f64::consts::LOG10_2;

/// How the usual deviation of spans is learned.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    gain: [f64; SPANS],
    /// Of a look within the band up to so many deviations.
    clip: f64,
}

impl Spread {
    /// Of values whose level wanders, now more and now less.
    pub const QUICK: Spread = Spread {
        gain: [0.03; SPANS],
        clip: CLIP,
    };
    /// Of values that keep a level until something happens. What grows for hours would else be usual before it is out of the band: looks of the longest span share most of their windows.
    pub const SLOW: Spread = Spread {
        gain: [0.03, 0.03, 0.01],
        clip: 2.0,
    };
}

/// The span that is told.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Told {
    /// -log10 of how often it is expected in a window.
    pub severity: f64,
    /// In deviations of such spans.
    pub residual: f64,
    pub mean: f64,
    pub base: f64,
    /// The deviation of such spans.
    pub usual: f64,
}

/// Of values.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Pooled {
    blocks: Blocks<Sum>,
    spans: [Span; SPANS],
}

/// Of shares.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PooledShares {
    blocks: Blocks<Share>,
    spans: [SpanOfShares; SPANS],
}

impl Pooled {
    /// Whether any span says something yet.
    pub fn is_known(&self) -> bool {
        LOOKS_MIN < self.spans[0].looks
    }

    /// Takes a value in; the loudest span that is looked at behind it. `least` is the least deviation of one window that is usual.
    pub fn step(&mut self, number: i64, value: f64, least: f64, spread: &Spread) -> Option<Told> {
        if VALUE_MAX < value.abs() {
            return None;
        }
        let spans = &mut self.spans;
        let block = Sum {
            sum: value,
            count: 1.0,
        };
        let deviation = (WINDOWS[0].sqrt() * spans[0].spread).max(least);
        let mut latest = Latest::new(block, deviation * deviation);
        let mut loudest = None;
        self.blocks.add(number, block, |event| match event {
            Event::Left(at, part) => spans[at].learn(at, part),
            Event::Look(at, sum) => {
                loudest = louder(loudest, spans[at].look(at, sum, least, spread, &mut latest));
                latest.add(sum);
            }
        });
        loudest
    }
}

impl PooledShares {
    /// Whether any span says something yet.
    pub fn is_known(&self) -> bool {
        EVENTS_MIN <= self.spans[0].all
    }

    /// Takes a share in; the loudest span that is looked at behind it.
    pub fn step(&mut self, number: i64, share: Share) -> Option<Told> {
        let spans = &mut self.spans;
        let block = Share {
            failures: share.failures.min(share.all),
            ..share
        };
        let mut latest = Latest::new(block, spans[0].dispersion());
        let mut loudest = None;
        self.blocks.add(number, block, |event| match event {
            Event::Left(at, part) => spans[at].learn(at, part),
            Event::Look(at, sum) => {
                loudest = louder(loudest, spans[at].look(at, sum, &mut latest));
                latest.add(sum);
            }
        });
        loudest
    }
}

fn louder(one: Option<Told>, other: Option<Told>) -> Option<Told> {
    match (one, other) {
        (Some(one), Some(other)) if one.severity < other.severity => Some(other),
        (one, other) => one.or(other),
    }
}

/// What is added up in a block.
trait Adds: Copy + Default {
    fn add(&mut self, other: Self);

    /// None of nothing.
    fn mean(self) -> Option<f64>;

    /// ln of how much likelier one mean is than another for what was added up, times how much a window varies.
    fn ln_likelier(self, one: f64, other: f64) -> f64;
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Sum {
    sum: f64,
    count: f64,
}

impl Adds for Sum {
    fn add(&mut self, other: Self) {
        self.sum += other.sum;
        self.count += other.count;
    }

    fn mean(self) -> Option<f64> {
        (0.0 < self.count).then(|| self.sum / self.count)
    }

    /// Of a normal distribution.
    fn ln_likelier(self, one: f64, other: f64) -> f64 {
        (other - one) * (0.5 * self.count * (other + one) - self.sum)
    }
}

impl Adds for Share {
    fn add(&mut self, other: Self) {
        self.failures += other.failures;
        self.all += other.all;
    }

    fn mean(self) -> Option<f64> {
        (0 < self.all).then(|| self.failures as f64 / self.all as f64)
    }

    /// Of a binomial one.
    fn ln_likelier(self, one: f64, other: f64) -> f64 {
        // A mean of none or of all has an end without the others.
        let term = |count: u64, likelier: f64| match count {
            0 => 0.0,
            _ => count as f64 * ln(likelier),
        };
        let rest = self.all - self.failures;
        term(self.failures, one / other) + term(rest, (1.0 - one) / (1.0 - other))
    }
}

/// The last windows in blocks.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Blocks<T> {
    /// The block that is being filled.
    filling: T,
    last: Option<i64>,
    /// The last four blocks, and the last four fours of them, the oldest first; the last four is being filled.
    blocks: [T; PARTS],
    fours: [T; PARTS],
}

/// What happens to spans behind a window, by their number.
enum Event<T> {
    /// A part has left the span.
    Left(usize, T),
    /// The span has become this.
    Look(usize, T),
}

impl<T: Adds> Blocks<T> {
    fn add(&mut self, number: i64, window: T, mut tell: impl FnMut(Event<T>)) {
        let block = number >> BLOCK_BITS;
        let before = self.last.replace(number).unwrap_or(number) >> BLOCK_BITS;
        if before < block {
            // A block whose last window is missing, or that was looked at and is empty.
            self.end(before, &mut tell, false);
            self.pass(before, block, &mut tell);
        }
        self.filling.add(window);
        if number & (BLOCK - 1) == BLOCK - 1 {
            self.end(block, &mut tell, true);
        }
    }

    /// What was filled becomes part of the spans.
    fn end(&mut self, block: i64, tell: &mut impl FnMut(Event<T>), is_looked_at: bool) {
        let ended = std::mem::take(&mut self.filling);
        self.blocks[PARTS - 1].add(ended);
        self.fours[PARTS - 1].add(ended);
        if is_looked_at {
            tell(Event::Look(0, ended));
            tell(Event::Look(1, sum(&self.blocks)));
            if block & (PARTS as i64 - 1) == PARTS as i64 - 1 {
                tell(Event::Look(2, sum(&self.fours)));
            }
        }
        tell(Event::Left(0, ended));
    }

    /// Parts leave the longer spans.
    fn pass(&mut self, before: i64, block: i64, tell: &mut impl FnMut(Event<T>)) {
        const FOUR_BITS: u32 = PARTS.trailing_zeros();
        let passed = [
            (1, block - before, &mut self.blocks),
            (
                2,
                (block >> FOUR_BITS) - (before >> FOUR_BITS),
                &mut self.fours,
            ),
        ];
        for (at, passed, parts) in passed {
            for _ in 0..passed.min(PARTS as i64) {
                tell(Event::Left(at, parts[0]));
                parts.rotate_left(1);
                parts[PARTS - 1] = T::default();
            }
        }
    }
}

fn sum<T: Adds>(parts: &[T]) -> T {
    let mut sum = T::default();
    parts.iter().for_each(|it| sum.add(*it));
    sum
}

/// What was told of the longest span while it goes on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Spell {
    severity: f64,
    /// 1 above, -1 below, 0 if nothing was told.
    side: f64,
}

impl Spell {
    /// The severity per window; nothing of what was told before and is not clearly more.
    fn tell(&mut self, at: usize, told: Told) -> Option<Told> {
        /// What is told from here on is not told again,
        const TOLD: f64 = 2.5;
        /// unless it is by so much rarer,
        const RARER: f64 = 1.0;
        /// until its residual is below this.
        const OVER: f64 = 2.0;
        let per_window = f64::from(EVERY_BITS[at]) * std::f64::consts::LOG10_2 - SHARED;
        let severity = (told.severity + per_window).max(0.0);
        let now = Told { severity, ..told };
        if at + 1 < SPANS {
            return Some(now);
        }
        if told.residual * self.side < OVER {
            *self = Spell::default();
        }
        if self.side != 0.0 && severity < self.severity + RARER {
            return None;
        }
        if TOLD < severity {
            let side = told.residual.signum();
            *self = Spell { severity, side };
        }
        Some(now)
    }
}

/// What the ends of spans say of them, from the shortest span to the longest.
struct Latest<T> {
    window: T,
    /// How much a window varies: the variance of a value; of a share what it is more than that of a binomial.
    varies: f64,
    /// The last block, if it was looked at, and the next shorter span.
    block: Option<T>,
    shorter: Option<T>,
    /// Whether a shorter span is over.
    is_over: bool,
}

impl<T: Adds> Latest<T> {
    fn new(window: T, varies: f64) -> Self {
        Latest {
            window,
            varies,
            block: None,
            shorter: None,
            is_over: false,
        }
    }

    /// What a longer span ends with.
    fn add(&mut self, span: T) {
        self.block.get_or_insert(span);
        self.shorter = Some(span);
    }

    /// Whether a span of this mean is over.
    fn is_over(&mut self, mean: f64, base: f64) -> bool {
        let ends = [Some(self.window), self.block].into_iter().flatten();
        let likelier = ends.map(|it| it.ln_likelier(base, mean));
        self.is_over |= likelier.fold(0.0, f64::max) > LN_OVER * self.varies;
        let off = mean - base;
        let is_borne_out = |it: f64| BORNE_OUT * off.abs() <= (it - base) * off.signum();
        let shorter = self.shorter.and_then(Adds::mean);
        self.is_over || !shorter.is_none_or(is_borne_out)
    }
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Span {
    base: Option<f64>,
    /// The usual deviation of the span from its base.
    spread: f64,
    /// Up to `LOOKS_MIN` + 1, and parts that the base has learned.
    looks: u32,
    learned: u32,
    /// Looks in a row that were out of the band.
    out: u32,
    spell: Spell,
    peaks: Peaks,
}

impl Span {
    fn learn(&mut self, at: usize, part: Sum) {
        /// From here on a mean of all is slower than any gain.
        const LEARNED_MAX: u32 = 100;
        let Some(mean) = part.mean() else { return };
        let Some(base) = &mut self.base else {
            self.base = Some(mean);
            return;
        };
        self.learned = (self.learned + 1).min(LEARNED_MAX);
        let gain = BASE_GAIN[at].max(1.0 / f64::from(self.learned + 1));
        let gain = match self.out {
            0 => gain,
            1..PATIENCE => gain * OUT_GAIN,
            _ => 1.0,
        };
        let bound = match LOOKS_MIN < self.looks && self.out < PATIENCE {
            true => PART_DEVIATION[at] * CLIP * self.spread,
            false => f64::INFINITY,
        };
        *base += gain * (mean - *base).clamp(-bound, bound);
    }

    fn look(
        &mut self,
        at: usize,
        sum: Sum,
        least: f64,
        spread: &Spread,
        latest: &mut Latest<Sum>,
    ) -> Option<Told> {
        let base = self.base?;
        let mean = sum.mean().filter(|_| WINDOWS[at] <= 2.0 * sum.count)?;
        let off = mean - base;
        let usual = self.spread.max(least / WINDOWS[at].sqrt());
        let z = off / usual;
        let is_known = LOOKS_MIN < self.looks;
        let is_out = is_known && CLIP < z.abs();
        self.out = if is_out { self.out + 1 } else { 0 };
        self.looks = (self.looks + 1).min(LOOKS_MIN + 1);
        let bound = match self.out {
            _ if !is_known => f64::INFINITY,
            0 => spread.clip * usual,
            1..PATIENCE => CLIP * usual,
            _ => SPREAD_CLIP * usual,
        };
        let gain = match is_known {
            true => spread.gain[at],
            false => 1.0 / f64::from(self.looks),
        };
        self.spread += gain * (DEVIATION_PER_ABSOLUTE * off.abs().min(bound) - self.spread);
        if !is_known {
            return None;
        }
        let residual = match latest.is_over(mean, base) {
            true => 0.0,
            false => z,
        };
        let told = Told {
            severity: self.peaks.severity_of_peak(residual),
            residual,
            mean,
            base,
            usual,
        };
        self.spell.tell(at, told)
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct SpanOfShares {
    /// Decayed sums.
    failures: f64,
    all: f64,
    /// Of the squared residuals of spans, as `ratio` has that of windows.
    dispersion: f64,
    out: u32,
    spell: Spell,
    peaks: Peaks,
}

impl Default for SpanOfShares {
    fn default() -> Self {
        SpanOfShares {
            failures: 0.0,
            all: 0.0,
            dispersion: 1.0,
            out: 0,
            spell: Spell::default(),
            peaks: Peaks::default(),
        }
    }
}

impl SpanOfShares {
    /// A part is learned within the band, and as expected while the span is out of it.
    fn learn(&mut self, at: usize, part: Share) {
        let (mut failures, all) = (part.failures as f64, part.all as f64);
        if EVENTS_MIN <= self.all {
            let p = self.expected();
            let half = CLIP * (self.dispersion() * all * p * (1.0 - p)).sqrt();
            failures = match self.out {
                1..PATIENCE => all * p,
                _ => failures.clamp(all * p - half, all * p + half),
            };
        }
        self.failures = KEPT[at] * self.failures + failures.clamp(0.0, all);
        self.all = KEPT[at] * self.all + all;
    }

    fn expected(&self) -> f64 {
        (self.failures + PRIOR_FAILURES) / (self.all + PRIOR_FAILURES + PRIOR_REST)
    }

    fn dispersion(&self) -> f64 {
        self.dispersion
            .clamp(*DISPERSION.start(), *DISPERSION.end())
    }

    fn look(&mut self, at: usize, share: Share, latest: &mut Latest<Share>) -> Option<Told> {
        if self.all < EVENTS_MIN || share.all < EVENTS_OF_SPAN_MIN {
            return None;
        }
        let p = self.expected();
        let n = share.all as f64;
        let mean = share.failures as f64 / n;
        let phi = self.dispersion();
        let root = deviance_root(share, p);
        // The base is one of so many events, too.
        let z = root * (self.all / ((self.all + n) * phi)).sqrt();
        self.out = if CLIP < z.abs() { self.out + 1 } else { 0 };
        if !(1..PATIENCE).contains(&self.out) {
            let squared = (root * root).min(DISPERSION_CLIP * phi);
            self.dispersion += DISPERSION_GAIN * (squared - self.dispersion);
        }
        let residual = match latest.is_over(mean, p) {
            true => 0.0,
            false => z,
        };
        let mut severity = self.peaks.severity_of_peak(residual);
        if 0.0 < severity {
            let side = if mean < p { Side::Lower } else { Side::Upper };
            let exact = tails::binomial(share.failures, share.all, p, side) / phi;
            severity = severity.min(exact);
        }
        let told = Told {
            severity,
            residual,
            mean,
            base: p,
            usual: (phi * p * (1.0 - p) / n).sqrt(),
        };
        self.spell.tell(at, told)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Random;
    use proptest::prelude::*;

    /// What is told of values by window, of noise in 0..1 that is moved.
    fn told(numbers: std::ops::Range<i64>, moved: impl Fn(i64) -> f64) -> Vec<(i64, Told)> {
        let mut pooled = Pooled::default();
        let mut random = Random::new(4);
        let mut step =
            |number| pooled.step(number, random.unit() + moved(number), 1e-9, &Spread::QUICK);
        numbers.filter_map(|it| Some((it, step(it)?))).collect()
    }

    fn most(told: &[(i64, Told)], windows: std::ops::Range<i64>) -> f64 {
        let inside = told.iter().filter(|it| windows.contains(&it.0));
        inside.map(|it| it.1.severity).fold(0.0, f64::max)
    }

    #[test]
    fn spans_are_looked_at_behind_their_blocks_wherever_a_key_begins() {
        for first in [-7, 0, 3] {
            let found = told(first..first + 600, |_| 0.0);
            assert!(found.iter().all(|it| (it.0 + 1) % 4 == 0), "{first}");
            assert!(found.len() > 100, "{first}");
        }
    }

    /// Behind a burst the longest span is still high, and nothing is said of it.
    #[test]
    fn what_is_over_is_not_told() {
        let found = told(0..2_200, |it| {
            if (2_000..2_020).contains(&it) {
                4.0
            } else {
                0.0
            }
        });
        assert!(5.0 < most(&found, 2_000..2_020));
        assert!(
            most(&found, 2_028..2_200) < 3.5,
            "{}",
            most(&found, 2_028..2_200)
        );
    }

    #[test]
    fn sums_have_an_end() {
        let mut pooled = Pooled::default();
        for number in 0..400 {
            let value = [1.0, f64::MAX, -f64::MAX][(number % 3) as usize];
            let told = pooled.step(number, value, 1e-9, &Spread::QUICK);
            assert!(told.is_none_or(|it| it.severity.is_finite() && it.mean.is_finite()));
        }
        assert_eq!(pooled, pooled.clone());
    }

    /// A level that stays is told, and at last it is the base.
    #[test]
    fn a_new_level_becomes_the_base() {
        let found = told(0..4_000, |it| if 2_000 <= it { 1.0 } else { 0.0 });
        assert!(4.0 < most(&found, 2_000..2_064));
        let last = found.last().expect("something is told").1;
        assert!((1.4..1.6).contains(&last.base), "{last:?}");
        assert!(most(&found, 3_500..4_000) < 4.0);
    }

    /// What grows by a hundredth of its noise with each window is out of the band of the longest span before it is usual.
    #[test]
    fn what_grows_for_hours_is_not_usual_meanwhile() {
        let loudest = |spread: &Spread| {
            let mut pooled = Pooled::default();
            let mut random = Random::new(4);
            let severities = (0..2_400).filter_map(|number| {
                let grown = 0.002 * (number - 2_000).max(0) as f64;
                let told = pooled.step(number, random.unit() + grown, 1e-9, spread)?;
                (2_000 <= number).then_some(told.severity)
            });
            severities.fold(0.0, f64::max)
        };
        let (slow, quick) = (loudest(&Spread::SLOW), loudest(&Spread::QUICK));
        assert!(quick + 0.5 < slow, "{slow} {quick}");
    }

    #[test]
    fn severities_are_as_rare_as_they_say() {
        let windows = 200_000;
        let found = told(0..windows, |_| 0.0);
        for least in [2.0, 3.0] {
            let count = found.iter().filter(|it| least < it.1.severity).count() as f64;
            let expected = windows as f64 * 10.0_f64.powf(-least);
            assert!(count < 1.5 * expected, "{least}: {count} of {expected}");
        }
    }

    /// The mean of the last windows, as a list of all of them has it; those that are missing are left out.
    fn mean_of(values: &[(i64, f64)], from: i64, to: i64) -> Option<f64> {
        let inside: Vec<f64> = values
            .iter()
            .filter(|it| from <= it.0 && it.0 <= to)
            .map(|it| it.1)
            .collect();
        (!inside.is_empty()).then(|| inside.iter().sum::<f64>() / inside.len() as f64)
    }

    proptest! {
        #[test]
        fn spans_are_the_last_windows(steps in proptest::collection::vec((1..9_i64, 0..100_i32), 1..300), first in -40..40_i64) {
            let mut blocks: Blocks<Sum> = Blocks::default();
            let mut values = Vec::new();
            let mut number = first;
            for (step, value) in steps {
                number += if step < 7 { 1 } else { 4 * step };
                values.push((number, f64::from(value)));
                let mut looks = Vec::new();
                let window = Sum { sum: f64::from(value), count: 1.0 };
                blocks.add(number, window, |it| if let Event::Look(at, sum) = it { looks.push((at, sum)); });
                prop_assert_eq!(looks.is_empty(), number & 3 != 3);
                for (at, sum) in looks {
                    let expected = mean_of(&values, number + 1 - WINDOWS[at] as i64, number);
                    let (expected, found) = (expected.expect("the last one is there"), sum.mean().expect("so it is here"));
                    prop_assert!((expected - found).abs() < 1e-9, "{} {} {}", at, expected, found);
                }
            }
        }
    }
}
