use std::collections::HashMap;

use crate::check::{Severity, Sink, TreeCx, declare_rule};
use crate::fs::FileId;
use crate::model::Module;
use crate::name::shown_path;
use crate::resolve::{Libc, Object};
use crate::rules::command::file_word;
use crate::rules::evidence::{base_name, consequence, listed, told};
use crate::rules::reach::judged;
use crate::tree::{Load, Role, TreeFile};

declare_rule! {
    /// An object asks for an executable stack.
    ///
    /// ## What it checks
    ///
    /// PT_GNU_STACK with PF_X, or no PT_GNU_STACK on machines where the stack is then executable by default (x86,
    /// ARM, s390, 32-bit PowerPC), in the tree's files and the libraries that they bring. Nothing is said when the
    /// server's own stack is executable.
    ///
    /// ## Why it matters
    ///
    /// glibc 2.41 and later refuse to `dlopen` such an object: `LOAD` fails. Before, the loader makes the stack of the
    /// whole server process executable, which turns every buffer overflow on it into running code, and SELinux or
    /// systemd's `MemoryDenyWriteExecute` refuses that.
    ///
    /// ## When it fires
    ///
    /// One assembler file without `.section .note.GNU-stack,"",@progbits`, or a nested function in GNU C, is enough
    /// for the linker to mark the whole object.
    ///
    /// ## How to fix
    ///
    /// Link with `-Wl,-z,noexecstack` after adding the note to the assembler files; for a file that cannot be rebuilt,
    /// `patchelf --clear-execstack x.so`, which patchelf has since 0.18, or `execstack -c x.so` of prelink.
    ///
    /// ## What it cannot see
    ///
    /// Whether the code really runs anything on the stack. The tunable `glibc.rtld.execstack=2` lets newer versions
    /// of glibc take the object; it is assumed not to be set.
    ///
    /// ## References
    ///
    /// glibc 2.41 NEWS and elf/dl-load.c `_dl_map_object_from_fd`; sysdeps/*/stackinfo.h `DEFAULT_STACK_PERMS`.
    pub(crate) static EXECUTABLE_STACK = {
        code: "PGS401",
        name: "executable-stack",
        group: Hardening,
        severity: Warning,
        check: Tree(check),
    }
}

/// One object that asks for it, and the files that bring it.
struct Asking<'t> {
    load: &'t Load,
    object: &'t Object,
    files: Vec<&'t TreeFile>,
}

fn check(cx: &TreeCx<'_>, sink: &mut Sink<'_>) {
    let tree = cx.tree();
    let mut found: Vec<Asking<'_>> = Vec::new();
    let mut known: HashMap<FileId, usize> = HashMap::new();
    for (file, load) in judged(tree) {
        let Some(root) = load.root else { continue };
        let program =
            load.process.main().filter(|main| Some(main.id()) != load.process.object(root).map(Object::id));
        if program.is_some_and(|program| asks(program.module()).is_some()) {
            continue;
        }
        for object in load.process.closure(root).into_iter().filter_map(|id| load.process.object(id)) {
            let of_server = tree.process().is_some_and(|server| server.find_file(object.id()).is_some());
            if of_server || asks(object.module()).is_none() {
                continue;
            }
            let at = *known.entry(object.id()).or_insert_with(|| {
                found.push(Asking { load, object, files: Vec::new() });
                found.len() - 1
            });
            found[at].files.push(file);
        }
    }
    for Asking { load, object, files } in found {
        let Some(what) = asks(object.module()) else { continue };
        let file = files[0];
        let of_tree = tree.find(object.id());
        let own = of_tree.map_or(&file.path, |own| &own.path);
        let subject =
            if of_tree.is_some() { String::new() } else { format!("{}: ", shown_path(object.path())) };
        // A program's own stack is the kernel's business, and it grants it.
        let is_refused = load.process.env().libc.is_glibc_since(2, 41) && file.role != Role::Program;
        let leads = if is_refused {
            format!("{} refuses it, so {}", load.process.env().libc, consequence(file))
        } else if load.process.env().libc == Libc::Musl {
            "musl leaves the stack as it is, so code that runs there crashes".to_owned()
        } else {
            "the stack of the whole process becomes executable".to_owned()
        };
        let mut finding = sink
            .finding(own, base_name(object.path()), format!("{subject}{what}: {leads}."))
            .severity(if is_refused { crate::rules::loader::severity(file) } else { Severity::Warning });
        let others: Vec<&&TreeFile> = files.iter().filter(|file| file.path != *own).collect();
        if !others.is_empty() {
            finding = finding.evidence("brought by", listed(others.iter().map(|file| base_name(&file.path))));
        }
        if is_refused {
            let message = format!(
                "{}: cannot enable executable stack as shared object requires: Invalid argument",
                shown_path(object.path())
            );
            finding = told(finding, tree, file, &message);
        }
        sink.report(finding.help(format!(
            "link with -Wl,-z,noexecstack, or: patchelf --clear-execstack {file} (patchelf 0.18 or later; before it, \
             execstack -c {file})",
            file = file_word(object.path())
        )));
    }
}

/// What in a file asks for an executable stack.
fn asks(module: &Module) -> Option<&'static str> {
    module.wants_executable_stack().then(|| match module.elf().and_then(|elf| elf.stack_flags) {
        Some(_) => "PT_GNU_STACK has PF_X",
        None => "no PT_GNU_STACK, which means an executable stack",
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::rules::testing::{Case, library, module};
    use pgsym_testkit::Stack;

    pub(crate) fn firing() -> Case {
        Case::new().object("x.so", &module().stack(Stack::Executable))
    }

    pub(crate) fn silent() -> Case {
        Case::with_glibc("2.41").object("x.so", &module().stack(Stack::NonExecutable))
    }

    #[test]
    fn glibc_2_41_refuses_the_module() {
        let finding = Case::with_glibc("2.41")
            .object("x.so", &module().stack(Stack::Executable))
            .one(&EXECUTABLE_STACK);
        assert_eq!(finding.severity, Severity::Error);
        assert_eq!(
            finding.message,
            "PT_GNU_STACK has PF_X: glibc 2.41 refuses it, so the server cannot load the module."
        );
        assert_eq!(
            finding.texts("the server"),
            [
                "ERROR:  could not load library \"/pg/lib/x.so\": /pg/lib/x.so: cannot enable executable stack as shared \
              object requires: Invalid argument"
            ]
        );
    }

    #[test]
    fn an_older_glibc_makes_the_stack_executable() {
        let finding = firing().one(&EXECUTABLE_STACK);
        assert_eq!(finding.severity, Severity::Warning);
        assert_eq!(
            finding.message,
            "PT_GNU_STACK has PF_X: the stack of the whole process becomes executable."
        );
    }

    #[test]
    fn a_library_that_modules_bring_is_told_once() {
        let case = Case::new()
            .object("/usr/lib/libasm.so.1", &library("libasm.so.1").stack(Stack::Unstated))
            .object("a.so", &module().needed("libasm.so.1"))
            .object("b.so", &module().needed("libasm.so.1"));
        let finding = case.one(&EXECUTABLE_STACK);
        assert_eq!(
            finding.message,
            "/usr/lib/libasm.so.1: no PT_GNU_STACK, which means an executable stack: the stack of the whole \
             process becomes executable."
        );
    }
}
