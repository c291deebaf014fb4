//! What the server says when it loads a module on macOS: the same messages around dyld's.

use std::path::Path;

use object::macho;

use super::load::{Unread, Verdict, compared};
use super::{Magic, MagicBlock, ServerMessage};
use crate::name::{Name, path_bytes};
use crate::parse::{Facets, parse};
use crate::resolve::dyld::{DyldProcess, Image, ImageId, slice_for};

/// Pg_magic_func as the compiler names it.
const MAGIC_SYMBOL: &[u8] = b"_Pg_magic_func";

/// What the server says of a module that was given to `dlopen`: `root` and `failure` are those of the attempt.
pub fn dyld_verdict(
    process: &DyldProcess,
    root: Option<ImageId>,
    failure: Option<&str>,
    path: &Path,
    expected: Option<&MagicBlock>,
) -> Verdict {
    if let Some(failure) = failure {
        let shown = Name::from(path_bytes(path));
        // RTLD_NOW | RTLD_GLOBAL are 2 and 8 on macOS; dlerror begins with the call.
        let message = format!("could not load library \"{shown}\": dlopen({shown}, 0x000A): {failure}");
        return Verdict::Fails(ServerMessage::plain(message));
    }
    let Some(root) = root else { return Verdict::Unknown("it was not loaded".to_owned()) };
    compared(magic_of(process, root), path, expected)
}

/// The block that `dlsym(handle, "Pg_magic_func")` leads to: the module's own, or that of the first of its libraries
/// that exports one. What the shared cache exports is none of PostgreSQL's.
fn magic_of(process: &DyldProcess, root: ImageId) -> Option<Result<MagicBlock, Unread>> {
    let provider = process.closure(root).into_iter().find_map(|id| {
        let image = process.image(id)?;
        let is_program = image.macho()?.file_type == macho::MH_EXECUTE;
        image.macho()?.export(MAGIC_SYMBOL).filter(|_| !is_program).map(|_| image)
    })?;
    Some(block_of(process, provider))
}

fn block_of(process: &DyldProcess, image: &Image) -> Result<MagicBlock, Unread> {
    let because = |why: &str| Unread::Because(why.to_owned());
    let read = |magic: &Magic| match magic {
        Magic::Found(block) => Ok((**block).clone()),
        Magic::Unknown(why) => Err(Unread::of(why)),
        Magic::Absent => Err(because("the reader does not find what the export trie names")),
    };
    let module = image.module().ok_or_else(|| because("it has no file"))?;
    if let Some(facts) = module.postgres.get() {
        return read(&facts.magic);
    }
    // A library outside the tree, which was read for its symbols only.
    let (source, metadata) =
        process.store().fs().open(image.path()).map_err(|error| because(&crate::error::os_text(&error)))?;
    let module = parse(image.path(), metadata, &*source, Facets::POSTGRES)
        .map_err(|error| because(&error.to_string()))?;
    let module = slice_for(&module.into(), process.env().arch).ok_or_else(|| because("its slice is gone"))?;
    module
        .postgres
        .get()
        .map_or_else(|| Err(because("its symbols cannot be read")), |facts| read(&facts.magic))
}
