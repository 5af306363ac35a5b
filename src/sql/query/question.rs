//! What a text asks: the rows of a query, or what there is to be queried.

use super::error::QueryError;
use super::unnamed::Written;
use crate::sql::dialect::Tidelake;
use crate::sql::{asof, canonical, elsewhere, forms, syntax, windows};
use datafusion::sql::parser::{DFParserBuilder, Statement as DfStatement};
use datafusion::sql::sqlparser::ast::{
    DescribeAlias, ObjectName, ShowStatementIn, ShowStatementOptions, Statement,
};
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::parser::ParserError;
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan, Tokenizer};

/// Longest statement taken.
const TEXT_BYTES_MAX: usize = 100_000;
/// A chain of operators is as deep in the parser's tree.
const OPERATORS_MAX: usize = 2_000;

/// One statement that only reads.
#[derive(Debug)]
pub enum Question {
    /// Its rows are wanted, in columns named as they are written. `TUMBLE` is rewritten already.
    Query(DfStatement, Written),
    /// `DESCRIBE name`, `SHOW COLUMNS FROM name`, `\d name`, `DESCRIBE SELECT …`: the columns this query has.
    Columns(DfStatement),
    /// `SHOW TABLES`, `\d`
    Relations,
}

impl Question {
    /// # Errors
    /// If it is no statement, not one alone, or one that does more than read.
    pub fn parse(sql: &str) -> Result<Question, QueryError> {
        if sql.trim().is_empty() {
            return Err(QueryError::rejected("the query is empty")
                .with_hint("for example: SELECT * FROM totals, or SHOW TABLES"));
        }
        if TEXT_BYTES_MAX < sql.len() {
            return Err(QueryError::rejected(format!(
                "the query is longer than {TEXT_BYTES_MAX} bytes"
            )));
        }
        if OPERATORS_MAX < operators(sql) {
            return Err(QueryError::rejected(format!(
                "the query has more than {OPERATORS_MAX} operators"
            ))
            .with_hint("write x IN (…) instead of x = … OR x = …"));
        }
        if let Some(command) = sql.trim_start().strip_prefix('\\') {
            return described(command);
        }
        if let Some(name) = explained_name(sql) {
            return Err(QueryError::rejected(format!(
                "EXPLAIN takes a query: EXPLAIN SELECT * FROM {name}"
            )));
        }
        let mut statement = parse_one(sql)?;
        if let DfStatement::Statement(inner) = &statement
            && let Some(about) = about(inner)?
        {
            return Ok(about);
        }
        let written = Written::of(&statement);
        prepare(&mut statement)?;
        Ok(Question::Query(statement, written))
    }

    /// The same, to be changed.
    pub fn query_mut(&mut self) -> Option<&mut DfStatement> {
        match self {
            Question::Query(it, _) | Question::Columns(it) => Some(it),
            Question::Relations => None,
        }
    }

    /// The query it is about.
    pub fn query(&self) -> Option<&DfStatement> {
        match self {
            Question::Query(it, _) | Question::Columns(it) => Some(it),
            Question::Relations => None,
        }
    }
}

/// Whether a text may be a question about what there is: what is told of relations and columns is only handed over for such.
pub fn may_describe(sql: &str) -> bool {
    may_begin_with(sql, &["desc", "describe", "show"])
}

/// Whether a text may be about a plan: what live views cost is only handed over for such.
pub fn may_explain(sql: &str) -> bool {
    may_begin_with(sql, &["explain"])
}

fn may_begin_with(sql: &str, words: &[&str]) -> bool {
    let sql = sql.trim_start();
    let word: String = sql
        .chars()
        .take_while(|it| it.is_ascii_alphabetic())
        .collect();
    // A comment may stand before anything.
    let begins = ["\\", "--", "/*"];
    words.iter().any(|it| word.eq_ignore_ascii_case(it))
        || begins.iter().any(|it| sql.starts_with(it))
}

/// The query of a plain view, as the dataflow has it.
///
/// # Errors
/// If it is none.
pub fn of_plain_view(text: &str) -> Result<DfStatement, QueryError> {
    let mut statement = parse_one(text)?;
    prepare(&mut statement)?;
    Ok(statement)
}

/// The one word behind EXPLAIN, where a query belongs.
fn explained_name(sql: &str) -> Option<&str> {
    let mut words = sql.trim_end_matches([';', ' ', '\n']).split_whitespace();
    let is_explain = words.next()?.eq_ignore_ascii_case("EXPLAIN");
    let name = words.next()?;
    let is_name = name
        .chars()
        .all(|it| it.is_alphanumeric() || it == '_' || it == '.');
    (is_explain && is_name && words.next().is_none()).then_some(name)
}

/// What is asked by the commands of `psql` that describe: `\d`, and `\d name`.
fn described(command: &str) -> Result<Question, QueryError> {
    let command = command.trim_end_matches(|it: char| it == ';' || it.is_whitespace());
    let (word, name) = command
        .split_once(char::is_whitespace)
        .unwrap_or((command, ""));
    if word != "d" && word != "d+" {
        return Err(
            QueryError::rejected(format!("there is no command `\\{word}` here"))
                .with_hint("\\d lists views and tables, \\d NAME the columns of one"),
        );
    }
    match name.trim() {
        "" => Ok(Question::Relations),
        name => match parse_one(&format!("DESCRIBE {name}"))? {
            DfStatement::Statement(statement) => about(&statement)?,
            _ => None,
        }
        .ok_or_else(|| QueryError::rejected("\\d takes one name of a view or table")),
    }
}

/// A question about what there is, if the statement is one.
fn about(statement: &Statement) -> Result<Option<Question>, QueryError> {
    let all_of = |name: &ObjectName| parse_one(&format!("SELECT * FROM {name}"));
    match statement {
        Statement::ShowTables { show_options, .. } => match shown_of(show_options) {
            Shown::All => Ok(Some(Question::Relations)),
            Shown::Of(_) | Shown::Some => Err(QueryError::rejected(
                "SHOW TABLES takes nothing behind it: it lists all views and tables",
            )),
        },
        Statement::ShowColumns { show_options, .. } => match shown_of(show_options) {
            Shown::Of(name) => Ok(Some(Question::Columns(all_of(name)?))),
            Shown::All | Shown::Some => Err(QueryError::rejected(
                "SHOW COLUMNS has the form SHOW COLUMNS FROM name",
            )),
        },
        Statement::ExplainTable { table_name, .. } => {
            Ok(Some(Question::Columns(all_of(table_name)?)))
        }
        Statement::Explain {
            describe_alias: DescribeAlias::Describe | DescribeAlias::Desc,
            statement,
            ..
        } => {
            let mut query = DfStatement::Statement(statement.clone());
            prepare(&mut query)?;
            Ok(Some(Question::Columns(query)))
        }
        _ => Ok(None),
    }
}

/// What a SHOW names behind its first words.
enum Shown<'a> {
    All,
    Of(&'a ObjectName),
    /// Some of all: LIKE, LIMIT, or several schemas, which we do not have.
    Some,
}

fn shown_of(options: &ShowStatementOptions) -> Shown<'_> {
    match options {
        ShowStatementOptions {
            show_in,
            starts_with: None,
            limit: None,
            limit_from: None,
            filter_position: None,
        } => match show_in {
            None => Shown::All,
            Some(ShowStatementIn {
                parent_type: None,
                parent_name: Some(name),
                ..
            }) => Shown::Of(name),
            Some(_) => Shown::Some,
        },
        _ => Shown::Some,
    }
}

/// How many operators and joining words a text has: at least as many as the longest chain of them is deep. A text that is no SQL has
/// none; the parser says what is wrong with it.
fn operators(sql: &str) -> usize {
    const JOINING: [Keyword; 12] = [
        Keyword::AND,
        Keyword::OR,
        Keyword::NOT,
        Keyword::IS,
        Keyword::LIKE,
        Keyword::ILIKE,
        Keyword::BETWEEN,
        Keyword::UNION,
        Keyword::INTERSECT,
        Keyword::EXCEPT,
        Keyword::JOIN,
        Keyword::AT,
    ];
    let is_operator = |token: &Token| match token {
        Token::Word(word) => JOINING.contains(&word.keyword),
        Token::Number(..) | Token::Whitespace(_) | Token::Comma | Token::Period => false,
        Token::LParen | Token::RParen | Token::SemiColon | Token::EOF => false,
        Token::SingleQuotedString(_) | Token::DoubleQuotedString(_) => false,
        _ => true,
    };
    let tokens = Tokenizer::new(&Tidelake, sql).tokenize();
    tokens.map_or(0, |it| it.iter().filter(|it| is_operator(it)).count())
}

fn parse_one(sql: &str) -> Result<DfStatement, QueryError> {
    let tokens = syntax::tokens(sql);
    let tokens = tokens.map_err(|it| QueryError::planning(&ParserError::from(it).into()))?;
    elsewhere::refuse_clauses(&tokens).map_err(|(_, it)| QueryError::rejected(it))?;
    refuse_other_statements(&tokens)?;
    let tokens = asof::as_joins(tokens).map_err(|(_, it)| QueryError::rejected(it))?;
    let parsed = DFParserBuilder::new(tokens)
        .with_dialect(&Tidelake)
        .build()
        .and_then(|mut it| it.parse_statements());
    let mut statements = parsed.map_err(|it| QueryError::planning(&it).or_slip_of(sql))?;
    match (statements.pop_front(), statements.is_empty()) {
        (Some(statement), true) => Ok(statement),
        (None, _) => Err(QueryError::rejected("the query is empty")),
        (Some(_), false) => Err(QueryError::rejected("send one statement at a time")),
    }
}

/// Refuses what people know from other systems and what is done otherwise here, with how.
fn refuse_other_statements(tokens: &[TokenWithSpan]) -> Result<(), QueryError> {
    let solid: Vec<&Token> = tokens
        .iter()
        .map(|it| &it.token)
        .filter(|it| !matches!(it, Token::Whitespace(_)))
        .collect();
    let begins_with = |words: &[&str]| begin_with(&solid, words);
    let (what, hint) = if begins_with(&["SUBSCRIBE"]) {
        (
            "SUBSCRIBE is not possible here: a query is answered once",
            "`tidelake tail VIEW`, \\watch VIEW in the shell and GET /api/v1/views/VIEW/changes tell what a view has, then each change",
        )
    } else if begins_with(&["DESCRIBE", "HISTORY"]) {
        (
            "DESCRIBE HISTORY is not possible here",
            "`tidelake lake history` lists the commits of the lake",
        )
    } else if begins_with(&["SHOW", "CREATE"]) {
        (
            "there is no SHOW CREATE here",
            "dataflow.sql has the statement of each view; DESCRIBE name tells its columns",
        )
    } else if let Some(word) = ["CREATE", "DROP", "ALTER"]
        .iter()
        .find(|it| begins_with(&[**it]))
    {
        let what = format!("{word} is not possible here: queries only read");
        return Err(QueryError::rejected(what).with_hint(
            "views and tables are declared in dataflow.sql; `tidelake check` tells what a change of it does, and the next start follows it",
        ));
    } else if (0..solid.len()).any(|at| {
        let (head, rest) = (solid[at], &solid[at + 1..]);
        let is_version = ["VERSION", "TIMESTAMP"]
            .iter()
            .any(|it| elsewhere::is_word(head, it));
        is_version && begin_with(rest, &["AS", "OF"])
    }) {
        (
            "a query has one version of all tables",
            "`tidelake sql --as-of -10m \"…\"` and \\asof in the shell choose it; `tidelake lake history` lists commits",
        )
    } else {
        return Ok(());
    };
    Err(QueryError::rejected(what).with_hint(hint))
}

fn begin_with(tokens: &[&Token], words: &[&str]) -> bool {
    let mut pairs = words.iter().enumerate();
    pairs.all(|(at, word)| {
        tokens
            .get(at)
            .is_some_and(|it| elsewhere::is_word(it, word))
    })
}

fn prepare(statement: &mut DfStatement) -> Result<(), QueryError> {
    if let DfStatement::Statement(inner) = statement
        && let Statement::Query(query) = inner.as_mut()
    {
        forms::name_repeated(query);
        return asof::versions::refuse(query)
            .and_then(|()| forms::rewrite(query))
            .and_then(|()| canonical::refuse_in_query(query))
            .and_then(|()| windows::rewrite(query, windows::all_records))
            .map_err(QueryError::rejected);
    }
    match statement {
        DfStatement::Explain(explain) => prepare(&mut explain.statement),
        other => {
            let text = other.to_string().to_ascii_uppercase();
            let mut words = text.split_whitespace();
            let word = words.next().unwrap_or("THIS");
            if word == "SHOW" {
                let what = words.next().unwrap_or_default();
                return Err(QueryError::rejected(format!("there is no SHOW {what} here"))
                    .with_hint("SHOW TABLES lists all views and tables, SHOW COLUMNS FROM name the columns of one"));
            }
            Err(
                QueryError::rejected(format!("{word} is not possible here: queries only read"))
                    .with_hint("use SELECT, WITH … SELECT, EXPLAIN, SHOW TABLES or DESCRIBE name"),
            )
        }
    }
}
