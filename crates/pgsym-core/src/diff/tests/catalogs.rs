//! Functions that catalogs of databases name.

use super::{compared, lines, of_kind, one};
use crate::check::Severity;
use crate::diff::ChangeKind;
use crate::rules::catalog::support::testing::{Extensions as _, case, function};
use crate::rules::testing::{Case, module};
use crate::tree::ServerChoice;

/// Extension `x` in a version, with a script and a module for the same functions.
pub(super) fn extension(version: &str, functions: &[&str]) -> Case {
    declaring(version, functions).functions("x.so", functions)
}

/// Its files without the module.
fn declaring(version: &str, functions: &[&str]) -> Case {
    let script: String = functions.iter().map(|name| function(name, "MODULE_PATHNAME")).collect();
    case()
        .file(
            "/pg/share/extension/x.control",
            format!("default_version = '{version}'\nmodule_pathname = '$libdir/x'"),
        )
        .file(&format!("/pg/share/extension/x--{version}.sql"), script)
}

fn update(case: Case, from: &str, to: &str) -> Case {
    case.file(&format!("/pg/share/extension/x--{from}--{to}.sql"), "")
}

#[test]
fn a_function_that_databases_have_is_an_error_until_they_are_updated() {
    let new = update(extension("1.1", &["g"]), "1.0", "1.1");
    let found = compared(extension("1.0", &["f", "g"]), new);
    assert_eq!(
        lines(&found),
        [
            "x.so: catalog-function error",
            "x: default-version info",
            "x: versions-removed info",
            "x: versions-added info"
        ]
    );
    let change = of_kind(&found, ChangeKind::CatalogFunction);
    assert_eq!(
        change.message,
        "Not exported any more: f; 1 of 2 C functions that x 1.0 has in it. In a database that has x 1.0 the next call of \
         it fails, until ALTER EXTENSION x UPDATE."
    );
    assert_eq!(
        change.texts("the server"),
        ["ERROR:  could not find function \"f\" in file \"/pg/lib/x.so\""]
    );
    assert_eq!(change.texts("declared"), ["f at /pg/share/extension/x--1.0.sql:1:1"]);
    assert_eq!(change.shown_names(), ["f"]);
}

#[test]
fn the_same_version_has_no_update_that_helps() {
    let found = compared(extension("1.0", &["f", "g"]), extension("1.0", &["g"]));
    let change = of_kind(&found, ChangeKind::CatalogFunction);
    assert!(change.message.ends_with("fails, and no ALTER EXTENSION UPDATE helps: the version is the same."));
    let still = declaring("1.0", &["f", "g"]).functions("x.so", &["g"]);
    let change = one(extension("1.0", &["f", "g"]), still);
    assert!(change.message.ends_with("and so does CREATE EXTENSION of the new build."), "{}", change.message);
}

#[test]
fn a_function_that_the_new_scripts_make_on_the_way_fails_there_too() {
    // CREATE EXTENSION runs the old install script, and the update that drops the function.
    let new = declaring("1.0", &["f", "g"])
        .file("/pg/share/extension/x.control", "default_version = '1.1'\nmodule_pathname = '$libdir/x'")
        .file("/pg/share/extension/x--1.0--1.1.sql", "DROP FUNCTION f();")
        .functions("x.so", &["g"]);
    let change = of_kind(&compared(extension("1.0", &["f", "g"]), new), ChangeKind::CatalogFunction);
    assert!(
        change.message.ends_with(
            "until ALTER EXTENSION x UPDATE. CREATE EXTENSION, which makes it on the way, fails too."
        ),
        "{}",
        change.message
    );
}

#[test]
fn functions_that_stay_are_no_change_whatever_the_scripts_do() {
    // The module keeps what the old version needs, as it should.
    let new = update(declaring("1.1", &["g"]).functions("x.so", &["f", "g"]), "1.0", "1.1");
    let found = compared(extension("1.0", &["f", "g"]), new);
    assert!(found.changes().all(|change| change.severity == Severity::Info), "{found:#?}");
}

#[test]
fn a_module_that_is_gone_cannot_be_accessed() {
    let found = compared(extension("1.0", &["f"]), declaring("1.0", &["f"]));
    assert_eq!(lines(&found), ["x.so: catalog-function error", "x.so: removed info"]);
    assert_eq!(
        of_kind(&found, ChangeKind::CatalogFunction).texts("the server"),
        ["ERROR:  could not access file \"$libdir/x\": No such file or directory"]
    );
}

#[test]
fn pg_upgrade_asks_for_the_name_that_the_catalog_has() {
    // CREATE FUNCTION of 18 leaves `$libdir/` out, LOAD does not.
    let under_18 = |settings: &mut crate::tree::Settings| settings.server = ServerChoice::Version(18);
    let found = compared(extension("1.0", &["f"]), declaring("1.0", &["f"]).settings(under_18));
    let change = of_kind(&found, ChangeKind::CatalogFunction);
    assert!(change.message.contains("pg_upgrade"), "{}", change.message);
    assert_eq!(
        change.texts("the server"),
        ["ERROR:  could not access file \"$libdir/x\": No such file or directory"]
    );
}

#[test]
fn a_module_under_a_new_name_is_compared_and_missed_under_the_old_one() {
    let script = function("f", "MODULE_PATHNAME");
    let of = |version: &str| {
        case()
            .file(
                "/pg/share/extension/x.control",
                format!("default_version = '{version}'\nmodule_pathname = '$libdir/x-{version}'"),
            )
            .file(&format!("/pg/share/extension/x--{version}.sql"), script.clone())
            .functions(&format!("x-{version}.so"), &["f"])
    };
    let found = compared(of("3.1"), update(of("3.2"), "3.1", "3.2"));
    assert_eq!(
        lines(&found)[..2],
        ["x-3.2.so: catalog-function error".to_owned(), "x-3.2.so: renamed info".to_owned()]
    );
    let change = of_kind(&found, ChangeKind::CatalogFunction);
    assert!(change.message.starts_with("$libdir/x-3.1 is gone: f; the one C function"), "{}", change.message);
    // With the old file beside the new one nothing fails.
    let kept = update(of("3.2"), "3.1", "3.2").functions("x-3.1.so", &["f"]);
    let found = compared(of("3.1"), kept);
    assert!(found.changes().all(|change| change.severity == Severity::Info), "{found:#?}");
}

#[test]
fn a_record_that_is_gone_or_unknown_is_an_error() {
    let new = |object| declaring("1.0", &["f"]).object("x.so", &object);
    let found = compared(extension("1.0", &["f"]), new(module().export("f")));
    assert_eq!(
        of_kind(&found, ChangeKind::CatalogFunction).texts("the server"),
        ["ERROR:  could not find function information for function \"f\""]
    );
    assert_eq!(lines(&found), ["x.so: catalog-function error"]);
    let found = compared(extension("1.0", &["f"]), new(module().export("f").pg_finfo("f", 2)));
    let change = of_kind(&found, ChangeKind::CatalogFunction);
    assert_eq!(change.severity, Severity::Error);
    assert!(change.texts("the server")[0].contains("API version 2"), "{change:#?}");
}

#[test]
fn what_did_not_work_before_is_nothing_new() {
    let broken = || declaring("1.0", &["f", "g"]).functions("x.so", &["g"]);
    assert_eq!(lines(&compared(broken(), broken())), [""; 0]);
    assert_eq!(
        lines(&compared(broken(), declaring("1.0", &["f", "g"]).functions("x.so", &["g", "h"]))),
        ["x.so: function-added info"]
    );
}

#[test]
fn functions_of_older_versions_are_a_warning_that_names_them() {
    let old = || {
        extension("1.1", &["g"])
            .file("/pg/share/extension/x--1.0.sql", function("f", "MODULE_PATHNAME"))
            .functions("x.so", &["f", "g"])
    };
    let new =
        extension("1.1", &["g"]).file("/pg/share/extension/x--1.0.sql", function("f", "MODULE_PATHNAME"));
    let change = one(old(), new);
    assert_eq!((change.kind, change.severity), (ChangeKind::FunctionRemoved, Severity::Warning));
    assert_eq!(change.texts("declared by"), ["x 1.0: f"]);
}

#[test]
fn two_modules_by_themselves_are_asked_through_the_installed_scripts() {
    // The installed module with its scripts, and a build that lies anywhere.
    let old = extension("1.0", &["f", "g"]).roots(&["/pg/lib/x.so"]);
    let new = |functions: &[&str]| {
        Case::new()
            .functions("/build/x.so", functions)
            .roots(&["/build/x.so"])
            .settings(|settings| settings.server = ServerChoice::DetectOr("/pg".into()))
    };
    let found = compared(old.clone(), new(&["g"]));
    assert_eq!(lines(&found), ["x.so: catalog-function error"]);
    assert_eq!(
        of_kind(&found, ChangeKind::CatalogFunction).texts("the server"),
        ["ERROR:  could not find function \"f\" in file \"/build/x.so\""]
    );
    assert_eq!(lines(&compared(old, new(&["f", "g"]))), [""; 0]);
}

#[test]
fn a_table_that_cannot_be_read_loses_no_function() {
    // DT_SYMTAB.
    let damaged = module().pg_function("f").damage(pgsym_testkit::Damage::Dynamic(6, 0x7fff_0000));
    let found = compared(extension("1.0", &["f"]), declaring("1.0", &["f"]).object("x.so", &damaged));
    assert!(!found.changes().any(|change| change.kind == ChangeKind::CatalogFunction), "{found:#?}");
    assert!(found.uncompared.iter().any(|one| one.what == "the functions in $libdir/x"), "{found:#?}");
}
