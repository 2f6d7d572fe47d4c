//! The shortest query there is, `SELECT` of one thing from nothing: what rewritten conditions and calls are put into.

use datafusion::sql::sqlparser::ast::{self, Query, Select, SelectItem, SetExpr, TableWithJoins};

/// A query of one thing, from nothing.
pub fn query_of(item: SelectItem) -> Query {
    let mut query = Query {
        with: None,
        body: Box::new(SetExpr::Values(ast::Values { explicit_row: false, value_keyword: false, rows: Vec::new() })),
        order_by: None,
        limit_clause: None,
        fetch: None,
        locks: Vec::new(),
        for_clause: None,
        settings: None,
        format_clause: None,
        pipe_operators: Vec::new(),
    };
    *query.body = SetExpr::Select(Box::new(select_of(item)));
    query
}

/// A SELECT of one thing, from nothing.
pub fn select_of(item: SelectItem) -> Select {
    Select {
        select_token: ast::helpers::attached_token::AttachedToken::empty(),
        optimizer_hints: Vec::new(),
        distinct: None,
        select_modifiers: None,
        top: None,
        top_before_distinct: false,
        projection: vec![item],
        exclude: None,
        into: None,
        from: Vec::<TableWithJoins>::new(),
        lateral_views: Vec::new(),
        prewhere: None,
        selection: None,
        connect_by: Vec::new(),
        group_by: ast::GroupByExpr::Expressions(Vec::new(), Vec::new()),
        cluster_by: Vec::new(),
        distribute_by: Vec::new(),
        sort_by: Vec::new(),
        having: None,
        named_window: Vec::new(),
        qualify: None,
        window_before_qualify: false,
        value_table_mode: None,
        flavor: ast::SelectFlavor::Standard,
    }
}
