//! Epochs go on above the last commit, whatever the wall clock shows.

use super::lakes::{NAME, Place, START_US, committed, has_read, lines, runtime, start};
use super::oracle::Random;
use std::time::Duration;
use tidelake::model::wall_ms;

const DAY_MS: u64 = 86_400_000;
/// Far more than it takes.
const LIMIT: Duration = Duration::from_secs(120);

/// The clock was a day ahead when the last commit was made, and is right again.
#[test]
fn a_lake_whose_last_commit_is_a_day_ahead_goes_on() {
    let place = Place::new();
    let mut random = Random(5);
    runtime().block_on(async {
        place.append(0, &lines(&mut random, START_US, 50));
        let pipeline = start(&place, 1).await;
        let bytes = place.input_bytes();
        committed(&pipeline, |it| has_read(it, bytes)).await;
        pipeline.stop().await.unwrap();
    });
    let newest = place.manifests().pop().unwrap();
    let mut manifest = place.manifest();
    manifest.epoch.0 += DAY_MS;
    let ahead = manifest.epoch;
    std::fs::write(newest, manifest.to_file()).unwrap();
    let goes_on = runtime().block_on(async {
        place.append(0, &lines(&mut random, START_US, 50));
        let bytes = place.input_bytes();
        let pipeline = start(&place, 2).await;
        let mut moved = pipeline.hub.subscribe();
        let began = wall_ms();
        // Visible at once, and at the pace of any clock: a second of epochs takes no more than a second or so.
        let visible = tokio::time::timeout(LIMIT, moved.wait_for(|it| ahead < *it)).await;
        let visible = visible.is_ok_and(|it| it.is_ok());
        let second = ahead.0 + 1_000;
        let later = tokio::time::timeout(LIMIT, moved.wait_for(|it| second < it.0)).await;
        let later = later.is_ok_and(|it| it.is_ok());
        let took_ms = wall_ms() - began;
        let read = committed(&pipeline, |it| has_read(it, bytes) && ahead < it.epoch);
        let read = tokio::time::timeout(LIMIT, read).await.is_ok();
        let epoch = pipeline.hub.epoch();
        assert!(
            epoch.0 < ahead.0 + took_ms + LIMIT.as_millis() as u64,
            "no faster than time"
        );
        pipeline.stop().await.unwrap();
        (visible, later, read)
    });
    assert_eq!(goes_on, (true, true, true), "visible, goes on, committed");
    assert_eq!(place.manifest().dataflow, NAME);
}
