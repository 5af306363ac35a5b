//! Temporal joins, `FROM orders o JOIN rates FOR SYSTEM_TIME AS OF o.at AS r ON o.currency = r.currency`, as ASOF joins: of each record the row that was there at
//! its time.
//!
//! `AS OF PROCTIME()` is the time at which the record was read, the epoch of both: what comes later changes no row that was joined. `AS OF o.at` is the
//! event time of both. Of a source with a primary key all versions are read, and one that removes its row is a row of NULLs, which an
//! inner join leaves out.

use super::super::using::Known;
use super::super::{generated, syntax, walk};
use super::{AS_OF, conjuncts, name_of, parsed};
use crate::plan::{
    DELETED_COLUMN, Dataflow, EPOCH_COLUMN, OFFSET_COLUMN, PARTITION_COLUMN, PrimaryKey, SourceSpec,
};
use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Expr, Ident, Join, JoinConstraint, JoinOperator, ObjectName, ObjectNamePart,
    Query, Select, TableFactor, TableVersion, TableWithJoins, VisitorMut,
};
use std::ops::ControlFlow;

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
    struct Rewrite<'a>(&'a Dataflow, &'a Known<'a>);
    impl VisitorMut for Rewrite<'_> {
        type Break = String;
        fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<String> {
            match in_select(select, self.0, self.1) {
                Ok(()) => ControlFlow::Continue(()),
                Err(reason) => ControlFlow::Break(reason),
            }
        }
    }
    walk::query(query, &mut Rewrite(dataflow, known))
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

fn in_select(select: &mut Select, dataflow: &Dataflow, known: &Known) -> Result<(), String> {
    let has_one = |it: &TableWithJoins| {
        as_of(&it.relation).is_some() || it.joins.iter().any(|it| as_of(&it.relation).is_some())
    };
    if !select.from.iter().any(has_one) {
        return Ok(());
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
            let join = of_join(&item.joins[at], &before, &mut conditions, dataflow, known)?;
            item.joins[at] = join;
        }
    }
    select.selection = conditions.into_iter().reduce(and);
    Ok(())
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
fn of_join(
    join: &Join,
    before: &[&TableFactor],
    conditions: &mut Vec<Expr>,
    dataflow: &Dataflow,
    known: &Known,
) -> Result<Join, String> {
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
    let versions = Versions::of(&relation, dataflow, known)?;
    let alias = name_of(&join.relation)?;
    let scope = Scope {
        before,
        alias: &alias,
        versions: &versions,
        known,
        dataflow,
    };
    if !is_left {
        parts.append(conditions);
    }
    let mut keys: Vec<(Expr, String)> = Vec::new();
    for part in parts {
        match scope.key(&part) {
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
    let wanted = versions.key_names();
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
    name: String,
    source: Option<(&'a SourceSpec, &'a PrimaryKey)>,
    columns: Vec<String>,
    event_time: Option<String>,
}

impl<'a> Versions<'a> {
    fn of(name: &str, dataflow: &'a Dataflow, known: &Known) -> Result<Self, String> {
        let event_time = super::super::lower::event_time_name(name, dataflow);
        let source = dataflow.source(name);
        let is_table = dataflow.tables.iter().any(|it| it.name == name);
        if source.is_none() && !is_table {
            return Err(format!(
                "{name} is no source and no table, so its versions are not known; {FORM}"
            ));
        }
        let added = |it: &String| super::super::stars::ADDED.contains(&it.as_str());
        let columns = known(name).unwrap_or_default();
        Ok(Versions {
            name: name.to_owned(),
            source: source.and_then(|it| Some((it, it.key.as_ref()?))),
            columns: columns.into_iter().filter(|it| !added(it)).collect(),
            event_time,
        })
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
        self.source.map(of_key).unwrap_or_default()
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
            .map(|it| format!("{} AS {}", quoted(it), quoted(&format!("{KEY}{it}"))))
            .collect();
        for column in &self.columns {
            let column = quoted(column);
            items.push(match &gone {
                Some(gone) => format!("CASE WHEN {gone} THEN NULL ELSE {column} END AS {column}"),
                None => column,
            });
        }
        items.extend(gone.map(|it| format!("{it} AS {}", quoted(GONE))));
        let place = [EPOCH_COLUMN, PARTITION_COLUMN, OFFSET_COLUMN].map(str::to_owned);
        items.extend(place);
        if let (TIME, Some(column)) = (time, &self.event_time) {
            // The column itself is gone with the row.
            items.push(format!("{} AS {}", quoted(column), quoted(TIME)));
        }
        format!(
            "(SELECT {} FROM {} FOR SYSTEM_TIME AS OF {EPOCH_COLUMN}) AS {alias}",
            items.join(", "),
            quoted(&self.name)
        )
    }
}

/// What names mean in the condition of a join.
struct Scope<'a> {
    before: &'a [&'a TableFactor],
    alias: &'a Ident,
    versions: &'a Versions<'a>,
    known: &'a Known<'a>,
    dataflow: &'a Dataflow,
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
        self.versions.columns.contains(&name).then_some(name)
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
        let has = |it: &&&TableFactor| match it {
            TableFactor::Table {
                name, args: None, ..
            } => {
                let columns = relation_name(name).and_then(|it| (self.known)(&it));
                columns.is_some_and(|it| it.contains(&column))
            }
            _ => false,
        };
        name_of(self.before.iter().find(has)?).ok()
    }

    /// The epoch of the records whose column is the time at which they were read.
    fn epoch_of(&self, column: &Expr) -> Option<Expr> {
        let Expr::CompoundIdentifier(parts) = column else {
            return None;
        };
        let [of, name] = parts.as_slice() else {
            return None;
        };
        let is_it = |it: &&&TableFactor| name_of(it).is_ok_and(|it| super::is_same(&it, of));
        let TableFactor::Table { name: relation, .. } = self.before.iter().find(is_it)? else {
            return None;
        };
        let (relation, name) = (relation_name(relation)?, syntax::known_as(name));
        let epoch = vec![of.clone(), Ident::new(EPOCH_COLUMN)];
        generated::is_read_time(&relation, &name, self.dataflow)
            .then_some(Expr::CompoundIdentifier(epoch))
    }

    /// The times of both sides.
    fn times(&self, time: &Expr) -> Result<(Expr, String), String> {
        let text = time.to_string().to_ascii_lowercase();
        if ["proctime()", "now()", "current_timestamp"].contains(&text.as_str()) {
            // Derived relations have no epoch; the planner says so.
            let records = name_of(self.before[0])?;
            let epoch = Expr::CompoundIdentifier(vec![records, Ident::new(EPOCH_COLUMN)]);
            return Ok((epoch, EPOCH_COLUMN.to_owned()));
        }
        let left = self.column_of_left(time).ok_or(FORM)?;
        if let Some(epoch) = self.epoch_of(&left) {
            return Ok((epoch, EPOCH_COLUMN.to_owned()));
        }
        let Some(right) = &self.versions.event_time else {
            return Err(format!(
                "{} has no event time to be read as of {time}: declare WATERMARK FOR a column of it, or join AS OF PROCTIME()",
                self.versions.name
            ));
        };
        let right = match self.versions.source {
            Some(_) => TIME.to_owned(),
            None => right.clone(),
        };
        Ok((left, right))
    }
}
