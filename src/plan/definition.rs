//! What a dataflow is, in a form that outlives the program: kept with every commit, compared at every start.
//!
//! A definition says what stored rows and stored state of a relation mean. It is made from the statements in canonical form
//! (`sql::canonical`), after `${NAME}` is filled in, with names and types resolved; never from how this program or a library represents
//! them, so that another build says the same. What changes nothing that is stored (brokers, retention, the watermark's delay) is not in it.

use super::{
    Aggregation, BoundKind, ColumnSpec, Dataflow, Detection, Format, Function, GroupWindow,
    JoinKind, JoinWindow, LATE_RELATION, Plan, Ranking, SourceSpec, TemporalBound, Timescale,
    Window, sql_name,
};
use crate::model::Offsets;
use arrow::datatypes::SchemaRef;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt::Write;

/// Rises when stored state of an operator means something else than before: all views are then filled again.
const STATE_VERSION: u32 = 11;

/// Rises when detectors say something else of the same windows: their views are then filled again.
const DETECTORS_VERSION: u32 = 7;

/// Rises when other records are counted as late: views over the relation of late records are then filled again.
const LATE_VERSION: u32 = 3;

/// Rises when definitions are noted in another form: older ones are then read as `sql::in_this_form` says.
pub const DEFINITIONS_FORM: u32 = 3;

fn first_form() -> u32 {
    1
}

/// All relations of a dataflow by name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Definitions {
    #[serde(default = "first_form")]
    pub form: u32,
    pub sources: BTreeMap<String, SourceDefinition>,
    pub tables: BTreeMap<String, TableDefinition>,
    pub views: BTreeMap<String, ViewDefinition>,
    /// The id of the model that each name of one stands for, where no id is written.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub models: BTreeMap<String, String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceDefinition {
    pub format: String,
    pub columns: Vec<ColumnDefinition>,
    pub event_time: Option<String>,
}

/// A table of archived records.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableDefinition {
    /// Empty for the table of dead letters.
    pub source: String,
    /// Which records it keeps, as SQL.
    pub selection: String,
    pub columns: Vec<ColumnDefinition>,
    pub partition_by: Vec<String>,
    pub event_time: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ViewDefinition {
    pub columns: Vec<ColumnDefinition>,
    /// A hash over everything that decides its rows and its state, apart from the views it reads.
    pub meaning: String,
    /// Views whose rows, or whose late records, it reads.
    pub reads: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ColumnDefinition {
    pub name: String,
    #[serde(rename = "type")]
    pub data_type: String,
    /// In a source: whether a record may lack it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub required: bool,
    /// In a table of archived records, and of a generated column of a source: what it is computed by. Of another column of a source: `DEFAULT` and
    /// what a record has that lacks it, if that is stated.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub sql: String,
    /// For a column that was added: where each partition of the source was read on then. Records before do not have it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Offsets>,
}

/// How records become columns. Where times without a zone are is part of that: another place would give other times.
pub(super) fn format_of(source: &SourceSpec) -> String {
    let format = match &source.format {
        Format::Json => "JSON".to_owned(),
        Format::AccessLog => "ACCESS_LOG".to_owned(),
        Format::Parquet => "PARQUET".to_owned(),
        Format::Debezium => "DEBEZIUM_JSON".to_owned(),
        Format::Delta => "DELTA".to_owned(),
        Format::Csv(csv) => {
            let header = if csv.header { "with" } else { "without" };
            let mut text = format!("CSV {header} a header");
            if csv.delimiter != b',' {
                match csv.delimiter {
                    b'\t' => text += ", delimited by tabs",
                    other => {
                        let _ = write!(text, ", delimited by '{}'", char::from(other));
                    }
                }
            }
            if let Some(null) = &csv.null {
                let _ = write!(text, ", '{null}' for null");
            }
            text
        }
    };
    match source.option("timezone") {
        Some(zone) => format!("{format} with times of {zone}"),
        None => format,
    }
}

impl Default for Definitions {
    fn default() -> Self {
        Definitions {
            form: DEFINITIONS_FORM,
            sources: BTreeMap::new(),
            tables: BTreeMap::new(),
            views: BTreeMap::new(),
            models: BTreeMap::new(),
        }
    }
}

impl Definitions {
    /// The definitions of a dataflow that is about to begin.
    pub fn of(dataflow: &Dataflow) -> Self {
        let mut definitions = Definitions {
            models: dataflow.models.clone(),
            ..Definitions::default()
        };
        for source in &dataflow.sources {
            let name = |it: usize| source.columns[it].name.clone();
            let definition = SourceDefinition {
                format: format_of(source),
                columns: source.columns.iter().map(of_source).collect(),
                event_time: source.event_time.map(|it| name(it.column)),
            };
            definitions.sources.insert(source.name.clone(), definition);
        }
        for table in &dataflow.tables {
            let schema = table.plan.schema();
            let mut columns = columns_of(&schema);
            for (column, sql) in columns.iter_mut().zip(&table.columns_sql) {
                column.sql.clone_from(sql);
            }
            let definition = TableDefinition {
                source: table.source.clone(),
                selection: table.selection.clone(),
                columns,
                partition_by: table.partition_by.clone(),
                event_time: table.event_time.map(|it| schema.field(it).name().clone()),
            };
            definitions.tables.insert(table.name.clone(), definition);
        }
        // Views whose late records are counted, so far.
        let mut counted: Vec<String> = Vec::new();
        for view in &dataflow.views {
            let mut reads: Vec<String> = Vec::new();
            for name in view.plan.relations() {
                match name.as_str() {
                    LATE_RELATION => reads.extend(counted.iter().cloned()),
                    other => reads.extend(dataflow.view(other).map(|it| it.name.clone())),
                }
            }
            reads.sort();
            reads.dedup();
            let mut text = format!(
                "{STATE_VERSION}\n{}\n{}",
                view.canonical,
                outline(&view.plan)
            );
            if view.plan.relations().iter().any(|it| it == LATE_RELATION) {
                let _ = write!(text, "\nlate records {LATE_VERSION}");
            }
            let definition = ViewDefinition {
                columns: columns_of(&view.plan.schema()),
                meaning: format!("{:032x}", twox_hash::XxHash3_128::oneshot(text.as_bytes())),
                reads,
            };
            definitions.views.insert(view.name.clone(), definition);
            if view.plan.counts_late() {
                counted.push(view.name.clone());
            }
        }
        definitions
    }
}

/// What the stateful nodes of a plan keep. Two plans that say the same here can read each other's state.
pub fn state_shape(plan: &Plan) -> String {
    let mut text = String::new();
    plan.walk(&mut |node| match node {
        Plan::Aggregate {
            input, aggregation, ..
        } => aggregation_shape(&mut text, aggregation, &input.schema()),
        Plan::TopK {
            order, skip, limit, ..
        } => {
            let _ = write!(text, "top {limit} after {skip} by");
            for it in order {
                let _ = write!(text, " {} {} {}", it.column, it.descending, it.nulls_first);
            }
            let _ = writeln!(text, " of ({})", types(&node.schema()));
        }
        Plan::Join {
            left, right, join, ..
        } => {
            let kind = match join.kind {
                JoinKind::Inner => "inner",
                JoinKind::Left => "left",
                JoinKind::Full => "full",
                JoinKind::Semi => "semi",
                JoinKind::Anti => "anti",
                JoinKind::Mark => "mark",
            };
            let (left, right) = (types(&left.schema()), types(&right.schema()));
            let _ = write!(text, "{} {kind} join of ({left}) with ({right})", join.id);
            if let Some(JoinWindow {
                left,
                right,
                is_shared,
            }) = join.window
            {
                let _ = match is_shared {
                    true => write!(
                        text,
                        " closes {} {} {}",
                        left.column, right.column, left.add_us
                    ),
                    false => write!(
                        text,
                        " lets go {} {} and {} {}",
                        left.column, left.add_us, right.column, right.add_us
                    ),
                };
            }
            text.push('\n');
        }
        Plan::AsOf {
            left, right, as_of, ..
        } => {
            let (left, right) = (types(&left.schema()), types(&right.schema()));
            let _ = writeln!(text, "{} as-of join of ({left}) with ({right})", as_of.id);
        }
        Plan::PerGroup { input, group, .. } => {
            let keys = &group.keys;
            let _ = write!(
                text,
                "{} rows of ({}) by {keys:?}",
                group.id,
                types(&input.schema())
            );
            match group.window {
                Some(GroupWindow::OfKey { input, add_us, .. }) => {
                    let _ = write!(text, " closes {input} {add_us}");
                }
                Some(GroupWindow::OfSession { time, gap_us, .. }) => {
                    let _ = write!(text, " closes sessions of {time} {gap_us}");
                }
                None => {}
            }
            if let Some(it) = group.ranking.as_ref().and_then(Ranking::kept_up_to) {
                let _ = write!(text, " up to {} in {}", it.greatest, it.rank);
            }
            text.push('\n');
        }
        Plan::Temporal { input, temporal } => {
            let rows = types(&input.schema());
            let _ = write!(text, "{} rows of ({rows}) while", temporal.id);
            for TemporalBound { time, kind } in &temporal.bounds {
                let _ = match kind {
                    BoundKind::From { add_us } => write!(text, " from {time} {add_us}"),
                    BoundKind::Until { add_us } => write!(text, " until {time} {add_us}"),
                    BoundKind::Last { size_us, step_us } => {
                        write!(text, " last {time} {size_us} in steps of {step_us}")
                    }
                };
            }
            if temporal.time == Timescale::Watermark {
                text.push_str(" by the watermark");
            }
            let _ = writeln!(text, " keeps {}", temporal.keeps);
        }
        Plan::Detect {
            input, detection, ..
        } => detection_shape(&mut text, detection, &input.schema()),
        Plan::Incidents {
            input, incidents, ..
        } => {
            let _ = writeln!(
                text,
                "{} incidents of ({}) from {} on, over after {}",
                incidents.id,
                types(&input.schema()),
                incidents.rule.extend_at,
                incidents.rule.cool_down_windows
            );
        }
        Plan::Relation { .. }
        | Plan::Constant { .. }
        | Plan::Unnest { .. }
        | Plan::Map { .. }
        | Plan::Union { .. }
        | Plan::Admit { .. } => {}
    });
    text
}

fn detection_shape(text: &mut String, detection: &Detection, input: &SchemaRef) {
    let _ = write!(
        text,
        "{} detector {DETECTORS_VERSION} of ({}) by {:?} in windows of {} from {} that end {} after {}",
        detection.id,
        types(input),
        detection.keys,
        detection.grid.size_us,
        detection.grid.offset_us,
        detection.end.add_us,
        detection.end.column,
    );
    if let Some(season_us) = detection.season_us {
        let _ = write!(text, ", season {season_us}");
    }
    let _ = write!(
        text,
        ", {} early, {} false a day:",
        detection.early_us, detection.alerts_per_day
    );
    for metric in &detection.metrics {
        let kind = metric.kind.name();
        let _ = write!(text, " {kind} {} of {:?};", metric.name, metric.columns);
    }
    text.push('\n');
}

/// The relations a plan reads, with the columns that `*` stood for, and what it keeps.
fn outline(plan: &Plan) -> String {
    let mut text = state_shape(plan);
    plan.walk(&mut |node| {
        if let Plan::Relation { name, schema, .. } = node {
            let _ = writeln!(text, "reads {name} ({})", types(schema));
        }
    });
    text
}

fn aggregation_shape(text: &mut String, aggregation: &Aggregation, input: &SchemaRef) {
    let keys = aggregation.keys.iter().map(|it| input.field(*it));
    let keys: Vec<String> = keys.map(|it| sql_name(it.data_type())).collect();
    let _ = write!(text, "{} by ({})", aggregation.id, keys.join(", "));
    match aggregation.window {
        Window::None => {}
        Window::Tumble {
            key,
            add_us,
            size_us,
        } => {
            let _ = write!(text, " tumble {key} {add_us} {size_us}");
        }
        Window::Last {
            size_us, step_us, ..
        } => {
            let _ = write!(text, " leaves after {size_us} in steps of {step_us}");
        }
    }
    let _ = write!(text, " append_only {}:", aggregation.append_only);
    for it in &aggregation.aggregates {
        let function = match it.function {
            Function::Count => "count".to_owned(),
            Function::CountDistinct => "count_distinct".to_owned(),
            Function::Sum => "sum".to_owned(),
            Function::Avg => "avg".to_owned(),
            Function::Min => "min".to_owned(),
            Function::Max => "max".to_owned(),
            Function::Variance { sample } => format!("variance {sample}"),
            Function::Stddev { sample } => format!("stddev {sample}"),
            Function::Percentile(rank) => format!("percentile {rank}"),
        };
        let _ = write!(
            text,
            " {function} of {} to {} filtered {};",
            sql_name(&it.argument_type),
            sql_name(&it.result_type),
            it.filter.is_some()
        );
    }
    text.push('\n');
}

fn types(schema: &SchemaRef) -> String {
    let fields = schema.fields().iter();
    let texts: Vec<String> = fields
        .map(|it| format!("{} {}", it.name(), sql_name(it.data_type())))
        .collect();
    texts.join(", ")
}

fn of_source(column: &ColumnSpec) -> ColumnDefinition {
    ColumnDefinition {
        name: column.name.clone(),
        data_type: match column.is_json {
            true => "JSON".to_owned(),
            false => sql_name(&column.data_type),
        },
        required: !column.nullable,
        sql: match (&column.generated, &column.default) {
            (Some(by), _) => by.sql().to_owned(),
            (None, Some(text)) => format!("DEFAULT '{}'", text.replace('\'', "''")),
            (None, None) => String::new(),
        },
        since: None,
    }
}

fn columns_of(schema: &SchemaRef) -> Vec<ColumnDefinition> {
    let fields = schema.fields().iter();
    fields
        .map(|it| ColumnDefinition {
            name: it.name().clone(),
            data_type: sql_name(it.data_type()),
            required: false,
            sql: String::new(),
            since: None,
        })
        .collect()
}
