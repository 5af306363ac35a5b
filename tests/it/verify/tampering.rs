//! Each kind of damage is found, by the check that names it. Where a file is rewritten, the log is made to agree with it, so that only what the file
//! says can give it away; where a manifest is, the seals are.

use super::damage::{
    assert_fails, edit_log, files, forge, largest_file, numbers, rewrite, text, with_column,
};
use crate::lakes::{NAME, Place, original, runtime, sorted, try_start};
use arrow::array::{Array, AsArray, BooleanArray, Float64Array, Int64Array, new_null_array};
use arrow::compute::{concat_batches, filter_record_batch};
use arrow::datatypes::Float64Type;
use serde_json::{Value, json};
use std::sync::Arc;
use tidelake::lake::Counts;
use tidelake::model::Partition;

/// Why a start is refused.
fn refusal(place: &Place) -> String {
    let refused = runtime().block_on(try_start(place));
    refused.err().expect("the start is refused").to_string()
}

#[test]
fn a_lost_row_is_found() {
    let place = original().copy();
    rewrite(&place, "raw", &largest_file(&place, "raw"), |it| {
        it.slice(1, it.num_rows() - 1)
    });
    let report = place.verify();
    assert_fails(&report, "archive raw");
    assert!(
        text(&report, "archive", "raw").contains("missing"),
        "{report}"
    );
}

#[test]
fn a_doubled_file_is_found() {
    let place = original().copy();
    let file = largest_file(&place, "raw");
    std::fs::copy(
        place.table("raw").join(&file),
        place.table("raw").join("again.parquet"),
    )
    .unwrap();
    let newest = sorted(&place.table("raw").join("_delta_log"))
        .pop()
        .unwrap();
    let mut again = None;
    edit_log(&place, "raw", |action| {
        if action["add"]["path"] == file.as_str() {
            again = Some(action.clone());
        }
    });
    let mut again = again.unwrap();
    again["add"]["path"] = json!("again.parquet");
    let mut text_of_newest = std::fs::read_to_string(&newest).unwrap();
    text_of_newest.push_str(&format!("{again}\n"));
    std::fs::write(&newest, text_of_newest).unwrap();
    let report = place.verify();
    assert_fails(&report, "archive raw");
    assert!(
        text(&report, "archive", "raw").contains("there 2 times"),
        "{report}"
    );
    assert_fails(&report, "log raw");
}

#[test]
fn rows_that_no_commit_put_there_are_found() {
    let place = original().copy();
    let log = place.table("raw").join("_delta_log");
    let newest = sorted(&log).pop().unwrap();
    let number: u64 = newest
        .file_stem()
        .unwrap()
        .to_str()
        .unwrap()
        .parse()
        .unwrap();
    let file = largest_file(&place, "raw");
    std::fs::copy(
        place.table("raw").join(&file),
        place.table("raw").join("foreign.parquet"),
    )
    .unwrap();
    let size = std::fs::metadata(place.table("raw").join(&file))
        .unwrap()
        .len();
    let add = json!({"add": {"path": "foreign.parquet", "partitionValues": {}, "size": size, "modificationTime": 1, "dataChange": true}});
    std::fs::write(
        log.join(format!("{:020}.json", number + 1)),
        format!("{add}\n"),
    )
    .unwrap();
    assert_fails(&place.verify(), "log raw");
}

#[test]
fn a_changed_value_in_a_view_is_found() {
    let place = original().copy();
    rewrite(
        &place,
        "every_aggregate",
        &largest_file(&place, "every_aggregate"),
        |it| {
            let mut counts = numbers(&it, "records");
            counts[0] = counts[0].map(|it| it + 1);
            with_column(&it, "records", Arc::new(Int64Array::from(counts)))
        },
    );
    let report = place.verify();
    assert_fails(&report, "view every_aggregate");
    assert!(
        text(&report, "view", "every_aggregate").contains("records is"),
        "{report}"
    );
}

#[test]
fn a_changed_value_in_the_archive_is_found() {
    let place = original().copy();
    rewrite(&place, "raw", &largest_file(&place, "raw"), |it| {
        let twice = numbers(&it, "twice")
            .into_iter()
            .map(|it| it.map(|it| it + 2));
        with_column(&it, "twice", Arc::new(twice.collect::<Int64Array>()))
    });
    let report = place.verify();
    assert_fails(&report, "archive raw");
    assert!(
        text(&report, "archive", "raw").contains("changed"),
        "{report}"
    );
}

#[test]
fn a_removed_data_file_is_found() {
    let place = original().copy();
    std::fs::remove_file(place.table("raw").join(largest_file(&place, "raw"))).unwrap();
    let report = place.verify();
    assert_fails(&report, "files raw");
    assert!(
        text(&report, "files", "raw").contains("named and missing"),
        "{report}"
    );
}

#[test]
fn a_data_file_cut_short_is_found() {
    let place = original().copy();
    let file = place.table("no_keys").join(largest_file(&place, "no_keys"));
    let bytes = std::fs::read(&file).unwrap();
    std::fs::write(&file, &bytes[..bytes.len() - 5]).unwrap();
    assert_fails(&place.verify(), "files no_keys");
}

#[test]
fn a_forged_checksum_is_found() {
    let place = original().copy();
    let newest = place.manifest().number;
    forge(&place, |it| {
        if it.number == newest {
            let read = it.read.as_mut().and_then(|it| it.get_mut("s")).unwrap();
            read.get_mut(&Partition(1)).unwrap().counts.checksum = 12345;
        }
    });
    let report = place.verify();
    assert_fails(&report, "source s");
    assert_fails(&report, "manifests");
    assert!(
        text(&report, "source", "s").contains("partition 1: checksum"),
        "{report}"
    );
}

#[test]
fn forged_counts_of_one_commit_are_found() {
    for back in [0, 3] {
        let place = original().copy();
        let number = place.manifest().number - back;
        forge(&place, |it| {
            if it.number == number {
                let counts = Counts {
                    records: 1_000_000,
                    ..Counts::default()
                };
                let all = it.counts.get_or_insert_default().entry("s".to_owned());
                all.or_default().insert(Partition(0), counts);
            }
        });
        assert_fails(&place.verify(), "manifests");
    }
}

#[test]
fn forged_totals_are_found() {
    let place = original().copy();
    forge(&place, |it| {
        if it.totals["s"]["records"].is_u64() {
            it.totals["s"]["records"] = json!(7);
        }
    });
    assert_fails(&place.verify(), "manifests");
}

#[test]
fn a_manifest_that_was_edited_is_found_and_not_started_from() {
    for (field, value) in [
        ("/clocks/s/watermark_us", json!(0)),
        ("/clocks", json!({})),
        ("/totals/s/records", json!(1)),
        ("/event_times/s/now_us", json!(5)),
        ("/state_differences", json!([])),
        ("/seal", json!("0")),
    ] {
        let place = original().copy();
        let newest = place.manifests().pop().unwrap();
        let mut manifest: Value = serde_json::from_slice(&std::fs::read(&newest).unwrap()).unwrap();
        let edited = manifest.pointer_mut(field).expect("the manifest has it");
        assert_ne!(*edited, value);
        *edited = value;
        std::fs::write(&newest, manifest.to_string()).unwrap();
        assert_fails(&place.verify(), &format!("commit {NAME}"));
        let refused = refusal(&place);
        let name = newest.file_name().unwrap().to_str().unwrap();
        assert!(
            refused.contains(name) && refused.contains("changed after"),
            "{field}: {refused}"
        );
    }
}

#[test]
fn a_manifest_that_lost_its_seal_is_found_and_not_started_from() {
    let place = original().copy();
    let newest = place.manifests().pop().unwrap();
    let mut manifest: Value = serde_json::from_slice(&std::fs::read(&newest).unwrap()).unwrap();
    manifest.as_object_mut().unwrap().remove("seal");
    std::fs::write(&newest, manifest.to_string()).unwrap();
    assert_fails(&place.verify(), &format!("commit {NAME}"));
    assert!(refusal(&place).contains("no seal"));
}

#[test]
fn stored_values_that_do_not_parse_are_refused_with_their_file() {
    for (field, value) in [
        ("clocks", json!({"s": {"partitions": "none"}})),
        ("clocks", Value::Null),
        ("totals", json!({"s": 5})),
        ("totals", json!({})),
        (
            "event_times",
            json!({"t": {"watermark_us": 1, "now_us": 1}}),
        ),
    ] {
        let place = original().copy();
        let newest = place.manifest();
        forge(&place, |it| {
            if it.number == newest.number {
                let kept = match field {
                    "clocks" => &mut it.clocks,
                    "totals" => &mut it.totals,
                    _ => &mut it.event_times,
                };
                *kept = value.clone();
            }
        });
        assert_fails(&place.verify(), "manifests");
        let refused = refusal(&place);
        assert!(refused.contains(&newest.path()), "{refused}");
        assert!(
            refused.contains(&format!("its {field} cannot be used")),
            "{refused}"
        );
        assert!(refused.contains("bring the file back"), "{refused}");
    }
}

#[test]
fn an_older_manifest_that_was_edited_or_deleted_is_found() {
    let edited = original().copy();
    let all = edited.manifests();
    let older = &all[all.len() / 2];
    let text = std::fs::read_to_string(older).unwrap();
    std::fs::write(older, text.replacen("\"epoch\":", "\"epoch\": ", 1)).unwrap();
    assert_fails(&edited.verify(), "manifests");
    let deleted = original().copy();
    std::fs::remove_file(&deleted.manifests()[all.len() / 2]).unwrap();
    assert_fails(&deleted.verify(), "manifests");
}

#[test]
fn differences_of_the_state_that_were_dropped_or_exchanged_are_found() {
    let place = original().copy();
    let newest = place.manifest().number;
    forge(&place, |it| {
        if it.number == newest {
            it.state_differences.remove(0);
        }
    });
    assert_fails(&place.verify(), "manifests");

    let place = original().copy();
    forge(&place, |it| {
        if let [first, .., last] = it.state_differences.as_mut_slice()
            && it.number == newest
        {
            *first = last.clone();
        }
    });
    assert_fails(&place.verify(), "manifests");

    let place = original().copy();
    let state = place.manifest().state_differences;
    let [first, second] = [&state[0], &state[1]].map(|it| place.lake().join(&it.path));
    let (one, other) = (
        std::fs::read(&first).unwrap(),
        std::fs::read(&second).unwrap(),
    );
    std::fs::write(&first, other).unwrap();
    std::fs::write(&second, one).unwrap();
    assert_fails(&place.verify(), "stored state");
}

#[test]
fn statistics_that_are_not_those_of_the_file_are_found() {
    for (kind, column) in [
        ("nullCount", "n"),
        ("nullCount", "k"),
        ("minValues", "twice"),
        ("maxValues", "at"),
        ("maxValues", "_offset"),
    ] {
        let place = original().copy();
        let file = largest_file(&place, "raw");
        // In the log and in the manifests, so that they agree.
        let forged = |action: &mut Value| {
            if action["add"]["path"] != file.as_str() {
                return;
            }
            let said = action["add"]["stats"].as_str().unwrap();
            let mut said: Value = serde_json::from_str(said).unwrap();
            let bound = &mut said[kind][column];
            *bound = match &*bound {
                Value::String(_) => json!("2001-01-01T00:00:00.000Z"),
                other => json!(other.as_i64().unwrap() + 1),
            };
            action["add"]["stats"] = json!(said.to_string());
        };
        edit_log(&place, "raw", forged);
        forge(&place, |it| {
            let entry = it.tables.entry("raw".to_owned()).or_default();
            entry.actions.iter_mut().for_each(forged);
        });
        let report = place.verify();
        assert_fails(&report, "files raw");
        let told = text(&report, "files", "raw");
        assert!(told.contains(&format!("{kind} of {column}")), "{told}");
    }
}

#[test]
fn metadata_of_a_table_that_was_edited_is_found() {
    let edits: [(&str, &str); 4] = [
        ("\"metaData\"", "\"metaDatb\""),
        ("\"protocol\"", "\"qrotocol\""),
        ("\"configuration\"", "\"configuratioo\""),
        ("interval 8 days", "interval 9 days"),
    ];
    for (from, to) in edits {
        let place = original().copy();
        let entry = "raw/_delta_log/00000000000000000000.json";
        let path = place.lake().join(entry);
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{text}");
        std::fs::write(&path, text.replace(from, to)).unwrap();
        assert_fails(&place.verify(), "log raw");
    }
}

#[test]
fn a_log_entry_of_an_older_version_that_was_edited_is_found() {
    let place = original().copy();
    let mut entries = sorted(&place.table("raw").join("_delta_log"));
    entries.retain(|it| it.extension().is_some_and(|it| it == "json"));
    assert!(3 < entries.len());
    let text = std::fs::read_to_string(&entries[1]).unwrap();
    std::fs::write(&entries[1], text.replace("STREAMING UPDATE", "WRITE")).unwrap();
    assert_fails(&place.verify(), "log raw");
}

#[test]
fn a_file_that_another_tool_doubled_without_a_change_of_data_is_found() {
    let place = original().copy();
    let file = largest_file(&place, "raw");
    let mut again = None;
    edit_log(&place, "raw", |action| {
        if action["add"]["path"] == file.as_str() {
            again = Some(action.clone());
        }
    });
    let mut again = again.unwrap();
    std::fs::copy(
        place.table("raw").join(&file),
        place.table("raw").join("again.parquet"),
    )
    .unwrap();
    again["add"]["path"] = json!("again.parquet");
    again["add"]["dataChange"] = json!(false);
    let log = place.table("raw").join("_delta_log");
    let version = place.manifest().tables["raw"].version + 1;
    std::fs::write(
        log.join(format!("{version:020}.json")),
        format!("{again}\n"),
    )
    .unwrap();
    let report = place.verify();
    assert_fails(&report, "archive raw");
    assert!(
        text(&report, "archive", "raw").contains("there 2 times"),
        "{report}"
    );
}

#[test]
fn the_last_bit_of_a_double_is_found() {
    for column in ["x_sum", "x_max", "x_mean"] {
        let place = original().copy();
        let file = largest_file(&place, "every_aggregate");
        rewrite(&place, "every_aggregate", &file, |it| {
            let values = it
                .column_by_name(column)
                .unwrap()
                .as_primitive::<Float64Type>();
            let mut values: Vec<Option<f64>> = values.iter().collect();
            let first = values.iter_mut().flatten().next().unwrap();
            *first = first.next_up();
            with_column(&it, column, Arc::new(Float64Array::from(values)))
        });
        assert_fails(&place.verify(), "files every_aggregate");
    }
}

#[test]
fn a_row_beyond_the_committed_offset_is_found() {
    let place = original().copy();
    let beyond = 1 << 40;
    rewrite(&place, "raw", &largest_file(&place, "raw"), |it| {
        let more = it.slice(0, 1);
        let more = with_column(&more, "_offset", Arc::new(Int64Array::from(vec![beyond])));
        concat_batches(&it.schema(), [&it, &more]).unwrap()
    });
    let report = place.verify();
    assert_fails(&report, "archive raw");
    assert!(
        text(&report, "archive", "raw").contains("beyond the committed offset"),
        "{report}"
    );
}

#[test]
fn a_late_mark_taken_off_is_found() {
    let place = original().copy();
    let mut taken = 0;
    for file in files(&place, "raw").into_keys() {
        rewrite(&place, "raw", &file, |it| {
            let late = it.column_by_name("_late_watermark").unwrap();
            let marked = late.len() - late.null_count();
            // Of an epoch with several late rows one keeps its mark; else nothing would tell.
            if taken != 0 || marked < 2 {
                return it;
            }
            taken = 1;
            let first = (0..late.len()).find(|at| late.is_valid(*at)).unwrap();
            let head = it.slice(0, first + 1);
            let head = with_column(&head, "_late_watermark", {
                let without = new_null_array(late.data_type(), 1);
                arrow::compute::concat(&[&late.slice(0, first), &without]).unwrap()
            });
            let tail = it.slice(first + 1, it.num_rows() - first - 1);
            concat_batches(&it.schema(), [&head, &tail]).unwrap()
        });
    }
    assert_eq!(taken, 1, "there was a mark to take off");
    assert_fails(&place.verify(), "late marks raw");
}

#[test]
fn a_lost_dead_letter_is_found() {
    let place = original().copy();
    rewrite(
        &place,
        "dead_letters",
        &largest_file(&place, "dead_letters"),
        |it| {
            let kept: BooleanArray = (0..it.num_rows()).map(|at| Some(at != 0)).collect();
            filter_record_batch(&it, &kept).unwrap()
        },
    );
    let report = place.verify();
    assert_fails(&report, "dead letters s");
    assert_fails(&report, "view dead_letter_counts");
}

#[test]
fn missing_state_is_found() {
    let place = original().copy();
    let manifest = place.manifest();
    let file = manifest.state_differences.last().expect("there is state");
    std::fs::remove_file(place.lake().join(&file.path)).unwrap();
    assert_fails(&place.verify(), "stored state");
}
