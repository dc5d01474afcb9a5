//! GenericDialect, read in time that does not double with every level of nesting.

use std::any::TypeId;

use datafusion::sql::sqlparser::dialect::{Dialect, GenericDialect};
use datafusion::sql::sqlparser::keywords::{Keyword, RESERVED_FOR_IDENTIFIER};

/// [`GenericDialect`], but that a word that begins an expression is no name. The parser reads what follows such a word a
/// second time, as if the word were a name, when it found a mistake there: with n of them within each other, 2^n times.
#[derive(Debug)]
pub(super) struct CohortDialect;

/// The words that begin an expression, besides those that are no names anyway.
const NO_NAMES: &[Keyword] = &[
    Keyword::CASE,
    Keyword::CAST,
    Keyword::CEIL,
    Keyword::CONVERT,
    Keyword::EXTRACT,
    Keyword::FLOOR,
    Keyword::NOT,
    Keyword::OVERLAY,
    Keyword::SAFE_CAST,
    Keyword::SUBSTR,
    Keyword::SUBSTRING,
    Keyword::TRY_CAST,
    Keyword::TRY_CONVERT,
];

macro_rules! like_generic {
    ($($question:ident),* $(,)?) => {
        impl Dialect for CohortDialect {
            fn dialect(&self) -> TypeId {
                TypeId::of::<GenericDialect>()
            }

            fn is_reserved_for_identifier(&self, word: Keyword) -> bool {
                NO_NAMES.contains(&word) || RESERVED_FOR_IDENTIFIER.contains(&word)
            }

            fn is_delimited_identifier_start(&self, character: char) -> bool {
                GenericDialect.is_delimited_identifier_start(character)
            }

            fn is_identifier_start(&self, character: char) -> bool {
                GenericDialect.is_identifier_start(character)
            }

            fn is_identifier_part(&self, character: char) -> bool {
                GenericDialect.is_identifier_part(character)
            }

            $(fn $question(&self) -> bool {
                GenericDialect.$question()
            })*
        }
    };
}

like_generic! {
    allow_extract_custom,
    allow_extract_single_quotes,
    support_map_literal_syntax,
    supports_array_join_syntax,
    supports_array_typedef_with_brackets,
    supports_asc_desc_in_column_definition,
    supports_bitwise_shift_operators,
    supports_comma_separated_set_assignments,
    supports_comma_separated_trim,
    supports_comment_on,
    supports_comment_optimizer_hint,
    supports_connect_by,
    supports_constraint_keyword_without_name,
    supports_create_index_with_clause,
    supports_create_view_comment_syntax,
    supports_cte_without_as,
    supports_data_type_signed_suffix,
    supports_detach,
    supports_dictionary_syntax,
    supports_empty_projections,
    supports_explain_with_utility_options,
    supports_extract_comma_syntax,
    supports_filter_during_aggregation,
    supports_from_first_select,
    supports_group_by_expr,
    supports_group_by_with_modifier,
    supports_install,
    supports_interpolate,
    supports_interval_options,
    supports_key_column_option,
    supports_left_associative_joins_without_parens,
    supports_limit_by,
    supports_limit_comma,
    supports_load_extension,
    supports_match_against,
    supports_match_recognize,
    supports_multiline_comment_hints,
    supports_named_fn_args_with_assignment_operator,
    supports_nested_comments,
    supports_optimize_table,
    supports_parens_around_table_factor,
    supports_parenthesized_set_variables,
    supports_partition_by_after_order_by,
    supports_pipe_operator,
    supports_prewhere,
    supports_projection_trailing_commas,
    supports_quote_delimited_string,
    supports_select_format,
    supports_select_item_multi_column_alias,
    supports_select_wildcard_except,
    supports_select_wildcard_exclude,
    supports_select_wildcard_ilike,
    supports_select_wildcard_rename,
    supports_select_wildcard_replace,
    supports_set_names,
    supports_settings,
    supports_start_transaction_modifier,
    supports_string_escape_constant,
    supports_struct_literal,
    supports_try_convert,
    supports_unicode_string_literal,
    supports_update_order_by,
    supports_user_host_grantee,
    supports_values_as_table_factor,
    supports_window_clause_named_window_reference,
    supports_window_function_null_treatment_arg,
    supports_with_fill,
    supports_xml_expressions,
}
