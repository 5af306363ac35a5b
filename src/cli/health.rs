//! How the process is doing: from facts to a state and a sentence, and nothing else. Every threshold is here.
//!
//! The functions are pure. `serve` collects the facts from readers, views, the committer and the lake, and asks them.

use super::size;
use crate::coordinator::Memory;
use crate::coordinator::costs::RelationCost;
use crate::http::{self, Health};
use crate::model::in_force::InForce;
use crate::model::{ERRORS, Epoch, LeftOut};
use crate::notify::Told;
use crate::source::{self, Pace};
use crate::view::Intake;
use std::collections::{BTreeMap, VecDeque};

/// A source that will have caught up sooner than this is not behind.
const CATCH_UP_SECONDS: f64 = 10.0;
/// Records read in less than this are no backlog, whatever the trend.
const BEHIND_SECONDS: f64 = 5.0;
/// Shares of the last minute's records above which undecodable or late ones are worth a word, if there are enough records to tell.
const UNDECODED_SHARE: f64 = 0.05;
const LATE_SHARE: f64 = 0.05;
const SHARE_RECORDS_MIN: u64 = 20;
/// Files that are named of those that are not read as they should be.
const FILES_TOLD_MAX: usize = 3;
/// How long after they came records far ahead are still told of.
const AHEAD_TOLD_MS: u64 = 60_000;
/// A source that got records steadily is silent when it has had none for this long, and missed so many at its former speed.
const QUIET_SECONDS: f64 = 30.0;
const QUIET_RECORDS: f64 = 20.0;
/// Steady: in so many different seconds of the last minute something arrived.
const STEADY_SECONDS: usize = 10;
/// The newest epoch is expected to be younger than this, and not further ahead of the wall clock.
const EPOCH_MS: u64 = 5_000;
/// So many commits waiting at once is one too many.
const COMMITS_WAITING: usize = 2;
/// Clocks of a cluster further apart than this are worth a word.
const SKEW_MS: i64 = 500;

/// What is known of one source.
pub struct SourceFacts<'a> {
    pub status: &'a source::Status,
    pub pace: Pace,
    pub intake: &'a Intake,
    /// Offsets are bytes of files, not records.
    pub from_files: bool,
    pub epoch: Epoch,
    /// Records arrived steadily until the newest.
    pub steady: bool,
    /// What this process has read since its start, and could not decode.
    pub records: u64,
    pub undecoded: u64,
}

/// Something that is wrong: in a few words, which can stand alone, and in a sentence.
struct Finding {
    headline: String,
    text: String,
}

fn finding(headline: impl Into<String>, text: impl Into<String>) -> Finding {
    Finding {
        headline: headline.into(),
        text: text.into(),
    }
}

/// What a relation lacks.
pub fn of_left_out(left_out: &LeftOut) -> (Health, String) {
    let (count, last) = (left_out.count(), left_out.last());
    let detail = format!("{count} since the start: {last} (SELECT * FROM {ERRORS})");
    (Health::Degraded, detail)
}

/// How a source is doing: what is worst decides, all that is wrong is told.
pub fn of_source(facts: &SourceFacts<'_>) -> (Health, String) {
    let status = facts.status;
    let (health, findings) = findings(facts);
    let mut texts: Vec<String> = findings.into_iter().map(|it| it.text).collect();
    if matches!(health, Health::Ok | Health::Degraded) {
        let is_told = behind(facts.pace, facts.from_files).is_some();
        texts.push(reading(status, facts.from_files, is_told));
    }
    (health, texts.join("; "))
}

/// The same in a few words, such as "Catching up, 2 min left": what stands first of that which is wrong.
pub fn headline_of_source(facts: &SourceFacts<'_>) -> String {
    let (health, findings) = findings(facts);
    let first = findings.into_iter().next();
    first.map_or_else(
        || http::Component::headline_of(health, ""),
        |it| it.headline,
    )
}

fn findings(facts: &SourceFacts<'_>) -> (Health, Vec<Finding>) {
    let status = facts.status;
    let stopped = status.partitions.values().find_map(|it| {
        let problem = it.problem.as_ref()?;
        Some(finding(
            format!("Down: partition {} is stopped", it.name),
            format!("partition {} is stopped: {problem}", it.name),
        ))
    });
    match (status.connected, status.problem(), stopped) {
        (true, _, Some(it)) => return (Health::Down, vec![it]),
        (false, None, _) => {
            let it = finding("Connecting", "not reached yet");
            return (Health::Starting, vec![it]);
        }
        (false, Some(problem), _) => {
            let it = finding("Down: cannot be reached", problem.clone());
            return (Health::Down, vec![it]);
        }
        (true, ..) => {}
    }
    let trouble = status
        .problem()
        .map(|it| finding("Degraded: trouble with reading", it.clone()));
    let wrong = [
        trouble,
        behind(facts.pace, facts.from_files),
        undecoded(facts),
        late(facts.intake),
        ahead(facts.intake, facts.epoch),
        silent(facts),
        lost(status.lost_records, facts.from_files),
        files(&status.file_notes()),
    ];
    let wrong: Vec<Finding> = wrong.into_iter().flatten().collect();
    let health = match wrong.is_empty() {
        true => Health::Ok,
        false => Health::Degraded,
    };
    (health, wrong)
}

/// What is done before the first epoch is complete.
const RESTORING: &str = "no epoch is complete yet: views take in what the last commit has";

/// Why views cannot be asked yet, if so.
pub fn not_begun(epoch: Epoch) -> Option<String> {
    (epoch == Epoch(0)).then(|| RESTORING.to_owned())
}

/// Why a source keeps the process from being ready: it was never reached.
pub fn never_reached(name: &str, status: &source::Status) -> Option<String> {
    let why = status.problem().map_or("", String::as_str);
    (!status.reached).then(|| match why {
        "" => format!("source {name} was not reached yet"),
        why => format!("source {name} was never reached: {why}"),
    })
}

/// The partitions, and the lag unless it is told already.
fn reading(status: &source::Status, from_files: bool, lag_is_told: bool) -> String {
    let unit = if from_files { "bytes" } else { "records" };
    let mut text = match status.partitions.len() {
        1 => "1 partition".to_owned(),
        many => format!("{many} partitions"),
    };
    if !lag_is_told {
        text += &format!(", {} {unit} behind", status.lag());
    }
    let ends = status.partitions.values().map(|it| it.end_offset);
    let unknown = ends.filter(Option::is_none).count();
    if 0 < unknown {
        text.push_str(&format!("; the end of {unknown} is not known yet"));
    }
    text
}

/// Of the last minute, or else of all that was read since the start: a backlog is read within seconds, and what it lacks is lacking later on, too.
fn undecoded(facts: &SourceFacts<'_>) -> Option<Finding> {
    let lately = facts.intake.lately;
    let spans = [
        (lately.undecoded, lately.records, "in the last minute"),
        (facts.undecoded, facts.records, "since the start"),
    ];
    spans.into_iter().find_map(|(undecoded, records, when)| {
        let all = records + undecoded;
        let share = share_of(undecoded, all).filter(|it| UNDECODED_SHARE <= *it)?;
        let said = format!("{} of records are not decoded", percent(share));
        Some(finding(
            format!("Degraded: {said}"),
            format!("{said} ({undecoded} of {all} {when}); table dead_letters says why"),
        ))
    })
}

fn late(intake: &Intake) -> Option<Finding> {
    let counts = intake.lately;
    let share = share_of(counts.late, counts.records).filter(|it| LATE_SHARE <= *it)?;
    let said = format!("{} of records are late", percent(share));
    Some(finding(
        format!("Degraded: {said}"),
        format!(
            "{said} ({} of {} in the last minute): they are archived, and missing in windows that are closed",
            counts.late, counts.records
        ),
    ))
}

fn ahead(intake: &Intake, epoch: Epoch) -> Option<Finding> {
    let lately = |it: &&crate::model::PartitionAhead| epoch.0 < it.epoch + AHEAD_TOLD_MS;
    let lately = intake.ahead.iter().filter(lately);
    let furthest = lately.clone().max_by_key(|it| it.by_us)?;
    let others = match lately.count() {
        1 => String::new(),
        many => format!(", and {} other partitions are ahead", many - 1),
    };
    let said = format!(
        "partition {} is {} ahead",
        furthest.partition,
        duration(furthest.by_us as f64 / 1e6)
    );
    Some(finding(
        format!("Degraded: {said}"),
        format!(
            "{said}{others}; its records wait in their windows ({} so far); check the clocks of its producers",
            furthest.records
        ),
    ))
}

fn behind(pace: Pace, from_files: bool) -> Option<Finding> {
    let lag = pace.lag as f64;
    if pace.lag == 0 || 0.0 < pace.read_per_second && lag < BEHIND_SECONDS * pace.read_per_second {
        return None;
    }
    let amount = match from_files {
        true => bytes(lag),
        false => format!("{} records", count(lag)),
    };
    match pace.seconds_to_catch_up {
        Some(seconds) if seconds < CATCH_UP_SECONDS => None,
        Some(seconds) => Some(finding(
            format!("Catching up, {} left", duration(seconds)),
            format!(
                "catching up: {amount} behind, about {} left",
                duration(seconds)
            ),
        )),
        None if pace.read_per_second <= 0.0 => Some(finding(
            format!("Degraded: {amount} behind and not reading"),
            format!("{amount} behind, and nothing is being read"),
        )),
        None => Some(finding(
            format!("Degraded: {amount} behind and not catching up"),
            format!("{amount} behind, and not catching up"),
        )),
    }
}

fn silent(facts: &SourceFacts<'_>) -> Option<Finding> {
    let seconds = facts.intake.quiet_seconds?;
    let before = facts.intake.per_second_before;
    let is_silent = facts.steady && QUIET_SECONDS <= seconds && QUIET_RECORDS <= before * seconds;
    is_silent.then(|| {
        let said = format!("no records for {}", duration(seconds));
        finding(
            format!("Degraded: {said}"),
            format!("{said}, {}/s before", count(before)),
        )
    })
}

fn lost(amount: u64, from_files: bool) -> Option<Finding> {
    let unit = if from_files { "bytes" } else { "records" };
    let text = format!("{amount} {unit} were gone before they could be read");
    (0 < amount).then(|| finding(format!("Degraded: {amount} {unit} were lost"), text))
}

/// Input files that are not read as they should be: how many, and the first of them.
fn files(notes: &[&source::FileNote]) -> Option<Finding> {
    let first = notes.iter().take(FILES_TOLD_MAX);
    let first: Vec<String> = first
        .map(|it| format!("{}: {}", it.name, it.text))
        .collect();
    let more = match notes.len().saturating_sub(FILES_TOLD_MAX) {
        0 => String::new(),
        more => format!("; and {more} more, see /api/v1/status"),
    };
    let count = match notes.len() {
        0 => return None,
        1 => "1 file is".to_owned(),
        many => format!("{many} files are"),
    };
    let first = first.join("; ");
    Some(finding(
        format!("Degraded: {count} not read as it should be"),
        format!("{count} not read as it should be: {first}{more}"),
    ))
}

fn share_of(part: u64, all: u64) -> Option<f64> {
    (SHARE_RECORDS_MIN <= all).then(|| part as f64 / all as f64)
}

/// What is known of the engine.
pub struct EngineFacts {
    pub workers: usize,
    pub epoch: Epoch,
    pub wall_ms: u64,
    /// How long the newest epoch has been the newest.
    pub still_ms: u64,
}

/// How the engine is doing.
pub fn of_engine(facts: &EngineFacts) -> (Health, String) {
    let behind_ms = facts.wall_ms.saturating_sub(facts.epoch.0);
    let ahead_ms = facts.epoch.0.saturating_sub(facts.wall_ms);
    let seconds = |ms: u64| duration(ms as f64 / 1000.0);
    if facts.epoch == Epoch(0) {
        return (Health::Starting, RESTORING.to_owned());
    }
    if EPOCH_MS <= facts.still_ms {
        let text = format!("no new epoch for {}", seconds(facts.still_ms));
        return (Health::Degraded, text);
    }
    if EPOCH_MS <= ahead_ms {
        let text = format!(
            "epochs are {} ahead of the wall clock, and go on at its pace: they began above a commit that was made when the clock was ahead, or the clock was set back; check this machine's clock",
            seconds(ahead_ms)
        );
        return (Health::Degraded, text);
    }
    if EPOCH_MS <= behind_ms {
        let text = format!("the newest epoch is {} old", seconds(behind_ms));
        return (Health::Degraded, text);
    }
    let text = format!("{} workers, newest epoch {behind_ms} ms old", facts.workers);
    (Health::Ok, text)
}

/// Relations that are named of those that take most memory.
const LARGE_TOLD_MAX: usize = 3;

/// How the process does with the memory it may take.
pub fn of_memory(memory: &Memory, costs: &[RelationCost]) -> (Health, String) {
    let used = format!(
        "{} of {} are taken",
        size::shown(memory.used),
        size::shown(memory.max)
    );
    if !memory.is_full {
        return (Health::Ok, used);
    }
    let mut largest: Vec<&RelationCost> = costs.iter().filter(|it| 0 < it.bytes).collect();
    largest.sort_by_key(|it| std::cmp::Reverse(it.bytes));
    let largest = largest.iter().take(LARGE_TOLD_MAX);
    let largest: Vec<String> = largest
        .map(|it| format!("{} {}", it.name(), size::shown(it.bytes)))
        .collect();
    let text = format!(
        "sources wait because memory is full: {used}, and they read on below {}; largest state: {}; nothing is lost: start again with a higher --memory-max or more processes, or let state end, by windows, a retention or fewer groups",
        size::shown(memory.goes_on_below),
        largest.join(", ")
    );
    (Health::Degraded, text)
}

/// What is known of the lake.
pub struct LakeFacts<'a> {
    pub number: u64,
    pub age_ms: u64,
    /// Commits handed over and not yet durable.
    pub waiting: usize,
    /// Why it cannot be written, if so.
    pub unwritable: Option<&'a str>,
    /// Why it cannot be read, if so.
    pub unreadable: Option<&'a str>,
}

/// How the lake is doing.
pub fn of_lake(facts: &LakeFacts<'_>) -> (Health, String) {
    let commit = format!("commit {} {} s ago", facts.number, facts.age_ms / 1000);
    match (facts.unwritable, facts.unreadable) {
        (Some(problem), _) => (Health::Down, problem.to_owned()),
        (None, Some(problem)) => (
            Health::Down,
            format!(
                "the lake cannot be read: {problem}; restore the missing files, then check it with `tidelake verify`"
            ),
        ),
        (None, None) if COMMITS_WAITING <= facts.waiting => (
            Health::Degraded,
            format!(
                "{} commits are waiting to be written, {commit}; sources are still read",
                facts.waiting
            ),
        ),
        (None, None) => (Health::Ok, commit),
    }
}

/// How the processes are doing together: clocks far apart delay the newest epoch.
pub fn of_cluster(
    process: usize,
    processes: usize,
    skew_ms: i64,
    restarts: &str,
) -> (Health, String) {
    let restarts = match restarts {
        "" | "0" => String::new(),
        many => format!(", restarted {many} times"),
    };
    let detail = format!("process {process} of {processes}, clocks within {skew_ms} ms{restarts}");
    if skew_ms < SKEW_MS {
        return (Health::Ok, detail);
    }
    (
        Health::Degraded,
        format!(
            "{detail}: the newest rows are delayed by as much; synchronize the clocks of the hosts"
        ),
    )
}

/// How often a supervisor has started all processes again, and why the last time; nothing while it has not.
pub fn of_supervisor(restarts: u64, last_end: &str) -> Option<(Health, String)> {
    let times = match restarts {
        0 => return None,
        1 => "once".to_owned(),
        many => format!("{many} times"),
    };
    let why = match last_end {
        "" => String::new(),
        why => format!("; the last time since {why}"),
    };
    Some((Health::Ok, format!("started again {times}{why}")))
}

/// How events are generated: what is wrong with that at the moment, and how often it was begun again.
pub fn of_generator(rate: f64, problem: Option<&str>, restarts: u64) -> (Health, String) {
    let restarts = match restarts {
        0 => String::new(),
        1 => "; restarted once".to_owned(),
        many => format!("; restarted {many} times"),
    };
    match problem {
        Some(problem) => (Health::Degraded, format!("{problem}{restarts}")),
        None => (Health::Ok, format!("{rate} events a second{restarts}")),
    }
}

/// Whether receivers take what they are told.
pub fn of_webhook(told: &Told) -> (Health, String) {
    let time = |ms: u64| Epoch(ms).iso();
    if let (Some(problem), Some(since)) = (&told.problem, told.waiting_since_ms) {
        let waiting = told.waiting;
        let detail = format!("{waiting} messages wait since {}: {problem}", time(since));
        return (Health::Degraded, detail);
    }
    // Without a message that waits it is the lake, of which others tell.
    let trouble = told.problem.as_ref().map(|it| format!("; {it}"));
    let last = told.last_ms.map(|it| format!(", the last at {}", time(it)));
    let detail = format!(
        "{} messages since the start{}{}",
        told.messages,
        last.unwrap_or_default(),
        trouble.unwrap_or_default()
    );
    (Health::Ok, detail)
}

/// By what tables score records.
pub fn of_model(name: &str, in_force: &InForce) -> (Health, String) {
    let newest = match in_force.newest(name) {
        Some(it) => format!(
            "version {} ({:.8}) in force since {}",
            it.version,
            it.id,
            it.from.iso()
        ),
        None => format!(
            "there is no version yet, so its scores are NULL; create one with `tidelake train {name} --from 'SELECT …'`"
        ),
    };
    match in_force.problem(name) {
        Some(problem) => (Health::Degraded, problem),
        None => (Health::Ok, newest),
    }
}

/// In which seconds of the minute before the newest arrival something arrived: the end of a partition moved.
#[derive(Debug, Default)]
pub struct Arrivals {
    ends: BTreeMap<i32, i64>,
    seconds: VecDeque<u64>,
}

impl Arrivals {
    /// Notes the ends of all partitions at some second of a clock that cannot be set. An end that was not known before says nothing.
    pub fn note(&mut self, second: u64, ends: impl Iterator<Item = (i32, i64)>) {
        let mut moved = false;
        for (partition, end) in ends {
            let before = self.ends.insert(partition, end);
            moved |= before.is_some_and(|it| it < end);
        }
        if moved && self.seconds.back() != Some(&second) {
            self.seconds.push_back(second);
            while self.seconds.front().is_some_and(|it| it + 60 < second) {
                self.seconds.pop_front();
            }
        }
    }

    /// Whether records came steadily until the newest, not as a backlog.
    pub fn are_steady(&self) -> bool {
        STEADY_SECONDS <= self.seconds.len()
    }
}

/// A length of time as people say it.
fn duration(seconds: f64) -> String {
    match seconds {
        it if it < 90.0 => format!("{it:.0} s"),
        it if it < 5_400.0 => format!("{:.0} min", it / 60.0),
        it if it < 36.0 * 3600.0 => format!(
            "{:.0} h {:.0} min",
            (it / 3600.0).floor(),
            (it % 3600.0 / 60.0).floor()
        ),
        it => format!("{:.1} days", it / 86_400.0),
    }
}

fn bytes(amount: f64) -> String {
    match amount {
        it if it < 1e3 => format!("{it:.0} bytes"),
        it if it < 1e6 => format!("{:.0} kB", it / 1e3),
        it if it < 1e9 => format!("{:.0} MB", it / 1e6),
        it => format!("{:.1} GB", it / 1e9),
    }
}

fn count(amount: f64) -> String {
    match amount {
        it if it < 10.0 => format!("{it:.1}"),
        it if it < 1e4 => format!("{it:.0}"),
        it if it < 1e6 => format!("{:.0} thousand", it / 1e3),
        it => format!("{:.1} million", it / 1e6),
    }
}

fn percent(share: f64) -> String {
    format!("{:.0} %", share * 100.0)
}

#[cfg(test)]
mod tests;
