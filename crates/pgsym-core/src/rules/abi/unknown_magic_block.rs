use crate::check::{ModuleCx, Severity, Sink, declare_rule};
use crate::postgres::{MAGIC_IS_DATA, Magic};
use crate::tree::Role;

declare_rule! {
    /// What `Pg_magic_func` returns cannot be told from the file.
    ///
    /// ## What it checks
    ///
    /// Modules that export `Pg_magic_func`, whether its code leads to a magic block, and whether it is code at all. Nothing
    /// is executed: the code is read, and the data searched.
    ///
    /// ## Why it matters
    ///
    /// The server compares that block with its own. Where it is not known, nobody can say from the file whether the module
    /// loads, and the other rules on the block are silent. Data in the place of the function is an error: the server calls
    /// it, and a backend dies with SIGSEGV.
    ///
    /// ## When it fires
    ///
    /// `Pg_magic_func` was written by hand and fills the block when it runs, or chooses between two; or the name was
    /// given to a variable.
    ///
    /// ## How to fix
    ///
    /// Let `PG_MODULE_MAGIC;` write the function, or the macro of the language's framework (`pg_module_magic!()` of
    /// pgrx).
    ///
    /// ## What it cannot see
    ///
    /// What the function does when it runs: `LOAD` in a server tells.
    ///
    /// ## References
    ///
    /// PostgreSQL src/include/fmgr.h `PG_MODULE_MAGIC`; src/backend/utils/fmgr/dfmgr.c `internal_load_library`.
    pub(crate) static UNKNOWN_MAGIC_BLOCK = {
        code: "PGS306",
        name: "unknown-magic-block",
        group: Abi,
        severity: Warning,
        check: Module(check),
    }
}

fn check(cx: &ModuleCx<'_>, sink: &mut Sink<'_>) {
    let Some(Magic::Unknown(why)) = cx.postgres().map(|facts| &facts.magic) else { return };
    if cx.role() != Role::Module {
        return;
    }
    let (severity, message, help) = if why.message == MAGIC_IS_DATA {
        let message =
            "Pg_magic_func is data: the server calls it, and the backend dies with SIGSEGV.".to_owned();
        (Severity::Error, message, "let PG_MODULE_MAGIC; write the function")
    } else {
        let message = format!(
            "What Pg_magic_func returns cannot be told from the file ({why}): whether the server takes the module is not \
             known."
        );
        (Severity::Warning, message, "let PG_MODULE_MAGIC; write the function, or try LOAD in a server")
    };
    sink.report(sink.finding(cx.path(), "Pg_magic_func", message).severity(severity).help(help));
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::rules::testing::{Case, module};
    use pgsym_testkit::SharedObject;

    pub(crate) fn firing() -> Case {
        // A function that returns a number.
        Case::new().object("x.so", &SharedObject::new().needed("libc.so.6").export("Pg_magic_func"))
    }

    pub(crate) fn silent() -> Case {
        Case::new().object("x.so", &module())
    }

    #[test]
    fn an_unknown_block_is_said_to_be_unknown() {
        let finding = firing().one(&UNKNOWN_MAGIC_BLOCK);
        assert_eq!(finding.severity, Severity::Warning);
        assert_eq!(
            finding.message,
            "What Pg_magic_func returns cannot be told from the file (no magic block was found behind Pg_magic_func): \
             whether the server takes the module is not known."
        );
    }

    #[test]
    fn data_in_the_place_of_the_function_is_an_error() {
        let object = SharedObject::new().needed("libc.so.6").export_object("Pg_magic_func", 64);
        let finding = Case::new().object("x.so", &object).one(&UNKNOWN_MAGIC_BLOCK);
        assert_eq!(finding.severity, Severity::Error);
    }
}
