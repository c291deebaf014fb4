//! Every file that the server or a module of the tree brings into the process, once, with who brings it.

use std::path::PathBuf;
use std::sync::Arc;

use super::versions::{self, Versions};
use crate::fs::FileId;
use crate::hash::HashMap;
use crate::model::Module;
use crate::name::Name;
use crate::resolve::Process;
use crate::resolve::dyld::{DyldProcess, ImageId};
use crate::tree::{Role, Tree};

/// A file of the universe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MemberId(u32);

impl MemberId {
    pub(super) fn at(index: usize) -> Self {
        Self(index as u32)
    }

    pub(super) fn index(self) -> usize {
        self.0 as usize
    }
}

/// One file that processes of the tree have.
#[derive(Debug, Clone)]
pub struct Member {
    /// The path that it is opened by.
    pub path: PathBuf,
    /// What it says.
    pub module: Arc<Module>,
    /// Whether the server has it before any module, preloaded ones included.
    pub is_server: bool,
    /// Whether the server has it only because of what it preloads.
    pub is_preloaded: bool,
    /// The files of the tree that bring it, as indices into [`Tree::files`], in path order; empty for the server's own.
    pub brought_by: Vec<usize>,
    /// Its file in the tree, where it is one.
    pub file: Option<usize>,
    /// Its group in [`Universe::versions`], where other versions of it lie beside it.
    pub versions: Option<usize>,
}

/// All files of all processes.
#[derive(Debug, Default)]
pub struct Universe {
    members: Vec<Member>,
    versions: Vec<Versions>,
    by_file: HashMap<FileId, MemberId>,
    /// `NameHash::word` of names that two members or more define.
    shared: HashMap<u32, Vec<MemberId>>,
    /// What turns away nearly every word before that.
    repeated: Repeated,
}

impl Universe {
    pub(super) fn build(tree: &Tree, server: &Process) -> Self {
        let mut universe = Self::default();
        for (object_id, object) in server.load_order() {
            let id = universe.member(object.path().to_owned(), object.module());
            let is_own = server.started().contains(&object_id) || server.interpreter() == Some(object_id);
            let member = &mut universe.members[id.0 as usize];
            (member.is_server, member.is_preloaded) = (true, !is_own);
        }
        for (index, file) in tree.files().iter().enumerate() {
            let Some(load) = file.load.as_ref().filter(|_| file.role == Role::Module) else { continue };
            for (_, object) in load.process.added_since(server) {
                let id = universe.member(object.path().to_owned(), object.module());
                let member = &mut universe.members[id.0 as usize];
                if !member.is_server {
                    member.brought_by.push(index);
                }
                if file.module.as_ref().is_ok_and(|module| module.id == object.id()) {
                    member.file = Some(index);
                }
            }
        }
        universe.versions = versions::group(&mut universe.members);
        universe.share_names();
        universe
    }

    /// The same for Mach-O. What only the shared cache has is no file.
    pub(super) fn of_dyld(tree: &Tree, server: &DyldProcess) -> Self {
        let mut universe = Self::default();
        let own = server.main().map(|main| server.closure(main)).unwrap_or_default();
        for (image_id, image) in server.images() {
            if let Some(module) = image.module() {
                let id = universe.member(image.path().to_owned(), module);
                let member = &mut universe.members[id.0 as usize];
                (member.is_server, member.is_preloaded) = (true, !own.contains(&image_id));
            }
        }
        for (index, process, new) in dyld_loads(tree, server) {
            let own =
                tree.files().get(index).and_then(|file| file.module.as_ref().ok()).map(|module| module.id);
            for image in new.filter_map(|id| process.image(id)) {
                let Some(module) = image.module() else { continue };
                let id = universe.member(image.path().to_owned(), module);
                let member = &mut universe.members[id.0 as usize];
                if !member.is_server {
                    member.brought_by.push(index);
                }
                if own == image.id() {
                    member.file = Some(index);
                }
            }
        }
        universe.share_names();
        universe
    }

    /// All members, the server's first, then in the order of the modules that bring them.
    pub fn members(&self) -> impl Iterator<Item = (MemberId, &Member)> {
        self.members.iter().enumerate().map(|(index, member)| (MemberId::at(index), member))
    }

    /// Modules that are versions of one another.
    pub fn versions(&self) -> &[Versions] {
        &self.versions
    }

    /// Whether two members are versions of one module, of which a session loads one.
    pub(super) fn are_alternatives(&self, a: MemberId, b: MemberId) -> bool {
        a != b && self.get(a).versions.is_some() && self.get(a).versions == self.get(b).versions
    }

    /// Notes what one version uses and another one defines as well.
    pub(super) fn note_shared(&mut self, shared: impl IntoIterator<Item = (usize, Name)>) {
        for (at, name) in shared {
            if let Some(versions) = self.versions.get_mut(at) {
                versions.shared.insert(name);
            }
        }
    }

    /// One member.
    pub fn get(&self, id: MemberId) -> &Member {
        &self.members[id.0 as usize]
    }

    /// The member that is a file.
    pub fn find(&self, id: FileId) -> Option<MemberId> {
        self.by_file.get(&id).copied()
    }

    /// The members that define a name which at least two define, by `NameHash::word`; empty for all other names.
    pub(super) fn definers(&self, word: u32) -> &[MemberId] {
        if !self.repeated.has(word) {
            return &[];
        }
        self.shared.get(&word).map_or(&[], Vec::as_slice)
    }

    fn member(&mut self, path: PathBuf, module: &Arc<Module>) -> MemberId {
        if let Some(&id) = self.by_file.get(&module.id) {
            return id;
        }
        let id = MemberId(self.members.len() as u32);
        self.by_file.insert(module.id, id);
        let module = Arc::clone(module);
        self.members.push(Member {
            path,
            module,
            is_server: false,
            is_preloaded: false,
            brought_by: Vec::new(),
            file: None,
            versions: None,
        });
        id
    }

    /// Finds the names with several definers by the hash words of their tables alone: of some hundred thousand exports a
    /// few thousand are left, and only references to those are looked at again.
    fn share_names(&mut self) {
        let mut repeated = Repeated::default();
        for (_, member) in self.members() {
            visit_words(member, |word| repeated.note(word));
        }
        let mut words: Vec<(u32, MemberId)> = Vec::new();
        for (id, member) in self.members() {
            visit_words(member, |word| words.extend(repeated.has(word).then_some((word, id))));
        }
        words.sort_unstable();
        // The same name in several versions of one member is one definer.
        words.dedup();
        for group in words.chunk_by(|a, b| a.0 == b.0).filter(|group| group.len() > 1) {
            self.shared.insert(group[0].0, group.iter().map(|&(_, id)| id).collect());
        }
        self.repeated = repeated;
    }
}

fn visit_words(member: &Member, mut visit: impl FnMut(u32)) {
    if let Some(symbols) = member.module.symbols.get() {
        symbols.hash_words(&mut visit);
    }
}

/// Which hash words came twice, as far as two bits for each of [`Self::SLOTS`] values tell: all that did, and a few more.
#[derive(Debug)]
struct Repeated {
    once: Box<[u64]>,
    twice: Box<[u64]>,
}

impl Repeated {
    /// Ten times the exports of a large tree, in two megabytes.
    const SLOTS: usize = 1 << 23;

    fn place(word: u32) -> (usize, u64) {
        let slot = word as usize % Self::SLOTS;
        (slot / 64, 1 << (slot % 64))
    }

    fn note(&mut self, word: u32) {
        let (word, bit) = Self::place(word);
        self.twice[word] |= self.once[word] & bit;
        self.once[word] |= bit;
    }

    fn has(&self, word: u32) -> bool {
        let (word, bit) = Self::place(word);
        self.twice[word] & bit != 0
    }
}

impl Default for Repeated {
    fn default() -> Self {
        let words = || vec![0; Self::SLOTS / 64].into();
        Self { once: words(), twice: words() }
    }
}

/// The modules that a Mach-O server loads: index in the tree, the process afterwards, and the images that were
/// not there before.
pub(super) fn dyld_loads<'t>(
    tree: &'t Tree,
    server: &DyldProcess,
) -> impl Iterator<Item = (usize, &'t DyldProcess, impl Iterator<Item = ImageId>)> {
    let arch = server.env().arch;
    tree.files().iter().enumerate().filter(|(_, file)| file.role == Role::Module).filter_map(
        move |(index, file)| {
            let load = file.dyld.iter().find(|load| load.arch == arch && load.in_server)?;
            let process = load.process.as_ref()?;
            Some((index, process, process.images().skip(load.before).map(|(id, _)| id)))
        },
    )
}
