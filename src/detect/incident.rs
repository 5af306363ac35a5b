//! Alerts as people want them: one incident from its first window to its last, not one alert per window.
//!
//! A second fold, over the severities of a key, with hysteresis: an incident opens at one threshold, is extended by windows above a lower one, and closes after a cool-down of quiet windows; it ends at the last window that was not quiet.
//! Windows without a score are quiet. If a severity changes, its fold changes with it: an incident whose evidence is retracted was never there.

use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Incidents {
    pub open_at: f64,
    pub extend_at: f64,
    pub cool_down_windows: u32,
}

impl Default for Incidents {
    fn default() -> Self {
        Incidents {
            open_at: 4.0,
            extend_at: 2.0,
            cool_down_windows: 6,
        }
    }
}

/// From the first window to the last one that was not quiet.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Incident {
    pub first: i64,
    pub last: i64,
    /// The largest severity, and the window it was first reached in.
    pub peak: f64,
    pub peak_at: i64,
}

/// What a window does.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Change {
    None,
    Opened(Incident),
    Extended(Incident),
    Closed(Incident),
    /// The one before is over, and this window opens the next.
    Replaced {
        closed: Incident,
        opened: Incident,
    },
}

impl Incidents {
    /// Folds a window into the incident that is open, if one is.
    pub fn step(&self, open: &mut Option<Incident>, window: i64, severity: Option<f64>) -> Change {
        let severity = severity.unwrap_or(0.0);
        let is_over = |it: &Incident| i64::from(self.cool_down_windows) < window - it.last;
        let closed = open.take_if(|it| is_over(it));
        if let Some(incident) = open {
            if severity < self.extend_at {
                return Change::None;
            }
            incident.last = window;
            if incident.peak < severity {
                incident.peak = severity;
                incident.peak_at = window;
            }
            return Change::Extended(*incident);
        }
        let opened = (self.open_at <= severity).then_some(Incident {
            first: window,
            last: window,
            peak: severity,
            peak_at: window,
        });
        *open = opened;
        match (closed, opened) {
            (None, None) => Change::None,
            (None, Some(opened)) => Change::Opened(opened),
            (Some(closed), None) => Change::Closed(closed),
            (Some(closed), Some(opened)) => Change::Replaced { closed, opened },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_opens_goes_on_through_short_quiet_and_closes_as_of_its_last_alert() {
        let rule = Incidents {
            cool_down_windows: 2,
            ..Incidents::default()
        };
        let mut open = None;
        let severities = [3.0, 5.0, 0.0, 2.5, 9.0, 0.0, 0.0, 0.0, 3.0, 4.0];
        let changes = severities.iter().zip(0..);
        let changes: Vec<Change> = changes
            .map(|(it, at)| rule.step(&mut open, at, Some(*it)))
            .collect();
        let incident = |last, peak, peak_at| Incident {
            first: 1,
            last,
            peak,
            peak_at,
        };
        assert_eq!(changes[0], Change::None);
        assert_eq!(changes[1], Change::Opened(incident(1, 5.0, 1)));
        assert_eq!(changes[3], Change::Extended(incident(3, 5.0, 1)));
        assert_eq!(changes[6], Change::None);
        assert_eq!(changes[7], Change::Closed(incident(4, 9.0, 4)));
        assert_eq!(changes[8], Change::None);
        assert!(matches!(changes[9], Change::Opened(it) if it.first == 9));
    }

    #[test]
    fn a_gap_closes_it_too() {
        let rule = Incidents::default();
        let mut open = None;
        rule.step(&mut open, 0, Some(8.0));
        let change = rule.step(&mut open, 100, Some(8.0));
        assert!(
            matches!(change, Change::Replaced { closed, opened } if closed.last == 0 && opened.first == 100)
        );
        assert_eq!(rule.step(&mut None, 5, None), Change::None);
    }
}
