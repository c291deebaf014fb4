use std::path::Path;

use super::support::{failing_loads, names, on_functions, place};
use crate::check::{Finding, Sink, TreeCx, declare_rule};
use crate::extension::{Library, LoadStatement, Refusal};
use crate::fs::FileId;
use crate::hash::HashSet;
use crate::name::{Shown, shown_path};
use crate::postgres::Magic;
use crate::rules::command::path_word;
use crate::rules::evidence::count;
use crate::tree::{Role, Tree};

declare_rule! {
    /// The library that a C function or a LOAD statement names is there, and the server does not load it.
    ///
    /// ## What it checks
    ///
    /// Each file behind AS and LOAD, loaded into the server as CREATE EXTENSION does: with everything that the scripts, and
    /// the extensions that they require, load before it.
    ///
    /// With `--all-scripts` the other scripts as well: a warning where ALTER EXTENSION UPDATE from an older version, or CREATE
    /// EXTENSION with its VERSION, fails, with the command; a note for scripts that no way to the default version uses.
    ///
    /// ## Why it matters
    ///
    /// CREATE FUNCTION loads the library before it looks for the function, even while CREATE EXTENSION runs with
    /// check_function_bodies off. What `LOAD` says of the library is then what CREATE EXTENSION ends with.
    ///
    /// ## When it fires
    ///
    /// `plperl.so` needs `libperl.so.5.26`, which the system has not, and the question is about `plperl.control` or the
    /// share directory. A script says `LOAD '$libdir/helper'`, and `helper.so` has no magic block.
    ///
    /// ## How to fix
    ///
    /// `pgsym load` lists all that stands in the way of the module, and `pgsym audit` on the module has the remedies.
    ///
    /// ## What it cannot see
    ///
    /// What `_PG_init` does. Modules that lack symbols and are named only by scripts that installing the default version does
    /// not run: what the session has loaded by then, nobody knows. Modules among the files of the question are left to the rules on modules, PGS1xx to PGS4xx and
    /// PGS901, which tell each cause once; a library without a magic block, which they take for no module, is told here.
    /// The functions of a library that does not load are looked for once it does: PGS611, PGS612 and PGS613 are silent on
    /// them.
    ///
    /// ## References
    ///
    /// PostgreSQL src/backend/catalog/pg_proc.c `fmgr_c_validator`; src/backend/utils/fmgr/dfmgr.c
    /// `load_external_function`, `internal_load_library`.
    pub(crate) static MODULE_DOES_NOT_LOAD = {
        code: "PGS626",
        name: "module-does-not-load",
        group: Catalog,
        severity: Error,
        check: Tree(check),
    }
}

fn check(cx: &TreeCx<'_>, sink: &mut Sink<'_>) {
    let tree = cx.tree();
    let judged = judged(tree);
    let is_hit = |library: &Library| {
        let id = || match library.objects().first() {
            Some((_, module)) => Some(module.id),
            None => tree.store().fs().metadata(library.path()?).ok().map(|metadata| metadata.id),
        };
        library.load_refusal().is_some() && !id().is_some_and(|id| judged.contains(&id))
    };
    for record in tree.inventory().in_scope() {
        let findings = on_functions(
            sink,
            record,
            |function| is_hit(&function.library),
            |functions| {
                let library = functions.first().map(|function| Shown(&function.probin).to_string());
                format!(
                    "{} does not load, and {} of {} in it: {}.",
                    library.unwrap_or_default(),
                    count(functions.len(), "function"),
                    Shown(&record.extension.name),
                    names(functions)
                )
            },
        );
        let told: HashSet<_> = findings.iter().filter_map(|(_, first)| first.library.path()).collect();
        for (finding, first) in findings {
            sink.report(with_words(finding, &first.library));
        }
        let is_hit = |load: &LoadStatement| {
            let path = load.library.path();
            is_hit(&load.library) && !path.is_some_and(|path| told.contains(path))
        };
        for load in failing_loads(record, is_hit) {
            let library = &load.first.library;
            let name = Shown(&library.name);
            let at = place(&load.first.script, load.first.position);
            let message = format!("LOAD '{name}' at {at}{} fails.", load.others());
            let subject = format!("{} {name}", Shown(&record.extension.name));
            let path = library.path().unwrap_or(&record.extension.control_path);
            let finding = load.weigh(record, sink.finding(path, subject, message));
            sink.report(with_words(finding, library));
        }
    }
}

/// The files that other rules judge: modules, and what cannot be read.
fn judged(tree: &Tree) -> HashSet<FileId> {
    let files = tree.files().iter().filter(|file| file.role == Role::Module || file.module.is_err());
    files.filter_map(|file| Some(file.metadata?.id)).collect()
}

/// The server's words, and where to look.
fn with_words(mut finding: Finding, library: &Library) -> Finding {
    match library.load_refusal() {
        Some(Refusal::Says(message)) => {
            for line in message.to_string().lines() {
                finding = finding.evidence("the server", line);
            }
        }
        Some(Refusal::Crashes(why)) => {
            finding = finding.evidence("the server", format!("ends without a message of its own: {why}"));
        }
        None => {}
    }
    let path = library.path().unwrap_or(Path::new(""));
    finding.help(match library.objects() {
        [] => format!("ship a file that is a module in the place of {}", shown_path(path)),
        [(_, module), ..] if module.postgres.get().is_some_and(|facts| facts.magic == Magic::Absent) => {
            "name a module, or write PG_MODULE_MAGIC; in one source file of the library".to_owned()
        }
        _ => format!("pgsym load {} lists all that stands in the way", path_word(path)),
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::rules::catalog::missing_finfo::MISSING_FINFO;
    use crate::rules::catalog::missing_function::MISSING_FUNCTION;
    use crate::rules::catalog::support::testing::{Extensions, case, function, server};
    use crate::rules::testing::{Case, library, module};
    use crate::tree::ServerChoice;
    use pgsym_testkit::{Magic, SharedObject};

    /// The question is about the control files.
    fn share() -> Case {
        case().roots(&["/pg/share/extension"])
    }

    fn lacks_a_library() -> SharedObject {
        module().pg_function("f").needed("libgone.so.1")
    }

    pub(crate) fn firing() -> Case {
        share().extension("", &function("f", "x")).object("x.so", &lacks_a_library())
    }

    pub(crate) fn silent() -> Case {
        share().extension("", &function("f", "x")).functions("x.so", &["f"])
    }

    #[test]
    fn what_load_says_is_what_create_extension_ends_with() {
        let finding = firing().one(&MODULE_DOES_NOT_LOAD);
        let gone = "libgone.so.1: cannot open shared object file: No such file or directory";
        assert_eq!(server(&finding), format!("could not load library \"/pg/lib/x.so\": {gone}"));
        assert_eq!(finding.message, "x does not load, and 1 function of x in it: f.");
        let old = SharedObject::new().needed("libc.so.6").magic(Magic::pg(14)).pg_function("f");
        let case = share().extension("", &function("f", "x")).object("x.so", &old);
        assert_eq!(
            case.one(&MODULE_DOES_NOT_LOAD).texts("the server"),
            [
                "ERROR:  incompatible library \"/pg/lib/x.so\": version mismatch",
                "DETAIL:  Server is version 15, library is version 14."
            ]
        );
    }

    #[test]
    fn a_module_of_the_question_is_left_to_the_rules_on_modules() {
        for object in [lacks_a_library(), module().pg_function("f").import("nobody_has_this")] {
            let case = case().extension("", &function("f", "x")).object("x.so", &object);
            assert_eq!(case.run(&MODULE_DOES_NOT_LOAD), []);
        }
        let cut = case().extension("", &function("f", "x")).file("x.so", "\u{7f}ELF");
        assert_eq!(cut.run(&MODULE_DOES_NOT_LOAD), []);
        let cut = cut.roots(&["/pg/share"]);
        assert_eq!(
            server(&cut.one(&MODULE_DOES_NOT_LOAD)),
            "could not load library \"/pg/lib/x.so\": /pg/lib/x.so: file too short"
        );
    }

    #[test]
    fn a_library_without_a_magic_block_is_no_module_however_it_is_named() {
        let missing = "incompatible library \"/pg/lib/plain.so\": missing magic block";
        let plain =
            |script: &str| case().extension("", script).object("plain.so", &library("plain.so").export("f"));
        for script in ["LOAD '$libdir/plain';", &function("f", "plain")] {
            let findings = plain(script).run_all();
            let said: Vec<_> =
                findings.iter().filter(|finding| !finding.texts("the server").is_empty()).collect();
            assert_eq!(said.iter().map(|finding| finding.rule.code).collect::<Vec<_>>(), ["PGS626"]);
            assert_eq!(server(said[0]), missing);
        }
        // The function of a library that it needs is not reached either.
        let case = case()
            .extension("", &function("f", "plain"))
            .object("plain.so", &library("plain.so").needed("libcore.so").runpath("$ORIGIN"))
            .object("libcore.so", &library("libcore.so").pg_function("f"));
        assert_eq!(server(&case.one(&MODULE_DOES_NOT_LOAD)), missing);
        assert_eq!(case.run(&super::super::function_through_dependency::FUNCTION_THROUGH_DEPENDENCY), []);
    }

    #[test]
    fn functions_of_a_module_that_does_not_load_are_not_looked_for() {
        let script = function("f", "x") + &function("gone", "x");
        let case = share().extension("", &script).object("x.so", &lacks_a_library().export("g"));
        assert_eq!(case.run(&MISSING_FUNCTION), []);
        assert_eq!(case.run(&MISSING_FINFO), []);
        assert_eq!(case.run(&MODULE_DOES_NOT_LOAD).len(), 1);
    }

    #[test]
    fn a_module_that_the_scripts_load_before_has_the_symbols() {
        let user = module().pg_function("f").import("of_base");
        let base = module().pg_function("base").export("of_base");
        let case =
            |script: &str| share().extension("", script).object("x.so", &user).object("base.so", &base);
        let alone = case(&function("f", "x")).one(&MODULE_DOES_NOT_LOAD);
        assert!(server(&alone).ends_with("undefined symbol: of_base"), "{alone:?}");
        assert_eq!(case(&format!("LOAD 'base'; {}", function("f", "x"))).run(&MODULE_DOES_NOT_LOAD), []);
        assert_eq!(case(&(function("base", "base") + &function("f", "x"))).run(&MODULE_DOES_NOT_LOAD), []);
        let late = case(&(function("f", "x") + &function("base", "base")));
        assert_eq!(late.run(&MODULE_DOES_NOT_LOAD).len(), 1);
        let required = || {
            share()
                .extension("requires = 'b'", &function("f", "x"))
                .file("/pg/share/extension/b.control", "default_version = '1.0'")
                .file("/pg/share/extension/b--1.0.sql", function("base", "base"))
                .object("x.so", &user)
                .object("base.so", &base)
        };
        assert_eq!(required().run(&MODULE_DOES_NOT_LOAD), []);
        // Asked about x alone, nobody has read what b loads.
        assert_eq!(required().roots(&["/pg/share/extension/x.control"]).run(&MODULE_DOES_NOT_LOAD), []);
    }

    #[test]
    fn without_a_server_nobody_refuses() {
        let case = firing().settings(|settings| settings.server = ServerChoice::None);
        assert_eq!(case.run(&MODULE_DOES_NOT_LOAD), []);
    }
}
