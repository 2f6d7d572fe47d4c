//! A text that is written out beside other values in a CASE, or beside other rows in a UNION, is of their type, as an untyped constant of Postgres is:
//! DataFusion makes texts of all of them.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field};
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::error::Result;
use datafusion::logical_expr::expr::Alias;
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan, Projection, Union, cast};
use datafusion::optimizer::AnalyzerRule;

use super::text_type::TextType;
use crate::error::Error;
use crate::plan::each;

/// The rule; it stands before types are coerced.
#[derive(Debug)]
pub(in crate::plan) struct UntypedTexts;

impl AnalyzerRule for UntypedTexts {
    fn name(&self) -> &str {
        "untyped_texts"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        let mut changed = false;
        let rewritten = plan.transform_up_with_subqueries(|plan| {
            let plan = match plan {
                LogicalPlan::Union(union) => in_union(union)?,
                plan => each::of_node(plan, in_case)?,
            };
            changed |= plan.transformed;
            // What reads it, reads another type.
            if changed { Ok(Transformed::yes(plan.data.recompute_schema()?)) } else { Ok(plan) }
        })?;
        Ok(rewritten.data)
    }
}

/// Functions that give one of their arguments.
const ONE_OF: [&str; 5] = ["coalesce", "nvl", "nullif", "greatest", "least"];

fn in_case(mut e: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    if let Expr::ScalarFunction(call) = &mut e
        && ONE_OF.contains(&call.func.name())
    {
        // Of other types than these the function itself makes one.
        let Some(of) = of_texts(call.args.iter(), schema) else { return Ok(Transformed::no(e)) };
        for argument in &mut call.args {
            read(argument, &of)?;
        }
        return Ok(Transformed::yes(e));
    }
    let Expr::Case(case) = &mut e else { return Ok(Transformed::no(e)) };
    let results = || case.when_then_expr.iter().map(|(_, then)| then.as_ref()).chain(case.else_expr.as_deref());
    if !results().any(|result| text_of(result).is_some()) {
        return Ok(Transformed::no(e));
    }
    // What has no type here is told by those who know what it is.
    let others: Option<Vec<_>> = results().filter(|result| text_of(result).is_none()).map(|result| result.get_type(schema).ok()).collect();
    let of = of_texts(results(), schema).or_else(|| others.and_then(|others| common(&others)));
    let Some(of) = of else { return Ok(Transformed::no(e)) };
    let results = case.when_then_expr.iter_mut().map(|(_, then)| then).chain(&mut case.else_expr);
    for result in results {
        read(result, &of)?;
    }
    Ok(Transformed::yes(e))
}

fn in_union(union: Union) -> Result<Transformed<LogicalPlan>> {
    let n_columns = union.inputs.first().map_or(0, |input| input.schema().fields().len());
    let mut inputs = union.inputs.clone();
    let mut changed = false;
    for at in 0..n_columns {
        let written = |input: &LogicalPlan| matches!(input, LogicalPlan::Projection(p) if p.expr.get(at).and_then(text_of).is_some());
        let (texts, others): (Vec<usize>, Vec<usize>) = (0..inputs.len()).partition(|input| inputs.get(*input).is_some_and(|i| written(i)));
        if texts.is_empty() {
            continue;
        }
        let fields: Vec<&Field> =
            others.into_iter().filter_map(|input| Some(inputs.get(input)?.schema().fields().get(at)?.as_ref())).collect();
        let of = one_text_type(fields.iter().filter(|f| !f.data_type().is_null()).map(|f| TextType::of_field(f)));
        let of = of.or_else(|| common(&fields.iter().map(|f| f.data_type().clone()).collect::<Vec<_>>()));
        let Some(of) = of else { continue };
        for text in texts {
            let Some(input) = inputs.get_mut(text) else { continue };
            let LogicalPlan::Projection(projection) = input.as_ref() else { continue };
            let mut exprs = projection.expr.clone();
            if let Some(expr) = exprs.get_mut(at) {
                let name = expr.schema_name().to_string();
                read(expr, &of)?;
                if expr.schema_name().to_string() != name {
                    *expr = std::mem::replace(expr, Expr::Literal(ScalarValue::Null, None)).alias(name);
                }
            }
            *input = Arc::new(LogicalPlan::Projection(Projection::try_new(exprs, Arc::clone(&projection.input))?));
            changed = true;
        }
    }
    if !changed {
        return Ok(Transformed::no(LogicalPlan::Union(union)));
    }
    Ok(Transformed::yes(LogicalPlan::Union(Union::try_new_with_loose_types(inputs)?)))
}

/// The text of an expression that is nothing else.
fn text_of(e: &Expr) -> Option<&str> {
    match e {
        Expr::Literal(ScalarValue::Utf8(Some(text)), _) => Some(text),
        Expr::Alias(Alias { expr, .. }) => text_of(expr),
        _ => None,
    }
}

/// What a text is read as.
enum Of {
    Type(DataType),
    /// It stays a text, in the form that the type keeps.
    Text(TextType),
}

/// The type whose values are texts that those of the expressions are of which are not written out.
fn of_texts<'a>(exprs: impl Iterator<Item = &'a Expr> + Clone, schema: &DFSchema) -> Option<Of> {
    if !exprs.clone().any(|e| text_of(e).is_some()) {
        return None;
    }
    let others = exprs.filter(|e| text_of(e).is_none() && !matches!(e, Expr::Literal(value, _) if value.is_null()));
    one_text_type(others.map(|e| TextType::of_expr(e, schema)))
}

fn one_text_type(mut types: impl Iterator<Item = Option<TextType>>) -> Option<Of> {
    let first = types.next()??;
    types.all(|of| of == Some(first)).then_some(Of::Text(first))
}

/// What all of these types are, where a text could be read as one; of several kinds of numbers, the one with most room.
fn common(types: &[DataType]) -> Option<Of> {
    let known: Vec<&DataType> = types.iter().filter(|of| !of.is_null()).collect();
    let first = *known.first()?;
    let read = first.is_numeric() || first.is_temporal() || *first == DataType::Boolean;
    if read && known.iter().all(|of| *of == first) {
        return Some(Of::Type(first.clone()));
    }
    let all = |fits: fn(&DataType) -> bool| known.iter().all(|of| fits(of));
    if all(DataType::is_integer) {
        return Some(Of::Type(DataType::Int64));
    }
    all(DataType::is_numeric).then_some(Of::Type(DataType::Float64))
}

/// Reads the text as a value of the type, if it is one. Errs as Postgres does where it cannot be read.
fn read(e: &mut Expr, of: &Of) -> Result<()> {
    match (e, of) {
        (Expr::Alias(Alias { expr, .. }), of) => read(expr, of)?,
        (e @ Expr::Literal(ScalarValue::Utf8(Some(_)), _), Of::Type(of)) => {
            let Expr::Literal(value, _) = &mut *e else { return Ok(()) };
            if matches!(of, DataType::Timestamp(_, Some(_))) {
                // By the clocks of the session's zone, which a rule behind this one knows.
                *e = cast(e.clone(), of.clone());
            } else {
                *value = value.cast_to(of)?;
            }
        }
        (Expr::Literal(ScalarValue::Utf8(Some(text)), _), Of::Text(of)) => {
            let (code, message) = of.fault(text);
            *text = of.read(text).ok_or(Error::Data { code, message, detail: None })?;
        }
        _ => {}
    }
    Ok(())
}
