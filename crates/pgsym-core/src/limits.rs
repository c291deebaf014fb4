//! Every bound on untrusted input, with its derivation. A reader that reaches one records a
//! [`FileErrorKind::Limit`](crate::FileErrorKind::Limit) for the table it was reading, which becomes PGS903; it never stops the run.
//!
//! The figures were chosen against what exists: the largest ELF file of a Debian `/usr/lib` with 2,082 of them
//! has 152,000 dynamic symbols (libLLVM), 20 MB of dynamic strings and 12,000 version records; each bound is
//! at least eight times what was met.

/// Bytes of zeros behind a segment's file bytes that a table may go on in: a `.dynamic` that ends there ends with DT_NULL.
/// One page, since no table lies there, and a segment's memory may be as long as it likes.
pub const ZERO_FILLED_BYTES: u64 = 4_096;

/// PT_LOAD headers of one file: every address is looked up among them. Linkers write up to ten, and `patchelf` adds
/// one whenever a table outgrows its place.
pub const LOAD_SEGMENTS: usize = 256;

/// Entries of `.dynamic` up to and including DT_NULL. Real files have about 40; one DT_NEEDED each
/// makes a few hundred conceivable.
pub const DYNAMIC_ENTRIES: usize = 65_536;

/// DT_NEEDED entries of one file.
pub const NEEDED: usize = 4_096;

/// Bytes of a dynamic string table: DT_STRSZ is trusted up to here.
pub const STRING_TABLE_BYTES: u64 = 256 << 20;

/// Bytes of all names copied out of one file's string table, the symbols' apart: needed names, search paths and
/// version records. The largest real file has 60 KB of them.
pub const OWNED_NAME_BYTES: u64 = 16 << 20;

/// Bytes of all dynamic symbol names of one file, each counted as often as a symbol has it. The largest file of a
/// Debian tree (libLLVM) has 20 MB.
pub const SYMBOL_NAME_BYTES: u64 = 1 << 30;

/// Bytes of PT_INTERP: the kernel takes no more than PATH_MAX.
pub const INTERPRETER_BYTES: u64 = 4096;

/// Bytes of a local function's name in `.symtab` that can be an entry point of PostgreSQL; longer ones are passed
/// over. C names rarely reach 100 bytes.
pub const ENTRY_POINT_NAME_BYTES: usize = 1024;

/// Bytes of one name (soname, needed, symbol, version). C++ symbols reach 20,000.
pub const NAME_BYTES: usize = 1 << 20;

/// Bytes of a DT_RPATH, DT_RUNPATH or LD_LIBRARY_PATH value. Linux allows 128 KiB for one environment string.
pub const SEARCH_PATH_BYTES: usize = 1 << 20;

/// Directories of one search path. Each costs a probe per needed name.
pub const SEARCH_PATH_ELEMENTS: usize = 4_096;

/// Dynamic symbols of one file.
pub const DYNAMIC_SYMBOLS: usize = 8 << 20;

/// Entries of `.symtab` that the section view reads, for hidden entry points only.
pub const STATIC_SYMBOLS: usize = 16 << 20;

/// Version records (verneed, vernaux, verdef, verdaux) of one file, all together: the indices are 15 bits wide,
/// so no file can use more than 32,768 of them.
pub const VERSION_RECORDS: usize = 65_536;

/// Buckets and chain words of a hash table, each.
pub const HASH_WORDS: usize = 32 << 20;

/// Relocations of one file. Chromium has 600,000.
pub const RELOCATIONS: usize = 32 << 20;

/// Words of DT_INIT_ARRAY that are looked for among the relocations. Each translation unit with a static object has one;
/// the largest library of a Debian system (libLLVM) has 1,500.
pub const CONSTRUCTORS: usize = 65_536;

/// Bytes of notes read from all PT_NOTE segments.
pub const NOTE_BYTES: u64 = 4 << 20;

/// Notes of one file.
pub const NOTES: usize = 4_096;

/// Section headers of one file.
pub const SECTIONS: usize = 65_536;

/// Bytes scanned for a magic block in one file. PostGIS' raster module, with everything linked in, has 30 MB.
pub const MAGIC_SCAN_BYTES: u64 = 512 << 20;

/// Bytes of code decoded in one entry point. The longest shape seen (a Rust debug build) returns after 90.
pub const ENTRY_POINT_BYTES: usize = 128;

/// Bytes of `ld.so.cache`; a full Debian desktop has 150 KB.
pub const LD_SO_CACHE_BYTES: u64 = 64 << 20;

/// Entries of `ld.so.cache`; a full Debian desktop has 3,000.
pub const LD_SO_CACHE_ENTRIES: usize = 1 << 16;

/// Bytes of a soname or path in `ld.so.cache`: PATH_MAX of Linux, since what is longer opens nothing. Entries may share
/// their strings, so that all of them together can be longer than the file.
pub const LD_SO_CACHE_STRING_BYTES: usize = 4096;

/// Bytes of a small text file read whole (`ld-musl-*.path`, `ld.so.conf`, a list of exports).
pub const TEXT_FILE_BYTES: u64 = 1 << 20;

/// Bytes of an object, static archive or module that `exports` and `verify` read whole. An archive of one C++ or Rust
/// library with debugging information has hundreds of megabytes.
pub const LINK_INPUT_BYTES: u64 = 2 << 30;

/// Servers below the paths of a question that are looked at.
pub const SERVERS: usize = 64;

/// Objects in one modelled process. A server with every extension of Debian loaded has 400.
pub const PROCESS_OBJECTS: usize = 4_096;

/// Dependencies of all objects of one modelled process together. Of everything below a Debian `/usr`, the process with the
/// most has 467.
pub const PROCESS_EDGES: usize = 1 << 16;

/// Objects and dependencies of all processes that one run keeps, each with its search: some 350 bytes. The 160 modules of
/// Debian's PostgreSQL 15 bring 2,000 together, everything below a `/usr` with 2,500 binaries 75,000.
pub const TREE_EDGES: usize = 1 << 20;

/// Symbolic links followed in one path: Linux' own MAXSYMLINKS.
pub const SYMLINKS: usize = 40;

/// Depth of directories walked below a root.
pub const WALK_DEPTH: usize = 128;

/// Entries of directories that one walk meets; a tree with more is refused. A distribution's `/usr/lib` has 75,000.
pub const WALK_FILES: usize = 10_000_000;

/// Files that stay open from their first bytes until they are parsed: half of the descriptors that macOS allows a process, which
/// are the fewest.
pub const FILES_HELD_OPEN: usize = 128;

/// Bytes of the loader's own file that are read for its version and directories; the largest has 300 KB.
pub const LOADER_BYTES: u64 = 8 << 20;

/// Control files that include each other this deep: the server's CONF_FILE_MAX_DEPTH.
pub const CONTROL_INCLUDE_DEPTH: usize = 10;

/// Files that one control file includes, all together. The server has no bound; ten levels that each include a
/// hundred files would be 100^10.
pub const CONTROL_INCLUDES: usize = 1_000;

/// Extensions that wait for each other while one of them is created. The longest chain of Debian's tree has four.
pub const REQUIRES_DEPTH: usize = 10_000;

/// Versions of one extension whose way to the default version is looked for. Of the extensions in Debian the one with most
/// has some 120.
pub const UPDATE_STARTS: usize = 4_096;

/// Update scripts on all these ways together, each counted as often as a way has it.
pub const UPDATE_STEPS: usize = 1 << 20;

/// Bytes of one extension script. The largest real one, PostGIS' 3.3 upgrade, has 8 MB.
pub const SCRIPT_BYTES: u64 = 64 << 20;

/// Tokens of one statement that is read in full. The largest CREATE FUNCTION of Debian's tree has 400; the bound
/// only keeps a script that is one statement from being held as 64 million tokens.
pub const STATEMENT_TOKENS: usize = 1 << 16;

/// Strings inside strings that are searched for CREATE FUNCTION. PostGIS' upgrade scripts nest two.
pub const NESTED_CODE: usize = 4;

/// Slices of a fat file. dyld and lipo know fewer than 45 architectures, which is also what tells a fat header from a
/// Java class.
pub const FAT_SLICES: usize = 44;

/// Load commands of one image. Real ones have 20 to 60, one for each library and LC_RPATH among them.
pub const LOAD_COMMANDS: usize = 16_384;

/// Bytes of all load commands; the kernel takes no image whose commands exceed a few pages.
pub const LOAD_COMMAND_BYTES: u64 = 16 << 20;

/// Bytes of one table in `__LINKEDIT`. Chromium's export trie has 4 MB.
pub const LINKEDIT_BYTES: u64 = 256 << 20;

/// Bytes of all export names or all import names of one image: a trie may spell its names out of shared parts, so that
/// they are longer together than the file. `postgres` has 400 KB.
pub const MACH_NAME_BYTES: u64 = 256 << 20;

/// Blobs of a code signature; real ones have 3 to 6.
pub const SIGNATURE_BLOBS: usize = 64;

/// Bytes of a text-based stub; AppKit's has 1 MB.
pub const STUB_BYTES: u64 = 16 << 20;

/// Symbols of one library in a stub.
pub const STUB_SYMBOLS: usize = 1 << 20;

/// Candidates that dyld's model looks at for one name: a chain of ten images with twenty LC_RPATHs each has 200.
pub const DYLD_PROBES: usize = 4_096;

/// Images in one modelled macOS process. A server with every module of a bundle loaded has 200.
pub const DYLD_IMAGES: usize = 8_192;

/// Images that one image is loaded by way of, innermost to the program; real ones are fewer than ten.
pub const DYLD_CHAIN: usize = 256;

/// Re-exports followed from one library to the next while a symbol is looked for under changing names.
pub const REEXPORT_STEPS: usize = 64;

/// Imports of one name in one image that `pgsym why` follows; linkers write one for each library and table.
pub const IMPORTS_OF_ONE_NAME: usize = 64;

/// Images looked into for one symbol, all names that it goes through together.
pub const REEXPORT_LOOKS: usize = 65_536;

/// Bytes of a server's profile; one of Debian's server has 400 KB.
pub const PROFILE_BYTES: u64 = 64 << 20;
