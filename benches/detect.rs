//! One window of one key through the forecast, at 10,000 keys in random order: CPU time per update, and as a ratio to a loop that does nothing but touch as much memory.
//!
//! Backs the documentation's claim on detectors. The keys' states do not fit into the caches together, so what is measured is mostly memory.

#[path = "common/thread_time.rs"]
mod thread_time;

use std::hint::black_box;
use std::time::Duration;
use thread_time::thread_time;
use tidelake::detect::forecast::{Forecast, State};
use tidelake::detect::{Detector, Window};
use tidelake::model::Random;

const KEYS: usize = 10_000;
/// Two seasons and a bit, so that all of the state is in use.
const WARM_UP: i64 = 600;
const ROUNDS: i64 = 60;
const WINDOW_SECONDS: u32 = 300;

fn main() {
    let mut random = Random::new(1);
    let detector = Forecast::of_counts(WINDOW_SECONDS);
    let mut states: Vec<State> = (0..KEYS).map(|_| detector.start()).collect();
    let evidence: Vec<f64> = (0..4_096)
        .map(|_| 1_000.0 + 100.0 * random.unit())
        .collect();
    let mut order: Vec<usize> = (0..KEYS).collect();
    for at in (1..KEYS).rev() {
        order.swap(at, random.below_u64(at as u64 + 1) as usize);
    }
    let mut step = |number: i64| {
        for key in &order {
            let at = (*key + number as usize * 7) % evidence.len();
            let window = Window {
                number,
                evidence: evidence[at],
            };
            black_box(detector.step(&mut states[*key], &window));
        }
    };
    (0..WARM_UP).for_each(&mut step);
    let start = thread_time();
    (WARM_UP..WARM_UP + ROUNDS).for_each(&mut step);
    let forecast = per_update(thread_time() - start);

    // As much memory in the same order: one line of the key, and one of its slots.
    let slots = WINDOW_SECONDS as usize;
    let mut plain: Vec<([f64; 12], Vec<f32>)> =
        (0..KEYS).map(|_| ([0.0; 12], vec![0.0; slots])).collect();
    let mut touch = |number: i64| {
        for key in &order {
            let (state, slots) = &mut plain[*key];
            let slot = &mut slots[number as usize % 288];
            *slot += 1.0;
            state[0] += f64::from(*slot);
            state[11] += state[0];
        }
    };
    (0..WARM_UP).for_each(&mut touch);
    let start = thread_time();
    (WARM_UP..WARM_UP + ROUNDS).for_each(&mut touch);
    let memory = per_update(thread_time() - start);
    black_box(&plain);

    println!("{KEYS} keys in random order, CPU time of one update");
    println!("  forecast            {forecast:7.1} ns");
    println!("  the memory alone    {memory:7.1} ns");
    println!("  ratio               {:7.1}", forecast / memory);
    println!(
        "{{\"bench\":\"detect\",\"keys\":{KEYS},\"forecast_ns\":{forecast:.1},\"memory_ns\":{memory:.1}}}"
    );
}

fn per_update(time: Duration) -> f64 {
    time.as_nanos() as f64 / (KEYS as i64 * ROUNDS) as f64
}
