//! Dead letters and proofs over HTTP, with the real program: shown, tried again, replayed by a start, and the lake proved.

use super::health::Server;
use serde_json::Value;
use std::path::Path;
use std::time::{Duration, Instant};

const STRICT: &str = "
CREATE SOURCE s (at TIMESTAMP NOT NULL, k TEXT NOT NULL, n BIGINT NOT NULL, WATERMARK FOR at AS at - INTERVAL '1' SECOND) FORMAT JSON;
CREATE TABLE raw AS SELECT * FROM s;
CREATE MATERIALIZED VIEW per_k AS SELECT k, count(*) AS records, count(n) AS numbers FROM raw GROUP BY k;
";
const LETTERS: &str = "/api/v1/dead-letters";
const RETRY: &str = "/api/v1/sources/s/dead-letters/retry";
const VERIFICATION: &str = "/api/v1/verification";

/// Twelve records, ten letters: five lack a number, three have a text that is none, one is no JSON, and one no UTF-8.
fn write_input(folder: &Path) {
    std::fs::create_dir_all(folder.join("input")).unwrap();
    let mut text: Vec<u8> = Vec::new();
    for at in 0..12 {
        text.extend(format!("{{\"at\": {at}, \"k\": \"a\", \"n\": {at}}}\n").bytes());
    }
    for at in 0..5 {
        text.extend(format!("{{\"at\": {at}, \"k\": \"b\"}}\n").bytes());
    }
    for at in 0..3 {
        text.extend(format!("{{\"at\": {at}, \"k\": \"c\", \"n\": \"no {at}\"}}\n").bytes());
    }
    text.extend(b"not JSON\n");
    text.extend(b"\xff\xfe\n");
    std::fs::write(folder.join("input/part-0.jsonl"), text).unwrap();
}

async fn started(folder: &Path, text: &str) -> Server {
    std::fs::write(folder.join("dataflow.sql"), text).unwrap();
    Server::start_with(folder, &folder.join("dataflow.sql"))
}

/// Waits until an answer is as it should be.
async fn until(server: &Server, path: &str, holds: impl Fn(&Value) -> bool) -> Value {
    let limit = Instant::now() + Duration::from_secs(120);
    loop {
        let found = server.get(path).await;
        if let Some((200, answer)) = &found
            && holds(answer)
        {
            return answer.clone();
        }
        assert!(Instant::now() < limit, "{path}: {found:#?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn count(kinds: &Value, kind: &str) -> u64 {
    let all = kinds["kinds"].as_array().unwrap();
    let found = all.iter().find(|it| it["kind"] == kind);
    found.map_or(0, |it| it["letters"].as_u64().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn letters_are_shown_tried_again_and_replayed_by_the_next_start() {
    let folder = tempfile::tempdir().unwrap();
    write_input(folder.path());
    let server = started(folder.path(), STRICT).await;
    let told = until(&server, LETTERS, |it| it["letters"] == 10).await;
    let missing = "field \"n\" is missing or null, but it is NOT NULL";
    let kinds = told["kinds"].as_array().unwrap();
    let missing = kinds
        .iter()
        .map(|it| it["kind"].as_str().unwrap())
        .find(|it| it.starts_with("field \"n\" is missing"))
        .unwrap_or(missing)
        .to_owned();
    assert_eq!(count(&told, &missing), 5, "{told:#}");
    assert_eq!(kinds[0]["letters"], 5, "most frequent first");
    // Three reasons that quote three values are one kind.
    let wrong = "field \"n\" is not a #-bit integer";
    assert_eq!(count(&told, wrong), 3, "{told:#}");

    // Pages, and what cannot be text.
    let mut seen = Vec::new();
    let mut cursor = String::new();
    loop {
        let path = format!("{LETTERS}/records?limit=4{cursor}");
        let (code, page) = server.get(&path).await.unwrap();
        assert_eq!(code, 200, "{page:#}");
        seen.extend(page["letters"].as_array().unwrap().clone());
        let Some(next) = page["next_cursor"].as_str() else {
            break;
        };
        cursor = format!("&cursor={next}");
    }
    let mut offsets: Vec<i64> = seen
        .iter()
        .map(|it| it["offset"].as_i64().unwrap())
        .collect();
    let in_order = offsets.is_sorted_by(|a, b| b < a);
    offsets.dedup();
    assert!(offsets.len() == 10 && in_order, "{offsets:?}");
    assert!(seen.iter().any(|it| it["text"] == "not JSON"), "{seen:#?}");
    assert!(seen.iter().any(|it| it["hex"] == "fffe"), "{seen:#?}");
    let kind = missing
        .replace('"', "%22")
        .replace(' ', "%20")
        .replace(',', "%2C");
    let (_, page) = server
        .get(&format!("{LETTERS}/records?source=s&kind={kind}"))
        .await
        .unwrap();
    assert_eq!(page["letters"].as_array().unwrap().len(), 5, "{page:#}");

    // By the definition that refused them none decodes, and nothing can be asked for.
    let (code, tried) = server.send("POST", RETRY, "").await;
    assert_eq!(
        (code, &tried["letters"], &tried["decodable"]),
        (200, &10.into(), &0.into())
    );
    let (code, refused) = server.send("POST", RETRY, "{\"dry_run\": false}").await;
    assert_eq!((code, &refused["code"]), (409, &"nothing_decodes".into()));
    let (code, _) = server
        .send("POST", "/api/v1/sources/t/dead-letters/retry", "")
        .await;
    assert_eq!(code, 404);
    server.stop().await;

    // With the definition mended the five that lack a number decode; a request for them is one, asked twice.
    let loose = STRICT.replace("n BIGINT NOT NULL", "n BIGINT");
    let server = started(folder.path(), &loose).await;
    until(&server, LETTERS, |it| it["letters"] == 10).await;
    let (_, tried) = server.send("POST", RETRY, "{}").await;
    assert_eq!(
        (&tried["letters"], &tried["decodable"]),
        (&10.into(), &5.into())
    );
    let (_, tried) = server
        .send(
            "POST",
            RETRY,
            &serde_json::json!({"kind": wrong}).to_string(),
        )
        .await;
    assert_eq!(
        (&tried["letters"], &tried["decodable"]),
        (&3.into(), &0.into())
    );
    let body = serde_json::json!({"dry_run": false, "kind": missing}).to_string();
    let (code, asked) = server.send("POST", RETRY, &body).await;
    assert_eq!(code, 200, "{asked:#}");
    let (_, again) = server.send("POST", RETRY, &body).await;
    assert_eq!(asked["request"], again["request"]);
    let waiting = until(&server, LETTERS, |it| it["requests"][0].is_object()).await;
    assert_eq!(waiting["requests"].as_array().unwrap().len(), 1);
    let id = asked["request"].as_str().unwrap();
    let path = format!("{LETTERS}/requests/{id}");
    assert_eq!(server.send("DELETE", &path, "").await.0, 204);
    assert_eq!(server.send("DELETE", &path, "").await.0, 404);
    assert_eq!(server.send("POST", RETRY, &body).await.0, 200);
    server.stop().await;

    // The start does it, once, and the lake is proved: by the page's own proof, which the next start still knows.
    let server = started(folder.path(), &loose).await;
    let told = until(&server, LETTERS, |it| it["letters"] == 5).await;
    assert!(told["requests"].as_array().unwrap().is_empty(), "{told:#}");
    assert_eq!(count(&told, &missing), 0);
    let rows = until(&server, "/api/v1/views/per_k", |it| it["total_rows"] == 2).await;
    let b = rows["rows"].as_array().unwrap();
    let b = b.iter().find(|it| it["k"] == "b").unwrap();
    assert_eq!((&b["records"], &b["numbers"]), (&5.into(), &0.into()));
    let (code, started_one) = server.send("POST", VERIFICATION, "").await;
    assert_eq!(code, 200, "{started_one:#}");
    let proved = until(&server, VERIFICATION, |it| it["running"].is_null()).await;
    assert_eq!(proved["newest"]["verdict"], "proven", "{proved:#}");
    assert!(5 < proved["newest"]["checks"].as_array().unwrap().len());
    server.stop().await;
    let server = started(folder.path(), &loose).await;
    let kept = until(&server, VERIFICATION, |it| it["newest"].is_object()).await;
    assert_eq!(kept["newest"], proved["newest"]);
    server.stop().await;
}
