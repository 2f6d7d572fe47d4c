//! Primary keys: as indexes and constraints of pg_catalog, and as information_schema shows them.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int16Builder, Int32Builder, ListBuilder, StringArray, StructBuilder};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Fields, Int16Type, Int32Type};
use datafusion::error::Result;
use datafusion::logical_expr::{ColumnarValue, Signature, SimpleScalarUDF, TypeSignature, Volatility};
use datafusion::prelude::SessionContext;

use super::fill::{Columns, Fill, some};
use super::schema::{Listed, PgCatalog};

/// What stands for `information_schema._pg_expandarray`.
pub(in crate::wire) const EXPANDED: &str = "pg_expanded_array";
/// The access method btree: clients expect a primary key to have it.
pub(super) const BTREE_OID: i32 = 403;
/// The oid of the access method of tables.
pub(super) const HEAP_OID: i32 = 2;
/// The oids of pg_class and pg_constraint, which clients know by heart.
pub(super) const CLASS_OID: i32 = 1259;
pub(super) const CONSTRAINT_OID: i32 = 2606;

/// The key behind an index that is listed.
pub(in crate::wire) struct Key {
    /// The oid of its table.
    pub(in crate::wire) table_oid: i32,
    /// Its table.
    pub(in crate::wire) table: String,
    /// The oid of the constraint.
    pub(in crate::wire) constraint_oid: i32,
    /// Its columns as the table counts them, from 1.
    pub(in crate::wire) places: Vec<i16>,
}

/// The indexes among what is listed, with their keys.
fn keys(listed: &[Listed]) -> impl Iterator<Item = (&Listed, &Key)> {
    listed.iter().filter_map(|one| Some((one, one.key.as_ref()?)))
}

/// How many there are.
pub(in crate::wire) fn n_keys(listed: &[Listed]) -> usize {
    keys(listed).count()
}

/// pg_index.
pub(in crate::wire) fn pg_index(listed: &[Listed]) -> Columns {
    let all = || keys(listed);
    let none = || Fill::OidVectors(all().map(|(_, key)| vec![0; key.places.len()]).collect());
    let n = || Fill::Int2(all().map(|(_, key)| key.places.len() as i16).collect());
    vec![
        ("indexrelid", Fill::Oid(all().map(|(one, _)| one.oid).collect())),
        ("indrelid", Fill::Oid(all().map(|(_, key)| key.table_oid).collect())),
        ("indnatts", n()),
        ("indnkeyatts", n()),
        ("indisunique", Fill::Flag(true)),
        ("indnullsnotdistinct", Fill::Flag(false)),
        ("indisprimary", Fill::Flag(true)),
        ("indisexclusion", Fill::Flag(false)),
        ("indimmediate", Fill::Flag(true)),
        ("indisclustered", Fill::Flag(false)),
        ("indisvalid", Fill::Flag(true)),
        ("indcheckxmin", Fill::Flag(false)),
        ("indisready", Fill::Flag(true)),
        ("indislive", Fill::Flag(true)),
        ("indisreplident", Fill::Flag(false)),
        ("indkey", Fill::Int2Vectors(all().map(|(_, key)| key.places.clone()).collect())),
        ("indcollation", none()),
        ("indclass", none()),
        ("indoption", Fill::Int2Vectors(all().map(|(_, key)| vec![0; key.places.len()]).collect())),
        ("indexprs", Fill::Null),
        ("indpred", Fill::Null),
    ]
}

/// pg_depend: an index is a part of the constraint that made it, by which tools find one from the other.
pub(super) fn pg_depend(listed: &[Listed]) -> Columns {
    vec![
        ("classid", Fill::OneOid(CLASS_OID)),
        ("objid", Fill::Oid(keys(listed).map(|(one, _)| one.oid).collect())),
        ("objsubid", Fill::Number(0)),
        ("refclassid", Fill::OneOid(CONSTRAINT_OID)),
        ("refobjid", Fill::Oid(keys(listed).map(|(_, key)| key.constraint_oid).collect())),
        ("refobjsubid", Fill::Number(0)),
        ("deptype", Fill::Word("i")),
    ]
}

/// pg_indexes.
pub(super) fn pg_indexes(listed: &[Listed]) -> Columns {
    let all = || keys(listed);
    let columns = |one: &Listed| one.schema.fields().iter().map(|field| field.name().clone()).collect::<Vec<_>>();
    vec![
        ("schemaname", some(all().map(|_| "public"))),
        ("tablename", some(all().map(|(_, key)| &key.table))),
        ("indexname", some(all().map(|(one, _)| &one.name))),
        ("tablespace", Fill::Null),
        ("indexdef", some(all().map(|(one, key)| index_definition(&one.name, &key.table, &columns(one))))),
    ]
}

/// pg_constraint.
pub(in crate::wire) fn pg_constraint(listed: &[Listed], public_oid: i32) -> Columns {
    let all = || keys(listed);
    vec![
        ("oid", Fill::Oid(all().map(|(_, key)| key.constraint_oid).collect())),
        ("conname", some(all().map(|(one, _)| &one.name))),
        ("connamespace", Fill::OneOid(public_oid)),
        ("contype", Fill::Word("p")),
        ("condeferrable", Fill::Flag(false)),
        ("condeferred", Fill::Flag(false)),
        ("convalidated", Fill::Flag(true)),
        ("conrelid", Fill::Oid(all().map(|(_, key)| key.table_oid).collect())),
        ("contypid", Fill::OneOid(0)),
        ("conindid", Fill::Oid(all().map(|(one, _)| one.oid).collect())),
        ("conparentid", Fill::OneOid(0)),
        ("confrelid", Fill::OneOid(0)),
        ("confupdtype", Fill::Word(" ")),
        ("confdeltype", Fill::Word(" ")),
        ("confmatchtype", Fill::Word(" ")),
        ("conislocal", Fill::Flag(true)),
        ("coninhcount", Fill::Number(0)),
        ("connoinherit", Fill::Flag(true)),
        ("conkey", Fill::Int2Arrays(all().map(|(_, key)| Some(key.places.clone())).collect())),
        ("confkey", Fill::Int2Arrays(all().map(|_| None).collect())),
        ("conpfeqop", Fill::NullArray),
        ("conppeqop", Fill::NullArray),
        ("conffeqop", Fill::NullArray),
        ("confdelsetcols", Fill::Int2Arrays(all().map(|_| None).collect())),
        ("conexclop", Fill::NullArray),
        ("conbin", Fill::Null),
    ]
}

/// information_schema.table_constraints.
pub(super) fn table_constraints(database: &str, listed: &[Listed]) -> (Columns, usize) {
    let all = || keys(listed);
    let columns = vec![
        ("constraint_catalog", some(all().map(|_| database))),
        ("constraint_schema", Fill::Word("public")),
        ("constraint_name", some(all().map(|(one, _)| &one.name))),
        ("table_catalog", some(all().map(|_| database))),
        ("table_schema", Fill::Word("public")),
        ("table_name", some(all().map(|(_, key)| &key.table))),
        ("constraint_type", Fill::Word("PRIMARY KEY")),
        ("is_deferrable", Fill::Word("NO")),
        ("initially_deferred", Fill::Word("NO")),
        ("enforced", Fill::Word("YES")),
        ("nulls_distinct", Fill::Null),
    ];
    (columns, n_keys(listed))
}

/// information_schema.key_column_usage, or constraint_column_usage, which has the same without the places.
pub(super) fn column_usage(database: &str, listed: &[Listed], places: bool) -> (Columns, usize) {
    let all = || keys(listed).flat_map(|(one, key)| one.schema.fields().iter().enumerate().map(move |(at, field)| (one, key, at, field)));
    let mut columns = vec![
        ("constraint_catalog", some(all().map(|_| database))),
        ("constraint_schema", Fill::Word("public")),
        ("constraint_name", some(all().map(|(one, ..)| &one.name))),
        ("table_catalog", some(all().map(|_| database))),
        ("table_schema", Fill::Word("public")),
        ("table_name", some(all().map(|(_, key, ..)| &key.table))),
        ("column_name", some(all().map(|(.., field)| field.name()))),
    ];
    if places {
        columns.push(("ordinal_position", Fill::Int4(all().map(|(_, _, at, _)| at as i32 + 1).collect())));
        columns.push(("position_in_unique_constraint", Fill::NullInt4));
    }
    let n_rows = all().count();
    (columns, n_rows)
}

fn quoted(name: &str) -> String {
    let plain = name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    if plain { name.to_owned() } else { format!("\"{}\"", name.replace('"', "\"\"")) }
}

/// Registers pg_get_constraintdef, pg_get_indexdef, and what stands for _pg_expandarray.
pub(super) fn register(context: &SessionContext, catalog: &Arc<PgCatalog>) {
    for name in ["pg_get_constraintdef", "pg_get_indexdef"] {
        let held = Arc::clone(catalog);
        let answer = move |arguments: &[ColumnarValue]| -> Result<ColumnarValue> {
            let arrays = ColumnarValue::values_to_arrays(arguments)?;
            let n_rows = arrays.first().map_or(0, |array| array.len());
            let numbers = |at: usize| -> Result<Vec<Option<i32>>> {
                let Some(array) = arrays.get(at) else { return Ok(vec![None; n_rows]) };
                let array = cast(array, &DataType::Int32)?;
                Ok(array.as_primitive::<Int32Type>().iter().collect())
            };
            // The second argument of pg_get_constraintdef asks for line breaks.
            let of_index = name == "pg_get_indexdef";
            let columns = if of_index && arrays.len() > 1 { numbers(1)? } else { vec![None; n_rows] };
            let one = |(oid, column): (Option<i32>, Option<i32>)| definition(&held, of_index, oid?, column.unwrap_or(0));
            let texts: StringArray = numbers(0)?.into_iter().zip(columns).map(one).collect();
            Ok(ColumnarValue::Array(Arc::new(texts)))
        };
        let signature = Signature::new(TypeSignature::VariadicAny, Volatility::Stable);
        context.register_udf(SimpleScalarUDF::new_with_signature(name, signature, DataType::Utf8, Arc::new(answer)).into());
    }
    let data_type = DataType::List(Arc::new(Field::new_list_field(DataType::Struct(pair()), true)));
    let answer = |arguments: &[ColumnarValue]| {
        let arrays = ColumnarValue::values_to_arrays(arguments)?;
        Ok(ColumnarValue::Array(expanded(arrays.first())?))
    };
    let signature = Signature::new(TypeSignature::Any(1), Volatility::Immutable);
    context.register_udf(SimpleScalarUDF::new_with_signature(EXPANDED, signature, data_type, Arc::new(answer)).into());
}

fn definition(catalog: &PgCatalog, of_index: bool, oid: i32, column: i32) -> Option<String> {
    let (index, table, columns) = catalog.key(of_index, oid)?;
    let names: Vec<String> = columns.iter().map(|name| quoted(name)).collect();
    if !of_index {
        return Some(format!("PRIMARY KEY ({})", names.join(", ")));
    }
    match usize::try_from(column).ok().and_then(|column| column.checked_sub(1)) {
        None => Some(index_definition(&index, &table, &columns)),
        Some(at) => names.get(at).cloned(),
    }
}

fn index_definition(index: &str, table: &str, columns: &[String]) -> String {
    let columns: Vec<String> = columns.iter().map(|name| quoted(name)).collect();
    format!("CREATE UNIQUE INDEX {} ON public.{} USING btree ({})", quoted(index), quoted(table), columns.join(", "))
}

fn pair() -> Fields {
    vec![Field::new("x", DataType::Int16, true), Field::new("n", DataType::Int32, true)].into()
}

/// An array as rows of its values, `x`, with their places from 1, `n`.
fn expanded(array: Option<&ArrayRef>) -> Result<ArrayRef> {
    let Some(array) = array else { return datafusion::common::exec_err!("an array is needed") };
    let lists = cast(array, &DataType::List(Arc::new(Field::new_list_field(DataType::Int16, true))))?;
    let lists = lists.as_list::<i32>();
    let builder = StructBuilder::new(pair(), vec![Box::new(Int16Builder::new()), Box::new(Int32Builder::new())]);
    let mut out = ListBuilder::new(builder).with_field(Field::new_list_field(DataType::Struct(pair()), true));
    for row in 0..lists.len() {
        let values = lists.is_valid(row).then(|| lists.value(row));
        for (at, value) in values.iter().flat_map(|values| values.as_primitive::<Int16Type>().iter()).enumerate() {
            let one = out.values();
            if let Some(x) = one.field_builder::<Int16Builder>(0) {
                x.append_option(value);
            }
            if let Some(n) = one.field_builder::<Int32Builder>(1) {
                n.append_value(at as i32 + 1);
            }
            one.append(true);
        }
        out.append(values.is_some());
    }
    Ok(Arc::new(out.finish()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_array_is_rows_with_their_places() {
        let mut lists = ListBuilder::new(Int16Builder::new());
        lists.values().append_value(7);
        lists.values().append_value(9);
        lists.append(true);
        lists.append(false);
        let rows = expanded(Some(&(Arc::new(lists.finish()) as ArrayRef))).unwrap();
        let rows = rows.as_list::<i32>();
        let first = rows.value(0);
        let first = first.as_struct();
        assert_eq!(first.column(0).as_primitive::<Int16Type>().values(), &[7, 9]);
        assert_eq!(first.column(1).as_primitive::<Int32Type>().values(), &[1, 2]);
        assert!(rows.is_null(1));
        assert_eq!((quoted("a_1"), quoted("A\"")), ("a_1".to_owned(), "\"A\"\"\"".to_owned()));
    }
}
