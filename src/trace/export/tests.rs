//! What settings and environment make of the exporter, and that secrets stay.

use super::*;
use opentelemetry::InstrumentationScope;
use opentelemetry::trace::{Event, SpanContext, SpanId, SpanKind, Status};
use opentelemetry_sdk::trace::{SpanEvents, SpanLinks};
use std::collections::BTreeMap;
use std::time::SystemTime;

/// What the functions make of an environment.
fn with<T>(environment: &[(&str, &str)], ask: impl FnOnce(Said<'_>) -> T) -> T {
    let environment: BTreeMap<&str, &str> = environment.iter().copied().collect();
    ask(&|name| environment.get(name).map(|it| (*it).to_owned()))
}

fn endpoint_of(
    environment: &[(&str, &str)],
    stated: Option<&str>,
) -> Result<Option<String>, String> {
    with(environment, |said| endpoint(stated, said))
}

#[test]
fn spans_go_where_the_most_special_setting_says() {
    let collector = Some("http://collector:4318/");
    let to = |it: &str| Ok(Some(it.to_owned()));
    let cases: [(&[(&str, &str)], Option<&str>, _); 8] = [
        (&[], None, Ok(None)),
        (&[], collector, to("http://collector:4318/v1/traces")),
        (
            &[("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "https://other/traces")],
            collector,
            to("https://other/traces"),
        ),
        (
            &[("OTEL_TRACES_EXPORTER", "otlp")],
            None,
            to(DEFAULT_ENDPOINT),
        ),
        (&[("OTEL_TRACES_EXPORTER", "none")], collector, Ok(None)),
        (&[("OTEL_SDK_DISABLED", "TRUE")], collector, Ok(None)),
        (&[("OTEL_SDK_DISABLED", "false")], None, Ok(None)),
        (
            &[],
            Some("http://[::1]:4318"),
            to("http://[::1]:4318/v1/traces"),
        ),
    ];
    for (environment, stated, expected) in cases {
        assert_eq!(
            endpoint_of(environment, stated),
            expected,
            "{environment:?} {stated:?}"
        );
    }
}

#[test]
fn an_address_that_is_none_is_refused_without_its_password() {
    for wrong in ["collector:4318", "ftp://collector", "4318", ""] {
        let refused = endpoint_of(&[], Some(wrong)).expect_err(wrong);
        assert!(refused.contains("http://collector:4318"), "{refused}");
    }
    let refused = endpoint_of(&[], Some("http://ann:hunter22@collector")).expect_err("a password");
    assert!(!refused.contains("hunter22"), "{refused}");
}

#[test]
fn what_cannot_be_done_is_refused() {
    let possible: [&[(&str, &str)]; 4] = [
        &[],
        &[("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")],
        &[("OTEL_TRACES_SAMPLER", "always_off")],
        &[
            ("OTEL_TRACES_SAMPLER", "parentbased_traceidratio"),
            ("OTEL_TRACES_SAMPLER_ARG", "0.1"),
        ],
    ];
    for environment in possible {
        assert_eq!(with(environment, refuse_others), Ok(()), "{environment:?}");
    }
    let impossible: [&[(&str, &str)]; 4] = [
        &[("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "grpc")],
        &[("OTEL_TRACES_SAMPLER", "xray")],
        &[("OTEL_TRACES_SAMPLER", "traceidratio")],
        &[
            ("OTEL_TRACES_SAMPLER", "traceidratio"),
            ("OTEL_TRACES_SAMPLER_ARG", "2"),
        ],
    ];
    for environment in impossible {
        let refused = with(environment, refuse_others).expect_err("it cannot be done");
        assert!(refused.contains(environment[0].0), "{refused}");
    }
}

#[test]
fn a_time_limit_is_in_milliseconds() {
    let limit = |value| with(&[("OTEL_EXPORTER_OTLP_TIMEOUT", value)], time_limit);
    assert_eq!(limit("2500"), Ok(Duration::from_millis(2500)));
    assert_eq!(with(&[], time_limit), Ok(Duration::from_secs(10)));
    for wrong in ["0", "10s", "-1"] {
        assert!(limit(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn no_secret_leaves_in_a_span() {
    secret::conceal("of-the-collector");
    let with_secret = || KeyValue::new("words", "it said of-the-collector");
    let mut events = SpanEvents::default();
    events.events.push(Event::new(
        "retry",
        SystemTime::UNIX_EPOCH,
        vec![with_secret()],
        0,
    ));
    let texts = vec!["of-the-collector".into(), "other".into()];
    let mut span = SpanData {
        span_context: SpanContext::NONE,
        parent_span_id: SpanId::INVALID,
        parent_span_is_remote: false,
        span_kind: SpanKind::Internal,
        name: "commit".into(),
        start_time: SystemTime::UNIX_EPOCH,
        end_time: SystemTime::UNIX_EPOCH,
        attributes: vec![
            with_secret(),
            KeyValue::new("texts", Value::Array(Array::String(texts))),
            KeyValue::new("number", 7),
        ],
        dropped_attributes_count: 0,
        events,
        links: SpanLinks::default(),
        status: Status::error("of-the-collector is wrong"),
        instrumentation_scope: InstrumentationScope::default(),
    };
    redact(&mut span);
    let shown = format!("{span:?}");
    assert!(!shown.contains("of-the-collector"), "{shown}");
    assert!(shown.contains("it said ***") && shown.contains("other") && shown.contains('7'));
}
