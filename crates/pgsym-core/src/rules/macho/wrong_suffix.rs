use super::support::base;
use crate::check::{ModuleCx, Sink, declare_rule};
use crate::tree::Role;

declare_rule! {
    /// A module has the suffix of another major version.
    ///
    /// ## What it checks
    ///
    /// The suffix of modules: `.so` up to PostgreSQL 15, `.dylib` from 16 on. Both are bundles inside.
    ///
    /// ## Why it matters
    ///
    /// A function's module is named without its suffix, `$libdir/x`, and the server adds its own: `could not access file
    /// "$libdir/x": No such file or directory`.
    ///
    /// ## When it fires
    ///
    /// `lib/postgresql/x.so` in an installation of PostgreSQL 17.
    ///
    /// ## How to fix
    ///
    /// Use `$(DLSUFFIX)` of PGXS instead of a suffix, or rename the file.
    ///
    /// ## What it cannot see
    ///
    /// Callers that write the suffix out, for which the file is right.
    ///
    /// ## References
    ///
    /// PostgreSQL src/template/darwin, src/backend/utils/fmgr/dfmgr.c `expand_dynamic_library_name`.
    pub(crate) static WRONG_SUFFIX = {
        code: "PGS711",
        name: "wrong-suffix",
        group: Macho,
        severity: Warning,
        check: Module(check),
    }
}

fn check(cx: &ModuleCx<'_>, sink: &mut Sink<'_>) {
    if cx.macho().is_none() || cx.role() != Role::Module {
        return;
    }
    let Some(major) = cx.tree().pg_major() else { return };
    let (right, wrong) = if major >= 16 { ("dylib", "so") } else { ("so", "dylib") };
    if cx.path().extension().is_none_or(|suffix| suffix != wrong) {
        return;
    }
    // The same module under the right name settles it.
    let renamed = cx.path().with_extension(right);
    if cx.tree().files().iter().any(|file| file.path == renamed) {
        return;
    }
    let (file, renamed) = (base(cx.path()), base(&renamed));
    let message =
        format!("PostgreSQL {major} looks for {renamed} and not for {file}: $libdir/NAME does not find it.");
    sink.report(sink.finding(cx.path(), format!(".{wrong}"), message).help(format!("mv {file} {renamed}")));
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::rules::testing::{Case, bundle};

    pub(crate) fn firing() -> Case {
        Case::mac().image("x.dylib", &bundle())
    }

    pub(crate) fn silent() -> Case {
        Case::mac().image("x.so", &bundle())
    }

    #[test]
    fn the_major_decides() {
        assert_eq!(
            firing().one(&WRONG_SUFFIX).message,
            "PostgreSQL 15 looks for x.so and not for x.dylib: $libdir/NAME does not find it."
        );
    }
}
