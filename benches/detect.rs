//! One window of one key, at 10,000 keys in random order: CPU time of what is judged of a metric, of the forecast alone, and as a ratio to a loop that does nothing but touch as much memory as a forecast does.
//!
//! Backs the documentation's claim on detectors. The keys' states do not fit into the caches together, so what is measured is mostly memory.

#[path = "common/thread_time.rs"]
mod thread_time;

use std::hint::black_box;
use std::time::Duration;
use thread_time::thread_time;
use tidelake::detect::forecast::{Forecast, State};
use tidelake::detect::metric::{Evidence, Kind, Metric};
use tidelake::detect::ratio::Share;
use tidelake::detect::windows::{Fold, Windows};
use tidelake::detect::{Detector, Window};
use tidelake::model::Random;

const KEYS: usize = 10_000;
/// Two seasons and a bit, so that all of the state is in use.
const WARM_UP: i64 = 600;
const ROUNDS: i64 = 60;
const WINDOW_SECONDS: u32 = 300;
const WINDOWS_PER_DAY: u32 = 288;

fn main() {
    let order = order();
    let (forecast, memory) = (forecast(&order), memory(&order));
    let busy = judged(Kind::Rate, &order, |it| {
        Evidence::Number((1_000.0 + 100.0 * it).round())
    });
    let rare = judged(Kind::Rate, &order, |it| {
        Evidence::Number((6.0 * it).round())
    });
    let share = judged(Kind::Ratio, &order, |it| {
        Evidence::Share(Share {
            failures: (10.0 * it) as u64,
            all: 200,
        })
    });
    let time = judged(Kind::Latency, &order, |it| {
        Evidence::Number(100.0 + 30.0 * it)
    });
    let figures = [
        ("memory", memory),
        ("forecast", forecast),
        ("rate", busy),
        ("rate of few", rare),
        ("share", share),
        ("latency", time),
    ];
    println!(
        "{KEYS} keys in random order, CPU time of one window, and over that of the memory alone"
    );
    for (name, nanos) in figures {
        println!("  {name:<12} {nanos:7.1} ns {:6.1}", nanos / memory);
    }
    println!(
        "{{\"bench\":\"detect\",\"keys\":{KEYS},\"memory_ns\":{memory:.1},\"forecast_ns\":{forecast:.1},\"rate_ns\":{busy:.1},\"rate_of_few_ns\":{rare:.1},\"share_ns\":{share:.1},\"latency_ns\":{time:.1}}}"
    );
}

/// The keys in an order that nothing foresees.
fn order() -> Vec<usize> {
    let mut random = Random::new(1);
    let mut order: Vec<usize> = (0..KEYS).collect();
    for at in (1..KEYS).rev() {
        order.swap(at, random.below_u64(at as u64 + 1) as usize);
    }
    order
}

/// Random numbers from 0 and below 1, one for a key and window.
fn noise() -> impl Fn(usize, i64) -> f64 {
    let mut random = Random::new(2);
    let noise: Vec<f64> = (0..4_096).map(|_| random.unit()).collect();
    move |key, number| noise[(key + number as usize * 7) % noise.len()]
}

/// Nanoseconds of a step for one key and window, behind those of the warm-up.
fn timed(order: &[usize], mut step: impl FnMut(usize, i64)) -> f64 {
    let mut all = |numbers: std::ops::Range<i64>| {
        for number in numbers {
            order.iter().for_each(|key| step(*key, number));
        }
    };
    all(0..WARM_UP);
    let start = thread_time();
    all(WARM_UP..WARM_UP + ROUNDS);
    per_update(thread_time() - start)
}

fn forecast(order: &[usize]) -> f64 {
    let detector = Forecast::of_counts(WINDOW_SECONDS);
    let mut states: Vec<State> = (0..KEYS).map(|_| detector.start()).collect();
    let noise = noise();
    timed(order, |key, number| {
        let evidence = 1_000.0 + 100.0 * noise(key, number);
        black_box(detector.step(&mut states[key], &Window { number, evidence }));
    })
}

/// As much memory in the same order: one line of the key, and one of its slots.
fn memory(order: &[usize]) -> f64 {
    let slots = WINDOW_SECONDS as usize;
    let mut plain: Vec<([f64; 12], Vec<f32>)> =
        (0..KEYS).map(|_| ([0.0; 12], vec![0.0; slots])).collect();
    let memory = timed(order, |key, number| {
        let (state, slots) = &mut plain[key];
        let slot = &mut slots[number as usize % WINDOWS_PER_DAY as usize];
        *slot += 1.0;
        state[0] += f64::from(*slot);
        state[11] += state[0];
    });
    black_box(&plain);
    memory
}

/// A window of a key with one metric, as the engine has it judged.
fn judged(kind: Kind, order: &[usize], of: impl Fn(f64) -> Evidence) -> f64 {
    let windows = Windows {
        metrics: vec![Metric::new(kind, WINDOW_SECONDS, Some(WINDOWS_PER_DAY))],
        hour: i64::from(WINDOWS_PER_DAY) / 24,
    };
    let mut folds = vec![Fold::default(); KEYS];
    let noise = noise();
    timed(order, |key, number| {
        let evidence = [of(noise(key, number))];
        let observed = [(number, evidence.as_slice())];
        windows.fold(&mut folds[key], observed.into_iter(), number, |it| {
            black_box(it);
        });
    })
}

fn per_update(time: Duration) -> f64 {
    time.as_nanos() as f64 / (KEYS as i64 * ROUNDS) as f64
}
