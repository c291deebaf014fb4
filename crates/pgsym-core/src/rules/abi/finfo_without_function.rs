use crate::check::{ModuleCx, Severity, Sink, TreeCx, declare_rule};
use crate::model::NameHash;
use crate::rules::evidence::{count, listed};
use crate::tree::Role;

declare_rule! {
    /// A module exports `pg_finfo_x` but no function `x`.
    ///
    /// ## What it checks
    ///
    /// For every finfo record among the exports, whether the module or a library that it brings exports the function
    /// that it describes.
    ///
    /// ## Why it matters
    ///
    /// `CREATE FUNCTION ... LANGUAGE c` looks both up, even inside `CREATE EXTENSION`, and fails with `could not find
    /// function "x" in file "..."`.
    ///
    /// ## When it fires
    ///
    /// A version script lists the records, which a macro writes, and forgets the functions; or the function was
    /// renamed and `PG_FUNCTION_INFO_V1` was not.
    ///
    /// ## How to fix
    ///
    /// Export the function: give it `PGDLLEXPORT`, add it to the version script, or remove the record.
    ///
    /// ## What it cannot see
    ///
    /// Functions that are created by hand. A record that nothing uses is harmless: where the tree has SQL scripts and none
    /// of them names the function, this is good to know; where one does, the finding is `missing-function`; without
    /// scripts it is a warning. Functions that are in the file but local are `hidden-entry-point`.
    ///
    /// ## References
    ///
    /// PostgreSQL src/backend/utils/fmgr/fmgr.c `fmgr_info_C_lang`; src/backend/catalog/pg_proc.c
    /// `fmgr_c_validator`.
    pub(crate) static FINFO_WITHOUT_FUNCTION = {
        code: "PGS304",
        name: "finfo-without-function",
        group: Abi,
        severity: Warning,
        check: Tree(check),
    }
}

fn check(cx: &TreeCx<'_>, sink: &mut Sink<'_>) {
    for file in cx.files().filter(|file| file.role() == Role::Module) {
        check_module(&file, sink);
    }
}

fn check_module(cx: &ModuleCx<'_>, sink: &mut Sink<'_>) {
    let (Some(facts), Some(symbols)) = (cx.postgres(), cx.module().and_then(|module| module.symbols.get()))
    else {
        return;
    };
    let hidden = super::hidden(cx);
    let missing: Vec<_> = facts
        .finfo
        .iter()
        .map(|record| &record.function)
        .filter(|name| symbols.lookup(name.as_bytes(), NameHash::of(name.as_bytes())).next().is_none())
        .filter(|name| !hidden.contains(name) && super::in_dependency(cx, name.as_bytes()).is_none())
        .collect();
    if missing.is_empty() {
        return;
    }
    // What the scripts declare: a function that one of them wants is missing for them, which is their rule's finding.
    let extensions = &cx.tree().inventory().extensions;
    let declared: Vec<&[u8]> = extensions
        .iter()
        .flat_map(|record| &record.functions)
        .filter(|function| function.library.path() == Some(cx.path()))
        .map(|function| &*function.prosrc)
        .collect();
    let missing: Vec<_> = missing.into_iter().filter(|name| !declared.contains(&name.as_bytes())).collect();
    let Some(first) = missing.first() else { return };
    let severity = if extensions.is_empty() { Severity::Warning } else { Severity::Info };
    let message = if missing.len() == 1 {
        format!("The module exports pg_finfo_{first} but no function {first}: CREATE FUNCTION fails on it.")
    } else {
        format!(
            "The module exports the finfo records of {} but not the functions: CREATE FUNCTION fails on each.",
            count(missing.len(), "function")
        )
    };
    let mut finding = sink.finding(cx.path(), first, message).severity(severity);
    if missing.len() > 1 {
        finding = finding.evidence("missing", listed(&missing));
    }
    // src/backend/utils/fmgr/dfmgr.c, load_external_function.
    let path = crate::name::shown_path(cx.path());
    finding = finding
        .evidence("the server", format!("ERROR:  could not find function \"{first}\" in file \"{path}\""));
    sink.report(
        finding.help(format!("export {first}: PGDLLEXPORT in the source, or a line in the version script")),
    );
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::rules::testing::{Case, library, module};

    pub(crate) fn firing() -> Case {
        Case::new().object("x.so", &module().pg_function("add").pg_finfo("sub", 1))
    }

    pub(crate) fn silent() -> Case {
        // dlsym on the module's handle finds it in the library.
        Case::new()
            .object("x.so", &module().pg_finfo("sub", 1).needed("libsub.so").runpath("$ORIGIN"))
            .object("libsub.so", &library("libsub.so").export("sub"))
    }

    #[test]
    fn a_record_without_its_function_is_told() {
        let finding = firing().one(&FINFO_WITHOUT_FUNCTION);
        assert_eq!(
            finding.message,
            "The module exports pg_finfo_sub but no function sub: CREATE FUNCTION fails on it."
        );
        assert_eq!(
            finding.texts("the server"),
            ["ERROR:  could not find function \"sub\" in file \"/pg/lib/x.so\""]
        );
    }

    #[test]
    fn many_of_one_module_are_one_finding() {
        let case = firing().object("x.so", &module().pg_finfo("a", 1).pg_finfo("b", 1));
        assert_eq!(case.one(&FINFO_WITHOUT_FUNCTION).texts("missing"), ["a, b"]);
    }
}
