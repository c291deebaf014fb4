use super::support::{
    base, consequence, entry_of, missing_libraries, severity, shown, with_search, with_verdict,
};
use crate::check::{ModuleCx, Sink, declare_rule};
use crate::model::SearchPathKind;
use crate::rules::command::file_word;

declare_rule! {
    /// An `@rpath` library is in no directory of the whole LC_RPATH stack.
    ///
    /// ## What it checks
    ///
    /// Every `@rpath/…` library of the file and of what it brings, as dyld looks for it: the LC_RPATHs of the image
    /// that asks, then those of the image that brought it in, and so on up to the program, each with
    /// `@loader_path` meaning the directory of the image that has the LC_RPATH.
    ///
    /// ## Why it matters
    ///
    /// dyld has nowhere else to look: the load fails with `Library not loaded: @rpath/…`. Adding an LC_RPATH to the wrong
    /// file is the usual mistake, because nothing shows the stack.
    ///
    /// ## When it fires
    ///
    /// `libgeos_c.1.dylib` needs `@rpath/libgeos.3.dylib`, and neither it, nor the module, nor `postgres` has an
    /// LC_RPATH whose directory holds that file.
    ///
    /// ## How to fix
    ///
    /// Give the image that asks a search path relative to itself, then sign it again:
    /// `install_name_tool -add_rpath @loader_path libgeos_c.1.dylib && codesign -f -s - libgeos_c.1.dylib`.
    ///
    /// ## What it cannot see
    ///
    /// DYLD_LIBRARY_PATH of the server, unless `--library-path` says it.
    ///
    /// ## References
    ///
    /// dyld Loader.cpp `forEachResolvedAtPathVar`, JustInTimeLoader.cpp `loadDependents`.
    pub(crate) static UNRESOLVED_RPATH = {
        code: "PGS701",
        name: "unresolved-rpath",
        group: Macho,
        severity: Error,
        check: Module(check),
    }
}

fn check(cx: &ModuleCx<'_>, sink: &mut Sink<'_>) {
    for missing in missing_libraries(cx) {
        if !missing.edge.name.as_bytes().starts_with(b"@rpath/") {
            continue;
        }
        let entry = entry_of(missing.image, missing.edge);
        let asker = base(missing.image.path());
        let message = format!("{asker}: {entry} is in no LC_RPATH of its stack: {}.", consequence(cx));
        let mut finding = sink.finding(cx.path(), &missing.edge.name, message).severity(severity(cx));
        let mut told = Vec::new();
        for &id in missing.image.rpath_stack() {
            let Some(image) = missing.process.image(id).filter(|_| !told.contains(&id)) else { continue };
            told.push(id);
            let paths: Vec<String> = image
                .module()
                .into_iter()
                .flat_map(|module| &module.search_paths)
                .filter(|path| path.kind == SearchPathKind::LcRpath)
                .map(|path| path.raw.to_string())
                .collect();
            let paths = if paths.is_empty() { "no LC_RPATH".to_owned() } else { paths.join(", ") };
            finding = finding.evidence("rpath stack", format!("{}: {paths}", shown(image.path())));
        }
        let finding = with_search(finding, missing.process, missing.edge);
        let finding = with_verdict(finding, missing.load, missing.edge.failure.as_deref());
        sink.report(finding.help(format!(
            "install_name_tool -add_rpath @loader_path {file} && codesign -f -s - {file}, with the library beside it",
            file = file_word(missing.image.path())
        )));
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use pgsym_testkit::MachImage;

    use super::*;
    use crate::rules::testing::{CPU, Case, bundle};

    pub(crate) fn firing() -> Case {
        Case::mac()
            .image("x.so", &bundle().rpath("@loader_path/deps").library("@loader_path/deps/a.dylib"))
            .image("deps/a.dylib", &MachImage::dylib(CPU, "@rpath/a.dylib").library("@rpath/gone.dylib"))
    }

    pub(crate) fn silent() -> Case {
        firing().image("deps/gone.dylib", &MachImage::dylib(CPU, "@rpath/gone.dylib"))
    }

    #[test]
    fn the_whole_stack_is_shown() {
        let findings = firing().run(&UNRESOLVED_RPATH);
        let of_module = findings.iter().find(|finding| finding.path.ends_with("x.so")).unwrap();
        assert_eq!(
            of_module.texts("rpath stack"),
            [
                "/pg/lib/deps/a.dylib: no LC_RPATH",
                "/pg/lib/x.so: @loader_path/deps",
                "/pg/bin/postgres: no LC_RPATH"
            ]
        );
        assert!(of_module.texts("the server")[0].contains("Library not loaded: @rpath/gone.dylib"));
        assert!(
            of_module.texts("searched")[0]
                .starts_with("LC_RPATH @loader_path/deps of x.so: /pg/lib/deps/gone")
        );
    }
}
