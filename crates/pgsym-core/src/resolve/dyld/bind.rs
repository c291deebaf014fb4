//! Which image defines each import (`Loader::resolveSymbol`, `Loader::hasExportedSymbol`). What the shared cache
//! exports is not known without an SDK, so a symbol of a system library counts as found there; the stubs of an SDK
//! list what may be linked.

use std::collections::HashSet;

use super::image::{Image, ImageId, ImageSource};
use super::process::DyldProcess;
use super::sdk::Listed;
use crate::limits;
use crate::model::{ExportTarget, MachImport, Ordinal};
use crate::name::shown_path;

/// What one import is bound to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DyldBinding<'p> {
    /// The import.
    pub import: &'p MachImport,
    /// Who defines it.
    pub provider: Provider,
}

/// Who defines an import.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Provider {
    /// This image exports it.
    Image(ImageId),
    /// This library of the system, or one of them: what it exports is not known, or its stub lists it.
    System(Option<ImageId>),
    /// The stub of this library of the system, or of none of them, lists it: it may have been taken out of the SDK, or
    /// be missing in the library too.
    Unlisted(Option<ImageId>),
    /// Nobody, which is allowed: it becomes a null pointer.
    Null,
    /// Nobody, and the image that should have it.
    Missing(Option<ImageId>),
    /// The import names a library that the image does not have.
    BadOrdinal(i64),
}

/// What a look into one image says.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Look {
    Found {
        image: ImageId,
        is_weak: bool,
    },
    /// The stub of this library of the system lists it.
    Listed(ImageId),
    Unknown(ImageId),
    /// The stub of this library of the system does not list it.
    Unlisted(ImageId),
    Nothing,
}

/// The images that one search has been to, and how many looks it has left.
struct Searched {
    images: HashSet<ImageId>,
    looks_left: usize,
}

impl Searched {
    fn new() -> Self {
        Self { images: HashSet::new(), looks_left: limits::REEXPORT_LOOKS }
    }
}

/// How far a look goes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Depth {
    /// The image and what it re-exports.
    Reexports,
    /// The image alone.
    Shallow,
}

impl DyldProcess {
    /// The bindings of one image, in the order in which its table has them.
    pub fn bindings(&self, id: ImageId) -> Vec<DyldBinding<'_>> {
        let Some(macho) = self.image(id).and_then(Image::macho) else { return Vec::new() };
        let mut imports: Vec<&MachImport> = macho.imports.get().into_iter().flatten().collect();
        imports.sort_by_key(|import| import.order);
        imports
            .into_iter()
            .map(|import| DyldBinding { import, provider: self.provider(id, import) })
            .collect()
    }

    /// Who defines an import of an image.
    pub fn provider(&self, id: ImageId, import: &MachImport) -> Provider {
        let Some(image) = self.image(id) else { return Provider::Missing(None) };
        let name = import.name.as_bytes();
        let missing = |expected| if import.is_weak { Provider::Null } else { Provider::Missing(expected) };
        // Without MH_TWOLEVEL dyld reads every ordinal as flat lookup.
        let is_two_level = image.macho().is_none_or(|macho| macho.is_two_level());
        let target = match import.from {
            Ordinal::Flat => return self.flat(name, missing),
            Ordinal::Weak => return self.coalesced(name, missing),
            _ if !is_two_level => return self.flat(name, missing),
            Ordinal::SelfImage => Some(id),
            Ordinal::Executable => self.main(),
            Ordinal::Library(number) => match image.library(number) {
                Some(edge) => edge.target,
                None => return Provider::BadOrdinal(number.into()),
            },
            Ordinal::Unknown(number) => return Provider::BadOrdinal(number.into()),
        };
        // A weak library that is missing has none of its symbols.
        let Some(target) = target else { return missing(None) };
        match self.look(target, name, Depth::Reexports, &mut Searched::new(), limits::REEXPORT_STEPS) {
            Look::Found { image, .. } => Provider::Image(image),
            Look::Listed(system) | Look::Unknown(system) => Provider::System(Some(system)),
            Look::Unlisted(system) => Provider::Unlisted(Some(system)),
            Look::Nothing => missing(Some(target)),
        }
    }

    /// All images in load order, the first that exports the name.
    fn flat(&self, name: &[u8], missing: impl Fn(Option<ImageId>) -> Provider) -> Provider {
        let (mut system, mut unlisted) = (false, false);
        for (id, _) in self.images() {
            match self.look(id, name, Depth::Shallow, &mut Searched::new(), limits::REEXPORT_STEPS) {
                // A system library before it may have the name too; an image of the tree that has it is the
                // likelier answer, since the cache's names are its own.
                Look::Found { image, .. } => return Provider::Image(image),
                Look::Listed(image) => return Provider::System(Some(image)),
                Look::Unknown(_) => system = true,
                Look::Unlisted(_) => unlisted = true,
                Look::Nothing => {}
            }
        }
        match (system, unlisted) {
            (true, _) => Provider::System(None),
            (_, true) => Provider::Unlisted(None),
            _ => missing(None),
        }
    }

    /// The first definition in an image with weak definitions; a strong one goes before.
    fn coalesced(&self, name: &[u8], missing: impl Fn(Option<ImageId>) -> Provider) -> Provider {
        let mut first: Option<(ImageId, bool)> = None;
        let mut system = false;
        for (id, image) in self.images() {
            if image.macho().is_some_and(|macho| macho.flags & object::macho::MH_WEAK_DEFINES.0 == 0) {
                continue;
            }
            match self.look(id, name, Depth::Shallow, &mut Searched::new(), limits::REEXPORT_STEPS) {
                Look::Found { image, is_weak } => match first {
                    None => first = Some((image, is_weak)),
                    Some((_, true)) if !is_weak => first = Some((image, false)),
                    Some(_) => {}
                },
                // Whether a library of the system has weak definitions is not known.
                Look::Listed(_) | Look::Unknown(_) | Look::Unlisted(_) => system = true,
                Look::Nothing => {}
            }
        }
        match first {
            Some((image, _)) => Provider::Image(image),
            None if system => Provider::System(None),
            None => missing(None),
        }
    }

    /// `hasExportedSymbol`. A re-export under another name starts a new search, so a count bounds what a set of
    /// images already searched cannot.
    fn look(
        &self,
        id: ImageId,
        name: &[u8],
        depth: Depth,
        searched: &mut Searched,
        steps_left: usize,
    ) -> Look {
        if !searched.images.insert(id) {
            return Look::Nothing;
        }
        // Where the bound is reached nothing can be said.
        if steps_left == 0 || searched.looks_left == 0 {
            return Look::Unknown(id);
        }
        searched.looks_left -= 1;
        let Some(image) = self.image(id) else { return Look::Nothing };
        let macho = match image.source() {
            ImageSource::SharedCache => {
                return match self.env().system.lists(image.path(), name, self.env().arch) {
                    Listed::Yes => Look::Listed(id),
                    Listed::No => Look::Unlisted(id),
                    Listed::Unknown => Look::Unknown(id),
                };
            }
            ImageSource::File { module, .. } => module.macho(),
        };
        let Some(macho) = macho else { return Look::Nothing };
        // What cannot be read cannot be said to lack a name.
        if macho.exports.get().is_none() {
            return Look::Unknown(id);
        }
        if let Some(export) = macho.export(name) {
            let ExportTarget::Reexport { ordinal, name: other } = &export.target else {
                return Look::Found { image: id, is_weak: export.is_weak_definition() };
            };
            let target = u32::try_from(*ordinal).ok().and_then(|number| image.library(number)?.target);
            let Some(target) = target else { return Look::Nothing };
            let is_renamed = !other.is_empty() && other.as_bytes() != name;
            return if is_renamed {
                let before = std::mem::take(&mut searched.images);
                let found = self.look(target, other.as_bytes(), Depth::Reexports, searched, steps_left - 1);
                searched.images = before;
                found
            } else {
                self.look(target, name, depth, searched, steps_left - 1)
            };
        }
        if depth == Depth::Shallow {
            return Look::Nothing;
        }
        let mut unknown = Look::Nothing;
        for (edge, dylib) in image.edges().iter().map(|edge| (edge, macho.dylibs.get(edge.dependency))) {
            let Some(target) = edge.target.filter(|_| dylib.is_some_and(|dylib| dylib.is_reexported)) else {
                continue;
            };
            match self.look(target, name, depth, searched, steps_left - 1) {
                found @ (Look::Found { .. } | Look::Listed(_)) => return found,
                Look::Unlisted(system) if unknown == Look::Nothing => unknown = Look::Unlisted(system),
                Look::Unknown(system) if !matches!(unknown, Look::Unknown(_)) => {
                    unknown = Look::Unknown(system);
                }
                Look::Unknown(_) | Look::Unlisted(_) | Look::Nothing => {}
            }
        }
        unknown
    }

    /// dyld's message for the first import that nobody defines, among the images from `first` on: they are bound in
    /// load order, and with RTLD_NOW lazy pointers too.
    pub(super) fn first_unbound(&self, first: usize) -> Option<String> {
        self.images()
            .skip(first)
            .flat_map(|(id, _)| self.bindings(id).into_iter().map(move |binding| (id, binding)))
            .find_map(|(id, binding)| self.unbound(id, &binding))
    }

    /// dyld's message for an import that nobody defines.
    pub fn unbound(&self, id: ImageId, binding: &DyldBinding<'_>) -> Option<String> {
        let image = self.image(id)?;
        let name = &binding.import.name;
        match binding.provider {
            Provider::Image(_) | Provider::System(_) | Provider::Unlisted(_) | Provider::Null => None,
            Provider::BadOrdinal(number) => Some(format!(
                "unknown library ordinal {number} in {} when binding '{name}'",
                shown_path(image.path())
            )),
            Provider::Missing(_) if binding.import.from == Ordinal::Weak => Some(format!(
                "Symbol not found: {name}\n  Referenced from: <{}> {}\n  \
                Expected as weak-def export from some loaded dylib",
                image.uuid(),
                shown_path(image.path())
            )),
            Provider::Missing(expected) => {
                let is_flat = binding.import.from == Ordinal::Flat
                    || image.macho().is_some_and(|macho| !macho.is_two_level());
                if is_flat {
                    return Some(format!("symbol not found in flat namespace '{name}'"));
                }
                let (uuid, path) = match expected.and_then(|expected| self.image(expected)) {
                    Some(expected) => (expected.uuid(), shown_path(expected.path()).to_string()),
                    None => ("no uuid".to_owned(), "unknown".to_owned()),
                };
                Some(format!(
                    "Symbol not found: {name}\n  Referenced from: <{}> {}\n  Expected in:     <{uuid}> {path}",
                    image.uuid(),
                    shown_path(image.path())
                ))
            }
        }
    }
}
