//! `pgsym why` for Mach-O: the chains of libraries and the providers of symbols in dyld's processes. Of a universal file
//! the slice answers that the tree shows.

use std::collections::HashMap;
use std::path::Path;

use super::dyld::{element, searched, shown_load};
use super::field::{Field, key};
use super::why::{Chain, Link, is_server};
use super::why_symbol::{Answers, OtherDefinition, SymbolUser};
use crate::limits;
use crate::model::{MachImport, Ordinal, without_underscore};
use crate::name::{Name, path_bytes};
use crate::resolve::dyld::{DyldEdge, DyldProcess, DyldVia, Image, ImageId, Provider};
use crate::tree::Tree;

/// A process that is asked, and for whom.
struct Asked<'t> {
    process: &'t DyldProcess,
    root: ImageId,
    /// How many of its images were there before.
    before: usize,
    module: &'t Path,
    is_server: bool,
}

/// The server's process, and that of each file.
fn asked(tree: &Tree) -> Vec<Asked<'_>> {
    let server = tree.dyld_processes().first().zip(tree.server()).and_then(|(process, server)| {
        let module = server.installation.server.as_path();
        Some(Asked { process, root: process.main()?, before: 0, module, is_server: true })
    });
    let files = tree.files().iter().filter(|file| !is_server(tree, file)).filter_map(|file| {
        let load = shown_load(file)?;
        let (process, root) = (load.process.as_ref()?, load.root?);
        Some(Asked { process, root, before: load.before, module: &file.path, is_server: false })
    });
    server.into_iter().chain(files).collect()
}

/// Every file that the name means, with the first library of each process that leads to it.
pub(super) fn chains(tree: &Tree, name: &Name) -> Vec<(Field<key::FoundPath>, Chain)> {
    asked(tree).iter().flat_map(|asked| asked.chains(name)).collect()
}

/// The definitions that a symbol leads to, with who refers to it.
pub(super) fn symbols(tree: &Tree, name: &Name, answers: &mut Answers) {
    for asked in asked(tree) {
        asked.symbols(name, answers);
    }
}

impl Asked<'_> {
    fn chains(&self, name: &Name) -> Vec<(Field<key::FoundPath>, Chain)> {
        let mut parents: HashMap<ImageId, &DyldEdge> = HashMap::new();
        let mut found: Vec<(Field<key::FoundPath>, Chain)> = Vec::new();
        for id in self.process.closure(self.root) {
            for edge in self.process.image(id).map_or(&[][..], Image::edges) {
                if let Some(target) = edge.target.filter(|target| *target != self.root) {
                    parents.entry(target).or_insert(edge);
                }
                if !self.is_meant(edge, name) {
                    continue;
                }
                let path = self.path_of(edge.target);
                if !found.iter().any(|(known, _)| *known == path) {
                    found.push((path, self.chain(edge, &parents)));
                }
            }
        }
        found
    }

    fn chain(&self, edge: &DyldEdge, parents: &HashMap<ImageId, &DyldEdge>) -> Chain {
        let deciding = edge.searched.last().filter(|_| edge.target.is_some());
        let is_missing = edge.target.is_none();
        Chain {
            module: self.module.into(),
            is_server: self.is_server,
            links: self.links(edge, parents),
            via: edge.target.and(edge.via).map(DyldVia::as_str),
            element: deciding.and_then(|probe| element(self.process, probe)).as_ref().into(),
            error: edge
                .failure
                .clone()
                .or_else(|| is_missing.then(|| format!("{} is not loaded", edge.name))),
            searched: edge.searched.iter().map(|probe| searched(self.process, probe)).collect(),
        }
    }

    /// Whether a library is the one asked about: by the name in the file, its install name, its path, or the leaf of one.
    fn is_meant(&self, edge: &DyldEdge, name: &Name) -> bool {
        let fits = |bytes: &[u8]| {
            bytes == name.as_bytes() || bytes.rsplit(|&byte| byte == b'/').next() == Some(name.as_bytes())
        };
        let target = edge.target.and_then(|target| self.process.image(target));
        fits(edge.name.as_bytes())
            || target.is_some_and(|image| {
                let id = image.module().and_then(|module| module.soname.as_ref());
                fits(path_bytes(image.path())) || id.is_some_and(|id| fits(id.as_bytes()))
            })
    }

    fn path_of(&self, id: Option<ImageId>) -> Field<key::FoundPath> {
        id.and_then(|id| self.process.image(id)).map(Image::path).into()
    }

    /// From the root to the end of an edge.
    fn links(&self, last: &DyldEdge, parents: &HashMap<ImageId, &DyldEdge>) -> Vec<Link> {
        let mut links = vec![Link { name: (&last.name).into(), path: self.path_of(last.target) }];
        let mut id = last.requester;
        // Each image's parent was met before it in a breadth-first walk, so the way up ends at the root.
        while id != self.root {
            let Some(edge) = parents.get(&id) else { break };
            links.push(Link { name: (&edge.name).into(), path: self.path_of(Some(id)) });
            id = edge.requester;
        }
        let start = self.process.image(self.root).map(Image::path);
        links.push(Link { name: start.into(), path: start.into() });
        links.reverse();
        links
    }

    fn symbols(&self, name: &Name, answers: &mut Answers) {
        for (id, image) in self.process.images().skip(self.before) {
            let imports = image.macho().and_then(|macho| macho.imports.get());
            // An image's own weak definition stands among its imports to be coalesced.
            let is_meant =
                |import: &&MachImport| without_underscore(import.name.as_bytes()) == name.as_bytes();
            let meant = imports.into_iter().flatten().filter(is_meant);
            for import in meant.take(limits::IMPORTS_OF_ONE_NAME) {
                let provider = self.process.provider(id, import);
                let path = match provider {
                    Provider::Image(image)
                    | Provider::System(Some(image))
                    | Provider::Unlisted(Some(image)) => self.path_of(Some(image)),
                    Provider::System(None) | Provider::Unlisted(None) => {
                        b"(a library of the system)"[..].into()
                    }
                    Provider::Null | Provider::Missing(_) | Provider::BadOrdinal(_) => Field::null(),
                };
                let passed_over = self.passed_over(import, provider);
                let user = SymbolUser {
                    after_start: !self.is_server,
                    module: self.module.into(),
                    requested_by: image.path().into(),
                    version: Field::null(),
                    weak: import.is_weak,
                };
                answers.entry((path, Field::null(), passed_over)).or_default().push(user);
            }
        }
    }

    /// The other images of the process that export the name.
    fn passed_over(&self, import: &MachImport, provider: Provider) -> Vec<OtherDefinition> {
        let taken = match provider {
            Provider::Image(image) | Provider::System(Some(image)) => Some(image),
            _ => None,
        };
        let reason = match import.from {
            Ordinal::Flat => "the first in load order is taken",
            Ordinal::Weak => "one weak definition serves all images",
            _ => "the import names another library",
        };
        self.process
            .images()
            .filter(|(id, _)| Some(*id) != taken)
            .filter(|(_, image)| {
                image.macho().is_some_and(|macho| macho.export(import.name.as_bytes()).is_some())
            })
            .map(|(_, image)| OtherDefinition { path: image.path().into(), version: Field::null(), reason })
            .collect()
    }
}
