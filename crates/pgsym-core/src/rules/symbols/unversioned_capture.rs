use std::collections::{BTreeMap, BTreeSet};

use crate::check::{Severity, Sink, TreeCx, declare_rule};
use crate::collide::{Capture, Cause, MemberId};
use crate::rules::evidence::count;
use crate::rules::meeting::{KEEP_PRIVATE, home, is_of_tree, who, with_symbols};

declare_rule! {
    /// A definition without a version takes references that ask for one.
    ///
    /// ## What it checks
    ///
    /// References with a version, such as `SSL_new@OPENSSL_3.0.0`, that another module's definition without any version
    /// would take if that module were loaded first. C++ names of which one definition is meant to serve all are left out:
    /// those that both sides define weak (inline functions, templates), and type information, vtables and inline
    /// variables of namespace `std`.
    ///
    /// ## Why it matters
    ///
    /// Versions keep two releases of a library apart only where both sides have them. The loader takes the first definition
    /// of the name, and one without a version fits every request: the system's libpq calls the OpenSSL that some module was
    /// linked with statically, of another release, with another layout of its structures.
    ///
    /// ## When it fires
    ///
    /// A module with a static OpenSSL exports `SSL_new`; libpq, loaded later, wants `SSL_new@OPENSSL_3.0.0` of libssl.so.3.
    /// One finding for each file that exports such names; of a library that is not of the tree it is good to know.
    ///
    /// ## How to fix
    ///
    /// Hide the static library's symbols: `-Wl,--exclude-libs,ALL` on the module's link line, or a version script that ends
    /// with `local: *`.
    ///
    /// ## What it cannot see
    ///
    /// Which of the modules are ever used in the same session.
    ///
    /// ## References
    ///
    /// glibc elf/dl-lookup.c `check_match`.
    pub(crate) static UNVERSIONED_CAPTURE = {
        code: "PGS214",
        name: "unversioned-capture",
        group: Symbols,
        severity: Warning,
        check: Tree(check),
    }
}

fn check(cx: &TreeCx<'_>, sink: &mut Sink<'_>) {
    let tree = cx.tree();
    let Some(collisions) = tree.collisions() else { return };
    // The cause is the captor's export, however many it takes references from.
    let mut by_captor: BTreeMap<MemberId, Vec<&Capture>> = BTreeMap::new();
    let is_unversioned = |capture: &&Capture| capture.cause == Cause::Module && capture.is_unversioned();
    for capture in collisions.captures.iter().filter(is_unversioned) {
        by_captor.entry(capture.captor).or_default().push(capture);
    }
    for (id, captures) in by_captor {
        let captor = who(tree, collisions, id);
        let takes = |capture: &Capture| {
            format!(
                "{} of {} that mean {}",
                count(capture.symbols.len(), "reference"),
                who(tree, collisions, capture.victim),
                who(tree, collisions, capture.meant)
            )
        };
        let (what, subject) = match captures.as_slice() {
            [one] => (takes(one), format!("{captor} {}", who(tree, collisions, one.victim))),
            several => {
                let number = several.iter().map(|capture| capture.symbols.len()).sum();
                let victims: BTreeSet<MemberId> = several.iter().map(|capture| capture.victim).collect();
                let of = count(victims.len(), "file");
                (format!("{} of {of}", count(number, "reference")), captor.clone())
            }
        };
        let mut finding = sink.finding(
            home(tree, collisions.universe.get(id)),
            subject,
            format!(
                "{captor}, loaded first, takes {what}: its definitions have no version and fit every request."
            ),
        );
        if captures.len() > 1 {
            for capture in &captures {
                finding = finding.evidence("takes", takes(capture));
            }
        }
        // What a library of the system exports is its distribution's choice.
        let (severity, help) = if is_of_tree(tree, collisions.universe.get(id)) {
            (Severity::Warning, KEEP_PRIVATE)
        } else {
            (Severity::Info, "")
        };
        sink.report(with_symbols(finding, &captures).severity(severity).help(help));
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use pgsym_testkit::{Binding, Export, ExportKind, VersionDefault};

    use super::*;
    use crate::rules::testing::{Case, library, module};

    fn with(captor: &pgsym_testkit::SharedObject) -> Case {
        Case::new()
            .object("static.so", captor)
            .object(
                "user.so",
                &module().needed("libtls.so.3").import_versioned("tls_new", "libtls.so.3", "TLS_3"),
            )
            .object(
                "/lib/x86_64-linux-gnu/libtls.so.3",
                &library("libtls.so.3").export_versioned("tls_new", "TLS_3", VersionDefault::Default),
            )
    }

    pub(crate) fn firing() -> Case {
        with(&module().export("tls_new"))
    }

    pub(crate) fn silent() -> Case {
        with(&module().export_versioned("tls_new", "TLS_1", VersionDefault::Default))
    }

    /// A library whose version script makes a C++ name strong, its user, and a library with a weak one.
    fn with_cxx(name: &str, kind: ExportKind) -> Case {
        let of = |soname: &str| library(soname).export(format!("{soname}_f"));
        let strong = of("libllvm.so.19")
            .add_export(Export::new(name, kind.clone()).version("LLVM_19", VersionDefault::Default));
        let weak = of("libgeos.so.3").add_export(Export::new(name, kind).binding(Binding::Weak));
        Case::new()
            .object("/lib/x86_64-linux-gnu/libllvm.so.19", &strong)
            .object("/lib/x86_64-linux-gnu/libgeos.so.3", &weak)
            .object("geo.so", &module().needed("libgeos.so.3").import("libgeos.so.3_f"))
            .object(
                "jit.so",
                &module().needed("libllvm.so.19").import_versioned(name, "libllvm.so.19", "LLVM_19"),
            )
    }

    #[test]
    fn data_of_the_standard_library_is_one_and_the_same_everywhere() {
        for name in
            ["_ZTISt11_Mutex_base", "_ZTSNSt13__future_base13_State_baseV2E", "_ZSt19piecewise_construct"]
        {
            let case = with_cxx(name, ExportKind::Object(16));
            assert_eq!(case.run(&UNVERSIONED_CAPTURE), [], "{name}");
        }
    }

    #[test]
    fn what_is_strong_on_one_side_and_no_data_of_the_standard_library_is_told() {
        for name in ["_ZTV6Widget", "_ZN6Widget4drawEv"] {
            let finding = with_cxx(name, ExportKind::Object(16)).one(&UNVERSIONED_CAPTURE);
            assert_eq!(finding.severity, Severity::Info);
            assert_eq!(finding.texts("data"), [format!("{name}@LLVM_19")]);
        }
    }

    #[test]
    fn a_third_definer_decides_nothing_for_the_other_two() {
        let weak = |soname: &str, version: Option<&str>| {
            let export = Export::function("_ZN3fooIiE3barEv").binding(Binding::Weak);
            let export = match version {
                Some(version) => export.version(version, VersionDefault::Default),
                None => export,
            };
            library(soname).add_export(export)
        };
        let case = Case::new()
            .object("/lib/x86_64-linux-gnu/libone.so.1", &weak("libone.so.1", Some("ONE")))
            .object("/lib/x86_64-linux-gnu/libtwo.so.1", &weak("libtwo.so.1", None))
            .object("strong.so", &module().export_versioned("_ZN3fooIiE3barEv", "X", VersionDefault::Default))
            .object(
                "one.so",
                &module().needed("libone.so.1").import_versioned("_ZN3fooIiE3barEv", "libone.so.1", "ONE"),
            )
            .object("two.so", &module().needed("libtwo.so.1").import("_ZN3fooIiE3barEv"));
        assert_eq!(case.run(&UNVERSIONED_CAPTURE), []);
    }

    #[test]
    fn a_captor_of_many_is_one_finding() {
        let case = firing().object(
            "other.so",
            &module().needed("libtls.so.3").import_versioned("tls_new", "libtls.so.3", "TLS_3"),
        );
        let finding = case.one(&UNVERSIONED_CAPTURE);
        assert_eq!(
            finding.message,
            "static.so, loaded first, takes 2 references of 2 files: its definitions have no version and fit every request."
        );
        assert_eq!(finding.texts("takes").len(), 2);
        assert_eq!(finding.texts("functions"), ["tls_new@TLS_3"]);
    }

    #[test]
    fn the_captor_is_told_what_to_hide() {
        let finding = firing().one(&UNVERSIONED_CAPTURE);
        assert_eq!(
            finding.message,
            "static.so, loaded first, takes 1 reference of user.so that mean libtls.so.3 (brought by user.so): its \
             definitions have no version and fit every request."
        );
        assert_eq!(finding.texts("functions"), ["tls_new@TLS_3"]);
        assert!(finding.help.contains("--exclude-libs,ALL"));
    }
}
