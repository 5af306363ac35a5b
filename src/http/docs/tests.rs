//! The documentation is whole: every chapter is in its contents, and every link leads somewhere.

use super::render::slug;
use super::*;
use crate::http::Settings;
use crate::http::testing::{Server, app_for};
use std::path::Path;

fn book_of(source: &str) -> Book {
    let sources = [
        ("a".to_owned(), source.to_owned()),
        ("b".to_owned(), "# B\n\nText.".to_owned()),
    ];
    Book::new(
        "# Summary\n\n[A](a.md)\n\n# More\n\n- [B](b.md)\n",
        sources.into(),
    )
}

#[test]
fn contents_are_parts_and_chapters() {
    let book = book_of("# A");
    assert_eq!(
        book.chapters().collect::<Vec<_>>(),
        [("a", "A"), ("b", "B")]
    );
    assert_eq!(book.entries[1], Entry::Part("More".to_owned()));
    assert_eq!(book.first(), "a");
}

#[test]
fn a_chapter_becomes_a_page() {
    let source = "# The `a` of it\n\nIt does <b>. And more.\n\n## Two\n\n| x |\n|---|\n| 1 |\n\n```sql run\nSELECT '<' FROM t;\n```\n\n[b](b.md#two) and [file](../../README.md)\n\n## Two\n";
    let book = book_of(source);
    let page = &book.pages["a"];
    assert_eq!(page.title, "The a of it");
    assert_eq!(page.about, "It does .");
    let ids: Vec<&str> = page.sections.iter().map(|it| it.id.as_str()).collect();
    assert_eq!(ids, ["the-a-of-it", "two", "two-1"]);
    for part in [
        "<h2 id=\"two\">Two</h2>",
        "<div class=\"wide\" tabindex=\"0\"><table>",
        "<pre class=\"sql run\" tabindex=\"0\"><code>SELECT '&lt;' FROM t;\n</code></pre>",
        "<a href=\"b#two\">b</a>",
        "<span title=\"../../README.md\">file</span>",
    ] {
        assert!(page.html.contains(part), "no {part} in {}", page.html);
    }
    assert!(page.sections[1].text.contains("SELECT '<' FROM t;"));
}

#[test]
fn every_chapter_is_in_the_contents_and_every_entry_is_a_chapter() {
    let listed: Vec<&str> = BOOK.chapters().map(|it| it.0).collect();
    for name in &listed {
        assert!(
            BOOK.pages.contains_key(*name),
            "SUMMARY.md names {name}.md, which is not there"
        );
    }
    for name in BOOK.pages.keys().filter(|it| !it.starts_with(NOTES)) {
        assert!(
            listed.contains(&name.as_str()),
            "{name}.md is not in SUMMARY.md"
        );
    }
    assert!(10 < listed.len());
    for (name, page) in &BOOK.pages {
        assert!(!page.title.is_empty(), "{name} has no title");
        assert!(!page.html.contains("<script"), "{name} has a script");
    }
}

#[test]
fn every_link_leads_somewhere() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    let mut wrong = Vec::new();
    for (name, source) in &BOOK.sources {
        let folder = match name.starts_with(NOTES) {
            true => root.join("notes"),
            false => root.join("book"),
        };
        for event in pulldown_cmark::Parser::new(source) {
            let pulldown_cmark::Event::Start(pulldown_cmark::Tag::Link { dest_url, .. }) = event
            else {
                continue;
            };
            if dest_url.contains("://") || dest_url.starts_with("mailto:") {
                continue;
            }
            let (path, anchor) = dest_url.split_once('#').unwrap_or((&dest_url, ""));
            let file = match path {
                "" => folder.join(format!("{}.md", name.trim_start_matches(NOTES))),
                path => folder.join(path),
            };
            let Ok(text) = std::fs::read_to_string(&file) else {
                if !file.exists() {
                    wrong.push(format!("{name}: {dest_url} is not there"));
                }
                continue;
            };
            if !anchor.is_empty() && !anchors(&text).contains(&anchor.to_owned()) {
                wrong.push(format!("{name}: {dest_url} has no such heading"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn anchors(source: &str) -> Vec<String> {
    let is_heading = |it: &&str| it.starts_with('#');
    let headings = source.lines().filter(is_heading);
    headings
        .map(|it| slug(&it.trim_start_matches('#').replace('`', "")))
        .collect()
}

#[tokio::test]
async fn the_server_has_the_documentation() {
    let server = Server::start(app_for(Settings::default())).await;
    let moved = server.get("/docs").await;
    assert_eq!((moved.status, moved.header("location")), (307, "docs/"));
    let first = server.get("/docs/").await;
    assert_eq!(first.status, 200);
    assert_eq!(first.header("content-type"), "text/html; charset=utf-8");
    assert_eq!(first.header("content-security-policy"), POLICY);
    assert!(first.text().contains("aria-current=\"page\""));
    for (address, kind) in [
        ("/docs/docs.css", "text/css"),
        ("/docs/docs.js", "text/javascript"),
        ("/docs/search.json", "application/json"),
        ("/docs/sql.md", "text/markdown; charset=utf-8"),
        ("/docs/sql", "text/html; charset=utf-8"),
        ("/llms.txt", "text/plain; charset=utf-8"),
    ] {
        let reply = server.get(address).await;
        assert_eq!(
            (reply.status, reply.header("content-type")),
            (200, kind),
            "{address}"
        );
    }
    let missing = server.get("/docs/nothing").await;
    assert_eq!(missing.status, 404);
    assert!(missing.text().contains("no page <code>nothing</code>"));
    let listed = server.get("/llms.txt").await.text();
    for (name, _) in BOOK.chapters() {
        assert!(listed.contains(&format!("](docs/{name}.md): ")), "{name}");
    }
}
