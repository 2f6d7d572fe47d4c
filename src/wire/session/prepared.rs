//! Prepared statements: what a statement needs and gives, and the values that stand in for its parameters.

use std::ops::ControlFlow;
use std::sync::Arc;

use arrow::datatypes::{Field, FieldRef, SchemaRef};
use datafusion::sql::sqlparser::ast::{self, CastKind, Expr, Value, visit_expressions_mut};
use pgwire::api::Type;

use crate::engine::planned::Planned;
use crate::engine::session::{Described, Session};
use crate::error::{Error, Result};
use crate::plan::column_names as names;
use crate::plan::parse::{Body, Statement};
use crate::wire::value::parameters::Parameter;
use crate::wire::value::written::Written;
use crate::wire::value::{columns, inferred};

/// Parameters that a statement may have, as in Postgres.
const MAX_PARAMETERS: usize = 65_535;

/// A statement that has been read and planned once.
#[derive(Debug)]
pub(in crate::wire) struct Prepared {
    /// The statement; None if the text was empty.
    pub(in crate::wire) statement: Option<Statement>,
    /// Its parameters.
    pub(in crate::wire) parameters: Vec<Parameter>,
    /// The columns of its answer; None for statements without rows.
    pub(in crate::wire) columns: Option<SchemaRef>,
    /// What its own text says of the columns.
    pub(in crate::wire) written: Written,
    /// The plan of a query.
    pub(in crate::wire) planned: Option<Arc<Planned>>,
    /// What the cursor reads that the statement declares.
    pub(in crate::wire) read: Option<Arc<Prepared>>,
}

impl Prepared {
    /// The statement of an empty text.
    pub(in crate::wire) fn empty() -> Prepared {
        Prepared { statement: None, parameters: Vec::new(), columns: None, written: Written::default(), planned: None, read: None }
    }

    /// A statement of the connection itself: its parameters and columns are known when it runs.
    pub(in crate::wire) fn own(statement: Statement) -> Prepared {
        Prepared { statement: Some(statement), ..Prepared::empty() }
    }

    /// DECLARE: its parameters are those of the query that its cursor reads.
    pub(in crate::wire) fn declare(statement: Statement, read: Prepared) -> Prepared {
        Prepared { parameters: read.parameters.clone(), read: Some(Arc::new(read)), ..Prepared::own(statement) }
    }

    /// Plans a statement; `declared` are the type oids that the client gave, 0 where it leaves them to the statement.
    pub(in crate::wire) async fn plan(session: &Session, mut statement: Statement, declared: &[u32]) -> Result<Prepared> {
        let written = Written::of_statement(&statement);
        let mut declared = said(&statement, declared);
        listed(session, &statement, &mut declared).await?;
        inferred::alone(&statement).into_iter().for_each(|(number, data_type)| say(&mut declared, number, data_type.oid()));
        if declared.iter().any(|oid| *oid != 0) {
            // An array that is compared with is nothing to the planner before it has its type.
            let arrays: Vec<_> =
                declared.iter().map(|oid| Type::from_oid(*oid).filter(is_array).and_then(|array| sql_type(&array))).collect();
            cast_parameters(&mut statement, &arrays);
        }
        let first = session.describe(&statement).await;
        let unknown = first.as_ref().map_or(true, |described| {
            let untyped = |(at, field): (usize, &Option<FieldRef>)| {
                declared.get(at).copied().unwrap_or(0) == 0 && field.as_ref().is_none_or(|field| field.data_type().is_null())
            };
            described.parameters.iter().enumerate().any(untyped)
        });
        if unknown {
            let undeclared = |number: usize| declared.get(number - 1).copied().unwrap_or(0) == 0;
            let found = inferred::beside(session, &statement, undeclared).await;
            found.into_iter().for_each(|(number, data_type)| say(&mut declared, number, data_type.oid()));
        }
        // What cannot be planned may be once its parameters have their types.
        let (mut described, failed) = match first {
            Ok(described) => (described, None),
            Err(error) => (Described::default(), Some(error)),
        };
        let types: Vec<_> =
            declared.iter().enumerate().map(|(at, oid)| cast_of(*oid, described.parameters.get(at).and_then(Option::as_deref))).collect();
        if types.iter().any(Option::is_some) {
            // DataFusion has no place for declarations: it guesses from what stands beside a parameter.
            cast_parameters(&mut statement, &types);
            described = session.describe(&statement).await?;
        } else if let Some(error) = failed {
            return Err(error);
        }
        let n_parameters = described.parameters.len().max(declared.len());
        let parameter = |at: usize| {
            let needed = described.parameters.get(at).and_then(Option::as_deref).filter(|needed| !needed.data_type().is_null());
            Parameter::new(declared.get(at).copied().unwrap_or(0), needed)
        };
        let parameters = (0..n_parameters).map(parameter).collect::<Result<_>>()?;
        // COPY answers with data of its own and describes no columns.
        let copies = matches!(statement.body, Body::CopyQuery(..) | Body::CopySubscribe(..));
        let columns = described.columns.filter(|_| !copies);
        Ok(Prepared { statement: Some(statement), parameters, columns, written, planned: described.planned, read: None })
    }
}

/// The types that the client declares, and where it does not those that the text itself gives: `$1::int4`, `LIMIT $1`.
fn said(statement: &Statement, declared: &[u32]) -> Vec<u32> {
    let mut types = declared.to_vec();
    expressions(&statement.body, |expr| {
        if let Expr::Cast { expr: inner, data_type, .. } = expr
            && let (Some(number), Some(cast)) = (placeholder(inner), type_of_sql(data_type))
        {
            say(&mut types, number, cast.oid());
        }
    });
    if let Body::Query(query) | Body::CopyQuery(query, _) = explained(&statement.body)
        && let Some(ast::LimitClause::LimitOffset { limit, offset, .. }) = &query.query.limit_clause
    {
        let offset = offset.as_ref().map(|offset| &offset.value);
        limit.iter().chain(offset).filter_map(placeholder).for_each(|number| say(&mut types, number, Type::INT8.oid()));
    }
    types
}

/// A parameter is of that type, unless something else has been said.
fn say(types: &mut Vec<u32>, number: usize, oid: u32) {
    let Some(at) = number.checked_sub(1).filter(|at| *at < MAX_PARAMETERS) else { return };
    types.resize(types.len().max(number), 0);
    if let Some(place @ 0) = types.get_mut(at) {
        *place = oid;
    }
}

/// `x = ANY($1)` without a declaration: an array of what x is, which the planner finds for `x = $1`.
async fn listed(session: &Session, statement: &Statement, declared: &mut Vec<u32>) -> Result<()> {
    let mut single = statement.clone();
    let mut numbers = Vec::new();
    expressions_mut(&mut single.body, |expr: &mut Expr| {
        let (Expr::AnyOp { left, compare_op, right, .. } | Expr::AllOp { left, compare_op, right }) = expr else { return };
        let bare = if let Expr::Nested(inner) = right.as_ref() { inner } else { right };
        if let Some(number) = placeholder(bare).filter(|number| (1..=MAX_PARAMETERS).contains(number)) {
            numbers.push(number);
            *expr = Expr::BinaryOp { left: left.clone(), op: compare_op.clone(), right: bare.clone() };
        }
    });
    numbers.retain(|number| declared.get(number - 1).copied().unwrap_or(0) == 0);
    if numbers.is_empty() {
        return Ok(());
    }
    let found = session.describe(&single).await?;
    for number in numbers {
        let beside = found.parameters.get(number - 1).and_then(Option::as_deref);
        // Of what has no array type it is one of what that is kept as.
        let array = match beside.map(|field| (columns::of_field(field), columns::of_type(field.data_type()))) {
            Some((element, kept)) if columns::array_of(&element) == Type::JSONB => columns::array_of(&kept),
            Some((element, _)) => columns::array_of(&element),
            None => Type::TEXT_ARRAY,
        };
        declared.resize(declared.len().max(number), 0);
        if let Some(place) = declared.get_mut(number - 1) {
            *place = array.oid();
        }
    }
    Ok(())
}

fn is_text(data_type: &Type) -> bool {
    matches!(*data_type, Type::TEXT | Type::VARCHAR | Type::BPCHAR | Type::NAME | Type::CHAR)
}

fn is_array(data_type: &Type) -> bool {
    columns::element_of(data_type).is_some()
}

/// The number of a parameter.
pub(in crate::wire) fn placeholder(expr: &Expr) -> Option<usize> {
    match expr {
        Expr::Value(value) => match &value.value {
            Value::Placeholder(name) => name.trim_start_matches('$').parse().ok(),
            _ => None,
        },
        _ => None,
    }
}

/// The Postgres type that SQL names; None for those that framesql has not.
fn type_of_sql(data_type: &ast::DataType) -> Option<Type> {
    if let ast::DataType::Array(ast::ArrayElemTypeDef::SquareBracket(element, _)) = data_type {
        let element = type_of_sql(element)?;
        return Some(columns::array_of(&element)).filter(|array| *array != Type::JSONB);
    }
    Some(match names::of_type(data_type).as_str() {
        "bool" => Type::BOOL,
        "int2" => Type::INT2,
        "int4" => Type::INT4,
        "int8" => Type::INT8,
        "float4" => Type::FLOAT4,
        "float8" => Type::FLOAT8,
        "numeric" => Type::NUMERIC,
        "text" => Type::TEXT,
        "varchar" => Type::VARCHAR,
        "bpchar" => Type::BPCHAR,
        "name" => Type::NAME,
        "char" => Type::CHAR,
        "bytea" => Type::BYTEA,
        "date" => Type::DATE,
        "time" => Type::TIME,
        "timestamp" => Type::TIMESTAMP,
        "timestamptz" => Type::TIMESTAMPTZ,
        "interval" => Type::INTERVAL,
        "oid" => Type::OID,
        "uuid" => Type::UUID,
        "json" => Type::JSON,
        "jsonb" => Type::JSONB,
        _ => return None,
    })
}

/// The cast that a declared parameter needs; None where the statement has found the same, or a type that loses nothing.
fn cast_of(oid: u32, found: Option<&Field>) -> Option<ast::DataType> {
    let declared = Type::from_oid(oid).filter(|data_type| *data_type != Type::UNKNOWN)?;
    let found = found.filter(|found| !found.data_type().is_null()).map(columns::of_field);
    let integer = |data_type: &Type| matches!(*data_type, Type::INT2 | Type::INT4 | Type::INT8);
    let lossless = found.is_some_and(|found| found == declared || integer(&found) && integer(&declared) || is_text(&declared));
    if lossless { None } else { sql_type(&declared) }
}

/// Puts a cast around every parameter that has a type in the list.
pub(in crate::wire) fn cast_parameters(statement: &mut Statement, types: &[Option<ast::DataType>]) {
    expressions_mut(&mut statement.body, |expr: &mut Expr| {
        let number = placeholder(expr);
        let data_type = number.and_then(|number| types.get(number.checked_sub(1)?)?.clone());
        if let Some(data_type) = data_type {
            let inner = Box::new(expr.clone());
            *expr = Expr::Cast { kind: CastKind::DoubleColon, expr: inner, data_type, array: false, format: None };
        }
    });
    if let Body::Query(query) | Body::CopyQuery(query, _) = &statement.body {
        statement.text = query.query.to_string();
    }
}

/// What EXPLAIN explains, or the statement itself.
fn explained(body: &Body) -> &Body {
    match body {
        Body::Explain { statement, .. } => &statement.body,
        other => other,
    }
}

/// Goes over the expressions of a statement that may have parameters, those first that hold others.
pub(in crate::wire) fn expressions(body: &Body, mut visit: impl FnMut(&Expr)) {
    let visit = |expr: &Expr| {
        visit(expr);
        ControlFlow::<()>::Continue(())
    };
    let _ = match explained(body) {
        Body::Query(query) | Body::CopyQuery(query, _) => ast::visit_expressions(&query.query, visit),
        Body::Other(other) if takes_values(other) => ast::visit_expressions(other, visit),
        _ => return,
    };
}

/// The same to change them, those inside others first.
pub(in crate::wire) fn expressions_mut(body: &mut Body, mut visit: impl FnMut(&mut Expr)) {
    let visit = |expr: &mut Expr| {
        visit(expr);
        ControlFlow::<()>::Continue(())
    };
    let explained = match body {
        Body::Explain { statement, .. } => &mut statement.body,
        other => other,
    };
    let _ = match explained {
        Body::Query(query) | Body::CopyQuery(query, _) => visit_expressions_mut(&mut query.query, visit),
        Body::Other(other) if takes_values(other) => visit_expressions_mut(other, visit),
        _ => return,
    };
}

/// Whether values stand in a statement that is no query.
fn takes_values(statement: &ast::Statement) -> bool {
    match statement {
        ast::Statement::Insert(_) | ast::Statement::Update(_) | ast::Statement::Delete(_) => true,
        ast::Statement::CreateTable(create) => create.query.is_some(),
        _ => false,
    }
}

/// A Postgres type as SQL writes it; None for those that are text to framesql.
fn sql_type(data_type: &Type) -> Option<ast::DataType> {
    let utc = ast::TimezoneInfo::WithTimeZone;
    Some(match *data_type {
        Type::BOOL => ast::DataType::Boolean,
        Type::INT2 => ast::DataType::SmallInt(None),
        Type::INT4 => ast::DataType::Integer(None),
        Type::INT8 => ast::DataType::BigInt(None),
        Type::FLOAT4 => ast::DataType::Real,
        Type::FLOAT8 => ast::DataType::DoublePrecision,
        Type::NUMERIC => ast::DataType::Numeric(ast::ExactNumberInfo::PrecisionAndScale(38, 10)),
        Type::TEXT | Type::VARCHAR | Type::BPCHAR | Type::NAME | Type::CHAR => ast::DataType::Text,
        Type::OID_ARRAY => sql_type(&Type::INT4_ARRAY)?,
        Type::BYTEA => ast::DataType::Bytea,
        Type::DATE => ast::DataType::Date,
        Type::TIME => ast::DataType::Time(None, ast::TimezoneInfo::None),
        Type::TIMESTAMP => ast::DataType::Timestamp(None, ast::TimezoneInfo::None),
        Type::TIMESTAMPTZ => ast::DataType::Timestamp(None, utc),
        Type::INTERVAL => ast::DataType::Interval { fields: None, precision: None },
        Type::UUID => ast::DataType::Uuid,
        Type::JSON => ast::DataType::JSON,
        Type::JSONB => ast::DataType::JSONB,
        _ => {
            let element = columns::element_of(data_type)?;
            ast::DataType::Array(ast::ArrayElemTypeDef::SquareBracket(Box::new(sql_type(&element)?), None))
        }
    })
}

/// The prepared statement of a name. Errs with 26000.
pub(in crate::wire) fn missing(name: &str) -> Error {
    Error::NotFound { kind: "prepared statement", name: name.to_owned() }
}
