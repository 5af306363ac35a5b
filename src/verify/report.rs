//! What was found: one line per check, for people and for machines.

use crate::model::Epoch;
use serde::Serialize;
use std::fmt;
use std::sync::Arc;
use std::time::Instant;

/// Findings told of one check; the rest are only counted.
pub(super) const FINDINGS_MAX: usize = 5;

/// Every check of one commit, in the order they were made.
#[derive(Debug, Serialize)]
pub struct Report {
    pub dataflow: String,
    pub lake: String,
    /// The commit that was looked at, once it is known.
    pub commit: u64,
    pub generation: u64,
    pub epoch: Epoch,
    pub written_ms: u64,
    /// The newest commit there was.
    #[serde(rename = "newest_commit")]
    pub newest: u64,
    pub proven: bool,
    pub checks: Vec<Check>,
    pub elapsed_ms: u64,
    #[serde(skip)]
    began: Instant,
    #[serde(skip)]
    progress: Progress,
}

/// Who is told of each check when it is made; nobody by default.
#[derive(Clone, Default)]
pub struct Progress(Option<Arc<dyn Fn(&Check) + Send + Sync>>);

impl Progress {
    pub fn to(tell: impl Fn(&Check) + Send + Sync + 'static) -> Self {
        Progress(Some(Arc::new(tell)))
    }
}

impl fmt::Debug for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "told" } else { "untold" })
    }
}

/// One thing that was compared.
#[derive(Debug, Serialize)]
pub struct Check {
    pub name: &'static str,
    /// The table, view or source it is about.
    pub subject: String,
    pub outcome: Outcome,
    /// What was compared, with counts.
    pub compared: String,
    /// What was found, the first few of it.
    pub findings: Vec<String>,
    /// What it means, if it fails or is not known.
    pub meaning: Option<&'static str>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    Holds,
    Fails,
    /// Neither proof nor failure: what would tell is gone.
    Unknown,
    /// Harmless, and good to know.
    Note,
}

impl Report {
    pub(super) fn new(dataflow: &str, lake: &str, progress: Progress) -> Self {
        Report {
            dataflow: dataflow.to_owned(),
            lake: lake.to_owned(),
            commit: 0,
            generation: 0,
            epoch: Epoch(0),
            written_ms: 0,
            newest: 0,
            proven: true,
            checks: Vec::new(),
            elapsed_ms: 0,
            began: Instant::now(),
            progress,
        }
    }

    pub(super) fn add(&mut self, check: Check) {
        if let Some(tell) = &self.progress.0 {
            tell(&check);
        }
        self.proven &= check.outcome != Outcome::Fails;
        self.checks.push(check);
        self.elapsed_ms = crate::model::whole_ms(self.began.elapsed());
    }

    /// Whether nothing contradicts the commit.
    pub fn is_proven(&self) -> bool {
        self.proven
    }

    /// The checks that fail, as `name subject`.
    pub fn failed(&self) -> Vec<String> {
        let failed = self.checks.iter().filter(|it| it.outcome == Outcome::Fails);
        failed
            .map(|it| format!("{} {}", it.name, it.subject))
            .collect()
    }

    fn unknown(&self) -> usize {
        let unknown = |it: &&Check| it.outcome == Outcome::Unknown;
        self.checks.iter().filter(unknown).count()
    }
}

impl Check {
    /// A check that holds if nothing was found.
    pub(super) fn of(
        name: &'static str,
        subject: impl Into<String>,
        compared: impl Into<String>,
        findings: Findings,
        meaning: &'static str,
    ) -> Self {
        let outcome = if findings.count == 0 {
            Outcome::Holds
        } else {
            Outcome::Fails
        };
        Check {
            name,
            subject: subject.into(),
            outcome,
            compared: compared.into(),
            meaning: (outcome == Outcome::Fails).then_some(meaning),
            findings: findings.texts(),
        }
    }

    pub(super) fn note(
        name: &'static str,
        subject: impl Into<String>,
        compared: impl Into<String>,
    ) -> Self {
        Check {
            outcome: Outcome::Note,
            ..Check::of(name, subject, compared, Findings::default(), "")
        }
    }

    pub(super) fn unknown(
        name: &'static str,
        subject: impl Into<String>,
        compared: impl Into<String>,
        findings: Findings,
        meaning: &'static str,
    ) -> Self {
        Check {
            outcome: Outcome::Unknown,
            meaning: Some(meaning),
            ..Check::of(name, subject, compared, findings, meaning)
        }
    }
}

/// What a check has found: the first few in words, all of them counted.
#[derive(Debug, Default)]
pub(super) struct Findings {
    first: Vec<String>,
    pub count: u64,
}

impl Findings {
    pub fn add(&mut self, text: impl FnOnce() -> String) {
        if self.first.len() < FINDINGS_MAX {
            self.first.push(text());
        }
        self.count += 1;
    }

    pub fn merge(&mut self, other: Findings) {
        self.count += other.count;
        self.first.extend(other.first);
        self.first.truncate(FINDINGS_MAX);
    }

    pub fn one(text: String) -> Self {
        Findings {
            first: vec![text],
            count: 1,
        }
    }

    fn texts(mut self) -> Vec<String> {
        let more = self.count - self.first.len() as u64;
        if more != 0 {
            self.first.push(format!("and {} more", number(more)));
        }
        self.first
    }
}

/// A number with its thousands apart, as people read it.
pub(super) fn number(it: impl Into<u64>) -> String {
    let digits = it.into().to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at != 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A count with its noun.
pub(super) fn count(it: impl Into<u64>, noun: &str) -> String {
    let it = it.into();
    format!("{} {noun}{}", number(it), if it == 1 { "" } else { "s" })
}

impl Outcome {
    /// What stands in front of a check.
    pub fn mark(self) -> char {
        match self {
            Outcome::Holds => '✓',
            Outcome::Fails => '✗',
            Outcome::Unknown => '?',
            Outcome::Note => '·',
        }
    }
}

impl Check {
    /// The lines below a check: what was found, and what it means.
    pub fn details(&self) -> impl Iterator<Item = String> {
        let findings = self.findings.iter().map(|it| format!("    {it}"));
        let meaning = self.meaning.iter();
        findings.chain(meaning.map(|it| format!("    That means: {it}")))
    }
}

impl Report {
    /// What was looked at.
    pub fn heading(&self) -> String {
        let mut text = format!("dataflow {} in {}\n", self.dataflow, self.lake);
        if self.commit != 0 {
            let upto = match self.epoch {
                Epoch(0) => String::new(),
                epoch => format!(", up to {}", epoch.iso()),
            };
            text += &format!(
                "commit {} of generation {}{upto}\n",
                self.commit, self.generation
            );
        }
        text
    }

    /// What it comes to, in one line.
    pub fn verdict(&self) -> String {
        let failed = self.failed();
        let seconds = self.elapsed_ms as f64 / 1000.0;
        match (failed.len(), self.unknown()) {
            (0, 0) => format!(
                "PROVEN in {seconds:.1} s: {}.",
                count(self.checks.len() as u64, "check")
            ),
            (0, unknown) => format!(
                "PROVEN as far as it can be told, in {seconds:.1} s: {} could not be made in full (?).",
                count(unknown as u64, "check")
            ),
            (_, _) => format!(
                "NOT PROVEN: {} of {} failed ({}).",
                failed.len(),
                count(self.checks.len() as u64, "check"),
                failed.join(", ")
            ),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.heading())?;
        let width = |text: fn(&Check) -> &str| {
            let lengths = self.checks.iter().map(|it| text(it).chars().count());
            lengths.max().unwrap_or(0)
        };
        let (names, subjects) = (width(|it| it.name), width(|it| &it.subject));
        for check in &self.checks {
            writeln!(
                f,
                "{} {:names$}  {:subjects$}  {}",
                check.outcome.mark(),
                check.name,
                check.subject,
                check.compared
            )?;
            for line in check.details() {
                writeln!(f, "{line}")?;
            }
        }
        writeln!(f, "\n{}", self.verdict())
    }
}
