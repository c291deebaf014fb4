use crate::check::{ModuleCx, Severity, Sink, declare_rule};
use crate::name::{Name, shown_path};
use crate::postgres::{FINFO_PREFIX, MAGIC_FUNCTION, ServerMessage};
use crate::rules::evidence::{count, listed};
use crate::tree::Role;

declare_rule! {
    /// A function that the server looks up by name is in the module, but not exported.
    ///
    /// ## What it checks
    ///
    /// Local functions in `.symtab` with a name that the server looks up: `Pg_magic_func`, `_PG_init` and the other
    /// entry points, finfo records, and functions that have one.
    ///
    /// ## Why it matters
    ///
    /// `dlsym` sees exports only. A hidden `Pg_magic_func` keeps the module out, a hidden function makes `CREATE
    /// FUNCTION` fail, and a hidden `_PG_init` is never called, without a word.
    ///
    /// ## When it fires
    ///
    /// A version script ends in `local: *;` and does not list the symbol; or the code is built with
    /// `-fvisibility=hidden` and the function has no `PGDLLEXPORT`; or a Rust `cdylib` contains a C file, whose symbols
    /// the list that rustc writes does not have.
    ///
    /// ## How to fix
    ///
    /// Add the names to the version script (`pgsym exports` writes one from the objects), mark the functions
    /// `PGDLLEXPORT`, or in a Cargo build let `pgsym-build` pass the list.
    ///
    /// ## What it cannot see
    ///
    /// Stripped files: `.symtab` is gone, and a missing magic function is then `missing-magic-block`.
    ///
    /// ## References
    ///
    /// PostgreSQL src/backend/utils/fmgr/dfmgr.c, src/include/c.h `PGDLLEXPORT`; GNU ld manual, "VERSION Command".
    pub(crate) static HIDDEN_ENTRY_POINT = {
        code: "PGS305",
        name: "hidden-entry-point",
        group: Abi,
        severity: Warning,
        check: Module(check),
    }
}

fn check(cx: &ModuleCx<'_>, sink: &mut Sink<'_>) {
    let hidden = super::hidden(cx);
    if cx.role() != Role::Module || hidden.is_empty() {
        return;
    }
    let magic = hidden.iter().find(|name| name.as_bytes() == MAGIC_FUNCTION);
    let subject = magic.unwrap_or(&hidden[0]);
    let path = shown_path(cx.path());
    let (is, pronoun) = if hidden.len() == 1 { ("is", "it") } else { ("are", "them") };
    let mut finding = if super::hides_magic(cx) {
        let message = format!(
            "Pg_magic_func is in .symtab but local{}: the server does not see it and refuses to load the module.",
            if hidden.len() > 1 {
                format!(", like {}", count(hidden.len() - 1, "other entry point"))
            } else {
                String::new()
            }
        );
        let mut finding = sink.finding(cx.path(), subject, message).severity(Severity::Error);
        for line in super::lines(&ServerMessage::missing_magic_block(cx.path())) {
            finding = finding.evidence("the server", line);
        }
        finding
    } else {
        let message =
            format!("{} {is} in .symtab but local: the server does not see {pronoun}.", listed(hidden));
        let finding = sink.finding(cx.path(), subject, message);
        match consequence(subject) {
            Some(function) => finding.evidence(
                "the server",
                format!("ERROR:  could not find function \"{function}\" in file \"{path}\""),
            ),
            None => finding,
        }
    };
    if hidden.len() > 1 {
        finding = finding.evidence("hidden", listed(hidden));
    }
    sink.report(finding.help(format!(
        "export {pronoun}: PGDLLEXPORT in the source, or lines in the version script (pgsym exports writes them)"
    )));
}

/// The SQL function that `CREATE FUNCTION` then does not find. A missing record is another message, which the
/// missing function precedes.
fn consequence(name: &Name) -> Option<&Name> {
    let is_function = !name.as_bytes().starts_with(b"_PG_") && !name.as_bytes().starts_with(FINFO_PREFIX);
    is_function.then_some(name)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::rules::testing::{Case, module};
    use pgsym_testkit::SharedObject;

    pub(crate) fn firing() -> Case {
        let object =
            SharedObject::new().needed("libc.so.6").local_function("Pg_magic_func").pg_function("add");
        Case::new().object("x.so", &object)
    }

    pub(crate) fn silent() -> Case {
        Case::new().object("x.so", &module().local_function("helper").pg_function("add"))
    }

    #[test]
    fn a_hidden_magic_function_keeps_the_module_out() {
        let finding = firing().one(&HIDDEN_ENTRY_POINT);
        assert_eq!(finding.severity, Severity::Error);
        assert_eq!(
            finding.message,
            "Pg_magic_func is in .symtab but local: the server does not see it and refuses to load the module."
        );
        assert_eq!(
            finding.texts("the server")[0],
            "ERROR:  incompatible library \"/pg/lib/x.so\": missing magic block"
        );
    }

    #[test]
    fn a_hidden_function_is_a_warning() {
        let finding = firing()
            .object("x.so", &module().pg_finfo("add", 1).local_function("add"))
            .one(&HIDDEN_ENTRY_POINT);
        assert_eq!(finding.severity, Severity::Warning);
        assert_eq!(finding.message, "add is in .symtab but local: the server does not see it.");
    }
}
