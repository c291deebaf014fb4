use super::support::{names, on_functions, server_says};
use crate::check::{Sink, TreeCx, declare_rule};
use crate::extension::Status;
use crate::name::Shown;

declare_rule! {
    /// A C function has no `pg_finfo_` record beside it.
    ///
    /// ## What it checks
    ///
    /// Each C function that is exported: whether `pg_finfo_` and its link symbol is exported too, by the
    /// module or a library that it brings.
    ///
    /// ## Why it matters
    ///
    /// Without the record the server does not know the calling convention, and refuses the function when it
    /// is created. PG_FUNCTION_INFO_V1 makes it; a hand-written list of exports often forgets it.
    ///
    /// ## When it fires
    ///
    /// A version script with `global: x_*; local: *;`, which exports `x_f` and hides `pg_finfo_x_f`.
    ///
    /// ## How to fix
    ///
    /// Write `PG_FUNCTION_INFO_V1(f);`, and export `pg_finfo_*`: `pgsym exports` makes the list.
    ///
    /// ## What it cannot see
    ///
    /// Records of a version other than 1.
    ///
    /// ## References
    ///
    /// PostgreSQL src/backend/utils/fmgr/fmgr.c `fetch_finfo_record`.
    pub(crate) static MISSING_FINFO = {
        code: "PGS612",
        name: "missing-finfo",
        group: Catalog,
        severity: Error,
        check: Tree(check),
    }
}

fn check(cx: &TreeCx<'_>, sink: &mut Sink<'_>) {
    for record in cx.tree().inventory().in_scope() {
        let mut said = Vec::new();
        let findings = on_functions(
            sink,
            record,
            |function| function.status == Status::MissingFinfo,
            |functions| {
                said.push(functions.first().map(|function| Shown(&function.prosrc).to_string()));
                format!("no pg_finfo_ record stands beside {}.", names(functions))
            },
        );
        for (finding, function) in findings.into_iter().zip(said) {
            let function = function.unwrap_or_default();
            let said = format!("could not find function information for function \"{function}\"");
            let finding = server_says(finding, &said);
            sink.report(
                finding
                    .help(format!("write PG_FUNCTION_INFO_V1({function}); and export pg_finfo_{function}")),
            );
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::rules::catalog::support::testing::{Extensions, case, function, server};
    use crate::rules::testing::{Case, module};

    pub(crate) fn firing() -> Case {
        case().extension("", &function("f", "x")).object("x.so", &module().export("f"))
    }

    pub(crate) fn silent() -> Case {
        case().extension("", &function("f", "x")).functions("x.so", &["f"])
    }

    #[test]
    fn an_exported_function_without_its_record_is_refused() {
        let script = function("f", "x") + &function("g", "x");
        let object = module().pg_function("f").export("g");
        let case = case().extension("", &script).object("/pg/lib/x.so", &object);
        let findings = case.run(&MISSING_FINFO);
        assert_eq!(findings.len(), 1);
        assert_eq!(server(&findings[0]), "could not find function information for function \"g\"");
    }

    #[test]
    fn a_function_with_its_record_is_fine() {
        let case = case().extension("", &function("f", "x")).functions("/pg/lib/x.so", &["f"]);
        assert_eq!(case.run(&MISSING_FINFO), []);
    }
}
