//! The SQL of a condition or measure to a formula: FIRST, LAST, PREV, NEXT, aggregates and columns become values to be looked up.

use std::ops::ControlFlow;
use std::sync::Arc;

use datafusion::common::tree_node::TreeNode;
use datafusion::common::{DFSchema, DFSchemaRef};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::Expr;
use datafusion::logical_expr::planner::RelationPlannerContext;
use datafusion::sql::sqlparser::ast::{
    AccessExpr, Expr as SqlExpr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, Ident, ObjectName, Value, VisitMut, VisitorMut,
};

use super::formula::{Formula, Navigation, Reach, column_name, fit, schema};
use crate::error::Error;
use crate::plan::parse::pattern::FINAL;
use crate::settings::TimeZone;

/// Plans the formulas of one MATCH_RECOGNIZE, and gathers what they read below it.
pub(super) struct Formulas<'a> {
    pub(super) context: &'a mut dyn RelationPlannerContext,
    /// The table's columns.
    pub(super) table: &'a DFSchemaRef,
    pub(super) variables: &'a [String],
    /// The session's.
    pub(super) zone: TimeZone,
    /// What the pattern's input computes.
    pub(super) below: Vec<Expr>,
}

impl Formulas<'_> {
    /// The place of an expression over the table's columns among what is computed below.
    pub(super) fn column(&mut self, expr: Expr) -> Result<usize> {
        let expr = fit(expr, self.table, self.zone)?;
        let known = self.below.iter().position(|e| *e == expr);
        Ok(known.unwrap_or_else(|| {
            self.below.push(expr);
            self.below.len() - 1
        }))
    }

    /// The table's columns as computed below: what aggregates are planned over.
    pub(super) fn input(&self) -> Result<DFSchema> {
        use datafusion::logical_expr::ExprSchemable;
        let field = |(at, expr): (usize, &Expr)| {
            let (_, field) = expr.to_field(self.table)?;
            Ok((None, Arc::new(field.as_ref().clone().with_name(column_name(at)))))
        };
        let fields = self.below.iter().enumerate().map(field).collect::<Result<Vec<_>>>()?;
        DFSchema::new_with_metadata(fields, Default::default())
    }

    /// A condition (`define`) or a measure.
    pub(super) fn formula(&mut self, mut sql: SqlExpr, define: bool) -> Result<Formula> {
        let mut navigations = Vec::new();
        if let ControlFlow::Break(e) = sql.visit(&mut Finder { formulas: self, navigations: &mut navigations, define }) {
            return Err(e);
        }
        let columns = schema(&navigations, &self.input()?)?;
        let expr = self.context.sql_to_expr(sql, &columns)?;
        let constant = |e: &Expr| match e {
            Expr::Placeholder(_) => true,
            Expr::ScalarFunction(f) => matches!(f.func.name(), "now" | "current_date" | "current_time" | "random"),
            _ => false,
        };
        if expr.exists(|e| Ok(constant(e)))? {
            return Err(Error::unsupported(
                "a parameter or now() in MATCH_RECOGNIZE",
                "Compute it as a column in a subquery: FROM (SELECT *, $1 AS most FROM t) MATCH_RECOGNIZE (…).",
            )
            .into());
        }
        Ok(Formula { expr: fit(expr, &columns, self.zone)?, navigations, schema: Arc::new(columns) })
    }

    fn variable(&self, ident: &Ident) -> Option<usize> {
        let name = self.context.normalize_ident(ident.clone());
        self.variables.iter().position(|v| *v == name)
    }

    /// Takes the variable off the columns of an expression. Errs if they have several.
    fn strip(&self, expr: &mut SqlExpr) -> Result<Option<usize>> {
        let mut stripper = Stripper { formulas: self, found: Vec::new(), own: false };
        let _ = expr.visit(&mut stripper);
        let mut found = stripper.found.into_iter();
        let first = found.next();
        if let Some(first) = first
            && found.any(|other| other != first)
        {
            return Err(Error::Syntax {
                message: "the columns of one call in MATCH_RECOGNIZE belong to different variables".into(),
                hint: Some("A call looks at the rows of one variable: write sum(a.x) + sum(b.x).".into()),
            }
            .into());
        }
        Ok(first.flatten())
    }

    /// A value of one row, as an argument of FIRST, LAST, PREV and NEXT, or by itself.
    fn value(&mut self, mut expr: SqlExpr, reach: Reach, shift: i64, whole: bool) -> Result<Navigation> {
        let variable = self.strip(&mut expr)?;
        let expr = self.context.sql_to_expr(expr, self.table)?;
        if expr.exists(|e| Ok(matches!(e, Expr::AggregateFunction(_) | Expr::WindowFunction(_))))? {
            return Err(nested().into());
        }
        Ok(Navigation::Value { column: self.column(expr)?, variable, reach, shift, whole })
    }

    fn call(&mut self, function: &Function, define: bool) -> Result<Option<Navigation>> {
        let name = function.name.to_string().to_lowercase();
        let (name, whole) = match name.strip_prefix(FINAL) {
            Some(name) => (name.to_owned(), true),
            None => (name, false),
        };
        if whole && define {
            return Err(Error::unsupported("FINAL in DEFINE", "A condition knows only the rows so far.").into());
        }
        let own = match name.as_str() {
            "first" | "last" | "prev" | "next" => {
                if function.over.is_some() || function.filter.is_some() {
                    return Err(nested().into());
                }
                let (argument, n) = arguments(&name, function)?;
                match name.as_str() {
                    "first" => self.value(argument, Reach::First(n.unwrap_or(0)), 0, whole)?,
                    "last" => self.value(argument, Reach::Last(n.unwrap_or(0)), 0, whole)?,
                    _ => {
                        let far = n.unwrap_or(1) as i64;
                        self.shifted(argument, if name == "prev" { -far } else { far }, whole)?
                    }
                }
            }
            "classifier" | "match_number" | "match_rowtime" => {
                let none = match &function.args {
                    FunctionArguments::List(list) => list.args.is_empty(),
                    FunctionArguments::None => true,
                    FunctionArguments::Subquery(_) => false,
                };
                if !none {
                    return Err(Error::unsupported(
                        format!("an argument of {}", name.to_uppercase()),
                        "Write it without: it is of the current row, or of the match.",
                    )
                    .into());
                }
                if define {
                    return Err(Error::unsupported(format!("{} in DEFINE", name.to_uppercase()), "Use it in MEASURES.").into());
                }
                match name.as_str() {
                    "classifier" => Navigation::Classifier,
                    "match_number" => Navigation::MatchNumber,
                    _ => Navigation::MatchRowtime,
                }
            }
            _ if function.over.is_some() => {
                return Err(Error::unsupported("OVER in MATCH_RECOGNIZE", "Compute it in a subquery below, or above.").into());
            }
            _ if self.context.context_provider().get_aggregate_meta(&name).is_some() => self.aggregate(function, &name, whole)?,
            _ if whole => return Err(nested().into()),
            _ => return Ok(None),
        };
        Ok(Some(own))
    }

    /// PREV and NEXT: of a value, or of FIRST or LAST of one.
    fn shifted(&mut self, argument: SqlExpr, shift: i64, whole: bool) -> Result<Navigation> {
        if let SqlExpr::Function(inner) = &argument {
            let name = inner.name.to_string().to_lowercase();
            if name == "first" || name == "last" {
                let (argument, n) = arguments(&name, inner)?;
                let n = n.unwrap_or(0);
                return self.value(argument, if name == "first" { Reach::First(n) } else { Reach::Last(n) }, shift, whole);
            }
        }
        self.value(argument, Reach::Last(0), shift, whole)
    }

    fn aggregate(&mut self, function: &Function, name: &str, whole: bool) -> Result<Navigation> {
        let mut function = function.clone();
        function.name = ObjectName::from(vec![Ident::new(name)]);
        let mut variable = None;
        // `count(a.*)` counts the rows of a variable.
        if let FunctionArguments::List(list) = &mut function.args
            && let [FunctionArg::Unnamed(argument @ FunctionArgExpr::QualifiedWildcard(_))] = list.args.as_mut_slice()
            && let FunctionArgExpr::QualifiedWildcard(of) = argument
        {
            let ident = of.0.last().and_then(|part| part.as_ident()).cloned();
            let Some(number) = ident.as_ref().and_then(|i| self.variable(i)) else {
                return Err(Error::Syntax {
                    message: format!("\"{of}\" is no variable of the pattern"),
                    hint: Some("Count the rows of a variable, count(a.*), or all, count(*).".into()),
                }
                .into());
            };
            variable = Some(number);
            *argument = FunctionArgExpr::Wildcard;
        }
        let mut sql = SqlExpr::Function(function);
        variable = match self.strip(&mut sql)? {
            Some(found) => Some(found),
            None => variable,
        };
        let call = self.context.sql_to_expr(sql, self.table)?.unalias();
        let Expr::AggregateFunction(mut call) = call else { return Err(nested().into()) };
        // What it reads is computed below, row by row.
        let mut place = |e: Expr| -> Result<Expr> {
            if e.exists(|e| Ok(matches!(e, Expr::AggregateFunction(_) | Expr::WindowFunction(_))))? {
                return Err(nested().into());
            }
            match e {
                // The star of count(*), and the options of functions that have them as constants.
                Expr::Literal(..) => Ok(e),
                e => Ok(super::formula::column(self.column(e)?)),
            }
        };
        call.params.args = call.params.args.into_iter().map(&mut place).collect::<Result<_>>()?;
        call.params.filter = call.params.filter.map(|e| place(*e).map(Box::new)).transpose()?;
        for key in &mut call.params.order_by {
            key.expr = place(key.expr.clone())?;
        }
        Ok(Navigation::Aggregate { call: Expr::AggregateFunction(call), variable, whole })
    }
}

fn nested() -> Error {
    Error::unsupported(
        "a call of this kind inside another in MATCH_RECOGNIZE",
        "FIRST and LAST take columns, PREV and NEXT take columns or FIRST and LAST, aggregates take columns.",
    )
}

/// The value and the number of rows of FIRST, LAST, PREV and NEXT.
fn arguments(name: &str, function: &Function) -> Result<(SqlExpr, Option<usize>)> {
    let number = |e: &SqlExpr| match e {
        SqlExpr::Value(v) => match &v.value {
            Value::Number(n, _) => n.parse::<u16>().ok().map(usize::from),
            _ => None,
        },
        _ => None,
    };
    if let FunctionArguments::List(list) = &function.args {
        match list.args.as_slice() {
            [FunctionArg::Unnamed(FunctionArgExpr::Expr(value))] => return Ok((value.clone(), None)),
            [FunctionArg::Unnamed(FunctionArgExpr::Expr(value)), FunctionArg::Unnamed(FunctionArgExpr::Expr(n))] => {
                if let Some(n) = number(n) {
                    return Ok((value.clone(), Some(n)));
                }
            }
            _ => {}
        }
    }
    let name = name.to_uppercase();
    Err(Error::Syntax {
        message: format!("{name} in MATCH_RECOGNIZE takes a value, and perhaps a constant number of rows up to 65535"),
        hint: Some(format!("Write {name}(a.x) or {name}(a.x, 1).")),
    }
    .into())
}

/// Replaces what is looked up in a match by columns.
struct Finder<'a, 'b> {
    formulas: &'a mut Formulas<'b>,
    navigations: &'a mut Vec<Navigation>,
    define: bool,
}

impl VisitorMut for Finder<'_, '_> {
    type Break = DataFusionError;

    fn pre_visit_expr(&mut self, expr: &mut SqlExpr) -> ControlFlow<DataFusionError> {
        let found = match expr {
            SqlExpr::Function(function) => {
                let function = function.clone();
                self.formulas.call(&function, self.define)
            }
            SqlExpr::Identifier(_) | SqlExpr::CompoundIdentifier(_) | SqlExpr::CompoundFieldAccess { .. } => {
                self.formulas.value(expr.clone(), Reach::Last(0), 0, false).map(Some)
            }
            SqlExpr::Subquery(_) | SqlExpr::Exists { .. } | SqlExpr::InSubquery { .. } => {
                Err(Error::unsupported("a subquery in MATCH_RECOGNIZE", "Write its value, or join it in a subquery below.").into())
            }
            _ => Ok(None),
        };
        match found {
            Err(e) => ControlFlow::Break(e),
            Ok(None) => ControlFlow::Continue(()),
            Ok(Some(navigation)) => {
                let known = self.navigations.iter().position(|n| *n == navigation);
                let at = known.unwrap_or_else(|| {
                    self.navigations.push(navigation);
                    self.navigations.len() - 1
                });
                *expr = SqlExpr::Identifier(Ident::with_quote('"', column_name(at)));
                ControlFlow::Continue(())
            }
        }
    }
}

/// Takes variables off the columns of an expression.
struct Stripper<'a, 'b> {
    formulas: &'a Formulas<'b>,
    /// The variable of each column; None for one that has none.
    found: Vec<Option<usize>>,
    /// The next identifier is the root of an access that is counted already.
    own: bool,
}

impl VisitorMut for Stripper<'_, '_> {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &mut SqlExpr) -> ControlFlow<()> {
        match expr {
            SqlExpr::CompoundIdentifier(parts) => {
                let variable = parts.first().and_then(|first| self.formulas.variable(first));
                self.found.push(variable);
                if variable.is_some() {
                    parts.remove(0);
                    if let [only] = parts.as_slice() {
                        *expr = SqlExpr::Identifier(only.clone());
                    }
                }
            }
            SqlExpr::CompoundFieldAccess { root, access_chain } => {
                if let SqlExpr::Identifier(first) = root.as_ref()
                    && let Some(variable) = self.formulas.variable(first)
                    && let Some(AccessExpr::Dot(SqlExpr::Identifier(column))) = access_chain.first().cloned()
                {
                    **root = SqlExpr::Identifier(column);
                    access_chain.remove(0);
                    self.found.push(Some(variable));
                    self.own = true;
                    if access_chain.is_empty() {
                        *expr = root.as_ref().clone();
                        self.own = false;
                    }
                }
            }
            SqlExpr::Identifier(_) if self.own => self.own = false,
            SqlExpr::Identifier(_) => self.found.push(None),
            _ => {}
        }
        ControlFlow::Continue(())
    }
}
