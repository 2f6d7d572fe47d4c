//! The functions of pg_catalog: what clients ask of any server, answered for this one.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Int32Array, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int32Type};
use datafusion::common::ScalarValue;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{ColumnarValue, ScalarUDF, Signature, SimpleScalarUDF, TypeSignature, Volatility};
use datafusion::prelude::SessionContext;
use datafusion_pg_catalog::pg_catalog::create_current_schema_udf;
use datafusion_pg_catalog::pg_catalog::generate_series_arg_coercion::CoerceIntArgsToBigInt;
use datafusion_pg_catalog::pg_catalog::{array_bounds_udf, quote_ident_udf};
use pgwire::api::Type;

use super::schema::PgCatalog;
use super::{server, shapes, sleep, type_of};
use crate::error::Error;
use crate::wire::session::notify;
use crate::wire::value::column_types::{giving, null_of};
use crate::wire::value::{columns, typed};

/// What version() says: clients read the number behind the name.
const VERSION: &str = concat!("PostgreSQL 16.4 (framesql ", env!("CARGO_PKG_VERSION"), ")");

/// Whether objects are found without their schema: there is nothing that hides another.
const VISIBLE: [&str; 12] = [
    "pg_function_is_visible",
    "pg_type_is_visible",
    "pg_operator_is_visible",
    "pg_opclass_is_visible",
    "pg_opfamily_is_visible",
    "pg_collation_is_visible",
    "pg_conversion_is_visible",
    "pg_ts_config_is_visible",
    "pg_ts_dict_is_visible",
    "pg_ts_parser_is_visible",
    "pg_ts_template_is_visible",
    "pg_statistics_obj_is_visible",
];

/// What every user may: call functions and name types.
const ALLOWED: [&str; 3] = ["has_function_privilege", "has_language_privilege", "has_type_privilege"];

/// Texts of things that framesql has none of: triggers, rules, partitions, defaults.
const NOTHING: [&str; 11] = [
    "pg_get_function_sqlbody",
    "pg_tablespace_location",
    "pg_last_wal_receive_lsn",
    "pg_last_wal_replay_lsn",
    "pg_last_xact_replay_timestamp",
    "pg_stat_get_backend_idset",
    "pg_get_triggerdef",
    "pg_get_ruledef",
    "pg_get_partkeydef",
    "pg_get_serial_sequence",
    "pg_get_statisticsobjdef_columns",
];

/// Sizes and counts of what is not kept in files of tables.
const ZERO: [&str; 8] = [
    "pg_relation_size",
    "pg_table_size",
    "pg_indexes_size",
    "pg_total_relation_size",
    "pg_database_size",
    "pg_tablespace_size",
    "pg_stat_get_numscans",
    "pg_my_temp_schema",
];

/// Registers them; those of DataFusion with the same name give way.
pub(super) fn register(context: &SessionContext, catalog: &Arc<PgCatalog>, pid: i32) {
    for name in ["current_database", "current_catalog"] {
        context.register_udf(giving(constant(name, ScalarValue::from(catalog.database.as_str())), Type::NAME));
    }
    for name in ["current_user", "session_user", "user"] {
        context.register_udf(giving(constant(name, ScalarValue::from(catalog.user.as_str())), Type::NAME));
    }
    let held = Arc::clone(catalog);
    let owner = of_oid("pg_get_userbyid", DataType::Utf8, move |oids| {
        let name = |oid: i32| held.role_name(oid).unwrap_or_else(|| format!("unknown (OID={oid})"));
        text(oids.map(|oid| oid.map(name)))
    });
    context.register_udf(giving(owner, Type::NAME));
    context.register_udf(constant("version", ScalarValue::from(VERSION)));
    context.register_udf(giving(constant("getdatabaseencoding", ScalarValue::from("UTF8")), Type::NAME));
    context.register_udf(giving(constant("pg_client_encoding", ScalarValue::from("UTF8")), Type::NAME));
    context.register_udf(constant("pg_backend_pid", ScalarValue::from(pid)));
    for name in ["pg_is_in_recovery", "pg_is_other_temp_schema", "pg_relation_is_publishable", "pg_is_wal_replay_paused"] {
        context.register_udf(constant(name, ScalarValue::from(false)));
    }
    for name in VISIBLE.into_iter().chain(ALLOWED) {
        context.register_udf(constant(name, ScalarValue::from(true)));
    }
    for name in NOTHING {
        context.register_udf(constant(name, ScalarValue::Utf8(None)));
    }
    // Nothing is ever locked, and nobody waits for another.
    let nobody = ScalarValue::List(ScalarValue::new_list_nullable(&[], &DataType::Int32));
    context.register_udf(constant("pg_blocking_pids", nobody));
    context.register_udf(giving(constant("pg_advisory_unlock_all", ScalarValue::from("")), Type::VOID));
    context.register_udf(null_of());
    for name in ZERO {
        context.register_udf(constant(name, ScalarValue::from(0i64)));
    }
    let held = Arc::clone(catalog);
    context.register_udf(of_oid("pg_table_is_visible", DataType::Boolean, move |oids| {
        Arc::new(oids.map(|oid| oid.map(|oid| held.visible(oid))).collect::<BooleanArray>())
    }));
    let held = Arc::clone(catalog);
    context.register_udf(of_oid("pg_get_viewdef", DataType::Utf8, move |oids| text(oids.map(|oid| held.definition(oid?)))));
    for name in [REGCLASS_OID, "to_regclass"] {
        let held = Arc::clone(catalog);
        let answer = move |arguments: &[ColumnarValue]| -> Result<ColumnarValue> {
            let arrays = ColumnarValue::values_to_arrays(arguments)?;
            let Some(first) = arrays.first() else { return datafusion::common::exec_err!("a name is needed") };
            let texts = cast(first, &DataType::Utf8)?;
            let oid = |text: &str| match held.relation_oid(text) {
                // What is only tried is NULL where a cast errs.
                Err(Error::NotFound { .. }) if name == "to_regclass" => Ok(None),
                found => found.map(Some),
            };
            let oids = texts.as_string::<i32>().iter().map(|text| text.map_or(Ok(None), &oid));
            let oids = oids.collect::<crate::error::Result<Int32Array>>().map_err(DataFusionError::from)?;
            Ok(ColumnarValue::Array(Arc::new(oids)))
        };
        let signature = Signature::new(TypeSignature::Any(1), Volatility::Stable);
        context.register_udf(SimpleScalarUDF::new_with_signature(name, signature, DataType::Int32, Arc::new(answer)).into());
    }
    let held = Arc::clone(catalog);
    context.register_udf(of_oid(REGCLASS_TEXT, DataType::Utf8, move |oids| {
        text(oids.map(|oid| oid.map(|oid| held.relation_name(oid).unwrap_or_else(|| oid.to_string()))))
    }));
    let held = Arc::clone(catalog);
    context.register_udf(of_oid(REGNAMESPACE_TEXT, DataType::Utf8, move |oids| {
        let namespaces = held.namespaces();
        let name = |oid: i32| namespaces.iter().find(|(known, _)| *known == oid).map_or_else(|| oid.to_string(), |(_, name)| name.clone());
        text(oids.map(|oid| oid.map(name)))
    }));
    context.register_udf(sleep::udf());
    server::register(context, catalog.life());
    for udf in typed::udfs().into_iter().chain(type_of::udfs()).chain(shapes::udfs(catalog)) {
        context.register_udf(udf);
    }
    context.register_udf(giving(create_current_schema_udf(), Type::NAME));
    context.register_udf(giving(constant("pg_encoding_to_char", ScalarValue::from("UTF8")), Type::NAME));
    let held = Arc::clone(catalog);
    let notify = move |arguments: &[ColumnarValue]| -> Result<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(arguments)?;
        let [channels, payloads] = arrays.as_slice() else {
            return datafusion::common::exec_err!("pg_notify() needs a channel and a payload");
        };
        let (channels, payloads) = (cast(channels, &DataType::Utf8)?, cast(payloads, &DataType::Utf8)?);
        for (channel, payload) in channels.as_string::<i32>().iter().zip(payloads.as_string::<i32>()) {
            let (channel, payload) = (channel.unwrap_or_default().to_owned(), payload.unwrap_or_default().to_owned());
            notify::check(&channel, &payload).map_err(DataFusionError::from)?;
            held.channels().say(&notify::Message { pid, channel, payload });
        }
        Ok(ColumnarValue::Array(Arc::new(StringArray::from(vec![""; channels.len()]))))
    };
    let signature = Signature::new(TypeSignature::Any(2), Volatility::Volatile);
    let notify = SimpleScalarUDF::new_with_signature("pg_notify", signature, DataType::Utf8, Arc::new(notify));
    context.register_udf(giving(notify.into(), Type::VOID));
    context.register_udf(quote_ident_udf::create_quote_ident_udf());
    context.register_udf(quote_ident_udf::create_parse_ident_udf());
    context.register_udf(array_bounds_udf::create_array_upper_udf());
    context.register_udf(array_bounds_udf::create_array_lower_udf());
    CoerceIntArgsToBigInt::widen(context);
}

/// What `'name'::regclass` becomes.
pub(in crate::wire) const REGCLASS_OID: &str = "pg_regclass_oid";

/// What `'name'::regtype` becomes.
pub(in crate::wire) const REGTYPE_OID: &str = "pg_regtype_oid";

/// What stands for `aclexplode`, for an array of oids, and for `x::regtype[]`.
pub(in crate::wire) const ACL_ITEMS: &str = "pg_acl_items";
pub(in crate::wire) const OID_ARRAY: &str = "pg_oid_array";
pub(in crate::wire) const REGTYPES_TEXT: &str = "pg_regtypes_text";

/// What `oid::regclass` and `oid::regnamespace` become where they are shown.
pub(in crate::wire) const REGCLASS_TEXT: &str = "pg_regclass_text";
pub(in crate::wire) const REGNAMESPACE_TEXT: &str = "pg_regnamespace_text";

fn any_arguments() -> Signature {
    Signature::one_of(vec![TypeSignature::Nullary, TypeSignature::VariadicAny], Volatility::Stable)
}

/// A function that gives the same whatever it is asked.
pub(in crate::wire) fn constant(name: &str, value: ScalarValue) -> ScalarUDF {
    let data_type = value.data_type();
    let answer = move |_: &[ColumnarValue]| Ok(ColumnarValue::Scalar(value.clone()));
    SimpleScalarUDF::new_with_signature(name, any_arguments(), data_type, Arc::new(answer)).into()
}

/// A function of a number; what may follow it changes nothing.
fn of_oid(
    name: &str,
    data_type: DataType,
    answer: impl Fn(&mut dyn Iterator<Item = Option<i32>>) -> ArrayRef + Send + Sync + 'static,
) -> ScalarUDF {
    let answer = move |arguments: &[ColumnarValue]| -> Result<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(arguments)?;
        let Some(first) = arrays.first() else { return datafusion::common::exec_err!("a number is needed") };
        let oids = cast(first, &DataType::Int32)?;
        let oids = oids.as_primitive::<Int32Type>();
        Ok(ColumnarValue::Array(answer(&mut oids.iter())))
    };
    let signature = Signature::new(TypeSignature::VariadicAny, Volatility::Volatile);
    SimpleScalarUDF::new_with_signature(name, signature, data_type, Arc::new(answer)).into()
}

fn text(values: impl Iterator<Item = Option<String>>) -> ArrayRef {
    Arc::new(values.collect::<StringArray>())
}

/// A type's name in SQL, as Postgres prints it; `???` for what it does not know.
pub(in crate::wire) fn format_type(oid: i32) -> String {
    if oid == 0 {
        return "-".to_owned();
    }
    let Some(data_type) = Type::from_oid(oid as u32) else { return "???".to_owned() };
    if let Some(element) = columns::element_of(&data_type).filter(|_| data_type.name().starts_with('_')) {
        return format!("{}[]", format_type(element.oid() as i32));
    }
    let name = match data_type {
        Type::BOOL => "boolean",
        Type::CHAR => "\"char\"",
        Type::INT2 => "smallint",
        Type::INT4 => "integer",
        Type::INT8 => "bigint",
        Type::FLOAT4 => "real",
        Type::FLOAT8 => "double precision",
        Type::VARCHAR => "character varying",
        Type::BPCHAR => "character",
        Type::TIME => "time without time zone",
        Type::TIMETZ => "time with time zone",
        Type::TIMESTAMP => "timestamp without time zone",
        Type::TIMESTAMPTZ => "timestamp with time zone",
        Type::VARBIT => "bit varying",
        // Words of SQL are quoted.
        Type::ANY => "\"any\"",
        ref other => match other.name().strip_prefix('_') {
            Some(element) => return format!("{element}[]"),
            None => other.name(),
        },
    };
    name.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_have_their_names_in_sql() {
        for (data_type, name) in [
            (Type::TIMESTAMPTZ, "timestamp with time zone"),
            (Type::INT8_ARRAY, "bigint[]"),
            (Type::JSONB_ARRAY, "jsonb[]"),
            (Type::NAME, "name"),
            (Type::OID_ARRAY, "oid[]"),
        ] {
            assert_eq!(format_type(data_type.oid() as i32), name);
        }
        assert_eq!(format_type(1), "???");
    }
}
