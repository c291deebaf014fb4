//! PGS3xx: PostgreSQL's own contract.

pub(crate) mod abi_mismatch;
pub(crate) mod finfo_without_function;
pub(crate) mod hidden_entry_point;
pub(crate) mod missing_magic_block;
pub(crate) mod unknown_magic_block;
pub(crate) mod wrong_major;

use crate::check::ModuleCx;
use crate::name::Name;
use crate::postgres::{MAGIC_FUNCTION, Magic, MagicBlock, ServerMessage, mismatch};
use crate::resolve::{Object, dlsym};
use crate::tree::Role;

/// The names of a module that PostgreSQL would look up and that are local in it.
fn hidden<'t>(cx: &ModuleCx<'t>) -> &'t [Name] {
    cx.elf()
        .and_then(|elf| elf.sections.get())
        .and_then(|sections| sections.hidden_entry_points.get())
        .map_or(&[], Vec::as_slice)
}

/// Whether a module exports no magic function; not so where its symbols could not be read.
fn lacks_magic(cx: &ModuleCx<'_>) -> bool {
    cx.role() == Role::Module && cx.postgres().is_some_and(|facts| facts.magic == Magic::Absent)
}

/// Whether the magic function is there, but local.
fn hides_magic(cx: &ModuleCx<'_>) -> bool {
    lacks_magic(cx) && hidden(cx).iter().any(|name| name.as_bytes() == MAGIC_FUNCTION)
}

/// The first object in which `dlsym` on the module's handle finds a name, the module itself apart.
fn in_dependency<'t>(cx: &ModuleCx<'t>, name: &[u8]) -> Option<&'t Object> {
    let load = cx.load()?;
    let root = load.root?;
    let libc = load.process.env().libc;
    let mut objects = load.process.closure(root).into_iter().skip(1).filter_map(|id| load.process.object(id));
    objects.find(|object| dlsym(object.module(), name, libc).is_some())
}

/// The block that the server compares modules with: its own, or that of a stock server of the major that was
/// asked about.
fn expected(cx: &ModuleCx<'_>) -> Option<MagicBlock> {
    if let Some(server) = cx.server() {
        return server.facts.magic.clone().or_else(|| standard(cx, server.facts.major()?));
    }
    standard(cx, cx.settings().pg_major?)
}

fn standard(cx: &ModuleCx<'_>, major: u32) -> Option<MagicBlock> {
    Some(MagicBlock::standard(major, cx.module()?.target.class))
}

/// How the server refuses a module's own block, with both blocks.
fn refused<'t>(cx: &ModuleCx<'t>) -> Option<(MagicBlock, &'t MagicBlock, ServerMessage)> {
    if cx.role() != Role::Module {
        return None;
    }
    let block = cx.postgres()?.magic.block()?;
    let expected = expected(cx)?;
    let message = mismatch(cx.path(), &expected, block)?;
    Some((expected, block, message))
}

/// The lines of a server's message, as psql prints them.
fn lines(message: &ServerMessage) -> Vec<String> {
    message.to_string().lines().map(str::to_owned).collect()
}
