//! What traffic of a demonstration has beside the mix of every run: more of it by day than by night, few failures, and one
//! outage that is announced.
//!
//! It has no injected anomalies of its own, so that an hour of it alarms nobody, and whatever alarms is the outage: requests of
//! one client to one endpoint fail, slowly.

use crate::model::Random;

/// The endpoint and the client of the outage.
pub const OUTAGE_ENDPOINT: &str = "/api/orders";
pub const OUTAGE_CLIENT: &str = "curl/8.4.0";
const OUTAGE_STATUS: u32 = 503;
/// The shortest and longest response of the outage, in milliseconds.
const OUTAGE_MS: (u32, u32) = (2_200, 3_800);
/// Of a hundred visitors so many are scripts.
const CLIENT_PERCENT: u32 = 20;
/// Statuses, out of a thousand.
const STATUSES: [(u32, u32); 7] = [
    (930, 200),
    (50, 201),
    (6, 400),
    (5, 401),
    (2, 403),
    (6, 404),
    (1, 500),
];
/// By how much of the rate traffic rises by day and falls by night, and when it is highest (UTC).
const SWING: f64 = 0.3;
const PEAK_HOUR: f64 = 14.0;
/// Minutes differ from that by so much at most.
const NOISE: f64 = 0.05;
pub(super) const MINUTE_US: i64 = 60_000_000;
const DAY_US: i64 = 86_400_000_000;
const HOUR_US: f64 = 3_600e6;

/// Traffic of a demonstration.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Scenario {
    /// The event times of the outage, from and to, in microseconds since the epoch.
    pub outage_us: Option<(i64, i64)>,
}

/// The client that a visitor uses, if it is a script.
pub(super) fn script(browser: u32) -> Option<&'static str> {
    (browser % 100 < CLIENT_PERCENT).then_some(OUTAGE_CLIENT)
}

/// How a request ends: its status and, if not the usual one, its response time.
pub(super) fn outcome(
    scenario: Scenario,
    random: &mut Random,
    time_us: i64,
    endpoint: &str,
    browser: u32,
) -> (u32, Option<(u32, u32)>) {
    let is_on = scenario
        .outage_us
        .is_some_and(|(from, until)| (from..until).contains(&time_us));
    let status = status(random.below(1_000));
    match is_on && endpoint == OUTAGE_ENDPOINT && script(browser).is_some() {
        true => (OUTAGE_STATUS, Some(OUTAGE_MS)),
        false => (status, None),
    }
}

fn status(permille: u32) -> u32 {
    let mut below = 0;
    for (weight, status) in STATUSES {
        below += weight;
        if permille < below {
            return status;
        }
    }
    unreachable!("the weights of the statuses add up to 1000")
}

/// How much traffic a minute has, as a factor of the rate, which is its mean over a day. In powers alone, so that it is the same on
/// every machine.
pub(super) fn factor(minute_us: i64, random: &mut Random) -> f64 {
    let hour = minute_us.rem_euclid(DAY_US) as f64 / HOUR_US;
    // From 0 at the peak to 1 half a day from it.
    let apart = (hour - PEAK_HOUR).abs();
    let away = apart.min(24.0 - apart) / 12.0;
    let wave = 1.0 - 2.0 * away * away * (3.0 - 2.0 * away);
    let noise = NOISE * (2.0 * random.unit() - 1.0);
    (1.0 + SWING * wave) * (1.0 + noise)
}
