use super::*;
use crate::coordinator::part::Writing;
use crate::engine::CommitReport;
use crate::model::Value as Field;
use proptest::prelude::*;
use std::time::SystemTime;

const TABLE: &str = "v";

fn row(number: u64) -> Row {
    Row([Field::Int(number as i64)].into())
}

fn together() -> Together {
    Together::new(|| unreachable!("nothing is written"), Arc::default())
}

/// What a worker hands over of its bucket: none if nothing changed.
#[derive(Clone, Debug)]
enum Bucket {
    Few(Vec<u64>),
    File(Vec<u64>),
}

fn buckets() -> impl Strategy<Value = Option<Bucket>> {
    let rows = || prop::collection::vec(0..1000_u64, 0..4);
    prop_oneof![
        Just(None),
        rows().prop_map(|it| Some(Bucket::Few(it))),
        rows().prop_map(|it| Some(Bucket::File(it))),
    ]
}

fn part(worker: usize, buckets: &[(u32, Option<Bucket>)], closed: &[u64]) -> Part {
    let mut few = FewRows::of(TABLE);
    few.closed = closed.iter().copied().map(row).collect();
    let mut replaced = BTreeSet::new();
    for (number, bucket) in buckets {
        replaced.extend(bucket.as_ref().map(|_| *number));
        if let Some(Bucket::Few(rows)) = bucket
            && !rows.is_empty()
        {
            few.open
                .push((*number, rows.iter().copied().map(row).collect()));
        }
    }
    let replaced = (!replaced.is_empty()).then(|| (TABLE.to_owned(), replaced));
    let now = SystemTime::UNIX_EPOCH;
    Part {
        report: CommitReport {
            worker,
            ..CommitReport::default()
        },
        files: Vec::new(),
        replaced: replaced.into_iter().collect(),
        few: if few.is_empty() { vec![] } else { vec![few] },
        failed: None,
        writing: Writing {
            from: now,
            until: now,
        },
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// Whoever follows files as the log does has the rows that the workers have, whether they write them or hand them over.
    #[test]
    fn files_have_the_rows_of_all_workers(
        commits in prop::collection::vec(
            prop::collection::vec((prop::collection::vec(buckets(), 2), prop::collection::vec(0..9_u64, 0..3)), 3),
            1..12,
        ),
    ) {
        let mut together = together();
        const BEFORE: u32 = 77;
        let mut files: BTreeMap<u32, Vec<Row>> = BTreeMap::from([(BEFORE, vec![row(0)])]);
        let mut expected: BTreeMap<u32, Vec<u64>> = BTreeMap::from([(BEFORE, vec![0])]);
        let mut closed: (Vec<Row>, Vec<Row>) = Default::default();
        for commit in commits {
            let mut parts = Vec::new();
            let mut own: Vec<(u32, Vec<Row>)> = Vec::new();
            for (worker, (buckets, of_worker)) in commit.iter().enumerate() {
                let numbered = buckets.iter().enumerate();
                let numbered = numbered.map(|(at, it)| ((at * 3 + worker) as u32, it.clone()));
                let numbered: Vec<(u32, Option<Bucket>)> = numbered.collect();
                for (number, bucket) in &numbered {
                    let Some(bucket) = bucket else { continue };
                    expected.remove(&BEFORE);
                    let (Bucket::Few(rows) | Bucket::File(rows)) = bucket;
                    expected.insert(*number, rows.clone());
                    if let Bucket::File(rows) = bucket {
                        own.push((*number, rows.iter().copied().map(row).collect()));
                    }
                }
                closed.0.extend(of_worker.iter().copied().map(row));
                parts.push(part(worker, &numbered, of_worker));
            }
            let mut replaced = BTreeMap::new();
            let written = together.take(&mut parts, &mut replaced);
            match replaced.remove(TABLE).unwrap_or_default() {
                Replaced::Nothing => {}
                Replaced::All => files.clear(),
                Replaced::Buckets(gone) => files.retain(|it, _| !gone.contains(it)),
            }
            for (number, rows) in own {
                prop_assert!(files.insert(number, rows).is_none());
            }
            for (table, bucket, rows) in written {
                prop_assert_eq!(table.as_str(), TABLE);
                prop_assert!(!rows.is_empty());
                match bucket {
                    Some(bucket) => prop_assert!(files.insert(bucket, rows).is_none()),
                    None => closed.1.extend(rows),
                }
            }
            let sorted = |mut rows: Vec<Row>| {
                rows.sort();
                rows
            };
            let rows = files.values().flatten().cloned().collect();
            let wanted = expected.values().flatten().copied().map(row).collect();
            prop_assert_eq!(sorted(rows), sorted(wanted));
            prop_assert_eq!(sorted(closed.0.clone()), sorted(closed.1.clone()));
        }
    }
}

/// However many workers there are, what they have few of is one file, which changes only if one of them changed.
#[test]
fn a_small_view_is_one_file() {
    let mut together = together();
    let few = |worker: usize, rows: &[u64]| {
        part(
            worker,
            &[(worker as u32, Some(Bucket::Few(rows.to_vec())))],
            &[],
        )
    };
    let mut replaced = BTreeMap::new();
    let mut parts = [few(0, &[1]), few(1, &[2, 3]), few(2, &[4])];
    let written = together.take(&mut parts, &mut replaced);
    let sizes: Vec<usize> = written.iter().map(|it| it.2.len()).collect();
    assert_eq!(sizes, [4]);
    assert_eq!(replaced[TABLE], Replaced::All);
    let mut replaced = BTreeMap::new();
    let written = together.take(&mut [part(0, &[], &[])], &mut replaced);
    assert!(written.is_empty() && replaced.is_empty());
    let written = together.take(&mut [few(1, &[5])], &mut replaced);
    assert_eq!(written[0].2, [row(1), row(5), row(4)]);
}
