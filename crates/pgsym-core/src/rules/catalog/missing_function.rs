use super::support::{LISTED, names, on_functions, server_says};
use crate::check::{Sink, TreeCx, declare_rule};
use crate::extension::{Function, NearExport, Status};
use crate::hash::HashMap;
use crate::name::Shown;
use crate::rules::evidence::count;

declare_rule! {
    /// A script declares a C function that the module does not export.
    ///
    /// ## What it checks
    ///
    /// Each C function that installing the default version creates, also one that a later statement drops or replaces:
    /// whether `dlsym` on the handle of its module finds the link symbol, in the module or in any library
    /// that it brings.
    ///
    /// With `--all-scripts` the other scripts as well: a warning where ALTER EXTENSION UPDATE from an older version, or CREATE
    /// EXTENSION with its VERSION, fails, with the command; a note for scripts that no way to the default version uses.
    ///
    /// ## Why it matters
    ///
    /// CREATE FUNCTION looks the symbol up at once, so CREATE EXTENSION fails, and an update script that drops the
    /// function comes too late: a module must keep the functions of every script that leads to its version, if
    /// only as stubs. It happens when scripts and
    /// module are of different releases, when a linker script or `-fvisibility=hidden` hides the symbol,
    /// and when a build option left the function out.
    ///
    /// ## When it fires
    ///
    /// `CREATE FUNCTION f() … AS 'MODULE_PATHNAME', 'x_f'`, and `x.so` exports `f`.
    ///
    /// ## How to fix
    ///
    /// Export the symbol (PG_FUNCTION_INFO_V1 does so for PostgreSQL 16 and later; before, it needs
    /// PGDLLEXPORT when the default visibility is hidden), or package the scripts of the module's own
    /// release.
    ///
    /// ## What it cannot see
    ///
    /// Functions that code creates at run time. A module that does not load is
    /// module-does-not-load, or the business of the rules on modules: nobody looks for its functions.
    ///
    /// ## References
    ///
    /// PostgreSQL src/backend/catalog/pg_proc.c `fmgr_c_validator`; src/backend/utils/fmgr/dfmgr.c
    /// `load_external_function`.
    pub(crate) static MISSING_FUNCTION = {
        code: "PGS611",
        name: "missing-function",
        group: Catalog,
        severity: Error,
        check: Tree(check),
    }
}

fn check(cx: &TreeCx<'_>, sink: &mut Sink<'_>) {
    for record in cx.tree().inventory().in_scope() {
        let mut declared: HashMap<&[u8], usize> = HashMap::default();
        for function in &record.functions {
            *declared.entry(&function.probin).or_default() += 1;
        }
        let mut instead = Vec::new();
        let findings = on_functions(
            sink,
            record,
            |function| function.status == Status::MissingFunction,
            |functions| {
                instead.push(meant(functions));
                let of = functions.first().and_then(|function| declared.get(&*function.probin));
                format!(
                    "not exported: {}; {} of {} that {} declares in it.",
                    names(functions),
                    functions.len(),
                    count(of.copied().unwrap_or_default(), "function"),
                    Shown(&record.extension.name)
                )
            },
        );
        for ((finding, first), (evidence, help)) in findings.into_iter().zip(instead) {
            let said = first.library.refusal(&first.status, &first.prosrc).unwrap_or_default();
            let finding = server_says(finding, &said);
            let finding =
                evidence.into_iter().fold(finding, |finding, text| finding.evidence("exported", text));
            sink.report(finding.help(match help {
                "" => "export the symbols, or ship scripts and module of one release",
                help => help,
            }));
        }
    }
}

/// What the module exports instead of the first few functions, and what to do then.
fn meant(functions: &[&Function]) -> (Vec<String>, &'static str) {
    let exports = functions.first().map(|function| function.library.near_exports()).unwrap_or_default();
    let mut help = "";
    let mut evidence = Vec::new();
    for function in functions.iter().take(LISTED) {
        let (name, what, advice) = match exports.of(&function.prosrc) {
            Some(NearExport::Mangled(name)) => {
                (name, "the name of C++ for", "declare the functions extern \"C\", or export the symbols")
            }
            Some(NearExport::OtherCase(name)) => {
                let advice = "write the link symbol as the module has it, as the second string behind AS";
                (name, "in another case than", advice)
            }
            Some(NearExport::OtherVersion(name)) => {
                let advice = "give the functions the default version (name@@VERSION), or none: dlsym passes over others";
                (name, "with a version that is not the default one, for", advice)
            }
            None => continue,
        };
        evidence.push(format!("{}, {what} {}", Shown(name), Shown(&function.prosrc)));
        help = if help.is_empty() || help == advice {
            advice
        } else {
            "declare C++ functions extern \"C\", write link symbols as the module has them, and give them no version"
        };
    }
    (evidence, help)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::rules::catalog::support::testing::{Extensions, case, function, server};
    use crate::rules::testing::{Case, module};

    use crate::check::Severity;
    use pgsym_testkit::VersionDefault;

    pub(crate) fn firing() -> Case {
        case().extension("", &function("f", "x")).object("x.so", &module())
    }

    pub(crate) fn silent() -> Case {
        case().extension("", &function("F", "x")).functions("x.so", &["f"])
    }

    #[test]
    fn link_symbols_keep_their_case_and_names_do_not() {
        let script = "CREATE FUNCTION F() RETURNS int LANGUAGE c AS '$libdir/x';
                      CREATE FUNCTION g() RETURNS int LANGUAGE c AS '$libdir/x', 'G';";
        let case = case().extension("", script).functions("/pg/lib/x.so", &["f", "g"]);
        let findings = case.run(&MISSING_FUNCTION);
        assert_eq!(findings.len(), 1);
        assert_eq!(server(&findings[0]), "could not find function \"G\" in file \"/pg/lib/x.so\"");
        assert!(
            findings[0].message.ends_with("1 of 2 functions that x declares in it."),
            "{}",
            findings[0].message
        );
    }

    #[test]
    fn an_export_that_was_meant_is_named() {
        let script = function("f", "x") + &function("GoodF", "x") + &function("h", "x");
        let object = module().export("_Z1fP20FunctionCallInfoBaseData").pg_function("GoodF");
        let case = case().extension("", &script).object("/pg/lib/x.so", &object);
        let finding = case.one(&MISSING_FUNCTION);
        assert_eq!(
            finding.texts("exported"),
            ["_Z1fP20FunctionCallInfoBaseData, the name of C++ for f", "GoodF, in another case than goodf",]
        );
        assert!(finding.help.contains("extern \"C\""), "{:?}", finding.help);
    }

    #[test]
    fn a_function_that_has_a_version_and_no_default_one_is_not_found() {
        let case = |default| {
            let object = module().pg_finfo("f", 1).export_versioned("f", "V1", default);
            case().extension("", &function("f", "x")).object("/pg/lib/x.so", &object)
        };
        let finding = case(VersionDefault::Hidden).one(&MISSING_FUNCTION);
        assert_eq!(server(&finding), "could not find function \"f\" in file \"/pg/lib/x.so\"");
        assert_eq!(finding.texts("exported"), ["f, with a version that is not the default one, for f"]);
        assert_eq!(case(VersionDefault::Default).run(&MISSING_FUNCTION), []);
    }

    #[test]
    fn all_that_one_module_lacks_is_one_finding() {
        let script: String = (0..30).map(|index| function(&format!("f{index}"), "x")).collect();
        let case = case().extension("", &script).object("/pg/lib/x.so", &module());
        let findings = case.run(&MISSING_FUNCTION);
        assert_eq!(findings.len(), 1);
        assert!(findings[0].evidence.iter().any(|evidence| evidence.text == "and 20 more"));
    }

    #[test]
    fn a_function_is_looked_up_when_it_is_created_whatever_becomes_of_it() {
        let old = function("old", "x").replace("'x'", "'x', 'gone'");
        let replaced = function("old", "x").replace("CREATE", "CREATE OR REPLACE");
        for update in ["DROP FUNCTION old();", replaced.as_str()] {
            let case = case()
                .file("/pg/share/extension/x.control", "default_version = '1.1'")
                .file("/pg/share/extension/x--1.0.sql", function("f", "x") + &old)
                .file("/pg/share/extension/x--1.0--1.1.sql", update)
                .functions("/pg/lib/x.so", &["f", "old"]);
            let finding = case.one(&MISSING_FUNCTION);
            assert_eq!(server(&finding), "could not find function \"gone\" in file \"/pg/lib/x.so\"");
            assert_eq!(finding.severity, Severity::Error);
            assert!(finding.texts("declared")[0].ends_with("a later statement drops or replaces"));
        }
        let here = case().extension("", &(old + "DROP FUNCTION old();")).functions("/pg/lib/x.so", &[]);
        assert_eq!(here.run(&MISSING_FUNCTION).len(), 1);
    }

    #[test]
    fn what_update_scripts_lack_is_a_warning_when_asked_for() {
        let case = |files: &[(&str, &str)]| {
            let case = case().extension("", &function("f", "x")).functions("/pg/lib/x.so", &["f"]);
            files.iter().fold(case, |case, (file, symbol)| {
                case.file(&format!("/pg/share/extension/x--{file}.sql"), function(symbol, "x"))
            })
        };
        let update = case(&[("0.9--1.0", "old")]);
        assert_eq!(update.run(&MISSING_FUNCTION), []);
        let finding = update.all_scripts().one(&MISSING_FUNCTION);
        assert_eq!(finding.severity, Severity::Warning);
        assert_eq!(finding.texts("fails"), ["ALTER EXTENSION x UPDATE from version 0.9"]);
        assert!(finding.texts("declared")[0].starts_with("old at /pg/share/extension/x--0.9--1.0.sql:1:1"));
        // One symbol is one cause, whoever lacks it.
        let older = case(&[("0.8", "old"), ("0.8--0.9", "old"), ("0.9--1.0", "older"), ("0.7", "old")]);
        let finding = older.all_scripts().one(&MISSING_FUNCTION);
        assert_eq!(
            finding.texts("fails"),
            [
                "ALTER EXTENSION x UPDATE from version 0.8",
                "CREATE EXTENSION x VERSION '0.8'",
                "ALTER EXTENSION x UPDATE from version 0.9 and 1 other"
            ]
        );
    }

    #[test]
    fn scripts_that_no_way_to_the_default_version_uses_are_a_note() {
        for (file, command) in [
            ("0.8--0.9", "ALTER EXTENSION x UPDATE TO '0.9' from version 0.8"),
            ("0.9", "CREATE EXTENSION x VERSION '0.9'"),
        ] {
            let case = case()
                .extension("", &function("f", "x"))
                .file(&format!("/pg/share/extension/x--{file}.sql"), function("old", "x"))
                .functions("/pg/lib/x.so", &["f"]);
            let finding = case.all_scripts().one(&MISSING_FUNCTION);
            assert_eq!((finding.severity, finding.texts("fails")), (Severity::Info, vec![command]));
        }
    }

    #[test]
    fn what_an_installation_lacks_too_is_told_once() {
        let case = case()
            .extension("", &function("f", "x"))
            .file("/pg/share/extension/x--0.9--1.0.sql", function("g", "x").replace("'x'", "'x', 'f'"))
            .object("/pg/lib/x.so", &module());
        assert_eq!(case.all_scripts().one(&MISSING_FUNCTION).severity, Severity::Error);
    }
}
