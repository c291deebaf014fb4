use super::support::on_control;
use crate::check::{Sink, TreeCx, declare_rule};
use crate::name::shown_path;

declare_rule! {
    /// A control file is never read, because an earlier directory has one of the same name.
    ///
    /// ## What it checks
    ///
    /// The directories of extension_control_path (18 and later), as `--extension-control-path` tells them:
    /// whether two of them hold the same extension. A staging tree hides nothing: its files take the place of
    /// the installed ones. Nor does an image volume or a source tree that no setting names: the server's own
    /// default is its own directory alone.
    ///
    /// ## Why it matters
    ///
    /// The first directory wins, for the control file and for the scripts, while the modules are searched
    /// along another setting: half of one release can meet half of another.
    ///
    /// ## When it fires
    ///
    /// `extension_control_path = '/new:$system'`, and both have `hstore.control`.
    ///
    /// ## How to fix
    ///
    /// Keep one of the two, or order the path so that the wanted one comes first.
    ///
    /// ## What it cannot see
    ///
    /// Whether the two are the same release.
    ///
    /// ## References
    ///
    /// PostgreSQL 18 src/backend/commands/extension.c `find_extension_control_filename`.
    pub(crate) static SHADOWED_EXTENSION = {
        code: "PGS615",
        name: "shadowed-extension",
        group: Catalog,
        severity: Warning,
        check: Tree(check),
    }
}

fn check(cx: &TreeCx<'_>, sink: &mut Sink<'_>) {
    for record in cx.tree().inventory().in_scope() {
        for shadowed in &record.extension.shadowed {
            let message = format!("this control file hides {}, which is never read.", shown_path(shadowed));
            let finding = on_control(sink, record, message);
            sink.report(finding.help("keep one of the two, or change extension_control_path"));
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::rules::catalog::support::testing::{Extensions, case};
    use crate::rules::testing::Case;

    pub(crate) fn firing() -> Case {
        case()
            .major(18)
            .roots(&["/pg/share"])
            .extension("", "")
            .file("/pg/lib/new/extension/x.control", "default_version = '2'")
            .file("/pg/lib/new/extension/x--2.sql", "")
            .search(|search| search.extension_control_path = Some("/pg/lib/new:$system".into()))
    }

    pub(crate) fn silent() -> Case {
        case()
            .major(18)
            .roots(&["/pg/share"])
            .extension("", "")
            .file("/pg/lib/new/extension/y.control", "default_version = '2'")
            .file("/pg/lib/new/extension/y--2.sql", "")
            .search(|search| search.extension_control_path = Some("/pg/lib/new:$system".into()))
    }

    #[test]
    fn the_earlier_directory_hides_the_later() {
        let case = case()
            .major(18)
            .extension("", "")
            .file("/pg/new/extension/x.control", "default_version = '2'")
            .file("/pg/new/extension/x--2.sql", "")
            .search(|search| search.extension_control_path = Some("/pg/new:$system".into()));
        let findings = case.run(&SHADOWED_EXTENSION);
        assert_eq!(findings[0].path, std::path::Path::new("/pg/new/extension/x.control"));
        assert!(findings[0].message.contains("/pg/share/extension/x.control"), "{}", findings[0].message);
    }

    #[test]
    fn different_extensions_hide_nothing() {
        let case = case()
            .major(18)
            .extension("", "")
            .file("/pg/new/extension/y.control", "default_version = '2'")
            .file("/pg/new/extension/y--2.sql", "")
            .search(|search| search.extension_control_path = Some("/pg/new:$system".into()));
        assert_eq!(case.run(&SHADOWED_EXTENSION), []);
    }
}
