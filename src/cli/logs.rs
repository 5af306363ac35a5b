//! `logs`: what an instance in the background says, from any shell.

use super::exit;
use super::instance::{self, Follower, Found, last_lines};
use super::print::{Out, printable};
use anyhow::{Context, Result};
use clap::Args;
use std::io::{IsTerminal, Write};
use std::time::Duration;

/// Between two looks at a log that is followed.
const LOOK_EVERY: Duration = Duration::from_millis(200);

#[derive(Args)]
pub struct Arguments {
    /// Name of the instance. [default: the only one that runs, or else the only one there is]
    name: Option<String>,
    /// Go on with what is written, until the instance ends.
    #[arg(short, long)]
    follow: bool,
    /// Lines from the end.
    #[arg(short = 'n', long, default_value_t = 100)]
    lines: usize,
}

/// Prints the end of a log, and what comes behind it.
pub async fn run(arguments: &Arguments) -> Result<()> {
    let name = instance::named(arguments.name.as_deref());
    let found = instance::choose(instance::all(), name.as_deref())?
        .ok_or_else(|| exit::coded(1, instance::none_found(name.as_deref())))?;
    let record = found.record.as_ref();
    let record = record.map_err(|it| anyhow::anyhow!("{}: {it}", found.folder.display()))?;
    let Some(path) = &record.log else {
        return Err(exit::coded(
            1,
            format!(
                "{} runs in the foreground (process {}): it says on its terminal what it does, and keeps no log; with --detach it does",
                found.name, record.holder.pid
            ),
        ));
    };
    let could_not = || format!("could not read the log {}", path.display());
    if !arguments.follow {
        let text = last_lines(path, arguments.lines).with_context(could_not)?;
        return print(&text);
    }
    let mut follower = Follower::behind(path, arguments.lines).with_context(could_not)?;
    loop {
        // Asked before it is read: what it says last is there by then.
        let lives = Found::at(found.folder.clone()).lives();
        let text = follower.read().with_context(could_not)?;
        print(&text)?;
        if !lives {
            return Ok(());
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Text from elsewhere cannot steer the terminal; into a file or a pipe it goes as it is.
fn print(text: &[u8]) -> Result<()> {
    let mut out = Out::new();
    if std::io::stdout().is_terminal() {
        for line in text.split_inclusive(|it| *it == b'\n') {
            let line = String::from_utf8_lossy(line);
            let (line, end) = match line.strip_suffix('\n') {
                Some(line) => (line, "\n"),
                None => (&*line, ""),
            };
            write!(out, "{}{end}", printable(line))?;
        }
    } else {
        out.write_all(text)?;
    }
    Ok(out.flush()?)
}
