//! Types of Postgres that Arrow does not tell apart: a name, a varchar and a tree of nodes are all text, and their fields say which they are.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use arrow::datatypes::{DataType, Field, FieldRef, Schema};
use arrow_pg::datatypes::PG_OID_ALIAS_KEY;
use datafusion::common::exec_err;
use datafusion::error::Result;
use datafusion::logical_expr::{ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};
use datafusion::scalar::ScalarValue;
use pgwire::api::Type;

use super::parameters::arrow_type;

/// The key under which a field says which type of Postgres it is, by its oid.
const TYPE_KEY: &str = "framesql.type";

/// What a column of no rows is computed by: NULL of the type with that oid.
pub(in crate::wire) const NULL_OF: &str = "pg_null_of";

/// Columns of the catalogue of the type "char": one letter, which some drivers tell from a text of one.
const LETTERS: &str = "aggfinalmodify aggkind aggmfinalmodify amoppurpose amtype attalign attcompression attgenerated attidentity attstorage \
     castcontext castmethod collprovider confdeltype confmatchtype confupdtype contype datlocprovider defaclobjtype deptype \
     ev_enabled ev_type evtenabled oprkind partstrat polcmd privtype prokind proparallel provolatile relkind relpersistence \
     relreplident srsubstate subtwophasestate tgenabled typalign typcategory typdelim typstorage typtype";

/// Those of the type name, and of information_schema those of the domain sql_identifier, which is one.
const IDENTIFIERS: &str = "action_reference_new_row action_reference_new_table action_reference_old_row action_reference_old_table amname attname \
     catalog_name cfgname character_repertoire character_set_catalog character_set_name character_set_schema collation_catalog \
     collation_name collation_schema collname column_name conname constraint_catalog constraint_name constraint_schema database \
     datname default_character_set_catalog default_character_set_name default_character_set_schema default_collate_catalog \
     default_collate_name default_collate_schema dictname domain_catalog domain_name domain_schema dtd_identifier enumlabel \
     event_object_catalog event_object_schema event_object_table evtevent evtname extname fdwname form_of_use grantee grantor \
     indexname lanname matviewname matviewowner module_catalog module_name module_schema nspname opcname opfname oprname owner \
     parameter_name plugin polname proname prsname pubname relname result_cast_char_set_catalog result_cast_char_set_name \
     result_cast_char_set_schema result_cast_collation_catalog result_cast_collation_name result_cast_collation_schema \
     result_cast_dtd_identifier result_cast_scope_catalog result_cast_scope_name result_cast_scope_schema \
     result_cast_type_udt_catalog result_cast_type_udt_name result_cast_type_udt_schema role_name rolname routine_catalog \
     routine_name routine_schema rulename schema_name schema_owner schemaname scope_catalog scope_name scope_schema \
     self_referencing_column_name sequence_catalog sequence_name sequence_schema slot_name spcname specific_catalog specific_name \
     specific_schema srvname stxname subname subslotname table_catalog table_name table_schema tablename tableowner tablespace tgname \
     tgnewtable tgoldtable tmplname to_sql_specific_catalog to_sql_specific_name to_sql_specific_schema trigger_catalog trigger_name \
     trigger_schema type_udt_catalog type_udt_name type_udt_schema typname udt_catalog udt_name udt_schema unique_constraint_catalog \
     unique_constraint_name unique_constraint_schema usename user_defined_type_catalog user_defined_type_name \
     user_defined_type_schema viewname viewowner";

/// Those of the domains character_data and yes_or_no of information_schema, which are varchar.
const WORDS: &str = "action_condition action_orientation action_statement action_timing as_locator check_clause check_option column_default \
     commit_action constraint_type cycle_option data_type delete_rule domain_default enforced event_manipulation external_language \
     external_name generation_expression identity_cycle identity_generation identity_increment identity_maximum identity_minimum \
     identity_start increment initially_deferred interval_type is_deferrable is_deterministic is_generated is_grantable is_identity \
     is_implicitly_invocable is_insertable_into is_null_call is_nullable is_result is_self_referencing is_trigger_deletable \
     is_trigger_insertable_into is_trigger_updatable is_typed is_udt_dependent is_updatable is_user_defined_cast match_option \
     maximum_value minimum_value new_savepoint_level nulls_distinct parameter_default parameter_mode parameter_style privilege_type \
     reference_generation result_cast_as_locator result_cast_from_data_type result_cast_interval_type routine_body routine_definition \
     routine_type schema_level_routine security_type sql_data_access sql_path start_value table_type update_rule view_definition \
     with_hierarchy";

/// Those that keep an expression as a tree.
const TREES: &str = "adbin conbin ev_action ev_qual indexprs indpred partexprs polqual polwithcheck proargdefaults prosqlbody prqual relpartbound \
     stxexprs tgqual typdefaultbin";

/// Those that list privileges.
const PRIVILEGES: &str = "attacl datacl defaclacl fdwacl initprivs lanacl lomacl nspacl proacl relacl spcacl srvacl typacl";

/// Those that name a transaction.
const XIDS: &str = "backend_xid backend_xmin catalog_xmin datfrozenxid datminmxid relfrozenxid relminmxid transaction transactionid xmin";

/// Those that are arrays, and vectors, which are the old kind of arrays.
const ARRAYS: [(Type, &str); 6] = [
    (Type::OID_ARRAY, "conexclop conffeqop conpfeqop conppeqop extconfig polroles proallargtypes protrftypes"),
    (
        Type::TEXT_ARRAY,
        "evttags extcondition fdwoptions ftoptions proargnames proconfig setconfig spcoptions srvoptions subpublications umoptions",
    ),
    (Type::CHAR_ARRAY, "proargmodes stxkind"),
    (Type::INT2_ARRAY, "confdelsetcols confkey conkey"),
    (Type::INT2_VECTOR, "indkey indoption partattrs prattrs stxkeys tgattr"),
    (Type::OID_VECTOR, "indclass indcollation partclass partcollation proargtypes"),
];

/// The type that a column of the catalogue has by its name: in PostgreSQL those of one name are of one type, where both are texts.
fn of_name(name: &str) -> Option<&'static Type> {
    static TYPES: OnceLock<HashMap<&str, Type>> = OnceLock::new();
    let all = || {
        let lists = [
            (LETTERS, Type::CHAR),
            (IDENTIFIERS, Type::NAME),
            (WORDS, Type::VARCHAR),
            (TREES, Type::PG_NODE_TREE),
            (PRIVILEGES, Type::ACLITEM_ARRAY),
            (XIDS, Type::XID),
            ("client_addr", Type::INET),
        ];
        let lists = lists.into_iter().chain(ARRAYS.map(|(data_type, names)| (names, data_type)));
        lists.flat_map(|(names, data_type)| names.split_whitespace().map(move |name| (name, data_type.clone()))).collect()
    };
    TYPES.get_or_init(all).get(name)
}

/// The field of a column of the catalogue, which says its type.
pub(in crate::wire) fn marked(field: Field) -> Field {
    match of_name(field.name()).filter(|data_type| holds(field.data_type(), data_type)) {
        Some(data_type) => with_type(field, data_type),
        None => field,
    }
}

/// The schema of a relation of the catalogue with such fields.
pub(in crate::wire) fn marked_schema(schema: &Schema) -> Schema {
    Schema::new(schema.fields().iter().map(|field| marked(field.as_ref().clone())).collect::<Vec<_>>())
}

/// The field, which says that it is of that type.
pub(in crate::wire) fn with_type(field: Field, data_type: &Type) -> Field {
    let mut metadata = field.metadata().clone();
    metadata.insert(TYPE_KEY.to_owned(), data_type.oid().to_string());
    field.with_metadata(metadata)
}

/// The type that a field says it is. A cast to another type of Arrow keeps what the field said, and is no longer of it.
pub(in crate::wire) fn of_field(field: &Field) -> Option<Type> {
    let data_type = Type::from_oid(field.metadata().get(TYPE_KEY)?.parse().ok()?)?;
    holds(field.data_type(), &data_type).then_some(data_type)
}

/// Whether values of that type are kept so. The arrays of what was brought are kept as they are written.
pub(in crate::wire) fn holds(arrow: &DataType, data_type: &Type) -> bool {
    let kept = arrow_type(data_type);
    match arrow {
        DataType::Utf8 | DataType::Utf8View | DataType::LargeUtf8 => matches!(kept, DataType::Utf8 | DataType::List(_)),
        DataType::List(_) => matches!(kept, DataType::List(_)) || matches!(*data_type, Type::INT2_VECTOR | Type::OID_VECTOR),
        arrow => *arrow == kept,
    }
}

/// The field of a column without a value of that type.
fn field_of(data_type: &Type) -> Field {
    let field = Field::new(NULL_OF, arrow_type(data_type), true);
    match *data_type {
        Type::OID => field.with_metadata(HashMap::from([(PG_OID_ALIAS_KEY.to_owned(), "oid".to_owned())])),
        _ if super::columns::of_field(&field) == *data_type => field,
        _ => with_type(field, data_type),
    }
}

/// `pg_null_of(oid)`: NULL of that type.
pub(in crate::wire) fn null_of() -> ScalarUDF {
    ScalarUDF::new_from_impl(NullOf { signature: Signature::any(1, Volatility::Immutable) })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct NullOf {
    signature: Signature,
}

impl ScalarUDFImpl for NullOf {
    fn name(&self) -> &str {
        NULL_OF
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        exec_err!("{NULL_OF}() has the type that its argument names")
    }

    fn return_field_from_args(&self, arguments: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let oid = match arguments.scalar_arguments.first() {
            Some(Some(ScalarValue::Int64(Some(oid)))) => u32::try_from(*oid).ok(),
            _ => None,
        };
        Ok(Arc::new(field_of(&oid.and_then(Type::from_oid).unwrap_or(Type::TEXT))))
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        Ok(ColumnarValue::Scalar(ScalarValue::try_from(arguments.return_field.data_type())?))
    }
}

/// A function whose values are of that type.
pub(in crate::wire) fn giving(function: ScalarUDF, data_type: Type) -> ScalarUDF {
    ScalarUDF::new_from_impl(Giving { function, data_type })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Giving {
    function: ScalarUDF,
    data_type: Type,
}

impl ScalarUDFImpl for Giving {
    fn name(&self) -> &str {
        self.function.name()
    }

    fn aliases(&self) -> &[String] {
        self.function.aliases()
    }

    fn signature(&self) -> &Signature {
        self.function.signature()
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        self.function.return_type(arguments)
    }

    fn return_field_from_args(&self, arguments: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let field = self.function.return_field_from_args(arguments)?;
        Ok(Arc::new(with_type(field.as_ref().clone(), &self.data_type)))
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        self.function.invoke_with_args(arguments)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::value::columns;

    #[test]
    fn a_column_of_the_catalogue_has_its_type() {
        for (name, data_type) in [
            ("relname", Type::NAME),
            ("table_name", Type::NAME),
            ("relkind", Type::CHAR),
            ("is_nullable", Type::VARCHAR),
            ("conbin", Type::PG_NODE_TREE),
            ("description", Type::TEXT),
        ] {
            assert_eq!(columns::of_field(&marked(Field::new(name, DataType::Utf8, true))), data_type, "{name}");
        }
        assert_eq!(columns::of_field(&marked(Field::new("relname", DataType::Int32, true))), Type::INT4);
        assert_eq!(columns::of_field(&marked(Field::new("relname", DataType::Utf8, true)).with_data_type(DataType::Int64)), Type::INT8);
    }

    #[test]
    fn null_is_of_any_type() {
        for data_type in
            [Type::BOOL, Type::OID, Type::NAME, Type::CHAR, Type::TEXT_ARRAY, Type::REGPROC, Type::OID_ARRAY, Type::VOID, Type::JSON]
        {
            assert_eq!(columns::of_field(&field_of(&data_type)), data_type, "{data_type}");
        }
    }
}
