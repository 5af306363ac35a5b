//! What is told is what a scraper reads.

use super::*;
use crate::http::Settings;
use crate::http::testing::{Server, app_for};
use std::collections::BTreeSet;

fn text(all: Families) -> String {
    TextEncoder::new().encode_to_string(&all.told).unwrap()
}

/// The value of a series, by name and labels as they are written.
fn value(text: &str, series: &str) -> f64 {
    let line = text
        .lines()
        .find_map(|it| it.strip_prefix(series)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {series} in\n{text}"))
        .parse()
        .unwrap()
}

#[test]
fn labels_are_escaped() {
    let mut all = Families::default();
    let labels = ["source"];
    all.gauge(
        "a",
        "Help.",
        &labels,
        [(vec!["a\"b\\c\nd".to_owned()], 2.0)],
    );
    assert!(text(all).ends_with("\na{source=\"a\\\"b\\\\c\\nd\"} 2\n"));
}

#[test]
fn a_value_that_is_not_known_is_no_family() {
    let app = app_for(Settings::default());
    assert!(
        families(&app)
            .iter()
            .all(|it| it.name() != "tidelake_delta_commit_number")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_are_a_histogram_by_route_and_not_by_address() {
    let app = app_for(Settings::default());
    let server = Server::start(Arc::clone(&app)).await;
    for path in ["/api/v1/views/a", "/api/v1/views/b", "/api/v1/views"] {
        server.get(path).await;
    }
    server.ask("INVENTED /api/v1/views HTTP/1.1", "").await;
    let reply = server.get("/metrics").await;
    assert_eq!(reply.header("content-type"), "text/plain; version=0.0.4");
    let text = reply.text();
    let count = |labels: &str| {
        value(
            &text,
            &format!("tidelake_http_request_duration_seconds_count{{{labels}}}"),
        )
    };
    assert_eq!(
        count(r#"method="GET",route="/api/v1/views/{view}",status="404""#),
        2.0
    );
    assert_eq!(
        count(r#"method="GET",route="/api/v1/views",status="200""#),
        1.0
    );
    assert_eq!(
        count(r#"method="other",route="/api/v1/views",status="405""#),
        1.0
    );
    let all = r#"method="GET",route="/api/v1/views",status="200",le="+Inf""#;
    let bucket = format!("tidelake_http_request_duration_seconds_bucket{{{all}}}");
    assert_eq!(value(&text, &bucket), 1.0);
}

/// What `promtool check metrics` would say of names and helps.
#[test]
fn names_say_kind_and_unit() {
    let app = app_for(Settings::default());
    app.requests
        .note(&Method::GET, "/", StatusCode::OK, Duration::from_millis(3));
    let mut names = BTreeSet::new();
    let families = families(&app);
    assert!(15 < families.len());
    for family in &families {
        let name = family.name();
        assert!(names.insert(name.to_owned()), "{name} is told twice");
        assert!(
            name.starts_with("tidelake_") || name.starts_with("process_"),
            "{name}"
        );
        assert!(family.help().ends_with('.'), "{name}");
        let is_counter = family.get_field_type() == prometheus::proto::MetricType::COUNTER;
        assert_eq!(is_counter, name.ends_with("_total"), "{name}");
    }
}

#[test]
fn the_system_tells_of_the_process() {
    let mut all = Families::default();
    process::tell(&mut all, 1.5e9);
    let text = text(all);
    assert_eq!(value(&text, "process_start_time_seconds"), 1.5e9);
    for name in [
        "process_cpu_seconds_total",
        "process_resident_memory_bytes",
        "process_open_fds",
        "process_threads",
        "tidelake_allocated_bytes",
    ] {
        assert!(0.0 < value(&text, name), "{name}");
    }
    let of = |name: &str| value(&text, name);
    assert!(of("process_resident_memory_bytes") < of("process_virtual_memory_bytes"));
    assert!(of("process_open_fds") < of("process_max_fds"));
}

#[test]
fn a_histogram_is_told_as_prometheus_reads_it() {
    let mut all = Families::default();
    let observed = Observed {
        upto: vec![(0.5, 1), (10.0, 3)],
        count: 4,
        sum_seconds: 62.5,
    };
    let samples = [(vec!["logs".to_owned()], observed)];
    all.histogram("a_seconds", "Help.", &["source"], samples);
    let expected = "# HELP a_seconds Help.
# TYPE a_seconds histogram
a_seconds_bucket{source=\"logs\",le=\"0.5\"} 1
a_seconds_bucket{source=\"logs\",le=\"10\"} 3
a_seconds_bucket{source=\"logs\",le=\"+Inf\"} 4
a_seconds_sum{source=\"logs\"} 62.5
a_seconds_count{source=\"logs\"} 4
";
    assert_eq!(text(all), expected);
}

/// A rate needs a series from before the first failure.
#[test]
fn failures_of_commits_begin_at_zero() {
    let all = described(&app_for(Settings::default()));
    let kept = all.told.into_iter();
    let kept = kept.filter(|it| it.name().starts_with("tidelake_commit_"));
    let told = TextEncoder::new().encode_to_string(&kept.collect::<Vec<_>>());
    let text = told.unwrap();
    for stage in ["files", "state", "manifest", "table_log"] {
        let series = format!("tidelake_commit_failures_total{{stage=\"{stage}\"}}");
        assert_eq!(value(&text, &series), 0.0);
    }
    assert_eq!(value(&text, "tidelake_commit_duration_seconds_count"), 0.0);
}

/// What a value counts: the last word of its name, as Prometheus has it.
fn unit(name: &str) -> &str {
    let name = name.strip_suffix("_total").unwrap_or(name);
    let last = name.rsplit('_').next().unwrap_or_default();
    match last {
        "seconds" | "bytes" | "rows" => last,
        _ => "",
    }
}

/// The chapter of metrics has each with its type, labels, unit and help; what the test expects is what the chapter must be.
#[test]
fn the_committed_chapter_tells_every_metric() {
    let app = app_for(Settings::default());
    let all = described(&app);
    let lines: BTreeSet<String> = all
        .descriptions
        .iter()
        .map(|(it, kind)| {
            let name = it.fq_name.as_str();
            let labels: Vec<String> = it
                .variable_labels
                .iter()
                .map(|it| format!("`{it}`"))
                .collect();
            format!(
                "| `{name}` | {} | {} | {} | {} |\n",
                format!("{kind:?}").to_lowercase(),
                labels.join(", "),
                unit(name),
                it.help
            )
        })
        .collect();
    let told: BTreeSet<&str> = all.told.iter().map(|it| it.name()).collect();
    let known = all.descriptions.iter().map(|it| it.0.fq_name.as_str());
    assert!(told.is_subset(&known.collect()), "{told:?}");
    let table: String = lines.into_iter().collect();
    let place = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/book/metrics.md");
    let chapter = std::fs::read_to_string(&place).unwrap();
    let head = "|---|---|---|---|---|\n";
    let (before, behind) = chapter.split_once(head).unwrap();
    if std::env::var_os("TIDELAKE_WRITE_DOCS").is_some() {
        std::fs::write(&place, format!("{before}{head}{table}")).unwrap();
        return;
    }
    assert!(
        behind == table,
        "docs/book/metrics.md has another table than the code: TIDELAKE_WRITE_DOCS=1 cargo test --release --lib metrics writes it:\n{table}"
    );
}
