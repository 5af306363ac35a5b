//! What reading a source again has shown, as checks of the report.

use super::super::report::{Check, Findings, Report, count, number};
use super::again::Outcome;
use super::{Source, Sum};
use crate::lake::Counts;
use crate::model::iso_of_micros;
use crate::source::place::Place;
use std::collections::BTreeSet;

/// Of what cannot be read at all.
pub fn unreadable(name: &'static str, subject: &str, reason: String) -> Check {
    Check::of(
        name,
        subject,
        "it cannot be read",
        Findings::one(reason),
        "readers of it get an error.",
    )
}

impl Source<'_> {
    /// Adds the checks of a source, once all its partitions were read.
    pub fn tell(&self, unread: &BTreeSet<String>, sum: &mut Sum, report: &mut Report) {
        let name = self.spec.name.as_str();
        let partitions = self.offsets.iter().count();
        let is_pushed = matches!(self.place, Place::Http);
        let read_again = match is_pushed {
            true => {
                // Its log is the lake, which the checks of its tables are about.
                sum.gone = Findings::default();
                let pushed = count(sum.gone_offsets, "record");
                format!("{pushed}, pushed by clients and kept nowhere else")
            }
            false => format!(
                "{} read again: {}, {}",
                count(partitions as u64, "partition"),
                count(sum.counts.records + sum.counts.undecoded, "record"),
                count(sum.counts.bytes, "byte")
            ),
        };
        // Files of a table's former versions are vacuumed; whether it is the table is told where it is read.
        let keeps_all = !is_pushed && !matches!(self.place, Place::Delta(_));
        let nothing_left =
            keeps_all && 0 < partitions && sum.read_partitions == 0 && 0 < sum.gone_offsets;
        if nothing_left {
            sum.source.add(|| match &self.place {
                Place::Files(location) => {
                    format!("{location} has none of the files that were read")
                }
                Place::Delta(path) => format!("{path} has none of the rows that were read"),
                Place::Http => "what clients push is kept nowhere else".to_owned(),
                Place::Topic(topic) => format!(
                    "topic {} at {} has none of the records that were read",
                    topic.topic, topic.brokers
                ),
            });
        }
        let source = Check::of(
            "source",
            name,
            match self.read {
                _ if is_pushed => read_again.clone(),
                Some(_) => format!("{read_again}; counts and checksums as committed"),
                None => read_again.clone(),
            },
            std::mem::take(&mut sum.source),
            match nothing_left {
                true => "nothing can be compared; is this the input that the pipeline reads?",
                false => {
                    "what the source has now is not what was read and committed: it was changed, or records were lost or doubled on the way."
                }
            },
        );
        let fails = source.outcome == super::super::Outcome::Fails;
        if self.read.is_none() && !fails {
            report.add(Check::unknown(
                "source",
                name,
                format!("{read_again}; not compared with the commits"),
                Findings::default(),
                "this lake was begun by a version that did not keep counts of everything read.",
            ));
        } else {
            report.add(source);
        }
        if sum.gone.count != 0 {
            report.add(Check::unknown(
                "source gone",
                name,
                format!("{} cannot be read again", count(sum.gone_offsets, "offset")),
                std::mem::take(&mut sum.gone),
                "the source no longer has them (retention, or deleted files); that they were taken in once is told by the commits' counts alone.",
            ));
        }
        for (table, (rows, findings, left_out)) in
            self.tables.iter().zip(std::mem::take(&mut sum.tables))
        {
            if unread.contains(&table.name) {
                continue;
            }
            let lacks = match left_out.first {
                None => String::new(),
                Some(first) => format!(
                    "; {} left out, since an expression of the table fails for it, the first in {first}",
                    count(left_out.count, "record")
                ),
            };
            report.add(Check::of(
                "archive",
                table.name.as_str(),
                format!(
                    "{}: each offset once, with the values its record gives{lacks}",
                    count(rows, "row")
                ),
                findings,
                "records were lost, doubled or changed in this table, or it has rows that were never read.",
            ));
            if let Some(gone) = self.let_go.get(&table.name) {
                report.add(Check::note(
                    "let go",
                    table.name.as_str(),
                    format!(
                        "{} of before {} by its retention, by {}; what is missing is no younger and no more than that",
                        count(gone.count(), "row"),
                        iso_of_micros(gone.until_us),
                        gone.column
                    ),
                ));
            }
        }
        for (table, marks) in self.tables.iter().zip(std::mem::take(&mut sum.marks)) {
            if table.event_time.is_none() || unread.contains(&table.name) {
                continue;
            }
            let late = marks.late();
            report.add(Check::of(
                "late marks",
                table.name.as_str(),
                format!("{}, and none missing", count(late, "late row")),
                marks.findings(),
                "a record is marked late that was on time, or the other way round; windows then hold too much or too little.",
            ));
        }
        let mendable = match sum.mendable {
            0 => String::new(),
            some => format!("; {} would decode now", number(some)),
        };
        report.add(Check::of(
            "dead letters",
            name,
            format!(
                "{}, each a record that does not decode, bytes unchanged{mendable}",
                count(sum.letter_rows, "row")
            ),
            std::mem::take(&mut sum.letters),
            "records that do not decode were lost, doubled or changed.",
        ));
    }
}

/// What the source gave the second time is what the commits counted.
pub fn compare_counts(
    partition: i32,
    counted: &Counts,
    outcome: &Outcome,
    findings: &mut Findings,
) {
    let found = &outcome.counts;
    let all = |it: &Counts| it.records + it.undecoded;
    if all(found) != all(counted) {
        findings.add(|| {
            format!(
                "partition {partition}: {} read again, {} committed",
                count(all(found), "record"),
                number(all(counted))
            )
        });
    }
    if found.bytes != counted.bytes {
        findings.add(|| {
            format!(
                "partition {partition}: {} read again, {} committed",
                count(found.bytes, "byte"),
                number(counted.bytes)
            )
        });
    }
    if found.checksum != counted.checksum {
        findings.add(|| {
            format!(
                "partition {partition}: checksum {:016x} read again, {:016x} committed",
                found.checksum, counted.checksum
            )
        });
    }
}
