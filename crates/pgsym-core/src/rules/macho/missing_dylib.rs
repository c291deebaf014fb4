use super::support::{base, consequence, entry_of, missing_libraries, severity, with_search, with_verdict};
use crate::check::{ModuleCx, Sink, declare_rule};

declare_rule! {
    /// A library is not where its path says.
    ///
    /// ## What it checks
    ///
    /// Libraries of the file and of what it brings that are named by `@loader_path`, `@executable_path` or an absolute path,
    /// and that neither lie there nor are the system's. `@rpath` names are told by `unresolved-rpath`, relative ones by
    /// `relative-install-name`.
    ///
    /// ## Why it matters
    ///
    /// One missing library, however deep, and the load fails with `Library not loaded`.
    ///
    /// ## When it fires
    ///
    /// A module needs `@loader_path/../libz.1.dylib`, and the package lost the symbolic link of that name.
    ///
    /// ## How to fix
    ///
    /// Ship the file, or restore the link; `install_name_tool -change` names another place.
    ///
    /// ## What it cannot see
    ///
    /// Links that an installer makes later.
    ///
    /// ## References
    ///
    /// dyld Loader.cpp `getLoader`, JustInTimeLoader.cpp `loadDependents`.
    pub(crate) static MISSING_DYLIB = {
        code: "PGS713",
        name: "missing-dylib",
        group: Macho,
        severity: Error,
        check: Module(check),
    }
}

fn check(cx: &ModuleCx<'_>, sink: &mut Sink<'_>) {
    for missing in missing_libraries(cx) {
        let name = missing.edge.name.as_bytes();
        if name.starts_with(b"@rpath/") || !matches!(name.first(), Some(b'/' | b'@')) {
            continue;
        }
        let asker = base(missing.image.path());
        let message =
            format!("{asker}: {} is not there: {}.", entry_of(missing.image, missing.edge), consequence(cx));
        let finding = sink.finding(cx.path(), &missing.edge.name, message).severity(severity(cx));
        let finding = with_search(finding, missing.process, missing.edge);
        let finding = with_verdict(finding, missing.load, missing.edge.failure.as_deref());
        let leaf = base(missing.edge.name.as_path());
        let name = &missing.edge.name;
        sink.report(finding.help(if name.as_bytes().starts_with(b"/") {
            format!("install what has {name}, or ship {leaf} in the tree and name it by @loader_path")
        } else {
            format!("ship {leaf} at that place, or restore the symbolic link of that name")
        }));
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use pgsym_testkit::MachImage;

    use super::*;
    use crate::rules::testing::{CPU, Case, bundle};

    pub(crate) fn firing() -> Case {
        Case::mac().image("x.so", &bundle().library("@loader_path/../libz.1.dylib"))
    }

    pub(crate) fn silent() -> Case {
        firing()
            .fs(|fs| {
                fs.symlink("/pg/libz.1.dylib", "lib/libz.1.3.dylib")
                    .symlink("/pg/lib/libz.1.dylib", "libz.1.3.dylib")
            })
            .image("libz.1.3.dylib", &MachImage::dylib(CPU, "@loader_path/libz.1.dylib"))
    }

    #[test]
    fn the_message_of_the_server_is_told() {
        let finding = firing().one(&MISSING_DYLIB);
        assert!(
            finding.texts("the server")[0].starts_with(
                "ERROR:  could not load library \"/pg/lib/x.so\": dlopen(/pg/lib/x.so, 0x000A): Library not loaded: \
                 @loader_path/../libz.1.dylib"
            ),
            "{finding:?}"
        );
        assert_eq!(finding.texts("searched")[0], "@loader_path: /pg/lib/../libz.1.dylib: no such file");
    }
}
