//! Every target over its seeds, and over mutated ones: a bounded number of cases, the same ones for the same `PROPTEST_RNG_SEED`.
//!
//! `TIDELAKE_FUZZ_CASES=N` tries so many of each instead, and `TIDELAKE_WRITE_SEEDS=1` writes the seeds that are bytes of ours.

use super::{TARGETS, Target};
use crate::coordinator::state;
use crate::engine::{Accumulator, Partial, StateContent, StateRecord};
use crate::lake::Manifest;
use crate::model::{Epoch, Random, Row, Value, mixed};
use arrow::array::{
    ArrayRef, Float64Array, Int64Array, ListArray, RecordBatch, StringArray,
    TimestampMicrosecondArray,
};
use arrow::datatypes::Int32Type;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// No input is made larger.
const BYTES_MAX: usize = 16 << 10;
/// A target is tried for no longer than this, unless a number of cases is asked for: other tests wait.
const LONGEST: Duration = Duration::from_secs(15);
/// Mutations that are made one after the other.
const MUTATIONS_MAX: u32 = 4;
/// No input may take longer, on a machine that has much else to do, and without optimisation.
const PATIENCE: Duration = Duration::from_secs(60);
/// What the main thread of a process has.
const STACK_BYTES: usize = 8 << 20;
/// A process for queries has half of it; without optimisation walks take more.
const QUERY_STACK_BYTES: usize = 128 << 20;
/// What stands around something, so that it can be put within itself.
const NESTS: [(&[u8], &[u8]); 8] = [
    (b"(", b")"),
    (b"[", b"]"),
    (b"{\"a\":", b"}"),
    (b"CASE WHEN ", b" THEN 1 END"),
    (b"(SELECT ", b")"),
    (b"NOT ", b""),
    (b"\x0b\x01", b""),
    (b"\"", b"\""),
];
/// Numbers at the ends of what some type holds.
const NUMBERS: [&str; 14] = [
    "0",
    "-1",
    "127",
    "65536",
    "2147483648",
    "-2147483649",
    "9007199254740993",
    "9223372036854775807",
    "-9223372036854775808",
    "18446744073709551616",
    "1e308",
    "-1e-320",
    "1e999",
    "99999999999999999999999999999999999999999",
];

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz")
        .join(name)
}

/// The seeds of a target by their names.
fn seeds(target: &Target) -> Vec<(String, Vec<u8>)> {
    let folder = folder("seeds").join(target.name);
    let entries = std::fs::read_dir(&folder).unwrap_or_else(|it| panic!("{folder:?}: {it}"));
    let seeds = entries.map(|it| {
        let path = it.expect("an entry").path();
        let name = path.file_name().expect("a name").to_string_lossy();
        (name.into_owned(), std::fs::read(&path).expect("a seed"))
    });
    let mut seeds: Vec<(String, Vec<u8>)> = seeds.collect();
    seeds.sort();
    seeds
}

/// The words of a dictionary in the form of libFuzzer: one in quotes on each line.
fn words(target: &Target) -> Vec<Vec<u8>> {
    let path = folder("dictionaries").join(format!("{}.dict", target.name));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|it| panic!("{path:?}: {it}"));
    let lines = text.lines().map(str::trim);
    let lines = lines.filter(|it| !it.is_empty() && !it.starts_with('#'));
    lines
        .map(|it| word(it).unwrap_or_else(|| panic!("{path:?}: {it}")))
        .collect()
}

fn word(line: &str) -> Option<Vec<u8>> {
    let inner = line.strip_prefix('"')?.strip_suffix('"')?;
    let mut bytes = Vec::new();
    let mut rest = inner.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'\\' => match rest.next()? {
                b'x' => {
                    let digits = [rest.next()?, rest.next()?];
                    u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?
                }
                other => other,
            },
            other => other,
        });
    }
    Some(bytes)
}

struct Mutator<'a> {
    random: Random,
    seeds: &'a [(String, Vec<u8>)],
    words: &'a [Vec<u8>],
}

impl Mutator<'_> {
    fn below(&mut self, limit: usize) -> usize {
        self.random.below_u64(limit.max(1) as u64) as usize
    }

    fn seed(&mut self) -> Vec<u8> {
        let at = self.below(self.seeds.len());
        self.seeds[at].1.clone()
    }

    /// A part of some bytes, often a short one.
    fn part(&mut self, bytes: &[u8]) -> std::ops::Range<usize> {
        let from = self.below(bytes.len() + 1);
        let most = match self.random.percent() {
            0..50 => 16,
            50..80 => 200,
            _ => usize::MAX,
        };
        let length = self.below((bytes.len() - from).min(most) + 1);
        from..from + length
    }

    fn input(&mut self) -> Vec<u8> {
        let mut bytes = self.seed();
        for _ in 0..self.random.between(1, MUTATIONS_MAX) {
            self.mutate(&mut bytes);
            bytes.truncate(BYTES_MAX);
        }
        bytes
    }

    fn mutate(&mut self, bytes: &mut Vec<u8>) {
        let part = self.part(bytes);
        let at = part.start;
        match self.random.below(12) {
            0 if !bytes.is_empty() => {
                let at = self.below(bytes.len());
                bytes[at] ^= 1 << self.random.below(8);
            }
            1 if !bytes.is_empty() => {
                let at = self.below(bytes.len());
                let bits = self.random.bits() as u8;
                bytes[at] = self
                    .random
                    .pick(&[0, 0xff, b'"', b'\'', b'\\', b'\n', bits]);
            }
            2 => {
                bytes.drain(part);
            }
            3 => bytes.truncate(at),
            4 => {
                let copy = bytes[part].to_vec();
                let at = self.below(bytes.len() + 1);
                bytes.splice(at..at, copy);
            }
            // Chains: the same again and again.
            5 => {
                let times = 1 << self.random.below(13);
                let room = BYTES_MAX.saturating_sub(bytes.len());
                let copy = bytes[part.clone()].to_vec();
                let times = times.min(room / copy.len().max(1));
                bytes.splice(part.end..part.end, copy.repeat(times));
            }
            6 => {
                let other = self.seed();
                let taken = self.part(&other);
                bytes.splice(part, other[taken].iter().copied());
            }
            7 | 8 if !self.words.is_empty() => {
                let word = self.below(self.words.len());
                let end = if self.random.below(2) == 0 {
                    part.end
                } else {
                    at
                };
                bytes.splice(at..end, self.words[word].iter().copied());
            }
            9 => self.number(bytes),
            10 => {
                let (open, close) = self.random.pick(&NESTS);
                let times = 1 << self.random.below(13);
                let inner = bytes[part.clone()].to_vec();
                let nested = [open.repeat(times), inner, close.repeat(times)].concat();
                bytes.splice(part, nested);
            }
            _ => {
                let more: Vec<u8> = (0..self.below(8))
                    .map(|_| self.random.bits() as u8)
                    .collect();
                bytes.splice(at..at, more);
            }
        }
    }

    /// Puts another number in the place of one.
    fn number(&mut self, bytes: &mut Vec<u8>) {
        let begins = |at: &usize| {
            bytes[*at].is_ascii_digit() && (*at == 0 || !bytes[at - 1].is_ascii_digit())
        };
        let all: Vec<usize> = (0..bytes.len()).filter(begins).collect();
        if all.is_empty() {
            return;
        }
        let from = all[self.below(all.len())];
        let digits = bytes[from..].iter().take_while(|it| it.is_ascii_digit());
        let end = from + digits.count();
        let number = self.random.pick(&NUMBERS);
        bytes.splice(from..end, number.bytes());
    }
}

fn shown(bytes: &[u8]) -> String {
    let most = &bytes[..bytes.len().min(600)];
    format!("b\"{}\" ({} bytes)", most.escape_ascii(), bytes.len())
}

/// Keeps the input where somebody finds it, also if the process ends; tries it, and takes it away again.
fn try_out(target: &Target, what: &str, input: &[u8]) -> bool {
    let kept = std::env::temp_dir().join(format!(
        "tidelake-fuzz-{}-{}",
        target.name,
        std::process::id()
    ));
    std::fs::write(&kept, input).expect("a temporary file can be written");
    let begun = Instant::now();
    let outcome = catch_unwind(AssertUnwindSafe(|| (target.run)(input)));
    let took = begun.elapsed();
    let Ok(was_taken) = outcome else {
        panic!(
            "the law of {} is broken by {what}, kept as {kept:?}: {}",
            target.name,
            shown(input)
        );
    };
    assert!(
        took < PATIENCE,
        "{} took {took:?} for {what}, kept as {kept:?}: {}",
        target.name,
        shown(input)
    );
    std::fs::remove_file(&kept).expect("it was there");
    was_taken
}

fn check(target: &Target) {
    let seeds = seeds(target);
    let words = words(target);
    let mut taken = 0;
    for (name, seed) in &seeds {
        taken += u32::from(try_out(target, name, seed));
    }
    assert!(0 < taken, "no seed of {} is taken", target.name);
    let number = |name: &str| std::env::var(name).ok()?.parse::<u64>().ok();
    let seed = number("PROPTEST_RNG_SEED").unwrap_or(1);
    let asked = number("TIDELAKE_FUZZ_CASES");
    let begun = Instant::now();
    let (mut cases, mut taken) = (0, 0);
    for case in 0..asked.unwrap_or(u64::from(target.cases)) {
        if asked.is_none() && LONGEST < begun.elapsed() {
            break;
        }
        cases += 1;
        let mut mutator = Mutator {
            random: Random::new(mixed(seed) ^ mixed(case)),
            seeds: &seeds,
            words: &words,
        };
        let input = mutator.input();
        taken += u64::from(try_out(
            target,
            &format!("case {case} of seed {seed}"),
            &input,
        ));
    }
    println!(
        "{}: {} seeds, {cases} cases of seed {seed}, of which {taken} were taken, in {:.1?}",
        target.name,
        seeds.len(),
        begun.elapsed()
    );
}

/// On a stack as a process has it: what uses that up ends the test.
fn on_a_stack(target: &'static Target) {
    let stack = match target.name {
        "query" => QUERY_STACK_BYTES,
        _ => STACK_BYTES,
    };
    let thread = std::thread::Builder::new().stack_size(stack);
    let thread = thread.spawn(move || check(target)).expect("a thread");
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

fn named(name: &str) -> &'static Target {
    const ALL: &[Target] = &TARGETS;
    let found = ALL.iter().find(|it| it.name == name);
    found.unwrap_or_else(|| panic!("there is no target {name}"))
}

macro_rules! tests {
    ($($name:ident)*) => {
        const TESTED: &[&str] = &[$(stringify!($name)),*];
        $(
            #[test]
            fn $name() {
                on_a_stack(named(stringify!($name)));
            }
        )*
    };
}

tests! {
    json keyed debezium csv access_log parquet dataflow query filter event_id time_range settings manifest state model onnx
}

/// A target has a test, a program for libFuzzer, seeds and a dictionary.
#[test]
fn every_target_is_tried() {
    let names: Vec<&str> = TARGETS.iter().map(|it| it.name).collect();
    assert_eq!(names, TESTED);
    let manifest = std::fs::read_to_string(folder("Cargo.toml")).expect("fuzz/Cargo.toml");
    for target in &TARGETS {
        let name = target.name;
        assert!(manifest.contains(&format!("name = \"{name}\"")), "{name}");
        let program = std::fs::read_to_string(folder("targets").join(format!("{name}.rs")));
        let program = program.unwrap_or_else(|it| panic!("{name}: {it}"));
        assert!(program.contains(&format!("\"{name}\"")), "{name}");
        assert!(
            !seeds(target).is_empty() && !words(target).is_empty(),
            "{name}"
        );
    }
}

/// A Parquet file with some types of columns, in groups of two rows.
fn parquet_of_columns() -> Vec<u8> {
    let numbers: ArrayRef = Arc::new(Int64Array::from(vec![Some(1), None, Some(3)]));
    let texts: ArrayRef = Arc::new(StringArray::from(vec![Some("a"), Some("\u{e9}\""), None]));
    let floats: ArrayRef = Arc::new(Float64Array::from(vec![0.5, f64::NAN, -0.0]));
    let times: ArrayRef = Arc::new(TimestampMicrosecondArray::from(vec![1, -1, i64::MAX]));
    let lists = [Some(vec![Some(1)]), None, Some(vec![None, Some(2)])];
    let lists: ArrayRef = Arc::new(ListArray::from_iter_primitive::<Int32Type, _, _>(lists));
    let columns = [
        ("n", numbers),
        ("t", texts),
        ("f", floats),
        ("at", times),
        ("l", lists),
    ];
    let batch = RecordBatch::try_from_iter(columns).expect("a batch");
    let groups = WriterProperties::builder()
        .set_max_row_group_row_count(Some(2))
        .set_compression(Compression::ZSTD(ZstdLevel::default()));
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), Some(groups.build()))
        .expect("these types can be written");
    writer.write(&batch).expect("memory can be written");
    writer.into_inner().expect("memory can be written")
}

/// Seeds that only this program can write. They are in the repository, since later versions have to read what earlier ones wrote.
#[test]
fn seeds_of_bytes_of_ours_are_written_when_asked_for() {
    let record = |content| StateRecord {
        operator: "v".into(),
        content,
    };
    let row = |values: Vec<Value>| Row(values.into());
    let records = [
        record(StateContent::Group(Partial {
            key: row(vec![Value::Text("DE".into()), Value::Null]),
            bucket: 7,
            accumulator: Accumulator {
                records: 3,
                ..Accumulator::default()
            },
            members: Vec::new(),
        })),
        record(StateContent::Row(
            row(vec![
                Value::Int(-1),
                Value::List([Value::Bool(true), Value::Null].into()),
                Value::Struct([("a".into(), Value::Timestamp(5))].into()),
            ]),
            2,
        )),
    ];
    let sealed = Manifest {
        number: 7,
        generation: 2,
        epoch: Epoch(1_769_860_800_000),
        ..Manifest::empty("d")
    };
    let written = [
        (
            "state/file",
            state::encode(&records).expect("it can be written"),
        ),
        (
            "state/records",
            postcard::to_stdvec(&records[..]).expect("it can be written"),
        ),
        ("manifest/sealed", sealed.sealed().to_file()),
        ("parquet/columns", parquet_of_columns()),
    ];
    let is_asked = std::env::var_os("TIDELAKE_WRITE_SEEDS").is_some();
    for (name, bytes) in written {
        let path = folder("seeds").join(name);
        if is_asked {
            std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
            std::fs::write(&path, bytes).expect("a seed can be written");
        }
        assert!(
            path.exists(),
            "run with TIDELAKE_WRITE_SEEDS=1: {path:?} is missing"
        );
    }
}
