//! What is due at each step of an incident, and what is not.

use super::*;
use crate::plan::WebhookFormat;

const MINUTE: i64 = 60_000_000;

pub fn webhook() -> Webhook {
    Webhook {
        name: "pager".to_owned(),
        url: "http://127.0.0.1:1/".to_owned(),
        format: WebhookFormat::Json,
        secret: None,
        routing_key: None,
        severity_min: 0.0,
        detectors: Vec::new(),
        provisional: true,
        age_max_us: 60 * MINUTE,
        page: None,
    }
}

/// From minute 1 until minute 3.
pub fn incident(name: &str, state: &str) -> Incident {
    Incident {
        detector: "watch".to_owned(),
        key: "{}".to_owned(),
        metric: "requests".to_owned(),
        incident: name.to_owned(),
        state: state.to_owned(),
        since: Some(MINUTE),
        until: Some(3 * MINUTE),
        windows: 2,
        severity: 5.0,
        ..Incident::default()
    }
}

/// All that is due and taken, until nothing is.
fn all_taken(webhook: &Webhook, memory: &mut Memory, rows: &[Incident]) -> Vec<String> {
    let mut events = Vec::new();
    loop {
        let (due, kept) = next(webhook, memory, rows, 4 * MINUTE);
        *memory = kept;
        if due.is_empty() {
            return events;
        }
        for it in due {
            taken(memory, &it);
            events.push(format!(
                "{} {:?} {}",
                it.incident.incident, it.event, it.number
            ));
        }
        assert!(events.len() < 20, "it ends: {events:?}");
    }
}

#[test]
fn each_step_of_an_incident_is_told_once() {
    let (webhook, mut memory) = (webhook(), Memory::new());
    let mut told = |rows: &[Incident]| all_taken(&webhook, &mut memory, rows);
    assert_eq!(told(&[incident("a", "provisional")]), ["a Opened 1"]);
    assert!(told(&[incident("a", "open")]).is_empty());
    let seen_to = Incident {
        acknowledged_by: Some("ana".to_owned()),
        ..incident("a", "open")
    };
    assert_eq!(told(std::slice::from_ref(&seen_to)), ["a Acknowledged 2"]);
    assert!(told(&[seen_to]).is_empty());
    assert_eq!(told(&[incident("a", "closed")]), ["a Closed 3"]);
    assert!(told(&[incident("a", "closed")]).is_empty());
    // A late record opens it again.
    assert_eq!(told(&[incident("a", "open")]), ["a Opened 4"]);
    assert_eq!(told(&[]), ["a Withdrawn 5"]);
    assert!(told(&[]).is_empty());
}

#[test]
fn what_was_not_taken_is_told_again_with_its_number() {
    let (webhook, memory) = (webhook(), Memory::new());
    let rows = [incident("a", "open")];
    let (first, kept) = next(&webhook, &memory, &rows, 4 * MINUTE);
    let (again, _) = next(&webhook, &kept, &rows, 5 * MINUTE);
    assert_eq!((first.len(), &first), (1, &again));
}

#[test]
fn what_opened_and_closed_between_two_commits_is_told_whole() {
    let mut memory = Memory::new();
    let told = all_taken(&webhook(), &mut memory, &[incident("a", "closed")]);
    assert_eq!(told, ["a Opened 1", "a Closed 2"]);
}

#[test]
fn nobody_is_told_of_what_nobody_wants_to_hear() {
    let muted = |until: i64| Incident {
        muted_until: Some(until * MINUTE),
        ..incident("a", "open")
    };
    let dismissed = Incident {
        dismissed_by: Some("bo".to_owned()),
        ..incident("a", "open")
    };
    let picky = Webhook {
        severity_min: 6.0,
        ..webhook()
    };
    let of_others = Webhook {
        detectors: vec!["other".to_owned()],
        ..webhook()
    };
    let sure = Webhook {
        provisional: false,
        ..webhook()
    };
    let hasty = Webhook {
        age_max_us: MINUTE / 2,
        ..webhook()
    };
    for (webhook, row) in [
        (webhook(), muted(5)),
        (webhook(), dismissed),
        (picky, incident("a", "open")),
        (of_others, incident("a", "open")),
        (sure, incident("a", "provisional")),
        (hasty, incident("a", "closed")),
    ] {
        let told = all_taken(&webhook, &mut Memory::new(), std::slice::from_ref(&row));
        assert!(told.is_empty(), "{webhook:?} {row:?}: {told:?}");
    }
    // A mute that is over is none.
    assert_eq!(
        all_taken(&webhook(), &mut Memory::new(), &[muted(3)]),
        ["a Opened 1"]
    );
}

#[test]
fn what_is_dismissed_or_muted_later_is_not_left_open() {
    let (webhook, mut memory) = (webhook(), Memory::new());
    let mut told = |rows: &[Incident]| all_taken(&webhook, &mut memory, rows);
    assert_eq!(told(&[incident("a", "open")]), ["a Opened 1"]);
    let dismissed = Incident {
        dismissed_by: Some("bo".to_owned()),
        ..incident("a", "open")
    };
    assert_eq!(told(&[dismissed]), ["a Dismissed 2"]);
    assert_eq!(told(&[incident("a", "open")]), ["a Opened 3"]);
    let muted = Incident {
        muted_until: Some(i64::MAX),
        ..incident("a", "closed")
    };
    assert_eq!(told(&[muted]), ["a Closed 4"]);
}

#[test]
fn a_new_webhook_is_not_told_of_what_is_over() {
    let rows = [incident("old", "closed"), incident("new", "open")];
    let mut memory = beginning(&rows);
    assert_eq!(all_taken(&webhook(), &mut memory, &rows), ["new Opened 1"]);
}

#[test]
fn memory_forgets_what_has_left_the_view() {
    let mut memory = beginning(&[incident("old", "closed")]);
    assert!(all_taken(&webhook(), &mut memory, &[]).is_empty());
    assert!(memory.is_empty());
}
