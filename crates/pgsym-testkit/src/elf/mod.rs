//! The ELF builder. A [`SharedObject`](shared_object::SharedObject) is turned into a `plan` (which symbols, strings and
//! versions there are, and where each datum lies inside its section), the plan into sections, the sections into
//! a file (`layout`). Nothing here reads ELF.

pub(crate) mod code;
pub(crate) mod damage;
pub(crate) mod description;
mod dynamic;
pub(crate) mod encoding;
mod hash;
mod headers;
mod layout;
pub(crate) mod machine;
pub(crate) mod magic;
pub(crate) mod notes;
mod plan;
pub(crate) mod relocations;
mod sections;
pub(crate) mod shared_object;
mod strings;
mod symbols;
mod versions;
