//! `WINDOW w AS (…)` and `OVER (w ORDER BY x)`: each call gets its window written out, as the planner forgets what a window is built on.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Expr, Ident, NamedWindowDefinition, NamedWindowExpr, OrderBy, Query, Select, SetExpr, VisitMut, VisitorMut, WindowSpec, WindowType,
};

use crate::error::{Error, Result};
use crate::plan::rewrite::folded;

/// The windows of a query that is one SELECT, also where it is sorted by one. Errs as Postgres does: 42704 for a window that is not there, 42P20 for one
/// that another cannot be built on.
pub(in crate::plan) fn of_query(query: &mut Query) -> Result<()> {
    let Query { body, order_by, .. } = query;
    match body.as_mut() {
        SetExpr::Select(select) => written_out(select, order_by.as_mut()),
        _ => Ok(()),
    }
}

/// The windows of a SELECT in a UNION. Errs like `of_query`.
pub(in crate::plan) fn of_select(select: &mut Select) -> Result<()> {
    written_out(select, None)
}

fn written_out(select: &mut Select, order_by: Option<&mut OrderBy>) -> Result<()> {
    let mut calls = Calls { windows: Vec::new(), depth: 0 };
    for NamedWindowDefinition(name, window) in std::mem::take(&mut select.named_window) {
        let name = folded(&name);
        if calls.windows.iter().any(|(known, _)| *known == name) {
            return Err(refusal(format!("window \"{name}\" is already defined")));
        }
        let window = match window {
            NamedWindowExpr::NamedWindow(of) => calls.find(&of)?.clone(),
            NamedWindowExpr::WindowSpec(window) => calls.whole(window)?,
        };
        calls.windows.push((name, window));
    }
    let visited = match select.projection.visit(&mut calls) {
        ControlFlow::Continue(()) => order_by.map_or(ControlFlow::Continue(()), |order_by| order_by.visit(&mut calls)),
        stopped => stopped,
    };
    match visited {
        ControlFlow::Break(error) => Err(error),
        ControlFlow::Continue(()) => Ok(()),
    }
}

/// Goes to the calls over windows; those in subqueries have windows of their own.
struct Calls {
    windows: Vec<(String, WindowSpec)>,
    depth: usize,
}

impl Calls {
    fn find(&self, name: &Ident) -> Result<&WindowSpec> {
        let name = folded(name);
        let found = self.windows.iter().find(|(known, _)| *known == name);
        found.map(|(_, window)| window).ok_or(Error::NotFound { kind: "window", name })
    }

    /// A window with what the one has that it is built on.
    fn whole(&self, window: WindowSpec) -> Result<WindowSpec> {
        let Some(name) = &window.window_name else { return Ok(window) };
        let under = self.find(name)?;
        let name = folded(name);
        if !window.partition_by.is_empty() {
            return Err(refusal(format!("cannot override PARTITION BY clause of window \"{name}\"")));
        }
        if !window.order_by.is_empty() && !under.order_by.is_empty() {
            return Err(refusal(format!("cannot override ORDER BY clause of window \"{name}\"")));
        }
        if under.window_frame.is_some() {
            return Err(refusal(format!("cannot copy window \"{name}\" because it has a frame clause")));
        }
        let order_by = if window.order_by.is_empty() { under.order_by.clone() } else { window.order_by };
        Ok(WindowSpec { window_name: None, partition_by: under.partition_by.clone(), order_by, window_frame: window.window_frame })
    }
}

impl VisitorMut for Calls {
    type Break = Error;

    fn pre_visit_query(&mut self, _: &mut Query) -> ControlFlow<Error> {
        self.depth += 1;
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &mut Query) -> ControlFlow<Error> {
        self.depth = self.depth.saturating_sub(1);
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Error> {
        let Expr::Function(call) = expr else { return ControlFlow::Continue(()) };
        let Some(over) = call.over.as_mut().filter(|_| self.depth == 0) else { return ControlFlow::Continue(()) };
        let window = match over {
            WindowType::NamedWindow(name) => self.find(name).cloned(),
            WindowType::WindowSpec(window) if window.window_name.is_some() => self.whole(window.clone()),
            WindowType::WindowSpec(_) => return ControlFlow::Continue(()),
        };
        match window {
            Ok(window) => {
                *over = WindowType::WindowSpec(window);
                ControlFlow::Continue(())
            }
            Err(error) => ControlFlow::Break(error),
        }
    }
}

/// What cannot be a window, with Postgres' code for that.
fn refusal(message: String) -> Error {
    Error::Data { code: "42P20", message, detail: None }
}
