use super::support::{LISTED, failing_loads, names, on_functions, place, server_says};
use crate::check::{Finding, Severity, Sink, TreeCx, declare_rule};
use crate::extension::{ExtensionRecord, Library, LoadStatement, Site, Status};
use crate::hash::HashSet;
use crate::name::{Shown, shown_path};
use crate::tree::Tree;

declare_rule! {
    /// The library that a C function or a LOAD statement names is not there.
    ///
    /// ## What it checks
    ///
    /// Each file name behind AS, after `MODULE_PATHNAME` was replaced, and each LOAD statement, searched as
    /// the server would: `$libdir`, dynamic_library_path, then both again with `.so` (`.dylib` on macOS
    /// since 16).
    ///
    /// With `--all-scripts` the other scripts as well: a warning where ALTER EXTENSION UPDATE from an older version, or CREATE
    /// EXTENSION with its VERSION, fails, with the command; a note for scripts that no way to the default version uses.
    ///
    /// ## Why it matters
    ///
    /// CREATE FUNCTION loads the library at once, even while CREATE EXTENSION runs with
    /// check_function_bodies off. A library that is not there ends the installation.
    ///
    /// ## When it fires
    ///
    /// `module_pathname = '$libdir/x'` and no `x.so`; or a script that says `MODULE_PATHNAME` under a
    /// control file that does not set it, so that the word itself becomes a file name.
    ///
    /// ## How to fix
    ///
    /// Ship the module in pkglibdir, correct `module_pathname`, or set dynamic_library_path.
    ///
    /// ## What it cannot see
    ///
    /// Functions that code creates at run time. Modules that another package brings later: where the server's
    /// pkglibdir could not be read, because there is no server or it is known by its version or profile only,
    /// the finding is a warning. `$libdir/plpgsql` is in every installation.
    ///
    /// ## References
    ///
    /// PostgreSQL src/backend/utils/fmgr/dfmgr.c `expand_dynamic_library_name`.
    pub(crate) static MODULE_NOT_FOUND = {
        code: "PGS610",
        name: "module-not-found",
        group: Catalog,
        severity: Error,
        check: Tree(check),
    }
}

fn check(cx: &TreeCx<'_>, sink: &mut Sink<'_>) {
    let inventory = cx.tree().inventory();
    for record in inventory.in_scope() {
        let site = inventory.site(record);
        if site.libdirs.is_empty() {
            continue; // nothing says what $libdir is: whether the module is there cannot be told
        }
        let findings = on_functions(
            sink,
            record,
            |function| function.status == Status::ModuleNotFound && !is_everywhere(&function.library),
            |functions| {
                let library = functions.first().map(|function| Shown(&function.probin).to_string());
                format!(
                    "{} is not there, and {} of the extension's functions {} in it: {}.",
                    library.unwrap_or_default(),
                    functions.len(),
                    if functions.len() == 1 { "is" } else { "are" },
                    names(functions)
                )
            },
        );
        let told: HashSet<&[u8]> = findings.iter().map(|(_, first)| &*first.probin).collect();
        for (finding, first) in findings {
            if is_staged_link(cx.tree(), &first.library) {
                continue; // unreadable-file tells of the link
            }
            let severity = severity(site, &first.library).min(finding.severity);
            let finding = with_loads(finding, record, &first.library.name);
            let finding = with_search(finding, &first.library).severity(severity);
            sink.report(finding.help(match first.library.expansion {
                Err(_) => "correct the setting that the server names",
                Ok(_) => "ship the module, or correct module_pathname in the control file",
            }));
        }
        let is_hit = |load: &LoadStatement| {
            let library = &load.library;
            let is_told = !load.is_run && told.contains(&*library.name);
            library.path().is_none()
                && !is_everywhere(library)
                && !is_staged_link(cx.tree(), library)
                && !is_told
        };
        for load in failing_loads(record, is_hit) {
            let name = Shown(&load.first.library.name);
            let at = place(&load.first.script, load.first.position);
            let message = format!("LOAD '{name}' at {at}{} finds no file.", load.others());
            let subject = format!("{} {name}", Shown(&record.extension.name));
            let finding = sink.finding(&record.extension.control_path, subject, message);
            let finding = load.weigh(record, finding.severity(severity(site, &load.first.library)));
            let finding = with_search(finding, &load.first.library);
            sink.report(finding.help("ship the module, or correct the statement"));
        }
    }
}

/// Whether every installation has a library: initdb loads plpgsql in each.
pub(crate) fn is_everywhere(library: &Library) -> bool {
    matches!(library.name.as_slice(), b"$libdir/plpgsql" | b"plpgsql")
}

/// Whether the search met a link that leads to the library once the tree is installed.
pub(crate) fn is_staged_link(tree: &Tree, library: &Library) -> bool {
    let tried = library.expansion.iter().flat_map(|expansion| &expansion.tried);
    tried.into_iter().any(|path| crate::discover::staged_root(tree.store().fs(), path).is_some())
}

/// An error where the server surely does not have the library: its name is none, or all that it has was read.
pub(crate) fn severity(site: &Site, library: &Library) -> Severity {
    let is_no_name = library.expansion.is_err() || library.name == b"MODULE_PATHNAME";
    if is_no_name || site.has_all_modules { Severity::Error } else { Severity::Warning }
}

/// A finding that names failing commands, with those that fail at a LOAD of the same library.
fn with_loads(mut finding: Finding, record: &ExtensionRecord, name: &[u8]) -> Finding {
    let told = finding.evidence.iter().filter(|evidence| evidence.label == "fails");
    let mut told: Vec<String> = told.map(|evidence| evidence.text.clone()).collect();
    if told.is_empty() {
        return finding;
    }
    for load in record.loads.iter().filter(|load| load.library.name == name) {
        let script = record.scripts.iter().find(|script| script.path == load.script);
        let Some(script) = script else { continue };
        let command = script.run.command(&record.extension.name, &script.step);
        if told.len() < LISTED && !told.contains(&command) {
            told.push(command.clone());
            finding = finding.evidence("fails", command);
        }
    }
    finding
}

fn with_search(mut finding: Finding, library: &Library) -> Finding {
    if let Ok(expansion) = &library.expansion {
        // Two directories of modules may lead to one name.
        let mut told = std::collections::BTreeSet::new();
        for tried in expansion.tried.iter().filter(|tried| told.insert(*tried)) {
            finding = finding.evidence("looked for", shown_path(tried));
        }
    }
    match library.error() {
        Some(message) => server_says(finding, &message),
        None => finding,
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::rules::catalog::support::testing::{Extensions, case, function, server};
    use crate::rules::testing::Case;
    use crate::tree::ServerChoice;

    pub(crate) fn firing() -> Case {
        case().extension("module_pathname = '$libdir/y'", &function("f", "MODULE_PATHNAME"))
    }

    pub(crate) fn silent() -> Case {
        case()
            .extension("module_pathname = '$libdir/y'", &function("f", "MODULE_PATHNAME"))
            .functions("y.so", &["f"])
    }

    #[test]
    fn a_module_that_is_not_shipped_is_searched_for_with_and_without_its_suffix() {
        let case = case().extension("module_pathname = '$libdir/y'", &function("f", "MODULE_PATHNAME"));
        let findings = case.run(&MODULE_NOT_FOUND);
        assert_eq!(findings.len(), 1);
        assert_eq!(server(&findings[0]), "could not access file \"$libdir/y\": No such file or directory");
        let tried: Vec<_> = findings[0].evidence.iter().filter(|found| found.label == "looked for").collect();
        assert_eq!(
            tried.iter().map(|found| found.text.as_str()).collect::<Vec<_>>(),
            ["/pg/lib/y", "/pg/lib/y.so"]
        );
    }

    #[test]
    fn without_module_pathname_the_word_is_a_file_name() {
        let case = case().extension("", &function("f", "MODULE_PATHNAME"));
        let findings = case.run(&MODULE_NOT_FOUND);
        assert_eq!(
            server(&findings[0]),
            "could not access file \"MODULE_PATHNAME\": No such file or directory"
        );
    }

    #[test]
    fn a_macro_that_does_not_exist_is_the_servers_own_error() {
        let case = case().extension("", &function("f", "$libdirs/x"));
        let said = "invalid macro name in dynamic library path: $libdirs/x";
        assert_eq!(server(&case.run(&MODULE_NOT_FOUND)[0]), said);
    }

    #[test]
    fn load_statements_count() {
        assert_eq!(case().extension("", "LOAD '$libdir/x';").run(&MODULE_NOT_FOUND).len(), 1);
        let case = case().extension("", "LOAD '$libdir/x';").functions("/pg/lib/x.so", &[]);
        assert_eq!(case.run(&MODULE_NOT_FOUND), []);
    }

    #[test]
    fn what_update_scripts_ask_for_is_told_once_for_each_library() {
        let case = case()
            .extension("", &function("f", "x"))
            .functions("/pg/lib/x.so", &["f"])
            .file("/pg/share/extension/x--0.8--0.9.sql", "LOAD '$libdir/y'; LOAD 'z';")
            .file("/pg/share/extension/x--0.9--1.0.sql", function("g", "$libdir/y") + "LOAD '$libdir/y';");
        assert_eq!(case.run(&MODULE_NOT_FOUND), []);
        let findings = case.all_scripts().run(&MODULE_NOT_FOUND);
        let told: Vec<_> = findings
            .iter()
            .map(|finding| (finding.severity, server(finding), finding.texts("fails")))
            .collect();
        assert_eq!(
            told,
            [
                (
                    Severity::Warning,
                    "could not access file \"$libdir/y\": No such file or directory",
                    vec![
                        "ALTER EXTENSION x UPDATE from version 0.9 and 1 other",
                        "ALTER EXTENSION x UPDATE from version 0.8"
                    ]
                ),
                (
                    Severity::Warning,
                    "could not access file \"z\": No such file or directory",
                    vec!["ALTER EXTENSION x UPDATE from version 0.8"]
                ),
            ]
        );
    }

    #[test]
    fn what_a_pkglibdir_has_that_nobody_read_is_a_warning() {
        let stage = |probin: &str| {
            case()
                .roots(&["/stage"])
                .file("/stage/share/extension/x.control", "default_version = 1")
                .file("/stage/share/extension/x--1.sql", function("f", probin) + &format!("LOAD '{probin}';"))
                .functions("/stage/lib/x.so", &["g"])
        };
        let severities = |case: Case| {
            let findings = case.run(&MODULE_NOT_FOUND);
            findings.iter().map(|finding| finding.severity).collect::<Vec<_>>()
        };
        let by_version =
            |probin| stage(probin).settings(|settings| settings.server = ServerChoice::Version(15));
        let by_binary =
            |probin| stage(probin).settings(|settings| settings.server = ServerChoice::At("/pg".into()));
        assert_eq!(severities(stage("$libdir/y")), [Severity::Warning; 2]);
        assert_eq!(severities(by_version("$libdir/y")), [Severity::Warning; 2]);
        assert_eq!(severities(by_binary("$libdir/y")), [Severity::Error; 2]);
        assert_eq!(severities(by_version("MODULE_PATHNAME")), [Severity::Error; 2]);
        assert_eq!(severities(by_version("$lib/y")), [Severity::Error; 2]);
        assert_eq!(severities(by_version("$libdir/plpgsql")), []);
    }

    #[test]
    fn a_link_that_the_finished_installation_follows_is_no_missing_module() {
        let stage = case()
            .roots(&["/stage"])
            .file("/stage/usr/share/extension/x.control", "default_version = 1")
            .file("/stage/usr/share/extension/x--1.sql", function("f", "$libdir/x") + "LOAD '$libdir/x';")
            .fs(|fs| fs.symlink("/stage/usr/lib/x.so", "/usr/lib/x/x-1.so"))
            .functions("/stage/usr/lib/x/x-1.so", &["f"]);
        assert_eq!(stage.run(&MODULE_NOT_FOUND), []);
    }

    #[test]
    fn a_function_that_an_update_drops_or_moves_needs_its_old_module() {
        let moved = function("f", "$libdir/x").replace("CREATE", "CREATE OR REPLACE");
        let case = case()
            .file("/pg/share/extension/x.control", "default_version = '1.1'")
            .file("/pg/share/extension/x--1.0.sql", function("f", "gone") + &function("g", "old"))
            .file("/pg/share/extension/x--1.0--1.1.sql", format!("DROP FUNCTION g(); {moved}"))
            .functions("/pg/lib/x.so", &["f"]);
        let said: Vec<String> = case.run(&MODULE_NOT_FOUND).iter().map(|f| server(f).to_owned()).collect();
        let missing = |name| format!("could not access file \"{name}\": No such file or directory");
        assert_eq!(said, [missing("gone"), missing("old")]);
    }

    #[test]
    fn a_version_with_a_broken_control_file_says_nothing_of_modules() {
        let case = || {
            case()
                .extension("module_pathname = '$libdir/y'", &function("f", "MODULE_PATHNAME"))
                .file("/pg/share/extension/x--1.0.control", "default_version = '1.0'")
                .functions("/pg/lib/y.so", &["f"])
        };
        assert_eq!(case().run(&MODULE_NOT_FOUND), []);
        let broken = case().file("/pg/share/extension/x.control", "module_pathname = '$libdir/y'\n,");
        assert_eq!(broken.all_scripts().run(&MODULE_NOT_FOUND), []);
    }
}
