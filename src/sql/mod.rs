//! SQL: dataflow files into plans, and ad-hoc queries over live views and the lake.
//!
//! DataFusion parses, checks types and optimises; what is maintained is lowered to our own plan, what is asked once runs in
//! DataFusion itself. One set of functions serves both, so both give the same answer.

mod again;
mod asof;
mod bounds;
pub mod by_dimensions;
mod by_name;
mod canonical;
mod casts;
mod choice;
mod column_types;
mod constant_rows;
mod constants;
mod correlated;
mod dates;
mod definite;
mod detectors;
pub mod dialect;
mod elsewhere;
mod emitted;
pub mod example_records;
mod excerpt;
mod formats;
mod forms;
mod functions;
mod generated;
mod grouping_sets;
pub mod incidents;
mod inside_aggregates;
mod intervals;
mod joins;
mod json_clauses;
mod json_columns;
mod ksql;
mod lambdas;
mod late;
mod latest;
mod lower;
pub mod measured;
pub mod models;
mod multisets;
mod named_queries;
mod named_types;
mod namesakes;
pub mod near;
mod null_equality;
mod passed_on;
mod per_group;
mod physical;
mod pivot;
mod places;
mod plain;
pub mod query;
mod read_over;
mod read_times;
mod recent_rows;
mod recompute;
pub mod reference;
mod scopes;
mod short_lists;
mod side_by_side;
mod sinks;
mod slips;
mod stars;
mod stored_table;
mod struct_stars;
mod syntax;
#[cfg(test)]
mod tests;
mod tokens;
mod tolerant;
mod types;
mod unnest;
mod using;
mod walk;
mod webhooks;
mod window_time;
mod window_values;
mod windows;
mod words;

pub use again::{kept_columns, over_archive};
pub use canonical::in_this_form;
pub use detectors::Watched;
pub use excerpt::Excerpt;
pub use functions::{class_of_address, last_step_us, wants};
pub use recompute::{Records, late_records, recompute};
pub use syntax::duration_us;
pub use types::sql_type_name;

use crate::lake;
use crate::model::stated::{StatedOption, is_option, names_listed, option};
use crate::plan::{
    ColumnSpec, Comment, DEAD_LETTER_RELATION, DELETED_COLUMN, Dataflow, Definitions, EPOCH_COLUMN,
    EventTime, Generated, LATE_RELATION, LiveModels, OFFSET_COLUMN, OnAhead, PARTITION_COLUMN,
    PageSettings, PlainView, Plan, PrimaryKey, Retention, RowEnd, SourceSpec, TableSpec, ViewKind,
    ViewSpec, check_rows, dead_letter_schema, late_schema, properties,
};
use crate::source::place::{Place, is_delta};
use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Schema, SchemaRef};
use column_types::{ColumnType, Types};
use datafusion::catalog::MemTable;
use datafusion::common::{DataFusionError, TableReference};
use datafusion::execution::SendableRecordBatchStream;
use datafusion::execution::{SessionState, SessionStateBuilder};
use datafusion::logical_expr::planner::ExprPlanner;
use datafusion::logical_expr::{Expr, LogicalPlan};
use datafusion::optimizer::OptimizerRule;
use datafusion::prelude::{SessionConfig, SessionContext};
use datafusion::sql::parser::Statement as DfStatement;
use datafusion::sql::sqlparser::ast::{Ident, Query, Statement};
use definite::OwnOrder;
use lower::Lowering;
use models::{Binder, Models, Unbound};
use named_queries::OfStatement;
use passed_on::Origin;
use stars::Stars;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use syntax::{ParsedKind, SourceText};

/// Closed rows stay live this long unless the view says otherwise.
const RETENTION_DEFAULT_US: i64 = 3_600_000_000;

/// What a dataflow is called that states no name, in a lake without any. Not the name of its folder: the same dataflow may lie in another one.
const UNNAMED: &str = "main";

/// What the engine counts about every dataflow, as views like any other.
const BUILT_IN_VIEWS: &str = "
CREATE MATERIALIZED VIEW late AS
  SELECT view, window_start, sum(records) AS records FROM _late GROUP BY view, window_start;
CREATE MATERIALIZED VIEW dead_letter_counts AS
  SELECT source, count(*) AS records, min(_epoch) AS first_epoch, max(_epoch) AS last_epoch FROM _dead_letters GROUP BY source;
";

/// A dataflow that cannot be installed as it is written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("could not read {path}")]
    Read {
        path: String,
        source: std::io::Error,
    },
    #[error("{path}: {text}")]
    Page { path: String, text: String },
    #[error("{place}line {line}: {text}")]
    Statement {
        place: String,
        line: u64,
        text: String,
        /// The part of the file that it is about.
        excerpt: Option<Box<Excerpt>>,
    },
    #[error("{place}line {line}: the model it scores with could not be read")]
    Model {
        place: String,
        line: u64,
        source: lake::Error,
    },
}

impl Error {
    fn at(line: u64, text: impl Into<String>) -> Self {
        Error::Statement {
            place: String::new(),
            line,
            text: text.into(),
            excerpt: None,
        }
    }

    fn in_file(self, path: &Path) -> Self {
        match self {
            Error::Statement {
                line,
                text,
                excerpt,
                ..
            } => Error::Statement {
                place: format!("{}: ", path.display()),
                line,
                text,
                excerpt,
            },
            Error::Model { line, source, .. } => Error::Model {
                place: format!("{}: ", path.display()),
                line,
                source,
            },
            other => other,
        }
    }
}

/// Reads `dataflow.sql` of a folder and plans it. `lookup` fills in `${NAME}`, and `models` are what it scores with.
///
/// # Errors
/// With file and line, at the first statement that cannot be maintained.
pub async fn load(
    folder: &Path,
    lookup: impl Fn(&str) -> Option<String>,
    models: &Models,
) -> Result<Dataflow, Error> {
    let path = folder.join("dataflow.sql");
    let text = std::fs::read_to_string(&path).map_err(|source| Error::Read {
        path: path.display().to_string(),
        source,
    })?;
    let planned = plan_text_with(UNNAMED, &text, lookup, models).await;
    let mut dataflow = planned.map_err(|it| it.in_file(&path))?;
    dataflow.page = page_settings(folder, &dataflow)?;
    Ok(dataflow)
}

/// What `page.toml` of the folder says, if there is one.
fn page_settings(folder: &Path, dataflow: &Dataflow) -> Result<PageSettings, Error> {
    let path = folder.join("page.toml");
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(source) if source.kind() == std::io::ErrorKind::NotFound => {
            return Ok(PageSettings::default());
        }
        Err(source) => {
            return Err(Error::Read {
                path: path.display().to_string(),
                source,
            });
        }
    };
    let refused = |text: String| Error::Page {
        path: path.display().to_string(),
        text,
    };
    let settings = PageSettings::parse(&text).map_err(refused)?;
    let names: Vec<&str> = dataflow.views.iter().map(|it| it.name.as_str()).collect();
    match settings
        .panels
        .iter()
        .find(|it| !names.contains(&it.view.as_str()))
    {
        None => Ok(settings),
        Some(it) => Err(refused(format!(
            "there is no materialized view `{}`; there are: {}",
            it.view,
            names.join(", ")
        ))),
    }
}

/// Plans the text of a dataflow, which has this name if it states none, and scores with no model.
///
/// # Errors
/// With the line of the statement, at the first one that cannot be maintained.
pub async fn plan_text(
    name: &str,
    text: &str,
    lookup: impl Fn(&str) -> Option<String>,
) -> Result<Dataflow, Error> {
    // Its state is large, and would stand on the stack twice.
    Box::pin(plan_text_with(name, text, lookup, &Models::Unknown)).await
}

/// The same for a dataflow that may score with models.
///
/// # Errors
/// As [`plan_text`], and if a model cannot be read.
pub async fn plan_text_with(
    name: &str,
    text: &str,
    lookup: impl Fn(&str) -> Option<String>,
    models: &Models,
) -> Result<Dataflow, Error> {
    let planned = bounds::with_room(planned(name, text, lookup, models)).await;
    planned.map_err(|it| it.found_in(text))
}

async fn planned(
    name: &str,
    text: &str,
    lookup: impl Fn(&str) -> Option<String>,
    models: &Models,
) -> Result<Dataflow, Error> {
    let text = syntax::fill_in(text, lookup)?;
    // Before anybody looks at it: the parser tells the log of every literal.
    crate::model::secret::conceal_all(&text);
    let mut planner = Planner::new(name);
    let mut webhook_lines = BTreeMap::new();
    let statements = syntax::parse(&text)?;
    let stated = statements.iter().find_map(|it| match &it.kind {
        ParsedKind::Name(name) => Some(name.clone()),
        _ => None,
    });
    let mut binder = Binder::new(models, stated);
    for mut statement in statements {
        let line = statement.line;
        let bound = Box::pin(binder.statement(&mut statement.kind)).await;
        bound.map_err(|it| match it {
            Unbound::Refused(text) => Error::at(line, text),
            Unbound::Lake(source) => Error::Model {
                place: String::new(),
                line,
                source,
            },
        })?;
        if let ParsedKind::Webhook(webhook) = &statement.kind {
            webhook_lines.insert(webhook.name.clone(), line);
        }
        if let Some(name) = statement.kind.relation() {
            planner.dataflow.lines.insert(name.to_owned(), line);
        }
        planner
            .add(statement.kind, true)
            .await
            .map_err(|it| Error::at(line, it))?;
    }
    planner
        .check_webhooks()
        .map_err(|(name, text)| Error::at(webhook_lines.get(&name).copied().unwrap_or(0), text))?;
    if planner.dataflow.sources.is_empty() {
        return Err(Error::at(1, "a dataflow needs at least one CREATE SOURCE"));
    }
    let of_incidents = incidents::statements(&planner.dataflow);
    for text in of_incidents.as_deref().into_iter().chain([BUILT_IN_VIEWS]) {
        for statement in syntax::parse(text)? {
            let name = statement.kind.relation().unwrap_or_default().to_owned();
            planner.dataflow.built_in.insert(name.clone());
            let added = planner.add(statement.kind, true).await;
            added.map_err(|it| Error::at(0, format!("the built-in relation {name}: {it}")))?;
        }
    }
    let mut dataflow = planner.dataflow;
    dataflow.models = binder.bound;
    dataflow.live_models.features = binder.live;
    dataflow.views = late_last(dataflow.views);
    dataflow.tables.push(dead_letter_table());
    dataflow.definitions = Definitions::of(&dataflow);
    dataflow.fingerprint = fingerprint(&dataflow);
    Ok(dataflow)
}

/// Views that read `_late`, by themselves or through others, behind all others: they read the late records of every one of those,
/// wherever they are written.
fn late_last(views: Vec<ViewSpec>) -> Vec<ViewSpec> {
    let mut late = BTreeSet::from([LATE_RELATION.to_owned()]);
    let (mut first, mut last) = (Vec::new(), Vec::new());
    for view in views {
        if view.plan.relations().iter().any(|it| late.contains(it)) {
            late.insert(view.name.clone());
            last.push(view);
        } else {
            first.push(view);
        }
    }
    first.append(&mut last);
    first
}

struct Planner {
    context: SessionContext,
    dataflow: Dataflow,
    /// Of the plain views so far.
    sizes: BTreeMap<String, bounds::Size>,
}

impl Planner {
    fn new(name: &str) -> Self {
        let context = SessionContext::new_with_state(planning_state());
        let live_models = LiveModels::default();
        for function in functions::in_force::all(&live_models.in_force) {
            context.register_udf(function);
        }
        let planner = Planner {
            context,
            sizes: BTreeMap::new(),
            dataflow: Dataflow {
                name: name.to_owned(),
                live_models,
                ..Dataflow::default()
            },
        };
        let _ = planner.register(LATE_RELATION, late_schema());
        let _ = planner.register(DEAD_LETTER_RELATION, dead_letter_schema());
        planner
    }

    fn register(&self, name: &str, schema: SchemaRef) -> Result<(), String> {
        let reference = TableReference::bare(name);
        if self.context.table_exist(reference.clone()).unwrap_or(false) {
            return Err(format!("the name `{name}` is already taken"));
        }
        let empty = MemTable::try_new(schema, vec![vec![]]).map_err(|it| words::planner(&it))?;
        self.context
            .register_table(reference, Arc::new(empty))
            .map_err(|it| words::planner(&it))?;
        Ok(())
    }

    async fn add(&mut self, statement: ParsedKind, stored: bool) -> Result<(), String> {
        if let ParsedKind::Table { query, .. }
        | ParsedKind::Alias { query, .. }
        | ParsedKind::View { query, .. } = &statement
        {
            let size = bounds::size(query, &self.sizes)?;
            if let ParsedKind::Alias { name, .. } = &statement {
                self.sizes.insert(name.clone(), size);
            }
        }
        match statement {
            ParsedKind::Name(name) => {
                if std::mem::replace(&mut self.dataflow.is_named, true) {
                    return Err(format!(
                        "the dataflow is already named '{}'",
                        self.dataflow.name
                    ));
                }
                self.dataflow.name = name;
            }
            ParsedKind::Source(text) => {
                let columns = generated::columns(&text).await?;
                let source = source_spec(text, columns)?;
                self.register(&source.name, source.schema())?;
                let has_key = source.key.is_some();
                let name = source.name.clone();
                self.dataflow.sources.push(source);
                if has_key {
                    // What removes a row is wrong here, not where it is read.
                    let name = Ident::with_quote('"', name);
                    let mut query = syntax::parse_query(&format!("SELECT * FROM {name}"))?;
                    latest::rewrite(&mut query, &self.dataflow)?;
                    let rows = self.lowered("", &query).await;
                    rows.map_err(|it| format!("delete_when: {it}"))?;
                }
            }
            ParsedKind::Detector(text) => self.add_detector(text).await?,
            ParsedKind::Webhook(text) => self.add_webhook(text)?,
            ParsedKind::Comment {
                relation,
                column,
                comment,
            } => self.add_comment(relation, column, comment)?,
            ParsedKind::Alias { name, query } => {
                self.add_plain_view(name, query).await?;
            }
            ParsedKind::Table {
                name,
                options,
                mut query,
            } => {
                self.settle(&mut query)?;
                self.note_json(&name, &query);
                canonical::query(&query)?;
                let has_key = |it: &String| {
                    let source = self.dataflow.source(it);
                    source.is_some_and(|it| it.key.is_some())
                };
                let of_versions = syntax::relations(&query).iter().any(has_key);
                let mut own = vec![PARTITION_COLUMN, OFFSET_COLUMN, EPOCH_COLUMN];
                own.extend(of_versions.then_some(DELETED_COLUMN));
                syntax::add_columns(&mut query, &own);
                let written = query.clone();
                windows::rewrite(query.as_mut(), windows::records_on_time)?;
                let planned = self.with_origins(&name, &query).await;
                let (plan, origins) = planned.map_err(|it| {
                    match own.iter().any(|own| it.contains(&format!("no column `{own}`"))) {
                        true => "the plain view it reads must keep _partition, _offset and _epoch, so that the table says where each record was read; add them to its SELECT, or write SELECT *".to_owned(),
                        false => it,
                    }
                })?;
                let plan = lower::with_all_records(plan);
                let table = self.table_spec(name, &options, &written, plan)?;
                self.register(&table.name, table.plan.schema())?;
                self.note_origins(&table.name, origins);
                self.dataflow.tables.push(table);
            }
            ParsedKind::View {
                name,
                options,
                mut query,
                is_final,
            } => {
                self.add_named_queries(&mut query, &name).await?;
                self.settle(&mut query)?;
                self.note_json(&name, &query);
                let sql = query.to_string();
                let canonical = canonical::query(&query)?;
                let stars = Stars::of(&query, &self.context, &self.dataflow)?;
                windows::refuse_over_names(query.as_mut())?;
                latest::refuse_windows(query.as_mut(), &self.dataflow)?;
                stars.name_columns(query.as_mut())?;
                windows::rewrite(query.as_mut(), |relation, until| {
                    let on_time = windows::records_on_time(relation, until);
                    match stars.columns(relation) {
                        Some(columns) => windows::Taken { columns, ..on_time },
                        None => on_time,
                    }
                })?;
                let canonical = canonical + &self.meaning_of_relations(&query, true)?;
                latest::rewrite(query.as_mut(), &self.dataflow)?;
                syntax::rewrite_now(&mut query);
                let (plan, origins) = self.with_origins(&name, &query).await?;
                let texts = ViewTexts {
                    sql,
                    canonical,
                    options,
                    is_final,
                };
                let view = self.view_spec(name, texts, plan, stored)?;
                self.register(&view.name, view.plan.schema())?;
                self.note_origins(&view.name, origins);
                self.dataflow.views.push(view);
            }
        }
        Ok(())
    }

    fn add_comment(
        &mut self,
        relation: String,
        column: Option<String>,
        comment: Comment,
    ) -> Result<(), String> {
        let columns = plain::columns(&self.context, &relation)
            .ok_or_else(|| format!("there is no relation `{relation}` above this comment"))?;
        if let Some(column) = &column
            && !columns.contains(column)
        {
            return Err(format!(
                "`{relation}` has no column `{column}`; it has: {}",
                columns.join(", ")
            ));
        }
        self.dataflow.comments.insert((relation, column), comment);
        Ok(())
    }

    async fn add_plain_view(&mut self, name: String, mut query: Box<Query>) -> Result<(), String> {
        self.add_named_queries(&mut query, &name).await?;
        canonical::refuse_in_query(query.as_ref())?;
        self.settle(&mut query)?;
        self.note_json(&name, &query);
        let text = query.to_string();
        windows::refuse_over_names(query.as_mut())?;
        latest::refuse_windows(query.as_mut(), &self.dataflow)?;
        windows::rewrite(query.as_mut(), windows::records_on_time)?;
        latest::rewrite(query.as_mut(), &self.dataflow)?;
        let plan = self.logical(&query).await?;
        lower::refuse_volatile(&plan)?;
        let origins = self.origins(&plan);
        let schema = Arc::clone(plan.schema().inner());
        let view = datafusion::datasource::ViewTable::new(plan, None);
        let reference = TableReference::bare(name.as_str());
        if self.context.table_exist(reference.clone()).unwrap_or(false) {
            return Err(format!("the name `{name}` is already taken"));
        }
        self.context
            .register_table(reference, Arc::new(view))
            .map_err(|it| words::planner(&it))?;
        // Nothing runs it: whether the engine could is of no concern.
        syntax::rewrite_now(&mut query);
        let plan = self.lowered(&name, &query).await.ok();
        self.note_origins(&name, origins);
        let plain = PlainView { schema, plan };
        self.dataflow.plain.insert(name.clone(), plain);
        self.dataflow.aliases.push((name, text));
        Ok(())
    }

    /// Which columns of a plan are only passed on, by their names.
    fn origins(&self, plan: &LogicalPlan) -> BTreeMap<String, Origin> {
        let is_plain = |name: &str, inner: &LogicalPlan| {
            let known = self.dataflow.plain.get(name);
            known.is_some_and(|it| it.schema.fields() == inner.schema().fields())
        };
        let names = plan.schema().fields().iter().map(|it| it.name().clone());
        let origins = passed_on::origins(plan, &is_plain);
        let passed = names.zip(origins);
        passed.filter_map(|(name, it)| Some((name, it?))).collect()
    }

    fn note_origins(&mut self, relation: &str, origins: BTreeMap<String, Origin>) {
        let noted = origins.into_iter();
        let noted = noted.map(|(column, it)| ((relation.to_owned(), column), it));
        self.dataflow.passed_on.extend(noted);
    }

    /// Adds the plain views that take the place of names of WITH that windows of a statement, also those written as values, are over.
    async fn add_named_queries(
        &mut self,
        query: &mut Query,
        statement: &str,
    ) -> Result<(), String> {
        window_values::rewrite(query, &self.dataflow)?;
        for OfStatement { name, query } in named_queries::taken_out(query, statement)? {
            Box::pin(self.add_plain_view(name, query)).await?;
        }
        Ok(())
    }

    fn with_relations<T>(&self, take: impl FnOnce(column_types::Known<'_>) -> T) -> T {
        take(column_types::Known {
            schema: &|name| plain::schema(&self.context, name),
            is_json: &|relation, column| self.dataflow.is_json(relation, column),
        })
    }

    /// Notes which columns of a relation are JSON.
    fn note_json(&mut self, relation: &str, query: &Query) {
        let columns = self.with_relations(|it| Types::new(it).of_query(query));
        let json = columns
            .into_iter()
            .filter(|it| it.1 == Some(ColumnType::Json));
        let noted = json.map(|it| (relation.to_owned(), it.0));
        self.dataflow.made_json.extend(noted);
    }

    /// Rewrites what only those understand who know the relations: windows as values, temporal joins, joins by the columns of both
    /// sides, columns of one name, columns of JSON, and `EXCEPT ALL`.
    fn settle(&self, query: &mut Query) -> Result<(), String> {
        window_values::rewrite(query, &self.dataflow)?;
        let known = |name: &str| plain::columns(&self.context, name);
        self.with_relations(|it| {
            struct_stars::rewrite(query, it)?;
            json_columns::rewrite(query, it)
        })?;
        window_time::rewrite(query, &known)?;
        inside_aggregates::rewrite(query, &known)?;
        recent_rows::rewrite(query, &known)?;
        asof::versions::rewrite(query, &self.dataflow, &known)?;
        read_times::rewrite(query, &self.dataflow, &known)?;
        scopes::rewrite(query, &known)?;
        using::rewrite(query, &known)?;
        pivot::rewrite(query, &known)?;
        short_lists::rewrite(query, &known)?;
        by_name::rewrite(query, &known)?;
        namesakes::rewrite(query, &known)?;
        multisets::rewrite(query, &known)
    }

    /// What the relations of a query mean, in canonical form: plain views, also those read through others, and sources with a primary key, if it reads
    /// the latest rows of these. Windows must be rewritten.
    fn meaning_of_relations(&self, query: &Query, reads_latest: bool) -> Result<String, String> {
        let mut texts = BTreeMap::new();
        let mut waiting = syntax::relations(query);
        while let Some(name) = waiting.pop() {
            if reads_latest
                && let Some(source) = self.dataflow.source(&name)
                && let Some(meaning) = latest::meaning(source)?
            {
                texts.insert(name.clone(), meaning);
            }
            let known = self.dataflow.aliases.iter().find(|it| it.0 == name);
            let Some((name, text)) = known.filter(|it| !texts.contains_key(&it.0)) else {
                continue;
            };
            let mut query = syntax::parse_query(text)?;
            let canonical = canonical::query(&query)
                .map_err(|it| format!("it reads the plain view {name}, and {it}"))?;
            texts.insert(name.clone(), canonical);
            windows::rewrite(&mut query, windows::records_on_time)?;
            waiting.extend(syntax::relations(&query));
        }
        let texts = texts.iter();
        Ok(texts
            .map(|(name, text)| format!("\n{name}: {text}"))
            .collect())
    }

    async fn logical(&self, query: &Query) -> Result<LogicalPlan, String> {
        let statement = DfStatement::Statement(Box::new(Statement::Query(Box::new(query.clone()))));
        let planned = casts::planned(&self.context.state(), statement).await;
        planned.map_err(|it| self.refused(&it))
    }

    /// What the planner says of a query, with what may be meant by a name that is not there.
    fn refused(&self, error: &DataFusionError) -> String {
        let without_hint = words::planner(error);
        let DataFusionError::Plan(said) = error.find_root() else {
            return without_hint;
        };
        let state = self.context.state();
        let known = state.schema_for_ref(LATE_RELATION);
        let mut names = known.map_or_else(|_| Vec::new(), |it| it.table_names());
        names.retain(|it| !it.starts_with('_'));
        let relation = words::no_relation(said, names.iter().map(String::as_str));
        let function = || match without_hint.contains("; ") {
            true => None,
            false => words::no_function(said, &words::functions_of(&state)),
        };
        relation
            .or_else(|| function().map(|it| it.0))
            .unwrap_or(without_hint)
    }

    async fn lowered(&self, name: &str, query: &Query) -> Result<Plan, String> {
        let own = OwnOrder::of_view(query);
        self.lower(name, self.logical(query).await?, own)
    }

    /// The plan of a query, and which of its columns are only passed on.
    async fn with_origins(
        &self,
        name: &str,
        query: &Query,
    ) -> Result<(Plan, BTreeMap<String, Origin>), String> {
        let logical = self.logical(query).await?;
        let origins = self.origins(&logical);
        let own = OwnOrder::of_view(query);
        Ok((self.lower(name, logical, own)?, origins))
    }

    fn lower(&self, name: &str, plan: LogicalPlan, own: OwnOrder) -> Result<Plan, String> {
        let raw = types::as_stored(plan)
            .and_then(|it| definite::definite(it, own, &self.dataflow, &self.context.state()))
            .and_then(|it| correlated::unnested(it, &self.dataflow))
            .map_err(|it| words::planner(&it))?;
        lower::refuse_volatile(&raw)?;
        let raw = lower::settle_windows(raw, &self.dataflow)?;
        let raw = asof::as_nodes(raw).map_err(|it| words::planner(&it))?;
        let state = self.context.state();
        let optimized = state
            .optimize(&raw)
            .and_then(|it| intervals::without_late_records(it, &self.dataflow))
            .map(|it| it.data)
            .map_err(|it| words::planner(&it))?;
        constants::refuse_impossible(&optimized, &state)?;
        let lowered = |closes| {
            let mut lowering = Lowering {
                state: &state,
                dataflow: &self.dataflow,
                name,
                closes,
                aggregations: 0,
                joins: 0,
                groups: 0,
                temporals: 0,
            };
            lowering.query(&optimized)
        };
        let plan = lowered(true)?;
        let known = properties(&plan, &|it: &str| self.dataflow.properties(it));
        match known.kind() {
            Some(_) => Ok(plan),
            None => lowered(false),
        }
    }

    fn table_spec(
        &self,
        name: String,
        options: &[(String, String)],
        query: &Query,
        plan: Plan,
    ) -> Result<TableSpec, String> {
        let mut partition_by = Vec::new();
        let mut keep_us = None;
        for (key, value) in options {
            if !is_option(&TABLE_OPTIONS, key) {
                return Err(format!(
                    "unknown option `{key}`; a table takes {}",
                    names_listed(&TABLE_OPTIONS)
                ));
            }
            match key.as_str() {
                "retention" => keep_us = Some(table_retention(value)?),
                "partition_by" => {
                    partition_by = value.split(',').map(|it| it.trim().to_owned()).collect()
                }
                other => unreachable!("option {other} is in the list, and read nowhere"),
            }
        }
        let schema = plan.schema();
        for column in &partition_by {
            let field = schema
                .field_with_name(column)
                .map_err(|_| format!("partition_by: there is no column `{column}`"))?;
            if !matches!(
                field.data_type(),
                DataType::Date32 | DataType::Int32 | DataType::Int64 | DataType::Utf8
            ) {
                return Err(format!(
                    "partition_by: column `{column}` must be a date, an integer or text"
                ));
            }
        }
        check_rows(&schema)?;
        let known = properties(&plan, &|it: &str| self.dataflow.properties(it));
        let relations = plan.relations();
        let source = match relations.as_slice() {
            // Each row is one record, which an unnested one is not.
            [one] if known.append_only && !plan.has_unnest() => self.dataflow.source(one),
            _ => None,
        };
        let Some(source) = source else {
            return Err("a table keeps the records of one source, one by one: SELECT … FROM source [WHERE …]; for aggregates use CREATE MATERIALIZED VIEW, which is a table of the lake too".to_owned());
        };
        let event_time = source
            .event_time
            .and_then(|it| known.unchanged.iter().position(|at| *at == Some(it.column)));
        let (columns_sql, selection) = canonical::apart(query, &schema)?;
        let selection = selection + &self.meaning_of_relations(query, false)?;
        let retention = keep_us.map(|it| retention_of(it, &schema, &partition_by, event_time));
        Ok(TableSpec {
            retention: retention.transpose()?,
            name,
            source: source.name.clone(),
            plan,
            columns_sql,
            selection,
            partition_by,
            event_time,
        })
    }

    fn view_spec(
        &self,
        name: String,
        texts: ViewTexts,
        mut plan: Plan,
        stored: bool,
    ) -> Result<ViewSpec, String> {
        let ViewTexts {
            sql,
            mut canonical,
            options,
            mut is_final,
        } = texts;
        let mut retention_us = RETENTION_DEFAULT_US;
        for (key, value) in &options {
            if !is_option(&VIEW_OPTIONS, key) {
                return Err(format!(
                    "unknown option `{key}`; a materialized view takes {}",
                    names_listed(&VIEW_OPTIONS)
                ));
            }
            match key.as_str() {
                emitted::OPTION => {
                    let column = plan.schema().index_of(value);
                    column.map_err(|_| {
                        format!("{}: there is no column `{value}`", emitted::OPTION)
                    })?;
                    is_final = true;
                }
                "retention" => {
                    retention_us = duration_us(value).filter(|it| 0 < *it).ok_or_else(|| {
                        format!("retention '{value}' must be a time such as '1 hour'")
                    })?;
                }
                other => unreachable!("option {other} is in the list, and read nowhere"),
            }
        }
        let mut known = properties(&plan, &|it: &str| self.dataflow.properties(it));
        let mut emitted = None;
        if is_final {
            let (column, add_us) = match known.kind() {
                Some(ViewKind::Windowed { column, add_us }) => (column, add_us),
                Some(ViewKind::Records | ViewKind::Open) | None => {
                    return Err(emitted::NO_WINDOW.to_owned());
                }
            };
            let end = RowEnd { column, add_us };
            emitted = Some(end);
            canonical.push_str("\nemit on window close");
            plan = emitted::at_close(plan, &name, end, known.clocks.clone());
            known = properties(&plan, &|it: &str| self.dataflow.properties(it));
        }
        check_rows(&plan.schema())?;
        let names: std::collections::BTreeSet<_> = plan
            .schema()
            .fields()
            .iter()
            .map(|it| it.name().clone())
            .collect();
        if names.len() != plan.schema().fields().len() {
            return Err("two columns of the view have one name; rename with AS".to_owned());
        }
        let kind = known.kind().ok_or(LOST_WINDOWS)?;
        let order = known.order;
        if let ViewKind::Windowed { .. } = kind {
            lower::has_clock(&known.clocks)?;
        }
        Ok(ViewSpec {
            name,
            sql,
            canonical,
            plan,
            kind,
            retention_us,
            clocks: known.clocks,
            order,
            stored,
            emitted,
        })
    }
}

/// A view as it is written.
struct ViewTexts {
    sql: String,
    canonical: String,
    options: Vec<(String, String)>,
    /// Whether its rows come when they are final.
    is_final: bool,
}

/// Refusal of a view whose rows belong to windows and do not say to which.
const LOST_WINDOWS: &str = "a view over windows must keep window_start or window_end (of SESSION, window_end) in its SELECT, in every side of a UNION ALL, so that its rows can be closed";

/// The options of a table.
const TABLE_OPTIONS: [StatedOption; 2] = [
    option(
        "partition_by",
        "`column, …`",
        "none",
        "Partition columns of the Delta table: dates, integers or texts of its query.",
    ),
    option(
        "retention",
        "a time of a day or more, such as `90 days`",
        "for ever",
        "How long rows stay in the table, by its first partition column that is a date, else by its event time. Older ones leave with a commit, file by file, and `verify` knows of it.",
    ),
];

/// The options of a materialized view.
const VIEW_OPTIONS: [StatedOption; 2] = [
    option(
        "retention",
        "a time",
        "`1 hour`",
        "How long rows of closed windows, and single records, stay live. The lake keeps them.",
    ),
    option(
        emitted::OPTION,
        "a column",
        "none",
        "The end of the window, for a view whose rows come once, when it is closed: the same as `EMIT ON WINDOW CLOSE`.",
    ),
];

/// The options of a source with a `WATERMARK`.
const EVENT_TIME_OPTIONS: [StatedOption; 2] = [
    option(
        LEAD_OPTION,
        "a time, or `default`",
        "half of the watermark's delay, 1 to 10 seconds",
        "How far ahead of the wall clock, and of the rest of its partition, a record may be and still move event time.",
    ),
    option(
        ON_AHEAD_OPTION,
        "`hold`, `dead_letter`",
        "`hold`",
        "What becomes of records further ahead of the wall clock: they wait in their window without moving event time, or become dead letters.",
    ),
];

/// The options of a source with a `PRIMARY KEY`.
const KEY_OPTIONS: [StatedOption; 2] = [
    option(
        VERSION_OPTION,
        "a column",
        "order of reading",
        "The column by which the latest version of a row is the one with the greatest value.",
    ),
    option(
        DELETE_WHEN_OPTION,
        "a condition",
        "none",
        "A record for which it holds removes the row of its key.",
    ),
];

/// The option of a source that says how far ahead records may move event time.
const LEAD_OPTION: &str = "max_event_time_lead";
/// Without it: half of the watermark's delay, so that one clock ahead leaves the other half to records on their way, within these bounds.
const LEAD_DEFAULT_MIN_US: i64 = 1_000_000;
const LEAD_DEFAULT_MAX_US: i64 = 10_000_000;

/// The option of a source that says what becomes of records further ahead of the wall clock than that.
const ON_AHEAD_OPTION: &str = "on_event_time_ahead";

/// What becomes of records that are too far ahead, taken out of the options of their source.
fn on_ahead(options: &mut Vec<(String, String)>, has_time: bool) -> Result<OnAhead, String> {
    let Some(at) = options.iter().position(|it| it.0 == ON_AHEAD_OPTION) else {
        return Ok(OnAhead::Hold);
    };
    let (_, value) = options.remove(at);
    match value.as_str() {
        _ if !has_time => Err(format!(
            "{ON_AHEAD_OPTION} is of use only in a source with WATERMARK FOR; leave it out"
        )),
        "hold" => Ok(OnAhead::Hold),
        "dead_letter" => Ok(OnAhead::DeadLetter),
        other => Err(format!(
            "{ON_AHEAD_OPTION} '{other}' is unknown; use 'hold' or 'dead_letter'"
        )),
    }
}

/// The lead that a source allows, taken out of its options.
fn lead_us(options: &mut Vec<(String, String)>, delay_us: Option<i64>) -> Result<i64, String> {
    let default = delay_us.map_or(0, |it| {
        (it / 2).clamp(LEAD_DEFAULT_MIN_US, LEAD_DEFAULT_MAX_US)
    });
    let Some(at) = options.iter().position(|it| it.0 == LEAD_OPTION) else {
        return Ok(default);
    };
    let (_, value) = options.remove(at);
    if delay_us.is_none() {
        return Err(format!(
            "{LEAD_OPTION} is of use only in a source with WATERMARK FOR; leave it out"
        ));
    }
    match value.as_str() {
        "default" => Ok(default),
        text => syntax::duration_us(text)
            .filter(|it| 0 <= *it)
            .ok_or_else(|| {
                format!("{LEAD_OPTION} '{text}' must be a time such as '5 seconds', or 'default'")
            }),
    }
}

/// Options of a source with a primary key: the column of versions, and what removes a row.
const VERSION_OPTION: &str = "version";
const DELETE_WHEN_OPTION: &str = "delete_when";

/// The primary key of a source, its options taken out of those of the source. Columns that tell the row cannot be null, and one more says whether a record removes it.
fn primary_key(
    text: &mut SourceText,
    columns: &mut Vec<ColumnSpec>,
) -> Result<Option<PrimaryKey>, String> {
    let mut option = |name: &str| {
        let at = text.options.iter().position(|it| it.0 == name)?;
        Some(text.options.remove(at).1)
    };
    let (version, delete_when) = (option(VERSION_OPTION), option(DELETE_WHEN_OPTION));
    let Some(names) = text.key.take() else {
        let of_key = [(VERSION_OPTION, version), (DELETE_WHEN_OPTION, delete_when)];
        return match of_key.into_iter().find(|it| it.1.is_some()) {
            None => Ok(None),
            Some((name, _)) => Err(format!(
                "option '{name}' is of use only in a source with a PRIMARY KEY; leave it out"
            )),
        };
    };
    let mut place = |what: &str, name: &str| {
        let at = columns.iter().position(|it| it.name == name);
        let at = at.ok_or_else(|| format!("{what} `{name}`: the source has no such column"))?;
        if columns[at].generated.is_some() {
            return Err(format!(
                "{what} `{name}`: what tells the row of a record is a column of the record itself, not a generated one"
            ));
        }
        columns[at].nullable = false;
        Ok::<usize, String>(at)
    };
    let mut key = Vec::new();
    for name in &names {
        let at = place("PRIMARY KEY", name)?;
        if key.contains(&at) {
            return Err(format!("PRIMARY KEY names `{name}` twice"));
        }
        key.push(at);
    }
    let version = version.map(|it| syntax::known_as(&Ident::new(it)));
    let version = version.map(|it| place(VERSION_OPTION, &it)).transpose()?;
    if text.format.eq_ignore_ascii_case("ACCESS_LOG") {
        return Err("lines of an access log are no versions of rows; a source with a PRIMARY KEY has FORMAT JSON or CSV".to_owned());
    }
    if version.is_some() && is_delta(&text.options) {
        return Err(format!(
            "a row of a Delta table is what its newest version says; leave {VERSION_OPTION} out"
        ));
    }
    columns.push(ColumnSpec {
        name: DELETED_COLUMN.to_owned(),
        written: DELETED_COLUMN.to_owned(),
        data_type: DataType::Boolean,
        nullable: true,
        is_json: false,
        default: None,
        generated: None,
    });
    Ok(Some(PrimaryKey {
        columns: key,
        version,
        delete_when,
    }))
}

fn source_spec(mut text: SourceText, mut columns: Vec<ColumnSpec>) -> Result<SourceSpec, String> {
    let on_ahead = on_ahead(&mut text.options, text.watermark.is_some())?;
    let lead_us = lead_us(&mut text.options, text.watermark.as_ref().map(|it| it.1))?;
    let key = primary_key(&mut text, &mut columns)?;
    let event_time = match text.watermark {
        None => None,
        Some((name, delay_us)) => {
            let column = columns
                .iter()
                .position(|it| it.name == name)
                .ok_or_else(|| format!("WATERMARK FOR `{name}`: the source has no such column"))?;
            if !matches!(columns[column].data_type, DataType::Timestamp(..)) {
                return Err(format!(
                    "WATERMARK FOR `{name}`: the column must be a TIMESTAMP"
                ));
            }
            if let Some(Generated::ReadTime) = columns[column].generated {
                return Err(format!(
                    "WATERMARK FOR `{name}`: when a record was read is no event time; name a time that records have themselves"
                ));
            }
            Some(EventTime {
                column,
                delay_us,
                lead_us,
                on_ahead,
            })
        }
    };
    let format = formats::of(&text.format, &mut text.options, key.is_some())?;
    formats::check_columns(&format, &columns)?;
    Place::check_options(&text.name, &text.options).map_err(|it| it.to_string())?;
    Ok(SourceSpec {
        name: text.name,
        columns,
        event_time,
        key,
        format,
        options: text.options,
    })
}

fn dead_letter_table() -> TableSpec {
    let schema = dead_letter_schema();
    let columns = (0..schema.fields().len()).collect();
    TableSpec {
        name: "dead_letters".to_owned(),
        source: String::new(),
        columns_sql: Vec::new(),
        selection: String::new(),
        plan: Plan::Relation {
            name: DEAD_LETTER_RELATION.to_owned(),
            columns,
            schema,
        },
        partition_by: vec!["date".to_owned(), "hour".to_owned()],
        event_time: None,
        retention: None,
    }
}

/// How long a table keeps its rows, which go by whole days.
fn table_retention(value: &str) -> Result<i64, String> {
    const DAY_US: i64 = 86_400_000_000;
    duration_us(value)
        .filter(|it| DAY_US <= *it)
        .ok_or_else(|| format!("retention '{value}' must be a day or more, such as '90 days'"))
}

/// By which column a table lets rows go: the date that its folders are named by, or else the event time.
fn retention_of(
    keep_us: i64,
    schema: &Schema,
    partition_by: &[String],
    event_time: Option<usize>,
) -> Result<Retention, String> {
    let is_date = |it: &usize| *schema.field(*it).data_type() == DataType::Date32;
    let mut folders = partition_by
        .iter()
        .filter_map(|it| schema.index_of(it).ok());
    let date = folders.find(is_date);
    let column = date.or(event_time).ok_or(
        "retention: nothing tells how old a row of this table is; partition it by a date (partition_by = 'date', with CAST(… AS DATE) AS date), or keep the event time of the source",
    )?;
    Ok(Retention {
        keep_us,
        column,
        is_date: date.is_some(),
    })
}

/// What processes of one cluster must agree on: the definitions, and settings that decide what is computed from here on.
fn fingerprint(dataflow: &Dataflow) -> String {
    use std::fmt::Write;
    let text = serde_json::to_string(&dataflow.definitions);
    let mut text = text.expect("definitions are JSON");
    for source in &dataflow.sources {
        let _ = write!(
            text,
            "{} {:?}",
            source.name,
            source
                .event_time
                .map(|it| (it.delay_us, it.lead_us, it.on_ahead))
        );
    }
    for view in &dataflow.views {
        let _ = write!(text, "{} {}", view.name, view.retention_us);
    }
    format!("{:032x}", twox_hash::XxHash3_128::oneshot(text.as_bytes()))
}

/// The session in which views are planned: only rules whose results we can lower and maintain.
fn planning_state() -> SessionState {
    use datafusion::optimizer as o;
    let rules: Vec<Arc<dyn OptimizerRule + Send + Sync>> = vec![
        Arc::new(o::rewrite_set_comparison::RewriteSetComparison::new()),
        Arc::new(o::optimize_unions::OptimizeUnions::new()),
        Arc::new(o::simplify_expressions::SimplifyExpressions::new()),
        Arc::new(o::decorrelate_predicate_subquery::DecorrelatePredicateSubquery::new()),
        Arc::new(o::scalar_subquery_to_join::ScalarSubqueryToJoin::new()),
        Arc::new(o::decorrelate_lateral_join::DecorrelateLateralJoin::new()),
        Arc::new(o::extract_equijoin_predicate::ExtractEquijoinPredicate::new()),
        Arc::new(o::eliminate_duplicated_expr::EliminateDuplicatedExpr::new()),
        Arc::new(o::eliminate_filter::EliminateFilter::new()),
        Arc::new(o::eliminate_cross_join::EliminateCrossJoin::new()),
        Arc::new(o::eliminate_outer_join::EliminateOuterJoin::new()),
        Arc::new(o::push_down_limit::PushDownLimit::new()),
        Arc::new(o::push_down_filter::PushDownFilter::new()),
        Arc::new(o::optimize_projections::OptimizeProjections::new()),
    ];
    let mut config = SessionConfig::new().with_target_partitions(1);
    let options = config.options_mut();
    options.sql_parser.map_string_types_to_utf8view = false;
    options
        .optimizer
        .enable_physical_uncorrelated_scalar_subquery = false;
    let mut state = SessionStateBuilder::new()
        .with_config(config)
        .with_default_features()
        .with_analyzer_rules(side_by_side::rules())
        .with_optimizer_rules(null_equality::made_last(rules))
        .with_physical_optimizer_rules(physical::rules())
        .build();
    register_functions(&mut state);
    state
}

/// A Delta table as DataFusion reads it, with the types views have.
///
/// # Errors
/// If its log cannot be read.
pub async fn delta_provider(
    delta: &deltalake::DeltaTable,
) -> Result<Arc<dyn datafusion::catalog::TableProvider>, String> {
    let mut config = SessionConfig::new();
    config
        .options_mut()
        .execution
        .parquet
        .schema_force_view_types = false;
    let session = Arc::new(SessionContext::new_with_config(config).state());
    delta
        .update_datafusion_session(session.as_ref())
        .map_err(|it| it.to_string())?;
    let table = delta.table_provider().with_session(session).await;
    let table = table.map_err(|it| it.to_string())?;
    Ok(Arc::new(stored_table::StoredTable::new(table)))
}

/// All rows of a Delta table at its version, in the columns of a schema.
///
/// # Errors
/// If the table cannot be read.
pub async fn table_rows(
    delta: &deltalake::DeltaTable,
    schema: &SchemaRef,
) -> Result<Vec<RecordBatch>, String> {
    let text = |it: datafusion::error::DataFusionError| it.strip_backtrace();
    let rows = table_stream(delta, schema, None).await?;
    datafusion::physical_plan::common::collect(rows)
        .await
        .map_err(text)
}

/// Rows of a Delta table for which a condition holds, batch by batch, in the columns of a schema.
///
/// # Errors
/// If the table cannot be read.
pub async fn table_stream(
    delta: &deltalake::DeltaTable,
    schema: &SchemaRef,
    condition: Option<Expr>,
) -> Result<SendableRecordBatchStream, String> {
    let text = |it: datafusion::error::DataFusionError| it.strip_backtrace();
    let context = SessionContext::new();
    let provider = delta_provider(delta).await?;
    let quoted: Vec<_> = schema
        .fields()
        .iter()
        .map(|it| datafusion::prelude::ident(it.name()))
        .collect();
    let mut frame = context.read_table(provider).map_err(text)?;
    if let Some(condition) = condition {
        frame = frame.filter(condition).map_err(text)?;
    }
    frame
        .select(quoted)
        .map_err(text)?
        .execute_stream()
        .await
        .map_err(text)
}

/// Adds our functions to a session.
pub(crate) fn register_functions(state: &mut SessionState) {
    use datafusion::execution::FunctionRegistry;
    let first: [Arc<dyn ExprPlanner>; 2] = [Arc::new(dates::Parts), Arc::new(places::Places)];
    let planners = first
        .into_iter()
        .chain(state.expr_planners().iter().cloned());
    let planners = planners.collect();
    *state = SessionStateBuilder::new_from_existing(state.clone())
        .with_expr_planners(planners)
        .build();
    let _ = state.register_expr_planner(Arc::new(dates::Dates));
    for function in functions::scalar_functions() {
        let _ = state.register_udf(function);
    }
    if let Ok(native) = state.udf("to_timestamp") {
        let _ = state.register_udf(functions::instants::within_bounds(native));
    }
    for function in functions::functions_of_lambdas() {
        let _ = state.register_higher_order_function(function);
    }
    for aggregate in functions::aggregates() {
        let _ = state.register_udaf(aggregate);
    }
    for window in functions::window_functions() {
        let _ = state.register_udwf(window);
    }
}
