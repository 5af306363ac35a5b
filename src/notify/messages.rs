//! What a message looks like to each kind of receiver.
//!
//! Sources: Slack, "Sending messages using incoming webhooks"; PagerDuty, "Events API v2"; Alertmanager, its OpenAPI `api/v2/openapi.yaml`, `postAlerts`.

use super::decide::{Due, Event, Incident};
use crate::model::iso_of_micros;
use crate::plan::{Webhook, WebhookFormat};
use serde_json::{Map, Value as Json, json};

/// Alertmanager takes an alert for over when nobody repeats it; we say ourselves when it is, so until then its end is this far away.
const FAR_US: i64 = 30 * 86_400_000_000;
/// How grave an incident is to receivers that know four words: -log10 of how probable its worst window was.
const CRITICAL_FROM: f64 = 12.0;
const ERROR_FROM: f64 = 8.0;

/// The body of a message.
pub fn body(webhook: &Webhook, dataflow: &str, due: &Due, now_us: i64) -> Json {
    match webhook.format {
        WebhookFormat::Json => plain(webhook, dataflow, due),
        WebhookFormat::Slack => json!({ "text": text(webhook, due) }),
        WebhookFormat::PagerDuty => pagerduty(webhook, dataflow, due),
        WebhookFormat::Alertmanager => json!([alert(webhook, dataflow, due, now_us)]),
    }
}

fn key_of(incident: &Incident) -> Map<String, Json> {
    // The view made it from the key's columns.
    serde_json::from_str(&incident.key).unwrap_or_default()
}

fn link(webhook: &Webhook, incident: &Incident) -> Option<String> {
    let page = webhook.page.as_ref()?.trim_end_matches('/');
    Some(format!("{page}/anomalies?incident={}", incident.incident))
}

fn time(us: Option<i64>) -> Option<String> {
    us.map(iso_of_micros)
}

fn plain(webhook: &Webhook, dataflow: &str, due: &Due) -> Json {
    let it = &due.incident;
    json!({
        "event": due.event,
        "number": due.number,
        "dataflow": dataflow,
        "webhook": webhook.name,
        "link": link(webhook, it),
        "incident": {
            "incident": it.incident,
            "detector": it.detector,
            "key": key_of(it),
            "metric": it.metric,
            "state": it.state,
            "since": time(it.since),
            "until": time(it.until),
            "windows": it.windows,
            "severity": it.severity,
            "observed": it.observed,
            "expected": it.expected,
            "low": it.low,
            "high": it.high,
            "summary": it.summary,
            "acknowledged_by": it.acknowledged_by,
            "dismissed_by": it.dismissed_by,
        },
    })
}

/// One sentence for people.
fn sentence(due: &Due) -> String {
    let it = &due.incident;
    let since = time(it.since).unwrap_or_default();
    let by = |who: &Option<String>| who.clone().unwrap_or_default();
    match due.event {
        Event::Opened => {
            let again = match due.number {
                1 => "",
                _ => ", again",
            };
            format!("{} (since {since}{again})", it.summary)
        }
        Event::Acknowledged => {
            format!(
                "acknowledged by {}: {}",
                by(&it.acknowledged_by),
                it.summary
            )
        }
        Event::Closed => format!(
            "resolved: {} (since {since}, until {})",
            it.summary,
            time(it.until).unwrap_or_default()
        ),
        Event::Dismissed => format!(
            "not an anomaly, says {}: {}",
            by(&it.dismissed_by),
            it.summary
        ),
        Event::Withdrawn => format!("withdrawn after late records: {}", it.summary),
    }
}

fn text(webhook: &Webhook, due: &Due) -> String {
    // Slack's own signs in what comes from records must not become mentions or links.
    let escaped = sentence(due)
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;");
    let mark = match due.event {
        Event::Opened => ":rotating_light:",
        Event::Acknowledged => ":eyes:",
        Event::Closed => ":white_check_mark:",
        Event::Dismissed | Event::Withdrawn => ":leftwards_arrow_with_hook:",
    };
    let link = link(webhook, &due.incident).map(|it| format!(" <{it}|look>"));
    format!("{mark} {escaped}{}", link.unwrap_or_default())
}

fn severity(it: &Incident) -> &'static str {
    match it.severity {
        it if CRITICAL_FROM <= it => "critical",
        it if ERROR_FROM <= it => "error",
        _ => "warning",
    }
}

fn pagerduty(webhook: &Webhook, dataflow: &str, due: &Due) -> Json {
    let it = &due.incident;
    let action = match due.event {
        Event::Opened => "trigger",
        Event::Acknowledged => "acknowledge",
        Event::Closed | Event::Dismissed | Event::Withdrawn => "resolve",
    };
    let mut message = json!({
        "routing_key": webhook.routing_key,
        "event_action": action,
        "dedup_key": format!("tidelake/{dataflow}/{}", it.incident),
    });
    if due.event == Event::Opened {
        let mut summary = sentence(due);
        // Longer ones are refused.
        if let Some((at, _)) = summary.char_indices().nth(1_000) {
            summary.truncate(at);
        }
        message["payload"] = json!({
            "summary": summary,
            "source": format!("tidelake/{dataflow}"),
            "severity": severity(it),
            "timestamp": time(it.since),
            "component": it.detector,
            "group": it.metric,
            "custom_details": plain(webhook, dataflow, due)["incident"],
        });
        if let Some(link) = link(webhook, it) {
            message["links"] = json!([{"href": link, "text": "incident"}]);
        }
    }
    message
}

fn alert(webhook: &Webhook, dataflow: &str, due: &Due, now_us: i64) -> Json {
    let it = &due.incident;
    let goes_on = matches!(due.event, Event::Opened | Event::Acknowledged);
    let ends = match (goes_on, it.until) {
        (true, _) => now_us.saturating_add(FAR_US),
        (false, Some(until)) if due.event == Event::Closed => until,
        (false, _) => now_us,
    };
    let mut labels = json!({
        "alertname": "TidelakeIncident",
        "dataflow": dataflow,
        "detector": it.detector,
        "metric": it.metric,
        "incident": it.incident,
    });
    for (name, value) in key_of(it) {
        let text = value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned);
        labels[label(&name)] = Json::String(text);
    }
    let mut alert = json!({
        "labels": labels,
        "annotations": {
            "summary": it.summary,
            "severity": severity(it),
            "state": it.state,
        },
        "startsAt": time(it.since),
        "endsAt": iso_of_micros(ends),
    });
    if let Some(link) = link(webhook, it) {
        alert["generatorURL"] = Json::String(link);
    }
    alert
}

/// The name of a label for a column of the key.
fn label(column: &str) -> String {
    let plain = |it: char| match it.is_ascii_alphanumeric() {
        true => it,
        false => '_',
    };
    let name: String = column.chars().map(plain).collect();
    format!("key_{name}")
}

#[cfg(test)]
mod tests {
    use super::super::decide::tests::{incident, webhook};
    use super::*;

    fn due(event: Event) -> Due {
        Due {
            event,
            incident: Incident {
                key: "{\"endpoint\": \"/<a>&b\", \"n\": 7}".to_owned(),
                summary: "requests of /<a>&b: 40, above the expected 10".to_owned(),
                acknowledged_by: Some("ana".to_owned()),
                severity: 9.0,
                ..incident("i1", "open")
            },
            number: 1,
        }
    }

    fn of(format: WebhookFormat, event: Event) -> Json {
        let webhook = Webhook {
            format,
            page: Some("https://t.example/".to_owned()),
            routing_key: Some("key".to_owned()),
            ..webhook()
        };
        body(&webhook, "shop", &due(event), 1_000_000)
    }

    #[test]
    fn our_own_message_has_all_that_is_known() {
        let message = of(WebhookFormat::Json, Event::Opened);
        assert_eq!(message["event"], "opened");
        assert_eq!(message["incident"]["key"]["n"], 7);
        assert_eq!(message["incident"]["since"], "1970-01-01T00:01:00Z");
        assert_eq!(message["link"], "https://t.example/anomalies?incident=i1");
    }

    #[test]
    fn texts_of_records_are_no_marks_of_slack() {
        let message = of(WebhookFormat::Slack, Event::Opened);
        let text = message["text"].as_str().expect("a text");
        assert!(text.contains("/&lt;a&gt;&amp;b: 40"), "{text}");
        assert!(
            text.ends_with("<https://t.example/anomalies?incident=i1|look>"),
            "{text}"
        );
    }

    #[test]
    fn pagerduty_hears_of_one_alert_that_is_resolved() {
        let opened = of(WebhookFormat::PagerDuty, Event::Opened);
        assert_eq!(
            (&opened["event_action"], &opened["payload"]["severity"]),
            (&json!("trigger"), &json!("error"))
        );
        for (event, action) in [
            (Event::Acknowledged, "acknowledge"),
            (Event::Closed, "resolve"),
            (Event::Dismissed, "resolve"),
            (Event::Withdrawn, "resolve"),
        ] {
            let later = of(WebhookFormat::PagerDuty, event);
            assert_eq!(later["event_action"], action);
            assert_eq!(later["dedup_key"], opened["dedup_key"]);
            assert_eq!(later["routing_key"], "key");
        }
    }

    #[test]
    fn alertmanager_hears_when_it_ends() {
        let opened = of(WebhookFormat::Alertmanager, Event::Opened);
        let closed = of(WebhookFormat::Alertmanager, Event::Closed);
        assert_eq!(opened[0]["labels"], closed[0]["labels"]);
        assert_eq!(opened[0]["labels"]["key_n"], "7");
        assert_eq!(opened[0]["startsAt"], "1970-01-01T00:01:00Z");
        assert_eq!(opened[0]["endsAt"], "1970-01-31T00:00:01Z");
        assert_eq!(closed[0]["endsAt"], "1970-01-01T00:03:00Z");
    }
}
