//! The shipped Nexmark dataflow: each of its views is what DataFusion computes in batch, at every commit of a simulation whose few keys meet often, and
//! over generated events through the program.

use super::oracle::{Random, check_cases, subject};
use super::program::{run, spawn, tidelake};
use serde_json::Value;
use std::path::Path;
use std::time::{Duration, Instant};

const DATAFLOW: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/dataflows/nexmark");
const PATIENCE: Duration = Duration::from_secs(180);

/// A record that is a bid, an auction and a person at once: each source takes the columns it declares.
fn record(random: &mut Random, at: i64) -> String {
    let number = |random: &mut Random, below: u64| match random.below(12) {
        0 => "null".to_owned(),
        _ => random.below(below).to_string(),
    };
    let time = tidelake::model::iso_of_micros;
    let expires = time(at + random.below(40_000_000) as i64);
    let (id, auction, bidder) = (number(random, 9), number(random, 9), number(random, 6));
    let (seller, category) = (number(random, 9), 9 + random.below(3));
    let (price, reserve) = (number(random, 3_000_000), number(random, 50));
    let state = ["OR", "ID", "CA", "NY"][random.below(4) as usize];
    let channel = ["apple", "Google", "x"][random.below(3) as usize];
    let name = random.below(5);
    let key = random.below(9);
    format!(
        "{{\"date_time\":\"{}\",\"expires\":\"{expires}\",\"id\":{id},\"auction\":{auction},\"bidder\":{bidder},\"price\":{price},\"seller\":{seller},\"category\":{category},\
         \"initial_bid\":{reserve},\"reserve\":{reserve},\"item_name\":\"i{name}\",\"description\":\"d\",\"name\":\"n{name}\",\"email_address\":null,\"credit_card\":null,\
         \"city\":\"c{name}\",\"state\":\"{state}\",\"channel\":\"{channel}\",\"url\":\"https://e.x/a/b{name}/c?channel_id={name}\",\"extra\":\"e\",\"key\":{key},\"value\":\"v{name}\"}}",
        time(at)
    )
}

#[test]
fn nexmark_equals_a_batch() {
    check_cases(&subject("dataflows/nexmark", record), 8, 240);
}

#[test]
fn generated_events_are_read_and_proved() {
    const EVENTS: u64 = 4000;
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (input, lake) = (path("input"), path("lake"));
    let count = EVENTS.to_string();
    let written = format!("{EVENTS} events written to {input}");
    run(&["gen", "nexmark", "--count", &count, "--out", &input]).expect(0, &written);
    for file in [
        "person/events-0.jsonl",
        "auction/events-0.jsonl",
        "bid/events-0.jsonl",
        "side_input/rows.jsonl",
    ] {
        assert!(Path::new(&input).join(file).exists(), "{file}");
    }

    let mut command = tidelake(&["run", DATAFLOW, "--lake", &lake, "--listen", "127.0.0.1:0"]);
    command.env("NEXMARK_INPUT", &input);
    let mut running = spawn(&mut command);
    let address = running.address();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let rows = |view: &str| {
        let url = format!("http://{address}/api/v1/views/{view}?limit=1");
        let answer = async { reqwest::get(url).await?.text().await };
        let answer: Value = serde_json::from_str(&runtime.block_on(answer).unwrap()).unwrap();
        answer["total_rows"].as_u64().unwrap_or(0)
    };
    let began = Instant::now();
    while rows("q0") < EVENTS / 50 * 46 {
        assert!(began.elapsed() < PATIENCE, "not all bids were read");
        std::thread::sleep(Duration::from_millis(50));
    }
    for view in [
        "q1", "q4", "q5", "q7", "q9", "q13", "q18", "q19", "q20", "q101",
    ] {
        assert!(0 < rows(view), "{view} has no rows");
    }
    running.signal(libc::SIGTERM);
    running.end().expect(0, "");

    let mut verify = tidelake(&["verify", DATAFLOW, "--lake", &lake]);
    verify.env("NEXMARK_INPUT", &input);
    let proved = super::program::Ended::of(&mut verify);
    proved.expect(0, "");
}

#[test]
fn one_file_cannot_hold_three_streams() {
    run(&["gen", "nexmark", "--count", "5", "--out", "x.jsonl"])
        .expect(2, "one file cannot hold person, auction, bid");
    run(&[
        "gen", "nexmark", "--count", "5", "--truth", "t", "--out", "x",
    ])
    .expect(2, "nexmark has no anomalies");
}
