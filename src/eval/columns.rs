//! Which columns of a text of lines have the times, the values and the labels of a series.
//!
//! A header is a first line without a number or a time; its columns are taken by name, as far as names are well known, else by position. Without a header they are `time,value[,label]`;
//! a single column is one of values.

use super::times::micros_of;

const TIMES: [&str; 13] = [
    "timestamp",
    "timestamps",
    "@timestamp",
    "time_stamp",
    "time",
    "date",
    "datetime",
    "date_time",
    "period",
    "ts",
    "unix",
    "unixtime",
    "epoch",
];
const VALUES: [&str; 6] = ["value", "values", "count", "data", "metric", "y"];
const LABELS: [&str; 10] = [
    "label",
    "labels",
    "is_anomaly",
    "isanomaly",
    "anomaly",
    "anomalies",
    "anomalous",
    "is_outlier",
    "outlier",
    "ground_truth",
];

/// Where in a line each stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Columns {
    separator: Option<char>,
    pub has_header: bool,
    /// None if lines have no times.
    pub time: Option<usize>,
    pub value: usize,
    pub label: Option<usize>,
    /// Names of the others.
    pub unread: Vec<String>,
}

impl Columns {
    /// Those of these lines, of which none is empty.
    pub fn of(lines: &[&str]) -> Columns {
        let Some(first) = lines.first() else {
            return Columns::default();
        };
        let separator = separator(first, lines.get(1).copied());
        let names = split(first, separator);
        let of_line = |at: usize| lines.get(at).map_or(Vec::new(), |it| split(it, separator));
        if names
            .iter()
            .any(|it| is_number(it) || micros_of(it).is_some())
        {
            return Columns::by_position(separator, names.len(), lines);
        }
        Columns::by_name(separator, &names, &of_line(1))
    }

    /// What stands in the columns of a line, without quotes and what is around them.
    pub fn fields<'a>(&self, line: &'a str) -> Vec<&'a str> {
        split(line, self.separator)
    }

    /// Whether an anomaly is -1 and all else 1: there is no 0.
    pub fn has_turned_labels(&self, lines: &[&str]) -> bool {
        let Some(at) = self.label else { return false };
        let rows = lines.iter().skip(usize::from(self.has_header));
        let labels = rows.filter_map(|it| Label::of(self.fields(it).get(at)?));
        let mut has_minus_one = false;
        for label in labels {
            match label {
                Label::Usual => return false,
                Label::MinusOne => has_minus_one = true,
                Label::Anomaly => {}
            }
        }
        has_minus_one
    }

    fn by_position(separator: Option<char>, width: usize, lines: &[&str]) -> Columns {
        let all_labels = |at: usize| {
            let is_label = |it: &&str| {
                let fields = split(it, separator);
                fields.get(at).is_none_or(|it| it.is_empty()) || Label::of(fields[at]).is_some()
            };
            lines.iter().all(is_label)
        };
        let in_order = || {
            let time = |it: &&str| micros_of(split(it, separator).first()?);
            lines.is_sorted_by_key(time)
        };
        let untimed = |label| Columns {
            separator,
            value: 0,
            label,
            ..Columns::default()
        };
        match width {
            0 | 1 => untimed(None),
            // Values beside zeros and ones are not in the order of times.
            2 if all_labels(1) && !in_order() => untimed(Some(1)),
            _ => Columns {
                separator,
                time: Some(0),
                value: 1,
                label: Some(2).filter(|it| *it < width && all_labels(*it)),
                ..Columns::default()
            },
        }
    }

    fn by_name(separator: Option<char>, names: &[&str], first: &[&str]) -> Columns {
        let named = |known: &[&str]| {
            let spelled = |it: &&str| it.to_ascii_lowercase().replace([' ', '-'], "_");
            names
                .iter()
                .position(|it| known.contains(&spelled(it).as_str()))
        };
        let label = named(&LABELS);
        let value = named(&VALUES);
        let is_other = |at: usize| Some(at) != label && Some(at) != value;
        let has_value = || value.is_some() || (1..names.len()).any(is_other);
        let by_place = || (is_other(0) && has_value()).then_some(0);
        let time = named(&TIMES).or_else(by_place);
        let mut rest = (0..names.len()).filter(|at| is_other(*at) && Some(*at) != time);
        let holds_number = |at: &usize| {
            first
                .get(*at)
                .is_some_and(|it| is_number(it) || is_missing(it))
        };
        let value = value
            .or_else(|| rest.clone().find(holds_number))
            .or_else(|| rest.next())
            .unwrap_or(names.len());
        let is_read = |at: &usize| Some(*at) == time || *at == value || Some(*at) == label;
        let unread = (0..names.len()).filter(|it| !is_read(it) && !names[*it].is_empty());
        Columns {
            separator,
            has_header: true,
            time,
            value,
            label,
            unread: unread.map(|it| names[it].to_owned()).collect(),
        }
    }
}

/// A point that is labelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Label {
    Usual,
    Anomaly,
    /// -1, which is an anomaly beside 1 (as scikit-learn has it) and nothing beside 0.
    MinusOne,
}

impl Label {
    pub fn of(text: &str) -> Option<Label> {
        match text.to_ascii_lowercase().as_str() {
            "false" | "f" | "no" | "normal" => Some(Label::Usual),
            "true" | "t" | "yes" | "anomaly" => Some(Label::Anomaly),
            text => match text.parse::<f64>() {
                Ok(0.0) => Some(Label::Usual),
                Ok(1.0) => Some(Label::Anomaly),
                Ok(-1.0) => Some(Label::MinusOne),
                Ok(_) | Err(_) => None,
            },
        }
    }
}

/// Whether it stands for a value that is not there.
pub fn is_missing(text: &str) -> bool {
    const MISSING: [&str; 8] = ["", "nan", "null", "none", "na", "n/a", "-", "?"];
    MISSING.contains(&text.to_ascii_lowercase().as_str())
}

fn is_number(text: &str) -> bool {
    text.parse::<f64>().is_ok() && !is_missing(text)
}

/// Of several spaces only where the line below the first one has numbers between them.
fn separator(first: &str, second: Option<&str>) -> Option<char> {
    if let Some(it) = [',', ';', '\t'].into_iter().find(|it| first.contains(*it)) {
        return Some(it);
    }
    let words = || second.unwrap_or(first).split_whitespace();
    (1 < words().count() && words().all(|it| is_number(it) || is_missing(it))).then_some(' ')
}

fn split(line: &str, separator: Option<char>) -> Vec<&str> {
    match separator {
        Some(' ') => line.split_whitespace().collect(),
        Some(separator) => {
            let mut is_quoted = false;
            let is_end = |it: char| {
                is_quoted ^= it == '"';
                it == separator && !is_quoted
            };
            line.split(is_end).map(bare).collect()
        }
        None => vec![bare(line)],
    }
}

fn bare(field: &str) -> &str {
    field.trim().trim_matches('"').trim()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Time, value and label.
    fn of(text: &str) -> (Option<usize>, usize, Option<usize>) {
        let columns = Columns::of(&text.lines().collect::<Vec<_>>());
        (columns.time, columns.value, columns.label)
    }

    #[test]
    fn columns_are_taken_by_name_and_else_by_position() {
        assert_eq!(
            of("timestamp,value,is_anomaly\n1,2,0"),
            (Some(0), 1, Some(2))
        );
        assert_eq!(of("Value;Time Stamp\n1;2"), (Some(1), 0, None));
        assert_eq!(of("Data,Label\n0.5,0"), (None, 0, Some(1)));
        assert_eq!(of("value\n0.5"), (None, 0, None));
        assert_eq!(of("cpu\n0.5"), (None, 0, None));
        assert_eq!(of(",host,cpu,mem\n7,web,1,2"), (Some(0), 2, None));
        assert_eq!(of("timestamp,value,is_weekend\n1,2,0"), (Some(0), 1, None));
        assert_eq!(of("2024-05-12,2\n2024-05-13,3"), (Some(0), 1, None));
        assert_eq!(of("1,2,0\n2,3,1"), (Some(0), 1, Some(2)));
        assert_eq!(of("1,2,0\n2,3,37.2"), (Some(0), 1, None));
        assert_eq!(of("1 2 0\n2 3 1"), (Some(0), 1, Some(2)));
        // Lines of values and labels, as some benchmarks have them.
        assert_eq!(of("0.5,0\n0.7,0\n0.1,1"), (None, 0, Some(1)));
        assert_eq!(of("0.5\n0.7"), (None, 0, None));
        let columns = Columns::of(&["time,\"a, b\",mem", "1,2,3"]);
        assert_eq!(columns.unread, ["mem"]);
        assert_eq!(columns.fields("1,\"2, 3\", x "), ["1", "2, 3", "x"]);
    }

    #[test]
    fn labels_have_several_spellings() {
        let spelled = ["0", "0.0", "False", "no", "1", "1e0", "TRUE", "-1", "2", ""];
        let (usual, anomaly) = (Some(Label::Usual), Some(Label::Anomaly));
        let found = spelled.map(Label::of);
        assert_eq!(found[..4], [usual; 4]);
        assert_eq!(found[4..7], [anomaly; 3]);
        assert_eq!(found[7..], [Some(Label::MinusOne), None, None]);
    }
}
