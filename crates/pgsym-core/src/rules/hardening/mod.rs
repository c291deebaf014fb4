//! PGS4xx: how the code may be mapped, and what the processor must have.

pub(crate) mod executable_stack;
pub(crate) mod isa_level;
pub(crate) mod no_relro;
pub(crate) mod static_tls;
pub(crate) mod text_relocations;

use crate::check::ModuleCx;
use crate::model::Elf;
use crate::tree::Role;

/// The ELF part of a file that a process loads.
fn loadable<'t>(cx: &ModuleCx<'t>) -> Option<&'t Elf> {
    if cx.role() == Role::Other { None } else { cx.elf() }
}
