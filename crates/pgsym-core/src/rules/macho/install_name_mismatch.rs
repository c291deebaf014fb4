use super::support::base;
use crate::check::{ModuleCx, Sink, declare_rule};
use crate::rules::command::file_word;
use crate::tree::Role;

declare_rule! {
    /// A library's install name ends with another name than its file.
    ///
    /// ## What it checks
    ///
    /// The last component of LC_ID_DYLIB against the file's name, for libraries; a symbolic link of that name beside
    /// the file settles it.
    ///
    /// ## Why it matters
    ///
    /// The linker copies the install name into everything that is linked with the library, so that is the name dyld looks
    /// for. Without a file of that name the dependents do not load: the usual end of a package whose symbolic links got
    /// lost on the way (npm and zip files carry none).
    ///
    /// ## When it fires
    ///
    /// `libz.1.3.2.dylib` says that it is `@loader_path/../lib/libz.1.dylib`, and there is no `libz.1.dylib` beside it.
    ///
    /// ## How to fix
    ///
    /// Restore the link, `ln -s libz.1.3.2.dylib libz.1.dylib`, or name the file by its install name.
    ///
    /// ## What it cannot see
    ///
    /// Links that an installer makes later, such as those of a `pg-symlinks.json`.
    ///
    /// ## References
    ///
    /// ld(1) `-install_name`; dyld JustInTimeLoader.cpp `matchesPath`.
    pub(crate) static INSTALL_NAME_MISMATCH = {
        code: "PGS704",
        name: "install-name-mismatch",
        group: Macho,
        severity: Warning,
        check: Module(check),
    }
}

fn check(cx: &ModuleCx<'_>, sink: &mut Sink<'_>) {
    if cx.role() != Role::Library || cx.macho().is_none() || cx.file().has_soname_sibling {
        return;
    }
    let Some(name) = cx.module().and_then(|module| module.soname.as_ref()) else { return };
    let (file, wanted) = (base(cx.path()), base(name.as_path()));
    let message = format!(
        "LC_ID_DYLIB is {name}, and there is no {wanted} beside {file}: what links it looks for {wanted}."
    );
    sink.report(sink.finding(cx.path(), name, message).help(format!(
        "ln -s {} {}",
        file_word(cx.path()),
        file_word(name.as_path())
    )));
}

#[cfg(test)]
pub(crate) mod tests {
    use pgsym_testkit::MachImage;

    use super::*;
    use crate::rules::testing::{CPU, Case};

    pub(crate) fn firing() -> Case {
        Case::mac().image("libz.1.3.dylib", &MachImage::dylib(CPU, "@rpath/libz.1.dylib").export("inflate"))
    }

    pub(crate) fn silent() -> Case {
        firing().fs(|fs| fs.symlink("/pg/lib/libz.1.dylib", "libz.1.3.dylib"))
    }

    #[test]
    fn the_link_that_is_missing_is_named() {
        assert_eq!(firing().one(&INSTALL_NAME_MISMATCH).help, "ln -s libz.1.3.dylib libz.1.dylib");
    }
}
