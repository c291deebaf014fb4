//! The key words that cannot be every name (src/include/parser/kwlist.h). A word in no category of these can be any name, and
//! so can a quoted one; the ends of gram.y say where words of each category can stand.

use std::sync::LazyLock;

use super::dialect::Dialect;
use crate::hash::HashMap;

/// What a key word can be besides itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Category {
    /// `col_name_keyword`: the name of a column or a table, of no function, type or parameter.
    Column,
    /// `type_func_name_keyword`: the name of a function, a type or a parameter, not of a table or a schema.
    Function,
    /// `reserved_keyword`: nothing but a label.
    Reserved,
}

/// The category of an unquoted word; words that became key words after 13 have it where the server is known to know them.
pub(super) fn category(word: &[u8], dialect: Dialect) -> Option<Category> {
    let mut lower = [0; LONGEST];
    let lower = lower.get_mut(..word.len())?;
    lower.copy_from_slice(word);
    lower.make_ascii_lowercase();
    let &(since, category) = WORDS.get(&*lower)?;
    since.is_none_or(|major| dialect.is_since(major)).then_some(category)
}

/// Every one of them, with the major that it came with where not all have it. Each word of a function's head is looked up.
static WORDS: LazyLock<HashMap<&[u8], (Option<u32>, Category)>> = LazyLock::new(|| {
    let always =
        [(&COLUMN[..], Category::Column), (&FUNCTION, Category::Function), (&RESERVED, Category::Reserved)];
    let always = always
        .into_iter()
        .flat_map(|(words, category)| words.iter().map(move |word| (*word, None, category)));
    let all = always.chain(LATER.into_iter().map(|(word, since, category)| (word, Some(since), category)));
    all.map(|(word, since, category)| (word.as_bytes(), (since, category))).collect()
});

/// Bytes of the longest of them.
const LONGEST: usize = 17;

/// Those of all majors since 13, sorted.
const COLUMN: [&str; 51] = [
    "between",
    "bigint",
    "bit",
    "boolean",
    "char",
    "character",
    "coalesce",
    "dec",
    "decimal",
    "exists",
    "extract",
    "float",
    "greatest",
    "grouping",
    "inout",
    "int",
    "integer",
    "interval",
    "least",
    "national",
    "nchar",
    "none",
    "normalize",
    "nullif",
    "numeric",
    "out",
    "overlay",
    "position",
    "precision",
    "real",
    "row",
    "setof",
    "smallint",
    "substring",
    "time",
    "timestamp",
    "treat",
    "trim",
    "values",
    "varchar",
    "xmlattributes",
    "xmlconcat",
    "xmlelement",
    "xmlexists",
    "xmlforest",
    "xmlnamespaces",
    "xmlparse",
    "xmlpi",
    "xmlroot",
    "xmlserialize",
    "xmltable",
];

const FUNCTION: [&str; 23] = [
    "authorization",
    "binary",
    "collation",
    "concurrently",
    "cross",
    "current_schema",
    "freeze",
    "full",
    "ilike",
    "inner",
    "is",
    "isnull",
    "join",
    "left",
    "like",
    "natural",
    "notnull",
    "outer",
    "overlaps",
    "right",
    "similar",
    "tablesample",
    "verbose",
];

const RESERVED: [&str; 77] = [
    "all",
    "analyse",
    "analyze",
    "and",
    "any",
    "array",
    "as",
    "asc",
    "asymmetric",
    "both",
    "case",
    "cast",
    "check",
    "collate",
    "column",
    "constraint",
    "create",
    "current_catalog",
    "current_date",
    "current_role",
    "current_time",
    "current_timestamp",
    "current_user",
    "default",
    "deferrable",
    "desc",
    "distinct",
    "do",
    "else",
    "end",
    "except",
    "false",
    "fetch",
    "for",
    "foreign",
    "from",
    "grant",
    "group",
    "having",
    "in",
    "initially",
    "intersect",
    "into",
    "lateral",
    "leading",
    "limit",
    "localtime",
    "localtimestamp",
    "not",
    "null",
    "offset",
    "on",
    "only",
    "or",
    "order",
    "placing",
    "primary",
    "references",
    "returning",
    "select",
    "session_user",
    "some",
    "symmetric",
    "table",
    "then",
    "to",
    "trailing",
    "true",
    "union",
    "unique",
    "user",
    "using",
    "variadic",
    "when",
    "where",
    "window",
    "with",
];

/// Those that came later, and with which major.
const LATER: [(&str, u32, Category); 13] = [
    ("json", 17, Category::Column),
    ("json_array", 16, Category::Column),
    ("json_arrayagg", 16, Category::Column),
    ("json_exists", 17, Category::Column),
    ("json_object", 16, Category::Column),
    ("json_objectagg", 16, Category::Column),
    ("json_query", 17, Category::Column),
    ("json_scalar", 17, Category::Column),
    ("json_serialize", 17, Category::Column),
    ("json_table", 17, Category::Column),
    ("json_value", 17, Category::Column),
    ("merge_action", 17, Category::Column),
    ("system_user", 16, Category::Reserved),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn category(word: &[u8]) -> Option<Category> {
        super::category(word, Dialect::default())
    }

    #[test]
    fn a_word_has_the_category_of_the_server() {
        assert!(COLUMN.is_sorted() && FUNCTION.is_sorted() && RESERVED.is_sorted());
        let all = COLUMN.iter().chain(&FUNCTION).chain(&RESERVED);
        assert_eq!(all.map(|word| word.len()).max(), Some(LONGEST));
        assert_eq!(category(b"Position"), Some(Category::Column));
        assert_eq!(category(b"left"), Some(Category::Function));
        assert_eq!(category(b"user"), Some(Category::Reserved));
        let of = |major| super::category(b"JSON", Dialect { major: Some(major), ..Dialect::default() });
        assert_eq!((of(16), of(17), category(b"json")), (None, Some(Category::Column), None));
        for word in ["name", "precision_", "double", "zone", "language"] {
            assert_eq!(category(word.as_bytes()), None, "{word}");
        }
    }
}
