//! One image of a process: a file, or a library that only the shared cache has.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::trace::DyldEdge;
use crate::fs::FileId;
use crate::model::{MachArch, MachO, Module};
use crate::name::path_bytes;

/// An image of one process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ImageId(pub(super) u32);

impl ImageId {
    /// Its place in load order, from 0.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// One image.
#[derive(Debug, Clone)]
pub struct Image {
    pub(super) path: PathBuf,
    pub(super) source: ImageSource,
    pub(super) loader: Option<ImageId>,
    /// The images whose LC_RPATHs serve its dependencies, innermost first, itself among them; known once its
    /// dependencies were looked for.
    pub(super) chain: Option<Arc<[ImageId]>>,
    /// One per dependency that was looked for.
    pub(super) edges: Arc<Vec<DyldEdge>>,
}

/// Where an image comes from.
#[derive(Debug, Clone)]
pub enum ImageSource {
    /// A file.
    File {
        /// Device and inode.
        id: FileId,
        /// What it says: the slice of the process's architecture.
        module: Arc<Module>,
    },
    /// The shared cache.
    SharedCache,
}

impl Image {
    /// Its path, symbolic links resolved: dyld asks the kernel for it (F_GETPATH).
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where it comes from.
    pub fn source(&self) -> &ImageSource {
        &self.source
    }

    /// What it says; nothing where only the shared cache has it.
    pub fn module(&self) -> Option<&Arc<Module>> {
        match &self.source {
            ImageSource::File { module, .. } => Some(module),
            ImageSource::SharedCache => None,
        }
    }

    /// Its Mach-O part.
    pub fn macho(&self) -> Option<&MachO> {
        self.module().and_then(|module| module.macho())
    }

    /// Its file, where it has one.
    pub fn id(&self) -> Option<FileId> {
        match &self.source {
            ImageSource::File { id, .. } => Some(*id),
            ImageSource::SharedCache => None,
        }
    }

    /// Who brought it in; the program for an image that was opened, nobody for the program.
    pub fn loader(&self) -> Option<ImageId> {
        self.loader
    }

    /// The images whose LC_RPATHs serve its dependencies, innermost first. An image can stand in it twice, as
    /// it does in dyld.
    pub fn rpath_stack(&self) -> &[ImageId] {
        self.chain.as_deref().unwrap_or_default()
    }

    /// What became of each of its libraries, in file order.
    pub fn edges(&self) -> &[DyldEdge] {
        &self.edges
    }

    /// The image that a number in its imports means, from 1.
    pub fn library(&self, number: u32) -> Option<&DyldEdge> {
        let macho = self.macho()?;
        let at = macho.dylibs.iter().position(|dylib| dylib.ordinal == Some(number))?;
        self.edges.iter().find(|edge| edge.dependency == at)
    }

    /// Whether it answers to a name: its path, or for a library its install name (`JustInTimeLoader::matchesPath`).
    pub(super) fn answers_to(&self, name: &[u8]) -> bool {
        path_bytes(&self.path) == name
            || self.module().is_some_and(|module| {
                let is_dylib = module.macho().is_some_and(|macho| macho.file_type == object::macho::MH_DYLIB);
                is_dylib && module.soname.as_ref().is_some_and(|soname| soname.as_bytes() == name)
            })
    }

    /// `<UUID>` in dyld's messages.
    pub(super) fn uuid(&self) -> String {
        let Some(uuid) = self.macho().and_then(|macho| macho.uuid) else { return "no uuid".to_owned() };
        let hex: String = uuid.iter().map(|byte| format!("{byte:02X}")).collect();
        let part = |from: usize, to: usize| hex.get(from..to).unwrap_or_default();
        format!("{}-{}-{}-{}-{}", part(0, 8), part(8, 12), part(12, 16), part(16, 20), part(20, 32))
    }
}

/// The slice that a process of an architecture takes: of a fat file the best, of a thin one itself.
pub fn slice_for(module: &Arc<Module>, arch: MachArch) -> Option<Arc<Module>> {
    let macho = module.macho()?;
    let further = macho.further_slices.iter().filter_map(|slice| slice.module.as_ref().ok());
    std::iter::once(module)
        .chain(further)
        .filter_map(|module| Some((module.macho()?.slice.arch.grade(arch)?, module)))
        .min_by_key(|(grade, _)| *grade)
        .map(|(_, module)| Arc::clone(module))
}
