//! The end of a `dlopen`: every object that it brought is relocated, and the first thing that cannot be done is what
//! `dlerror` tells (`dl_open_worker_begin`, elf/dl-open.c; `_dl_relocate_object`, elf/dl-reloc.c; musl: `reloc_all`,
//! ldso/dynlink.c). Some of it has no error message: then the process ends.

use std::cell::OnceCell;
use std::collections::BTreeSet;

use object::elf;

use super::bind::{Binding, Reference, is_usable_kind, references};
use super::environment::Libc;
use super::process::{Object, ObjectId, Process};
use super::scope::NameIndex;
use super::trace::{LoadError, LoadErrorKind};
use super::versions::{VersionMatch, checks_of};
use crate::fs::FileId;
use crate::model::{Module, Relocations, Symbol, SymbolUse};
use crate::name::{Name, Shown, path_bytes};
use crate::parse::elf::memory::loses_a_page;

impl Process {
    /// What relocating the objects that `root` brought ends at, in the loader's words.
    pub(super) fn relocation_failure(&self, root: ObjectId, new_from: usize) -> Option<LoadError> {
        let order = self.relocation_order(root, new_from);
        if let Some(error) = order.iter().find_map(|&id| self.cut_off(id)) {
            return Some(error);
        }
        let rest = Rest { process: self, root, index: OnceCell::new(), files: OnceCell::new() };
        let mut static_tls = self.static_tls_before(new_from);
        order.into_iter().find_map(|id| {
            self.assertion(id, &rest)
                .or_else(|| self.undefined(id, &rest))
                .or_else(|| self.unannounced_text(id))
                .or_else(|| self.no_static_tls(id, &mut static_tls))
        })
    }

    /// A file that ends before its segments do. Relocating touches the pages of the writable one; whether anything touches the
    /// missing pages of another, only running it tells.
    fn cut_off(&self, id: ObjectId) -> Option<LoadError> {
        let object = self.object(id)?;
        let module = object.module();
        let loads = module.elf()?.segments.iter().filter(|segment| segment.kind == elf::PT_LOAD.0);
        let mut lost =
            loads.filter(|segment| segment.file_size > 0 && loses_a_page(segment, module.len)).peekable();
        lost.peek()?;
        let (kind, what) = if lost.any(|segment| segment.flags & elf::PF_W.0 != 0) {
            (LoadErrorKind::Crash, "touching what is missing is SIGBUS")
        } else {
            (
                LoadErrorKind::Unreadable,
                "whether anything touches what is missing, which is SIGBUS, is not known",
            )
        };
        let message = format!("{}: the file is cut off, and {what}", shown(object));
        Some(LoadError { message, kind, requester: Some(id) })
    }

    /// Relocations that write into memory which DF_TEXTREL did not make writable (`_dl_relocate_object`, glibc
    /// elf/dl-reloc.c; `map_library`, musl ldso/dynlink.c): the symbols of the object are all there by then, or one before
    /// them is told of.
    fn unannounced_text(&self, id: ObjectId) -> Option<LoadError> {
        let object = self.object(id)?;
        let elf_file = object.module().elf()?;
        let text = elf_file.relocations.get()?.text.filter(|_| elf_file.flags & elf::DF_TEXTREL.0 == 0)?;
        Some(LoadError {
            message: format!(
                "{}: a relocation writes into code at address {:#x}, and without DF_TEXTREL that is SIGSEGV",
                shown(object),
                text.first
            ),
            kind: LoadErrorKind::Crash,
            requester: Some(id),
        })
    }

    /// The assertion of glibc up to 2.36 (`check_match`, elf/dl-lookup.c): a library that a DT_VERNEED entry names defines
    /// the symbol and has no DT_VERSYM.
    fn assertion(&self, id: ObjectId, rest: &Rest<'_>) -> Option<LoadError> {
        let symbol = self.asserted_symbol(id, rest)?;
        Some(LoadError {
            message: format!(
                "Inconsistency detected by ld.so: dl-lookup.c: 107: check_match: Assertion `version->filename == NULL || \
                 ! _dl_name_match_p (version->filename, map)' failed! (at {})",
                Shown(symbol.name())
            ),
            kind: LoadErrorKind::Crash,
            requester: Some(id),
        })
    }

    /// The symbol at which that happens.
    fn asserted_symbol(&self, id: ObjectId, rest: &Rest<'_>) -> Option<Symbol<'_>> {
        if self.env().libc == Libc::Musl || self.env().libc.is_glibc_since(2, 37) {
            return None;
        }
        let bare: Vec<(&Name, ObjectId)> = checks_of(self, id)
            .into_iter()
            .filter(|check| check.result == VersionMatch::Unversioned)
            .map(|check| (&check.version.name, check.provider))
            .filter(|(_, provider)| {
                let elf = self.object(*provider).and_then(|provider| provider.module().elf());
                elf.is_some_and(|elf| !elf.has_version_symbols)
            })
            .collect();
        if bare.is_empty() {
            return None;
        }
        let scope = self.scope(id, self.itself_first(id)).with_index(rest.index());
        references(self.object(id)?.module())
            .into_iter()
            .find(|reference| {
                let version = reference.symbol.version().map(|version| version.name);
                bare.iter().any(|(name, _)| Some(*name) == version)
                    && self.bind_in(&scope, id, *reference).is_some_and(|definition| {
                        bare.iter()
                            .any(|(name, provider)| Some(*name) == version && *provider == definition.object)
                    })
            })
            .map(|reference| reference.symbol)
    }

    /// The first reference that no definition satisfies. Only what a relocation really uses is looked up, and the first
    /// in their order is named.
    fn undefined(&self, id: ObjectId, rest: &Rest<'_>) -> Option<LoadError> {
        let object = self.object(id)?;
        if id != rest.root && self.settled().has(object.id(), |file| rest.has(file)) {
            return None;
        }
        // An index pays for itself over the references of several libraries. What was opened comes after those.
        let index = if id == rest.root { rest.made_index() } else { rest.index() };
        let scope = self.scope(id, self.itself_first(id)).with_index(index);
        let mut definers = BTreeSet::new();
        let unresolved: Vec<Binding<'_>> = references(object.module())
            .into_iter()
            .filter(|reference| !self.is_its_own_definition(object, reference))
            .map(|reference| Binding { reference, definition: self.bind_in(&scope, id, reference) })
            .inspect(|binding| definers.extend(binding.definition.map(|definition| definition.object)))
            .filter(Binding::is_unresolved)
            .collect();
        if unresolved.is_empty() {
            let files = definers.into_iter().filter_map(|id| self.object(id)).map(Object::id);
            self.settled().enter(object.id(), files);
            return None;
        }
        let first = self.first_applied(object, &unresolved)?;
        let symbol = first.reference.symbol;
        let (name, path) = (Shown(symbol.name()), shown(object));
        let message = match (self.env().libc, symbol.version()) {
            (Libc::Musl, _) => format!("Error relocating {path}: {name}: symbol not found"),
            (Libc::Glibc(..), None) => format!("{path}: undefined symbol: {name}"),
            (Libc::Glibc(..), Some(version)) => {
                format!("{path}: undefined symbol: {name}, version {}", version.name)
            }
        };
        Some(LoadError { message, kind: LoadErrorKind::UndefinedSymbol, requester: Some(id) })
    }

    /// The binding whose relocation the loader applies first.
    fn first_applied<'b, 'p>(
        &self,
        object: &Object,
        unresolved: &'b [Binding<'p>],
    ) -> Option<&'b Binding<'p>> {
        // musl applies DT_JMPREL before the other tables (`do_relocs`), glibc after them.
        let is_musl = self.env().libc == Libc::Musl;
        let place = |usage: &SymbolUse| (is_musl && usage.calls == 0, usage.first);
        if relocations_of(object.module()).is_some() {
            let places =
                |binding: &&Binding<'_>| binding.reference.usage.as_ref().map_or((true, u32::MAX), place);
            return unresolved.iter().min_by_key(places);
        }
        let again = self.reread(object);
        let Some(uses) = again.as_ref().and_then(relocations_of) else { return unresolved.first() };
        let placed = unresolved.iter().filter_map(|binding| {
            let at = uses.symbols.binary_search_by_key(&binding.reference.symbol.index, |usage| usage.symbol);
            Some((place(uses.symbols.get(at.ok()?)?), binding))
        });
        placed.min_by_key(|(place, _)| *place).map(|(_, binding)| binding)
    }

    /// Whether the object that refers to a symbol defines it as well: then the reference finds a definition, there or
    /// earlier.
    fn is_its_own_definition(&self, object: &Object, reference: &Reference<'_>) -> bool {
        reference.symbol.is_defined()
            && reference.usage.is_none_or(|usage| usage.copies == 0)
            && is_usable_kind(reference.symbol.kind(), self.env().libc)
            && object.module().symbols.get().is_some_and(|symbols| symbols.finds(reference.symbol))
    }

    /// The module with its relocations, which a run that only loads does not read of libraries.
    pub(super) fn reread(&self, object: &Object) -> Option<Module> {
        self.store().with_relocations(&self.env().absolute(object.path())?).ok()
    }

    /// The objects that a `dlopen` of `root` newly mapped, libraries before what needs them
    /// (`_dl_sort_maps`, elf/dl-sort-maps.c: depth first along each object's dependencies, last post-order first,
    /// relocated from the end). musl relocates them in load order (`reloc_all`, ldso/dynlink.c).
    pub(crate) fn relocation_order(&self, root: ObjectId, new_from: usize) -> Vec<ObjectId> {
        if self.env().libc == Libc::Musl {
            let order = self.load_order().map(|(id, _)| id);
            return order.filter(|id| id.index() >= new_from).collect();
        }
        let closure = self.closure(root);
        let end = closure.iter().map(|id| id.index() + 1).max().unwrap_or(0);
        let mut order = Vec::new();
        let mut seen = vec![false; end];
        // The sort visits the breadth-first list from its end, and the root, forced first, last.
        for id in closure.into_iter().rev() {
            self.post_order(id, &mut seen, &mut order);
        }
        order.retain(|id| id.index() >= new_from);
        order
    }

    fn post_order(&self, start: ObjectId, seen: &mut [bool], order: &mut Vec<ObjectId>) {
        let mut pending = vec![(start, 0)];
        if std::mem::replace(&mut seen[start.index()], true) {
            return;
        }
        while let Some((id, next)) = pending.pop() {
            let edges = self.object(id).map_or(&[][..], Object::edges);
            match edges.get(next) {
                None => order.push(id),
                Some(edge) => {
                    pending.push((id, next + 1));
                    if let Ok(target) = edge.target
                        && !std::mem::replace(&mut seen[target.index()], true)
                    {
                        pending.push((target, 0));
                    }
                }
            }
        }
    }
}

/// The scope in which the objects of one `dlopen` are relocated, as far as it is behind what the process was started with.
/// Most need neither part: what they bring was relocated before.
struct Rest<'p> {
    process: &'p Process,
    root: ObjectId,
    index: OnceCell<Option<NameIndex>>,
    files: OnceCell<BTreeSet<FileId>>,
}

impl Rest<'_> {
    /// An index of these objects, where they are many.
    fn index(&self) -> Option<&NameIndex> {
        let make = || self.process.scope(self.root, None).index_of_rest(self.process);
        self.index.get_or_init(make).as_ref()
    }

    /// That index, where somebody needed it.
    fn made_index(&self) -> Option<&NameIndex> {
        self.index.get()?.as_ref()
    }

    /// Whether a file is in the scope, what the process was started with included.
    fn has(&self, file: FileId) -> bool {
        let scope = || self.process.global_scope(self.root).iter().filter_map(|&id| self.process.object(id));
        self.files.get_or_init(|| scope().map(Object::id).collect()).contains(&file)
    }
}

pub(super) fn relocations_of(module: &Module) -> Option<&Relocations> {
    module.elf()?.relocations.get()
}

pub(super) fn shown(object: &Object) -> Name {
    Name::from(path_bytes(object.path()))
}

#[cfg(all(test, feature = "audit"))]
#[path = "relocation_tests.rs"]
mod tests;
