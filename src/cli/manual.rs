//! `man` and `completions`: manual pages and completion scripts, made of what clap knows of the commands.
//!
//! A page is laid out by `clap_mangen` but for what stands behind the options: examples keep their lines, and the first page has the
//! exit codes. Packages write both while they are built, so that neither can differ from the program beside it.

use super::print::Out;
use super::{command, exit};
use anyhow::{Context, Result};
use clap::{Args, Command};
use clap_complete::Shell;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};
use std::io::Write;
use std::path::PathBuf;

#[derive(Args)]
pub struct Arguments {
    /// Command whose page is printed, such as `run` or `token new`; without one that of tidelake itself.
    command: Vec<String>,
    /// Write the pages of all commands into this folder instead.
    #[arg(long, value_name = "FOLDER", conflicts_with = "command")]
    out: Option<PathBuf>,
}

pub fn run(arguments: &Arguments) -> Result<()> {
    let root = built();
    if let Some(folder) = &arguments.out {
        std::fs::create_dir_all(folder)
            .with_context(|| format!("could not make the folder {}", folder.display()))?;
        for (file, page) in pages(&root)? {
            let path = folder.join(file);
            std::fs::write(&path, page)
                .with_context(|| format!("could not write {}", path.display()))?;
        }
        return Ok(());
    }
    let mut command = &root;
    for name in &arguments.command {
        command = command.find_subcommand(name).ok_or_else(|| {
            exit::coded(
                exit::USAGE,
                format!("{} has no command `{name}`", display_name(command, ' ')),
            )
        })?;
    }
    Out::new().write_all(&page(command)?)?;
    Ok(())
}

/// Prints the script with which a shell completes commands and options.
pub fn completions(shell: Shell) -> Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command::definition(), "tidelake", &mut script);
    Out::new().write_all(&script)?;
    Ok(())
}

/// All commands, each with the names of those above it.
fn built() -> Command {
    let mut root = command::definition().disable_help_subcommand(true);
    root.build();
    root
}

/// File names and pages of a command and all below it.
fn pages(command: &Command) -> Result<Vec<(String, Vec<u8>)>> {
    let mut all = vec![(format!("{}.1", display_name(command, '-')), page(command)?)];
    for sub in command.get_subcommands().filter(|it| !it.is_hide_set()) {
        all.extend(pages(sub)?);
    }
    Ok(all)
}

fn page(command: &Command) -> Result<Vec<u8>> {
    let is_root = command.get_name() == "tidelake";
    let man = Man::new(command.clone())
        .source(format!("Tidelake {}", env!("CARGO_PKG_VERSION")))
        .manual("Tidelake");
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    if command.get_subcommands().any(|it| !it.is_hide_set()) {
        man.render_subcommands_section(&mut page)?;
    }
    let mut behind = Roff::new();
    if let Some(text) = command.get_after_help() {
        notes(&mut behind, &text.to_string());
    }
    if is_root {
        exit_codes(&mut behind);
        behind.control("SH", ["FILES"]);
        behind.control("TP", []);
        behind.text([bold("tidelake.toml")]);
        behind.text([roman(
            "Settings, under the names of the long flags; read from where the command runs, unless --config names another file.",
        )]);
    } else {
        behind.control("SH", ["SEE ALSO"]);
        behind.text([bold("tidelake"), roman("(1)")]);
    }
    behind.to_writer(&mut page)?;
    Ok(page)
}

/// What stands behind the options: paragraphs, of which those that begin with `Examples:` keep their lines.
fn notes(to: &mut Roff, text: &str) {
    let paragraphs = text.split("\n\n");
    let (examples, others): (Vec<&str>, Vec<&str>) =
        paragraphs.partition(|it| it.starts_with("Examples:\n"));
    if !others.is_empty() {
        to.control("SH", ["NOTES"]);
    }
    for paragraph in others {
        for line in paragraph.lines() {
            to.control("PP", []);
            to.text([roman(line)]);
        }
    }
    if !examples.is_empty() {
        to.control("SH", ["EXAMPLES"]);
    }
    for paragraph in examples {
        to.control("nf", []);
        for line in paragraph.lines().skip(1) {
            to.text([roman(line.trim_start())]);
        }
        to.control("fi", []);
    }
}

fn exit_codes(to: &mut Roff) {
    to.control("SH", ["EXIT STATUS"]);
    for (code, meaning) in exit::MEANINGS {
        to.control("TP", []);
        to.text([bold(code.to_string())]);
        to.text([roman(meaning)]);
    }
}

/// The command with those above it: `tidelake-token-new`.
fn display_name(command: &Command, between: char) -> String {
    let name = command.get_display_name().unwrap_or(command.get_name());
    name.replace('-', &between.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The page as text, without what only a formatter reads.
    fn plain(page: &[u8]) -> String {
        String::from_utf8(page.to_vec())
            .unwrap()
            .replace("\\-", "-")
            .replace("\\*(Aq", "'")
            .replace("\\(aq", "'")
            .replace("\\fB", "")
            .replace("\\fI", "")
            .replace("\\fR", "")
    }

    #[test]
    fn every_command_has_a_page_with_its_options_and_examples() {
        fn check(command: &Command, all: &[(String, Vec<u8>)]) {
            let file = format!("{}.1", display_name(command, '-'));
            let (_, page) = all.iter().find(|it| it.0 == file).expect(&file);
            let page = plain(page);
            assert!(page.contains(".TH tidelake"), "{file}: {page}");
            for option in command.get_arguments().filter(|it| !it.is_hide_set()) {
                if let Some(long) = option.get_long() {
                    assert!(page.contains(&format!("--{long}")), "{file}: --{long}");
                }
                if let Some(name) = option.get_env() {
                    let name = name.to_str().unwrap();
                    assert!(page.contains(name), "{file}: {name}");
                }
            }
            let examples = command.get_after_help().map(ToString::to_string);
            for line in examples.iter().flat_map(|it| it.lines()) {
                let words = line.split_whitespace().next().unwrap_or_default();
                assert!(
                    words.ends_with(':') || page.contains(words),
                    "{file}: {line}"
                );
            }
            for sub in command.get_subcommands() {
                check(sub, all);
            }
        }
        let root = built();
        let all = pages(&root).unwrap();
        assert!(all.iter().any(|it| it.0 == "tidelake-token-new.1"));
        check(&root, &all);
    }

    #[test]
    fn the_first_page_tells_every_exit_code() {
        let page = plain(&page(&built()).unwrap());
        for (code, meaning) in exit::MEANINGS {
            assert!(page.contains(&format!("\n{code}\n")), "{code}");
            assert!(page.contains(meaning), "{meaning}");
        }
    }

    #[test]
    fn every_shell_completes_every_command() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut command::definition(), "tidelake", &mut script);
            let script = String::from_utf8(script).unwrap();
            for command in command::definition().get_subcommands() {
                assert!(
                    script.contains(command.get_name()),
                    "{shell}: {}",
                    command.get_name()
                );
            }
            assert!(script.contains("commit-interval"), "{shell}");
        }
    }
}
