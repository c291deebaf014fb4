//! The SQL of extension scripts: cut into tokens and statements as the server does, and read as far as C
//! functions go. Nothing here recurses, allocates by what a number in the text says, or takes more than a
//! linear walk, because scripts come from anybody; that is also why no general SQL parser reads them.

mod arguments;
mod attributes;
mod change;
mod cursor;
mod dialect;
mod dynamic;
mod error;
mod keywords;
mod lexer;
mod literal;
mod operator;
mod options;
mod parameters;
mod placeholder;
mod refused;
mod result;
mod routine;
mod scan;
mod split;
mod types;

pub use arguments::{Arguments, Parameter};
pub use change::{Alteration, Change, DropBehavior, NewType, ObjectName, RoutineName, TypeFunction};
pub use dialect::{Dialect, StandardConformingStrings};
pub use dynamic::DynamicRoutine;
pub use error::SyntaxError;
pub use lexer::{Lexer, Open, Token, TokenKind};
pub use literal::{LiteralError, name_value, string_value};
pub use operator::NewOperator;
pub use routine::{Routine, RoutineError, RoutineKind, read_routine};
pub use scan::{Declaration, ScriptFacts, scan_script};
pub use split::{Statement, Statements};
pub use types::{SYSTEM, TypeKey};
