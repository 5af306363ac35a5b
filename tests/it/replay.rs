//! Dead letters replayed on real lakes: once, with everything that follows from them, and the lake proved.

use super::grown_lakes::{column, dataflow, more, proved, run, run_until};
use super::lakes::{Place, SECOND_US, START_US, runtime};
use super::oracle::Random;
use serde_json::Value;
use tidelake::coordinator::Error;
use tidelake::coordinator::replay::{Preview, Request, ask};
use tidelake::lake::{Manifest, Store};

const STRICT: &str = "
CREATE SOURCE s (at TIMESTAMP NOT NULL, k TEXT NOT NULL, n BIGINT NOT NULL, x DOUBLE, WATERMARK FOR at AS at - INTERVAL '10' SECOND)
  WITH (connector = 'kafka', brokers = 'localhost:1', topic = 's') FORMAT JSON;
CREATE TABLE raw WITH (partition_by = 'k') AS SELECT *, x * 2 AS twice FROM s;
CREATE TABLE odd AS SELECT at, k, n FROM s WHERE n % 2 <> 0;
CREATE MATERIALIZED VIEW per_10s AS
  SELECT window_start, k, count(*) AS records, max(n) AS n_max FROM TUMBLE(raw, at, INTERVAL '10' SECOND) GROUP BY window_start, k;
CREATE MATERIALIZED VIEW per_k AS SELECT k, count(*) AS records, count(DISTINCT n) AS ns FROM raw GROUP BY k;
CREATE MATERIALIZED VIEW busiest AS SELECT k, records FROM per_k ORDER BY records DESC, k LIMIT 2;
CREATE MATERIALIZED VIEW kept_windows AS SELECT k, n_max FROM per_10s;
CREATE MATERIALIZED VIEW newest AS SELECT at, k, n FROM raw ORDER BY at DESC, n LIMIT 3;
CREATE MATERIALIZED VIEW large AS SELECT at, k, n FROM raw WHERE n > 3;
CREATE MATERIALIZED VIEW pairs AS SELECT a.k, a.n, b.at FROM large a JOIN odd b ON a.k = b.k AND a.n = b.n;
CREATE MATERIALIZED VIEW letters AS SELECT reason, count(*) AS records, min(_offset) AS first FROM _dead_letters GROUP BY reason;
";

fn text_of(source: Option<&str>, reason: Option<&str>) -> Request {
    Request {
        source: source.map(str::to_owned),
        reason: reason.map(str::to_owned),
        kind: None,
        asked_ms: 7,
    }
}

async fn asked(place: &Place, text: &str, request: &Request) -> Result<Preview, Error> {
    let store = Store::open(&place.lake().display().to_string()).unwrap();
    ask(&dataflow(text).await, &store, request).await
}

fn requests(place: &Place) -> usize {
    let folder = place.lake().join("_tidelake/everything/requests");
    std::fs::read_dir(folder).map_or(0, |it| it.count())
}

#[test]
fn letters_that_decode_become_records_once() {
    let place = Place::new();
    let mut random = Random(8);
    let no_n = STRICT.replace("n BIGINT NOT NULL", "n BIGINT");
    let no_k = no_n.replace("k TEXT NOT NULL", "k TEXT");
    runtime().block_on(async {
        more(&place, &mut random, 0);
        run(&place, STRICT, 2).await;
        more(&place, &mut random, 60);
        // The windows of the first records are closed; without waiting it depends on the machine's speed whether they are.
        let closed_us = START_US + 30 * SECOND_US;
        let is_closed = |it: &Manifest| {
            let watermark = it.event_times["s"]["watermark_us"].as_i64();
            watermark.is_some_and(|it| closed_us < it)
        };
        run_until(&place, STRICT, 1, is_closed).await;
        proved(&place, STRICT).await;
        let before = column(&place, "dead_letters", "reason").await;
        let of = |reasons: &[Value], name: &str| {
            let holds = |it: &&Value| it.as_str().is_some_and(|it| it.contains(name));
            reasons.iter().filter(holds).count()
        };
        let (k, n) = (of(&before, "field \"k\""), of(&before, "field \"n\""));
        assert!(20 < k && 20 < n, "{k} letters for k, {n} for n: {before:?}");

        // With the old definition nothing would decode; a stranger is no source.
        let preview = asked(&place, STRICT, &text_of(None, None)).await.unwrap();
        assert_eq!(preview.decodable, 0);
        let error = asked(&place, STRICT, &text_of(Some("t"), None))
            .await
            .unwrap_err();
        assert!(error.to_string().contains("the sources are s"), "{error}");
        assert_eq!(requests(&place), 0);

        // Only those for n; a letter that lacks both still fails for k.
        let preview = asked(&place, &no_n, &text_of(Some("s"), Some("field \"n\"")))
            .await
            .unwrap();
        assert_eq!(preview.letters as usize, n);
        assert_eq!(requests(&place), 1);
        let grown = run(&place, &no_n, 3).await;
        assert!(
            grown.contains(&"view per_k reads replayed records: filled again".to_owned()),
            "{grown:?}"
        );
        assert_eq!(requests(&place), 0);
        let report = proved(&place, &no_n).await.to_string();
        let after = column(&place, "dead_letters", "reason").await;
        assert_eq!(
            before.len() - after.len(),
            preview.decodable as usize,
            "{report}"
        );
        let late = column(&place, "late", "records").await;
        assert!(
            !late.is_empty(),
            "replayed records are late for closed windows"
        );
        // Asked twice is done once; then more records come.
        for _ in 0..2 {
            asked(&place, &no_k, &text_of(None, None)).await.unwrap();
        }
        assert_eq!(requests(&place), 2);
        more(&place, &mut random, 90);
        run(&place, &no_k, 2).await;
        proved(&place, &no_k).await;
        let after = column(&place, "dead_letters", "reason").await;
        assert_eq!(
            (of(&after, "field \"k\""), of(&after, "field \"n\"")),
            (0, 0)
        );
        assert_eq!(run(&place, &no_k, 1).await, Vec::<String>::new());
        proved(&place, &no_k).await;
    });
}

#[test]
fn a_letter_that_an_expression_refuses_stays_one() {
    let strict = "
CREATE SOURCE s (at TIMESTAMP NOT NULL, k TEXT NOT NULL, n TEXT, WATERMARK FOR at AS at - INTERVAL '10' SECOND)
  WITH (connector = 'kafka', brokers = 'localhost:1', topic = 's') FORMAT JSON;
CREATE TABLE numbers AS SELECT at, k, CAST(n AS BIGINT) AS n FROM s;
CREATE MATERIALIZED VIEW total AS SELECT count(*) AS records, sum(n) AS total FROM numbers;";
    let loose = strict.replace("k TEXT NOT NULL", "k TEXT");
    let place = Place::new();
    let line = |at: i64| {
        let k = if at % 2 == 0 { "\"a\"" } else { "null" };
        let n = if at % 5 == 0 {
            "many".to_owned()
        } else {
            at.to_string()
        };
        let time = START_US / 1000 + at;
        format!("{{\"at\": {time}, \"k\": {k}, \"n\": \"{n}\"}}")
    };
    runtime().block_on(async {
        place.append(0, &(0..40).map(line).collect::<Vec<_>>());
        run(&place, strict, 2).await;
        proved(&place, strict).await;
        // 20 lack k, of which 4 have no number; 4 others have none either.
        let preview = asked(&place, &loose, &text_of(None, None)).await.unwrap();
        assert_eq!((preview.letters, preview.decodable), (24, 16));
        run(&place, &loose, 2).await;
        proved(&place, &loose).await;
        assert_eq!(column(&place, "dead_letters", "reason").await.len(), 8);
        assert_eq!(column(&place, "total", "records").await, [32]);
    });
}
