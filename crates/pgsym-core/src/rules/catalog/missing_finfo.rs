use super::support::{names, on_functions, server_says};
use crate::check::{Sink, TreeCx, declare_rule};
use crate::extension::Status;
use crate::name::Shown;

declare_rule! {
    /// A C function has no `pg_finfo_` record beside it, or one that the server does not know.
    ///
    /// ## What it checks
    ///
    /// Each C function that is exported: whether `pg_finfo_` and its link symbol is exported too, by the
    /// module or a library that it brings, whether it is a function, and whether its code returns a record of `api_version` 1,
    /// the only one there is.
    ///
    /// With `--all-scripts` the other scripts as well: a warning where ALTER EXTENSION UPDATE from an older version, or CREATE
    /// EXTENSION with its VERSION, fails, with the command; a note for scripts that no way to the default version uses.
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
    /// The version in a record whose code is of no known shape. A module that does not load is
    /// module-does-not-load, or the business of the rules on modules: nobody looks for its functions.
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
        // Each kind by itself: what is wrong with one function is not so with the next.
        let mut kinds: Vec<&Status> = Vec::new();
        for status in record.functions.iter().map(|function| &function.status) {
            let is_about = matches!(
                status,
                Status::MissingFinfo | Status::FinfoIsData | Status::OtherApiVersion(_) | Status::NullRecord
            );
            if is_about && !kinds.contains(&status) {
                kinds.push(status);
            }
        }
        for kind in kinds {
            let findings = on_functions(
                sink,
                record,
                |function| function.status == *kind,
                |functions| describe(kind, &names(functions)),
            );
            for (finding, first) in findings {
                let said = first.library.refusal(kind, &first.prosrc);
                let function = Shown(&first.prosrc);
                let help = format!("write PG_FUNCTION_INFO_V1({function}); and export pg_finfo_{function}");
                let finding = match said {
                    Some(said) => server_says(finding, &said),
                    None => finding,
                };
                sink.report(finding.help(help));
            }
        }
    }
}

fn describe(kind: &Status, names: &str) -> String {
    match kind {
        Status::OtherApiVersion(_) => {
            format!("the pg_finfo_ record of {names} is of a version that no server knows.")
        }
        Status::NullRecord => format!("there is no record behind the pg_finfo_ of {names}: it returns NULL."),
        Status::FinfoIsData => {
            format!(
                "the pg_finfo_ of {names} is a variable: the server calls it, and the backend dies with SIGSEGV."
            )
        }
        _ => format!("no pg_finfo_ record stands beside {names}."),
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

    #[test]
    fn a_record_of_another_version_is_refused() {
        let object = module().export("f").pg_finfo("f", 0);
        let case = case().extension("", &function("f", "x")).object("/pg/lib/x.so", &object);
        let finding = case.one(&MISSING_FINFO);
        assert_eq!(server(&finding), "unrecognized API version 0 reported by info function \"pg_finfo_f\"");
    }

    #[test]
    fn a_record_that_is_null_is_refused() {
        // The builder's plain functions return their number, and this one's is 0.
        let object = module().export("f").export("pg_finfo_f");
        let case = case().extension("", &function("f", "x")).object("/pg/lib/x.so", &object);
        assert_eq!(server(&case.one(&MISSING_FINFO)), "null result from info function \"pg_finfo_f\"");
    }

    #[test]
    fn a_record_that_is_no_function_ends_the_backend() {
        let object = module().export("f").export_object("pg_finfo_f", 8);
        let case = case().extension("", &function("f", "x")).object("/pg/lib/x.so", &object);
        let finding = case.one(&MISSING_FINFO);
        assert!(finding.texts("the server").is_empty());
        assert_eq!(
            finding.message,
            "the pg_finfo_ of f is a variable: the server calls it, and the backend dies with SIGSEGV."
        );
    }

    #[test]
    fn each_function_is_told_what_is_wrong_with_it() {
        let script = function("a", "x") + &function("b", "x") + &function("c", "x");
        let object = module().export("a").pg_finfo("a", 2).export("b").export("c").export("pg_finfo_c");
        let case = case().extension("", &script).object("/pg/lib/x.so", &object);
        let findings = case.run(&MISSING_FINFO);
        let said: Vec<&str> = findings.iter().map(server).collect();
        assert_eq!(said.len(), 3);
        assert!(said.contains(&"unrecognized API version 2 reported by info function \"pg_finfo_a\""));
        assert!(said.contains(&"could not find function information for function \"b\""));
        assert!(said.contains(&"null result from info function \"pg_finfo_c\""));
    }
}
