//! What columns mean to a person: their role, their unit and how they were computed.
//!
//! A page, a chart or a terminal that shows any dataflow asks what a column *is*, not what it is called. A role is told by the text of the
//! dataflow (`COMMENT ON COLUMN`), else by where the column comes from (an average of milliseconds is milliseconds, a count divided by a
//! count is a share), else guessed from its name and type. A column that a query only passes on means what it meant, and is commented as it was.
//! Nothing that is computed depends on it.

mod comment;
mod names;
#[cfg(test)]
mod tests;

pub use comment::{Comment, Scale};
pub use names::guess as guessed;

use super::{Aggregate, Dataflow, Function, Plan};
use arrow::datatypes::{DataType, Field, Fields, SchemaRef};
use datafusion::common::ScalarValue;
use datafusion::logical_expr::Operator;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{
    BinaryExpr, CastExpr, Column, Literal, NegativeExpr, TryCastExpr,
};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What kind of thing a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// A point in time, or a day.
    Time,
    /// What rows are told apart by: an endpoint, a country, a method.
    Key,
    /// How many.
    Count,
    /// A part of a whole; its unit is `%`, or none if 1 is the whole.
    Share,
    /// A number of which no more is known.
    Measure,
    /// How long something took.
    Duration,
    Bytes,
    Money,
    /// How grave a record is, in words: `ERROR`.
    Level,
    /// A numeric outcome, as of HTTP.
    Status,
    /// True or false.
    Flag,
    /// What names one of very many: a user, a session, an address.
    Id,
    /// Prose.
    Text,
    /// A step of a scale; [`Meaning::scale`] says where it begins.
    Bin,
    /// Lists, structs, binary values, and what Tidelake keeps for itself.
    Other,
}

impl Role {
    pub const ALL: [Role; 15] = [
        Role::Time,
        Role::Key,
        Role::Count,
        Role::Share,
        Role::Measure,
        Role::Duration,
        Role::Bytes,
        Role::Money,
        Role::Level,
        Role::Status,
        Role::Flag,
        Role::Id,
        Role::Text,
        Role::Bin,
        Role::Other,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Role::Time => "time",
            Role::Key => "key",
            Role::Count => "count",
            Role::Share => "share",
            Role::Measure => "measure",
            Role::Duration => "duration",
            Role::Bytes => "bytes",
            Role::Money => "money",
            Role::Level => "level",
            Role::Status => "status",
            Role::Flag => "flag",
            Role::Id => "id",
            Role::Text => "text",
            Role::Bin => "bin",
            Role::Other => "other",
        }
    }

    /// Whether its values can be drawn over time.
    pub fn is_figure(self) -> bool {
        match self {
            Role::Count
            | Role::Share
            | Role::Measure
            | Role::Duration
            | Role::Bytes
            | Role::Money => true,
            Role::Time
            | Role::Key
            | Role::Level
            | Role::Status
            | Role::Flag
            | Role::Id
            | Role::Text
            | Role::Bin
            | Role::Other => false,
        }
    }

    /// Whether rows can be told apart by it.
    pub fn is_key(self) -> bool {
        matches!(
            self,
            Role::Key | Role::Level | Role::Status | Role::Flag | Role::Id
        )
    }
}

/// Of what rows a figure was made, and how.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Statistic {
    Count,
    /// Of rows for which a condition holds: a part of the count beside it.
    CountIf,
    CountDistinct,
    Sum,
    Mean,
    Min,
    Max,
    Deviation,
    /// The quantile, between 0 and 1.
    Quantile(f64),
}

impl Statistic {
    /// `count`, `count_if`, `distinct`, `sum`, `mean`, `min`, `max`, `stddev`, or a percentile such as `p95`.
    pub fn name(self) -> String {
        match self {
            Statistic::Count => "count".to_owned(),
            Statistic::CountIf => "count_if".to_owned(),
            Statistic::CountDistinct => "distinct".to_owned(),
            Statistic::Sum => "sum".to_owned(),
            Statistic::Mean => "mean".to_owned(),
            Statistic::Min => "min".to_owned(),
            Statistic::Max => "max".to_owned(),
            Statistic::Deviation => "stddev".to_owned(),
            Statistic::Quantile(it) => format!("p{}", (it * 1e4).round() / 1e2),
        }
    }

    /// Whether figures of two spans of time make that of both by addition.
    pub fn adds_up(self) -> bool {
        matches!(self, Statistic::Count | Statistic::CountIf | Statistic::Sum)
    }
}

/// What a column means.
#[derive(Clone, Debug, PartialEq)]
pub struct Meaning {
    pub role: Role,
    /// As it is written behind a number: `ms`, `EUR`, `%`.
    pub unit: Option<String>,
    pub statistic: Option<Statistic>,
    /// Where the steps of a [`Role::Bin`] begin.
    pub scale: Option<Scale>,
    /// What the text of the dataflow says of it.
    pub comment: Option<String>,
    /// Whether it counts records, and not groups of them.
    pub counts_records: bool,
    /// Whether more than its type says so.
    is_certain: bool,
}

impl Meaning {
    fn of_role(role: Role, unit: Option<&str>) -> Self {
        Meaning {
            role,
            unit: unit.map(str::to_owned),
            statistic: None,
            scale: None,
            comment: None,
            counts_records: false,
            is_certain: true,
        }
    }

    fn uncertain(role: Role) -> Self {
        Meaning {
            is_certain: false,
            ..Meaning::of_role(role, None)
        }
    }

    fn by(self, statistic: Statistic) -> Self {
        Meaning {
            statistic: Some(statistic),
            comment: None,
            counts_records: false,
            ..self
        }
    }

    /// What is computed from it is not what is said of it.
    fn computed(&self) -> Self {
        Meaning {
            comment: None,
            ..self.clone()
        }
    }
}

impl Dataflow {
    /// What the columns of a relation mean, in their order; nothing for a relation that is not there.
    pub fn meanings(&self, relation: &str) -> Vec<Meaning> {
        Meanings::over(self).of(relation)
    }

    /// What the columns of an answer over these relations mean: as a column of the same name in one of them, else what name and type say.
    pub fn meanings_of_answer(&self, relations: &[&str], columns: &Fields) -> Vec<Meaning> {
        let known: Vec<_> = relations.iter().map(|it| self.named_meanings(it)).collect();
        let of = |field: &Arc<Field>| {
            let is_time = names::guess(field).role == Role::Time;
            let named = known.iter().filter_map(|it| it.get(field.name()));
            // `date_trunc('hour', at) AS hour` is no number, whatever `hour` is elsewhere.
            let fitting = named
                .into_iter()
                .find(|it| (it.role == Role::Time) == is_time);
            fitting.cloned().unwrap_or_else(|| names::guess(field))
        };
        columns.iter().map(of).collect()
    }

    /// The same by the names of the columns.
    pub fn named_meanings(&self, relation: &str) -> BTreeMap<String, Meaning> {
        let schema = self.schema_of(relation);
        let names = schema.iter().flat_map(|it| it.fields().iter());
        let names = names.map(|it| it.name().clone());
        names.zip(self.meanings(relation)).collect()
    }

    fn schema_of(&self, relation: &str) -> Option<SchemaRef> {
        let source = self.source(relation).map(super::SourceSpec::schema);
        let plan = self.plan_of(relation).map(Plan::schema);
        let plain = || Some(Arc::clone(&self.plain.get(relation)?.schema));
        source.or(plan).or_else(plain).or_else(|| match relation {
            super::LATE_RELATION => Some(super::late_schema()),
            super::DEAD_LETTER_RELATION => Some(super::dead_letter_schema()),
            _ => None,
        })
    }

    /// The plan of a table or a materialized view.
    fn plan_of(&self, relation: &str) -> Option<&Plan> {
        let table = self.tables.iter().find(|it| it.name == relation);
        let table = table.map(|it| &it.plan);
        table.or_else(|| self.view(relation).map(|it| &it.plan))
    }
}

/// What columns of relations mean, each relation looked at once.
struct Meanings<'a> {
    dataflow: &'a Dataflow,
    known: RefCell<BTreeMap<String, Vec<Meaning>>>,
}

impl<'a> Meanings<'a> {
    fn over(dataflow: &'a Dataflow) -> Self {
        Meanings {
            dataflow,
            known: RefCell::default(),
        }
    }

    fn of(&self, relation: &str) -> Vec<Meaning> {
        if let Some(known) = self.known.borrow().get(relation) {
            return known.clone();
        }
        let found = self.found(relation);
        let mut known = self.known.borrow_mut();
        known.insert(relation.to_owned(), found.clone());
        found
    }

    fn found(&self, relation: &str) -> Vec<Meaning> {
        let Some(schema) = self.dataflow.schema_of(relation) else {
            return Vec::new();
        };
        let plain = self.dataflow.plain.get(relation);
        let plan = self.dataflow.plan_of(relation);
        let plan = plan.or_else(|| plain?.plan.as_ref());
        let by_plan = plan.map(|it| self.of_plan(it));
        let by_plan = by_plan.filter(|it| it.len() == schema.fields().len());
        let computed = by_plan.unwrap_or_else(|| guesses(schema.fields()));
        let one = |(field, computed): (&Arc<Field>, Meaning)| {
            let meaning = match self.passed_on(relation, field.name()) {
                Some(it) => names::settled(it, field),
                None => computed,
            };
            let key = (relation.to_owned(), Some(field.name().clone()));
            match self.dataflow.comments.get(&key) {
                Some(it) => it.over(meaning),
                None => meaning,
            }
        };
        schema.fields().iter().zip(computed).map(one).collect()
    }

    /// What a column means that is a column of another relation, unchanged.
    fn passed_on(&self, relation: &str, column: &str) -> Option<Meaning> {
        let key = (relation.to_owned(), column.to_owned());
        let (relation, column) = self.dataflow.passed_on.get(&key)?;
        let at = self.dataflow.schema_of(relation)?.index_of(column).ok()?;
        self.of(relation).get(at).cloned()
    }

    fn of_plan(&self, plan: &Plan) -> Vec<Meaning> {
        let schema = plan.schema();
        let fields = schema.fields();
        let named = |found: Vec<Meaning>| -> Vec<Meaning> {
            let all = found.into_iter().zip(fields.iter());
            all.map(|(it, field)| names::settled(it, field)).collect()
        };
        match plan {
            Plan::Relation { name, columns, .. } => {
                let all = self.of(name);
                let one = |it: &usize| all.get(*it).cloned();
                let found: Vec<Meaning> = columns.iter().filter_map(one).collect();
                match found.len() == fields.len() {
                    true => found,
                    false => guesses(fields),
                }
            }
            Plan::Map { input, columns, .. } => {
                let below = self.of_plan(input);
                let found = columns.iter().zip(fields.iter());
                let found = found.map(|(expr, field)| match of_expression(expr, &below) {
                    Some(it) => it,
                    None => names::guess(field),
                });
                named(found.collect())
            }
            Plan::Unnest { unnest, input, .. } => {
                let below = self.of_plan(input);
                let found = unnest.columns.iter().zip(&unnest.is_list);
                let found = found.zip(fields.iter()).map(|((expr, is_list), field)| {
                    let kept = (!is_list).then(|| of_expression(expr, &below)).flatten();
                    kept.unwrap_or_else(|| names::guess(field))
                });
                named(found.collect())
            }
            Plan::Aggregate {
                input, aggregation, ..
            } => {
                let below = self.of_plan(input);
                let keys = aggregation.keys.iter().filter_map(|it| below.get(*it));
                let keys = keys.map(Meaning::computed);
                let of_groups =
                    super::properties(input, &|it| self.dataflow.properties(it)).aggregated;
                let figures = aggregation.aggregates.iter();
                let figures = figures.map(|it| of_aggregate(it, &below, !of_groups));
                let found: Vec<Meaning> = keys.chain(figures).collect();
                match found.len() == fields.len() {
                    true => named(found),
                    false => guesses(fields),
                }
            }
            Plan::TopK { input, .. } | Plan::Temporal { input, .. } | Plan::Admit { input, .. } => {
                self.of_plan(input)
            }
            Plan::Union { inputs, .. } => {
                let sides: Vec<Vec<Meaning>> = inputs.iter().map(|it| self.of_plan(it)).collect();
                let one = |(at, field): (usize, &Arc<Field>)| {
                    let first = sides.first().and_then(|it| it.get(at));
                    let agree = |it: &&Meaning| {
                        let mut others = sides.iter().filter_map(|side| side.get(at));
                        others.all(|other| other.role == it.role && other.unit == it.unit)
                    };
                    match first.filter(agree) {
                        Some(it) => names::settled(it.computed(), field),
                        None => names::guess(field),
                    }
                };
                fields.iter().enumerate().map(one).collect()
            }
            Plan::Join { left, right, .. } | Plan::AsOf { left, right, .. } => {
                let mut found = self.of_plan(left);
                if found.len() < fields.len() {
                    found.extend(self.of_plan(right));
                }
                match found.len() == fields.len() {
                    true => named(found),
                    false => guesses(fields),
                }
            }
            Plan::PerGroup { input, .. } => {
                // The program is a query of its own: what has kept its name is what it was.
                let below = self.of_plan(input);
                let schema = input.schema();
                let one = |field: &Arc<Field>| {
                    let before = schema.fields().find(field.name());
                    match before.filter(|it| it.1.data_type() == field.data_type()) {
                        Some((at, _)) => below[at].computed(),
                        None => names::guess(field),
                    }
                };
                fields.iter().map(one).collect()
            }
            Plan::Constant { .. } | Plan::Detect { .. } | Plan::Incidents { .. } => guesses(fields),
        }
    }
}

fn guesses(fields: &[Arc<Field>]) -> Vec<Meaning> {
    fields.iter().map(|it| names::guess(it)).collect()
}

fn of_aggregate(aggregate: &Aggregate, below: &[Meaning], of_records: bool) -> Meaning {
    let argument = aggregate.argument.and_then(|it| below.get(it)).cloned();
    let of_argument = |statistic: Statistic| match argument.clone() {
        Some(it) => it.by(statistic),
        None => Meaning::uncertain(Role::Measure).by(statistic),
    };
    match aggregate.function {
        Function::Count => {
            let statistic = match aggregate.filter {
                Some(_) => Statistic::CountIf,
                None => Statistic::Count,
            };
            Meaning {
                counts_records: of_records,
                ..Meaning::of_role(Role::Count, None).by(statistic)
            }
        }
        Function::CountDistinct => Meaning::of_role(Role::Count, None).by(Statistic::CountDistinct),
        Function::Sum => {
            let counts_records = argument.as_ref().is_some_and(|it| it.counts_records);
            Meaning {
                counts_records,
                ..of_argument(Statistic::Sum)
            }
        }
        Function::Avg => of_argument(Statistic::Mean),
        Function::Min => of_argument(Statistic::Min),
        Function::Max => of_argument(Statistic::Max),
        Function::Variance { .. } => Meaning::uncertain(Role::Measure),
        Function::Stddev { .. } => of_argument(Statistic::Deviation),
        Function::Percentile(it) => of_argument(Statistic::Quantile(it)),
    }
}

/// What an expression over columns means, if they tell.
fn of_expression(expr: &Arc<dyn PhysicalExpr>, below: &[Meaning]) -> Option<Meaning> {
    if let Some(column) = expr.downcast_ref::<Column>() {
        return below.get(column.index()).cloned();
    }
    if let Some(cast) = expr.downcast_ref::<CastExpr>() {
        return of_cast(cast.expr(), cast.cast_type(), below);
    }
    if let Some(cast) = expr.downcast_ref::<TryCastExpr>() {
        return of_cast(cast.expr(), cast.cast_type(), below);
    }
    if let Some(negative) = expr.downcast_ref::<NegativeExpr>() {
        return of_expression(negative.arg(), below).map(|it| it.computed());
    }
    let binary = expr.downcast_ref::<BinaryExpr>()?;
    let left = of_expression(binary.left(), below);
    let right = of_expression(binary.right(), below);
    let found = match (binary.op(), left, right) {
        (Operator::Plus | Operator::Minus, Some(left), Some(right)) => {
            (left.role == right.role && left.unit == right.unit && left.role.is_figure())
                .then_some(left)
        }
        (Operator::Plus | Operator::Minus, Some(it), None) => {
            (it.role.is_figure() && is_literal(binary.right())).then_some(it)
        }
        (Operator::Divide, Some(part), Some(whole)) => {
            let is_part = matches!(part.role, Role::Count | Role::Share);
            let is_share = is_part && whole.role == Role::Count;
            is_share.then(|| Meaning::of_role(Role::Share, part.unit.as_deref()))
        }
        // The class of a status is one, too.
        (Operator::Divide, Some(it), None) => (it.role == Role::Status).then_some(it),
        (Operator::Multiply, Some(it), None) => in_percent(it, binary.right()),
        (Operator::Multiply, None, Some(it)) => in_percent(it, binary.left()),
        _ => None,
    };
    found.map(|it| Meaning {
        statistic: None,
        counts_records: false,
        ..it.computed()
    })
}

fn of_cast(expr: &Arc<dyn PhysicalExpr>, to: &DataType, below: &[Meaning]) -> Option<Meaning> {
    let it = of_expression(expr, below)?;
    let stays = match it.role {
        Role::Time => to.is_temporal(),
        Role::Flag => *to == DataType::Boolean,
        Role::Key | Role::Level | Role::Id | Role::Text => true,
        Role::Other => false,
        Role::Count
        | Role::Share
        | Role::Measure
        | Role::Duration
        | Role::Bytes
        | Role::Money
        | Role::Status
        | Role::Bin => to.is_numeric(),
    };
    stays.then_some(it)
}

/// `100 * part / whole` counts in hundredths from its first step on.
fn in_percent(it: Meaning, factor: &Arc<dyn PhysicalExpr>) -> Option<Meaning> {
    let is_hundred = number_of(factor).is_some_and(|it| it == 100.0);
    let is_part = matches!(it.role, Role::Count | Role::Share) && it.unit.is_none();
    (is_hundred && is_part).then(|| Meaning::of_role(Role::Share, Some("%")))
}

fn is_literal(expr: &Arc<dyn PhysicalExpr>) -> bool {
    expr.downcast_ref::<Literal>().is_some()
}

fn number_of(expr: &Arc<dyn PhysicalExpr>) -> Option<f64> {
    let literal = expr.downcast_ref::<Literal>()?;
    match literal.value().cast_to(&DataType::Float64) {
        Ok(ScalarValue::Float64(it)) => it,
        _ => None,
    }
}
