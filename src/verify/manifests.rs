//! The chain of manifests: each as it was written, and each what follows from the one before.
//!
//! A manifest says what its commit changed and what everything is since then, so two neighbours must agree: offsets go on, what was read in all is
//! what had been read and what the commit read, stored state gets one difference more or is written anew. Seals tell of any other change.

use super::Error;
use super::report::{Check, Findings, Report, count};
use crate::coordinator::stored;
use crate::lake::{self, Counts, LetGo, Manifest, StateFile, Store};
use std::collections::BTreeMap;

/// At least so many manifests are kept, so that one of them is missing only if somebody deleted it.
const KEPT: u64 = 990;

/// Checks all manifests that are there up to the one to prove; returns them by number.
pub(super) async fn check(
    store: &Store,
    newest: &Manifest,
    report: &mut Report,
) -> Result<BTreeMap<u64, Manifest>, Error> {
    let mut findings = Findings::default();
    let mut manifests: BTreeMap<u64, Manifest> = BTreeMap::new();
    for (number, manifest) in store.all_manifests(&newest.dataflow).await? {
        // A running pipeline goes on meanwhile.
        if newest.number < number {
            break;
        }
        match manifest {
            Ok(manifest) if manifest.number != number || manifest.dataflow != newest.dataflow => {
                findings.add(|| {
                    format!(
                        "{number} is number {} of dataflow {}",
                        manifest.number, manifest.dataflow
                    )
                });
            }
            Ok(manifest) => {
                manifests.insert(number, manifest);
            }
            Err(error) => findings.add(|| error.to_string()),
        }
    }
    let oldest_kept = newest.number.saturating_sub(KEPT);
    let first = manifests.keys().next().copied().unwrap_or(newest.number);
    if oldest_kept.max(1) < first {
        findings.add(|| format!("there is none before {first}"));
    }
    for (before, after) in manifests.values().zip(manifests.values().skip(1)) {
        if before.number + 1 < after.number && oldest_kept <= before.number {
            findings.add(|| format!("after {} comes {}", before.number, after.number));
        }
        if before.number + 1 == after.number {
            compare(before, after, &mut findings);
        }
    }
    compare_totals(newest, &mut findings);
    if let Err(error) = stored::check(newest) {
        findings.add(|| error.to_string());
    }
    report.add(Check::of(
        "manifests",
        "",
        format!(
            "{}, each sealed and what follows from the one before",
            count(manifests.len() as u64, "manifest")
        ),
        findings,
        "a manifest was changed, exchanged or deleted after it was written, or the pipeline counted wrongly.",
    ));
    Ok(manifests)
}

/// What was in force up to an epoch stays what it was, whatever comes in force behind it.
fn compare_models(before: &Manifest, after: &Manifest, findings: &mut Findings) {
    let until = before.epoch;
    for (name, entries) in &after.models {
        let then = entries.iter().filter(|it| it.from <= until);
        let was = before.models.get(name).map_or(&[][..], Vec::as_slice);
        if !then.eq(was) {
            findings.add(|| {
                format!(
                    "{} says otherwise than the one before it by which versions of model {name} records were scored up to epoch {}",
                    after.number, until.0
                )
            });
        }
    }
    if let Some(gone) = before
        .models
        .keys()
        .find(|it| !after.models.contains_key(*it))
    {
        findings.add(|| format!("{} knows nothing of model {gone}", after.number));
    }
}

/// What was let go does not come back, and only a commit that takes files out lets rows go.
fn compare_let_go(before: &Manifest, after: &Manifest, findings: &mut Findings) {
    for (table, was) in &before.let_go {
        let is = after.let_go.get(table);
        if is.is_none_or(|it| it.until_us < was.until_us || it.count() < was.count()) {
            findings.add(|| {
                format!(
                    "{} says that table {table} has let fewer rows go than the one before it",
                    after.number
                )
            });
        }
    }
    for (table, is) in &after.let_go {
        let was = before.let_go.get(table).map_or(0, LetGo::count);
        let own = after.tables.get(table);
        let takes_out = own.is_some_and(|it| {
            it.commit == after.number && it.actions.iter().any(|it| it.get("remove").is_some())
        });
        if was < is.count() && !takes_out {
            findings.add(|| {
                format!(
                    "{} says that table {table} has let rows go, and takes no file out",
                    after.number
                )
            });
        }
    }
}

fn compare(before: &Manifest, after: &Manifest, findings: &mut Findings) {
    let number = after.number;
    if before.seal.is_some() && after.follows != before.seal {
        findings.add(|| {
            format!(
                "{number} does not follow the {} that is there",
                before.number
            )
        });
    }
    if before.seal.is_some() && after.seal.is_none() {
        findings.add(|| format!("{number} has no seal, and the one before it has"));
    }
    if after.epoch < before.epoch || after.generation < before.generation {
        findings.add(|| {
            format!(
                "{number} is of epoch {} and generation {}, after epoch {} of generation {}",
                after.epoch.0, after.generation, before.epoch.0, before.generation
            )
        });
    }
    for (source, offsets) in &before.offsets {
        let now = after.offsets.get(source);
        for (partition, position) in offsets.iter() {
            let next = now.and_then(|it| it.get(partition)).map(|it| it.offset);
            if next.is_none_or(|it| it < position.offset) {
                findings.add(|| {
                    format!(
                        "partition {} of {source} goes back from offset {} to {next:?} with {number}",
                        partition.0, position.offset.0
                    )
                });
            }
        }
    }
    compare_models(before, after, findings);
    compare_let_go(before, after, findings);
    compare_counts(before, after, findings);
    let fits = match after.state_full == before.state_full {
        true => match after
            .state_differences
            .strip_prefix(&before.state_differences[..])
        {
            Some([]) => true,
            Some([one]) => is_of(one, number),
            Some(_) | None => false,
        },
        false => {
            let full = after.state_full.as_ref();
            after.state_differences.is_empty() && full.is_some_and(|it| is_of(it, number))
        }
    };
    if !fits {
        findings.add(|| {
            format!(
                "the state of {number} is not that of {} and what it adds",
                before.number
            )
        });
    }
}

/// Whether a file of state was written for a commit.
fn is_of(file: &StateFile, number: u64) -> bool {
    file.path.contains(&format!("/{number:020}-"))
}

/// What was read in all is what had been read before the commit, and what the commit read.
fn compare_counts(before: &Manifest, after: &Manifest, findings: &mut Findings) {
    let (Some(earlier), Some(all)) = (&before.read, &after.read) else {
        return;
    };
    let none = BTreeMap::new();
    for (source, read) in all {
        let earlier = earlier.get(source).unwrap_or(&none);
        let own = after.counts.as_ref().and_then(|it| it.get(source));
        for (partition, read) in read {
            let mut sum = Counts::default();
            for part in [
                earlier.get(partition).map(|it| &it.counts),
                own.and_then(|it| it.get(partition)),
            ] {
                part.into_iter().for_each(|it| sum.add(it));
            }
            if sum != read.counts {
                findings.add(|| {
                    format!(
                        "partition {} of {source}: {:?} with {}, {sum:?} from its parts",
                        partition.0, read.counts, after.number
                    )
                });
            }
        }
    }
}

/// All-time counts of a source are the sum of those of its partitions.
fn compare_totals(manifest: &Manifest, findings: &mut Findings) {
    let (Some(read), Ok(totals)) = (&manifest.read, stored::totals(manifest)) else {
        return;
    };
    for (source, totals) in totals {
        let mut sum = Counts::default();
        let partitions = read.get(&source).into_iter().flatten();
        partitions.for_each(|it| sum.add(&it.1.counts));
        let expected = (
            sum.records + sum.replayed,
            sum.undecoded.saturating_sub(sum.replayed),
            sum.bytes,
        );
        if (totals.records, totals.undecoded, totals.bytes) != expected {
            findings
                .add(|| format!("source {source}: {totals:?} in all, {sum:?} of its partitions"));
        }
    }
}

/// Everything a start would read back is there, with the bytes that were written.
pub(super) async fn check_state(
    store: &Store,
    manifest: &Manifest,
    report: &mut Report,
) -> Result<(), Error> {
    let mut findings = Findings::default();
    let (mut files, mut bytes) = (0u64, 0);
    for file in manifest
        .state_full
        .iter()
        .chain(&manifest.state_differences)
    {
        match store.get_state(file).await {
            Ok(_) => {}
            Err(error @ lake::Error::Damaged { .. }) => findings.add(|| error.to_string()),
            Err(error) => return Err(error.into()),
        }
        files += 1;
        bytes += file.bytes;
    }
    report.add(Check::of(
        "stored state",
        "",
        format!(
            "checksums of {}, {}",
            count(files, "file"),
            count(bytes, "byte")
        ),
        findings,
        "the pipeline cannot be started again from this commit.",
    ));
    Ok(())
}
