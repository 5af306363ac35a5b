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
