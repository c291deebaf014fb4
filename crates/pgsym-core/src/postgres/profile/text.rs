//! The text of a profile.
//!
//! ```text
//! pgsym-profile 3
//! version 15.18
//! machine 62 64 little
//! interpreter /lib64/ld-linux-x86-64.so.2
//! server /usr/lib/postgresql/15/bin/postgres
//! pkglibdir /usr/lib/postgresql/15/lib
//! magic 56 1500 100 32 64 1 506f737467726553514c0000…
//! needed libssl.so.3
//! library libssl.so.3 /lib/x86_64-linux-gnu/libssl.so.3
//! f palloc
//! d CurrentMemoryContext
//! end 12
//! ```
//!
//! `server` is where the binary lies: what `$ORIGIN` in its search paths starts from, wherever the profile is read. A library
//! that the search does not find then is taken from where its `library` line has it. The last line counts those before it, so
//! that a part of a profile is none. Format 2 had no line `server`, so `$ORIGIN` of its servers is not known; format 1 had no
//! last line either.

use std::io::{self, Write};
use std::path::PathBuf;

use object::elf;

use super::Profile;
use crate::limits;
use crate::model::{Class, Endian, SearchPathKind, SymbolKind, Target};
use crate::name::{Name, Shown, path_bytes, path_from_bytes};
use crate::postgres::{MagicBlock, MagicEvidence};

/// The first line of a profile of today's format.
const MARK: &str = "pgsym-profile 3";

/// The first line of the format without the server's path.
const MARK_2: &str = "pgsym-profile 2";

/// The first line of the format without a last line.
const MARK_1: &str = "pgsym-profile 1";

impl Profile {
    /// Writes the profile as text.
    pub fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        let mut text = Vec::new();
        self.write_lines(&mut text)?;
        out.write_all(&text)?;
        writeln!(out, "end {}", text.split(|&byte| byte == b'\n').count() - 1)
    }

    fn write_lines(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "{MARK}")?;
        if let Some(version) = &self.version {
            writeln!(out, "version {version}")?;
        }
        let bits = if self.target.class == Class::Bits64 { 64 } else { 32 };
        let order = if self.target.endian == Endian::Little { "little" } else { "big" };
        writeln!(out, "machine {} {bits} {order}", self.target.machine.0)?;
        let line = |out: &mut dyn Write, key: &str, value: &[u8]| writeln!(out, "{key} {}", Shown(value));
        if let Some(interpreter) = &self.interpreter {
            line(out, "interpreter", interpreter.as_bytes())?;
        }
        let paths = [("server", &self.server), ("pkglibdir", &self.pkglibdir), ("sharedir", &self.sharedir)];
        for (key, path) in paths {
            if let Some(path) = path {
                line(out, key, path_bytes(path))?;
            }
        }
        if let Some(magic) = &self.magic {
            let numbers = [
                magic.len,
                magic.version,
                magic.func_max_args,
                magic.index_max_keys,
                magic.name_data_len,
                magic.float8_by_value,
            ];
            write!(out, "magic")?;
            for number in numbers {
                write!(out, " {number}")?;
            }
            if let Some(abi) = &magic.abi_extra {
                write!(out, " ")?;
                for byte in abi {
                    write!(out, "{byte:02x}")?;
                }
            }
            writeln!(out)?;
        }
        for needed in &self.needed {
            line(out, "needed", needed.as_bytes())?;
        }
        for (kind, raw) in &self.search_paths {
            line(out, if *kind == SearchPathKind::Rpath { "rpath" } else { "runpath" }, raw.as_bytes())?;
        }
        for (soname, path) in &self.libraries {
            writeln!(out, "library {soname} {}", Shown(path_bytes(path)))?;
        }
        for (name, kind) in &self.exports {
            writeln!(out, "{} {name}", kind_letter(*kind))?;
        }
        Ok(())
    }

    /// Reads a profile; an error says which line is wrong and how.
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        let mut lines = bytes.split(|&byte| byte == b'\n').enumerate();
        let first = lines.next().map(|(_, line)| line.trim_ascii_end()).unwrap_or_default();
        let is_old = first == MARK_1.as_bytes();
        if !is_old && first != MARK_2.as_bytes() && first != MARK.as_bytes() {
            return Err(format!("the first line is not \"{MARK}\""));
        }
        // Of the old format, at least the last line is whole.
        let mut is_whole = is_old && bytes.ends_with(b"\n");
        let mut target = None;
        let mut profile = Self {
            version: None,
            target: Target::X86_64,
            interpreter: None,
            server: None,
            pkglibdir: None,
            sharedir: None,
            magic: None,
            needed: Vec::new(),
            search_paths: Vec::new(),
            libraries: Vec::new(),
            exports: Vec::new(),
        };
        for (index, line) in lines {
            let line = line.trim_ascii();
            if line.is_empty() || line.starts_with(b"#") {
                continue;
            }
            let wrong = |what: &str| format!("line {}: {what}", index + 1);
            if is_whole && !is_old {
                return Err(wrong("there is more behind the line \"end\""));
            }
            let at = line.iter().position(|&byte| byte == b' ').ok_or_else(|| wrong("there is no value"))?;
            let (key, value) = (&line[..at], line[at..].trim_ascii());
            let text = || std::str::from_utf8(value).map_err(|_| wrong("the value is not UTF-8"));
            match key {
                b"f" | b"d" | b"t" | b"i" | b"n" => {
                    if profile.exports.len() >= limits::DYNAMIC_SYMBOLS {
                        return Err(wrong("there are more symbols than a server can have"));
                    }
                    profile.exports.push((Name::from(value), letter_kind(key)));
                }
                b"version" => profile.version = Some(text()?.to_owned()),
                b"machine" => {
                    target = Some(
                        parse_machine(text()?)
                            .ok_or_else(|| wrong("the machine is not \"NUMBER 32|64 little|big\""))?,
                    );
                }
                b"interpreter" => profile.interpreter = Some(Name::from(value)),
                b"server" => profile.server = Some(path_from_bytes(value.to_vec())),
                b"pkglibdir" => profile.pkglibdir = Some(path_from_bytes(value.to_vec())),
                b"sharedir" => profile.sharedir = Some(path_from_bytes(value.to_vec())),
                b"magic" => {
                    profile.magic =
                        Some(parse_magic(text()?).ok_or_else(|| {
                            wrong("the magic block is not six numbers and 32 bytes in hex")
                        })?);
                }
                b"needed" => profile.needed.push(Name::from(value)),
                b"rpath" => profile.search_paths.push((SearchPathKind::Rpath, Name::from(value))),
                b"runpath" => profile.search_paths.push((SearchPathKind::Runpath, Name::from(value))),
                b"library" => {
                    let (soname, path) =
                        text()?.split_once(' ').ok_or_else(|| wrong("a library has a soname and a path"))?;
                    profile.libraries.push((Name::from(soname), PathBuf::from(path)));
                }
                b"end" => {
                    if text()?.parse() != Ok(index) {
                        return Err(wrong(&format!("there are {index} lines before the end")));
                    }
                    is_whole = true;
                }
                _ => return Err(wrong(&format!("there is no key {}", Shown(key)))),
            }
        }
        if !is_whole {
            return Err("the end of the profile is missing".to_owned());
        }
        profile.target = target.ok_or_else(|| "there is no line \"machine\"".to_owned())?;
        Ok(profile)
    }
}

fn parse_machine(text: &str) -> Option<Target> {
    let mut words = text.split_ascii_whitespace();
    let machine = elf::Machine(words.next()?.parse().ok()?);
    let class = match words.next()? {
        "32" => Class::Bits32,
        "64" => Class::Bits64,
        _ => return None,
    };
    let endian = match words.next()? {
        "little" => Endian::Little,
        "big" => Endian::Big,
        _ => return None,
    };
    words.next().is_none().then_some(Target { machine, class, endian, ..Target::X86_64 })
}

fn parse_magic(text: &str) -> Option<MagicBlock> {
    let mut words = text.split_ascii_whitespace();
    let mut number = || words.next()?.parse::<u32>().ok();
    let (len, version, func_max_args) = (number()?, number()?, number()?);
    let (index_max_keys, name_data_len, float8_by_value) = (number()?, number()?, number()?);
    let abi_extra = match words.next() {
        None => None,
        Some(hex) if hex.len() == 64 && hex.is_ascii() => {
            let mut abi = [0; 32];
            for (index, byte) in abi.iter_mut().enumerate() {
                *byte = u8::from_str_radix(&hex[index * 2..index * 2 + 2], 16).ok()?;
            }
            Some(abi)
        }
        Some(_) => return None,
    };
    Some(MagicBlock {
        address: 0,
        evidence: MagicEvidence::Data,
        len,
        version,
        func_max_args,
        index_max_keys,
        name_data_len,
        float8_by_value,
        abi_extra,
        module_name: None,
        module_version: None,
    })
}

fn kind_letter(kind: SymbolKind) -> char {
    match kind {
        SymbolKind::Function => 'f',
        SymbolKind::Object | SymbolKind::Common => 'd',
        SymbolKind::Tls => 't',
        SymbolKind::Ifunc => 'i',
        SymbolKind::None | SymbolKind::Section | SymbolKind::File | SymbolKind::Other(_) => 'n',
    }
}

fn letter_kind(letter: &[u8]) -> SymbolKind {
    match letter {
        b"f" => SymbolKind::Function,
        b"d" => SymbolKind::Object,
        b"t" => SymbolKind::Tls,
        b"i" => SymbolKind::Ifunc,
        _ => SymbolKind::None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn profile() -> Profile {
        Profile {
            interpreter: Some(Name::from("/lib64/ld-linux-x86-64.so.2")),
            server: Some(PathBuf::from("/usr/lib/postgresql/15/bin/postgres")),
            pkglibdir: Some(PathBuf::from("/usr/lib/postgresql/15/lib")),
            search_paths: vec![(SearchPathKind::Rpath, Name::from("$ORIGIN/../lib"))],
            libraries: vec![(Name::from("libz.so.1"), PathBuf::from("/lib/libz.so.1"))],
            ..Profile::built_in(15, Target::X86_64).unwrap()
        }
    }

    #[test]
    fn what_is_written_is_read_back() {
        let mut text = Vec::new();
        profile().write(&mut text).unwrap();
        assert_eq!(Profile::parse(&text).unwrap(), profile());
    }

    #[test]
    fn a_wrong_line_is_named() {
        let parse = |text: &str| Profile::parse(text.as_bytes()).unwrap_err();
        assert_eq!(parse("hello"), "the first line is not \"pgsym-profile 3\"");
        assert_eq!(parse("pgsym-profile 9\n"), "the first line is not \"pgsym-profile 3\"");
        assert_eq!(
            parse("pgsym-profile 3\nmachine x"),
            "line 2: the machine is not \"NUMBER 32|64 little|big\""
        );
        assert_eq!(parse("pgsym-profile 3\nfoo bar"), "line 2: there is no key foo");
        assert_eq!(parse("pgsym-profile 3\nf palloc\nend 2"), "there is no line \"machine\"");
    }

    #[test]
    fn a_part_of_a_profile_is_none() {
        let mut text = Vec::new();
        profile().write(&mut text).unwrap();
        let missing = "the end of the profile is missing";
        let ends = text.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at);
        let last = ends.clone().count() - 1;
        // The machine, which every profile has, stands near the start.
        for at in ends.skip(2).take(last - 2).step_by(997) {
            assert_eq!(Profile::parse(&text[..=at]).unwrap_err(), missing);
        }
        let more = [text.as_slice(), b"f more\n"].concat();
        assert!(Profile::parse(&more).unwrap_err().ends_with("more behind the line \"end\""));
        let lines: Vec<&[u8]> = text.split_inclusive(|&byte| byte == b'\n').collect();
        let less: Vec<u8> = [&lines[..100], &lines[101..]].concat().concat();
        assert!(Profile::parse(&less).unwrap_err().contains("lines before the end"));
    }

    #[test]
    fn the_format_without_an_end_is_read_where_its_last_line_is_whole() {
        let old = "pgsym-profile 1\nmachine 62 64 little\nf palloc\n";
        assert_eq!(Profile::parse(old.as_bytes()).unwrap().exports.len(), 1);
        assert!(Profile::parse(old.trim_end().as_bytes()).is_err());
    }

    #[test]
    fn the_format_without_the_servers_path_is_read() {
        let old = "pgsym-profile 2\nmachine 62 64 little\nrunpath $ORIGIN/../lib\nf palloc\nend 4\n";
        let profile = Profile::parse(old.as_bytes()).unwrap();
        assert_eq!((profile.server, profile.search_paths.len()), (None, 1));
    }
}
