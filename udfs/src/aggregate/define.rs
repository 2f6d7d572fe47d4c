//! The parts of AggregateUDFImpl that all aggregates share: name, signature, coercion, state, documentation.

/// `accumulator` is a type with `Default`, or a function of the accumulator's arguments; `state` the types of what it keeps. With `rewritten`
/// the call is made another one when the query is optimised, as its arguments are to be computed below the aggregate.
macro_rules! sql_aggregate {
    (
        $type:ident, $name:literal, arguments: [$($kind:ident),+], required: $required:literal, returns: $returns:expr,
        state: [$($state:expr),+], accumulator: $accumulator:expr, $(rewritten: $rewritten:expr,)?
        $(syntax: $syntax:literal, description: $description:literal, example: $example:literal)?
    ) => {
        /// The aggregate.
        #[derive(Debug, PartialEq, Eq, Hash)]
        pub(super) struct $type(datafusion_expr::Signature);

        impl Default for $type {
            fn default() -> Self {
                $type(datafusion_expr::Signature::user_defined(datafusion_expr::Volatility::Immutable))
            }
        }

        impl datafusion_expr::AggregateUDFImpl for $type {
            fn name(&self) -> &str {
                $name
            }

            fn signature(&self) -> &datafusion_expr::Signature {
                &self.0
            }

            fn coerce_types(&self, given: &[arrow::datatypes::DataType]) -> datafusion_common::Result<Vec<arrow::datatypes::DataType>> {
                $crate::function::call::coerce_exactly($name, given, &[$($crate::function::call::Kind::$kind),+], $required)
            }

            fn return_type(&self, _: &[arrow::datatypes::DataType]) -> datafusion_common::Result<arrow::datatypes::DataType> {
                Ok($returns)
            }

            fn accumulator(
                &self,
                arguments: datafusion_expr::function::AccumulatorArgs,
            ) -> datafusion_common::Result<Box<dyn datafusion_expr::Accumulator>> {
                if arguments.is_distinct {
                    return datafusion_common::not_impl_err!("DISTINCT in {}", $name);
                }
                let make: fn() -> datafusion_common::Result<Box<dyn datafusion_expr::Accumulator>> = $accumulator;
                make()
            }

            fn state_fields(
                &self,
                arguments: datafusion_expr::function::StateFieldsArgs,
            ) -> datafusion_common::Result<Vec<arrow::datatypes::FieldRef>> {
                let types = [$($state),+];
                let field = |(at, data_type): (usize, arrow::datatypes::DataType)| {
                    let name = datafusion_expr::utils::format_state_name(arguments.name, &format!("state{at}"));
                    std::sync::Arc::new(arrow::datatypes::Field::new(name, data_type, true))
                };
                Ok(types.into_iter().enumerate().map(field).collect())
            }

            $(fn simplify(&self) -> Option<datafusion_expr::function::AggregateFunctionSimplification> {
                Some(Box::new(|call, _| $rewritten(call)))
            })?

            $(fn documentation(&self) -> Option<&datafusion_expr::Documentation> {
                static DOCUMENTATION: std::sync::LazyLock<datafusion_expr::Documentation> = std::sync::LazyLock::new(|| {
                    datafusion_expr::Documentation::builder(datafusion_expr::DocSection::default(), $description, $syntax)
                        .with_sql_example($example)
                        .build()
                });
                Some(&DOCUMENTATION)
            })?
        }
    };
}
pub(super) use sql_aggregate;
