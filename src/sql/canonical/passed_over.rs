//! Clauses that the parser understands and the planner passes over: refused everywhere, in maintained queries and in those that are asked once.
//!
//! Every struct of the syntax is taken apart field by field, so that a field that a new version of the parser adds has to be decided on.

use crate::sql::asof::versions;
use crate::sql::walk;
use datafusion::sql::sqlparser::ast::{
    CreateTable, CreateView, Cte, LimitClause, OrderBy, OrderByExpr, Query, Select, SelectFlavor,
    TableFactor, VisitorMut,
};
use std::ops::ControlFlow;

/// Refuses what would be passed over, wherever in a query.
///
/// # Errors
/// Names the clause.
pub fn refuse_in_query(query: &Query) -> Result<(), String> {
    walk::query(&mut query.clone(), &mut Refusing)
}

struct Refusing;

fn no(text: &str) -> ControlFlow<String> {
    ControlFlow::Break(text.to_owned())
}

impl VisitorMut for Refusing {
    type Break = String;

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<String> {
        let Query {
            with,
            body: _,
            order_by,
            limit_clause,
            fetch,
            locks,
            for_clause,
            settings,
            format_clause,
            pipe_operators,
        } = query;
        if fetch.is_some() {
            return no("FETCH is not supported; write LIMIT");
        }
        if !locks.is_empty() {
            return no("FOR UPDATE and FOR SHARE mean nothing here: queries lock nothing");
        }
        if for_clause.is_some() || settings.is_some() || format_clause.is_some() {
            return no("FOR, SETTINGS and FORMAT after a query are not supported");
        }
        if !pipe_operators.is_empty() {
            return no("the pipe syntax |> is not supported; write WHERE, GROUP BY and ORDER BY");
        }
        if let Some(OrderBy {
            kind: _,
            interpolate: Some(_),
        }) = order_by
        {
            return no("INTERPOLATE is not supported");
        }
        if let Some(LimitClause::LimitOffset {
            limit: _,
            offset: _,
            limit_by,
        }) = limit_clause
            && !limit_by.is_empty()
        {
            return no("LIMIT … BY is not supported");
        }
        for Cte {
            alias: _,
            query: _,
            from,
            materialized,
            closing_paren_token: _,
        } in with.iter().flat_map(|it| &it.cte_tables)
        {
            if from.is_some() || materialized.is_some() {
                return no("WITH name AS (…) takes neither MATERIALIZED nor FROM");
            }
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<String> {
        let Select {
            select_token: _,
            optimizer_hints,
            distinct: _,
            select_modifiers,
            top,
            top_before_distinct: _,
            projection: _,
            exclude,
            into,
            from: _,
            lateral_views,
            prewhere,
            selection: _,
            connect_by,
            group_by: _,
            cluster_by,
            distribute_by,
            sort_by,
            having: _,
            named_window: _,
            qualify: _,
            window_before_qualify: _,
            value_table_mode,
            flavor,
        } = select;
        if !optimizer_hints.is_empty() || select_modifiers.is_some() {
            return no("hints in a SELECT are not supported");
        }
        if top.is_some() {
            return no("TOP is not supported; write LIMIT");
        }
        if into.is_some() {
            return no("SELECT … INTO is not supported; write CREATE TABLE … AS");
        }
        if exclude.is_some() {
            return no("EXCLUDE after the columns is not supported; name the columns");
        }
        if !lateral_views.is_empty() || prewhere.is_some() || !connect_by.is_empty() {
            return no("LATERAL VIEW, PREWHERE and CONNECT BY are not supported");
        }
        if !cluster_by.is_empty() || !distribute_by.is_empty() || !sort_by.is_empty() {
            return no("CLUSTER BY, DISTRIBUTE BY and SORT BY are not supported; write ORDER BY");
        }
        if value_table_mode.is_some() {
            return no("SELECT AS STRUCT and SELECT AS VALUE are not supported");
        }
        match flavor {
            SelectFlavor::Standard => ControlFlow::Continue(()),
            SelectFlavor::FromFirst | SelectFlavor::FromFirstNoSelect => {
                no("write SELECT before FROM")
            }
        }
    }

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<String> {
        const SAMPLE: &str =
            "TABLESAMPLE is not supported; for every n-th record write WHERE _offset % 100 = 0";
        match factor {
            TableFactor::Table {
                name: _,
                alias: _,
                args,
                with_hints,
                version,
                with_ordinality,
                partitions,
                json_path,
                sample,
                index_hints,
            } => {
                if sample.is_some() {
                    return no(SAMPLE);
                }
                if version.as_ref().is_some_and(|it| !versions::reads_all(it)) {
                    return no(versions::FORM);
                }
                if args.as_ref().is_some_and(|it| it.settings.is_some())
                    || !with_hints.is_empty()
                    || *with_ordinality
                    || !partitions.is_empty()
                    || json_path.is_some()
                    || !index_hints.is_empty()
                {
                    return no(
                        "hints, partitions and options after a relation's name are not supported; options of a table or view stand before its query: CREATE … name WITH (…) AS SELECT …",
                    );
                }
                ControlFlow::Continue(())
            }
            TableFactor::Derived {
                lateral: _,
                subquery: _,
                alias: _,
                sample,
            } => match sample {
                Some(_) => no(SAMPLE),
                None => ControlFlow::Continue(()),
            },
            TableFactor::Function {
                lateral: _,
                name: _,
                args: _,
                with_ordinality,
                alias: _,
            } => match with_ordinality {
                true => no("WITH ORDINALITY is not supported"),
                false => ControlFlow::Continue(()),
            },
            // The planner takes these, or says that it does not.
            TableFactor::TableFunction { .. }
            | TableFactor::UNNEST { .. }
            | TableFactor::JsonTable { .. }
            | TableFactor::OpenJsonTable { .. }
            | TableFactor::NestedJoin { .. }
            | TableFactor::Pivot { .. }
            | TableFactor::Unpivot { .. }
            | TableFactor::MatchRecognize { .. }
            | TableFactor::XmlTable { .. }
            | TableFactor::SemanticView { .. } => ControlFlow::Continue(()),
        }
    }
}

/// Refuses what else may stand in an ORDER BY.
pub(super) fn refuse_in_order(by: &OrderByExpr) -> Result<(), String> {
    let OrderByExpr {
        expr: _,
        options: _,
        with_fill,
    } = by;
    match with_fill {
        None => Ok(()),
        Some(_) => Err("WITH FILL is not supported".to_owned()),
    }
}

/// Refuses what may stand around the query of a view, and would be passed over.
///
/// # Errors
/// Names the clause.
pub fn refuse_in_view(view: &CreateView) -> Result<(), String> {
    let CreateView {
        or_alter,
        or_replace,
        materialized,
        secure,
        name: _,
        name_before_not_exists: _,
        columns: _,
        query: _,
        options: _,
        cluster_by,
        comment,
        with_no_schema_binding,
        if_not_exists,
        temporary,
        copy_grants,
        to,
        params,
    } = view;
    // The file says what there is: replacing, or not replacing, what was there before is what a start does anyway.
    let _ = (or_replace, if_not_exists);
    if *or_alter {
        return Err("write CREATE VIEW or CREATE MATERIALIZED VIEW alone: the file says what there is, and a start makes it so".to_owned());
    }
    if *temporary {
        let kind = if *materialized {
            "MATERIALIZED VIEW"
        } else {
            "VIEW"
        };
        return Err(format!("TEMPORARY is not supported; write CREATE {kind}"));
    }
    if *secure
        || !cluster_by.is_empty()
        || comment.is_some()
        || *with_no_schema_binding
        || *copy_grants
        || to.is_some()
        || params.is_some()
    {
        return Err("between the view's name and AS only WITH (…) is possible".to_owned());
    }
    Ok(())
}

/// The same around the query of a table.
///
/// # Errors
/// Names the clause.
pub fn refuse_in_table(table: &CreateTable) -> Result<(), String> {
    if table.or_replace || table.if_not_exists {
        return Err(
            "write CREATE TABLE alone: the file says what there is, and a start makes it so"
                .to_owned(),
        );
    }
    if table.temporary {
        return Err("TEMPORARY is not supported; write CREATE TABLE".to_owned());
    }
    if !table.columns.is_empty() || !table.constraints.is_empty() {
        return Err(
            "name the columns with AS inside the SELECT, not after the table's name".to_owned(),
        );
    }
    // Of the many other clauses that dialects have, none changes what is left when it is taken away.
    let plain =
        datafusion::sql::sqlparser::ast::helpers::stmt_create_table::CreateTableBuilder::new(
            table.name.clone(),
        )
        .table_options(table.table_options.clone())
        .query(table.query.clone())
        .build();
    match plain == *table {
        true => Ok(()),
        false => Err("between the table's name and AS only WITH (…) is possible".to_owned()),
    }
}
