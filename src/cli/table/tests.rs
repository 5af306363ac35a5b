//! Tables of every width, whatever is in them.

use super::*;

/// Columns by name and kind; cells as JSON.
fn table(columns: &[(&str, Kind)], rows: &[&[&str]]) -> Table {
    let columns = columns
        .iter()
        .map(|(name, kind)| ((*name).to_owned(), *kind));
    let cell = |it: &&str| Cell::of_json(it).expect("it is JSON");
    let rows = rows.iter().map(|it| it.iter().map(cell).collect());
    Table::new(columns, rows.collect())
}

fn look(columns: usize, expanded: Expanded) -> Look {
    Look {
        columns: Some(columns),
        expanded,
        colors: false,
    }
}

fn text(table: &Table, columns: usize) -> String {
    table.laid(look(columns, Expanded::Off)).text
}

#[test]
fn numbers_stand_at_the_right() {
    let table = table(
        &[
            ("endpoint", Kind::Text),
            ("n", Kind::Number),
            ("p95", Kind::Double),
        ],
        &[
            &["\"/api/users\"", "1200", "210.97435897435895"],
            &["\"/\"", "7", "8.5"],
        ],
    );
    let whole = table.laid(Look::default());
    insta::assert_snapshot!(whole.text, @r"
    endpoint       n      p95
    ──────────  ────  ───────
    /api/users  1200  210.974
    /              7    8.500
    ");
    assert_eq!(text(&table, 25), whole.text);
    assert_eq!((whole.columns, whole.is_cut), (3, false));
}

#[test]
fn nothing_is_neither_empty_nor_its_name() {
    let table = table(
        &[("a", Kind::Text), ("b", Kind::Text), ("c", Kind::Number)],
        &[
            &["null", "\"\"", "1"],
            &["\"NULL\"", "null", "null"],
            &["\"\"", "\"\"", "null"],
        ],
    );
    insta::assert_snapshot!(table.laid(Look::default()).text, @r#"
    a       b        c
    ──────  ────  ────
    NULL             1
    "NULL"  NULL  NULL
                  NULL
    "#);
}

#[test]
fn a_row_is_one_line_of_a_terminal() {
    let long = "\"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36\"";
    let table = table(
        &[("agent", Kind::Text), ("n", Kind::Number)],
        &[&[long, "7"], &["\"curl\"", "12"]],
    );
    insta::assert_snapshot!(text(&table, 30), @r"
    agent                        n
    ──────────────────────────  ──
    Mozilla/5.0 (X11; Linux x…   7
    curl                        12
    ");
    assert!(table.laid(look(30, Expanded::Off)).is_cut);
    assert!(
        table
            .laid(Look::default())
            .text
            .contains("AppleWebKit/537.36  ")
    );
}

#[test]
fn columns_of_the_middle_are_left_out() {
    let names: Vec<String> = (0..12).map(|it| format!("column_{it}")).collect();
    let columns: Vec<(&str, Kind)> = names.iter().map(|it| (it.as_str(), Kind::Number)).collect();
    let row: Vec<&str> = vec!["12345678"; 12];
    let laid = table(&columns, &[&row]).laid(look(60, Expanded::Off));
    insta::assert_snapshot!(laid.text, @r"
    column_0  column_1  column_2  …  column_10  column_11
    ────────  ────────  ────────  ─  ─────────  ─────────
    12345678  12345678  12345678  …   12345678   12345678
    ");
    assert_eq!(laid.columns, 5);
}

#[test]
fn names_of_a_family_stay_apart() {
    let table = table(
        &[
            ("response_time_p50", Kind::Number),
            ("response_time_p95", Kind::Number),
        ],
        &[&["1", "2"]],
    );
    insta::assert_snapshot!(text(&table, 22), @r"
    respo…_p50  respo…_p95
    ──────────  ──────────
             1           2
    ");
}

#[test]
fn a_block_has_all_of_a_row() {
    let table = table(
        &[
            ("first", Kind::Number),
            ("second", Kind::Text),
            ("third", Kind::Text),
        ],
        &[
            &["1234567890", "null", "\"東京\""],
            &["1", "\"\"", "\"12345678901234567890\""],
        ],
    );
    for expanded in [Expanded::On, Expanded::Auto] {
        insta::allow_duplicates! {
            insta::assert_snapshot!(table.laid(look(20, expanded)).text, @r"
            ─ row 1 ────────────
            first   1234567890
            second  NULL
            third   東京
            ─ row 2 ────────────
            first   1
            second
            third   123456789012
                    34567890
            ");
        }
    }
    let beside = table.laid(look(60, Expanded::Auto)).text;
    assert!(
        beside.starts_with("     first  second  third\n"),
        "{beside}"
    );
}

#[test]
fn no_line_is_wider_than_the_terminal() {
    let kinds = [Kind::Text, Kind::Number, Kind::Time, Kind::Double];
    for columns in 8..160 {
        for used in 1..14 {
            let names: Vec<String> = (0..used).map(|it| "n東".repeat(1 + it * 2)).collect();
            let wide = |at: usize| "東x".repeat(at * 3 + 1);
            let cells: Vec<String> = (0..used)
                .map(|at| match kinds[at % kinds.len()] {
                    Kind::Text => format!("\"{}\"", wide(at)),
                    Kind::Time => "\"2026-01-31T12:00:00Z\"".to_owned(),
                    Kind::Number => format!("{}", 10_u64.pow(at as u32)),
                    Kind::Double => format!("{}.25", 10_u64.pow(at as u32)),
                })
                .collect();
            let shape: Vec<(&str, Kind)> = names
                .iter()
                .enumerate()
                .map(|(at, it)| (it.as_str(), kinds[at % kinds.len()]))
                .collect();
            let row: Vec<&str> = cells.iter().map(String::as_str).collect();
            let table = table(&shape, &[&row, &row]);
            for expanded in [Expanded::Off, Expanded::On, Expanded::Auto] {
                let laid = table.laid(look(columns, expanded));
                for line in laid.text.lines() {
                    assert!(line.width() <= columns, "{columns}: {line}");
                    assert!(!line.ends_with(' '), "{columns}: {line:?}");
                }
                if expanded == Expanded::Off {
                    // Names, rule, and a line for each row.
                    assert_eq!(laid.text.lines().count(), 4, "{}", laid.text);
                    assert!(1 <= laid.columns && laid.columns <= used);
                } else if laid.text.starts_with('─') {
                    let values = laid.text.chars().filter(|it| *it == 'x').count();
                    let all = cells.iter().flat_map(|it| it.chars());
                    assert_eq!(values, 2 * all.filter(|it| *it == 'x').count());
                }
            }
        }
    }
}

#[test]
fn a_plan_has_its_lines() {
    let table = table(
        &[("plan_type", Kind::Text), ("plan", Kind::Text)],
        &[
            &["\"logical_plan\"", "\"Filter\\n  Scan\\n\""],
            &["\"physical_plan\"", "\"FilterExec\""],
        ],
    );
    let expect = "logical_plan\nFilter\n  Scan\n\nphysical_plan\nFilterExec\n";
    assert_eq!(table.plan().as_deref(), Some(expect));
    assert_eq!(Table::default().plan(), None);
}

#[test]
fn colors_change_no_width() {
    let table = table(
        &[("a", Kind::Text), ("b", Kind::Number)],
        &[&["null", "1"], &["\"x\"", "null"]],
    );
    let plain = table.laid(look(40, Expanded::Off)).text;
    let colors = Look {
        colors: true,
        ..look(40, Expanded::Off)
    };
    let colored = table.laid(colors).text;
    assert!(colored.contains("\u{1b}[1ma\u{1b}[0m"), "{colored:?}");
    assert!(colored.contains("\u{1b}[2mNULL\u{1b}[0m"), "{colored:?}");
    let blocks = table.laid(Look {
        expanded: Expanded::On,
        ..colors
    });
    let expect = "\u{1b}[2ma\u{1b}[0m  \u{1b}[2mNULL\u{1b}[0m\n\u{1b}[2mb\u{1b}[0m  1\n";
    assert!(blocks.text.contains(expect), "{:?}", blocks.text);
    let stripped = ["\u{1b}[0m", "\u{1b}[1m", "\u{1b}[2m"]
        .iter()
        .fold(colored, |text, it| text.replace(it, ""));
    assert_eq!(stripped, plain);
}

#[test]
fn whole_lines_go_into_a_pipe() {
    // Wider than the library counts.
    let (first, second) = ("x".repeat(70_000), "東".repeat(40_000));
    let rows = [format!("\"{first}\""), format!("\"{second}\"")];
    let table = table(
        &[("a", Kind::Text), ("n", Kind::Number), ("b", Kind::Text)],
        &[&[&rows[0], "1", "null"], &["\"y\"", "2", &rows[1]]],
    );
    let text = table.laid(Look::default()).text;
    let lines: Vec<Vec<&str>> = text
        .lines()
        .map(|it| it.split_whitespace().collect())
        .collect();
    assert_eq!(lines.len(), 4);
    assert_eq!(lines[2], [&first, "1", "NULL"]);
    assert_eq!(lines[3], ["y", "2", &second]);
    let blocks = table.laid(Look {
        expanded: Expanded::On,
        ..Look::default()
    });
    let lines: Vec<&str> = blocks.text.lines().collect();
    assert_eq!(lines.len(), 8);
    assert_eq!(lines[1].split_whitespace().last(), Some(first.as_str()));
}

#[test]
fn texts_stand_in_columns() {
    let rows = [["東京", "a", "x"], ["b", "", "y\nz"]];
    let lines = aligned(rows.map(|it| it.map(str::to_owned)));
    assert_eq!(lines, ["東京  a  x", "b        y z"]);
    assert_eq!(aligned::<2>([]), Vec::<String>::new());
}
