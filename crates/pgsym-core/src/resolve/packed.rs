//! Relocations in tables that the process's loader does not read: what they would rebase keeps its address from the file,
//! and the first that is called there is a constructor (`call_init`, elf/dl-init.c; musl: `do_init_fini`, ldso/dynlink.c).

use object::elf;

use super::environment::Libc;
use super::process::{ObjectId, Process};
use super::trace::{LoadError, LoadErrorKind};
use crate::model::{Module, ObjectKind};
use crate::name::{Name, path_bytes};

/// A table of packed relocations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PackedTable {
    /// DT_RELR, which glibc reads since 2.36.
    Relr,
    /// DT_ANDROID_REL, DT_ANDROID_RELA or DT_ANDROID_RELR, which only Android's loader reads.
    Android,
}

/// The tables of `lld --pack-dyn-relocs=android` and of its `--use-android-relr-tags`.
const ANDROID: [elf::DynamicTag; 3] = [elf::DT_ANDROID_REL, elf::DT_ANDROID_RELA, elf::DT_ANDROID_RELR];

/// The table of an object that a loader passes over. Which musl reads DT_RELR (1.2.4) cannot be told from its file, so there
/// it is taken to be read.
pub(crate) fn passed_over(module: &Module, libc: Libc) -> Option<PackedTable> {
    if ANDROID.into_iter().any(|tag| module.has_dynamic_entry(tag)) {
        return Some(PackedTable::Android);
    }
    let reads_relr = libc == Libc::Musl || libc.is_glibc_since(2, 36);
    (!reads_relr && module.has_dynamic_entry(elf::DT_RELR)).then_some(PackedTable::Relr)
}

impl Process {
    /// The first of the objects that `root` brought which is called at an address that nothing has rebased.
    pub(super) fn constructor_failure(&self, root: ObjectId, new_from: usize) -> Option<LoadError> {
        self.relocation_order(root, new_from).into_iter().find_map(|id| {
            let (table, object) = (self.unrebased_constructor(id)?, self.object(id)?);
            Some(LoadError {
                message: format!(
                    "{}: {}, and calling it is SIGSEGV",
                    Name::from(path_bytes(object.path())),
                    table.leaves(self.env().libc)
                ),
                kind: LoadErrorKind::Crash,
                requester: Some(id),
            })
        })
    }

    /// The table that alone would rebase a constructor of an object, where its loader passes it over.
    pub(crate) fn unrebased_constructor(&self, id: ObjectId) -> Option<PackedTable> {
        let object = self.object(id)?;
        let module = object.module();
        let table = passed_over(module, self.env().libc)?;
        // A program that is linked to its address has nothing to rebase.
        if module.kind == ObjectKind::Executable {
            return None;
        }
        let again = match module.elf()?.relocations.get() {
            Some(_) => None,
            None => self.reread(object),
        };
        let packed = again.as_ref().unwrap_or(module).elf()?.relocations.get()?.packed_constructors;
        let is_lost = packed.elsewhere && table == PackedTable::Android
            || packed.relr && !(self.env().libc == Libc::Musl || self.env().libc.is_glibc_since(2, 36));
        is_lost.then_some(table)
    }
}

impl PackedTable {
    /// What becomes of a constructor.
    pub(crate) fn leaves(self, libc: Libc) -> String {
        let table = match self {
            Self::Relr => "DT_RELR",
            Self::Android => "Android's packed relocations",
        };
        format!("a constructor's address stands in {table}, which {libc} does not read")
    }
}

#[cfg(all(test, feature = "audit"))]
#[path = "packed_tests.rs"]
mod tests;
