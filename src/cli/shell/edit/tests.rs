//! What keys do, without a terminal.

use super::*;

/// A language of words that end with `;`.
struct Words(&'static [&'static str]);

impl Aid for Words {
    fn candidates(&self, text: &str, cursor: usize) -> Candidates {
        let from = text[..cursor].rfind(' ').map_or(0, |it| it + 1);
        let fitting = self
            .0
            .iter()
            .filter(|it| it.starts_with(&text[from..cursor]));
        let all = fitting.map(|it| Candidate {
            text: (*it).to_owned(),
            about: "word".to_owned(),
        });
        Candidates {
            from,
            all: all.collect(),
        }
    }

    fn is_complete(&self, text: &str) -> bool {
        text.ends_with(';')
    }

    fn styles(&self, _text: &str) -> Vec<(Range<usize>, Style)> {
        Vec::new()
    }
}

/// Types texts and keys into an empty line; `None` is where nothing has ended.
fn typed(before: &[&str], keys: &[Key]) -> (String, Option<Input>) {
    let mut history = History::default();
    for entry in before {
        history.add(entry).unwrap();
    }
    let aid = Words(&["select", "selected", "from", "traffic", "traffic_1m"]);
    let mut editor = Editor::new(&history, &aid, "");
    for key in keys {
        match editor.press(key.clone()) {
            Pressed::End(input) => return (editor.line.text().to_owned(), Some(input)),
            Pressed::More | Pressed::Clear => {}
        }
    }
    (editor.line.text().to_owned(), None)
}

fn text(it: &str) -> Key {
    Key::Paste(it.to_owned())
}

#[test]
fn enter_ends_what_is_complete() {
    let (_, input) = typed(&[], &[text("select 1;"), Key::Enter]);
    assert_eq!(input, Some(Input::Text("select 1;".to_owned())));
    let (line, input) = typed(&[], &[text("select"), Key::Enter, text("1;")]);
    assert_eq!((line.as_str(), input), ("select\n1;", None));
    let (line, _) = typed(&[], &[text("a;"), Key::NewLine]);
    assert_eq!(line, "a;\n");
}

#[test]
fn control_keys_end_input() {
    assert_eq!(
        typed(&[], &[text("x"), Key::Cancel]).1,
        Some(Input::Cancelled)
    );
    assert_eq!(typed(&[], &[Key::EndOfInput]).1, Some(Input::Ended));
    let (line, input) = typed(&[], &[text("ab"), Key::Left, Key::EndOfInput]);
    assert_eq!((line.as_str(), input), ("a", None));
}

#[test]
fn tab_completes_as_far_as_it_is_sure_and_then_chooses() {
    assert_eq!(typed(&[], &[text("f"), Key::Tab]).0, "from");
    assert_eq!(typed(&[], &[text("a tr"), Key::Tab]).0, "a traffic");
    assert_eq!(
        typed(&[], &[text("tr"), Key::Tab, Key::Tab, Key::Tab]).0,
        "traffic_1m"
    );
    assert_eq!(
        typed(&[], &[text("tr"), Key::Tab, Key::BackTab]).0,
        "traffic_1m"
    );
    let chosen = [
        text("tr"),
        Key::Tab,
        Key::Tab,
        Key::Tab,
        Key::Enter,
        Key::Char(';'),
        Key::Enter,
    ];
    assert_eq!(
        typed(&[], &chosen).1,
        Some(Input::Text("traffic_1m;".to_owned()))
    );
    assert_eq!(typed(&[], &[text("nothing"), Key::Tab]).0, "nothing");
}

#[test]
fn what_was_typed_before_comes_again() {
    let before = ["one;", "two\nlines;"];
    assert_eq!(typed(&before, &[Key::Up]).0, "two\nlines;");
    // Up within the text first.
    assert_eq!(typed(&before, &[Key::Up, Key::Up]).0, "two\nlines;");
    assert_eq!(typed(&before, &[Key::Up, Key::Up, Key::Up]).0, "one;");
    assert_eq!(
        typed(&before, &[text("mine"), Key::Up, Key::Down]).0,
        "mine"
    );
    let back = [Key::Up, Key::Up, Key::Up, Key::Down, Key::Down, Key::Down];
    assert_eq!(typed(&before, &back).0, "");
}

#[test]
fn a_hint_is_taken_with_the_right_key() {
    assert_eq!(typed(&["one;"], &[text("o"), Key::Right]).0, "one;");
    assert_eq!(typed(&["one;"], &[text("x"), Key::Right]).0, "x");
    assert_eq!(typed(&["one;"], &[text("o"), Key::Left, Key::Right]).0, "o");
}

#[test]
fn the_history_is_searched() {
    let before = ["select a;", "select b;", "other;"];
    let search = |keys: &[Key]| {
        let keys = [&[text("draft"), Key::Search], keys].concat();
        typed(&before, &keys).0
    };
    let term = "sel".chars().map(Key::Char).collect::<Vec<_>>();
    assert_eq!(search(&term), "select b;");
    assert_eq!(search(&[&term[..], &[Key::Search]].concat()), "select a;");
    assert_eq!(search(&[&term[..], &[Key::Enter]].concat()), "select b;");
    assert_eq!(search(&[&term[..], &[Key::Escape]].concat()), "draft");
    assert_eq!(
        search(&[&term[..], &[Key::Backspace, Key::Home, Key::Char('x')]].concat()),
        "xselect b;"
    );
}

#[test]
fn what_is_seen_is_of_the_moment() {
    let mut history = History::default();
    history.add("traffic;").unwrap();
    let aid = Words(&["traffic", "traffic_1m"]);
    let mut editor = Editor::new(&history, &aid, "tr");
    assert_eq!(editor.scene("> ", ". ", false).hint, "affic;");
    editor.press(Key::Tab);
    editor.press(Key::Tab);
    let scene = editor.scene("> ", ". ", false);
    assert_eq!((scene.hint, scene.below.len()), ("", 2));
    assert_eq!(
        scene.below[0],
        ("  traffic     word ".to_owned(), Some(REVERSE))
    );
    editor.press(Key::Char(';'));
    assert_eq!(editor.scene("> ", ". ", false).below, []);
}
