//! What holds from one statement to the next: whom they are for, how answers look, where they go, and as of when they are.

use super::asked::{Answer, Asked, Failure};
use super::output::{Kept, Output, Sink};
use crate::cli::exit;
use crate::cli::print::{Out, count, moment, printable, took};
use crate::cli::server::Refusal;
use crate::cli::shell::as_of::AsOf;
use crate::cli::shell::command::{self, Command};
use crate::cli::shell::script::{Part, Piece, parts};
use crate::cli::table::{Expanded, Laid, Look};
use crate::model::Epoch;
use anyhow::Result;
use std::io::{IsTerminal, Write};

/// How it goes on after a part of a script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum After {
    Next,
    /// With this text to be edited: people's only.
    Edit(String),
    End,
}

/// What holds from one statement to the next.
pub struct Session {
    pub asked: Asked,
    pub output: Output,
    pub expanded: Expanded,
    pub timing: bool,
    pub sink: Option<Sink>,
    /// As of when statements are answered; nothing while they are of now.
    pub as_of: Option<AsOf>,
    /// What was asked last.
    pub last: Option<String>,
    /// Scripts within scripts.
    pub depth: usize,
    /// A person types, and sees what comes of it.
    pub is_shell: bool,
    /// The script has printed an answer.
    has_printed: bool,
}

impl Session {
    pub fn new(asked: Asked, output: Output, expanded: Expanded) -> Session {
        Session {
            asked,
            output,
            expanded,
            timing: false,
            sink: None,
            as_of: None,
            last: None,
            depth: 0,
            is_shell: false,
            has_printed: false,
        }
    }

    /// Answers as of a time from here on, or as of now again.
    ///
    /// # Errors
    /// If it is no time.
    pub fn set_as_of(&mut self, text: &str) -> Result<()> {
        self.as_of = AsOf::parse(text).map_err(|it| exit::coded(exit::USAGE, it))?;
        Ok(())
    }

    /// Carries out a script, one part after the other. A statement without an answer ends it, unless it is to go on; one without all of its
    /// rows does not.
    ///
    /// # Errors
    /// The first failure of them.
    pub async fn script(&mut self, script: &str, keep_going: bool) -> Result<()> {
        let all = parts(script).map_err(|it| {
            let (line, column) = it.place;
            let text = format!("{} is not closed (line {line}, column {column})", it.what);
            exit::coded(exit::REFUSED, text)
        })?;
        if all.is_empty() {
            return Err(exit::coded(exit::USAGE, "there is no statement to ask"));
        }
        self.has_printed = false;
        let mut failed: Option<anyhow::Error> = None;
        for (number, part) in all.iter().enumerate() {
            if self.has_printed && matches!(part, Part::Statement(_)) && self.separates() {
                writeln!(Out::new())?;
            }
            let place = (1 < all.len()).then_some((number + 1, part.line()));
            let failure = match self.part(part).await {
                Ok(After::Next) => continue,
                Ok(After::End) => break,
                Ok(After::Edit(_)) => {
                    Failure::Other(exit::coded(exit::USAGE, "\\e needs a person at a terminal"))
                }
                Err(failure) => failure,
            };
            let goes_on =
                matches!(failure, Failure::Incomplete { code, .. } if code != exit::CANCELLED);
            let error = failure.in_script(place);
            let is_last = number + 1 == all.len();
            if !is_last && (goes_on || keep_going) {
                eprintln!("error: {error:#}");
                failed.get_or_insert(error);
                continue;
            }
            return match failed {
                None => Err(error),
                Some(first) => {
                    eprintln!("error: {error:#}");
                    Err(told_already(&first))
                }
            };
        }
        failed.map_or(Ok(()), |it| Err(told_already(&it)))
    }

    /// Answers follow each other on standard output, and a blank line tells where one ends.
    fn separates(&self) -> bool {
        self.sink.is_none() && matches!(self.output, Output::Table | Output::Csv)
    }

    /// Carries out a statement or a command.
    ///
    /// # Errors
    /// If there is no answer, or not all of it.
    pub async fn part(&mut self, part: &Part<'_>) -> Result<After, Failure> {
        match part {
            Part::Statement(Piece { text, .. }) => {
                self.statement(text).await?;
                Ok(After::Next)
            }
            Part::Command { command, about } => {
                let parsed = Command::parse(command.text);
                let parsed = parsed.map_err(|it| exit::coded(exit::USAGE, it))?;
                let about = about.map(|it| it.text);
                if let (Some(statement), false) = (about, matches!(parsed, Command::Watch { .. })) {
                    self.statement(statement).await?;
                }
                // Commands carry out scripts, and scripts commands.
                Box::pin(command::run(self, parsed, about)).await
            }
        }
    }

    /// The format of answers that are kept and not read.
    pub fn kept(&self) -> Option<Kept> {
        match &self.sink {
            Some(sink) => Some(sink.kept),
            None => self.output.kept(),
        }
    }

    /// Asks a statement, and prints its answer.
    ///
    /// # Errors
    /// If there is no answer, or not all of it.
    pub async fn statement(&mut self, text: &str) -> Result<(), Failure> {
        self.last = Some(text.to_owned());
        self.has_printed |= self.sink.is_none();
        let as_of = self.epoch();
        match self.kept() {
            Some(kept) => self.keep(text, as_of, kept).await,
            None => {
                let answer = self.asked.answer(text, as_of).await?;
                self.show(&answer)
            }
        }
    }

    /// The epoch that statements are answered as of.
    pub fn epoch(&self) -> Option<Epoch> {
        self.as_of.as_ref().map(|it| it.epoch)
    }

    async fn keep(&mut self, text: &str, as_of: Option<Epoch>, kept: Kept) -> Result<(), Failure> {
        let Some(sink) = &mut self.sink else {
            let is_terminal = std::io::stdout().is_terminal();
            let out = Out::new();
            self.asked
                .export(text, as_of, kept, out, is_terminal)
                .await?;
            return Ok(());
        };
        let started = std::time::Instant::now();
        let file = std::io::BufWriter::new(sink.open()?);
        let bytes = self.asked.export(text, as_of, kept, file, false).await?;
        let path = printable(&sink.path.display().to_string());
        eprintln!("{bytes} bytes to {path}, {}", took(started.elapsed()));
        Ok(())
    }

    /// Prints an answer as a table, and what is known of it.
    pub fn show(&self, answer: &Answer) -> Result<(), Failure> {
        let laid = match answer.table.plan() {
            Some(text) => Laid {
                text,
                columns: answer.table.width(),
                is_cut: false,
            },
            None => answer.table.laid(Look::of_output(self.expanded)),
        };
        let mut out = Out::new();
        out.write_all(laid.text.as_bytes())?;
        out.flush()?;
        drop(out);
        eprintln!("{}", self.footer(answer, &laid));
        match answer.lack {
            None => Ok(()),
            Some(lack) => Err(lack.failure(answer.table.height())),
        }
    }

    /// `6 rows, 48 ms, as of 23:40:09.1`
    fn footer(&self, answer: &Answer, laid: &Laid) -> String {
        let mut parts = vec![count(answer.table.height(), "row")];
        if laid.columns < answer.table.width() {
            parts.push(format!(
                "{} of {} columns",
                laid.columns,
                answer.table.width()
            ));
        }
        parts.push(match self.timing {
            true => format!("{:.3} ms", answer.elapsed.as_secs_f64() * 1000.0),
            false => took(answer.elapsed),
        });
        if answer.epoch != Epoch(0) {
            parts.push(format!("as of {}", moment(answer.epoch)));
        }
        let hint = match (laid.columns < answer.table.width(), laid.is_cut) {
            (false, false) => "",
            (_, _) if self.is_shell => "; \\x shows all of a row",
            (_, _) => "; -x shows all of a row",
        };
        parts.join(", ") + hint
    }
}

impl Failure {
    /// The error it is, with its place in the whole script: which part it is, and in which line that begins.
    pub fn in_script(self, place: Option<(usize, u64)>) -> anyhow::Error {
        let with_place = |text: &str| match place {
            Some((number, line)) => format!("statement {number} (line {line}): {text}"),
            None => text.to_owned(),
        };
        match self {
            Failure::Incomplete { text, code } => exit::coded(code, with_place(&text)),
            Failure::Refused(it) => {
                let first = place.map_or(1, |it| it.1);
                let Refusal { text, place, code } = it;
                let at = match place {
                    Some((1, column)) if first == 1 => format!(" (column {column})"),
                    Some((line, column)) => {
                        format!(" (line {}, column {column})", first + line - 1)
                    }
                    None => String::new(),
                };
                exit::coded(code, with_place(&text) + &at)
            }
            Failure::Other(error) => {
                let code = exit::code(&error);
                exit::coded(code, with_place(&format!("{error:#}")))
            }
        }
    }
}

/// What ends a script whose failures were told as they came.
fn told_already(first: &anyhow::Error) -> anyhow::Error {
    let text = "not every statement of the script has its answer, as said above";
    exit::coded(exit::code(first), text)
}
