//! What keys and pasted texts become, without a terminal.

use super::*;
use crossterm::event::{Event, KeyEvent};

fn event(event: Event) -> ReedlineEvent {
    let event = ReedlineRawEvent::try_from(event).expect("an event");
    SafePaste(Emacs::new(keybindings())).parse_event(event)
}

#[test]
fn nothing_that_is_pasted_steers_the_terminal() {
    let pasted = event(Event::Paste("SELECT\r\n\t'a\u{1b}[2J\u{9b}b'".to_owned()));
    let text = "SELECT\n\t'a\u{fffd}[2J\u{fffd}b'".to_owned();
    assert_eq!(
        pasted,
        ReedlineEvent::Edit(vec![EditCommand::InsertString(text)])
    );
}

#[test]
fn cancelling_ends_no_input() {
    let control = |it| {
        event(Event::Key(KeyEvent::new(
            KeyCode::Char(it),
            KeyModifiers::CONTROL,
        )))
    };
    let ReedlineEvent::UntilFound(events) = control('c') else {
        panic!("Ctrl+C is {:?}", control('c'));
    };
    assert!(!events.contains(&ReedlineEvent::CtrlC));
    assert_eq!(control('d'), ReedlineEvent::CtrlD);
    assert_eq!(control('l'), ReedlineEvent::ClearScreen);
    assert_eq!(control('r'), ReedlineEvent::SearchHistory);
    assert_eq!(control('o'), ReedlineEvent::None);
}

#[test]
fn lines_stand_under_each_other() {
    use reedline::Prompt as _;
    let prompt = Prompt::new("12:00:00.0");
    assert_eq!(prompt.render_prompt_left(), "12:00:00.0> ");
    assert_eq!(prompt.render_prompt_multiline_indicator(), "         -> ");
}
