//! `/docs`: the documentation, rendered from its Markdown; and `/llms.txt`, which lists it for programs.
//!
//! The binary embeds the chapters of `docs/book` as they are written, so the documentation of a server is always that of its version,
//! and there is nothing built that could be older than its source. They become pages once, when somebody first asks. `SUMMARY.md` is
//! the table of contents, as mdBook reads it.
//!
//! ```text
//! /docs/            the first chapter        /docs/search.json   what the search looks through
//! /docs/NAME        a chapter as a page      /docs/NAME.md       the same as it is written
//! /docs/notes/NAME  a note on a decision     /llms.txt           all chapters with their first sentence
//! ```

mod render;
#[cfg(test)]
mod tests;

use super::assets::POLICY;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use render::{Page, escaped, page};
use rust_embed::RustEmbed;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::LazyLock;

#[derive(RustEmbed)]
#[folder = "docs/book"]
struct Chapters;

#[derive(RustEmbed)]
#[folder = "docs/notes"]
struct Notes;

#[derive(RustEmbed)]
#[folder = "docs/theme"]
struct Theme;

const CONTENTS: &str = "SUMMARY.md";
/// The folder of notes, below that of the documentation.
const NOTES: &str = "notes/";
/// What all of it is called by programs that look for it.
const OF_PROGRAMS: &str = "llms.txt";
const SENTENCE: &str =
    "Tidelake turns log topics into live, exact SQL views and a Delta lake, in one binary.";

static BOOK: LazyLock<Book> = LazyLock::new(Book::of_files);

/// A line of the table of contents.
#[derive(Debug, PartialEq, Eq)]
enum Entry {
    Part(String),
    Chapter { name: String, title: String },
}

#[derive(Serialize)]
struct Found<'a> {
    page: &'a str,
    title: &'a str,
    id: &'a str,
    heading: &'a str,
    text: &'a str,
}

/// All of the documentation.
struct Book {
    entries: Vec<Entry>,
    /// By name, without `.md`; notes with their folder.
    pages: BTreeMap<String, Page>,
    sources: BTreeMap<String, String>,
    search: String,
}

impl Book {
    fn of_files() -> Book {
        let text =
            |file: rust_embed::EmbeddedFile| String::from_utf8_lossy(&file.data).into_owned();
        let contents = Chapters::get(CONTENTS).map(text).unwrap_or_default();
        let mut sources = BTreeMap::new();
        for name in Chapters::iter().filter(|it| it != CONTENTS && is_chapter(it)) {
            let source = Chapters::get(&name).map(text).unwrap_or_default();
            sources.insert(name.trim_end_matches(".md").to_owned(), source);
        }
        for name in Notes::iter().filter(|it| is_chapter(it)) {
            let source = Notes::get(&name).map(text).unwrap_or_default();
            sources.insert(format!("{NOTES}{}", name.trim_end_matches(".md")), source);
        }
        Book::new(&contents, sources)
    }

    fn new(contents: &str, sources: BTreeMap<String, String>) -> Book {
        let is_known = |name: &str| sources.contains_key(name);
        let pages: BTreeMap<String, Page> = sources
            .iter()
            .map(|(name, source)| (name.clone(), page(name, source, &is_known)))
            .collect();
        let found: Vec<Found> = pages
            .iter()
            .flat_map(|(name, page)| {
                page.sections.iter().map(move |it| Found {
                    page: name,
                    title: &page.title,
                    id: &it.id,
                    heading: &it.heading,
                    text: &it.text,
                })
            })
            .collect();
        let search = serde_json::to_string(&found).unwrap_or_default();
        Book {
            entries: entries(contents),
            pages,
            sources,
            search,
        }
    }

    fn chapters(&self) -> impl Iterator<Item = (&str, &str)> {
        self.entries.iter().filter_map(|it| match it {
            Entry::Part(_) => None,
            Entry::Chapter { name, title } => Some((name.as_str(), title.as_str())),
        })
    }

    fn first(&self) -> &str {
        self.chapters().next().map_or("", |it| it.0)
    }

    /// A page around what is in it. Links are relative, so that the server may stand behind a path of a proxy.
    fn html(&self, name: &str, title: &str, body: &str) -> String {
        let up = "../".repeat(name.matches('/').count());
        let mut contents = String::new();
        for entry in &self.entries {
            let _ = match entry {
                Entry::Part(title) => {
                    write!(contents, "<li class=\"part\">{}</li>", escaped(title))
                }
                Entry::Chapter { name: of, title } => {
                    let here = match of == name {
                        true => " aria-current=\"page\"",
                        false => "",
                    };
                    write!(
                        contents,
                        "<li><a href=\"{up}{of}\"{here}>{}</a></li>",
                        escaped(title)
                    )
                }
            };
        }
        let chapters: Vec<(&str, &str)> = self.chapters().collect();
        let at = chapters.iter().position(|it| it.0 == name);
        let neighbour = |at: Option<usize>, class: &str| {
            let (of, title) = chapters.get(at?)?;
            Some(format!(
                "<a class=\"{class}\" href=\"{up}{of}\">{}</a>",
                escaped(title)
            ))
        };
        let before = neighbour(at.and_then(|it| it.checked_sub(1)), "before").unwrap_or_default();
        let next = neighbour(at.map(|it| it + 1), "next").unwrap_or_default();
        let source = match self.sources.contains_key(name) {
            true => format!("<a href=\"{up}{name}.md\">This page as Markdown</a>"),
            false => String::new(),
        };
        format!(
            "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
             <title>{title} · Tidelake</title><link rel=\"icon\" href=\"data:,\"><link rel=\"stylesheet\" href=\"{up}docs.css\"><script src=\"{up}docs.js\" defer></script></head>\
             <body data-up=\"{up}\"><a class=\"skip\" href=\"#content\">Skip to the text</a>\
             <header><a class=\"home\" href=\"{up}{first}\">Tidelake <span>{version}</span></a>\
             <label class=\"search\"><span>Search</span><input id=\"search\" type=\"search\" autocomplete=\"off\" placeholder=\"Search ( / )\"></label>\
             <a href=\"{up}../\">To the page</a></header><div id=\"found\" hidden></div>\
             <div class=\"columns\"><nav aria-label=\"Contents\"><details open><summary>Contents</summary><ul>{contents}</ul></details></nav>\
             <main id=\"content\">{body}<footer>{before}{next}<p>{source}</p></footer></main></div></body></html>",
            title = escaped(title),
            first = self.first(),
            version = env!("CARGO_PKG_VERSION"),
        )
    }

    /// All chapters for programs, by <https://llmstxt.org>.
    fn of_programs(&self) -> String {
        let mut text = format!(
            "# Tidelake\n\n> {SENTENCE}\n\nThis is the documentation of version {}. Each link is a chapter in Markdown; blocks marked `run` are tested with the output behind them.\n",
            env!("CARGO_PKG_VERSION")
        );
        let mut titled = false;
        for entry in &self.entries {
            match entry {
                Entry::Part(title) => {
                    titled = true;
                    let _ = write!(text, "\n## {title}\n\n");
                }
                Entry::Chapter { name, title } => {
                    if !titled {
                        titled = true;
                        text.push_str("\n## Docs\n\n");
                    }
                    let about = self.pages.get(name).map(|it| it.about.as_str());
                    let _ = writeln!(
                        text,
                        "- [{title}](docs/{name}.md): {}",
                        about.unwrap_or_default()
                    );
                }
            }
        }
        text
    }
}

fn is_chapter(name: &str) -> bool {
    name.ends_with(".md")
}

/// The table of contents: `# Part`, `- [Title](name.md)`, or the link alone. Its own title is none of them.
fn entries(contents: &str) -> Vec<Entry> {
    let lines = contents.lines().map(str::trim);
    let mut entries = Vec::new();
    for line in lines {
        if let Some(title) = line.strip_prefix("# ") {
            if title != "Summary" {
                entries.push(Entry::Part(title.to_owned()));
            }
            continue;
        }
        let link = line.trim_start_matches("- ").strip_prefix('[');
        let link = link.and_then(|it| it.strip_suffix(".md)")?.split_once("]("));
        if let Some((title, name)) = link {
            entries.push(Entry::Chapter {
                name: name.to_owned(),
                title: title.to_owned(),
            });
        }
    }
    entries
}

/// The answer for an address of the documentation; nothing if it is another one.
pub fn serve(path: &str) -> Option<Response> {
    if path == OF_PROGRAMS {
        return Some(answer("text/plain; charset=utf-8", BOOK.of_programs()));
    }
    if path == "docs" {
        // Relative links begin below it.
        let moved = (
            StatusCode::TEMPORARY_REDIRECT,
            [(header::LOCATION, "docs/")],
        );
        return Some(moved.into_response());
    }
    let name = path.strip_prefix("docs/")?;
    let name = if name.is_empty() { BOOK.first() } else { name };
    if name == "search.json" {
        return Some(answer("application/json", BOOK.search.clone()));
    }
    if let Some(file) = Theme::get(name) {
        let kind = file.metadata.mimetype().to_owned();
        return Some(answer(&kind, file.data.into_owned()));
    }
    if let Some(source) = name.strip_suffix(".md").and_then(|it| BOOK.sources.get(it)) {
        return Some(answer("text/markdown; charset=utf-8", source.clone()));
    }
    Some(match BOOK.pages.get(name) {
        Some(page) => answer(
            "text/html; charset=utf-8",
            BOOK.html(name, &page.title, &page.html),
        ),
        None => {
            let body = format!(
                "<h1>No such chapter</h1><p>The documentation has no page <code>{}</code>. The contents list those it has.</p>",
                escaped(name)
            );
            let mut missing = answer(
                "text/html; charset=utf-8",
                BOOK.html(name, "No such chapter", &body),
            );
            *missing.status_mut() = StatusCode::NOT_FOUND;
            missing
        }
    })
}

fn answer(kind: &str, body: impl IntoResponse) -> Response {
    let mut response = body.into_response();
    let headers = response.headers_mut();
    if let Ok(kind) = kind.parse() {
        headers.insert(header::CONTENT_TYPE, kind);
    }
    headers.insert(
        header::CACHE_CONTROL,
        header::HeaderValue::from_static("no-cache"),
    );
    headers.insert(
        header::CONTENT_SECURITY_POLICY,
        header::HeaderValue::from_static(POLICY),
    );
    response
}
