//! What the demo prints at its start, and how its traffic goes on.

use super::*;
use crate::cli::generate::Target;
use crate::http::Health;
use crate::model::wall_ms;
use anyhow::bail;

/// Fails, panics, or takes events and ends the test.
enum Kind {
    Fails,
    Panics,
    Works,
}

struct Fake<'a> {
    kind: Kind,
    traffic: &'a Traffic,
    stop: &'a AtomicBool,
}

impl Target for Fake<'_> {
    fn send(&mut self, _: &[u8], _: &str, _: u64, _: &AtomicBool) -> Result<()> {
        match self.kind {
            Kind::Fails => bail!("the disk is full"),
            Kind::Panics => panic!("a bug"),
            Kind::Works => {
                // It was told what went wrong before, and counted.
                let component = self.traffic.component();
                assert_eq!(component.status, Health::Degraded);
                assert_eq!(
                    component.detail,
                    "no events are generated: it panicked: a bug; restarted 2 times"
                );
                Ok(())
            }
        }
    }

    fn flush(&mut self) -> Result<()> {
        self.stop.store(true, Ordering::Release);
        Ok(())
    }

    fn finish(&mut self, _: &AtomicBool) -> Result<u64> {
        Ok(1)
    }
}

fn traffic(rate: f64, history: Option<f64>, input: &Path) -> Traffic {
    #[derive(clap::Parser)]
    struct Demo {
        #[command(flatten)]
        arguments: Arguments,
    }
    let Demo { mut arguments } = <Demo as clap::Parser>::parse_from(["demo"]);
    arguments.rate = rate;
    arguments.history = history;
    Traffic::of(&arguments, input.to_owned())
}

#[test]
fn history_is_a_day_or_what_is_read_within_seconds() {
    let hours = |rate: f64, history: Option<f64>| {
        of_length(traffic(rate, history, Path::new("/nowhere")).history())
    };
    assert_eq!(hours(10.0, None), "24 h");
    assert_eq!(hours(100.0, None), "2.5 h");
    assert_eq!(hours(1000.0, None), "15 min");
    assert_eq!(hours(1000.0, Some(3.0)), "3 h");
    assert_eq!(hours(10.0, Some(0.0)), "0 min");
}

#[test]
fn started_again_it_goes_on_where_the_files_end() {
    let folder = tempfile::tempdir().unwrap();
    let begun = |ago_ms: u64| {
        let time = Epoch(wall_ms() - ago_ms).iso();
        let time = time.trim_end_matches('Z');
        let text = format!("{{\"timestamp\":\"{time}\"}}\n");
        std::fs::write(folder.path().join("events-0.jsonl"), text).unwrap();
        traffic(10.0, None, folder.path()).history().as_secs()
    };
    assert!((60..70).contains(&begun(60_000)));
    // As much as it would begin with, and not more.
    assert_eq!(begun(7 * 24 * 3_600_000), 24 * 3600);
}

#[test]
fn all_is_read_when_hardly_anything_is_left() {
    let is_read = |lags: &[i64], records: u64| {
        let partitions = lags.iter().map(|it| serde_json::json!({"lag": it}));
        let partitions: Vec<Value> = partitions.collect();
        let source = serde_json::json!({"partitions": partitions, "records": records});
        has_read_all(&serde_json::json!({"sources": [source]}), 10)
    };
    assert!(is_read(&[100, 0], 10));
    assert!(!is_read(&[100, 0], 9));
    assert!(!is_read(&[100, 1_000_000], 10));
    assert!(!is_read(&[], 10));
    let status = |partitions: Value| serde_json::json!({"sources": [{"partitions": partitions}]});
    let known = serde_json::json!([{"lag": 100}, {"lag": 20}]);
    assert_eq!(unread(&status(known)), Some(120));
    let unknown = serde_json::json!([{"lag": 100}, {"lag": null}]);
    assert_eq!(unread(&status(unknown)), None);
}

#[test]
fn a_line_says_how_much_of_history_was_made() {
    let made = Progress {
        sent: 250_000,
        start_us: 0,
        time_us: 6 * 3_600_000_000,
        caught_up: false,
    };
    let (share, text) = history_of(made, Duration::from_secs(2), 24 * 3_600_000);
    assert_eq!(share, SHARES / 4);
    assert_eq!(
        text,
        " 25 %  250,000 of 1,000,000 events  125,000/s  6 s left"
    );
    // What was not begun has no end that is known, and what is beyond now is all.
    let begun = Progress {
        sent: 0,
        time_us: 0,
        ..made
    };
    let (share, text) = history_of(begun, Duration::from_secs(1), 24 * 3_600_000);
    assert_eq!(share, 0);
    assert!(text.starts_with("0 events  0.0/s"), "{text}");
    assert_eq!(history_of(made, Duration::from_secs(2), 0).0, SHARES);
}

#[test]
fn a_line_says_how_it_is_going() {
    let mut status = serde_json::json!({
        "epoch": 1_795_736_410_000u64, "records_per_second": 100.4, "sources": [{"records": 12_340}],
        "commit": {"number": 7}, "components": [{"name": "lake", "status": "ok", "detail": ""}],
    });
    assert_eq!(
        line_of(&status),
        "23:40:10  100 events/s  12,340 in all  commit 7  ok"
    );
    status["components"][0] =
        serde_json::json!({"name": "lake", "status": "down", "detail": "the disk is full"});
    assert_eq!(
        line_of(&status),
        "23:40:10  100 events/s  12,340 in all  commit 7  lake down: the disk is full"
    );
}

#[test]
fn hints_fit_where_it_listens_and_how_much_comes() {
    for (address, flag) in [
        ("127.0.0.1:4000", ""),
        ("0.0.0.0:4000", ""),
        ("127.0.0.1:4100", " --server 127.0.0.1:4100"),
        ("0.0.0.0:4100", " --server 127.0.0.1:4100"),
        ("10.0.0.1:4000", " --server 10.0.0.1:4000"),
    ] {
        assert_eq!(flag_of_server(address.parse().unwrap()), flag);
    }
    assert!(DATAFLOW.contains("${ANOMALY_SPIKE_REQUESTS:-1500}"));
    assert_eq!(advice_on_spikes(50.0, None), None);
    assert_eq!(advice_on_spikes(200.0, Some("4000".to_owned())), None);
    let advice = advice_on_spikes(200.0, None).unwrap();
    assert!(advice.contains("ANOMALY_SPIKE_REQUESTS=3840"), "{advice}");
}

#[test]
fn traffic_that_fails_is_started_again_and_told() {
    let traffic = traffic(100.0, None, Path::new("/nowhere"));
    let stop = AtomicBool::new(false);
    let mut kinds = [Kind::Fails, Kind::Panics, Kind::Works].into_iter();
    let mut open = || {
        Ok(Fake {
            kind: kinds.next().expect("it was stopped"),
            traffic: &traffic,
            stop: &stop,
        })
    };
    traffic.keep_coming(&mut open, (Duration::ZERO, Duration::ZERO), &stop);
    let component = traffic.component();
    assert_eq!(component.status, Health::Ok);
    assert_eq!(component.detail, "100 events a second; restarted 2 times");
}
