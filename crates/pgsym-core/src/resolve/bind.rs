//! Which definition satisfies each symbol reference: glibc's `_dl_lookup_symbol_x`, `do_lookup_x` and `check_match`
//! (elf/dl-lookup.c) over the global scope, with the hash tables that the files carry. musl's `find_sym` is the
//! same walk without versions.
//!
//! The scope of an object is the global one when it is relocated: the program and its libraries, then everything
//! that each earlier `dlopen` brought, then what its own `dlopen` brings. Since PostgreSQL opens with RTLD_GLOBAL, the
//! last part joins the same list.

use object::elf;

use super::environment::Libc;
use super::process::{Object, ObjectId, Process};
use super::scope::Scope;
use crate::model::{Binding as Strength, Module, NameHash, Symbol, SymbolKind, SymbolUse, Table, Visibility};
use crate::name::Name;

/// One symbol that an object's relocations refer to.
#[derive(Debug, Clone, Copy)]
pub struct Reference<'p> {
    /// The entry of the object's `.dynsym`: an import, or an export that the object itself goes through the scope
    /// for.
    pub symbol: Symbol<'p>,
    /// How relocations use it; nothing is known of it where they could not be read.
    pub usage: Option<SymbolUse>,
}

/// A reference and its definition.
#[derive(Debug, Clone, Copy)]
pub struct Binding<'p> {
    /// The reference.
    pub reference: Reference<'p>,
    /// The definition; none for a weak reference that stays zero and for one that fails.
    pub definition: Option<Definition<'p>>,
}

/// A definition in one object.
#[derive(Debug, Clone, Copy)]
pub struct Definition<'p> {
    /// The object.
    pub object: ObjectId,
    /// The entry of its `.dynsym`.
    pub symbol: Symbol<'p>,
}

/// A definition of the same name that a reference did not take, and why.
#[derive(Debug, Clone, Copy)]
pub struct PassedOver<'p> {
    /// The definition.
    pub definition: Definition<'p>,
    /// Why it was not taken.
    pub reason: &'static str,
}

impl Binding<'_> {
    /// Whether the loader refuses the object because of it.
    pub fn is_unresolved(&self) -> bool {
        self.definition.is_none() && self.reference.symbol.binding() != Strength::Weak
    }
}

/// What a reference asks for, to be looked up in one module after the other.
#[derive(Clone, Copy)]
pub(crate) struct Wanted<'p> {
    libc: Libc,
    name: &'p [u8],
    hashes: NameHash,
    version: Option<&'p Name>,
    /// `vna_other` with the hidden bit does not exist in practice; glibc treats it as "this version only".
    is_hidden: bool,
    /// The lowest version index that a lookup without a version takes for one version of several: glibc's references take the
    /// oldest, `dlsym` (DL_LOOKUP_RETURN_NEWEST) the default one.
    first_index: u16,
}

/// Up to this index a definition serves references without a version.
const BASE_INDICES: u16 = 3;

impl<'p> Wanted<'p> {
    pub(crate) fn of(symbol: Symbol<'p>, libc: Libc) -> Self {
        let version = match libc {
            Libc::Glibc(..) => symbol.version(),
            Libc::Musl => None,
        };
        let name = symbol.name();
        Self {
            libc,
            name,
            hashes: NameHash::of(name),
            version: version.map(|version| version.name),
            is_hidden: version.is_some_and(|version| version.is_hidden),
            first_index: BASE_INDICES,
        }
    }

    fn by_dlsym(name: &'p [u8], libc: Libc) -> Self {
        Self { libc, name, hashes: NameHash::of(name), version: None, is_hidden: false, first_index: 2 }
    }

    /// The symbol of a module that answers (`check_match` along one hash chain).
    pub(crate) fn find(self, module: &Module) -> Option<Symbol<'_>> {
        let table = module.symbols.get()?;
        let has_versions = module.elf().is_some_and(|elf| elf.has_version_symbols);
        let mut default: Option<Symbol<'_>> = None;
        let mut defaults = 0;
        for symbol in table.candidates_named(self.name, self.hashes) {
            if !is_usable_kind(symbol.kind(), self.libc) || !symbol.is_defined() {
                continue;
            }
            let index = symbol.version_word() & 0x7fff;
            let is_hidden = symbol.version_word() & 0x8000 != 0;
            let accepted = match (self.libc, self.version) {
                // gnu_lookup, ldso/dynlink.c: `dso->versym[i] >= 0`.
                (Libc::Musl, _) => !has_versions || !is_hidden,
                (Libc::Glibc(..), _) if !has_versions => true,
                (Libc::Glibc(..), Some(version)) => match symbol.version() {
                    Some(defined) => defined.name == version,
                    // An unversioned (base) definition serves a versioned reference.
                    None => !self.is_hidden && !is_hidden,
                },
                (Libc::Glibc(..), None) if index < self.first_index => true,
                (Libc::Glibc(..), None) => {
                    if !is_hidden {
                        defaults += 1;
                        default.get_or_insert(symbol);
                    }
                    false
                }
            };
            if accepted {
                return symbol.is_export().then_some(symbol);
            }
        }
        // "If we have seen exactly one versioned symbol while we are looking for an unversioned symbol […] we still
        // accept this symbol."
        default.filter(|symbol| defaults == 1 && symbol.is_export())
    }
}

impl Process {
    /// The objects in whose symbol tables the references of `object` are looked up, in order: itself first under
    /// DT_SYMBOLIC, then the global scope as it was when the object was relocated.
    pub fn scope_of(&self, object: ObjectId) -> Vec<ObjectId> {
        self.itself_first(object).into_iter().chain(self.global_scope(object).iter().copied()).collect()
    }

    /// The object, where its references are looked up in itself before anything else.
    pub(super) fn itself_first(&self, object: ObjectId) -> Option<ObjectId> {
        self.object(object).filter(|it| is_symbolic(it) && self.env().libc != Libc::Musl).map(|_| object)
    }

    /// Every reference of an object with its definition, in symbol order.
    ///
    /// Where the object's relocations were read, these are what they use; else all its imports. An object whose
    /// symbols cannot be read has none here; its table says why.
    pub fn bindings(&self, object: ObjectId) -> Vec<Binding<'_>> {
        let Some(it) = self.object(object) else { return Vec::new() };
        let scope = self.scope(object, self.itself_first(object));
        references(it.module())
            .into_iter()
            .map(|reference| Binding { reference, definition: self.bind_in(&scope, object, reference) })
            .collect()
    }

    /// The definition that a name, without a version, leads to in the scope of an object: what `dlsym` on the program's
    /// handle would give.
    pub fn lookup(&self, scope: &[ObjectId], name: &[u8]) -> Option<Definition<'_>> {
        let wanted = Wanted::by_dlsym(name, self.env().libc);
        scope.iter().find_map(|&id| self.definition_in(id, wanted))
    }

    /// The definitions of a reference's name along a scope that it did not take, each with the reason.
    pub fn passed_over<'p>(&'p self, scope: &[ObjectId], binding: &Binding<'p>) -> Vec<PassedOver<'p>> {
        let symbol = binding.reference.symbol;
        let wanted = Wanted::of(symbol, self.env().libc);
        let mut taken = false;
        let mut passed = Vec::new();
        for &id in scope {
            let Some(table) = self.object(id).and_then(|object| object.module().symbols.get()) else {
                continue;
            };
            if binding.definition.is_some_and(|definition| definition.object == id) {
                taken = true;
                continue;
            }
            let Some(other) = table.lookup(symbol.name(), wanted.hashes).next() else { continue };
            let reason = match (taken, self.definition_in(id, wanted).is_some()) {
                (true, true) => "an earlier definition was taken",
                (_, false) => "its version does not fit",
                (false, true) => "the object itself was searched first",
            };
            passed.push(PassedOver { definition: Definition { object: id, symbol: other }, reason });
        }
        passed
    }

    pub(super) fn bind_in<'p>(
        &'p self,
        scope: &Scope<'p>,
        object: ObjectId,
        reference: Reference<'p>,
    ) -> Option<Definition<'p>> {
        let symbol = reference.symbol;
        // A protected definition binds inside its own object (`_dl_lookup_symbol_x`).
        if symbol.is_defined() && symbol.visibility() == Visibility::Protected {
            return Some(Definition { object, symbol });
        }
        let wanted = Wanted::of(symbol, self.env().libc);
        // "Don't search the executable when resolving a copy reloc" (`do_lookup_x`).
        let is_copy = reference.usage.is_some_and(|usage| usage.copies > 0);
        let find = |candidates: &mut dyn Iterator<Item = ObjectId>| {
            candidates.filter(|&id| !(is_copy && id == object)).find_map(|id| self.definition_in(id, wanted))
        };
        let found = find(&mut scope.candidates(wanted.hashes))?;
        if self.itself_first(object).is_some() && found.symbol.binding() == Strength::Unique {
            // Under DT_SYMBOLIC the object comes first, and still takes what an earlier one has entered for the whole
            // namespace (`do_lookup_unique`).
            let first = find(&mut self.global_scope(object).iter().copied());
            return first
                .filter(|first| first.symbol.binding() == Strength::Unique)
                .filter(|first| self.is_relocated_before(first.object, object))
                .or(Some(found));
        }
        Some(found)
    }

    /// `do_lookup_x` for one object.
    fn definition_in<'p>(&'p self, id: ObjectId, wanted: Wanted<'_>) -> Option<Definition<'p>> {
        Some(Definition { object: id, symbol: wanted.find(self.object(id)?.module())? })
    }
}

/// The references of a module: what its relocations use, where those were read, else its imports.
pub(crate) fn references(module: &Module) -> Vec<Reference<'_>> {
    let Some(symbols) = module.symbols.get() else { return Vec::new() };
    let Some(Table::Read(relocations)) = module.elf().map(|elf| &elf.relocations) else {
        return symbols.imports().map(|symbol| Reference { symbol, usage: None }).collect();
    };
    let mut references = Vec::with_capacity(relocations.symbols.len());
    for &usage in &relocations.symbols {
        let Some(symbol) = symbols.get(usage.symbol).filter(|&symbol| goes_through_the_scope(symbol)) else {
            continue;
        };
        let mut push = |usage| references.push(Reference { symbol, usage: Some(usage) });
        // A copy relocation is looked up on its own: it wants the library's definition, while every other reference to
        // the name wants the copy.
        if usage.copies > 0 {
            push(SymbolUse { calls: 0, data: 0, ..usage });
        }
        if usage.calls > 0 || usage.data > 0 {
            push(SymbolUse { copies: 0, ..usage });
        }
    }
    references
}

/// `RESOLVE_MAP` (elf/dl-reloc.c): local, hidden and internal symbols are the object's own.
pub(super) fn goes_through_the_scope(symbol: Symbol<'_>) -> bool {
    symbol.binding() != Strength::Local
        && !matches!(symbol.visibility(), Visibility::Hidden | Visibility::Internal)
}

fn is_symbolic(object: &Object) -> bool {
    object.module().elf().is_some_and(|elf_file| elf_file.flags & elf::DF_SYMBOLIC.0 != 0)
}

/// The definition of `module` that a reference would take if it met it, versions included.
pub fn accepts<'m>(module: &'m Module, reference: Symbol<'_>, libc: Libc) -> Option<Symbol<'m>> {
    Wanted::of(reference, libc).find(module)
}

/// The symbol of a module that `dlsym` finds by a name, if it comes to ask that module.
pub fn dlsym<'m>(module: &'m Module, name: &[u8], libc: Libc) -> Option<Symbol<'m>> {
    Wanted::by_dlsym(name, libc).find(module)
}

/// ALLOWED_STT; OK_TYPES of musl (ldso/dynlink.c), which knows no indirect functions.
pub(super) fn is_usable_kind(kind: SymbolKind, libc: Libc) -> bool {
    match kind {
        SymbolKind::None
        | SymbolKind::Object
        | SymbolKind::Function
        | SymbolKind::Common
        | SymbolKind::Tls => true,
        SymbolKind::Ifunc => libc != Libc::Musl,
        SymbolKind::Section | SymbolKind::File | SymbolKind::Other(_) => false,
    }
}
