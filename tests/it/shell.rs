//! `sql` and `tail` as a person in a shell meets them: scripts, tables that fit the terminal, errors with their place, and exit codes.

use crate::program::{Ended, Running, spawn, tidelake};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const DATAFLOW: &str = "
CREATE SOURCE s (at TIMESTAMP NOT NULL, k TEXT, n BIGINT, x DOUBLE, WATERMARK FOR at AS at - INTERVAL '10' SECOND) FORMAT JSON;
CREATE TABLE raw AS SELECT * FROM s;
CREATE MATERIALIZED VIEW per_k AS SELECT k, count(*) AS records, sum(x) AS total FROM raw GROUP BY k;
";

const LIMIT: Duration = Duration::from_secs(120);

fn record(k: &str, n: u32, x: f64) -> String {
    format!("{{\"at\":\"2026-01-31T12:00:00Z\",\"k\":\"{k}\",\"n\":{n},\"x\":{x}}}\n")
}

/// A running server over a file that grows.
struct Place {
    folder: tempfile::TempDir,
    server: Running,
    address: String,
}

impl Place {
    fn start() -> Place {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("input")).unwrap();
        std::fs::write(folder.path().join("dataflow.sql"), DATAFLOW).unwrap();
        let all = [
            record("a", 1, 0.25),
            record("b", 22, 0.125),
            record("a", 333, 0.5),
        ];
        std::fs::write(folder.path().join("input/part-0.jsonl"), all.concat()).unwrap();
        let mut command = tidelake(&["run", ".", "--input", "input", "--lake", "lake"]);
        command.args([
            "--listen",
            "127.0.0.1:0",
            "--commit-interval",
            "0.5",
            "--query-rows",
            "12",
        ]);
        let mut server = spawn(command.current_dir(folder.path()));
        let address = server.address();
        let place = Place {
            folder,
            server,
            address,
        };
        let stored = "SELECT count(*) AS n FROM lake.raw";
        place.until(stored, "n\r\n3\r\n");
        place.until("SELECT sum(records) AS n FROM per_k", "n\r\n3\r\n");
        place
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Asks until this is the answer.
    fn until(&self, query: &str, expect: &str) {
        let limit = Instant::now() + LIMIT;
        loop {
            let ended = self.sql(&[query, "-o", "csv"]);
            if ended.printed == expect {
                return;
            }
            assert!(Instant::now() < limit, "{query}: {ended:?}");
        }
    }

    fn asking(&self, arguments: &[&str]) -> Command {
        let mut command = tidelake(&["sql", "--server", &self.address]);
        command.args(arguments).current_dir(self.path());
        command
    }

    fn sql(&self, arguments: &[&str]) -> Ended {
        Ended::of(&mut self.asking(arguments))
    }

    fn append(&self, record: &str) {
        let file = self.path().join("input/part-0.jsonl");
        let mut file = std::fs::OpenOptions::new().append(true).open(file).unwrap();
        file.write_all(record.as_bytes()).unwrap();
    }
}

/// What a script on standard input prints and how it ends.
fn of_input(command: &mut Command, script: &str) -> (String, String, Option<i32>) {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(script.as_bytes())
        .unwrap();
    let ended = child.wait_with_output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (text(ended.stdout), text(ended.stderr), ended.status.code())
}

#[test]
fn a_shell_asks_follows_and_is_told_the_truth() {
    let place = Place::start();

    let listed = place.sql(&["SHOW TABLES; DESCRIBE lake.raw"]);
    listed.expect(0, " rows, ");
    for line in [
        "per_k live view 2 NULL",
        "lake.raw lake table NULL NULL",
        "at timestamp time NULL NULL",
    ] {
        let words = |it: &str| it.split_whitespace().eq(line.split(' '));
        assert!(listed.printed.lines().any(words), "{line}: {listed:?}");
    }

    // Numbers to the right, with as many digits as one reads; the epoch as a time; one row is a row.
    let table = place.sql(&["SELECT k, records, total FROM per_k ORDER BY k"]);
    table.expect(0, "2 rows, ");
    assert!(table.said.contains(" ms, as of "), "{table:?}");
    assert_eq!(
        table.printed,
        "k  records  total\n─  ───────  ─────\na        2  0.750\nb        1  0.125\n"
    );
    let one = place.sql(&["SELECT k FROM per_k WHERE k = 'b'"]);
    one.expect(0, "1 row, ");

    // As wide as it may be: a row is a line, and all of it a block.
    let long = "SELECT k, 'one two three four five six seven eight nine' AS words, n FROM lake.raw WHERE n = 22";
    let narrow = Ended::of(place.asking(&[long]).env("COLUMNS", "40"));
    let lines = [
        "k  words                               n",
        "─  ─────────────────────────────────  ──",
        "b  one two three four five six seve…  22\n",
    ];
    assert_eq!(narrow.printed, lines.join("\n"));
    narrow.expect(0, "; -x shows all of a row");
    let block = Ended::of(
        place
            .asking(&[long, "--expanded=auto"])
            .env("COLUMNS", "40"),
    );
    let lines = [
        "─ row 1 ────────────────────────────────",
        "k      b",
        "words  one two three four five six seven",
        "        eight nine",
        "n      22\n",
    ];
    assert_eq!(block.printed, lines.join("\n"));
    let whole = place.sql(&[long]);
    assert!(whole.printed.contains("seven eight nine  22"), "{whole:?}");

    // A script from a file, from standard input, and what stands wrong in it.
    let script =
        "-- what there is\nSELECT k FROM per_k ORDER BY k;\n\nSELECT count(*) AS n\nFROM lake.raw;";
    std::fs::write(place.path().join("report.sql"), script).unwrap();
    let of_file = place.sql(&["-f", "report.sql"]);
    assert_eq!(of_file.printed, "k\n─\na\nb\n\nn\n─\n3\n");
    let (printed, _, code) = of_input(&mut place.asking(&["-o", "jsonl"]), script);
    assert_eq!(
        (printed.as_str(), code),
        ("{\"k\":\"a\"}\n{\"k\":\"b\"}\n{\"n\":3}\n", Some(0))
    );
    let (printed, said, code) = of_input(
        &mut place.asking(&["-f", "-", "-o", "json"]),
        "SELECT 1 AS n;\n\nSELECT\n foo(k) FROM per_k; SELECT 3 AS n",
    );
    assert_eq!((printed.as_str(), code), ("[{\"n\":1}]\n", Some(65)));
    assert_eq!(
        said,
        "error: statement 2 (line 3): there is no function `foo` (line 4, column 2)\n"
    );
    let wrong = place.sql(&["SELECT k FROM per_k WHERE )"]);
    wrong.expect(65, "Expected: an expression, found: ) (column 27)");
    place
        .sql(&["-f", "nowhere.sql"])
        .expect(2, "could not read nowhere.sql");
    let going_on = place.sql(&[
        "--keep-going",
        "SELECT nope;\nSELECT 1 AS n; \\nope\nSELECT 2 AS n",
    ]);
    going_on.expect(65, "statement 1 (line 1): ");
    assert!(
        going_on
            .said
            .contains("statement 3 (line 2): there is no command \\nope"),
        "{going_on:?}"
    );
    assert!(
        going_on.printed.ends_with("n\n─\n1\n\nn\n─\n2\n"),
        "{going_on:?}"
    );
    place
        .sql(&[" -- nothing"])
        .expect(2, "there is no statement");
    let open = place.sql(&["SELECT 1;\nSELECT 'open"]);
    open.expect(65, "line 2");
    assert_eq!(open.printed, "", "nothing was asked");

    // An answer that is not whole fails the script, and does not end it.
    let cut = place.sql(&["SELECT r.k FROM lake.raw r, lake.raw s, lake.raw; SELECT 1 AS n"]);
    cut.expect(1, "statement 1 (line 1): the answer has more than 12 rows");
    assert!(cut.printed.ends_with("\n\nn\n─\n1\n"), "{cut:?}");

    commands_do_what_they_say(&place);

    // The same of the lake alone.
    let lake = Ended::of(
        tidelake(&[
            "sql",
            "--lake",
            "lake",
            "SHOW TABLES; SELECT n, k FROM raw ORDER BY n",
        ])
        .current_dir(place.path()),
    );
    lake.expect(0, "3 rows, ");
    assert!(lake.printed.contains("lake.raw"), "{lake:?}");
    assert!(
        lake.printed
            .ends_with("\n  n  k\n───  ─\n  1  a\n 22  b\n333  a\n"),
        "{lake:?}"
    );
    let refused = tidelake(&["sql", "--lake", "lake", "SELECT nope FROM raw"])
        .current_dir(place.path())
        .output()
        .unwrap();
    assert_eq!(refused.status.code(), Some(65));
    let nowhere = tidelake(&["sql", "--lake", "nowhere", "SELECT 1"])
        .current_dir(place.path())
        .output()
        .unwrap();
    assert_eq!(nowhere.status.code(), Some(78), "{nowhere:?}");

    tail_shows_changes_as_they_happen(place);
}

/// Commands of the shell, which scripts have as well.
fn commands_do_what_they_say(place: &Place) {
    let described = place.sql(&["\\d per_k"]);
    described.expect(0, "");
    for line in [
        "per_k: live view, 2 rows",
        "records bigint count",
        "Stored as of each commit: lake.per_k",
    ] {
        let words = |it: &str| it.split_whitespace().eq(line.split(' '));
        assert!(
            described.printed.lines().any(words),
            "{line}: {described:?}"
        );
    }
    let wrong = place.sql(&["\\d per_q"]);
    wrong.expect(65, "there is no view or table per_q; did you mean per_k");

    // Files by their names, one answer behind the other where that can be.
    let script = "\\o out.csv\nSELECT 1 AS n; SELECT 2 AS n;\n\\o out.parquet\nSELECT k FROM per_k;\n\\o\nSELECT 3 AS n";
    let written = place.sql(&[script]);
    written.expect(0, " bytes to out.parquet, ");
    assert_eq!(written.printed, "n\n─\n3\n");
    let csv = std::fs::read_to_string(place.path().join("out.csv")).unwrap();
    assert_eq!(csv, "n\r\n1\r\nn\r\n2\r\n");
    let parquet = std::fs::read(place.path().join("out.parquet")).unwrap();
    assert!(parquet.starts_with(b"PAR1") && parquet.ends_with(b"PAR1"));
    place.sql(&["\\o out.txt"]).expect(2, "end it with .csv");

    // Scripts within scripts, and blocks.
    std::fs::write(place.path().join("inner.sql"), "\\x on\nSELECT 1 AS n;").unwrap();
    let included = place.sql(&["\\i inner.sql"]);
    assert!(included.printed.ends_with("\nn  1\n"), "{included:?}");
    std::fs::write(place.path().join("loop.sql"), "\\i loop.sql").unwrap();
    place.sql(&["\\i loop.sql"]).expect(2, "deep at most");
}

/// Live views and stored tables as they were at a time, before the last record came.
fn answers_are_as_of_a_time(place: &Place, before: &str) {
    let live = "SELECT sum(records) AS n FROM per_k";
    let stored = "SELECT count(*) AS n FROM lake.raw";
    place.until(live, "n\r\n4\r\n");
    place.until(stored, "n\r\n4\r\n");
    for query in [live, stored, "SELECT sum(records) AS n FROM lake.per_k"] {
        let then = place.sql(&[query, "--as-of", before, "-o", "csv"]);
        assert_eq!(then.printed, "n\r\n3\r\n", "{query}: {then:?}");
        let table = place.sql(&[&format!("\\asof {before}\n{query}")]);
        assert_eq!(table.printed, "n\n─\n3\n", "{query}: {table:?}");
        table.expect(0, &format!("as of {before}"));
    }
    let lake = [
        "sql",
        "--lake",
        "lake",
        "SELECT count(*) AS n FROM raw",
        "--as-of",
        before,
    ];
    let alone = Ended::of(tidelake(&lake).current_dir(place.path()));
    assert_eq!(alone.printed, "n\n─\n3\n", "{alone:?}");
    for (time, code, said) in [
        ("2020-01-01", 65, "does not know what dataflow"),
        ("2199-01-01", 65, "is not complete yet"),
        ("soon", 2, "write live, -10m"),
    ] {
        place.sql(&[live, "--as-of", time]).expect(code, said);
    }
}

fn tail_shows_changes_as_they_happen(place: Place) {
    let follow = |arguments: &[&str]| {
        let mut command = tidelake(&["tail", "per_k", "--server", &place.address]);
        command
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command.spawn().unwrap()
    };
    let (mut lines, mut json) = (follow(&[]), follow(&["-o", "json", "--where", "k = 'b'"]));
    let mut lines_out = BufReader::new(lines.stdout.take().unwrap())
        .lines()
        .map(Result::unwrap);
    let mut json_out = BufReader::new(json.stdout.take().unwrap())
        .lines()
        .map(Result::unwrap);
    let head: Vec<String> = lines_out.by_ref().take(4).collect();
    assert_eq!(head[0], "k  records  total");
    let json_head: Vec<String> = json_out.by_ref().take(2).collect();
    assert!(
        json_head[0].ends_with(",\"event\":\"snapshot\"}"),
        "{json_head:?}"
    );
    assert!(
        json_head[1].ends_with("\"diff\":1,\"row\":{\"k\":\"b\",\"records\":1,\"total\":0.125}}"),
        "{json_head:?}"
    );

    let now = place.sql(&["SELECT k FROM per_k"]);
    let before = now.said.trim_end().rsplit_once("as of ").expect("a time").1;
    place.append(&record("b", 4, 0.5));
    let line = lines_out.next().unwrap();
    assert!(
        line.ends_with(" ~ k b  records 1→2  total 0.125→0.625"),
        "{line}"
    );
    let changes: Vec<String> = json_out.by_ref().take(2).collect();
    assert!(
        changes
            .iter()
            .any(|it| it
                .ends_with("\"diff\":-1,\"row\":{\"k\":\"b\",\"records\":1,\"total\":0.125}}")),
        "{changes:?}"
    );
    assert!(
        changes
            .iter()
            .any(|it| it
                .ends_with("\"diff\":1,\"row\":{\"k\":\"b\",\"records\":2,\"total\":0.625}}")),
        "{changes:?}"
    );

    answers_are_as_of_a_time(&place, before);

    // A stream that ends is not one that was read to its end.
    place.server.signal(libc::SIGTERM);
    let ended = lines.wait_with_output().unwrap();
    let said = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(ended.status.code(), Some(69), "{said}");
    assert!(said.contains("2 rows as of 20"), "{said}");
    assert!(
        said.contains("has ended the stream: the server is shutting down"),
        "{said}"
    );
    assert_eq!(json.wait().unwrap().code(), Some(69));
    place.server.end();
}
