//! Answers that are kept and not read: the formats of files, and how bytes of a server become them.

use super::super::exit;
use super::super::print::printable;
use crate::http::AnswerFormat;
use anyhow::{Context, Result};
use clap::ValueEnum;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

/// How answers are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// Columns to read, up to the limit of rows.
    #[default]
    Table,
    /// One array of objects.
    Json,
    /// One object a line.
    Jsonl,
    Csv,
}

impl Output {
    /// The format, if it is none for people.
    pub fn kept(self) -> Option<Kept> {
        match self {
            Output::Table => None,
            Output::Json => Some(Kept::Json),
            Output::Jsonl => Some(Kept::Jsonl),
            Output::Csv => Some(Kept::Csv),
        }
    }
}

/// A format that has every row, digit for digit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    Json,
    Jsonl,
    Csv,
    Parquet,
    Arrow,
}

impl Kept {
    /// What a file of this name holds.
    ///
    /// # Errors
    /// If its extension says nothing.
    pub fn of_file(path: &Path) -> Result<Kept> {
        let extension = path
            .extension()
            .map(|it| it.to_string_lossy().to_lowercase());
        Ok(match extension.as_deref() {
            Some("csv") => Kept::Csv,
            Some("json") => Kept::Json,
            Some("jsonl" | "ndjson") => Kept::Jsonl,
            Some("parquet") => Kept::Parquet,
            Some("arrow" | "arrows") => Kept::Arrow,
            _ => {
                let name = printable(&path.display().to_string());
                let text = format!(
                    "{name} does not say its format; end it with .csv, .json, .jsonl, .parquet or .arrow"
                );
                return Err(exit::coded(exit::USAGE, text));
            }
        })
    }

    /// How the answer is written that becomes it. JSON is made of JSON lines.
    pub fn format(self) -> AnswerFormat {
        match self {
            Kept::Json | Kept::Jsonl => AnswerFormat::JsonLines,
            Kept::Csv => AnswerFormat::Csv,
            Kept::Parquet => AnswerFormat::Parquet,
            Kept::Arrow => AnswerFormat::Arrow,
        }
    }

    /// Whether a file can have one answer behind another.
    fn goes_on(self) -> bool {
        matches!(self, Kept::Csv | Kept::Jsonl)
    }
}

/// A file that takes the answers instead of the terminal.
#[derive(Debug)]
pub struct Sink {
    pub path: PathBuf,
    pub kept: Kept,
    has_answer: bool,
}

impl Sink {
    /// # Errors
    /// If the name does not say the format.
    pub fn new(path: &Path) -> Result<Sink> {
        Ok(Sink {
            kept: Kept::of_file(path)?,
            path: path.to_owned(),
            has_answer: false,
        })
    }

    /// The file for the next answer: made anew for the first, and gone on with where its format can.
    ///
    /// # Errors
    /// If it cannot be written, or takes no second answer.
    pub fn open(&mut self) -> Result<File> {
        let name = printable(&self.path.display().to_string());
        if self.has_answer && !self.kept.goes_on() {
            let text = format!(
                "{name} has an answer already, and its format takes one; name another file with \\o, or end this one with \\o alone"
            );
            return Err(exit::coded(exit::USAGE, text));
        }
        let file = match self.has_answer {
            true => OpenOptions::new().append(true).open(&self.path),
            false => File::create(&self.path),
        };
        self.has_answer = true;
        file.with_context(|| format!("could not write {name}"))
    }
}

/// What goes out as it comes.
pub struct Printed<W> {
    kept: Kept,
    to: W,
    pub bytes: usize,
    /// The last byte ended a line, whose comma is not known yet.
    line_ended: bool,
}

impl<W: Write> Printed<W> {
    pub fn new(kept: Kept, to: W) -> Self {
        Printed {
            kept,
            to,
            bytes: 0,
            line_ended: false,
        }
    }

    pub fn kept(&self) -> Kept {
        self.kept
    }

    pub fn add(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        if self.kept != Kept::Json {
            self.bytes += bytes.len();
            return self.to.write_all(bytes);
        }
        for line in bytes.split_inclusive(|it| *it == b'\n') {
            if self.bytes == 0 {
                self.to.write_all(b"[")?;
            } else if self.line_ended {
                self.to.write_all(b",\n")?;
            }
            self.line_ended = line.ends_with(b"\n");
            self.to
                .write_all(line.strip_suffix(b"\n").unwrap_or(line))?;
            self.bytes += line.len();
        }
        Ok(())
    }

    pub fn end(&mut self) -> std::io::Result<()> {
        match (self.kept, self.bytes) {
            (Kept::Json, 0) => self.to.write_all(b"[]\n")?,
            (Kept::Json, _) => self.to.write_all(b"]\n")?,
            _ => {}
        }
        self.to.flush()
    }
}
