//! A dataflow is who it says it is, not where its text lies: it goes on from any folder, another one may not write its tables, and a lake whose
//! newest commits are gone is not gone on with.

use super::lakes::{Place, SECOND_US, START_US, committed_as, has_read, lines, runtime, sorted};
use super::oracle::Random;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tidelake::coordinator::{self, Error, Pipeline};
use tidelake::lake::{Commit, Manifest, Next, Seen, Store};
use tidelake::plan::Dataflow;
use tidelake::sql::models::Models;
use tidelake::verify::{Options, Report, verify};

const TEXT: &str = "
CREATE SOURCE s (at TIMESTAMP NOT NULL, k TEXT, n BIGINT, x DOUBLE, WATERMARK FOR at AS at - INTERVAL '10' SECOND)
  WITH (connector = 'kafka', brokers = 'localhost:1', topic = 's') FORMAT JSON;
CREATE TABLE raw AS SELECT * FROM s;
CREATE MATERIALIZED VIEW per_k AS SELECT k, count(*) AS records FROM raw GROUP BY k;
";

/// The text in a folder of this name.
async fn dataflow(place: &Place, folder: &str, text: &str) -> Dataflow {
    let folder = place.path().join(folder);
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("dataflow.sql"), text).unwrap();
    tidelake::sql::load(&folder, |_| None, &Models::Unknown)
        .await
        .unwrap()
}

fn options(place: &Place) -> coordinator::Options {
    coordinator::Options {
        lake: place.lake().display().to_string(),
        inputs: place.input().into(),
        commit_interval_ms: 300,
        idle_ms: 300,
        ..coordinator::Options::default()
    }
}

async fn start(place: &Place, dataflow: Dataflow) -> Result<Pipeline, Error> {
    coordinator::start(dataflow, &options(place)).await
}

/// Runs until everything is read and committed.
async fn run(place: &Place, dataflow: Dataflow) {
    let pipeline = start(place, dataflow).await.unwrap();
    let bytes = place.input_bytes();
    committed_as(&pipeline, &pipeline.dataflow.name, |it| has_read(it, bytes)).await;
    pipeline.stop().await.unwrap();
}

async fn refusal(place: &Place, dataflow: Dataflow) -> String {
    match start(place, dataflow).await {
        Err(error @ (Error::Unfit { .. } | Error::Unnamed { .. })) => error.to_string(),
        Err(other) => panic!("refused in other words: {other}"),
        Ok(_) => panic!("it was not refused"),
    }
}

async fn proof(place: &Place, dataflow: &Dataflow) -> Report {
    let options = Options {
        lake: place.lake().display().to_string(),
        inputs: place.input().into(),
    };
    verify(dataflow, &options).await.unwrap()
}

/// A lake with some records in it.
async fn lake(text: &str) -> (Place, Random) {
    let place = Place::new();
    let mut random = Random(21);
    place.append(0, &lines(&mut random, START_US, 100));
    run(&place, dataflow(&place, "a", text).await).await;
    (place, random)
}

fn more(place: &Place, random: &mut Random) {
    place.append(0, &lines(random, START_US + 20 * SECOND_US, 100));
}

fn manifests(place: &Place, name: &str) -> Vec<PathBuf> {
    sorted(&place.lake().join(format!("_tidelake/{name}/manifests")))
}

#[test]
fn a_dataflow_without_a_name_goes_on_from_any_folder() {
    runtime().block_on(async {
        let (place, mut random) = lake(TEXT).await;
        more(&place, &mut random);
        let elsewhere = dataflow(&place, "b", TEXT).await;
        run(&place, elsewhere.clone()).await;
        let report = proof(&place, &elsewhere).await;
        assert!(report.is_proven(), "{report}");
        let known = sorted(&place.lake().join("_tidelake"));
        assert_eq!(known.len(), 1, "one dataflow wrote all of it: {known:?}");
    });
}

#[test]
fn a_lake_of_a_dataflow_named_after_its_folder_is_gone_on_with() {
    let place = Place::new();
    let mut random = Random(4);
    runtime().block_on(async {
        place.append(0, &lines(&mut random, START_US, 50));
        let earlier = tidelake::sql::plan_text("web", TEXT, |_| None).await;
        run(&place, earlier.unwrap()).await;
        more(&place, &mut random);
        let now = dataflow(&place, "other", TEXT).await;
        run(&place, now.clone()).await;
        assert!(proof(&place, &now).await.is_proven());
        assert_eq!(sorted(&place.lake().join("_tidelake")).len(), 1);
    });
}

#[test]
fn another_dataflow_may_not_write_the_tables() {
    runtime().block_on(async {
        let text = format!("SET dataflow = 'first';{TEXT}");
        let (place, mut random) = lake(&text).await;
        more(&place, &mut random);
        let before = manifests(&place, "first").len();
        let second = dataflow(&place, "a", &format!("SET dataflow = 'second';{TEXT}")).await;
        let refused = refusal(&place, second).await;
        assert!(
            refused.contains("line 4: table raw belongs to dataflow first"),
            "{refused}"
        );
        assert!(
            refused.contains("line 5: table per_k belongs to"),
            "{refused}"
        );
        assert!(refused.contains("SET dataflow = 'first'"), "{refused}");
        let checked = std::process::Command::new(env!("CARGO_BIN_EXE_tidelake"))
            .arg("check")
            .arg(place.path().join("a"))
            .arg("--lake")
            .arg(place.lake())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&checked.stderr);
        assert_eq!(checked.status.code(), Some(3), "{said}");
        assert!(
            said.contains("line 4: table raw belongs to dataflow first"),
            "{said}"
        );
        assert!(
            !place.lake().join("_tidelake/second").exists(),
            "nothing is written"
        );
        assert_eq!(manifests(&place, "first").len(), before);
        // Under its own name it goes on, from whatever folder.
        let renamed = dataflow(&place, "b", &text).await;
        run(&place, renamed.clone()).await;
        let report = proof(&place, &renamed).await;
        assert!(report.is_proven(), "{report}");
    });
}

#[test]
fn of_two_first_starts_at_once_one_has_the_lake() {
    for stated in [false, true] {
        let place = Place::new();
        let mut random = Random(9);
        runtime().block_on(async {
            place.append(0, &lines(&mut random, START_US, 100));
            let text = |name: &str| match stated {
                true => format!("SET dataflow = '{name}';{TEXT}"),
                false => TEXT.to_owned(),
            };
            let left = dataflow(&place, "left", &text("left")).await;
            let right = dataflow(&place, "right", &text("right")).await;
            let (one, other) = tokio::join!(start(&place, left), start(&place, right));
            let started = [one, other].into_iter().filter_map(Result::ok);
            let mut names = Vec::new();
            for pipeline in started {
                let bytes = place.input_bytes();
                let name = pipeline.dataflow.name.clone();
                // One of the same name may have been fenced off.
                while pipeline.ending().is_none() {
                    let newest = pipeline.store.newest_manifest(&name).await.unwrap();
                    if newest.is_some_and(|it| has_read(&it, bytes)) {
                        break;
                    }
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
                names.push(name);
                let _ = pipeline.stop().await;
            }
            let name = names.pop().expect("one of them has the lake");
            let winner = dataflow(&place, "again", &text(&name)).await;
            run(&place, winner.clone()).await;
            let report = proof(&place, &winner).await;
            assert!(report.is_proven(), "{report}");
        });
    }
}

/// Claims a lake as a process does that is killed a moment later.
async fn claim_and_die(store: &Store, name: &str) {
    let mut claim = Commit::claim(Manifest::empty(name), "killed", 0);
    loop {
        let Next::Do(action) = claim.next() else {
            return;
        };
        let seen: Seen = store.perform(name, &action).await.unwrap();
        claim.observe(seen);
    }
}

#[test]
fn a_first_start_killed_at_once_leaves_nothing_in_the_way() {
    let place = Place::new();
    let mut random = Random(13);
    runtime().block_on(async {
        place.append(0, &lines(&mut random, START_US, 100));
        let store = Store::open(&place.lake().display().to_string()).unwrap();
        claim_and_die(&store, "killed").await;
        let flow = dataflow(&place, "b", TEXT).await;
        run(&place, flow.clone()).await;
        // A refused one has claimed the lake too, in a race; it has no tables.
        claim_and_die(&store, "refused").await;
        more(&place, &mut random);
        run(&place, flow.clone()).await;
        let report = proof(&place, &flow).await;
        assert!(report.is_proven(), "{report}");
        assert_eq!(report.dataflow, "killed");
    });
}

#[test]
fn a_start_without_its_input_leaves_no_lake() {
    let place = Place::new();
    runtime().block_on(async {
        let options = coordinator::Options {
            inputs: place.path().join("mistyped").into(),
            ..options(&place)
        };
        let flow = dataflow(&place, "a", TEXT).await;
        let refused = coordinator::start(flow, &options).await.err().unwrap();
        let refused = refused.to_string();
        assert!(refused.contains("there is no input"), "{refused}");
        assert!(!place.lake().exists());
    });
}

#[test]
fn a_lake_that_lost_what_is_beside_its_tables_is_refused() {
    runtime().block_on(async {
        let (place, _) = lake(TEXT).await;
        std::fs::rename(place.lake().join("_tidelake"), place.path().join("kept")).unwrap();
        for text in [TEXT.to_owned(), format!("SET dataflow = 'new';{TEXT}")] {
            let flow = dataflow(&place, "a", &text).await;
            let refused = refusal(&place, flow.clone()).await;
            assert!(refused.contains("line 4: table raw"), "{refused}");
            assert!(refused.contains("_tidelake"), "{refused}");
            let options = Options {
                lake: place.lake().display().to_string(),
                inputs: place.input().into(),
            };
            let proof = verify(&flow, &options).await;
            assert!(proof.is_ok_and(|it| !it.is_proven()));
        }
        std::fs::rename(place.path().join("kept"), place.lake().join("_tidelake")).unwrap();
        let flow = dataflow(&place, "a", TEXT).await;
        run(&place, flow.clone()).await;
        assert!(proof(&place, &flow).await.is_proven());
    });
}

#[test]
fn tables_ahead_of_the_newest_commit_are_refused() {
    runtime().block_on(async {
        for lost in [1, 2] {
            let (place, mut random) = lake(TEXT).await;
            more(&place, &mut random);
            run(&place, dataflow(&place, "a", TEXT).await).await;
            let all = manifests(&place, "main");
            let flow = dataflow(&place, "a", TEXT).await;
            // The newest that changed a table, and all behind it.
            let changed = |path: &Path| {
                let manifest: Manifest =
                    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
                let number = manifest.number;
                manifest.tables.values().any(|it| it.commit == number)
            };
            let changing: Vec<usize> = (0..all.len()).filter(|it| changed(&all[*it])).collect();
            let from = changing[changing.len() - lost];
            for path in &all[from..] {
                std::fs::remove_file(path).unwrap();
            }
            let report = proof(&place, &flow).await;
            assert!(!report.is_proven(), "{report}");
            assert!(
                report.to_string().contains("has rows of commit"),
                "{report}"
            );
            let refused = refusal(&place, flow).await;
            assert!(refused.contains("has rows of commit"), "{refused}");
            assert_eq!(manifests(&place, "main").len(), from, "nothing is written");
        }
    });
}

#[test]
fn a_name_that_cannot_be_a_path_is_refused_with_its_line() {
    runtime().block_on(async {
        for (text, reason) in [
            ("SET dataflow = '../x';", "does not fit"),
            ("SET dataflow = '';", "does not fit"),
            ("SET dataflow = x;", "is a text"),
            ("SET workers = 4;", "sets only its name"),
            (
                "SET dataflow = 'a'; SET dataflow = 'b';",
                "already named 'a'",
            ),
        ] {
            let error = tidelake::sql::plan_text("d", &format!("\n{text}{TEXT}"), |_| None).await;
            let error = error.expect_err("it is refused").to_string();
            assert!(
                error.contains("line 2") && error.contains(reason),
                "{text}: {error}"
            );
        }
    });
}
