//! Markdown of one chapter into HTML, and into the texts that are searched.

use pulldown_cmark::{CodeBlockKind, CowStr, Event, Options, Parser, Tag, TagEnd, html};
use std::collections::BTreeMap;

/// A rendered chapter.
pub struct Page {
    pub title: String,
    /// The first sentence of its text.
    pub about: String,
    pub html: String,
    pub sections: Vec<Section>,
}

/// What lies between two headings.
pub struct Section {
    pub id: String,
    pub heading: String,
    pub text: String,
}

/// A page of a source; links to chapters that are known become links to their pages, those that lead out of the documentation are
/// shown as the names of files that they are.
pub fn page(name: &str, source: &str, is_known: &dyn Fn(&str) -> bool) -> Page {
    let mut rendering = Rendering {
        name,
        is_known,
        events: Vec::new(),
        sections: Vec::new(),
        ids: BTreeMap::new(),
        code: None,
        leads_out: false,
    };
    let options = Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH;
    let events: Vec<Event> = Parser::new_ext(source, options).collect();
    for (at, event) in events.iter().enumerate() {
        rendering.take(event.clone(), &events[at + 1..]);
    }
    let Rendering {
        events, sections, ..
    } = rendering;
    let mut text = String::new();
    html::push_html(&mut text, events.into_iter());
    let first = sections.first();
    Page {
        title: first.map(|it| it.heading.clone()).unwrap_or_default(),
        about: first.map(|it| first_sentence(&it.text)).unwrap_or_default(),
        html: text,
        sections,
    }
}

struct Rendering<'a> {
    name: &'a str,
    is_known: &'a dyn Fn(&str) -> bool,
    events: Vec<Event<'a>>,
    sections: Vec<Section>,
    /// How often a heading has been there.
    ids: BTreeMap<String, usize>,
    /// The block of code that is open: its words, and its text.
    code: Option<(String, String)>,
    leads_out: bool,
}

impl<'a> Rendering<'a> {
    fn take(&mut self, event: Event<'a>, behind: &[Event<'a>]) {
        if let Some((_, text)) = &mut self.code
            && let Event::Text(it) = &event
        {
            text.push_str(it);
            return;
        }
        match event {
            Event::Start(Tag::Heading {
                level,
                classes,
                attrs,
                ..
            }) => {
                let heading = text_of(behind);
                let id = self.new_id(&heading);
                self.sections.push(Section {
                    id: id.clone(),
                    heading,
                    text: String::new(),
                });
                let id = Some(CowStr::from(id));
                self.events.push(Event::Start(Tag::Heading {
                    level,
                    id,
                    classes,
                    attrs,
                }));
            }
            Event::Start(Tag::CodeBlock(kind)) => {
                let words = match kind {
                    CodeBlockKind::Fenced(it) => it.to_string(),
                    CodeBlockKind::Indented => String::new(),
                };
                self.code = Some((words, String::new()));
            }
            Event::End(TagEnd::CodeBlock) => {
                if let Some((words, text)) = self.code.take() {
                    self.note(&text);
                    // Only words that can be classes: the language, and what a test makes of the block.
                    let is_word = |it: &&str| it.chars().all(|it| it.is_ascii_alphanumeric());
                    let classes: Vec<&str> = words.split([' ', ',']).filter(is_word).collect();
                    let block = format!(
                        "<pre class=\"{}\" tabindex=\"0\"><code>{}</code></pre>\n",
                        classes.join(" "),
                        escaped(&text)
                    );
                    self.events.push(Event::Html(block.into()));
                }
            }
            Event::Start(Tag::Table(it)) => {
                self.events
                    .push(Event::Html("<div class=\"wide\" tabindex=\"0\">".into()));
                self.events.push(Event::Start(Tag::Table(it)));
            }
            Event::End(TagEnd::Table) => {
                self.events.push(Event::End(TagEnd::Table));
                self.events.push(Event::Html("</div>\n".into()));
            }
            Event::Start(Tag::Link {
                link_type,
                dest_url,
                title,
                id,
            }) => match self.target(&dest_url) {
                Some(dest_url) => self.events.push(Event::Start(Tag::Link {
                    link_type,
                    dest_url: dest_url.into(),
                    title,
                    id,
                })),
                None => {
                    self.leads_out = true;
                    let file = format!("<span title=\"{}\">", escaped(&dest_url));
                    self.events.push(Event::InlineHtml(file.into()));
                }
            },
            Event::End(TagEnd::Link) if self.leads_out => {
                self.leads_out = false;
                self.events.push(Event::InlineHtml("</span>".into()));
            }
            Event::Text(it) => {
                self.note(&it);
                self.events.push(Event::Text(it));
            }
            Event::Code(it) => {
                self.note(&it);
                self.events.push(Event::Code(it));
            }
            Event::End(end) => {
                if is_block(end) {
                    self.note(" ");
                }
                self.events.push(Event::End(end));
            }
            Event::SoftBreak | Event::HardBreak => {
                self.note(" ");
                self.events.push(event);
            }
            other => self.events.push(other),
        }
    }

    /// Adds to what is searched.
    fn note(&mut self, text: &str) {
        if let Some(section) = self.sections.last_mut() {
            // The heading itself is told apart.
            let heading = &section.heading;
            if section.text.is_empty() && heading.contains(text) && !text.trim().is_empty() {
                return;
            }
            section.text.push_str(text);
        }
    }

    fn new_id(&mut self, heading: &str) -> String {
        let id = slug(heading);
        let count = self.ids.entry(id.clone()).or_default();
        *count += 1;
        match *count {
            1 => id,
            again => format!("{id}-{}", again - 1),
        }
    }

    /// Where a link leads on the server; nowhere if to a file that is not in the documentation.
    fn target(&self, link: &str) -> Option<String> {
        if link.starts_with('#') || link.contains("://") || link.starts_with("mailto:") {
            return Some(link.to_owned());
        }
        let (path, anchor) = match link.split_once('#') {
            Some((path, anchor)) => (path, format!("#{anchor}")),
            None => (link, String::new()),
        };
        let name = path.strip_suffix(".md")?;
        // Chapters lie in one folder, notes beside it, and on the server in it.
        let (is_note, name) = match (
            self.name.starts_with(super::NOTES),
            name.strip_prefix("../"),
        ) {
            (true, None) => (true, name.to_owned()),
            (true, Some(it)) => (true, format!("../{}", it.strip_prefix("book/")?)),
            (false, None) => (false, name.to_owned()),
            (false, Some(it)) => (false, it.to_owned()),
        };
        let key = match (is_note, name.strip_prefix("../")) {
            (true, None) => format!("{}{name}", super::NOTES),
            (true, Some(it)) => it.to_owned(),
            (false, _) => name.clone(),
        };
        (self.is_known)(&key).then(|| format!("{name}{anchor}"))
    }
}

fn is_block(end: TagEnd) -> bool {
    matches!(
        end,
        TagEnd::Paragraph | TagEnd::Item | TagEnd::TableCell | TagEnd::Heading(_)
    )
}

/// The text up to the end of the heading that was opened.
fn text_of(events: &[Event]) -> String {
    let inside = events
        .iter()
        .take_while(|it| !matches!(it, Event::End(TagEnd::Heading(_))));
    let texts = inside.filter_map(|it| match it {
        Event::Text(it) | Event::Code(it) => Some(it.as_ref()),
        _ => None,
    });
    texts.collect()
}

/// The anchor of a heading, as code hosts and mdBook make it.
pub fn slug(heading: &str) -> String {
    let kept = heading.trim().chars().filter_map(|it| match it {
        ' ' | '-' => Some('-'),
        '_' => Some('_'),
        it if it.is_alphanumeric() => Some(it),
        _ => None,
    });
    kept.flat_map(char::to_lowercase).collect()
}

fn first_sentence(text: &str) -> String {
    let text = text.trim();
    let end = text.match_indices(['.', ':', '?']).find(|(at, _)| {
        let behind = &text[at + 1..];
        behind.is_empty() || behind.starts_with(' ')
    });
    match end {
        Some((at, _)) => format!("{}.", &text[..at]),
        None => text.to_owned(),
    }
}

/// Text as it stands in HTML.
pub fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for it in text.chars() {
        match it {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            it => out.push(it),
        }
    }
    out
}
