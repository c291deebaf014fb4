//! Why there is no set of names that the module could export, said so that its author can mend it.

use std::fmt;

use super::plan::DeclaredFunction;

/// A contradiction between the objects, the scripts and the request.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Problem {
    /// A name was asked for that nothing defines.
    NotDefined {
        /// The name.
        name: String,
        /// A defined name that differs little from it.
        similar: Option<String>,
    },
    /// A name is to be hidden that nothing defines.
    HidesNothing {
        /// The name.
        name: String,
        /// A defined name that differs little from it.
        similar: Option<String>,
    },
    /// A name is to be hidden and to be exported.
    HiddenAndExported {
        /// The name.
        name: String,
    },
    /// A name is defined with hidden visibility, so no linker exports it.
    Hidden {
        /// The name.
        name: String,
        /// The object that defines it.
        object: String,
    },
    /// Two objects define a name.
    Duplicate {
        /// The name.
        name: String,
        /// The first two objects that do.
        objects: [String; 2],
    },
    /// A `pg_finfo_` record without its function.
    FinfoWithoutFunction {
        /// The function that is missing.
        function: String,
        /// The object that defines the record.
        object: String,
    },
    /// An SQL script declares a C function that the module would not have.
    Declared {
        /// The declaration.
        declaration: DeclaredFunction,
        /// The symbol that is missing: the function or its record.
        missing: String,
        /// Whether the author hid it.
        is_hidden_by_request: bool,
    },
    /// A name that no linker list can hold.
    UnsafeName {
        /// The name.
        name: String,
    },
    /// No `Pg_magic_func` anywhere.
    NoMagic,
    /// The objects define nothing that PostgreSQL would look up.
    NothingToExport,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotDefined { name, similar } => {
                write!(f, "{name} is to be exported, but no compiled object defines it")?;
                if let Some(similar) = similar {
                    write!(f, " (there is {similar})")?;
                }
                write!(f, "; if Rust code defines it with #[unsafe(no_mangle)], declare it with rust_export")
            }
            Self::HidesNothing { name, similar } => {
                write!(f, "{name} is to be hidden, but no compiled object defines it")?;
                match similar {
                    Some(similar) => write!(f, " (there is {similar})"),
                    None => Ok(()),
                }
            }
            Self::HiddenAndExported { name } => {
                write!(f, "{name} is to be hidden and to be exported; say one of them")
            }
            Self::Hidden { name, object } => write!(
                f,
                "{name} has hidden visibility in {object}, so no linker can export it; \
                 mark it PGDLLEXPORT or compile with -fvisibility=default"
            ),
            Self::Duplicate { name, objects: [first, second] } => {
                write!(f, "{name} is defined in {first} and again in {second}; keep one definition")
            }
            Self::FinfoWithoutFunction { function, object } => write!(
                f,
                "{object} has PG_FUNCTION_INFO_V1({function}), but no compiled object defines {function}; \
                 define it, or declare it with rust_export if Rust code does"
            ),
            Self::Declared { declaration: DeclaredFunction { symbol, script, line }, missing, .. }
                if missing != symbol =>
            {
                write!(
                    f,
                    "{script}:{line} declares the C function {symbol}, which has no {missing}; \
                     add PG_FUNCTION_INFO_V1({symbol});"
                )
            }
            Self::Declared { declaration, missing, is_hidden_by_request } => {
                let DeclaredFunction { script, line, .. } = declaration;
                write!(f, "{script}:{line} declares the C function {missing}, ")?;
                if *is_hidden_by_request {
                    write!(f, "which is to stay hidden; CREATE FUNCTION would fail")
                } else {
                    write!(
                        f,
                        "which no compiled object defines; define it, or declare it with rust_export \
                         if Rust code does"
                    )
                }
            }
            Self::UnsafeName { name } => {
                write!(
                    f,
                    "{name:?} cannot stand in a linker's list: only ASCII letters, digits, _ . and $ can"
                )
            }
            Self::NoMagic => write!(
                f,
                "no compiled object defines Pg_magic_func, so the server would refuse the module; write \
                 PG_MODULE_MAGIC; in one C file, or declare it with rust_export if Rust code has it"
            ),
            Self::NothingToExport => write!(
                f,
                "the compiled objects define nothing that PostgreSQL looks up: no PG_MODULE_MAGIC, no _PG_init, \
                 no PG_FUNCTION_INFO_V1"
            ),
        }
    }
}
