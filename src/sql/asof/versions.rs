//! Temporal joins, `FROM orders o JOIN rates FOR SYSTEM_TIME AS OF o.at AS r ON o.currency = r.currency`, as ASOF joins: of each record the row that was there at
//! its time.
//!
//! `AS OF PROCTIME()` is the time at which the record was read, the epoch of both: what comes later changes no row that was joined. `AS OF o.at` is the
//! event time of both. Of a source with a primary key all versions are read, and one that removes its row is a row of NULLs, which an
//! inner join leaves out. A `*` beside a temporal join is written out, since versions have columns that it does not stand for; a sub-query of records
//! that stands before one keeps their epochs. Of a plain view of the newest row of each key, by `ROW_NUMBER`, the records below it are the versions.

use super::super::using::{Known, Names, name_of as name_of_item};
use super::super::windows::READ_TIME;
use super::super::{forms, generated, syntax, walk};
use super::{AS_OF, conjuncts, name_of, parsed};
use crate::plan::{
    DELETED_COLUMN, Dataflow, EPOCH_COLUMN, OFFSET_COLUMN, PARTITION_COLUMN, PrimaryKey, SourceSpec,
};
use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Expr, GroupByExpr, Ident, Join, JoinConstraint, JoinOperator, ObjectName,
    ObjectNamePart, OrderByExpr, Query, Select, SelectItem, SetExpr, TableFactor, TableVersion,
    TableWithJoins, VisitorMut, WildcardAdditionalOptions, WindowType,
};
use std::ops::ControlFlow;

const RECORDS: &str = "AS OF PROCTIME() is about records: first in FROM stands a source without PRIMARY KEY, a table, or a sub-query of one that has columns and a WHERE";

pub const FORM: &str = "a temporal join has the form FROM records r JOIN versions FOR SYSTEM_TIME AS OF PROCTIME() AS v ON r.key = v.key, or AS OF r.time, the event time";

/// The column of a version's key that the join is made by, and the one that says whether it removes its row.
const KEY: &str = "__key_";
const GONE: &str = "__gone";
/// The event time of a version of a source with a key.
const TIME: &str = "__time";

/// Turns temporal joins into ASOF joins.
///
/// # Errors
/// If one has another form.
pub fn rewrite(query: &mut Query, dataflow: &Dataflow, known: &Known) -> Result<(), String> {
    struct Rewrite<'a> {
        dataflow: &'a Dataflow,
        known: &'a Known<'a>,
        names: Names<'a>,
    }
    impl VisitorMut for Rewrite<'_> {
        type Break = String;
        fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<String> {
            self.names.note(query);
            ControlFlow::Continue(())
        }
        fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<String> {
            match in_select(select, self.dataflow, self.known, &self.names) {
                Ok(()) => ControlFlow::Continue(()),
                Err(reason) => ControlFlow::Break(reason),
            }
        }
    }
    let names = Names::new(known);
    let mut rewrite = Rewrite {
        dataflow,
        known,
        names,
    };
    walk::query(query, &mut rewrite)
}

/// Refuses relations as of a time, where there is none but now.
///
/// # Errors
/// If there is one.
pub fn refuse(query: &mut Query) -> Result<(), String> {
    struct Refuse;
    impl VisitorMut for Refuse {
        type Break = String;
        fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<String> {
            match factor {
                TableFactor::Table {
                    version: Some(_), ..
                } => ControlFlow::Break(format!(
                    "FOR SYSTEM_TIME AS OF is for views, which are told of every version; {FORM}"
                )),
                _ => ControlFlow::Continue(()),
            }
        }
    }
    walk::query(query, &mut Refuse)
}

/// Whether it is the version that a temporal join becomes: all of them, as of their epochs.
pub fn reads_all(version: &TableVersion) -> bool {
    matches!(version, TableVersion::ForSystemTimeAsOf(time) if time.to_string() == EPOCH_COLUMN)
}

/// The time that a relation is read as of.
fn as_of(factor: &TableFactor) -> Option<&Expr> {
    match factor {
        TableFactor::Table {
            version: Some(version @ TableVersion::ForSystemTimeAsOf(time)),
            ..
        } if !reads_all(version) => Some(time),
        _ => None,
    }
}

fn in_select(
    select: &mut Select,
    dataflow: &Dataflow,
    known: &Known,
    names: &Names,
) -> Result<(), String> {
    let has_one = |it: &TableWithJoins| {
        as_of(&it.relation).is_some() || it.joins.iter().any(|it| as_of(&it.relation).is_some())
    };
    if !select.from.iter().any(has_one) {
        return Ok(());
    }
    if let Some(items) = names.items(select)? {
        select.projection = items;
    }
    // `FROM records, versions FOR SYSTEM_TIME …`: joins, whose conditions are in WHERE.
    let mut items = std::mem::take(&mut select.from).into_iter();
    let mut from: Vec<TableWithJoins> = items.next().into_iter().collect();
    for mut item in items {
        let join_operator = match as_of(&item.relation) {
            Some(_) => JoinOperator::Inner(JoinConstraint::None),
            None => JoinOperator::CrossJoin(JoinConstraint::None),
        };
        from[0].joins.push(Join {
            relation: item.relation,
            global: false,
            join_operator,
        });
        from[0].joins.append(&mut item.joins);
    }
    if as_of(&from[0].relation).is_some() {
        return Err(FORM.to_owned());
    }
    select.from = from;
    let mut conditions: Vec<Expr> = select.selection.iter().flat_map(conjuncts).collect();
    for item in &mut select.from {
        let times = item.joins.iter().filter_map(|it| as_of(&it.relation));
        let times: Vec<Expr> = times.cloned().collect();
        let read_times = match times.is_empty() {
            true => Vec::new(),
            false => with_epochs(&mut item.relation, &times, dataflow, names)?,
        };
        for at in 0..item.joins.len() {
            if as_of(&item.joins[at].relation).is_none() {
                continue;
            }
            if let Some(join) = item.joins[at + 1..].iter().find(|it| !keeps_left(it)) {
                return Err(format!(
                    "`{join}` behind a temporal join is not maintained; write the temporal join as a sub-query: (SELECT … FROM … JOIN … FOR SYSTEM_TIME AS OF …) AS name"
                ));
            }
            let before: Vec<&TableFactor> = std::iter::once(&item.relation)
                .chain(item.joins[..at].iter().map(|it| &it.relation))
                .collect();
            let place = Place {
                before: &before,
                read_times: &read_times,
                dataflow,
                known,
                names,
            };
            let join = of_join(&item.joins[at], &place, &mut conditions)?;
            item.joins[at] = join;
        }
    }
    select.selection = conditions.into_iter().reduce(and);
    Ok(())
}

/// Whether a time that a relation is read as of is the time at which the record before it was read.
fn is_now(time: &Expr) -> bool {
    let text = time.to_string().to_ascii_lowercase();
    ["proctime()", "now()", "current_timestamp"].contains(&text.as_str())
}

/// Whether rows of a relation were each read in one epoch, which they have as a column: not if they replace each other.
fn has_epoch(factor: &TableFactor, dataflow: &Dataflow) -> bool {
    match factor {
        TableFactor::Table { name, .. } => relation_name(name).is_some_and(|it| {
            let source = dataflow.source(&it);
            source.is_none_or(|it| it.key.is_none())
        }),
        TableFactor::Derived { subquery, .. } => match subquery.body.as_ref() {
            SetExpr::Select(inner) => {
                let mut names = inner.projection.iter().filter_map(name_of_item);
                names.any(|it| it == EPOCH_COLUMN)
            }
            _ => false,
        },
        _ => false,
    }
}

/// Has a sub-query of records keep the epoch of each, if something is joined as of that: says which of its columns are when a record was read.
fn with_epochs(
    factor: &mut TableFactor,
    times: &[Expr],
    dataflow: &Dataflow,
    names: &Names,
) -> Result<Vec<String>, String> {
    let TableFactor::Derived {
        lateral: false,
        subquery,
        alias: Some(alias),
        ..
    } = factor
    else {
        return Ok(Vec::new());
    };
    let is_plain = subquery.with.is_none()
        && subquery.limit_clause.is_none()
        && subquery.fetch.is_none()
        && alias.columns.is_empty();
    let SetExpr::Select(inner) = subquery.body.as_mut() else {
        return Ok(Vec::new());
    };
    let [TableWithJoins { relation, joins }] = inner.from.as_slice() else {
        return Ok(Vec::new());
    };
    let TableFactor::Table {
        name, args: None, ..
    } = relation
    else {
        return Ok(Vec::new());
    };
    let records = relation_name(name).filter(|it| {
        let of_source = dataflow.source(it).is_some_and(|it| it.key.is_none());
        of_source || dataflow.tables.iter().any(|table| table.name == *it)
    });
    let (Some(records), Some(mut items)) = (records, names.items(inner)?) else {
        return Ok(Vec::new());
    };
    let is_grouped =
        !matches!(&inner.group_by, GroupByExpr::Expressions(keys, _) if keys.is_empty());
    if !is_plain || !joins.is_empty() || inner.distinct.is_some() || is_grouped {
        return Ok(Vec::new());
    }
    let mut read_times = Vec::new();
    for item in &mut items {
        let Some(name) = name_of_item(item) else {
            continue;
        };
        let (SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. }) = item else {
            continue;
        };
        let column = match &*expr {
            Expr::Identifier(it) => Some(it),
            Expr::CompoundIdentifier(parts) => parts.last(),
            _ => None,
        };
        let is_column = column
            .is_some_and(|it| generated::is_read_time(&records, &syntax::known_as(it), dataflow));
        if forms::is_processing_time(expr) {
            *expr = parsed(READ_TIME, |it| it.parse_expr())?;
            read_times.push(name);
        } else if is_column {
            read_times.push(name);
        }
    }
    let is_read_time = |it: &Expr| match it {
        Expr::Identifier(name) => read_times.contains(&syntax::known_as(name)),
        Expr::CompoundIdentifier(parts) => parts
            .last()
            .is_some_and(|name| read_times.contains(&syntax::known_as(name))),
        other => is_now(other),
    };
    if !times.iter().any(is_read_time) {
        return Ok(Vec::new());
    }
    let epoch = Expr::Identifier(Ident::new(EPOCH_COLUMN));
    items.push(SelectItem::UnnamedExpr(epoch));
    inner.projection = items;
    Ok(read_times)
}

/// The name by which a relation of this dataflow is known.
fn relation_name(name: &ObjectName) -> Option<String> {
    match name.0.as_slice() {
        [ObjectNamePart::Identifier(it)] => Some(syntax::known_as(it)),
        _ => None,
    }
}

/// Whether a condition on what stands before a join means the same behind it: not if the join has rows of its other side alone.
fn keeps_left(join: &Join) -> bool {
    matches!(
        join.join_operator,
        JoinOperator::Join(_)
            | JoinOperator::Inner(_)
            | JoinOperator::Left(_)
            | JoinOperator::LeftOuter(_)
            | JoinOperator::CrossJoin(_)
    )
}

fn and(left: Expr, right: Expr) -> Expr {
    Expr::BinaryOp {
        left: Box::new(left),
        op: BinaryOperator::And,
        right: Box::new(right),
    }
}

/// The join as an ASOF join. What it asks for beside equal keys goes to the conditions behind it, and those that are its keys are taken from there.
fn of_join(join: &Join, place: &Place, conditions: &mut Vec<Expr>) -> Result<Join, String> {
    let (is_left, mut parts) = match &join.join_operator {
        JoinOperator::Inner(JoinConstraint::None) => (false, Vec::new()),
        JoinOperator::Join(JoinConstraint::On(it))
        | JoinOperator::Inner(JoinConstraint::On(it)) => (false, conjuncts(it)),
        JoinOperator::Left(JoinConstraint::On(it))
        | JoinOperator::LeftOuter(JoinConstraint::On(it)) => (true, conjuncts(it)),
        _ => return Err(FORM.to_owned()),
    };
    let (TableFactor::Table { name, alias, .. }, Some(time)) =
        (&join.relation, as_of(&join.relation))
    else {
        return Err(FORM.to_owned());
    };
    if alias.as_ref().is_some_and(|it| !it.columns.is_empty()) {
        return Err(format!("rename columns of the versions in SELECT; {FORM}"));
    }
    let relation = relation_name(name).ok_or(FORM)?;
    let versions = Versions::of(&relation, place.dataflow, place.known)?;
    let alias = name_of(&join.relation)?;
    let scope = Scope {
        place,
        alias: &alias,
        versions: &versions,
    };
    if !is_left {
        parts.append(conditions);
    }
    let wanted = versions.key_names();
    let mut keys: Vec<(Expr, String)> = Vec::new();
    for part in parts {
        let is_further = |key: &(Expr, String)| {
            let is_taken = keys.iter().any(|it| it.1 == key.1);
            !wanted.is_empty() && (is_taken || !wanted.contains(&key.1.as_str()))
        };
        match scope.key(&part) {
            // What else is equal is asked of the version that the key has.
            Some(key) if !is_left && is_further(&key) => conditions.push(part),
            Some(key) => keys.push(key),
            None if is_left => {
                return Err(format!(
                    "{FORM}; `{part}` is no equality of a key: write it into WHERE, or into a sub-query of the left side"
                ));
            }
            None => conditions.push(part),
        }
    }
    let names: Vec<&str> = keys.iter().map(|it| it.1.as_str()).collect();
    let is_key = wanted.iter().all(|it| names.contains(it)) && names.len() == wanted.len();
    if names.is_empty() || (!wanted.is_empty() && !is_key) {
        return Err(format!(
            "the rows of {relation} are told apart by ({}), so a temporal join is on these, all of them and no others; {FORM}",
            wanted.join(", ")
        ));
    }
    let (left_time, right_time) = scope.times(time)?;
    let quoted = |it: &str| Ident::with_quote('"', it);
    let mut text = format!("{AS_OF}() AND {left_time} >= {alias}.{right_time}");
    for (left, name) in &keys {
        let key = quoted(&format!("{KEY}{name}"));
        text += &format!(" AND {left} = {alias}.{key}");
    }
    if !is_left && versions.source.is_some() {
        let gone = parsed(&format!("{alias}.{} IS NOT TRUE", quoted(GONE)), |it| {
            it.parse_expr()
        })?;
        conditions.push(gone);
    }
    let on = JoinConstraint::On(parsed(&text, |it| it.parse_expr())?);
    let side = versions.side(&names, &right_time, &alias);
    Ok(Join {
        relation: parsed(&side, |it| it.parse_table_factor())?,
        global: false,
        join_operator: match is_left {
            true => JoinOperator::Left(on),
            false => JoinOperator::Join(on),
        },
    })
}

/// The relation whose versions are joined.
struct Versions<'a> {
    /// That of the records.
    name: String,
    source: Option<(&'a SourceSpec, &'a PrimaryKey)>,
    /// The columns of a version, by their names and those that records have for them.
    columns: Vec<(String, String)>,
    event_time: Option<String>,
    /// If it is a plain view of newest rows, which these are.
    newest: Option<Newest>,
}

impl<'a> Versions<'a> {
    fn of(name: &str, dataflow: &'a Dataflow, known: &Known) -> Result<Self, String> {
        let plain = dataflow.aliases.iter().find(|it| it.0 == name);
        let newest = match plain {
            Some((_, text)) => Newest::of(&syntax::parse_query(text)?, dataflow, known),
            None => None,
        };
        let records = newest.as_ref().map_or(name, |it| &it.relation);
        let source = dataflow.source(records);
        let is_table = dataflow.tables.iter().any(|it| it.name == records);
        if source.is_none() && !is_table {
            return Err(format!(
                "{name} is no source, no table and no plain view of the newest row of each key (ROW_NUMBER() OVER (PARTITION BY key ORDER BY time DESC) = 1, time being the event time or PROCTIME() of records), so its versions are not known; {FORM}"
            ));
        }
        let added = |it: &String| super::super::stars::ADDED.contains(&it.as_str());
        let columns = match &newest {
            Some(it) => it.columns.clone(),
            None => {
                let columns = known(name).unwrap_or_default().into_iter();
                let columns = columns.filter(|it| !added(it));
                columns.map(|it| (it.clone(), it)).collect()
            }
        };
        let event_time = super::super::lower::event_time_name(records, dataflow);
        Ok(Versions {
            name: records.to_owned(),
            source: source.and_then(|it| Some((it, it.key.as_ref()?))),
            columns,
            event_time: event_time.filter(|_| newest.as_ref().is_none_or(|it| !it.is_by_reading)),
            newest,
        })
    }

    /// The column of the records that a column of versions is.
    fn of_records(&self, name: &str) -> Option<&String> {
        let mut columns = self.columns.iter();
        columns.find(|it| it.0 == name).map(|it| &it.1)
    }

    /// The columns of the primary key, if there is one.
    fn key_names(&self) -> Vec<&str> {
        let of_key = |(source, key): (&'a SourceSpec, &'a PrimaryKey)| {
            let names = key
                .columns
                .iter()
                .map(|it| source.columns[*it].name.as_str());
            names.collect::<Vec<_>>()
        };
        match &self.newest {
            Some(newest) => newest.keys.iter().map(String::as_str).collect(),
            None => self.source.map(of_key).unwrap_or_default(),
        }
    }

    /// All versions, as SQL: those that remove their row have no values.
    fn side(&self, keys: &[&str], time: &str, alias: &Ident) -> String {
        let quoted = |it: &str| Ident::with_quote('"', it).to_string();
        let gone = self.source.map(|(_, key)| {
            let condition = key.delete_when.as_ref();
            let condition = condition.map_or(String::new(), |it| format!(" OR ({it}) IS TRUE"));
            format!("({DELETED_COLUMN} IS TRUE{condition})")
        });
        let mut items: Vec<String> = keys
            .iter()
            .filter_map(|it| Some((self.of_records(it)?, format!("{KEY}{it}"))))
            .map(|(own, key)| format!("{} AS {}", quoted(own), quoted(&key)))
            .collect();
        for (name, own) in &self.columns {
            let (name, own) = (quoted(name), quoted(own));
            items.push(match &gone {
                Some(gone) => format!("CASE WHEN {gone} THEN NULL ELSE {own} END AS {name}"),
                None if own == name => name,
                None => format!("{own} AS {name}"),
            });
        }
        items.extend(gone.map(|it| format!("{it} AS {}", quoted(GONE))));
        let place = [EPOCH_COLUMN, PARTITION_COLUMN, OFFSET_COLUMN].map(str::to_owned);
        items.extend(place);
        if let (TIME, Some(column)) = (time, &self.event_time) {
            // The column itself is gone with the row, or not of the plain view.
            items.push(format!("{} AS {}", quoted(column), quoted(TIME)));
        }
        format!(
            "(SELECT {} FROM {} FOR SYSTEM_TIME AS OF {EPOCH_COLUMN}) AS {alias}",
            items.join(", "),
            quoted(&self.name)
        )
    }
}

/// A plain view of the newest row of each key: `SELECT … FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY key ORDER BY time DESC) AS n FROM records) WHERE n = 1`.
struct Newest {
    relation: String,
    /// By the names that the view has for them.
    keys: Vec<String>,
    /// Its columns, by their names and those of the records.
    columns: Vec<(String, String)>,
    /// Whether they are in the order of reading, not of event time.
    is_by_reading: bool,
}

impl Newest {
    fn of(query: &Query, dataflow: &Dataflow, known: &Known) -> Option<Self> {
        let outer = only_select(query)?;
        let [
            TableWithJoins {
                relation:
                    TableFactor::Derived {
                        subquery, alias, ..
                    },
                joins,
            },
        ] = outer.from.as_slice()
        else {
            return None;
        };
        let inner = only_select(subquery)?;
        let [
            TableWithJoins {
                relation:
                    TableFactor::Table {
                        name,
                        args: None,
                        alias: own,
                        ..
                    },
                joins: beside,
            },
        ] = inner.from.as_slice()
        else {
            return None;
        };
        let relation = relation_name(name)?;
        let has_key = dataflow
            .source(&relation)
            .is_some_and(|it| it.key.is_some());
        let is_renamed = [alias, own]
            .into_iter()
            .flatten()
            .any(|it| !it.columns.is_empty());
        if !joins.is_empty()
            || !beside.is_empty()
            || inner.selection.is_some()
            || has_key
            || is_renamed
        {
            return None;
        }
        let (numbered, items) = inner.projection.split_last()?;
        let SelectItem::ExprWithAlias {
            expr: Expr::Function(call),
            alias: number,
        } = numbered
        else {
            return None;
        };
        let Some(WindowType::WindowSpec(over)) = &call.over else {
            return None;
        };
        let is_number = call.name.to_string().eq_ignore_ascii_case("row_number");
        let [
            OrderByExpr {
                expr: time,
                options,
                ..
            },
        ] = over.order_by.as_slice()
        else {
            return None;
        };
        let number = syntax::known_as(number);
        if !is_number || options.asc != Some(false) || !is_first(outer.selection.as_ref()?, &number)
        {
            return None;
        }
        let added = |it: &String| super::super::stars::ADDED.contains(&it.as_str());
        let mut below = Vec::new();
        for item in items {
            match item {
                SelectItem::Wildcard(options)
                    if *options == WildcardAdditionalOptions::default() =>
                {
                    below.extend(known(&relation)?.into_iter().filter(|it| !added(it)));
                }
                SelectItem::UnnamedExpr(it) => below.push(column_name(it)?),
                _ => return None,
            }
        }
        let mut columns = Vec::new();
        for item in &outer.projection {
            let (shown, expr) = match item {
                SelectItem::UnnamedExpr(it) => (column_name(it)?, it),
                SelectItem::ExprWithAlias { expr, alias } => (syntax::known_as(alias), expr),
                _ => return None,
            };
            columns.push((shown, column_name(expr).filter(|it| below.contains(it))?));
        }
        let shown_as = |key: &Expr| {
            let key = column_name(key)?;
            columns.iter().find(|it| it.1 == key).map(|it| it.0.clone())
        };
        let keys = over
            .partition_by
            .iter()
            .map(shown_as)
            .collect::<Option<Vec<_>>>()?;
        let time = column_name(time)?;
        let is_by_reading = generated::is_read_time(&relation, &time, dataflow);
        let event_time = super::super::lower::event_time_name(&relation, dataflow);
        (is_by_reading || event_time == Some(time)).then_some(Newest {
            relation,
            keys,
            columns,
            is_by_reading,
        })
    }
}

/// The SELECT that a query is, if it is nothing but items of one FROM and a condition.
fn only_select(query: &Query) -> Option<&Select> {
    let SetExpr::Select(select) = query.body.as_ref() else {
        return None;
    };
    let items: Vec<String> = select.projection.iter().map(ToString::to_string).collect();
    let from: Vec<String> = select.from.iter().map(ToString::to_string).collect();
    let mut text = format!("SELECT {} FROM {}", items.join(", "), from.join(", "));
    if let Some(condition) = &select.selection {
        text += &format!(" WHERE {condition}");
    }
    (query.to_string() == text).then_some(select)
}

/// The name of a column, without that of its relation.
fn column_name(expr: &Expr) -> Option<String> {
    match expr {
        Expr::Identifier(it) => Some(syntax::known_as(it)),
        Expr::CompoundIdentifier(parts) => parts.last().map(syntax::known_as),
        _ => None,
    }
}

/// Whether a condition holds for number 1 alone.
fn is_first(condition: &Expr, number: &str) -> bool {
    let Expr::BinaryOp { left, op, right } = condition else {
        return false;
    };
    let is_number = |it: &Expr| column_name(it).is_some_and(|it| it == number);
    let is_one = |it: &Expr| it.to_string() == "1";
    match op {
        BinaryOperator::Eq => is_number(left) && is_one(right) || is_one(left) && is_number(right),
        BinaryOperator::LtEq => is_number(left) && is_one(right),
        _ => false,
    }
}

/// Where a join stands.
struct Place<'a> {
    before: &'a [&'a TableFactor],
    /// The columns of the first relation that are when a record was read, if it is a sub-query that keeps the epochs of its records.
    read_times: &'a [String],
    dataflow: &'a Dataflow,
    known: &'a Known<'a>,
    names: &'a Names<'a>,
}

/// What names mean in the condition of a join.
struct Scope<'a> {
    place: &'a Place<'a>,
    alias: &'a Ident,
    versions: &'a Versions<'a>,
}

impl Scope<'_> {
    /// The left side of an equality and the column of the version that it is equal to.
    fn key(&self, condition: &Expr) -> Option<(Expr, String)> {
        let Expr::BinaryOp {
            left,
            op: BinaryOperator::Eq,
            right,
        } = condition
        else {
            return None;
        };
        let pair =
            |left: &Expr, right: &Expr| Some((self.of_left(left)?, self.of_versions(right)?));
        pair(left, right).or_else(|| pair(right, left))
    }

    /// The column of the versions that an expression is.
    fn of_versions(&self, expr: &Expr) -> Option<String> {
        let name = match expr {
            Expr::Identifier(name) if self.relation_of(name).is_none() => name,
            Expr::CompoundIdentifier(parts) => match parts.as_slice() {
                [of, name] if super::is_same(of, self.alias) => name,
                _ => return None,
            },
            _ => return None,
        };
        let name = syntax::known_as(name);
        self.versions.of_records(&name).is_some().then_some(name)
    }

    /// An expression over columns of what stands before the join, each with the name of its relation.
    fn of_left(&self, expr: &Expr) -> Option<Expr> {
        struct Qualify<'a> {
            scope: &'a Scope<'a>,
            has_columns: bool,
        }
        impl VisitorMut for Qualify<'_> {
            type Break = String;
            fn pre_visit_query(&mut self, _: &mut Query) -> ControlFlow<String> {
                ControlFlow::Break(FORM.to_owned())
            }
            fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<String> {
                if !matches!(expr, Expr::Identifier(_) | Expr::CompoundIdentifier(_)) {
                    return ControlFlow::Continue(());
                }
                let Some(column) = self.scope.column_of_left(expr) else {
                    return ControlFlow::Break(FORM.to_owned());
                };
                *expr = column;
                self.has_columns = true;
                ControlFlow::Continue(())
            }
        }
        let mut computed = expr.clone();
        let mut qualify = Qualify {
            scope: self,
            has_columns: false,
        };
        walk::expression(&mut computed, &mut qualify).ok()?;
        qualify.has_columns.then_some(computed)
    }

    /// A column of what stands before the join, with the name of its relation.
    fn column_of_left(&self, expr: &Expr) -> Option<Expr> {
        match expr {
            Expr::Identifier(name) => {
                let relation = self.relation_of(name)?;
                Some(Expr::CompoundIdentifier(vec![relation, name.clone()]))
            }
            Expr::CompoundIdentifier(parts) => match parts.as_slice() {
                [of, _] if !super::is_same(of, self.alias) => Some(expr.clone()),
                _ => None,
            },
            _ => None,
        }
    }

    /// Which relation before the join has a column of this name.
    fn relation_of(&self, column: &Ident) -> Option<Ident> {
        let column = syntax::known_as(column);
        let has = |it: &&&TableFactor| {
            let columns = self.place.names.columns_of(it);
            columns.is_some_and(|it| it.contains(&column))
        };
        name_of(self.place.before.iter().find(has)?).ok()
    }

    /// The epoch of the records whose column is the time at which they were read.
    fn epoch_of(&self, column: &Expr) -> Option<Expr> {
        let Expr::CompoundIdentifier(parts) = column else {
            return None;
        };
        let [of, name] = parts.as_slice() else {
            return None;
        };
        let is_it = |it: &&TableFactor| name_of(it).is_ok_and(|it| super::is_same(&it, of));
        let at = self.place.before.iter().position(is_it)?;
        let name = syntax::known_as(name);
        let is_read_time = match self.place.before[at] {
            TableFactor::Table { name: relation, .. } => {
                let relation = relation_name(relation)?;
                generated::is_read_time(&relation, &name, self.place.dataflow)
            }
            _ => at == 0 && self.place.read_times.contains(&name),
        };
        let epoch = vec![of.clone(), Ident::new(EPOCH_COLUMN)];
        is_read_time.then_some(Expr::CompoundIdentifier(epoch))
    }

    /// A plain view of the rows that are newest by their event time was another one before each late record.
    fn may_be_read_as_of_now(&self) -> Result<(), String> {
        match &self.versions.newest {
            Some(it) if !it.is_by_reading => Err(format!(
                "the rows of this plain view are the newest by event time, so they are joined AS OF an event time; {FORM}"
            )),
            _ => Ok(()),
        }
    }

    /// The times of both sides.
    fn times(&self, time: &Expr) -> Result<(Expr, String), String> {
        if is_now(time) {
            let first = self.place.before[0];
            if !has_epoch(first, self.place.dataflow) {
                return Err(RECORDS.to_owned());
            }
            self.may_be_read_as_of_now()?;
            let records = name_of(first)?;
            let epoch = Expr::CompoundIdentifier(vec![records, Ident::new(EPOCH_COLUMN)]);
            return Ok((epoch, EPOCH_COLUMN.to_owned()));
        }
        let left = self.column_of_left(time).ok_or(FORM)?;
        if let Some(epoch) = self.epoch_of(&left) {
            if !has_epoch(self.place.before[0], self.place.dataflow) {
                return Err(RECORDS.to_owned());
            }
            self.may_be_read_as_of_now()?;
            return Ok((epoch, EPOCH_COLUMN.to_owned()));
        }
        let Some(right) = &self.versions.event_time else {
            return Err(format!(
                "{} has no event time to be read as of {time}: declare WATERMARK FOR a column of it, or join AS OF PROCTIME()",
                self.versions.name
            ));
        };
        let is_apart = self.versions.source.is_some() || self.versions.newest.is_some();
        let right = match is_apart {
            true => TIME.to_owned(),
            false => right.clone(),
        };
        Ok((left, right))
    }
}
