use crate::check::{Sink, TreeCx, declare_rule};
use crate::model::DependencyKind;
use crate::name::shown_path;
use crate::resolve::{Edge, LoadErrorKind, Outcome, Probe};
use crate::rules::evidence::{consequence, told_if_first};
use crate::rules::reach::failed_edges;

declare_rule! {
    /// The loader stops at a file that it cannot use as the library it looks for.
    ///
    /// ## What it checks
    ///
    /// The search for every DT_NEEDED and DT_FILTER entry. A file of another machine or word size is skipped; an empty
    /// file, a text file, a directory, a truncated or otherwise unusable file ends the search for good.
    ///
    /// ## Why it matters
    ///
    /// A good copy in a later directory does not help: `LOAD` fails with `file too short`, `invalid ELF header` or
    /// the like. Tools that skip such a file report a dependency as satisfied that is not.
    ///
    /// ## When it fires
    ///
    /// The module's DT_RUNPATH leads to a directory where `libfoo.so` is the linker script of a development package
    /// (`INPUT(libfoo.so.1)`), or where a failed copy left an empty `libfoo.so.1`.
    ///
    /// ## How to fix
    ///
    /// Remove the file or replace it by the library; link with the library's DT_SONAME, not with the name of a linker
    /// script.
    ///
    /// ## What it cannot see
    ///
    /// Damage inside code and data. The same of a file that no search ends at is `unreadable-file`.
    ///
    /// ## References
    ///
    /// glibc elf/dl-load.c `open_verify`, `_dl_map_object_from_fd`; musl ldso/dynlink.c `map_library`.
    pub(crate) static BAD_CANDIDATE = {
        code: "PGS102",
        name: "bad-candidate",
        group: Loader,
        severity: Error,
        check: Tree(check),
    }
}

fn check(cx: &TreeCx<'_>, sink: &mut Sink<'_>) {
    let tree = cx.tree();
    for failed in failed_edges(tree, is_refused) {
        let Err(error) = &failed.first().target else { continue };
        // The last candidate is the one that ended the search. What only mapping it refuses was found all the same.
        let last = failed.first().searched.last();
        let reason = match last {
            Some(Probe { outcome: Outcome::Refused(refusal), .. }) => refusal.to_string(),
            _ => error.message.split_once(": ").map_or(&*error.message, |(_, reason)| reason).to_owned(),
        };
        let path =
            last.map_or_else(|| failed.name().to_string(), |probe| shown_path(&probe.path).to_string());
        let message = format!(
            "The search for {} ends at {path}, which is no usable library ({reason}): {}.",
            failed.entry(tree),
            consequence(failed.file())
        );
        let finding =
            sink.finding(failed.path(tree), failed.name(), message).severity(super::severity(failed.file()));
        let finding = failed.searched(failed.evidence(tree, finding));
        let finding = told_if_first(finding, tree, failed.file(), &error.message);
        // What musl calls its C library is a linker script of glibc's.
        let name = failed.name().as_bytes();
        let is_of_musl = name == b"libc.so" || name.starts_with(b"libc.musl-");
        sink.report(finding.help(if is_of_musl {
            "the file is built for musl: build it for the C library of the server".to_owned()
        } else {
            format!("remove {path}, or put the library itself there")
        }));
    }
}

fn is_refused(edge: &Edge) -> bool {
    matches!(&edge.target, Err(error) if matches!(error.kind, LoadErrorKind::Refused | LoadErrorKind::Unreadable))
        && edge.kind != DependencyKind::Auxiliary
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::rules::testing::{Case, library, module};

    pub(crate) fn firing() -> Case {
        Case::new()
            .object("x.so", &module().needed("libfoo.so.1").runpath("/opt/foo"))
            .file("/opt/foo/libfoo.so.1", "")
            .object("/usr/lib/libfoo.so.1", &library("libfoo.so.1"))
    }

    pub(crate) fn silent() -> Case {
        firing().object("/opt/foo/libfoo.so.1", &library("libfoo.so.1"))
    }

    #[test]
    fn an_empty_file_ends_the_search_although_a_good_one_follows() {
        let finding = firing().one(&BAD_CANDIDATE);
        assert_eq!(
            finding.message,
            "The search for .dynamic[1] DT_NEEDED libfoo.so.1 ends at /opt/foo/libfoo.so.1, which is no usable library \
             (file too short): the server cannot load the module."
        );
        assert_eq!(
            finding.texts("the server"),
            ["ERROR:  could not load library \"/pg/lib/x.so\": /opt/foo/libfoo.so.1: file too short"]
        );
    }

    #[test]
    fn what_is_built_for_musl_is_no_reason_to_remove_a_linker_script() {
        let finding = Case::new()
            .object("x.so", &module().needed("libc.so"))
            .file("/usr/lib/libc.so", "/* GNU ld script */ GROUP ( /lib/libc.so.6 )")
            .one(&BAD_CANDIDATE);
        assert_eq!(finding.help, "the file is built for musl: build it for the C library of the server");
    }

    #[test]
    fn a_program_under_a_librarys_name_is_refused_when_it_is_mapped() {
        let program = library("libfoo.so.1").kind(pgsym_testkit::Kind::PieExecutable);
        let finding = firing().object("/opt/foo/libfoo.so.1", &program).one(&BAD_CANDIDATE);
        assert!(
            finding.message.contains("/opt/foo/libfoo.so.1, which is no usable library (cannot dynamically load position-independent executable)"),
            "{finding:?}"
        );
    }
}
