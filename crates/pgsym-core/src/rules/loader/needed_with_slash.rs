use std::path::Path;

use crate::check::{Severity, Sink, TreeCx, declare_rule};
use crate::model::DependencyKind;
use crate::name::Name;
use crate::resolve::{Edge, LoadErrorKind};
use crate::rules::command::{file_word, word};
use crate::rules::evidence::{consequence, needed_entry, told_if_first};
use crate::rules::reach::failed_edges;

declare_rule! {
    /// A DT_NEEDED entry is a path instead of a name.
    ///
    /// ## What it checks
    ///
    /// DT_NEEDED entries with a slash in them. The loader opens such an entry as it stands and searches nowhere.
    ///
    /// ## Why it matters
    ///
    /// A relative path is opened from the server's current directory, which is the data directory: `LOAD` fails.
    /// An absolute path works on the machine that it was linked on and wherever else the file lies in the same place;
    /// DT_RPATH, DT_RUNPATH and LD_LIBRARY_PATH do not apply to it. A path that begins with `$ORIGIN` leads to the
    /// file's own directory and is left alone.
    ///
    /// ## When it fires
    ///
    /// `cc -shared -o x.so x.o ./libfoo.so`, where `libfoo.so` has no DT_SONAME: the linker records `./libfoo.so`.
    ///
    /// ## How to fix
    ///
    /// Link the library with `-Wl,-soname,libfoo.so.1`, then the module with `-L. -lfoo`; or mend the finished file:
    /// `patchelf --replace-needed ./libfoo.so libfoo.so x.so`. The name is then searched like every other one.
    ///
    /// ## What it cannot see
    ///
    /// What lies in the data directory: a relative path counts as missing.
    ///
    /// ## References
    ///
    /// glibc elf/dl-load.c `_dl_map_object` ("the name contains a slash").
    pub(crate) static NEEDED_WITH_SLASH = {
        code: "PGS104",
        name: "needed-with-slash",
        group: Loader,
        severity: Warning,
        check: Tree(check),
    }
}

fn check(cx: &TreeCx<'_>, sink: &mut Sink<'_>) {
    let tree = cx.tree();
    for failed in failed_edges(tree, is_missing_path) {
        let (name, file) = (failed.name(), failed.file());
        let place = if name.as_bytes().starts_with(b"/") {
            "which does not exist"
        } else {
            "below the server's data directory"
        };
        let entry = failed.entry(tree);
        let message = format!("{entry} is a path, {place}, and nothing is searched: {}.", consequence(file));
        let finding = sink.finding(failed.path(tree), name, message).severity(super::severity(file));
        let mut finding = failed.evidence(tree, finding);
        if let Err(error) = &failed.first().target {
            finding = told_if_first(finding, tree, file, &error.message);
        }
        sink.report(finding.help(replace_needed(name, failed.path(tree))));
    }
    for cx in cx.files() {
        let Some(module) = cx.module() else { continue };
        for dependency in
            module.needed().iter().filter(|dependency| dependency.name.as_bytes().starts_with(b"/"))
        {
            let is_found = cx.load().is_some_and(|load| {
                let edges =
                    load.root.and_then(|root| load.process.object(root)).map_or(&[][..], |root| root.edges());
                edges.iter().any(|edge| edge.name == dependency.name && edge.target.is_ok())
            });
            if is_found {
                let message = format!(
                    "{} is a path: the library is used where it lies now and nowhere else, whatever the search paths \
                     say.",
                    needed_entry(dependency)
                );
                let finding = sink.finding(cx.path(), &dependency.name, message).severity(Severity::Warning);
                sink.report(finding.help(replace_needed(&dependency.name, cx.path())));
            }
        }
    }
}

/// The command that leaves the file's name of a path in DT_NEEDED.
fn replace_needed(name: &Name, path: &Path) -> String {
    let last = name.as_path().file_name().map_or(&b""[..], std::ffi::OsStr::as_encoded_bytes);
    format!("patchelf --replace-needed {} {} {}", word(name.as_bytes()), word(last), file_word(path))
}

fn is_missing_path(edge: &Edge) -> bool {
    matches!(&edge.target, Err(error) if error.kind == LoadErrorKind::NotFound)
        && edge.kind != DependencyKind::Auxiliary
        && edge.name.has_slash()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::rules::testing::{Case, library, module};

    pub(crate) fn firing() -> Case {
        Case::new().object("x.so", &module().needed("./libfoo.so"))
    }

    pub(crate) fn silent() -> Case {
        Case::new()
            .object("x.so", &module().needed("$ORIGIN/libfoo.so"))
            .object("libfoo.so", &library("libfoo.so"))
    }

    #[test]
    fn a_relative_path_leads_into_the_data_directory() {
        let finding = firing().one(&NEEDED_WITH_SLASH);
        assert_eq!(finding.severity, Severity::Error);
        assert_eq!(
            finding.message,
            ".dynamic[1] DT_NEEDED ./libfoo.so is a path, below the server's data directory, and nothing is searched: \
             the server cannot load the module."
        );
        assert_eq!(
            finding.texts("the server"),
            [
                "ERROR:  could not load library \"/pg/lib/x.so\": ./libfoo.so: cannot open shared object file: No such \
              file or directory"
            ]
        );
        assert_eq!(finding.help, "patchelf --replace-needed ./libfoo.so libfoo.so x.so");
    }

    #[test]
    fn names_are_quoted_in_the_command() {
        let case = Case::new().object("x; touch PWNED; .so", &module().needed("/opt/$(id)/lib foo.so"));
        assert_eq!(
            case.one(&NEEDED_WITH_SLASH).help,
            "patchelf --replace-needed '/opt/$(id)/lib foo.so' 'lib foo.so' 'x; touch PWNED; .so'"
        );
    }

    #[test]
    fn an_absolute_path_that_exists_is_a_warning() {
        let case = Case::new()
            .object("x.so", &module().needed("/opt/foo/libfoo.so"))
            .object("/opt/foo/libfoo.so", &library("libfoo.so"));
        assert_eq!(case.one(&NEEDED_WITH_SLASH).severity, Severity::Warning);
    }
}
