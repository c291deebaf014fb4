use super::support::{names, on_functions};
use crate::check::{Sink, TreeCx, declare_rule};
use crate::extension::Status;
use crate::name::shown_path;
use crate::rules::evidence::count;

declare_rule! {
    /// A C function is found only in a library that its module brings.
    ///
    /// ## What it checks
    ///
    /// Which object `dlsym` takes a function, and its `pg_finfo_` record, from: the module itself, or one
    /// of its DT_NEEDED libraries.
    ///
    /// ## Why it matters
    ///
    /// It works, because `dlsym` on a handle searches the dependencies too. But the function belongs to a
    /// file that another package may replace, and when the library is a PostgreSQL module itself, it is
    /// initialised a second time under another name.
    ///
    /// ## When it fires
    ///
    /// `x.so` needs `libx-core.so`, and only the latter exports `f` and `pg_finfo_f`.
    ///
    /// ## How to fix
    ///
    /// Link the function into the module, or name the library that has it in `AS`.
    ///
    /// ## What it cannot see
    ///
    /// Whether it is meant: some projects keep one core for several modules. A module that does not load is
    /// module-does-not-load, or the business of the rules on modules: nobody looks for its functions.
    ///
    /// ## References
    ///
    /// dlsym(3); PostgreSQL src/backend/utils/fmgr/dfmgr.c `load_external_function`.
    pub(crate) static FUNCTION_THROUGH_DEPENDENCY = {
        code: "PGS613",
        name: "function-through-dependency",
        group: Catalog,
        severity: Warning,
        check: Tree(check),
    }
}

fn check(cx: &TreeCx<'_>, sink: &mut Sink<'_>) {
    for record in cx.tree().inventory().in_scope() {
        let findings = on_functions(
            sink,
            record,
            |function| matches!(function.status, Status::ThroughDependency { .. }),
            |functions| {
                let provider = functions.iter().find_map(|function| match &function.status {
                    Status::ThroughDependency { provider } => Some(shown_path(provider).to_string()),
                    _ => None,
                });
                format!(
                    "{}: from {}, not from the module: {}.",
                    count(functions.len(), "function"),
                    provider.unwrap_or_default(),
                    names(functions)
                )
            },
        );
        for (finding, _) in findings {
            sink.report(finding.help("link the functions into the module, or name the library in AS"));
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::rules::catalog::support::testing::{Extensions, case, function};
    use crate::rules::testing::{Case, library, module};

    pub(crate) fn firing() -> Case {
        case()
            .extension("", &function("f", "x"))
            .object("x.so", &module().needed("libcore.so.1").runpath("$ORIGIN"))
            .object("libcore.so.1", &library("libcore.so.1").pg_function("f"))
    }

    pub(crate) fn silent() -> Case {
        case()
            .extension("", &function("f", "x"))
            .object("x.so", &module().pg_function("f").needed("libcore.so.1").runpath("$ORIGIN"))
            .object("libcore.so.1", &library("libcore.so.1").pg_function("f"))
    }

    #[test]
    fn a_dependency_answers_for_the_module() {
        let core = library("libcore.so").pg_function("f");
        let case = case()
            .extension("", &function("f", "x"))
            .object("/pg/lib/x.so", &module().needed("libcore.so").runpath("$ORIGIN"))
            .object("/pg/lib/libcore.so", &core);
        let findings = case.run(&FUNCTION_THROUGH_DEPENDENCY);
        assert!(findings[0].message.contains("/pg/lib/libcore.so"), "{}", findings[0].message);
    }

    #[test]
    fn the_modules_own_function_wins() {
        let core = library("libcore.so").pg_function("f");
        let own = module().pg_function("f").needed("libcore.so").runpath("$ORIGIN");
        let case = case()
            .extension("", &function("f", "x"))
            .object("/pg/lib/x.so", &own)
            .object("/pg/lib/libcore.so", &core);
        assert_eq!(case.run(&FUNCTION_THROUGH_DEPENDENCY), []);
    }
}
