//! `PIVOT (sum(amount) FOR quarter IN (1 AS q1, 2 AS q2))` as a group by the columns that it does not name, with an aggregate of each value, and
//! `UNPIVOT (amount FOR quarter IN (q1, q2))` as a union of the columns that it names, each beside its name.

use super::syntax;
use super::using::{Known, Names};
use super::walk;
use datafusion::sql::sqlparser::ast::{
    Expr, ExprWithAlias, Ident, NullInclusion, PivotValueSource, Query, TableFactor, Value,
    VisitorMut,
};
use std::collections::BTreeSet;
use std::ops::ControlFlow;

/// Rewrites each PIVOT and UNPIVOT of a query.
///
/// # Errors
/// If the columns of its relation cannot be told, or it is of a form that is not understood: what to write instead.
pub fn rewrite(query: &mut Query, known: &Known) -> Result<(), String> {
    struct Rewrite<'a>(Names<'a>);
    impl VisitorMut for Rewrite<'_> {
        type Break = String;
        fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<String> {
            self.0.note(query);
            ControlFlow::Continue(())
        }
        fn post_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<String> {
            let query = match factor {
                TableFactor::Unpivot { .. } => united(factor, &self.0),
                _ => grouped(factor, &self.0),
            };
            match query {
                Ok(None) => ControlFlow::Continue(()),
                Ok(Some(query)) => {
                    let (TableFactor::Pivot { alias, .. } | TableFactor::Unpivot { alias, .. }) =
                        factor
                    else {
                        return ControlFlow::Continue(());
                    };
                    *factor = TableFactor::Derived {
                        lateral: false,
                        subquery: Box::new(query),
                        alias: alias.take(),
                        sample: None,
                    };
                    ControlFlow::Continue(())
                }
                Err(reason) => ControlFlow::Break(reason),
            }
        }
    }
    walk::query(query, &mut Rewrite(Names::new(known)))
}

fn grouped(factor: &TableFactor, names: &Names) -> Result<Option<Query>, String> {
    let TableFactor::Pivot {
        table,
        aggregate_functions,
        value_column,
        value_source,
        default_on_null,
        alias: _,
    } = factor
    else {
        return Ok(None);
    };
    let PivotValueSource::List(values) = value_source else {
        return Err("a view has the same columns whatever its rows are; name the values of the PIVOT: FOR column IN ('a', 'b')".to_owned());
    };
    if default_on_null.is_some() {
        return Err(
            "PIVOT has no DEFAULT ON NULL; write coalesce(column, 0) in the SELECT over it"
                .to_owned(),
        );
    }
    let columns = names.columns_of(table).ok_or(
        "the columns of the relation of this PIVOT cannot be told; name them in a sub-query: FROM (SELECT a, b FROM …) PIVOT (…)",
    )?;
    let mut used: BTreeSet<String> = value_column.iter().flat_map(names_in).collect();
    for it in aggregate_functions {
        used.extend(names_in(&it.expr));
    }
    let quoted = |it: &String| Ident::with_quote('"', it).to_string();
    let groups: Vec<String> = columns
        .iter()
        .filter(|it| !used.contains(*it))
        .map(quoted)
        .collect();
    let mut items = groups.clone();
    for value in values {
        let condition = condition(value_column, &value.expr)?;
        let of_value = called(value)?;
        for aggregate in aggregate_functions {
            let name = match (&aggregate.alias, aggregate_functions.len()) {
                (Some(it), _) => format!("{of_value}_{}", syntax::known_as(it)),
                (None, 1) => of_value.clone(),
                (None, _) => {
                    return Err(
                        "name each aggregate of a PIVOT with AS; its columns are called value_name"
                            .to_owned(),
                    );
                }
            };
            let Expr::Function(call) = &aggregate.expr else {
                return Err(format!(
                    "`{}` is no aggregate; PIVOT takes aggregates, such as sum(amount) AS total",
                    aggregate.expr
                ));
            };
            let mut call = call.clone();
            let both = match &call.filter {
                None => condition.clone(),
                Some(it) => format!("({it}) AND {condition}"),
            };
            call.filter = Some(Box::new(syntax::parse_expression(&both)?));
            items.push(format!("{call} AS {}", quoted(&name)));
        }
    }
    let by = match groups.is_empty() {
        true => String::new(),
        false => format!(" GROUP BY {}", groups.join(", ")),
    };
    let text = format!("SELECT {} FROM {table}{by}", items.join(", "));
    syntax::parse_query(&text).map(Some)
}

/// The union that an UNPIVOT is: a row for each of the columns that it names, with its name and its value. Rows whose value is NULL are left out,
/// unless it says INCLUDE NULLS.
fn united(factor: &TableFactor, names: &Names) -> Result<Option<Query>, String> {
    let TableFactor::Unpivot {
        table,
        value,
        name,
        columns,
        null_inclusion,
        alias: _,
    } = factor
    else {
        return Ok(None);
    };
    const FORM: &str =
        "UNPIVOT has the form relation UNPIVOT (value FOR name IN (column, other AS 'label'))";
    let Expr::Identifier(value) = value else {
        return Err(FORM.to_owned());
    };
    let all = names.columns_of(table).ok_or(
        "the columns of the relation of this UNPIVOT cannot be told; name them in a sub-query: FROM (SELECT a, b FROM …) UNPIVOT (…)",
    )?;
    let mut named = Vec::new();
    for it in columns {
        let Expr::Identifier(column) = &it.expr else {
            return Err(FORM.to_owned());
        };
        let label = it.alias.as_ref().unwrap_or(column);
        named.push((syntax::known_as(column), syntax::known_as(label)));
    }
    let rest = all
        .iter()
        .filter(|it| named.iter().all(|named| named.0 != **it));
    let rest: String = rest
        .map(|it| format!("{}, ", Ident::with_quote('"', it)))
        .collect();
    let sides = named.iter().map(|(column, label)| {
        let column = Ident::with_quote('"', column);
        let label = Value::SingleQuotedString(label.clone());
        let condition = match null_inclusion {
            Some(NullInclusion::IncludeNulls) => String::new(),
            Some(NullInclusion::ExcludeNulls) | None => format!(" WHERE {column} IS NOT NULL"),
        };
        format!("SELECT {rest}{label} AS {name}, {column} AS {value} FROM {table}{condition}")
    });
    let sides: Vec<String> = sides.collect();
    syntax::parse_query(&sides.join(" UNION ALL ")).map(Some)
}

/// The condition that rows are of a value, or of one for each column.
fn condition(columns: &[Expr], value: &Expr) -> Result<String, String> {
    let values: Vec<&Expr> = match value {
        Expr::Tuple(all) if 1 < columns.len() => all.iter().collect(),
        one => vec![one],
    };
    if values.len() != columns.len() {
        return Err(format!(
            "PIVOT is by {} columns, and `{value}` has {} values",
            columns.len(),
            values.len()
        ));
    }
    let equal = columns.iter().zip(values);
    let equal: Vec<String> = equal
        .map(|(column, value)| format!("({column}) = ({value})"))
        .collect();
    Ok(format!("({})", equal.join(" AND ")))
}

/// What the columns of a value are called.
fn called(value: &ExprWithAlias) -> Result<String, String> {
    match (&value.alias, &value.expr) {
        (Some(it), _) => Ok(syntax::known_as(it)),
        (None, Expr::Value(it)) => Ok(match &it.value {
            Value::SingleQuotedString(text) => text.clone(),
            other => other.to_string(),
        }),
        (None, other) => Err(format!(
            "name the column of each value of a PIVOT: IN ({other} AS name)"
        )),
    }
}

/// The names of columns in an expression.
fn names_in(expr: &Expr) -> Vec<String> {
    struct Find(Vec<String>);
    impl VisitorMut for Find {
        type Break = String;
        fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<String> {
            match expr {
                Expr::Identifier(it) => self.0.push(syntax::known_as(it)),
                Expr::CompoundIdentifier(parts) => {
                    self.0.extend(parts.last().map(syntax::known_as));
                }
                _ => {}
            }
            ControlFlow::Continue(())
        }
    }
    let mut find = Find(Vec::new());
    if let Ok(mut query) = syntax::parse_query(&format!("SELECT {expr}")) {
        // It never breaks off.
        let _ = walk::query(&mut query, &mut find);
    }
    find.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written_out(text: &str) -> Result<String, String> {
        let known = |name: &str| -> Option<Vec<String>> {
            let columns = ["id", "k", "j", "v"].map(str::to_owned);
            (name == "c").then(|| columns.into())
        };
        let mut query = syntax::parse_query(text)?;
        rewrite(&mut query, &known)?;
        Ok(query.to_string())
    }

    #[test]
    fn a_pivot_is_a_group_by_the_columns_that_it_does_not_name() {
        for (text, expected) in [
            (
                "SELECT * FROM c PIVOT (sum(v) AS s, count(*) AS n FOR k IN ('x' AS one, 'y')) AS p",
                r#"SELECT * FROM (SELECT "id", "j", sum(v) FILTER (WHERE ((k) = ('x'))) AS "one_s", count(*) FILTER (WHERE ((k) = ('x'))) AS "one_n", sum(v) FILTER (WHERE ((k) = ('y'))) AS "y_s", count(*) FILTER (WHERE ((k) = ('y'))) AS "y_n" FROM c GROUP BY "id", "j") AS p"#,
            ),
            (
                "SELECT * FROM (SELECT k, j, v FROM c) PIVOT (max(v) FILTER (WHERE v > 1) FOR (k, j) IN (('x', 1) AS one))",
                r#"SELECT * FROM (SELECT max(v) FILTER (WHERE (v > 1) AND ((k) = ('x') AND (j) = (1))) AS "one" FROM (SELECT k, j, v FROM c))"#,
            ),
        ] {
            assert_eq!(written_out(text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn an_unpivot_is_a_union_of_the_columns_that_it_names() {
        for (text, expected) in [
            (
                "SELECT * FROM c UNPIVOT (x FOR n IN (j, V AS 'value')) AS u",
                r#"SELECT * FROM (SELECT "id", "k", 'j' AS n, "j" AS x FROM c WHERE "j" IS NOT NULL UNION ALL SELECT "id", "k", 'value' AS n, "v" AS x FROM c WHERE "v" IS NOT NULL) AS u"#,
            ),
            (
                "SELECT * FROM (SELECT k, v FROM c) UNPIVOT INCLUDE NULLS (x FOR n IN (k, v))",
                r#"SELECT * FROM (SELECT 'k' AS n, "k" AS x FROM (SELECT k, v FROM c) UNION ALL SELECT 'v' AS n, "v" AS x FROM (SELECT k, v FROM c))"#,
            ),
        ] {
            assert_eq!(written_out(text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_a_pivot_lacks_is_said() {
        for (text, words) in [
            (
                "SELECT * FROM c PIVOT (sum(v) FOR k IN (ANY))",
                "name the values of the PIVOT",
            ),
            (
                "SELECT * FROM c PIVOT (sum(v), max(v) FOR k IN ('x'))",
                "name each aggregate of a PIVOT with AS",
            ),
            (
                "SELECT * FROM c PIVOT (sum(v) FOR (k, j) IN (('x', 1)))",
                "name the column of each value",
            ),
            (
                "SELECT * FROM f(1) PIVOT (sum(v) FOR k IN ('x'))",
                "cannot be told",
            ),
        ] {
            let reason = written_out(text).unwrap_err();
            assert!(reason.contains(words), "{text}: {reason}");
        }
    }
}
