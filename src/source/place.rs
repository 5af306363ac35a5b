//! Where each source is read from: a topic of Kafka, files, a Delta table, or what clients push over HTTP.
//!
//! A source states its place in the options of `CREATE SOURCE`; the command line can name other places with `--input`.

use super::file::Location;
use super::{Error, kafka, push};
use crate::model::stated::{StatedOption, is_option, names_listed, option};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::str::FromStr;

const CONNECTOR: &str = "connector";
const PATH: &str = "path";

const ZONE: StatedOption = option(
    "timezone",
    "an IANA name such as `Europe/Berlin`",
    "`UTC`",
    "The zone of times that state none.",
);

/// The options of a source that reads files.
pub const FILES_OPTIONS: [StatedOption; 3] = [
    option(CONNECTOR, "`files`", "", "Reads files of a folder."),
    option(
        PATH,
        "`FOLDER`, `FILE` or `FOLDER/PATTERN`",
        "",
        "The files: all of the folder, one, or those whose names match, such as `logs/app.log*`. `.name`, `_name` and folders in it are not read.",
    ),
    ZONE,
];

/// The options of a source that reads a Delta table.
pub const DELTA_OPTIONS: [StatedOption; 3] = [
    option(
        CONNECTOR,
        "`delta`",
        "",
        "Reads a Delta table: its rows, then what each version changes. Such a source has no `FORMAT`.",
    ),
    option(
        PATH,
        "a folder, or an address such as `s3://bucket/table`",
        "",
        "The table.",
    ),
    ZONE,
];

/// The options of a source that clients push into.
pub const HTTP_OPTIONS: [StatedOption; 2] = [
    option(
        CONNECTOR,
        "`http`",
        "",
        "Takes records from `POST /api/v1/sources/{source}/records`.",
    ),
    ZONE,
];

/// Where a source is read from.
#[derive(Clone, Debug)]
pub enum Place {
    Topic(Box<kafka::Topic>),
    Files(Location),
    /// The address of a table.
    Delta(String),
    /// What clients push over HTTP.
    Http,
}

impl Place {
    /// The place that a source states in its options: `connector = 'kafka'` with the options of a [`kafka::Topic`], or
    /// `connector = 'files'` or `'delta'` with a `path`, or `connector = 'http'`.
    ///
    /// # Errors
    /// If an option is missing, unknown or wrong.
    pub fn from_options(source: &str, options: &[(String, String)]) -> Result<Self, Error> {
        if let Some(path) = delta_path(source, options)? {
            return Ok(Place::Delta(path));
        }
        if is_pushed(options) {
            return check_pushed(source, options).map(|()| Place::Http);
        }
        match files_location(source, options)? {
            Some(location) => Ok(Place::Files(location)),
            None => kafka::Topic::from_options(source, options).map(|it| Place::Topic(it.into())),
        }
    }

    /// Checks the options of a source before anything runs. A source that states no connector gets its place from the command line.
    ///
    /// # Errors
    /// If an option is missing, unknown or wrong.
    pub fn check_options(source: &str, options: &[(String, String)]) -> Result<(), Error> {
        if delta_path(source, options)?.is_some() {
            return Ok(());
        }
        if is_pushed(options) {
            return check_pushed(source, options);
        }
        match files_location(source, options)? {
            Some(_) => Ok(()),
            None => kafka::Topic::check_options(source, options),
        }
    }

    /// Checks what can be checked without a connection: that the folder of files can be read.
    ///
    /// # Errors
    /// If it cannot.
    pub fn check(&self) -> Result<(), Error> {
        match self {
            Place::Files(location) => location.check(),
            Place::Topic(_) | Place::Delta(_) | Place::Http => Ok(()),
        }
    }

    /// The topic, if it is one.
    pub fn topic(&self) -> Option<&str> {
        match self {
            Place::Topic(topic) => Some(&topic.topic),
            Place::Files(_) | Place::Delta(_) | Place::Http => None,
        }
    }

    /// Whether offsets are bytes of files, not numbers of records.
    pub fn is_files(&self) -> bool {
        match self {
            Place::Files(_) => true,
            Place::Topic(_) | Place::Delta(_) | Place::Http => false,
        }
    }
}

/// The address of the table of a source with `connector = 'delta'`.
fn delta_path(source: &str, options: &[(String, String)]) -> Result<Option<String>, Error> {
    let wrong = |reason: String| Error::Option {
        name: source.to_owned(),
        reason,
    };
    let value = |key: &str| options.iter().find(|it| it.0 == key).map(|it| &it.1);
    if !is_delta(options) {
        return Ok(None);
    }
    for (key, _) in options {
        if !is_option(&DELTA_OPTIONS, key) {
            return Err(wrong(format!(
                "option '{key}' is unknown; a Delta table takes {}",
                names_listed(&DELTA_OPTIONS)
            )));
        }
    }
    match value(PATH).filter(|it| !it.is_empty()) {
        Some(path) => Ok(Some(path.clone())),
        None => Err(wrong(format!(
            "option '{PATH}' is missing; it names the folder of a Delta table, or its address such as 's3://bucket/table'"
        ))),
    }
}

/// Whether options are those of a Delta table.
pub fn is_delta(options: &[(String, String)]) -> bool {
    options
        .iter()
        .any(|it| it.0 == CONNECTOR && it.1 == "delta")
}

/// Whether options are those of a source that clients push into.
pub fn is_pushed(options: &[(String, String)]) -> bool {
    let mut options = options.iter();
    options.any(|it| it.0 == CONNECTOR && it.1 == push::CONNECTOR)
}

fn check_pushed(source: &str, options: &[(String, String)]) -> Result<(), Error> {
    let known = |it: &&(String, String)| is_option(&HTTP_OPTIONS, &it.0);
    match options.iter().find(|it| !known(it)) {
        None => Ok(()),
        Some((key, _)) => Err(Error::Option {
            name: source.to_owned(),
            reason: format!(
                "option '{key}' is unknown; a source that clients push into takes {CONNECTOR}, timezone and those of its primary key"
            ),
        }),
    }
}

/// The files of a source with `connector = 'files'`.
fn files_location(source: &str, options: &[(String, String)]) -> Result<Option<Location>, Error> {
    let wrong = |reason: String| Error::Option {
        name: source.to_owned(),
        reason,
    };
    let value = |key: &str| options.iter().find(|it| it.0 == key).map(|it| &it.1);
    if value(CONNECTOR).is_none_or(|it| it != "files") {
        return match value(PATH) {
            Some(_) => Err(wrong(format!(
                "option '{PATH}' is for files; write {CONNECTOR} = 'files' beside it"
            ))),
            None => Ok(None),
        };
    }
    for (key, _) in options {
        // How records are read is the decoder's.
        if !is_option(&FILES_OPTIONS, key) {
            return Err(wrong(format!(
                "option '{key}' is unknown; a source of files takes {CONNECTOR}, {PATH}, timezone and the options of its format"
            )));
        }
    }
    let path = value(PATH).filter(|it| !it.is_empty());
    let path = path.ok_or_else(|| {
        wrong(format!(
            "option '{PATH}' is missing; it names a folder, or files of one such as 'logs/*.jsonl'"
        ))
    })?;
    let location = Location::parse(path);
    location
        .map(Some)
        .map_err(|it| wrong(format!("{PATH} {it}")))
}

/// An `--input` of the command line: `PATH`, or `SOURCE=PATH`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Input {
    source: Option<String>,
    path: String,
    location: Location,
}

impl FromStr for Input {
    type Err = String;

    /// What comes before the first `=` is the source's name if it can be one; `./a=b` is a path.
    fn from_str(text: &str) -> Result<Self, String> {
        let (source, path) = match text.split_once('=') {
            Some((name, path)) if is_name(name) => (Some(name.to_owned()), path),
            Some(_) | None => (None, text),
        };
        Ok(Input {
            source,
            path: path.to_owned(),
            location: Location::parse(path)?,
        })
    }
}

impl std::fmt::Display for Input {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.source {
            Some(source) => write!(f, "{source}={}", self.path),
            None => f.write_str(&self.path),
        }
    }
}

fn is_name(text: &str) -> bool {
    let is_part = |it: char| it == '_' || it.is_ascii_alphanumeric();
    text.starts_with(|it: char| it == '_' || it.is_ascii_alphabetic()) && text.chars().all(is_part)
}

/// Places named on the command line, which come before those that sources state.
#[derive(Clone, Debug, Default)]
pub struct Inputs(Vec<Input>);

impl From<Vec<Input>> for Inputs {
    fn from(inputs: Vec<Input>) -> Self {
        Inputs(inputs)
    }
}

impl From<PathBuf> for Inputs {
    /// All files of a folder, for a dataflow with one source.
    fn from(folder: PathBuf) -> Self {
        Inputs(vec![Input {
            source: None,
            path: folder.display().to_string(),
            location: Location::all_of(folder),
        }])
    }
}

impl Inputs {
    /// The place of each source, by name, from its name, its options, and whether its records are versions of rows.
    ///
    /// # Errors
    /// If an input is of no source, or it is not clear of which, or a source has no place or a wrong one.
    pub fn places<'a>(
        &self,
        sources: impl Iterator<Item = (&'a str, &'a [(String, String)], bool)> + Clone,
    ) -> Result<BTreeMap<String, Place>, Error> {
        let names: Vec<&str> = sources.clone().map(|it| it.0).collect();
        // What is pushed is read from nowhere.
        let read = sources.clone().filter(|it| !is_pushed(it.1));
        let read: Vec<&str> = read.map(|it| it.0).collect();
        let mut named: BTreeMap<&str, &Location> = BTreeMap::new();
        for input in &self.0 {
            let wrong = |reason: String| Error::Input {
                input: input.to_string(),
                reason,
            };
            let name = match (&input.source, read.as_slice()) {
                (Some(name), _) if read.contains(&name.as_str()) => name.as_str(),
                (Some(name), _) if names.contains(&name.as_str()) => {
                    let reason = format!(
                        "clients push records into source {name}: POST /api/v1/sources/{name}/records"
                    );
                    return Err(wrong(reason));
                }
                (Some(name), _) => {
                    let reason = format!("there is no source {name:?}; {}", listed(&read));
                    return Err(wrong(reason));
                }
                (None, [only]) => only,
                (None, _) => {
                    let reason = format!(
                        "it is not clear which source it is for; write --input SOURCE={}, {}",
                        input.path,
                        listed(&read)
                    );
                    return Err(wrong(reason));
                }
            };
            if named.insert(name, &input.location).is_some() {
                return Err(wrong(format!("source {name} has another input already")));
            }
        }
        let place = |(name, options, has_key): (&str, &[(String, String)], bool)| {
            let mut place = match named.get(name) {
                Some(location) if is_delta(options) => {
                    return Err(Error::Input {
                        input: format!("{name}={location}"),
                        reason: format!(
                            "source {name} is a Delta table; state another {PATH} in its statement, such as ${{TABLE:-DIR}}"
                        ),
                    });
                }
                Some(location) => Place::Files((*location).clone()),
                None => Place::from_options(name, options)?,
            };
            if let Place::Topic(topic) = &mut place {
                topic.has_key = has_key;
            }
            Ok((name.to_owned(), place))
        };
        sources.map(place).collect()
    }
}

fn listed(names: &[&str]) -> String {
    format!("sources are {}", names.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        let pairs = pairs.iter();
        pairs.map(|it| (it.0.to_owned(), it.1.to_owned())).collect()
    }

    fn places(inputs: &[&str], names: &[&str]) -> Result<Vec<String>, String> {
        let inputs: Result<Vec<Input>, String> = inputs.iter().map(|it| it.parse()).collect();
        let stated = options(&[("connector", "files"), ("path", "stated/*.log")]);
        let sources = names.iter().map(|it| (*it, stated.as_slice(), false));
        let places = Inputs::from(inputs?).places(sources);
        let text = |(name, place): (String, Place)| match place {
            Place::Files(location) => format!("{name} {location}"),
            Place::Topic(_) => format!("{name} topic"),
            Place::Delta(path) => format!("{name} table {path}"),
            Place::Http => format!("{name} pushed"),
        };
        match places {
            Ok(places) => Ok(places.into_iter().map(text).collect()),
            Err(error) => Err(error.to_string()),
        }
    }

    #[test]
    fn an_input_is_of_the_source_it_names_or_of_the_only_one() {
        let two = ["a", "b"];
        let of = |inputs: &[&str], names: &[&str]| places(inputs, names).unwrap();
        assert_eq!(of(&[], &["a"]), ["a stated/*.log"]);
        assert_eq!(of(&["logs"], &["a"]), ["a logs"]);
        assert_eq!(of(&["a=logs"], &two), ["a logs", "b stated/*.log"]);
        assert_eq!(of(&["b=x/*.gz", "a=y"], &two), ["a y", "b x/*.gz"]);
        assert_eq!(of(&["./a=b"], &["a"]), ["a ./a=b"]);
    }

    #[test]
    fn inputs_of_no_source_are_refused() {
        let two = ["a", "b"];
        for (inputs, names, reason) in [
            (
                &["logs"][..],
                &two[..],
                "write --input SOURCE=logs, sources are a, b",
            ),
            (
                &["c=logs"],
                &two,
                "there is no source \"c\"; sources are a, b",
            ),
            (&["a=x", "a=y"], &two, "source a has another input already"),
            (&["x", "a=y"], &["a"], "source a has another input already"),
            (&["x*/y"], &["a"], "only names of files can have wildcards"),
            (&["a="], &["a"], "is empty"),
        ] {
            let error = places(inputs, names).unwrap_err();
            assert!(error.contains(reason), "{inputs:?}: {error}");
        }
    }

    #[test]
    fn sources_that_are_pushed_into_have_no_input() {
        let (files, http) = (options(&[]), options(&[("connector", "http")]));
        let sources = || {
            let all = [("a", &files), ("acts", &http)].into_iter();
            all.map(|it| (it.0, it.1.as_slice(), false))
        };
        let inputs = |text: &str| Inputs::from(vec![text.parse::<Input>().expect("an input")]);
        let places = inputs("logs").places(sources()).expect("one is read");
        assert!(matches!(places["a"], Place::Files(_)));
        assert!(matches!(places["acts"], Place::Http));
        let error = inputs("acts=logs").places(sources()).unwrap_err();
        let told = "POST /api/v1/sources/acts/records";
        assert!(error.to_string().contains(told), "{error}");
    }

    #[test]
    fn options_of_files_are_checked() {
        for (pairs, reason) in [
            (&[("connector", "files")][..], "option 'path' is missing"),
            (
                &[("connector", "files"), ("path", "")],
                "option 'path' is missing",
            ),
            (&[("path", "x")], "write connector = 'files' beside it"),
            (
                &[("connector", "files"), ("path", "x"), ("topic", "t")],
                "option 'topic' is unknown",
            ),
            (&[("connector", "files"), ("path", "x/[")], "x/["),
            (&[("connector", "delta")], "option 'path' is missing"),
            (
                &[("connector", "delta"), ("path", "x"), ("version", "1")],
                "option 'version' is unknown",
            ),
            (
                &[("connector", "http"), ("topic", "t")],
                "option 'topic' is unknown; a source that clients push into",
            ),
        ] {
            let error = Place::check_options("s", &options(pairs)).unwrap_err();
            assert!(error.to_string().contains(reason), "{pairs:?}: {error}");
        }
    }
}
