//! The Mach-O builder: a [`MachImage`](image::MachImage) is turned into load commands and the tables of
//! `__LINKEDIT`, which have an encoder each. Nothing here reads Mach-O.

pub(crate) mod bytes;
mod chained;
mod commands;
pub(crate) mod fat;
pub(crate) mod image;
mod opcodes;
mod signature;
mod symtab;
mod trie;
