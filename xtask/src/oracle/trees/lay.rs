//! Lays a description on disk below its root, which is emptied first. Everything is readable by everyone but the files that are
//! meant not to be, because the host runs as an unprivileged user.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use anyhow::{Context, Result};
use pgsym_testkit::{Class, Damage, Endian, HeaderField, Kind, Machine, ProgramHeaderField, SharedObject};

use super::describe::{Bad, Content, HOST, Tree};
use super::toolchain::Toolchain;

pub(super) fn lay(tree: &Tree, root: &Path, toolchain: &mut Toolchain) -> Result<()> {
    if root.exists() {
        fs::remove_dir_all(root).with_context(|| format!("empty {}", root.display()))?;
    }
    fs::create_dir_all(root).with_context(|| format!("make {}", root.display()))?;
    for entry in &tree.entries {
        let path = root.join(&entry.path);
        let context = || format!("lay {}", path.display());
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).with_context(context)?;
        }
        match &entry.content {
            Content::Library(library) => {
                fs::copy(toolchain.library(library)?, &path).with_context(context)?;
            }
            Content::Symlink(target) => symlink(target, &path).with_context(context)?,
            Content::HardLink(existing) => fs::hard_link(root.join(existing), &path).with_context(context)?,
            Content::Copy(existing) => {
                fs::copy(root.join(existing), &path).with_context(context)?;
            }
            Content::Directory => fs::create_dir_all(&path).with_context(context)?,
            Content::Bad(bad) => lay_bad(*bad, &path).with_context(context)?,
        }
    }
    let host = root.join(HOST);
    let linked = toolchain.host(&tree.host)?;
    if let Some(parent) = host.parent() {
        fs::create_dir_all(parent)?;
    }
    // A copy would be open for writing here while another thread forks, and such a file does not execute (ETXTBSY).
    fs::hard_link(&linked, &host)
        .or_else(|_| fs::copy(&linked, &host).map(|_| ()))
        .with_context(|| format!("lay {}", host.display()))
}

fn lay_bad(bad: Bad, path: &Path) -> std::io::Result<()> {
    let library = SharedObject::new().export("anchor");
    let bytes = match bad {
        Bad::Empty => Vec::new(),
        Bad::Short => library.damage(Damage::Truncated(20)).build(),
        Bad::ShortText => b"INPUT(liba.so)\n".to_vec(),
        Bad::LinkerScript => {
            format!("/* GNU ld script */\n{}GROUP ( liba.so )\n", " ".repeat(80)).into_bytes()
        }
        Bad::OtherClass => library.class(Class::Elf32).build(),
        Bad::OtherMachine => SharedObject::for_machine(Machine::Aarch64).export("anchor").build(),
        Bad::WrongEndian => library.endian(Endian::Big).build(),
        Bad::WrongVersion => library.damage(Damage::Ident(6, 7)).build(),
        Bad::WrongOsAbi => library.osabi(9).build(),
        Bad::WrongAbiVersion => library.osabi(3).abi_version(77).build(),
        Bad::GnuOsAbi => library.osabi(3).build(),
        Bad::WrongPhEntSize => library.damage(Damage::Header(HeaderField::PhEntSize, 55)).build(),
        Bad::Relocatable => library.kind(Kind::Relocatable).build(),
        Bad::Executable => library.kind(Kind::Executable).build(),
        Bad::PieExecutable => library.kind(Kind::PieExecutable).build(),
        Bad::NoOpen => library.no_dlopen().build(),
        Bad::HeaderOnly => library.damage(Damage::Truncated(64)).build(),
        // PT_DYNAMIC becomes PT_NULL.
        Bad::NoDynamic => library.damage(Damage::ProgramHeader(2, ProgramHeaderField::Type, 0)).build(),
        Bad::Directory => return fs::create_dir(path),
        Bad::DanglingLink => return symlink("nowhere/at/all", path),
        Bad::LinkLoop => return symlink(path, path),
        Bad::LinkThroughFile => return symlink("/proc/self/exe/below", path),
        Bad::Unreadable => {
            fs::write(path, library.build())?;
            return fs::set_permissions(path, fs::Permissions::from_mode(0o000));
        }
    };
    fs::write(path, bytes)
}
