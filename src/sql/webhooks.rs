//! `CREATE WEBHOOK`: who is told of incidents.
//!
//! ```sql
//! CREATE WEBHOOK pager FOR incidents WITH (url = '${PAGER_URL}', format = 'pagerduty', routing_key = '${PAGER_KEY}', min_severity = '6');
//! ```

use super::Planner;
use super::incidents::INCIDENTS;
use super::syntax::{self, duration_us, known_as};
use crate::model::secret;
use crate::model::stated::{StatedOption, is_option, names_listed, option};
use crate::plan::{Plan, Webhook, WebhookFormat};
use datafusion::sql::sqlparser::ast::Ident;
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::parser::{Parser, ParserError};

const AGE_DEFAULT_US: i64 = 3_600_000_000;
/// Where PagerDuty takes events.
const PAGERDUTY_URL: &str = "https://events.pagerduty.com/v2/enqueue";
const FORMATS: &str = "'json', 'slack', 'pagerduty' or 'alertmanager'";

/// The options of a webhook.
pub(super) const OPTIONS: [StatedOption; 9] = [
    option(
        "url",
        "an http or https address",
        "",
        "Where messages are posted. `pagerduty` has an address of its own.",
    ),
    option(
        "format",
        "`json`, `slack`, `pagerduty`, `alertmanager`",
        "`json`",
        "What a message looks like.",
    ),
    option(
        "secret",
        "a text",
        "none",
        "Signs each message: `Tidelake-Signature: t=SECONDS,v1=HEX`, the HMAC-SHA256 of `SECONDS.BODY`.",
    ),
    option(
        "routing_key",
        "a text",
        "",
        "The integration of PagerDuty; for `format = 'pagerduty'` alone, which needs it.",
    ),
    option(
        "min_severity",
        "a number",
        "`0`",
        "The least severity that is told: -log10 of how probable the worst window of the incident was.",
    ),
    option(
        "detectors",
        "`name, …`",
        "all",
        "The detectors whose incidents are told.",
    ),
    option(
        "provisional",
        "`true`, `false`",
        "`true`",
        "Whether incidents are told that late records can still take back.",
    ),
    option(
        "max_age",
        "a time",
        "`1 hour`",
        "What ended longer ago than that is no longer told.",
    ),
    option(
        "page",
        "an http or https address",
        "none",
        "The address of the page, for links in messages.",
    ),
];

/// A webhook as it is written.
#[derive(Debug)]
pub struct WebhookText {
    pub name: String,
    options: Vec<(String, String)>,
}

/// Reads what follows `CREATE WEBHOOK`.
pub fn parse(parser: &mut Parser) -> Result<WebhookText, ParserError> {
    let form = || {
        ParserError::ParserError(
            "a webhook has the form: CREATE WEBHOOK name FOR incidents WITH (url = 'https://…')"
                .to_owned(),
        )
    };
    let name = known_as(&parser.parse_identifier()?);
    if !parser.parse_keyword(Keyword::FOR) || known_as(&parser.parse_identifier()?) != INCIDENTS {
        return Err(form());
    }
    if !parser.parse_keyword(Keyword::WITH) {
        return Err(form());
    }
    let options = syntax::option_list(parser)?;
    Ok(WebhookText { name, options })
}

fn webhook(text: WebhookText) -> Result<Webhook, String> {
    let mut webhook = Webhook {
        name: text.name,
        url: String::new(),
        format: WebhookFormat::Json,
        secret: None,
        routing_key: None,
        severity_min: 0.0,
        detectors: Vec::new(),
        provisional: true,
        age_max_us: AGE_DEFAULT_US,
        page: None,
    };
    for (name, value) in text.options {
        if !is_option(&OPTIONS, &name) {
            return Err(format!(
                "unknown option `{name}`; a webhook takes {}",
                names_listed(&OPTIONS)
            ));
        }
        match name.as_str() {
            "url" => {
                // Addresses of Slack and others are secrets: knowing one is enough to post.
                secret::conceal(&value);
                webhook.url = address(&name, &value)?;
            }
            "format" => {
                webhook.format = match value.as_str() {
                    "json" => WebhookFormat::Json,
                    "slack" => WebhookFormat::Slack,
                    "pagerduty" => WebhookFormat::PagerDuty,
                    "alertmanager" => WebhookFormat::Alertmanager,
                    _ => return Err(format!("format '{value}' is unknown; it is {FORMATS}")),
                }
            }
            "secret" => {
                secret::conceal(&value);
                webhook.secret = Some(value).filter(|it| !it.is_empty());
            }
            "routing_key" => {
                secret::conceal(&value);
                webhook.routing_key = Some(value).filter(|it| !it.is_empty());
            }
            "min_severity" => {
                let number = value.parse::<f64>().ok();
                let number = number.filter(|it| it.is_finite() && 0.0 <= *it);
                webhook.severity_min = number.ok_or_else(|| {
                    format!("{name} '{value}' must be a number such as '6': -log10 of how probable an incident's worst window was")
                })?;
            }
            "detectors" => {
                let names = value.split(',').map(|it| known_as(&Ident::new(it.trim())));
                webhook.detectors = names.collect();
            }
            "provisional" => {
                webhook.provisional = match value.as_str() {
                    "true" => true,
                    "false" => false,
                    _ => return Err(format!("{name} '{value}' must be 'true' or 'false'")),
                }
            }
            "max_age" => {
                let length = duration_us(&value).filter(|it| 0 < *it);
                webhook.age_max_us = length
                    .ok_or_else(|| format!("{name} '{value}' must be a time such as '1 hour'"))?;
            }
            "page" => webhook.page = Some(address(&name, &value)?),
            other => unreachable!("option {other} is in the list, and read nowhere"),
        }
    }
    match (webhook.format, &webhook.routing_key) {
        (WebhookFormat::PagerDuty, None) => {
            return Err("format 'pagerduty' needs the routing_key of an integration".to_owned());
        }
        (WebhookFormat::PagerDuty, Some(_)) if webhook.url.is_empty() => {
            PAGERDUTY_URL.clone_into(&mut webhook.url);
        }
        (WebhookFormat::PagerDuty, Some(_)) | (_, None) => {}
        (_, Some(_)) => return Err("routing_key is of format 'pagerduty' alone".to_owned()),
    }
    if webhook.url.is_empty() {
        return Err("url is missing; it is where messages are posted to".to_owned());
    }
    Ok(webhook)
}

fn address(name: &str, value: &str) -> Result<String, String> {
    match url::Url::parse(value) {
        Ok(url) if ["http", "https"].contains(&url.scheme()) => Ok(value.to_owned()),
        Ok(_) | Err(_) => Err(format!(
            "{name} must be an address such as 'https://example.org/hook'"
        )),
    }
}

impl Planner {
    pub(super) fn add_webhook(&mut self, text: WebhookText) -> Result<(), String> {
        let webhook = webhook(text)?;
        let mut webhooks = self.dataflow.webhooks.iter();
        if webhooks.any(|it| it.name == webhook.name) {
            return Err(format!("there is a webhook `{}` already", webhook.name));
        }
        self.dataflow.webhooks.push(webhook);
        Ok(())
    }

    /// Refuses webhooks that would tell of nothing; detectors may stand behind them.
    pub(super) fn check_webhooks(&self) -> Result<(), (String, String)> {
        let views = self.dataflow.views.iter();
        let detectors = views.filter(|it| matches!(it.plan, Plan::Detect { .. }));
        let detectors: Vec<&str> = detectors.map(|it| it.name.as_str()).collect();
        for webhook in &self.dataflow.webhooks {
            let wrong = |text: String| Err((webhook.name.clone(), text));
            if detectors.is_empty() {
                return wrong("there is no detector whose incidents could be told; CREATE DETECTOR name ON view METRICS (rate(column)) makes one".to_owned());
            }
            let mut named = webhook.detectors.iter();
            if let Some(unknown) = named.find(|it| !detectors.contains(&it.as_str())) {
                return wrong(format!(
                    "detectors: there is no detector `{unknown}`; there are {}",
                    detectors.join(", ")
                ));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    const BEFORE: &str = "
        CREATE SOURCE s (at TIMESTAMP, c BIGINT, WATERMARK FOR at AS at - INTERVAL '5' SECOND) WITH (connector = 'files', format = 'json', path = 'folder');
        CREATE MATERIALIZED VIEW per_minute AS SELECT window_start, sum(c) AS c FROM TUMBLE(s, at, INTERVAL '1' MINUTE) GROUP BY window_start;
    ";
    const DETECTOR: &str = "CREATE DETECTOR watch ON per_minute METRICS (rate(c));";

    async fn planned(options: &str, detector: &str) -> Result<Vec<crate::plan::Webhook>, String> {
        let text = format!("{BEFORE}{detector}\nCREATE WEBHOOK w FOR incidents WITH ({options});");
        let planned = crate::sql::plan_text("t", &text, |_| None).await;
        planned.map(|it| it.webhooks).map_err(|it| it.to_string())
    }

    #[tokio::test]
    async fn a_webhook_is_what_its_options_say() {
        let stated = "format = 'pagerduty', routing_key = 'key-of-it', min_severity = '6', detectors = 'watch', max_age = '10 minutes', provisional = 'false', page = 'https://t.example'";
        let webhooks = planned(stated, DETECTOR).await.unwrap();
        let [it] = webhooks.as_slice() else {
            panic!("one, not {webhooks:?}")
        };
        assert_eq!(it.url, "https://events.pagerduty.com/v2/enqueue");
        assert_eq!(
            (it.severity_min, it.age_max_us, it.provisional),
            (6.0, 600_000_000, false)
        );
        let plain = planned("url = 'http://localhost:1/x'", DETECTOR)
            .await
            .unwrap();
        assert_eq!(
            (plain[0].format, plain[0].severity_min),
            (crate::plan::WebhookFormat::Json, 0.0)
        );
    }

    #[tokio::test]
    async fn webhooks_that_cannot_work_are_refused_with_their_line() {
        let url = "url = 'https://example.org'";
        for (options, detector, told) in [
            ("format = 'json'", DETECTOR, "url is missing"),
            ("url = 'ftp://x'", DETECTOR, "url must be an address"),
            ("url = 'example'", DETECTOR, "url must be an address"),
            (
                &format!("{url}, format = 'teams'"),
                DETECTOR,
                "format 'teams' is unknown",
            ),
            ("format = 'pagerduty'", DETECTOR, "needs the routing_key"),
            (
                &format!("{url}, routing_key = 'abcd'"),
                DETECTOR,
                "of format 'pagerduty' alone",
            ),
            (
                &format!("{url}, min_severity = '-1'"),
                DETECTOR,
                "min_severity '-1'",
            ),
            (
                &format!("{url}, max_age = 'soon'"),
                DETECTOR,
                "max_age 'soon'",
            ),
            (
                &format!("{url}, topic = 'x'"),
                DETECTOR,
                "unknown option `topic`",
            ),
            (
                &format!("{url}, detectors = 'other'"),
                DETECTOR,
                "there are watch",
            ),
            (url, "", "there is no detector"),
        ] {
            let error = planned(options, detector).await.unwrap_err();
            assert!(error.contains(told), "{options}: {error}");
            assert!(error.starts_with("line 5: "), "{options}: {error}");
        }
    }
}
