//! What relations have, as far as a page or a terminal wants to know: columns with what they mean.

use crate::plan::{Dataflow, Meaning, Statistic};
use crate::sql::sql_type_name;
use arrow::datatypes::Schema;
use schemars::JsonSchema;
use serde::Serialize;

/// A column of a relation.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct CatalogColumn {
    pub name: String,
    pub r#type: String,
    /// What it is: `time`, `key`, `count`, `share`, `measure`, `duration`, `bytes`, `money`, `level`, `status`, `flag`, `id`, `text`, `bin`
    /// or `other`. By `COMMENT ON COLUMN`, else by where it comes from, else by name and type.
    pub role: String,
    /// As it is written behind a number: `ms`, `EUR`, `%`.
    pub unit: Option<String>,
    /// How it was made of the rows below: `count`, `count_if`, `distinct`, `sum`, `mean`, `min`, `max`, `stddev`, or a percentile such as `p95`.
    pub statistic: Option<String>,
    /// Whether figures of two spans of time make that of both by addition.
    pub adds_up: bool,
    /// What the text of the dataflow says of it.
    pub comment: Option<String>,
}

impl CatalogColumn {
    fn new(name: &str, r#type: String, meaning: Option<&Meaning>) -> Self {
        CatalogColumn {
            name: name.to_owned(),
            r#type,
            role: meaning.map_or("other", |it| it.role.name()).to_owned(),
            unit: meaning.and_then(|it| it.unit.clone()),
            statistic: meaning.and_then(|it| it.statistic).map(|it| it.name()),
            adds_up: meaning
                .and_then(|it| it.statistic)
                .is_some_and(Statistic::adds_up),
            comment: meaning.and_then(|it| it.comment.clone()),
        }
    }
}

/// Columns of an answer, under these names, over these relations, as a query names them.
pub fn of_answer(
    dataflow: &Dataflow,
    tables: &[String],
    names: &[String],
    schema: &Schema,
) -> Vec<CatalogColumn> {
    let relations: Vec<&str> = tables
        .iter()
        .filter_map(|it| it.rsplit('.').next())
        .collect();
    let meanings = dataflow.meanings_of_answer(&relations, schema.fields());
    let columns = names.iter().zip(schema.fields()).zip(&meanings);
    columns
        .map(|((name, field), meaning)| {
            CatalogColumn::new(name, sql_type_name(field.data_type()), Some(meaning))
        })
        .collect()
}

/// The columns of a relation, or of its table in the lake, which may lack some and have others.
pub fn columns(dataflow: &Dataflow, relation: &str, schema: &Schema) -> Vec<CatalogColumn> {
    let known = dataflow.named_meanings(relation);
    let all = schema.fields().iter();
    all.map(|it| {
        CatalogColumn::new(
            it.name(),
            sql_type_name(it.data_type()),
            known.get(it.name()),
        )
    })
    .collect()
}

/// What the text of the dataflow says of a relation.
pub fn comment(dataflow: &Dataflow, relation: &str) -> Option<String> {
    let comment = dataflow.comments.get(&(relation.to_owned(), None))?;
    comment.text.clone()
}
