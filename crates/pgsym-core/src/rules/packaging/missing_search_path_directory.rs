use super::{Concern, concerning, entry, evidence, without};
use crate::check::{ModuleCx, Sink, declare_rule};
use crate::name::shown_path;
use crate::resolve::{Meaning, SearchElement};

declare_rule! {
    /// A search path holds a directory that does not exist.
    ///
    /// ## What it checks
    ///
    /// Elements of DT_RPATH and DT_RUNPATH in the tree's files that lead to no directory.
    ///
    /// ## Why it matters
    ///
    /// Nothing fails by it: the loader tries on. But the element was meant for something, a package that is not
    /// installed or a layout that changed, and each process asks for the directory once.
    ///
    /// ## When it fires
    ///
    /// The module has DT_RUNPATH `/usr/pgsql-15/lib`, left by `pg_config --ldflags` of another system.
    ///
    /// ## How to fix
    ///
    /// Install what belongs there, or write the path without it: `patchelf --set-rpath` with the other elements,
    /// `--remove-rpath` where there are none.
    ///
    /// ## What it cannot see
    ///
    /// Directories that are mounted later. Elements that others may create are `writable-search-path`, leftovers of a
    /// build `build-path-in-search-path`.
    ///
    /// ## References
    ///
    /// glibc elf/dl-load.c `fillin_rpath`, `open_path`; musl ldso/dynlink.c `path_open`.
    pub(crate) static MISSING_SEARCH_PATH_DIRECTORY = {
        code: "PGS505",
        name: "missing-search-path-directory",
        group: Packaging,
        severity: Info,
        check: Module(check),
    }
}

fn check(cx: &ModuleCx<'_>, sink: &mut Sink<'_>) {
    for (element, _) in concerning(cx, |concern| *concern == Concern::Missing) {
        let Meaning::Directory(directory) = &element.meaning else { continue };
        if failed_in(cx, element) {
            continue;
        }
        let plain = shown_path(&directory.resolved).to_string();
        let leads = if plain == element.text.to_string() { String::new() } else { format!(" ({plain})") };
        let message =
            format!("{} has {}{leads}, and there is no such directory.", entry(element), element.text);
        let finding = evidence(cx, element, sink.finding(cx.path(), &element.text, message));
        sink.report(finding.help(format!("install what belongs there, or: {}", without(cx, element))));
    }
}

/// Whether a dependency is missing that was looked for there: then that is the finding, and this its evidence.
fn failed_in(cx: &ModuleCx<'_>, element: &SearchElement) -> bool {
    cx.load().is_some_and(|load| {
        let edges = load.process.load_order().flat_map(|(_, object)| object.edges());
        edges
            .filter(|edge| edge.target.is_err())
            .any(|edge| edge.searched.iter().any(|probe| probe.element.as_ref() == Some(&element.text)))
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::rules::testing::{Case, module};

    pub(crate) fn firing() -> Case {
        Case::new().object("x.so", &module().rpath("$ORIGIN/../private"))
    }

    pub(crate) fn silent() -> Case {
        firing().fs(|fs| fs.directory("/pg/private"))
    }

    #[test]
    fn a_directory_that_is_not_there_is_good_to_know() {
        assert_eq!(
            firing().one(&MISSING_SEARCH_PATH_DIRECTORY).message,
            ".dynamic[1] DT_RPATH has $ORIGIN/../private (/pg/private), and there is no such directory."
        );
    }
}
