//! Models that statements score with: `score('NAME', …)` becomes `score('NAME@<id>', …)`, with the hash of one model's content.
//!
//! ```text
//! score('odd', …)            the current model of the lake, or the one that the newest commit was written with
//! score('odd@1f2e3d4c', …)   the one whose id begins so
//! ```
//!
//! A table of records is no statement about one model: it scores each record by what is in force when it comes (`model::in_force`), unless an id is written.
//!
//! ```text
//! score('odd', a, b)         becomes score_in_force('odd', _epoch, a, b); so do model('odd'), model_version('odd') and threshold('odd')
//! ```
//!
//! Everywhere else these three are what they are of the model that is bound. All that comes behind (canonical texts, definitions, proofs) sees the id, and another model is another statement. A model is loaded here and made known to the
//! process, so that planning and evaluating need no lake.

#[cfg(test)]
mod tests;

use super::functions::{SCORE, wants};
use super::syntax::{GeneratedText, ParsedKind};
use super::walk;
use crate::lake::{self, Store};
use crate::learn::{self, Model};
use crate::plan::EPOCH_COLUMN;
use datafusion::sql::parser::Statement as DfStatement;
use datafusion::sql::sqlparser::ast::{
    Expr, FunctionArg, FunctionArgExpr, FunctionArguments, Ident, ObjectName, Query, Statement,
    Value, VisitorMut,
};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::sync::Arc;

/// Digits of an id that tell a model.
const DIGITS_MIN: usize = 8;
const DIGITS: usize = 64;
/// The end of the names of functions that take the epoch of a record.
const IN_FORCE: &str = "_in_force";

/// Where the models of a dataflow or a query are looked up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Models {
    /// Nowhere: a statement that scores is refused.
    #[default]
    Unknown,
    /// In this lake, where a name means the current model.
    Current(String),
    /// In this lake, where a name means what it meant in the dataflow's newest commit; the current model if there it meant nothing.
    Committed(String),
}

impl Models {
    fn lake(&self) -> Option<&str> {
        match self {
            Models::Unknown => None,
            Models::Current(lake) | Models::Committed(lake) => Some(lake),
        }
    }
}

/// Why a statement has no model.
#[derive(Debug)]
pub enum Unbound {
    /// The statement is at fault.
    Refused(String),
    /// The lake is.
    Lake(lake::Error),
}

impl From<lake::Error> for Unbound {
    fn from(error: lake::Error) -> Self {
        Unbound::Lake(error)
    }
}

impl From<String> for Unbound {
    fn from(text: String) -> Self {
        Unbound::Refused(text)
    }
}

/// Binds the statements of one dataflow, or one query.
pub struct Binder<'a> {
    models: &'a Models,
    /// The name of the dataflow, if it states one.
    dataflow: Option<String>,
    store: Option<Store>,
    committed: Option<BTreeMap<String, String>>,
    /// The id that each name without one was bound to.
    pub bound: BTreeMap<String, String>,
    /// What tables score with as records come: how many features each name is given.
    pub live: BTreeMap<String, BTreeSet<usize>>,
}

impl<'a> Binder<'a> {
    pub fn new(models: &'a Models, dataflow: Option<String>) -> Self {
        Binder {
            models,
            dataflow,
            store: None,
            committed: None,
            bound: BTreeMap::new(),
            live: BTreeMap::new(),
        }
    }

    /// Binds what a statement of a dataflow scores with.
    ///
    /// # Errors
    /// If there is no such model, or it is not asked as it wants.
    pub async fn statement(&mut self, statement: &mut ParsedKind) -> Result<(), Unbound> {
        match statement {
            ParsedKind::Table { query, .. } => self.query(query, true).await,
            ParsedKind::Alias { query, .. } | ParsedKind::View { query, .. } => {
                self.query(query, false).await
            }
            ParsedKind::Source(source) => {
                for column in &mut source.columns {
                    if let Some(GeneratedText::Query(query)) = &mut column.generated {
                        self.query(query, false).await?;
                    }
                }
                Ok(())
            }
            ParsedKind::Name(_)
            | ParsedKind::Detector(_)
            | ParsedKind::Webhook(_)
            | ParsedKind::Comment { .. } => Ok(()),
        }
    }

    /// Binds what an ad-hoc statement scores with.
    ///
    /// # Errors
    /// As [`Binder::statement`].
    pub async fn asked(&mut self, mut statement: &mut DfStatement) -> Result<(), Unbound> {
        while let DfStatement::Explain(explain) = statement {
            statement = &mut explain.statement;
        }
        match statement {
            DfStatement::Statement(inner) => match inner.as_mut() {
                Statement::Query(query) => self.query(query, false).await,
                _ => Ok(()),
            },
            _ => Ok(()),
        }
    }

    async fn query(&mut self, query: &mut Query, as_records_come: bool) -> Result<(), Unbound> {
        let mut calls = Calls {
            as_records_come,
            ..Calls::default()
        };
        walk::query(query, &mut calls)?;
        for (name, given) in std::mem::take(&mut calls.live) {
            learn::check_name(&name)?;
            self.live.entry(name).or_default().extend(given);
        }
        for (text, given) in std::mem::take(&mut calls.found) {
            let model = self.model(&text).await?;
            if let Some(given) = given.filter(|it| model.features().len() != *it) {
                return Err(wants(&model, given).into());
            }
            let name = format!("{}@{}", model.name(), model.id());
            let version = match calls.asks_version {
                true => Some(self.version(&model).await?),
                false => None,
            };
            let bound = Bound {
                name,
                id: model.id().to_owned(),
                version,
                threshold: model.threshold(),
            };
            calls.bound.insert(text, bound);
        }
        match calls.bound.is_empty() {
            true => Ok(()),
            false => Ok(walk::query(query, &mut calls)?),
        }
    }

    /// The number of the newest version that is this model.
    async fn version(&mut self, model: &Model) -> Result<u64, Unbound> {
        let store = self.store(model.name())?;
        let versions = store.models().versions(model.name()).await?;
        let found = versions.iter().find(|it| it.id == model.id());
        found.map(|it| it.number).ok_or_else(|| {
            let text = format!("no version of model {} is {}", model.name(), model.id());
            Unbound::Refused(text)
        })
    }

    /// The model that a text names.
    async fn model(&mut self, text: &str) -> Result<Arc<Model>, Unbound> {
        let (name, digits) = match text.split_once('@') {
            Some((name, digits)) => (name, Some(digits.to_ascii_lowercase())),
            None => (text, None),
        };
        learn::check_name(name)?;
        if let Some(digits) = &digits {
            let is_hex = digits.bytes().all(|it| it.is_ascii_hexdigit());
            if !is_hex || !(DIGITS_MIN..=DIGITS).contains(&digits.len()) {
                return Err(format!("{SCORE}('{text}', …): behind @ stand at least {DIGITS_MIN} digits of a model's id; `tidelake model show {name}` has the ids of all versions").into());
            }
            if digits.len() == DIGITS
                && !self.reads_files()
                && let Some(kept) = learn::kept(digits).filter(|it| it.name() == name)
            {
                return Ok(kept);
            }
        }
        let store = self.store(name)?;
        let id = match digits {
            Some(id) if id.len() == DIGITS => id,
            Some(digits) => beginning(&store, name, &digits).await?,
            None => {
                let id = self.meant(&store, name).await?;
                self.bound.insert(name.to_owned(), id.clone());
                id
            }
        };
        match self.reads_files() {
            true => Ok(learn::keep(store.models().load(name, &id).await?)),
            false => Ok(store.models().kept(name, &id).await?),
        }
    }

    /// Who proves a commit wants to know that the models are there.
    fn reads_files(&self) -> bool {
        matches!(self.models, Models::Committed(_))
    }

    fn store(&mut self, name: &str) -> Result<Store, Unbound> {
        if let Some(store) = &self.store {
            return Ok(store.clone());
        }
        let Some(lake) = self.models.lake() else {
            return Err(format!(
                "model {name} cannot be looked up without a lake; say which with --lake"
            )
            .into());
        };
        let store = match Store::open_existing(lake) {
            Err(lake::Error::Address { uri, reason }) => {
                return Err(format!(
                    "model {name} cannot be looked up: lake {uri:?} cannot be opened, {reason}"
                )
                .into());
            }
            other => other?,
        };
        self.store = Some(store.clone());
        Ok(store)
    }

    /// The id of the model that a name without one means.
    async fn meant(&mut self, store: &Store, name: &str) -> Result<String, Unbound> {
        if let Some(id) = self.bound.get(name) {
            return Ok(id.clone());
        }
        if matches!(self.models, Models::Committed(_)) {
            if self.committed.is_none() {
                self.committed = Some(committed(store, self.dataflow.as_deref()).await?);
            }
            if let Some(id) = self.committed.as_ref().and_then(|it| it.get(name)) {
                return Ok(id.clone());
            }
        }
        match store.models().current(name).await? {
            Some(current) => Ok(current.id),
            None => Err(unknown(store, name).await?.into()),
        }
    }
}

/// What names meant in the newest commit of a dataflow; of one that does not state its name, of the only one there is.
async fn committed(
    store: &Store,
    dataflow: Option<&str>,
) -> Result<BTreeMap<String, String>, lake::Error> {
    let manifest = match dataflow {
        Some(name) => store.newest_manifest(name).await?,
        None => {
            let mut all = store.newest_manifests().await?;
            all.retain(|it| !it.tables.is_empty());
            match all.len() {
                1 => all.pop(),
                _ => None,
            }
        }
    };
    let models = manifest.and_then(|mut it| it.definitions.get_mut("models").map(|it| it.take()));
    Ok(models
        .and_then(|it| serde_json::from_value(it).ok())
        .unwrap_or_default())
}

/// The id that begins with these digits.
async fn beginning(store: &Store, name: &str, digits: &str) -> Result<String, Unbound> {
    let versions = store.models().versions(name).await?;
    if versions.is_empty() {
        return Err(unknown(store, name).await?.into());
    }
    let mut ids: Vec<&String> = versions.iter().map(|it| &it.id).collect();
    ids.sort();
    ids.dedup();
    let found: Vec<&&String> = ids.iter().filter(|it| it.starts_with(digits)).collect();
    match found.as_slice() {
        [one] => Ok((**one).clone()),
        [] => {
            let known: Vec<String> = versions
                .iter()
                .map(|it| format!("{} ({})", it.number, &it.id[..DIGITS_MIN.min(it.id.len())]))
                .collect();
            Err(format!(
                "no version of model {name} has an id that begins with {digits}; there are versions {}",
                known.join(", ")
            )
            .into())
        }
        _ => Err(format!(
            "the ids of several versions of model {name} begin with {digits}; write more digits"
        )
        .into()),
    }
}

async fn unknown(store: &Store, name: &str) -> Result<String, lake::Error> {
    let known = store.models().list().await?;
    Ok(match known.is_empty() {
        true => format!(
            "there is no model {name} in the lake, nor another one; `tidelake train {name} --from 'SELECT …'` makes it"
        ),
        false => format!(
            "there is no model {name} in the lake; there are {}",
            known.join(", ")
        ),
    })
}

/// Functions that name a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Function {
    Score,
    Id,
    Version,
    Threshold,
}

impl Function {
    const ALL: [(Function, &str); 4] = [
        (Function::Score, SCORE),
        (Function::Id, "model"),
        (Function::Version, "model_version"),
        (Function::Threshold, "threshold"),
    ];

    fn of_name(name: &str) -> Option<Function> {
        let mut all = Self::ALL.iter();
        let found = all.find(|it| it.1.eq_ignore_ascii_case(name));
        found.map(|it| it.0)
    }

    fn name(self) -> &'static str {
        let mut all = Self::ALL.iter();
        all.find(|it| it.0 == self).map_or(SCORE, |it| it.1)
    }
}

/// What is written for a model.
struct Bound {
    /// Its name and id.
    name: String,
    id: String,
    /// If somebody asks.
    version: Option<u64>,
    threshold: Option<f64>,
}

/// Finds calls of the functions, then writes into them what they are bound to.
#[derive(Default)]
struct Calls {
    /// Whether names without an id mean what is in force when a record comes.
    as_records_come: bool,
    /// What names a model, and how many features it is given, if it scores.
    found: Vec<(String, Option<usize>)>,
    /// The same of names that mean what is in force.
    live: Vec<(String, Option<usize>)>,
    asks_version: bool,
    bound: BTreeMap<String, Bound>,
}

impl VisitorMut for Calls {
    type Break = String;

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<String> {
        if self.bound.is_empty()
            && let Some(name) = of_schedule(expr)
        {
            let plain = name.trim_end_matches(IN_FORCE);
            return ControlFlow::Break(format!(
                "{name} is not there to be called; write {plain}('NAME', …) in a table"
            ));
        }
        let (function, text, given) = match call(expr) {
            None => return ControlFlow::Continue(()),
            Some(Err(text)) => return ControlFlow::Break(text),
            Some(Ok(found)) => found,
        };
        if let Some(bound) = self.bound.get(&text) {
            write(expr, function, bound);
            return ControlFlow::Continue(());
        }
        let given = (function == Function::Score).then_some(given);
        if self.as_records_come && !text.contains('@') {
            write_in_force(expr, function);
            self.live.push((text, given));
        } else {
            self.asks_version |= function == Function::Version;
            self.found.push((text, given));
        }
        ControlFlow::Continue(())
    }
}

/// Writes what a call is of one model.
fn write(expr: &mut Expr, function: Function, bound: &Bound) {
    let text = |it: &str| Expr::Value(Value::SingleQuotedString(it.to_owned()).into());
    let number = |it: String| Expr::Value(Value::Number(it, false).into());
    *expr = match function {
        Function::Score => {
            if let Expr::Function(function) = expr
                && let FunctionArguments::List(list) = &mut function.args
                && let Some(first) = list.args.first_mut()
            {
                *first = FunctionArg::Unnamed(FunctionArgExpr::Expr(text(&bound.name)));
            }
            return;
        }
        Function::Id => text(&bound.id),
        Function::Version => match bound.version {
            Some(it) => number(it.to_string()),
            None => Expr::Value(Value::Null.into()),
        },
        Function::Threshold => match bound.threshold {
            Some(it) => number(format!("{it:e}")),
            None => Expr::Value(Value::Null.into()),
        },
    };
}

/// The name of a function over the schedule, if somebody calls one by it.
fn of_schedule(expr: &Expr) -> Option<String> {
    let Expr::Function(function) = expr else {
        return None;
    };
    let name = function.name.to_string().to_ascii_lowercase();
    let plain = name.strip_suffix(IN_FORCE)?;
    Function::of_name(plain).is_some().then_some(name)
}

/// Writes a call of what is in force in the epoch of the record.
fn write_in_force(expr: &mut Expr, function: Function) {
    if let Expr::Function(call) = expr
        && let FunctionArguments::List(list) = &mut call.args
    {
        let name = format!("{}{IN_FORCE}", function.name());
        call.name = ObjectName::from(vec![Ident::new(name)]);
        let epoch = Expr::Identifier(Ident::new(EPOCH_COLUMN));
        let epoch = FunctionArg::Unnamed(FunctionArgExpr::Expr(epoch));
        list.args.insert(1, epoch);
    }
}

/// The function, the text that names a model and how many features follow, if the expression is a call of one.
fn call(expr: &Expr) -> Option<Result<(Function, String, usize), String>> {
    let Expr::Function(function) = expr else {
        return None;
    };
    let called = match function.name.0.as_slice() {
        [name] => Function::of_name(&name.as_ident()?.value)?,
        _ => return None,
    };
    let form = || {
        let name = called.name();
        Err(match called {
            Function::Score => format!(
                "{name} has the form {name}('NAME', a, b, …): the name of a model as a text, then its features, each by itself"
            ),
            Function::Id | Function::Version | Function::Threshold => {
                format!("{name} has the form {name}('NAME'): the name of a model as a text")
            }
        })
    };
    let FunctionArguments::List(list) = &function.args else {
        return Some(form());
    };
    let plain = list.duplicate_treatment.is_none()
        && list.clauses.is_empty()
        && function.over.is_none()
        && function.filter.is_none()
        && function.within_group.is_empty();
    let all_alone = list
        .args
        .iter()
        .all(|it| matches!(it, FunctionArg::Unnamed(FunctionArgExpr::Expr(_))));
    let given = list.args.len().saturating_sub(1);
    let fits = called == Function::Score || given == 0;
    match list.args.first() {
        Some(FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Value(value))))
            if plain && all_alone && fits =>
        {
            match &value.value {
                Value::SingleQuotedString(text) => Some(Ok((called, text.clone(), given))),
                _ => Some(form()),
            }
        }
        _ => Some(form()),
    }
}
