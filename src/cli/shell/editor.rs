//! The line editor: reedline, configured for SQL. What SQL needs of it stands in [`SqlAid`], what was typed before in [`super::history`].

use super::aid::SqlAid;
use crossterm::event::{KeyCode, KeyModifiers};
use reedline::{
    Color, ColumnarMenu, DefaultHinter, EditCommand, EditMode, Emacs, FileBackedHistory, InputMode,
    Keybindings, MenuBuilder, PromptEditMode, PromptHistorySearch, PromptHistorySearchStatus,
    Reedline, ReedlineEvent, ReedlineMenu, ReedlineRawEvent, Signal, default_emacs_keybindings,
};
use std::borrow::Cow;
use std::io;

const MENU: &str = "completion";
/// Characters of names besides letters and digits: a menu stays open while they are typed.
const WORD_CHARS: &str = "_.\\";
/// Entries that begin with it are not kept in the history.
const UNKEPT: &str = " ";

/// How input ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    Text(String),
    /// With Ctrl+D on an empty line.
    Ended,
}

/// Reads statements and commands from a terminal.
pub struct Editor {
    reedline: Reedline,
}

impl Editor {
    pub fn new(aid: &SqlAid, history: FileBackedHistory, colors: bool) -> Editor {
        let menu = ColumnarMenu::default()
            .with_name(MENU)
            .with_marker("")
            .with_word_chars(WORD_CHARS)
            // Names behind the cursor say what fits, too.
            .with_input_mode(InputMode::FullBuffer)
            .with_text_style(Color::Default.normal())
            .with_selected_text_style(Color::Default.reverse())
            .with_match_text_style(Color::Default.normal())
            .with_selected_match_text_style(Color::Default.reverse())
            .with_description_text_style(Color::Default.dimmed());
        let reedline = Reedline::create()
            .with_ansi_colors(colors)
            .use_bracketed_paste(true)
            .with_history(Box::new(history))
            .with_history_exclusion_prefix(Some(UNKEPT.to_owned()))
            .with_completer(Box::new(aid.clone()))
            .with_highlighter(Box::new(aid.clone()))
            .with_validator(Box::new(aid.clone()))
            .with_menu(ReedlineMenu::EngineCompleter(Box::new(menu)))
            .with_quick_completions(true)
            .with_partial_completions(true)
            .with_edit_mode(Box::new(SafePaste(Emacs::new(keybindings()))));
        // Without colours a hint looks like what was typed.
        let hinter = DefaultHinter::default().with_style(Color::Default.dimmed());
        Editor {
            reedline: match colors {
                true => reedline.with_hinter(Box::new(hinter)),
                false => reedline,
            },
        }
    }

    /// Reads one input, which begins with a text that can be edited. Keys that follow its end are for the next one.
    ///
    /// # Errors
    /// If there is no terminal, or it is gone.
    pub fn read(&mut self, prompt: &Prompt, begun: &str) -> io::Result<Input> {
        if !begun.is_empty() {
            let begun = EditCommand::InsertString(begun.to_owned());
            self.reedline.run_edit_commands(&[begun]);
        }
        loop {
            match self.reedline.read_line(prompt)? {
                Signal::Success(text) => return Ok(Input::Text(text)),
                Signal::CtrlD => return Ok(Input::Ended),
                // No key gives another one.
                _ => {}
            }
        }
    }

    /// Writes what was typed to the file of the history.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn keep(&mut self) -> io::Result<()> {
        self.reedline.sync_history()
    }
}

/// Those of Emacs, with Tab for completion.
fn keybindings() -> Keybindings {
    let mut keys = default_emacs_keybindings();
    let none = KeyModifiers::NONE;
    let complete = vec![
        ReedlineEvent::Menu(MENU.to_owned()),
        ReedlineEvent::MenuNext,
    ];
    keys.add_binding(none, KeyCode::Tab, ReedlineEvent::UntilFound(complete));
    keys.add_binding(
        KeyModifiers::SHIFT,
        KeyCode::BackTab,
        ReedlineEvent::MenuPrevious,
    );
    // Clears the line where it stands. `ReedlineEvent::CtrlC` would end the input, and keys that were read along with it would be lost.
    let clear = vec![
        ReedlineEvent::Esc,
        ReedlineEvent::Edit(vec![EditCommand::Clear]),
    ];
    let cancel = vec![ReedlineEvent::Multiple(clear), ReedlineEvent::Esc];
    let control = KeyModifiers::CONTROL;
    keys.add_binding(
        control,
        KeyCode::Char('c'),
        ReedlineEvent::UntilFound(cancel),
    );
    // `\e` edits in $EDITOR.
    keys.remove_binding(control, KeyCode::Char('o'));
    keys
}

/// Keys of Emacs. What is pasted cannot steer the terminal when it is drawn.
struct SafePaste(Emacs);

impl EditMode for SafePaste {
    fn parse_event(&mut self, event: ReedlineRawEvent) -> ReedlineEvent {
        match self.0.parse_event(event) {
            ReedlineEvent::Edit(commands) => {
                let commands = commands.into_iter().map(|it| match it {
                    EditCommand::InsertString(text) => EditCommand::InsertString(drawable(&text)),
                    other => other,
                });
                ReedlineEvent::Edit(commands.collect())
            }
            other => other,
        }
    }

    fn edit_mode(&self) -> PromptEditMode {
        self.0.edit_mode()
    }
}

/// A text without control characters other than tabs and line ends; in place of each stands U+FFFD.
pub fn drawable(text: &str) -> String {
    let drawable = |it: char| match it {
        '\n' | '\t' => it,
        it if it.is_control() => char::REPLACEMENT_CHARACTER,
        it => it,
    };
    text.chars().map(drawable).collect()
}

/// What stands before the first line of an input, and before the others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prompt {
    first: String,
    others: String,
}

impl Prompt {
    /// `live` becomes `live> `, and lines that follow are aligned with the first.
    pub fn new(name: &str) -> Prompt {
        let first = format!("{name}> ");
        let others = format!("{:>width$}", "-> ", width = first.chars().count());
        Prompt { first, others }
    }
}

impl reedline::Prompt for Prompt {
    fn render_prompt_left(&self) -> Cow<'_, str> {
        Cow::Borrowed(&self.first)
    }

    fn render_prompt_right(&self) -> Cow<'_, str> {
        Cow::Borrowed("")
    }

    fn render_prompt_indicator(&self, _mode: PromptEditMode) -> Cow<'_, str> {
        Cow::Borrowed("")
    }

    fn render_prompt_multiline_indicator(&self) -> Cow<'_, str> {
        Cow::Borrowed(&self.others)
    }

    fn render_prompt_history_search_indicator(&self, search: PromptHistorySearch) -> Cow<'_, str> {
        let state = match search.status {
            PromptHistorySearchStatus::Passing => "search",
            PromptHistorySearchStatus::Failing => "nothing found",
        };
        Cow::Owned(format!("({state}: {}) ", search.term))
    }

    fn get_prompt_color(&self) -> Color {
        Color::LightBlue
    }

    fn get_prompt_multiline_color(&self) -> Color {
        Color::DarkGray
    }
}

/// While it is held, the next prompt shows what is typed ahead, and the terminal does not; and Enter stays the key it is. Terminals turn it
/// into a line feed otherwise, which the editor takes for Ctrl+J, and drops whatever follows it.
pub struct TypedAhead {
    before: Option<libc::termios>,
}

impl TypedAhead {
    /// Without a terminal it does nothing.
    pub fn keep() -> TypedAhead {
        let mut before = std::mem::MaybeUninit::<libc::termios>::uninit();
        // SAFETY: the pointer is to a place of that type, which is written if the call succeeds.
        if unsafe { libc::tcgetattr(libc::STDIN_FILENO, before.as_mut_ptr()) } != 0 {
            return TypedAhead { before: None };
        }
        // SAFETY: the call succeeded.
        let before = unsafe { before.assume_init() };
        let mut during = before;
        during.c_iflag &= !libc::ICRNL;
        during.c_lflag &= !libc::ECHO;
        set(&during);
        TypedAhead {
            before: Some(before),
        }
    }
}

impl Drop for TypedAhead {
    fn drop(&mut self) {
        if let Some(before) = &self.before {
            set(before);
        }
    }
}

fn set(to: &libc::termios) {
    // SAFETY: the pointer is to a whole value. A terminal that is gone needs nothing.
    let _ = unsafe { libc::tcsetattr(libc::STDIN_FILENO, libc::TCSANOW, to) };
}

#[cfg(test)]
mod tests;
