//! The builder against the world: the real loader loads what it writes, independent readers read it.

mod loader;
mod readers;
mod support;
