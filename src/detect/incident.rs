//! Alerts as people want them: one incident from its first window to its last, not one alert per window.
//!
//! A second fold, over the windows of a key and metric, with hysteresis: an incident opens with an anomaly, is extended by windows above a lower severity, and closes after a cool-down of quiet windows; it ends at the
//! last window that was not quiet. Windows without a score are quiet. If a severity changes, its fold changes with it: an incident whose evidence is retracted was never there.

use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Incidents {
    /// From this severity on a window is not quiet.
    pub extend_at: f64,
    /// After so many quiet windows it is over.
    pub cool_down_windows: u32,
}

/// What one window says.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    pub window: i64,
    pub severity: f64,
    pub is_anomaly: bool,
}

/// From the first window to the last one that was not quiet.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Incident {
    pub first: i64,
    pub last: i64,
    /// How many of its windows were not quiet.
    pub windows: i64,
    /// The largest severity, and the window it was first reached in.
    pub peak: f64,
    pub peak_at: i64,
}

impl Incidents {
    /// Whether a window can change anything: quiet ones cannot.
    pub fn counts(&self, evidence: &Evidence) -> bool {
        evidence.is_anomaly || self.extend_at <= evidence.severity
    }

    /// The incidents in windows that count, which come in order.
    pub fn incidents(&self, windows: impl Iterator<Item = Evidence>) -> Vec<Incident> {
        let mut incidents: Vec<Incident> = Vec::new();
        for Evidence {
            window,
            severity,
            is_anomaly,
        } in windows
        {
            let open = incidents.last_mut();
            match open.filter(|it| window <= self.closes_with(it)) {
                Some(open) => {
                    open.last = window;
                    open.windows += 1;
                    if open.peak < severity {
                        open.peak = severity;
                        open.peak_at = window;
                    }
                }
                None if is_anomaly => incidents.push(Incident {
                    first: window,
                    last: window,
                    windows: 1,
                    peak: severity,
                    peak_at: window,
                }),
                None => {}
            }
        }
        incidents
    }

    /// The last window that can extend an incident. When it is closed, so is the incident.
    pub fn closes_with(&self, incident: &Incident) -> i64 {
        incident.last.saturating_add(self.cool_down_windows.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::metric::{Evidence as Observed, Kind, Metric};
    use crate::detect::ratio::Share;
    use crate::detect::windows::{Fold, Windows};
    use crate::model::Random;
    use std::ops::Range;

    /// The incidents of a metric whose fault is much larger than its noise, behind so many windows without.
    fn incidents_of(kind: Kind, fault: &Range<i64>, learned: i64) -> Vec<Incident> {
        let mut random = Random::new(fault.start.cast_unsigned());
        let mut observed = |window: i64| {
            let noise = random.unit();
            let usual = |usual: f64, faulty: f64| match fault.contains(&window) {
                true => faulty,
                false => usual,
            };
            let evidence = match kind {
                Kind::Ratio => Observed::Share(Share {
                    failures: (usual(40.0, 500.0) + 10.0 * noise) as u64,
                    all: 1_000,
                }),
                Kind::Rate => Observed::Number((usual(900.0, 3_000.0) + 200.0 * noise).round()),
                _ => Observed::Number(usual(90.0, 300.0) + 20.0 * noise),
            };
            (window, [evidence])
        };
        let through = fault.end + 20;
        let observed: Vec<_> = (0..=through).map(&mut observed).collect();
        let metrics = vec![Metric::new(kind, 60, None)];
        let least = (1_440.0_f64 / 0.2).log10();
        let rule = Incidents {
            extend_at: least / 2.0,
            cool_down_windows: 6,
        };
        let mut alarms = Vec::new();
        let windows = observed.iter().map(|it| (it.0, it.1.as_slice()));
        Windows { metrics, hour: 60 }.fold(&mut Fold::default(), windows, through, |it| {
            let severity = it.scored.map_or(0.0, |it| it.severity);
            let is_anomaly = least <= severity;
            let window = it.window;
            alarms.push(Evidence {
                window,
                severity,
                is_anomaly,
            });
        });
        let alarms = alarms.into_iter().filter(|it| learned <= it.window);
        rule.incidents(alarms.filter(|it| rule.counts(it)))
    }

    /// Several windows are judged together behind each block of four, and a fault ends anywhere in one. The deviation of a rate or a latency has widened behind some windows of a fault, so that its
    /// last ones are told by a block alone.
    #[test]
    fn it_is_over_with_its_fault() {
        const LEARNED: i64 = 960;
        let cases = [
            (Kind::Ratio, [1, 2, 5, 9, 20].as_slice(), 0),
            (Kind::Rate, &[1, 2], 0),
            (Kind::Latency, &[1, 2], 0),
            (Kind::Rate, &[5, 9], 3),
            (Kind::Latency, &[5, 9], 3),
        ];
        for (kind, lengths, early) in cases {
            for length in lengths {
                for start in LEARNED + 20..LEARNED + 24 {
                    let fault = start..start + length;
                    let found = incidents_of(kind, &fault, LEARNED);
                    let [one] = found[..] else {
                        panic!("{kind:?} of {fault:?}: {found:?}");
                    };
                    assert_eq!(one.first, fault.start, "{kind:?}");
                    let ends = fault.end - early..=fault.end;
                    assert!(ends.contains(&(one.last + 1)), "{kind:?}: {one:?}");
                }
            }
        }
    }

    #[test]
    fn it_opens_goes_on_through_short_quiet_and_ends_with_its_last_alert() {
        let rule = Incidents {
            extend_at: 2.0,
            cool_down_windows: 2,
        };
        let severities = [3.0, 5.0, 0.0, 2.5, 9.0, 0.0, 0.0, 0.0, 3.0, 4.0];
        let windows = severities.iter().zip(0..).map(|(it, window)| Evidence {
            window,
            severity: *it,
            is_anomaly: 4.0 <= *it,
        });
        let found = rule.incidents(windows.filter(|it| rule.counts(it)));
        let incident = |first, last, windows, peak, peak_at| Incident {
            first,
            last,
            windows,
            peak,
            peak_at,
        };
        assert_eq!(
            found,
            [incident(1, 4, 3, 9.0, 4), incident(9, 9, 1, 4.0, 9)]
        );
        assert_eq!(rule.closes_with(&found[0]), 6);
    }
}
