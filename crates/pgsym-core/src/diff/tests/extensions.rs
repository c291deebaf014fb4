//! Control files and scripts.

use super::{compared, lines, of_kind, one};
use crate::check::Severity;
use crate::diff::{Change, ChangeKind};
use crate::rules::catalog::support::testing::{Extensions as _, case, function};
use crate::rules::testing::Case;

/// Extension `x` with a control file and empty scripts.
fn with(control: &str, scripts: &[&str]) -> Case {
    let case = case().file("/pg/share/extension/x.control", control);
    scripts.iter().fold(case, |case, script| case.file(&format!("/pg/share/extension/{script}.sql"), ""))
}

#[test]
fn an_extension_that_is_gone_cannot_be_created() {
    let change = one(with("default_version = 1", &["x--1"]), case());
    assert_eq!((change.kind, change.severity), (ChangeKind::ExtensionRemoved, Severity::Error));
    assert_eq!(change.texts("the server"), ["ERROR:  extension \"x\" is not available"]);
    let change = one(case(), with("default_version = 1", &["x--1"]));
    assert_eq!((change.kind, change.severity), (ChangeKind::ExtensionAdded, Severity::Info));
}

#[test]
fn an_extension_that_cannot_be_created_any_more_is_an_error() {
    let found = compared(with("default_version = 1", &["x--1"]), with("default_version = 1", &[]));
    assert_eq!(lines(&found), ["x: installable error", "x: versions-removed info"]);
    let change = of_kind(&found, ChangeKind::Installable);
    assert!(change.texts("the server")[0].contains("has no installation script"), "{change:#?}");
}

#[test]
fn a_new_version_needs_a_way_from_the_old_one() {
    let old = || with("default_version = 1.0", &["x--1.0"]);
    let found = compared(old(), with("default_version = 1.1", &["x--1.1"]));
    assert_eq!(
        lines(&found),
        [
            "x: update-path error",
            "x: default-version info",
            "x: versions-removed info",
            "x: versions-added info"
        ]
    );
    let change = of_kind(&found, ChangeKind::UpdatePath);
    assert_eq!(
        change.texts("the server"),
        ["ERROR:  extension \"x\" has no update path from version \"1.0\" to version \"1.1\""]
    );
    assert_eq!(change.help, "ship x--1.0--1.1.sql");
    let found = compared(old(), with("default_version = 1.1", &["x--1.0", "x--1.0--1.1"]));
    assert_eq!(lines(&found), ["x: default-version info", "x: versions-added info"]);
}

#[test]
fn what_leads_from_the_old_default_version_to_the_new_one_must_run() {
    let old = || with("default_version = 1.0", &["x--1.0"]);
    let update = |script: &str| {
        let new =
            with("default_version = 1.2", &["x--1.0", "x--1.1", "x--1.1--1.2", "x--1.2", "x--0.9--1.0"]);
        let new = new.functions("/pg/lib/x.so", &["f"]).file("/pg/share/extension/x--1.0--1.1.sql", script);
        let found = compared(old(), new.file("/pg/share/extension/x--0.9--1.0.sql", "VACUUM"));
        let fails = found.changes().filter(|change| change.kind == ChangeKind::UpdateFails);
        let fails: Vec<&Change> = fails.collect();
        assert!(fails.iter().all(|change| change.severity == Severity::Error));
        fails.first().map(|change| change.texts("the server")[0].to_owned())
    };
    for (script, said) in [
        ("SELECT 1; CREATE FUNCTION (;", "syntax error at or near \"(\""),
        ("VACUUM", "VACUUM cannot be executed from a function"),
        ("CREATE FUNCTION g() RETURNS int LANGUAGE 'C' AS 'x'", "language \"C\" does not exist"),
        (&function("g", "x"), "could not find function \"g\" in file \"/pg/lib/x.so\""),
        ("LOAD '$libdir/y'; VACUUM;", "could not access file \"$libdir/y\": No such file or directory"),
        (
            "CREATE FUNCTION f() RETURNS int LANGUAGE c AS '$libdir/y'",
            "could not access file \"$libdir/y\": No such file or directory",
        ),
    ] {
        assert_eq!(update(script).as_deref(), Some(&*format!("ERROR:  {said}")), "{script}");
    }
    for script in ["SELECT 1", "CREATE FUNCTION g() RETURNS int LANGUAGE plperl AS ''", &function("f", "x")] {
        assert_eq!(update(script), None, "{script}");
    }
}

#[test]
fn older_versions_that_lose_their_way_are_a_warning() {
    let old = || with("default_version = 1.1", &["x--1.1", "x--1.0--1.1", "x--unpackaged--1.1"]);
    let change = one(old(), with("default_version = 1.1", &["x--1.1"]));
    assert_eq!((change.kind, change.severity), (ChangeKind::UpdatePath, Severity::Warning));
    assert_eq!(change.shown_names(), ["1.0"]);
}

#[test]
fn parameters_say_who_can_do_what() {
    let scripts = ["x--1"];
    for (old, new, line) in [
        ("module_pathname = '$libdir/x'", "module_pathname = '$libdir/y'", "x: module-pathname info"),
        ("", "requires = 'plpgsql'", "x: requires warning"),
        ("requires = 'plpgsql'", "", "x: requires info"),
        ("superuser = false", "superuser = true", "x: superuser warning"),
        ("superuser = true", "superuser = false", "x: superuser info"),
        ("trusted = true", "", "x: trusted warning"),
        ("", "trusted = true", "x: trusted info"),
        ("relocatable = true", "", "x: relocatable warning"),
        ("", "relocatable = true", "x: relocatable info"),
        ("", "schema = s", "x: schema warning"),
        ("schema = s", "", "x: schema info"),
        ("comment = 'one'", "comment = 'two'", ""),
    ] {
        let of = |control: &str| with(&format!("default_version = 1\n{control}"), &scripts);
        let expected: &[&str] = if line.is_empty() { &[] } else { &[line] };
        assert_eq!(lines(&compared(of(old), of(new))), expected, "{old:?} {new:?}");
    }
}

#[test]
fn the_parameters_are_those_of_the_default_version() {
    let of = |secondary: &str| {
        with("default_version = 1", &["x--1"]).file("/pg/share/extension/x--1.control", secondary)
    };
    assert_eq!(lines(&compared(of(""), of("trusted = true"))), ["x: trusted info"]);
}

#[test]
fn a_side_that_has_only_modules_says_nothing_of_extensions() {
    let old = with("default_version = 1", &["x--1"]);
    let new = Case::new().roots(&["/pg/lib"]).settings(|settings| {
        settings.server = crate::tree::ServerChoice::None;
    });
    let found = compared(old, new);
    assert!(found.extensions.is_empty(), "{found:#?}");
}
