use crate::check::{ModuleCx, Severity, Sink, declare_rule};
use crate::model::NameHash;
use crate::name::{Name, shown_path};
use crate::postgres::{FINFO_PREFIX, MAGIC_FUNCTION, ServerMessage};

declare_rule! {
    /// A module exports no `Pg_magic_func`.
    ///
    /// ## What it checks
    ///
    /// Files that are PostgreSQL modules by everything else that they export (`_PG_init`, another entry point, finfo
    /// records) but have no magic function. Libraries that modules of the tree need are not modules and left alone.
    ///
    /// ## Why it matters
    ///
    /// The server looks the function up right after opening the file and refuses the module without it.
    ///
    /// ## When it fires
    ///
    /// No source file of the module says `PG_MODULE_MAGIC;`, or the object that does is in a static archive that
    /// nothing pulls it out of. Or the function has a version that is not its default one (`Pg_magic_func@V1`), which
    /// `dlsym` passes over.
    ///
    /// ## How to fix
    ///
    /// Write `PG_MODULE_MAGIC;` (18 and later also `PG_MODULE_MAGIC_EXT(...)`) in exactly one source file. From an
    /// archive, link with `-Wl,--whole-archive` or `-Wl,-u,Pg_magic_func`.
    ///
    /// ## What it cannot see
    ///
    /// A magic function that is there and local is `hidden-entry-point`. One that a needed library exports is found
    /// by `dlsym` too, so the module loads: that is a warning here, because `_PG_init` of that library then runs
    /// for this module.
    ///
    /// ## References
    ///
    /// PostgreSQL src/backend/utils/fmgr/dfmgr.c `internal_load_library`; manual, "Dynamic Loading".
    pub(crate) static MISSING_MAGIC_BLOCK = {
        code: "PGS301",
        name: "missing-magic-block",
        group: Abi,
        severity: Error,
        check: Module(check),
    }
}

fn check(cx: &ModuleCx<'_>, sink: &mut Sink<'_>) {
    if !super::lacks_magic(cx) || super::hides_magic(cx) {
        return;
    }
    let marks = marks(cx);
    let help = match versioned(cx) {
        Some(_) => "leave Pg_magic_func out of the version script, or give it a default version",
        None => "write PG_MODULE_MAGIC; in one source file of the module",
    };
    let finding = if let Some(object) = super::in_dependency(cx, MAGIC_FUNCTION) {
        let message = format!(
            "The module exports {marks} but no Pg_magic_func; the server takes that of {}, and calls the _PG_init \
             that it finds there.",
            shown_path(object.path())
        );
        sink.finding(cx.path(), "Pg_magic_func", message).severity(Severity::Warning)
    } else {
        let message = match versioned(cx) {
            Some(version) => format!(
                "Pg_magic_func has the version {version}, which is not its default one: dlsym passes over it, and the \
                 server refuses to load the module."
            ),
            None => {
                format!("The module exports {marks} but no Pg_magic_func: the server refuses to load it.")
            }
        };
        let mut finding = sink.finding(cx.path(), "Pg_magic_func", message);
        for line in super::lines(&ServerMessage::missing_magic_block(cx.path())) {
            finding = finding.evidence("the server", line);
        }
        finding
    };
    sink.report(finding.help(help));
}

/// The version of a magic function that has one and no default one.
fn versioned(cx: &ModuleCx<'_>) -> Option<Name> {
    let symbols = cx.module()?.symbols.get()?;
    let mut found = symbols.lookup(MAGIC_FUNCTION, NameHash::of(MAGIC_FUNCTION));
    found.find_map(|symbol| symbol.version()).map(|version| version.name.clone())
}

/// What makes a module of the file.
fn marks(cx: &ModuleCx<'_>) -> String {
    let names = cx.module().and_then(|module| module.symbols.get()).into_iter().flat_map(|symbols| {
        symbols.exports().map(|symbol| symbol.name()).filter(|name| {
            name.starts_with(FINFO_PREFIX) || (name.starts_with(b"_PG_") && *name != b"_PG_fini")
        })
    });
    let mut names: Vec<String> = names.map(|name| crate::name::Shown(name).to_string()).collect();
    names.sort();
    crate::rules::evidence::listed(names)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::rules::testing::{Case, library, module};
    use pgsym_testkit::{SharedObject, VersionDefault};

    pub(crate) fn firing() -> Case {
        Case::new().object("x.so", &SharedObject::new().needed("libc.so.6").pg_function("add"))
    }

    pub(crate) fn silent() -> Case {
        // The library looks like a module, and is none: x.so needs it.
        Case::new()
            .object("x.so", &module().needed("libhelpers.so").runpath("$ORIGIN"))
            .object("libhelpers.so", &library("libhelpers.so").pg_function("add"))
    }

    #[test]
    fn a_module_without_magic_is_refused_in_the_servers_words() {
        let finding = firing().one(&MISSING_MAGIC_BLOCK);
        assert_eq!(
            finding.message,
            "The module exports pg_finfo_add but no Pg_magic_func: the server refuses to load it."
        );
        assert_eq!(
            finding.texts("the server"),
            [
                "ERROR:  incompatible library \"/pg/lib/x.so\": missing magic block",
                "HINT:  Extension libraries are required to use the PG_MODULE_MAGIC macro."
            ]
        );
    }

    #[test]
    fn a_magic_function_with_a_version_that_nobody_asks_for_is_not_found() {
        let case = |default| {
            let object = SharedObject::new().needed("libc.so.6").pg_function("add");
            Case::new().object("x.so", &object.export_versioned("Pg_magic_func", "V1", default))
        };
        let finding = case(VersionDefault::Hidden).one(&MISSING_MAGIC_BLOCK);
        assert_eq!(
            finding.message,
            "Pg_magic_func has the version V1, which is not its default one: dlsym passes over it, and the server \
             refuses to load the module."
        );
        assert_eq!(case(VersionDefault::Default).run(&MISSING_MAGIC_BLOCK), []);
    }

    #[test]
    fn the_magic_of_a_needed_module_serves_and_is_a_warning() {
        let case = firing()
            .object("x.so", &SharedObject::new().needed("libbase.so").runpath("$ORIGIN").pg_function("add"))
            .object("libbase.so", &module().soname("libbase.so"));
        assert_eq!(case.one(&MISSING_MAGIC_BLOCK).severity, Severity::Warning);
    }
}
