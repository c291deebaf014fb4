use std::io::ErrorKind;

use super::support::{Concern, Scripts, by_concern, name_root, place, server_says, staged_root};
use crate::check::{Severity, Sink, TreeCx, declare_rule};
use crate::error::FileErrorKind;
use crate::extension::ScriptRecord;
use crate::name::{Shown, shown_path};

declare_rule! {
    /// A script that installing the default version runs cannot be read.
    ///
    /// ## What it checks
    ///
    /// The files of the chain: symbolic links that lead nowhere, directories in the place of scripts, and files
    /// without read permission. Files, and CREATE FUNCTION statements, over the bounds that pgsym sets itself are a
    /// warning: the server takes a script of up to 1 GB.
    ///
    /// With `--all-scripts` the other scripts as well: a warning where ALTER EXTENSION UPDATE from an older version, or CREATE
    /// EXTENSION with its VERSION, fails, with the command; a note for scripts that no way to the default version uses.
    ///
    /// ## Why it matters
    ///
    /// The server finds the script by its name and stops when it opens it. A symbolic link into a package
    /// that is not installed is the usual cause.
    ///
    /// ## When it fires
    ///
    /// `x--1.0.sql -> ../x-common/x--1.0.sql`, where there is no `x-common`.
    ///
    /// ## How to fix
    ///
    /// Ship the file the link means, or the content itself.
    ///
    /// ## What it cannot see
    ///
    /// Whether the server's user may read the file, beyond its permission bits.
    /// What the server reads from a FIFO or a device other than `/dev/null`, which is an empty script. An absolute link into the
    /// staging tree that it stands in is a warning: it leads somewhere once the tree is installed.
    ///
    /// ## References
    ///
    /// PostgreSQL src/backend/commands/extension.c `read_extension_script_file`.
    pub(crate) static UNREADABLE_SCRIPT = {
        code: "PGS621",
        name: "unreadable-script",
        group: Catalog,
        severity: Error,
        check: Tree(check),
    }
}

fn check(cx: &TreeCx<'_>, sink: &mut Sink<'_>) {
    for record in cx.tree().inventory().in_scope() {
        let scripts = Scripts::new(record);
        for script in by_concern(record) {
            let concern = Concern::of(script);
            let weigh = |finding| scripts.weigh(finding, concern, std::iter::once(&*script.path));
            let error = match &script.script {
                Ok(read) => {
                    if let Some(position) = read.unread {
                        let at = place(&script.path, position);
                        let message = format!("{at} has more tokens than pgsym reads of one statement.");
                        let finding = sink.finding(&script.path, Shown(&record.extension.name), message);
                        sink.report(weigh(finding.severity(Severity::Warning)));
                    }
                    continue;
                }
                Err(error) => error,
            };
            let message = format!("the script cannot be read: {}.", error.message);
            let finding = sink.finding(&script.path, Shown(&record.extension.name), message);
            // What only pgsym's own bound keeps unread may be fine.
            let (severity, finding) = match error.kind {
                FileErrorKind::Limit => (Severity::Warning, finding),
                _ => {
                    if let Some(root) = staged_root(cx, &script.path) {
                        sink.report(weigh(finding.severity(Severity::Warning)).help(name_root(&root)));
                        continue;
                    }
                    let Some(said) = said(script) else {
                        sink.report(weigh(finding.severity(Severity::Warning)).help("ship a regular file"));
                        continue;
                    };
                    (Severity::Error, server_says(finding, &said))
                }
            };
            sink.report(weigh(finding.severity(severity)).help("ship the file, or what the link leads to"));
        }
    }
}

/// What the server says of a script that it cannot read; nothing where it may read it.
pub(crate) fn said(script: &ScriptRecord) -> Option<String> {
    let error = script.script.as_ref().err()?;
    let path = shown_path(&script.path);
    // stat, fopen, fread: the first that fails speaks. What other devices say is not known.
    let doing = match error.kind {
        FileErrorKind::Limit | FileErrorKind::NotRegular => return None,
        FileErrorKind::Io(ErrorKind::NotFound | ErrorKind::NotADirectory) | FileErrorKind::LinkLoop => {
            format!("stat file \"{path}\"")
        }
        FileErrorKind::Io(ErrorKind::IsADirectory) => format!("read file \"{path}\""),
        _ => format!("open file \"{path}\" for reading"),
    };
    Some(format!("could not {doing}: {}", error.message))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::rules::catalog::support::testing::{case, server};
    use crate::rules::testing::Case;

    pub(crate) fn firing() -> Case {
        case()
            .file("/pg/share/extension/x.control", "default_version = '1.0'")
            .fs(|fs| fs.symlink("/pg/share/extension/x--1.0.sql", "../nothing.sql"))
    }

    pub(crate) fn silent() -> Case {
        case()
            .file("/pg/share/extension/x.control", "default_version = '1.0'")
            .fs(|fs| fs.symlink("/pg/share/extension/x--1.0.sql", "x--ANY.sql"))
            .file("/pg/share/extension/x--ANY.sql", "")
    }

    #[test]
    fn a_link_that_leads_nowhere_is_told() {
        let case = case()
            .file("/pg/share/extension/x.control", "default_version = '1.0'")
            .fs(|fs| fs.symlink("/pg/share/extension/x--1.0.sql", "../nothing.sql"));
        let findings = case.run(&UNREADABLE_SCRIPT);
        assert_eq!(findings.len(), 1);
        let said = "could not stat file \"/pg/share/extension/x--1.0.sql\": No such file or directory";
        assert_eq!(server(&findings[0]), said);
    }

    #[test]
    fn the_call_that_fails_first_speaks() {
        let linked = |target: &str| {
            case().file("/pg/share/extension/x.control", "default_version = '1.0'").fs(|fs| {
                fs.symlink("/pg/share/extension/x--1.0.sql", target).special("/dev/null").special("/fifo")
            })
        };
        let path = "/pg/share/extension/x--1.0.sql";
        for (target, said) in [
            ("x--1.0.sql", format!("could not stat file \"{path}\": Too many levels of symbolic links")),
            ("/pg/lib", format!("could not read file \"{path}\": Is a directory")),
        ] {
            assert_eq!(server(&linked(target).one(&UNREADABLE_SCRIPT)), said, "{target}");
        }
        assert_eq!(linked("/fifo").one(&UNREADABLE_SCRIPT).severity, Severity::Warning);
        // The server reads no byte and is content.
        assert_eq!(linked("/dev/null").run(&UNREADABLE_SCRIPT), []);
    }

    #[test]
    fn an_absolute_link_into_its_own_stage_is_no_error() {
        let finding = case()
            .file("/stage/usr/share/extension/x.control", "default_version = '1.0'")
            .fs(|fs| fs.symlink("/stage/usr/share/extension/x--1.0.sql", "/usr/share/x/x.sql"))
            .file("/stage/usr/share/x/x.sql", "")
            .roots(&["/stage"])
            .one(&UNREADABLE_SCRIPT);
        assert_eq!(
            (finding.severity, &*finding.help),
            (Severity::Warning, "name the tree as the root of its paths: --root /stage")
        );
    }

    #[test]
    fn a_script_beyond_the_bound_is_a_warning() {
        let script = vec![b' '; usize::try_from(crate::limits::SCRIPT_BYTES).unwrap() + 1];
        let case = case()
            .file("/pg/share/extension/x.control", "default_version = '1.0'")
            .file("/pg/share/extension/x--1.0.sql", script);
        assert_eq!(case.run(&UNREADABLE_SCRIPT)[0].severity, Severity::Warning);
    }

    #[test]
    fn a_statement_beyond_the_bound_is_a_warning() {
        let body = "SELECT 1; ".repeat(crate::limits::STATEMENT_TOKENS / 2);
        let script = format!("CREATE FUNCTION f() RETURNS int BEGIN ATOMIC {body} END;");
        let case = case()
            .file("/pg/share/extension/x.control", "default_version = '1.0'")
            .file("/pg/share/extension/x--1.0.sql", script);
        let findings = case.run_all();
        assert_eq!(
            findings.iter().map(|finding| finding.severity).max(),
            Some(Severity::Warning),
            "{findings:#?}"
        );
        assert_eq!(case.run(&UNREADABLE_SCRIPT).len(), 1);
    }

    #[test]
    fn a_link_that_leads_to_the_script_is_fine() {
        let case = case()
            .file("/pg/share/extension/x.control", "default_version = '1.0'")
            .fs(|fs| fs.symlink("/pg/share/extension/x--1.0.sql", "x--ANY.sql"))
            .file("/pg/share/extension/x--ANY.sql", "");
        assert_eq!(case.run(&UNREADABLE_SCRIPT), []);
    }
}
