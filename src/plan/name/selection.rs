//! Field selection as Postgres writes it, `(face.box).x`, made the subscript by a name that DataFusion reads.

use datafusion::sql::sqlparser::ast::{AccessExpr, Expr, Ident, SelectItem, Subscript, Value};

use crate::plan::column_names;

/// Makes `.x` behind parentheses, or behind a subscript, the subscript `['x']`. Before them `a.x` is the column of a table.
pub(in crate::plan) fn subscripts(expr: &mut Expr) {
    let Expr::CompoundFieldAccess { root, access_chain } = expr else { return };
    let mut column = matches!(root.as_ref(), Expr::Identifier(_) | Expr::CompoundIdentifier(_));
    for access in access_chain {
        match access {
            AccessExpr::Dot(Expr::Identifier(field)) if !column => {
                let index = Expr::value(Value::SingleQuotedString(folded(field)));
                *access = AccessExpr::Subscript(Subscript::Index { index });
            }
            AccessExpr::Dot(_) => {}
            AccessExpr::Subscript(_) => column = false,
        }
    }
}

/// A selected field is read by its own name, where the subscript would be read by another.
pub(in crate::plan) fn name_fields(projection: &mut [SelectItem]) {
    for item in projection {
        if let SelectItem::UnnamedExpr(expr) = item
            && let Expr::CompoundFieldAccess { access_chain, .. } = &*expr
            && matches!(access_chain.last(), Some(AccessExpr::Dot(_)))
        {
            let alias = Ident::with_quote('"', column_names::of_expr(expr));
            *item = SelectItem::ExprWithAlias { expr: expr.clone(), alias };
        }
    }
}

fn folded(ident: &Ident) -> String {
    if ident.quote_style.is_some() { ident.value.clone() } else { ident.value.to_lowercase() }
}
