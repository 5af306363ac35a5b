//! Webhooks: who is told of incidents. They change nothing that is computed.

/// A webhook as a dataflow declares it.
#[derive(Clone, Debug, PartialEq)]
pub struct Webhook {
    pub name: String,
    pub url: String,
    pub format: WebhookFormat,
    /// What messages are signed with.
    pub secret: Option<String>,
    /// The integration that PagerDuty routes by.
    pub routing_key: Option<String>,
    /// Less severe incidents are not told.
    pub severity_min: f64,
    /// Only incidents of these detectors; of all if there are none.
    pub detectors: Vec<String>,
    /// Whether incidents are told that late records can still take back.
    pub provisional: bool,
    /// Incidents that ended longer ago are no news.
    pub age_max_us: i64,
    /// Address of the page, for links.
    pub page: Option<String>,
}

/// What a receiver understands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WebhookFormat {
    /// Our own message, with all that is known.
    Json,
    /// Incoming webhooks of Slack, and of those who take the same.
    Slack,
    /// Events API v2 of PagerDuty.
    PagerDuty,
    /// `POST /api/v2/alerts` of Prometheus' Alertmanager.
    Alertmanager,
}
