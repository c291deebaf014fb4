//! Room in the static TLS block, which relocations with an offset from the thread pointer want: the program and its
//! libraries have what they need, and what comes later shares a small reserve, or has none.

use std::collections::BTreeSet;

use object::elf;

use super::bind::{Reference, goes_through_the_scope};
use super::environment::Libc;
use super::process::{ObjectId, Process};
use super::relocation::{relocations_of, shown};
use super::trace::{LoadError, LoadErrorKind};
use crate::model::Module;
use crate::name::Shown;

/// Bytes of static TLS that glibc keeps for objects that come after the start of the program: TLS_STATIC_SURPLUS with the
/// tunables' defaults, (4 - 1) · 192 + 4 · 144 + 512, which is also the 64 + 16 · 100 of releases before 2.33
/// (`_dl_tls_static_surplus_init`, elf/dl-tls.c).
pub(crate) const STATIC_TLS_SURPLUS: u64 = 1_664;

/// What no object finds room for: the alignment of the program's own block leaves less than 64 bytes beyond the surplus.
/// Measured with PostgreSQL 15 on glibc 2.36: 1710 bytes load, 1720 do not.
pub(crate) const STATIC_TLS_RESERVE: u64 = STATIC_TLS_SURPLUS + 64;

/// TLS_TCB_ALIGN of x86-64, the largest of all machines: the alignment of glibc's `struct pthread`.
const THREAD_ALIGN: u64 = 64;

impl Process {
    /// The object whose thread-local variables the relocations of another want in the static TLS block: the one that
    /// defines what the first of them names (CHECK_STATIC_TLS of `elf_machine_rela`), or itself. A flag alone wants nothing.
    fn static_tls_owner(&self, id: ObjectId) -> Option<ObjectId> {
        let object = self.object(id)?;
        let module = object.module();
        let again = match relocations_of(module) {
            Some(_) => None,
            None if module.elf()?.flags & elf::DF_STATIC_TLS.0 != 0 => self.reread(object),
            None => return None,
        };
        let symbol = relocations_of(again.as_ref().unwrap_or(module))?.first_static_tls?;
        let symbol = module.symbols.get()?.get(symbol).filter(|symbol| symbol.index != 0);
        let Some(symbol) = symbol.filter(|&symbol| goes_through_the_scope(symbol)) else { return Some(id) };
        let scope = self.scope(id, self.itself_first(id));
        Some(self.bind_in(&scope, id, Reference { symbol, usage: None })?.object)
    }

    /// The objects that came after the start and before the objects from `new_from` on, as far as they lie in the static
    /// TLS block.
    pub(super) fn static_tls_before(&self, new_from: usize) -> BTreeSet<ObjectId> {
        let started = self.started();
        let earlier =
            self.load_order().map(|(id, _)| id).filter(|id| id.index() < new_from && !started.contains(id));
        earlier.filter_map(|id| self.static_tls_owner(id)).filter(|owner| !started.contains(owner)).collect()
    }

    /// The alignment of the static TLS block: that of the thread's own data, or what an object of the start asks for
    /// (`_dl_determine_tlsoffset`, elf/dl-tls.c). Nobody who comes later is served with more, whatever room there is.
    pub(crate) fn static_tls_align(&self) -> u64 {
        let started =
            self.started().iter().filter_map(|&id| Some(self.object(id)?.module().elf()?.tls?.align));
        started.fold(THREAD_ALIGN, u64::max)
    }

    /// A relocation with an offset from the thread pointer wants room in the static TLS block
    /// (`_dl_try_allocate_static_tls`, elf/dl-reloc.c). musl has none for what comes after the start (`do_relocs`).
    pub(super) fn no_static_tls(&self, id: ObjectId, taken: &mut BTreeSet<ObjectId>) -> Option<LoadError> {
        let owner = self.static_tls_owner(id).filter(|owner| !self.started().contains(owner))?;
        taken.insert(owner);
        let path = |id| self.object(id).map(shown).unwrap_or_default();
        let message = match self.env().libc {
            Libc::Glibc(..) => {
                let align = |id: ObjectId| Some(self.object(id)?.module().elf()?.tls?.align);
                let is_aligned = align(owner) <= Some(self.static_tls_align());
                let sizes = taken.iter().filter_map(|&id| tls_bytes(self.object(id)?.module()));
                if is_aligned && sizes.fold(0, u64::saturating_add) < STATIC_TLS_RESERVE {
                    return None;
                }
                format!("{}: cannot allocate memory in static TLS block", path(owner))
            }
            Libc::Musl => {
                let module = self.object(id)?.module();
                let symbol = relocations_of(module).and_then(|relocations| relocations.first_static_tls);
                let symbol = symbol.and_then(|symbol| module.symbols.get()?.get(symbol));
                let name = symbol
                    .filter(|symbol| symbol.index != 0)
                    .map_or_else(|| "(local)".to_owned(), |symbol| Shown(symbol.name()).to_string());
                format!(
                    "Error relocating {}: {name}: initial-exec TLS resolves to dynamic definition in {}",
                    path(id),
                    path(owner)
                )
            }
        };
        Some(LoadError { message, kind: LoadErrorKind::StaticTls, requester: Some(id) })
    }
}

/// The bytes of an object's thread-local variables, their alignment included.
fn tls_bytes(module: &Module) -> Option<u64> {
    let tls = module.elf()?.tls?;
    Some(tls.size.checked_next_multiple_of(tls.align.max(1)).unwrap_or(tls.size).min(u64::from(u32::MAX)))
}
