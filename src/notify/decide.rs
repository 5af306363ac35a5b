//! What has to be said of incidents: a pure function of what is committed, what was said before, and the time.

use crate::model::Row;
use crate::plan::Webhook;
use crate::sql::incidents::IncidentRow;
use arrow::datatypes::Schema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// An incident as far as receivers are told of it: a row of the view `incidents`. Times are microseconds since 1970.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Incident {
    pub detector: String,
    /// A JSON object of the key's columns.
    pub key: String,
    pub metric: String,
    pub incident: String,
    pub state: String,
    pub since: Option<i64>,
    pub until: Option<i64>,
    pub windows: i64,
    pub severity: f64,
    pub observed: Option<f64>,
    pub expected: Option<f64>,
    pub low: Option<f64>,
    pub high: Option<f64>,
    pub summary: String,
    pub acknowledged_by: Option<String>,
    pub muted_until: Option<i64>,
    pub dismissed_by: Option<String>,
}

/// What a message says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    Opened,
    Acknowledged,
    Closed,
    /// It was no anomaly, says somebody.
    Dismissed,
    /// Late records took it back.
    Withdrawn,
}

/// What a receiver was told of an incident, and what it is told next.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Said {
    /// Whether the receiver takes it for something that goes on.
    pub is_open: bool,
    pub is_acknowledged: bool,
    /// Messages so far.
    pub number: u64,
    /// As it was when it was last told.
    pub incident: Incident,
}

/// A message that is due.
#[derive(Clone, Debug, PartialEq)]
pub struct Due {
    pub event: Event,
    pub incident: Incident,
    /// Which message about this incident it is, from 1: one that is told again has the same number.
    pub number: u64,
}

/// What was said, by the name of the incident. Those that are over stay as long as they are live, so that they are not told twice.
pub type Memory = BTreeMap<String, Said>;

impl Incident {
    /// A row of the view `incidents`.
    pub fn of_row(schema: &Schema, row: &Row) -> Incident {
        let row = IncidentRow { schema, row };
        let value = |name: &str| row.value(name);
        let optional = |name: &str| row.optional_text(name);
        let text = |name: &str| row.text(name);
        let time = |name: &str| value(name).as_i64();
        let number = |name: &str| value(name).as_f64();
        Incident {
            detector: text("detector"),
            key: text("key"),
            metric: text("metric"),
            incident: text("incident"),
            state: text("state"),
            since: time("since"),
            until: time("until"),
            windows: time("windows").unwrap_or_default(),
            severity: number("severity").unwrap_or_default(),
            observed: number("observed"),
            expected: number("expected"),
            low: number("low"),
            high: number("high"),
            summary: text("summary"),
            acknowledged_by: optional("acknowledged_by"),
            muted_until: time("muted_until"),
            dismissed_by: optional("dismissed_by"),
        }
    }

    fn is_closed(&self) -> bool {
        self.state == "closed"
    }
}

/// Whether a receiver wants to hear of an incident that it has not heard of.
fn is_news(webhook: &Webhook, it: &Incident, now_us: i64) -> bool {
    let is_recent = it
        .until
        .is_none_or(|until| now_us.saturating_sub(until) <= webhook.age_max_us);
    let is_muted = it.muted_until.is_some_and(|until| now_us < until);
    let is_of_it = webhook.detectors.is_empty() || webhook.detectors.contains(&it.detector);
    let is_sure = webhook.provisional || it.state != "provisional";
    let is_dismissed = it.dismissed_by.is_some();
    is_of_it
        && is_recent
        && is_sure
        && !is_muted
        && !is_dismissed
        && webhook.severity_min <= it.severity
}

/// What is due, one message per incident at most, in the order of their beginnings; and what to remember without a message.
pub fn next(
    webhook: &Webhook,
    memory: &Memory,
    incidents: &[Incident],
    now_us: i64,
) -> (Vec<Due>, Memory) {
    let by_name: BTreeMap<&str, &Incident> = incidents
        .iter()
        .map(|it| (it.incident.as_str(), it))
        .collect();
    let mut due = Vec::new();
    let mut kept = Memory::new();
    for (name, said) in memory {
        let number = said.number + 1;
        let incident = match by_name.get(name.as_str()) {
            Some(incident) => (*incident).clone(),
            // Gone from the view: those that are over may leave.
            None if !said.is_open => continue,
            None => {
                due.push(Due {
                    event: Event::Withdrawn,
                    incident: said.incident.clone(),
                    number,
                });
                kept.insert(name.clone(), said.clone());
                continue;
            }
        };
        kept.insert(name.clone(), said.clone());
        let event = match said.is_open {
            true if incident.dismissed_by.is_some() => Event::Dismissed,
            true if incident.is_closed() => Event::Closed,
            true if incident.acknowledged_by.is_some() && !said.is_acknowledged => {
                Event::Acknowledged
            }
            true => continue,
            // Late records opened it again.
            false if !incident.is_closed() && is_news(webhook, &incident, now_us) => Event::Opened,
            false => continue,
        };
        due.push(Due {
            event,
            incident,
            number,
        });
    }
    for incident in incidents {
        if !memory.contains_key(&incident.incident) && is_news(webhook, incident, now_us) {
            due.push(Due {
                event: Event::Opened,
                incident: incident.clone(),
                number: 1,
            });
        }
    }
    due.sort_by(|a, b| {
        (a.incident.since, &a.incident.incident).cmp(&(b.incident.since, &b.incident.incident))
    });
    (due, kept)
}

/// What to remember when a receiver has taken a message.
pub fn taken(memory: &mut Memory, due: &Due) {
    let name = due.incident.incident.clone();
    if due.event == Event::Withdrawn {
        memory.remove(&name);
        return;
    }
    let is_acknowledged = match due.event {
        Event::Acknowledged => true,
        Event::Opened => due.incident.acknowledged_by.is_some(),
        _ => memory.get(&name).is_some_and(|it| it.is_acknowledged),
    };
    let said = Said {
        is_open: matches!(due.event, Event::Opened | Event::Acknowledged),
        is_acknowledged,
        number: due.number,
        incident: due.incident.clone(),
    };
    memory.insert(name, said);
}

/// What a webhook begins with: what is over is not news.
pub fn beginning(incidents: &[Incident]) -> Memory {
    let over = incidents.iter().filter(|it| it.is_closed());
    over.map(|it| {
        let said = Said {
            is_open: false,
            is_acknowledged: false,
            number: 0,
            incident: it.clone(),
        };
        (it.incident.clone(), said)
    })
    .collect()
}

#[cfg(test)]
pub mod tests;
