//! The page of a dataflow at 80 columns, and what is said of one that is wrong.

use super::*;
use crate::cli::excerpt;

const NARROW: Layout = Layout {
    columns: 80,
    colours: false,
};

async fn planned(text: &str) -> Result<Dataflow, crate::sql::Error> {
    crate::sql::plan_text("shop", text, |_| None).await
}

fn shipped(name: &str) -> String {
    let path = format!(
        "{}/dataflows/{name}/dataflow.sql",
        env!("CARGO_MANIFEST_DIR")
    );
    std::fs::read_to_string(path).unwrap()
}

#[tokio::test]
async fn a_page_says_what_is_read_kept_and_written() {
    let dataflow = planned(&shipped("web_logs")).await.unwrap();
    let page = page(&dataflow, NARROW) + &verdict(&dataflow, NARROW);
    for line in page.lines() {
        assert!(line.chars().count() <= 80, "{line}");
    }
    for internal in ["@", "Int64(", "Utf8(", "END)", "__"] {
        assert!(!page.contains(internal), "{internal} in {page}");
    }
    insta::assert_snapshot!(page);
}

#[tokio::test]
async fn what_grows_is_said_with_its_view() {
    const SHOP: &str = "
        CREATE SOURCE orders (placed_at TIMESTAMP NOT NULL, customer TEXT, amount DOUBLE, WATERMARK FOR placed_at AS placed_at - INTERVAL '1' MINUTE)
          WITH (connector = 'files', path = './orders') FORMAT JSON;
        CREATE SOURCE customers (id TEXT, country TEXT) WITH (connector = 'http') FORMAT JSON;
        CREATE MATERIALIZED VIEW revenue AS
          SELECT upper(country) AS nation, sum(amount) AS amount
          FROM orders JOIN customers ON customer = id GROUP BY upper(country);
        CREATE MATERIALIZED VIEW hourly AS
          SELECT window_start, count(*) AS orders FROM TUMBLE(orders, placed_at, INTERVAL '1' HOUR) GROUP BY window_start;
        CREATE MATERIALIZED VIEW best AS SELECT nation, amount FROM revenue ORDER BY amount DESC LIMIT 3;";
    let dataflow = planned(SHOP).await.unwrap();
    let coloured = page(
        &dataflow,
        Layout {
            colours: true,
            ..NARROW
        },
    );
    assert!(coloured.contains("\u{1b}[33mgrows"), "{coloured}");
    insta::assert_snapshot!(page(&dataflow, NARROW) + &verdict(&dataflow, NARROW));
}

#[tokio::test]
async fn what_is_wrong_is_shown_where_it_stands() {
    const SOURCE: &str = "CREATE SOURCE s (at TIMESTAMP NOT NULL, status INT, path TEXT) WITH (connector = 'kafka', brokers = 'b', topic = 't') FORMAT JSON;\n";
    let mut said = Vec::new();
    for text in [
        "CREATE MATERIALIZED VIEW v AS\nSELECT path,\n       max(statsu) AS worst\nFROM s\nGROUP BY path;",
        "CREATE MATERIALIZED VIEW v AS\nSELECT path, cuont(*) AS n FROM s GROUP BY path;",
        "CREATE MATERIALIZED VIEW v AS\nSELECT path, count(*) FORM s;",
        "CREATE MATERIALIZED VIEW v AS SELECT path, count(*) AS n FROM nowhere GROUP BY path;",
        "CREATE MATERIALIZED VIEW v AS SELECT path, status FROM s GROUP BY path;",
        "CREATE SOURCE o (a INT) WITH (connector = 'kafka', broker = 'b', topic = 't') FORMAT JSON;",
    ] {
        let error = planned(&format!("{SOURCE}{text}")).await.unwrap_err();
        said.push(excerpt::explained(&error, NARROW));
    }
    insta::assert_snapshot!(said.join("\n\n"));
}
