//! One macOS process as dyld builds it: the program, its libraries, then each `dlopen`. An image looks for all its
//! libraries before the first of them looks for its own (`JustInTimeLoader::loadDependents`), and the way by which
//! that walk comes to an image decides whose LC_RPATHs serve it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use object::macho;

use super::environment::{DyldEnv, SDK_WITHOUT_DUPLICATES};
use super::image::{Image, ImageId, ImageSource, slice_for};
use super::search::{Request, candidates};
use super::trace::{DyldEdge, DyldOutcome, DyldProbe, DyldVia, tried};
use crate::fs::{FileId, FileKind};
use crate::limits;
use crate::model::{DependencyKind, MachArch, Module, SearchPathKind, platform_name};
use crate::name::{bytes_as_path, path_bytes, shown_path};
use crate::resolve::store::{FileStore, OpenFailure, Opened};

/// The images of one process.
#[derive(Clone)]
pub struct DyldProcess {
    store: Arc<FileStore>,
    env: Arc<DyldEnv>,
    images: Vec<Arc<Image>>,
    failure: Option<String>,
}

/// The end of one `dlopen`.
pub struct DyldAttempt {
    /// The process with the new images in it; with a failure, also what could be found of the rest, for the report.
    pub process: DyldProcess,
    /// The opened image.
    pub root: Option<ImageId>,
    /// How many images there were before.
    pub before: usize,
    /// How the file itself was looked for.
    pub searched: Vec<DyldProbe>,
    /// What `dlerror` says, without "dlopen(…): " before it.
    pub failure: Option<String>,
}

/// What a search came to.
struct Found {
    target: Option<ImageId>,
    via: Option<DyldVia>,
    searched: Vec<DyldProbe>,
    failure: String,
}

impl DyldProcess {
    /// Starts a process with a program, or with any image in its place. An error is the reason why the file itself is
    /// no image of the process's architecture.
    pub fn start(store: Arc<FileStore>, env: Arc<DyldEnv>, path: &Path) -> Result<Self, String> {
        let mut process = Self { store, env, images: Vec::new(), failure: None };
        // The kernel resolves a program's path before dyld runs.
        let path = &process.store.fs().canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let (id, module) = process.file(path).map_err(|outcome| outcome.to_string())?;
        let module = slice_for(&module, process.env.arch)
            .ok_or_else(|| wrong_architecture(&module, process.env.arch))?;
        let main = process.add(path, ImageSource::File { id, module }, None);
        // The program's own LC_RPATHs count twice: the launch puts it on the stack, and so does the walk.
        process.load_dependencies(main, &[main]);
        Ok(process)
    }

    /// What `dlopen(path, RTLD_NOW | RTLD_GLOBAL)`, called from the program, would do. The process itself stays
    /// as it is.
    pub fn dlopen(&self, path: &Path) -> DyldAttempt {
        let mut process = self.clone();
        process.failure = None;
        let before = process.images.len();
        let caller: Vec<ImageId> = self.main().into_iter().flat_map(|main| [main, main]).collect();
        let request = Request { chain: &caller, is_static: false };
        let found = process.find(request, path_bytes(path));
        match found.target {
            None => process.failure = Some(found.failure.clone()),
            Some(root) => {
                let chain: Vec<ImageId> = std::iter::once(root).chain(caller).collect();
                process.load_dependencies(root, &chain);
                if process.failure.is_none() {
                    process.failure = process.first_unbound(before);
                }
            }
        }
        let failure = process.failure.clone();
        DyldAttempt { process, root: found.target, before, searched: found.searched, failure }
    }

    /// The first failure of the start, in dyld's words.
    pub fn failure(&self) -> Option<&str> {
        self.failure.as_deref()
    }

    /// The images in load order.
    pub fn images(&self) -> impl Iterator<Item = (ImageId, &Image)> {
        self.images.iter().enumerate().map(|(index, image)| (ImageId(index as u32), &**image))
    }

    /// One image.
    pub fn image(&self, id: ImageId) -> Option<&Image> {
        self.images.get(id.index()).map(|image| &**image)
    }

    /// The program.
    pub fn main(&self) -> Option<ImageId> {
        (!self.images.is_empty()).then_some(ImageId(0))
    }

    /// The environment that it runs in.
    pub fn env(&self) -> &DyldEnv {
        &self.env
    }

    /// The files that it opens.
    pub fn store(&self) -> &FileStore {
        &self.store
    }

    /// The image loaded from a file.
    pub fn find_file(&self, id: FileId) -> Option<ImageId> {
        self.images().find(|(_, image)| image.id() == Some(id)).map(|(id, _)| id)
    }

    /// An image and everything that it brings, breadth first, each once.
    pub fn closure(&self, root: ImageId) -> Vec<ImageId> {
        let mut seen = vec![false; self.images.len()];
        let mut list = Vec::new();
        let mut push = |id: ImageId, list: &mut Vec<ImageId>| {
            if let Some(slot) = seen.get_mut(id.index())
                && !std::mem::replace(slot, true)
            {
                list.push(id);
            }
        };
        push(root, &mut list);
        let mut next = 0;
        while let Some(&id) = list.get(next) {
            next += 1;
            for target in self.image(id).map_or(&[][..], Image::edges).iter().filter_map(|edge| edge.target) {
                push(target, &mut list);
            }
        }
        list
    }

    /// Loads what `root` needs, as dyld does and, after a failure that ends dyld's walk, the rest for the report.
    fn load_dependencies(&mut self, root: ImageId, chain: &[ImageId]) {
        let first_new = self.images.len().min(root.index());
        let mut open = Vec::new();
        open.extend(self.enter(root, chain));
        while let Some((image, next)) = open.last_mut() {
            let (image, at) = (*image, *next);
            *next += 1;
            let Some(child) = self.image(image).and_then(|image| image.edges.get(at)).map(|edge| edge.target)
            else {
                open.pop();
                continue;
            };
            let Some(child) = child else { continue };
            let chain = self.image(image).and_then(|image| image.chain.clone()).unwrap_or_default();
            open.extend(self.enter(child, &chain));
        }
        if self.failure.is_some() {
            self.load_the_rest(first_new);
        }
    }

    /// One image's turn in dyld's walk: it looks for its libraries; the frame that goes on with them, unless that
    /// failed here or before.
    fn enter(&mut self, id: ImageId, stack: &[ImageId]) -> Option<(ImageId, usize)> {
        if self.image(id)?.chain.is_some() || self.image(id)?.module().is_none() {
            return None;
        }
        let chain: Vec<ImageId> =
            std::iter::once(id).chain(stack.iter().copied()).take(limits::DYLD_CHAIN).collect();
        if let Some(image) = self.image_mut(id) {
            image.chain = Some(chain.into());
        }
        let failed = self.look_for_libraries(id, Stop::AtFailure);
        if let Some(message) = failed {
            // A later failure takes the place of an earlier one (`Diagnostics::error`).
            self.failure = Some(message);
        }
        self.failure.is_none().then_some((id, 0))
    }

    /// Looks for what dyld's walk left out after its failure.
    fn load_the_rest(&mut self, first: usize) {
        let mut next = first;
        while next < self.images.len() {
            let id = ImageId(next as u32);
            next += 1;
            if self.image(id).is_none_or(|image| image.module().is_none()) {
                continue;
            }
            if self.image(id).is_some_and(|image| image.chain.is_none()) {
                let loader = self.image(id).and_then(Image::loader);
                let stack = loader.and_then(|loader| self.image(loader)?.chain.clone()).unwrap_or_default();
                let chain =
                    std::iter::once(id).chain(stack.iter().copied()).take(limits::DYLD_CHAIN).collect();
                if let Some(image) = self.image_mut(id) {
                    image.chain = Some(chain);
                }
            }
            self.look_for_libraries(id, Stop::Never);
        }
    }

    /// Looks for the libraries of an image that were not looked for yet; dyld's message where one is missing.
    fn look_for_libraries(&mut self, id: ImageId, stop: Stop) -> Option<String> {
        let module = Arc::clone(self.image(id)?.module()?);
        let chain = self.image(id)?.chain.clone().unwrap_or_default();
        let done = self.image(id)?.edges.len();
        for (dependency, wanted) in module.needed().iter().enumerate().skip(done) {
            let mut edge = DyldEdge {
                requester: id,
                dependency,
                name: wanted.name.clone(),
                kind: wanted.kind,
                target: None,
                via: None,
                searched: Vec::new(),
                failure: None,
            };
            let name = wanted.name.as_bytes();
            let loaded = (name.first() == Some(&b'/')).then(|| self.answering(name)).flatten();
            if wanted.kind == DependencyKind::Lazy {
                // dyld 4 passes over LC_LAZY_LOAD_DYLIB.
            } else if let Some(loaded) = loaded {
                (edge.target, edge.via) = (Some(loaded), Some(DyldVia::Loaded));
            } else {
                let found = self.find(Request { chain: &chain, is_static: true }, name);
                (edge.target, edge.via, edge.searched) = (found.target, found.via, found.searched);
                if found.target.is_none() && wanted.kind != DependencyKind::Weak {
                    let image = self.image(id)?;
                    edge.failure = Some(format!(
                        "Library not loaded: {}\n  Referenced from: <{}> {}\n  Reason: {}",
                        wanted.name,
                        image.uuid(),
                        shown_path(image.path()),
                        found.failure
                    ));
                }
            }
            let failure = edge.failure.clone();
            if let Some(image) = self.image_mut(id) {
                Arc::make_mut(&mut image.edges).push(edge);
            }
            if failure.is_some() && stop == Stop::AtFailure {
                return failure;
            }
        }
        None
    }

    /// `Loader::getLoader`.
    fn find(&mut self, request: Request<'_>, name: &[u8]) -> Found {
        let mut searched = Vec::new();
        if name.starts_with(b"@rpath/")
            && let Some(id) = self.answering(name)
        {
            return Found { target: Some(id), via: Some(DyldVia::Loaded), searched, failure: String::new() };
        }
        if let Some(hit) = self.try_each(request, name, &mut searched) {
            return Found { target: Some(hit.0), via: Some(hit.1), searched, failure: String::new() };
        }
        // The last resort: the name with its links resolved, where that is another name.
        if name.first() != Some(&b'@')
            && let Some(path) = self.absolute(bytes_as_path(name))
            && let Ok(real) = self.store.fs().canonicalize(&path)
            && !name.starts_with(path_bytes(&real))
            && let Some(hit) = self.try_each(request, path_bytes(&real), &mut searched)
        {
            return Found { target: Some(hit.0), via: Some(hit.1), searched, failure: String::new() };
        }
        let mut failure = tried(&searched);
        if failure.is_empty() && name.starts_with(b"@rpath/") {
            failure = if self.has_rpath(request.chain) {
                "no LC_RPATH's used.  They may be invalid, eg, not start with '@loader_path' or '@executable_path'"
            } else {
                "no LC_RPATH's found"
            }
            .to_owned();
        }
        Found { target: None, via: None, searched, failure }
    }

    fn has_rpath(&self, chain: &[ImageId]) -> bool {
        chain
            .iter()
            .filter_map(|&id| self.image(id)?.module())
            .any(|module| module.search_paths.iter().any(|path| path.kind == SearchPathKind::LcRpath))
    }

    fn try_each(
        &mut self,
        request: Request<'_>,
        name: &[u8],
        searched: &mut Vec<DyldProbe>,
    ) -> Option<(ImageId, DyldVia)> {
        for candidate in candidates(self, request, name) {
            let path = candidate.path;
            let (outcome, target) = self.try_one(request, &path, candidate.via, candidate.cache_counts);
            let via = match outcome {
                DyldOutcome::System => DyldVia::System,
                _ => candidate.via,
            };
            searched.push(DyldProbe { via, path, outcome });
            if let Some(target) = target {
                return Some((target, via));
            }
        }
        None
    }

    fn try_one(
        &mut self,
        request: Request<'_>,
        path: &Path,
        via: DyldVia,
        cache_counts: bool,
    ) -> (DyldOutcome, Option<ImageId>) {
        if let Some(id) = self.answering(path_bytes(path)) {
            return (DyldOutcome::Loaded, Some(id));
        }
        let asker = request.chain.first().copied();
        let in_cache = self.env.is_in_shared_cache(path, via);
        let (id, module) = match self.file(path) {
            Ok(file) => file,
            // Where no file is, the cache answers; a system that still has the file is older than the cache.
            Err(DyldOutcome::Missing { .. }) if in_cache && cache_counts => {
                return match self.room() {
                    Err(outcome) => (outcome, None),
                    Ok(()) => (DyldOutcome::System, Some(self.add_system(path, asker))),
                };
            }
            Err(DyldOutcome::Missing { .. }) => {
                let maybe_cached = cache_counts && super::might_be_in_shared_cache(path);
                return (DyldOutcome::Missing { maybe_cached }, None);
            }
            Err(outcome) => return (outcome, None),
        };
        if let Some(loaded) = self.find_file(id) {
            return (DyldOutcome::Loaded, Some(loaded));
        }
        let Some(module) = slice_for(&module, self.env.arch) else {
            return (DyldOutcome::Refused(wrong_architecture(&module, self.env.arch)), None);
        };
        if let Some(refusal) = refusal(&module, path, request.is_static) {
            return (DyldOutcome::Refused(refusal), None);
        }
        match self.room() {
            Err(outcome) => (outcome, None),
            Ok(()) => (DyldOutcome::Found, Some(self.add(path, ImageSource::File { id, module }, asker))),
        }
    }

    fn room(&self) -> Result<(), DyldOutcome> {
        if self.images.len() < limits::DYLD_IMAGES {
            return Ok(());
        }
        Err(DyldOutcome::Refused("more images than one process is modelled with".to_owned()))
    }

    /// A file and what it says.
    pub(super) fn file(&self, path: &Path) -> Result<(FileId, Arc<Module>), DyldOutcome> {
        // Relative to a directory that nobody knows, nothing is found.
        let path = self.absolute(path).ok_or(DyldOutcome::Missing { maybe_cached: false })?;
        match &*self.store.open(&path) {
            Opened::Failed(OpenFailure::Missing | OpenFailure::NotADirectory) => {
                Err(DyldOutcome::Missing { maybe_cached: false })
            }
            Opened::Failed(OpenFailure::Denied) => Err(DyldOutcome::Failed(EACCES)),
            Opened::Failed(OpenFailure::Unreadable(_)) => Err(DyldOutcome::NotAFile),
            Opened::Failed(OpenFailure::Other(_)) => Err(DyldOutcome::Failed(ELOOP)),
            Opened::File(file) => match &file.module {
                Ok(module) if module.macho().is_some() => Ok((file.metadata.id, Arc::clone(module))),
                // dyld's sentence for anything that does not begin as a Mach-O file does.
                Ok(_) => Err(DyldOutcome::Refused("slice is not valid mach-o file".to_owned())),
                Err(_) if file.metadata.kind != FileKind::File => Err(DyldOutcome::NotAFile),
                // Mapping an empty file fails without a word (`mapFileReadOnly`).
                Err(_) if file.metadata.len == 0 => Err(DyldOutcome::Refused(String::new())),
                Err(_) => Err(DyldOutcome::Refused("slice is not valid mach-o file".to_owned())),
            },
        }
    }

    fn absolute(&self, path: &Path) -> Option<PathBuf> {
        if path.is_absolute() {
            return Some(path.to_owned());
        }
        self.env.current_directory.as_ref().map(|directory| directory.join(path))
    }

    fn answering(&self, name: &[u8]) -> Option<ImageId> {
        self.images().find(|(_, image)| image.answers_to(name)).map(|(id, _)| id)
    }

    fn add(&mut self, path: &Path, source: ImageSource, loader: Option<ImageId>) -> ImageId {
        let absolute = self.absolute(path).unwrap_or_else(|| path.to_owned());
        let path = self.store.fs().canonicalize(&absolute).unwrap_or(absolute);
        self.push(Image { path, source, loader, chain: None, edges: Arc::default() })
    }

    fn add_system(&mut self, path: &Path, loader: Option<ImageId>) -> ImageId {
        let path = path.to_owned();
        self.push(Image {
            path,
            source: ImageSource::SharedCache,
            loader,
            chain: None,
            edges: Arc::default(),
        })
    }

    fn push(&mut self, image: Image) -> ImageId {
        let id = ImageId(self.images.len() as u32);
        self.images.push(Arc::new(image));
        id
    }

    /// An image to change; other processes that share it keep theirs.
    fn image_mut(&mut self, id: ImageId) -> Option<&mut Image> {
        self.images.get_mut(id.index()).map(Arc::make_mut)
    }
}

/// Whether a missing library ends an image's search.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stop {
    AtFailure,
    Never,
}

/// macOS' numbers for what `stat` refuses.
const EACCES: i32 = 13;
const ELOOP: i32 = 62;

fn wrong_architecture(module: &Module, arch: MachArch) -> String {
    let Some(macho) = module.macho() else { return "slice is not valid mach-o file".to_owned() };
    if !macho.slice.is_fat {
        return format!(
            "mach-o file, but is an incompatible architecture (have '{}', need '{arch}')",
            macho.slice.arch
        );
    }
    let mut have = macho.slice.arch.name();
    for slice in &macho.further_slices {
        have.push(',');
        have.push_str(&slice.arch.name());
    }
    format!("fat file, but missing compatible architecture (have '{have}', need '{arch}')")
}

/// What dyld refuses in an image of the right architecture (`makeJustInTimeLoaderDisk`, `UnsafeHeader::valid`).
pub(super) fn refusal(module: &Module, path: &Path, is_static: bool) -> Option<String> {
    let detail = module.macho()?;
    let shown = shown_path(path);
    let is_macos = |platform: macho::Platform| platform == macho::PLATFORM_MACOS;
    if !detail.platforms.is_empty() && !detail.platforms.iter().any(|entry| is_macos(entry.platform)) {
        let have = detail.platform().map_or("", |entry| platform_name(entry.platform));
        return Some(format!(
            "mach-o file ({shown}), but incompatible platform (have '{have}', need 'macOS')"
        ));
    }
    match detail.file_type {
        macho::MH_DYLIB => {}
        macho::MH_BUNDLE if is_static => return Some(format!("cannot link against bundle '{shown}'")),
        macho::MH_BUNDLE => {}
        macho::MH_EXECUTE if is_static => {
            return Some(format!("cannot link against a main executable '{shown}'"));
        }
        macho::MH_EXECUTE => {}
        other => return Some(format!("unloadable mach-o file type {} '{shown}'", other.0)),
    }
    if detail.platform().is_some_and(|platform| platform.sdk >= SDK_WITHOUT_DUPLICATES) {
        let mut rpaths = module.search_paths.iter().map(|path| &path.raw).collect::<Vec<_>>();
        if let Some(name) = first_twice(&mut rpaths) {
            return Some(format!("duplicate LC_RPATH '{name}'"));
        }
        let mut libraries = module.needed().iter().map(|dependency| &dependency.name).collect::<Vec<_>>();
        if let Some(name) = first_twice(&mut libraries) {
            return Some(format!("duplicate linked dylib '{name}'"));
        }
    }
    None
}

/// The first element that stands in a list a second time.
fn first_twice<T: Ord>(list: &mut [T]) -> Option<&T> {
    let mut seen = std::collections::BTreeSet::new();
    list.iter().find(|element| !seen.insert(*element))
}
