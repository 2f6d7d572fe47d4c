//! The names of the columns of a query that is sorted, where DataFusion would not find them, or find others.

use datafusion::sql::sqlparser::ast::{
    Distinct, Expr, GroupByExpr, OrderByExpr, OrderByKind, Query, Select, SelectItem, SetExpr, Value, ValueWithSpan,
};

use crate::plan::column_names;
use crate::plan::syntax::quoted;

/// The columns of a query that is sorted are named as Postgres names them, where DataFusion's name is that of a column inside: `id::text` beside
/// the `id` that it is sorted by would be two columns of one name.
pub(in crate::plan) fn name(query: &mut Query) {
    let Some(OrderByKind::Expressions(order)) = query.order_by.as_ref().map(|order| &order.kind) else { return };
    let SetExpr::Select(select) = query.body.as_mut() else { return };
    // DISTINCT ON is told apart by what it is sorted by.
    if matches!(select.distinct, Some(Distinct::On(_))) {
        return;
    }
    name_grouped(select, order);
    let Select { projection, having: None, .. } = select.as_mut() else { return };
    // What is sorted by a place, or by what is selected as it stands, is planned as it is.
    let selected = |by: &Expr| {
        matches!(by, Expr::Value(_))
            || projection.iter().any(|item| matches!(item, SelectItem::UnnamedExpr(expr) if expr == by && !is_column(by)))
    };
    if order.iter().all(|by| selected(&by.expr)) {
        return;
    }
    for item in projection {
        if let SelectItem::UnnamedExpr(expr) = item
            && is_cast(expr)
        {
            let alias = quoted(&column_names::of_expr(expr));
            *item = SelectItem::ExprWithAlias { expr: expr.clone(), alias };
        }
    }
}

/// Of what is grouped, DataFusion sorts by a place only where the column there has a name.
fn name_grouped(select: &mut Select, order: &[OrderByExpr]) {
    let Select { projection, group_by, having, .. } = select;
    if matches!(group_by, GroupByExpr::Expressions(keys, _) if keys.is_empty()) {
        return;
    }
    for by in order {
        let Expr::Value(ValueWithSpan { value: Value::Number(place, _), .. }) = &by.expr else { continue };
        let Some(at) = place.parse::<usize>().ok().and_then(|place| place.checked_sub(1)) else { continue };
        let Some(item @ SelectItem::UnnamedExpr(_)) = projection.get_mut(at) else { continue };
        if let SelectItem::UnnamedExpr(expr) = item
            && !is_column(expr)
        {
            let name = column_names::of_expr(expr);
            // HAVING could mean a column by that name.
            let alias = if having.is_some() { column_names::with_mark(&name, at + 1) } else { name };
            *item = SelectItem::ExprWithAlias { expr: expr.clone(), alias: quoted(&alias) };
        }
    }
}

fn is_column(expr: &Expr) -> bool {
    matches!(expr, Expr::Identifier(_) | Expr::CompoundIdentifier(_))
}

fn is_cast(expr: &Expr) -> bool {
    match expr {
        Expr::Nested(inner) => is_cast(inner),
        Expr::Cast { .. } => true,
        _ => false,
    }
}
